//! Jobs over tables in memory: what survives, what ends, what is given back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, types::Int64Type},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use naru_access::{Account, Principal};
use naru_base::TableId;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::{Cut, TableSource, View, WarehouseError, WarehouseSettings};

const ENDLESS: &str = "SELECT COUNT(*) AS c FROM d.a AS a CROSS JOIN d.a AS b CROSS JOIN d.a AS c WHERE a.n * b.n = -1";
const MUCH: &str = "SELECT ARRAY_AGG(a.n) AS all_of_them FROM d.a AS a CROSS JOIN d.a AS b";

/// `d.a`: the numbers below a million.
struct Numbers(View);

impl Numbers {
    fn new() -> Self {
        let batch = |from: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + 10_000));
            RecordBatch::try_from_iter([("n", column)]).unwrap()
        };
        let batches: Vec<RecordBatch> = (0..1_000_000).step_by(10_000).map(batch).collect();
        Self(View::of(Arc::new(MemTable::try_new(batches[0].schema(), vec![batches]).unwrap())))
    }
}

#[async_trait]
impl TableSource for Numbers {
    fn cut(&self) -> Cut {
        HashMap::from([(TableId::new("d", "a"), Ok(self.0.clone()))])
    }

    async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        Ok(vec![TableId::new("d", "a")])
    }

    async fn open(&self, _: &TableId) -> Result<Option<View>, WarehouseError> {
        Ok(None)
    }
}

struct World {
    warehouse: Warehouse,
    settings: JobSettings,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = WarehouseSettings {
            memory_bytes: 256 << 20,
            target_partitions: 2,
            ..WarehouseSettings::new("acme", folder.path().join("spill"))
        };
        let warehouse = Warehouse::over(settings, Arc::new(Numbers::new())).unwrap();
        let mut settings = JobSettings::new(folder.path().join("results"));
        settings.look_every = Duration::from_millis(5);
        Self { warehouse, settings, folder }
    }

    fn jobs(&self) -> Jobs {
        Jobs::open(self.warehouse.clone(), self.settings.clone(), None).unwrap()
    }

    /// Comes back when the engine has let go of everything: no task is left on the query threads, no memory is held.
    async fn at_rest(&self) {
        let threads = self.warehouse.shared.threads.handle().unwrap().metrics();
        while threads.num_alive_tasks() > 0 || self.warehouse.memory_used() > 0 || self.warehouse.queries_running() > 0
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn person(id: i64) -> Principal {
    let account = Account { id, name: format!("p{id}@acme.kr"), shown: String::new(), domain: None };
    // Rights are open in these tests to whoever holds the folder or a token of the project.
    Principal::Token { id, name: account.name, owner: "owner".to_owned() }
}

fn new(principal: &Principal, sql: &str) -> NewJob {
    NewJob {
        sql: sql.to_owned(),
        principal: principal.clone(),
        origin: None,
        tab: None,
        default_dataset: None,
        rows_max: None,
        attended: true,
    }
}

async fn until(jobs: &Jobs, principal: &Principal, id: &JobId, wanted: impl Fn(&JobView) -> bool) -> JobView {
    let mut listener = jobs.listen(principal, id).unwrap();
    loop {
        let view = listener.view().unwrap();
        if wanted(&view) {
            return view;
        }
        tokio::select! {
            () = listener.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
}

async fn end(jobs: &Jobs, principal: &Principal, id: &JobId) -> JobView {
    jobs.listen(principal, id).unwrap().ended().await.unwrap()
}

fn numbers(page: &Page) -> Vec<i64> {
    page.batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn a_page_of_a_million_rows_is_read_without_the_rest() {
    let world = World::new();
    let (jobs, kim) = (world.jobs(), person(1));
    let id = jobs.submit(new(&kim, "SELECT n, CONCAT('행 ', CAST(n AS STRING)) AS s FROM d.a ORDER BY n")).unwrap().id;
    let done = end(&jobs, &kim, &id).await;
    assert_eq!((done.state.word(), done.rows, done.rows_total), ("done", 1_000_000, Some(1_000_000)));
    assert!(done.complete() && done.seen.rows_read == 1_000_000 && done.reads.len() == 1, "{done:?}");
    let began = std::time::Instant::now();
    for from in [0_u64, 999_500, 500_123, 4_000] {
        let page = jobs.page(&kim, &id, from, 500).unwrap();
        let from = i64::try_from(from).unwrap();
        assert_eq!(numbers(&page), (from..from + 500).collect::<Vec<_>>());
    }
    println!("four pages of 500 of 1,000,000 rows: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_result_is_found_again_after_a_restart_and_only_by_its_owner() {
    let world = World::new();
    let kim = person(1);
    let first = world.jobs();
    let id = first.submit(new(&kim, "SELECT n FROM d.a WHERE n < 3 ORDER BY n")).unwrap().id;
    end(&first, &kim, &id).await;
    first.close().await;
    let second = world.jobs();
    assert_eq!(numbers(&second.page(&kim, &id, 1, 5).unwrap()), [1, 2]);
    let view = second.view(&kim, &id).unwrap();
    assert!(view.complete() && view.seen.rows_read > 0 && view.sql.contains("n < 3"), "{view:?}");
    for other in [person(2), Principal::Owner, Principal::Project] {
        assert!(matches!(second.view(&other, &id), Err(JobError::NotFound)));
        assert!(matches!(second.page(&other, &id, 0, 1), Err(JobError::NotFound)));
        assert!(matches!(second.cancel(&other, &id), Err(JobError::NotFound)));
    }
}

#[tokio::test]
async fn cancelling_gives_back_memory_and_threads() {
    let world = World::new();
    let (jobs, kim) = (world.jobs(), person(1));
    for sql in [ENDLESS, MUCH] {
        let id = jobs.submit(new(&kim, sql)).unwrap().id;
        until(&jobs, &kim, &id, |view| view.seen.rows_read > 0).await;
        jobs.cancel(&kim, &id).unwrap();
        assert_eq!(end(&jobs, &kim, &id).await.state, JobState::Cancelled(Stopper::Asker));
        world.at_rest().await;
        assert!(matches!(jobs.page(&kim, &id, 0, 1), Err(JobError::Gone)));
    }
    let left: Vec<_> = std::fs::read_dir(world.folder.path().join("results")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_query_that_nobody_looks_at_is_cancelled_and_one_that_is_watched_is_not() {
    let mut world = World::new();
    world.settings.abandoned_after = Duration::from_millis(50);
    let (jobs, kim) = (world.jobs(), person(1));
    let watched = jobs.submit(new(&kim, ENDLESS)).unwrap().id;
    let listener = jobs.listen(&kim, &watched).unwrap();
    let share = jobs.submit(NewJob { attended: false, ..new(&kim, ENDLESS) }).unwrap().id;
    let left = jobs.submit(new(&kim, ENDLESS)).unwrap().id;
    // Not a look: a look would keep it going.
    let mut changed = world_changes(&jobs, &left);
    while changed.changed().await.is_ok() && !ended(&jobs, &left) {}
    let state = jobs.view(&kim, &left).unwrap().state;
    assert_eq!(state, JobState::Cancelled(Stopper::Nobody));
    assert!(state.failure().unwrap().problem.hint.is_some());
    assert_eq!(listener.view().unwrap().state, JobState::Running);
    assert_eq!(jobs.view(&kim, &share).unwrap().state, JobState::Running);
    drop(listener);
    jobs.close().await;
    assert_eq!(jobs.view(&kim, &share).unwrap().state, JobState::Cancelled(Stopper::Naru));
    world.at_rest().await;
}

fn world_changes(jobs: &Jobs, id: &JobId) -> tokio::sync::watch::Receiver<()> {
    jobs.inner.board.lock().entry(id).unwrap().changed.subscribe()
}

fn ended(jobs: &Jobs, id: &JobId) -> bool {
    jobs.inner.board.lock().view(id, jobs.inner.settings.lanes).unwrap().state.ended()
}

#[tokio::test]
async fn one_persons_heavy_queries_leave_lanes_to_the_others_and_wait_in_order() {
    let mut world = World::new();
    world.settings.lanes = Lanes { all: 3, person: 2 };
    world.settings.waiting = Lanes { all: 3, person: 2 };
    let (jobs, kim, lee) = (world.jobs(), person(1), person(2));
    let mine: Vec<JobId> = (0..4).map(|_| jobs.submit(new(&kim, ENDLESS)).unwrap().id).collect();
    assert_eq!(jobs.view(&kim, &mine[1]).unwrap().state, JobState::Running);
    assert_eq!(jobs.view(&kim, &mine[2]).unwrap().queue_place, Some(1));
    assert_eq!(jobs.view(&kim, &mine[3]).unwrap().queue_place, Some(2));
    let refused = jobs.submit(new(&kim, "SELECT 1")).unwrap_err().problem();
    assert!(refused.code == "query.queue_full" && refused.detail.is_some(), "{refused}");
    let light = jobs.submit(new(&lee, "SELECT 7 AS n")).unwrap().id;
    assert_eq!(end(&jobs, &lee, &light).await.rows_total, Some(1));
    // One that is cancelled while it waits says so at once.
    jobs.cancel(&kim, &mine[2]).unwrap();
    assert_eq!(end(&jobs, &kim, &mine[2]).await.state, JobState::Cancelled(Stopper::Asker));
    jobs.cancel(&kim, &mine[0]).unwrap();
    until(&jobs, &kim, &mine[3], |view| view.state == JobState::Running).await;
    jobs.close().await;
}

#[tokio::test]
async fn a_run_in_the_same_tab_ends_the_one_before_it() {
    let world = World::new();
    let (jobs, kim, lee) = (world.jobs(), person(1), person(2));
    let tab = |principal: &Principal| NewJob { tab: Some("1".to_owned()), ..new(principal, ENDLESS) };
    let first = jobs.submit(tab(&kim)).unwrap().id;
    let other = jobs.submit(tab(&lee)).unwrap().id;
    let second = jobs.submit(tab(&kim)).unwrap().id;
    assert_eq!(end(&jobs, &kim, &first).await.state, JobState::Cancelled(Stopper::Asker));
    assert_eq!(jobs.view(&kim, &second).unwrap().state, JobState::Running);
    assert_eq!(jobs.view(&lee, &other).unwrap().state, JobState::Running);
    jobs.close().await;
}

#[tokio::test]
async fn timed_out_and_failed_and_cancelled_are_three_things() {
    let folder = tempfile::tempdir().unwrap();
    let settings = WarehouseSettings {
        timeout: Some(Duration::from_millis(100)),
        ..WarehouseSettings::new("acme", folder.path().join("spill"))
    };
    let warehouse = Warehouse::over(settings, Arc::new(Numbers::new())).unwrap();
    let jobs = Jobs::open(warehouse, JobSettings::new(folder.path().join("results")), None).unwrap();
    let kim = person(1);
    let state = async |sql: &str| {
        let id = jobs.submit(new(&kim, sql)).unwrap().id;
        end(&jobs, &kim, &id).await.state
    };
    let slow = state(ENDLESS).await;
    assert_eq!((slow.word(), slow.failure().unwrap().problem.code.as_ref()), ("timed_out", "sql.timed_out"));
    let wrong = state("SELECT 1;\nSELECT x FROM d.a").await;
    let failure = wrong.failure().unwrap();
    assert_eq!((wrong.word(), failure.problem.code.as_ref(), failure.place), ("failed", "sql.name", Some((2, 8))));
    let zero = state("SELECT 1 / (n - n) AS x FROM d.a").await;
    assert_eq!((zero.word(), zero.failure().unwrap().problem.code.as_ref()), ("failed", "sql.value"));
}

#[tokio::test]
async fn a_bounded_result_says_how_many_rows_there_are() {
    let mut world = World::new();
    world.settings.keep.rows = 10_000;
    let (jobs, kim) = (world.jobs(), person(1));
    let id = jobs.submit(new(&kim, "SELECT n FROM d.a")).unwrap().id;
    let done = end(&jobs, &kim, &id).await;
    assert_eq!((done.rows, done.rows_total, done.complete()), (10_000, Some(1_000_000), false));
    let fewer = NewJob { rows_max: Some(10), ..new(&kim, "SELECT n FROM d.a") };
    let id = jobs.submit(fewer).unwrap().id;
    assert_eq!(end(&jobs, &kim, &id).await.rows, 10);
}

#[tokio::test]
async fn results_go_when_they_expire_or_take_too_much_room() {
    let mut world = World::new();
    world.settings.bytes_max = 1;
    let (jobs, kim) = (world.jobs(), person(1));
    let id = jobs.submit(new(&kim, "SELECT n FROM d.a WHERE n < 10")).unwrap().id;
    end(&jobs, &kim, &id).await;
    let folder = world.folder.path().join("results").join(id.to_string());
    while folder.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(jobs.page(&kim, &id, 0, 1), Err(JobError::Gone)));
    assert_eq!(jobs.view(&kim, &id).unwrap().state, JobState::Done);
}

/// Remembers what it heard.
#[derive(Default)]
struct Heard(Mutex<Vec<JobRecord>>);

#[async_trait]
impl JobsEnd for Heard {
    async fn ended(&self, record: JobRecord) {
        self.0.lock().push(record);
    }
}

#[tokio::test]
async fn every_end_is_heard_before_it_is_seen() {
    let world = World::new();
    let heard = Arc::new(Heard::default());
    let jobs = Jobs::open(world.warehouse.clone(), world.settings.clone(), Some(heard.clone())).unwrap();
    let kim = person(1);
    for sql in ["SELECT n FROM d.a WHERE n < 5", "SELECT x FROM d.a"] {
        let id = jobs.submit(new(&kim, sql)).unwrap().id;
        let seen = end(&jobs, &kim, &id).await;
        let records = heard.0.lock();
        let record = records.last().unwrap();
        assert_eq!((&record.view.id, &record.view.state), (&id, &seen.state));
        assert_eq!((record.view.rows_total, &record.principal), (seen.rows_total, &kim));
    }
}
