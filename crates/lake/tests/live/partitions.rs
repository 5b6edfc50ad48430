//! Rows kept apart by day: who goes where, what is skipped, what other readers see, what is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arrow::array::AsArray as _;
use datafusion::prelude::SessionContext;
use naru_base::Lsn;
use naru_lake::{
    Change as TableChange, Column, CompactionLimits, Lake, LakeError, LakeSettings, Op, Operation, Remove, Retention,
    ScanOptions, SimulatedClock, StagerOptions, TableSpec, TableView, VacuumOptions,
    live::{LiveSet, LiveSettings, LiveTable},
};
use naru_testkit::python::{READERS, run};
use serde_json::{Value, json};

use crate::world::{self, Change, DAY, Row, day, with_days};

const APP: &str = "naru/test/1";

struct World {
    dir: tempfile::TempDir,
    lake: Lake,
    clock: SimulatedClock,
    set: LiveSet,
    table: LiveTable,
    position: u64,
}

impl World {
    async fn new(key: &[&str], deletion_vectors: bool) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SimulatedClock::default());
        let base = dir.path().to_path_buf();
        let settings = LakeSettings { location: "lake".into(), cache: base.join("cache"), base };
        let lake = Lake::open_with(settings, Arc::new(clock.clone())).await.unwrap();
        let spec = TableSpec { columns: world::parted_columns(), deletion_vectors, ..world::spec(key) };
        let table = world::open_as(&lake, "events", spec, LiveSettings::default()).await;
        let set = LiveSet::new();
        set.insert(&table);
        Self { dir, lake, clock, set, table, position: 0 }
    }

    async fn apply(&mut self, op: Op, rows: impl IntoIterator<Item = (i64, i64)>) {
        let change = |(id, v)| {
            let row = (op != Op::Delete).then_some(Row { v, big: None, note: Some(format!("note {id}")) });
            Change { op, id, row, left_out: [false; 2] }
        };
        let changes: Vec<Change> = rows.into_iter().map(change).collect();
        self.table.apply(with_days(world::batch(&changes))).await.unwrap();
        self.position += 1;
        self.set.publish(Lsn(self.position), &[&self.table]);
    }

    async fn flush(&self) {
        self.table.flush(APP, self.position as i64).await.unwrap();
    }

    fn view(&self) -> Arc<TableView> {
        self.table.view()
    }

    /// Files by day.
    fn files(&self) -> BTreeMap<Option<i32>, usize> {
        let mut files = BTreeMap::new();
        self.view().files.iter().for_each(|file| *files.entry(file.day).or_default() += 1);
        files
    }

    async fn ids(&self, view: &Arc<TableView>, filter: &str) -> Vec<i64> {
        let context = self.context(view);
        let sql = format!("select id from t where {filter} order by id");
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec())
            .collect()
    }

    fn context(&self, view: &Arc<TableView>) -> SessionContext {
        let context = SessionContext::new();
        self.lake.register(&context.runtime_env());
        let options = ScanOptions { hidden: true, ..ScanOptions::default() };
        context.register_table("t", view.provider(&options).unwrap()).unwrap();
        context
    }

    /// Files that a query with this filter opens.
    async fn opened(&self, filter: &str) -> usize {
        let sql = format!("explain select id from t where {filter}");
        let batches = self.context(&self.view()).sql(&sql).await.unwrap().collect().await.unwrap();
        let plan = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        let files: BTreeSet<&str> =
            plan.split("part-n").skip(1).filter_map(|rest| rest.split(".parquet").next()).collect();
        files.len()
    }

    /// Compares what other readers see, days included, with what the lake shows.
    async fn check_readers(&self, after: &str) {
        let view = self.table.table().view();
        world::check_days(&self.lake, &view).await;
        let rows = world::scan_all(&self.lake, &view).await;
        let mut wanted: Vec<Value> = rows.iter().map(|(id, row)| json!([id, row.v, row.note, day(row.v)])).collect();
        wanted.sort_by_key(|row| row[0].as_i64());
        let third = wanted.iter().filter(|row| row[3] == json!(20_003)).count();
        let path = self.dir.path().join("lake/shop/events").to_str().unwrap().to_owned();
        let text = tokio::task::spawn_blocking(move || run(READERS, SCRIPT, &[path])).await.unwrap();
        let seen: Value = serde_json::from_str(&text).unwrap();
        for reader in ["polars", "deltalake"] {
            let seen = seen[reader].as_array().unwrap();
            let other = seen.iter().zip(&wanted).find(|(seen, wanted)| seen != wanted);
            assert!(other.is_none() && seen.len() == wanted.len(), "{reader} after {after}: {other:?}");
        }
        assert_eq!(seen["third"], json!([third, third]), "partition values mislead after {after}");
        assert_eq!(seen["columns"], json!([DAY]), "{after}");
    }
}

const SCRIPT: &str = r#"
import json, sys
import polars, pyarrow
from deltalake import DeltaTable, QueryBuilder
path = sys.argv[1]

def plain(frame):
    frame = frame.select("id", "v", "note", polars.col("_day_v").cast(polars.Int32))
    return sorted((list(row) for row in frame.rows()), key=lambda row: row[0])

def query(sql):
    batches = QueryBuilder().register("t", DeltaTable(path)).execute(sql)
    tables = [pyarrow.record_batch(b) for b in batches]
    return polars.from_arrow(pyarrow.Table.from_batches(tables)) if tables else None

day = polars.col("_day_v") == polars.date(2024, 10, 7)
frame = query("select * from t")
out = {
    "polars": plain(polars.read_delta(path)),
    "deltalake": plain(frame) if frame is not None else [],
    "third": [polars.scan_delta(path).filter(day).select(polars.len()).collect().item(),
              query("select count(*) as n from t where _day_v = date '2024-10-07'").item()],
    "columns": DeltaTable(path).metadata().partition_columns,
}
print(json.dumps(out))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_batch_go_to_files_of_their_days_and_late_ones_to_their_own() {
    let mut world = World::new(&[], true).await;
    world.apply(Op::Insert, (0..600).map(|id| (id, id % 3 + 1))).await;
    world.apply(Op::Insert, [(600, 13), (601, 2)]).await;
    assert_eq!(world.ids(&world.view(), &format!("{DAY} is null")).await, [600], "before the flush");
    world.flush().await;
    assert_eq!(world.files(), [(None, 1), (Some(20_001), 1), (Some(20_002), 1), (Some(20_003), 1)].into());
    world.apply(Op::Insert, (700..800).map(|id| (id, 4)).chain([(800, 1)])).await;
    world.flush().await;
    assert_eq!(world.files()[&Some(20_001)], 2, "a late row has a file of its day");
    assert_eq!(world.files()[&Some(20_004)], 1);
    world::check_days(&world.lake, &world.view()).await;
    let plain = world.view().provider(&ScanOptions::default()).unwrap();
    assert!(plain.schema().index_of(DAY).is_err(), "the day is hidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_days_are_not_opened_whether_a_filter_names_the_day_or_what_it_is_of() {
    let mut world = World::new(&[], true).await;
    world.apply(Op::Insert, (0..1_200).map(|id| (id, id % 12 + 1))).await;
    world.flush().await;
    assert_eq!(world.view().files.len(), 12);
    assert_eq!(world.opened(&format!("{DAY} = date '2024-10-07'")).await, 1);
    assert_eq!(world.opened(&format!("{DAY} >= date '2024-10-14'")).await, 2);
    assert_eq!(world.opened("v = 3").await, 1);
    assert_eq!(world.ids(&world.view(), "v = 3").await.len(), 100);
    assert_eq!(world.ids(&world.view(), &format!("{DAY} = date '2024-10-07'")).await.len(), 100);
    assert_eq!(world.ids(&world.view(), &format!("{DAY} is null")).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_readers_see_rows_and_days_after_every_kind_of_commit() {
    for (key, vectors) in [(&["id"][..], true), (&[][..], true), (&[][..], false)] {
        let mut world = World::new(key, vectors).await;
        world.apply(Op::Insert, (0..500).map(|id| (id, id))).await;
        world.flush().await;
        world.check_readers("a first flush").await;
        if !key.is_empty() {
            // The row of another day dies, and the new one goes to its own day.
            world.apply(Op::Update, (0..500).step_by(5).map(|id| (id, id + 3))).await;
            world.apply(Op::Delete, (0..500).step_by(7).map(|id| (id, 0))).await;
            world.flush().await;
            world.check_readers("updates that move rows to other days").await;
        }
        world.apply(Op::Insert, (1_000..1_100).map(|id| (id, id))).await;
        world.flush().await;
        let thorough = CompactionLimits::default().thorough();
        while world.table.compact_within(&thorough).await.unwrap().is_some() {}
        assert!(world.files().values().all(|files| *files == 1), "{:?}", world.files());
        world.check_readers("compaction").await;
        let table = world.table.table();
        table.checkpoint().await.unwrap();
        let options = VacuumOptions { retention: Retention::NONE, pins: Vec::new(), dry_run: false };
        assert!(!table.vacuum(&options).await.unwrap().removed.is_empty());
        world.check_readers("checkpoint and vacuum").await;
        world.table.drop_before(20_003).await.unwrap().unwrap();
        world.check_readers("dropped days").await;
        let settled = world::scan_all(&world.lake, &world.view()).await.len();
        let again = world::lake(world.dir.path()).await;
        let table = again.open_table(&world::id("events")).await.unwrap().unwrap();
        assert_eq!(world::scan_all(&again, &table.view()).await.len(), settled, "another process");
        world::check_days(&again, &table.view()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_days_go_in_one_commit_and_nothing_else_does() {
    let mut world = World::new(&["id"], true).await;
    world.apply(Op::Insert, (0..120).map(|id| (id, id))).await;
    world.flush().await;
    // Unflushed: a row of an old day dies, another comes.
    world.apply(Op::Delete, [(1, 0)]).await;
    world.apply(Op::Insert, [(500, 2)]).await;
    let (before, version) = (world.view(), world.table.table().view().version);
    let committed = world.table.drop_before(20_006).await.unwrap().unwrap();
    assert_eq!(committed.version.0, version.0 + 1);
    let expected: Vec<i64> = (0..120).filter(|id| day(*id).is_none_or(|day| day >= 20_006)).chain([500]).collect();
    assert_eq!(world.ids(&world.view(), "true").await, expected);
    assert_eq!(world.ids(&before, "true").await.len(), 120, "a query that began before sees what it saw");
    assert!(world.table.drop_before(20_006).await.unwrap().is_none());
    world.flush().await;
    assert_eq!(world.ids(&world.table.table().view(), "true").await, expected);
    // Keys of dropped rows are free again.
    world.apply(Op::Insert, [(1, 11)]).await;
    world.apply(Op::Delete, [(2, 0)]).await;
    world.flush().await;
    assert_eq!(world.ids(&world.view(), "id < 3").await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_over_ends_in_one_file_and_days_are_never_joined() {
    let mut world = World::new(&[], true).await;
    for part in 0..5 {
        world.apply(Op::Insert, (part * 100..part * 100 + 100).map(|id| (id, id % 2 + 1))).await;
        world.flush().await;
        assert!(world.table.compact().await.unwrap().is_none(), "too few to be joined while they come");
    }
    world.clock.advance(Duration::from_mins(61));
    world.apply(Op::Insert, [(900, 2)]).await;
    world.flush().await;
    while world.table.compact().await.unwrap().is_some() {}
    assert_eq!(world.files(), [(Some(20_001), 1), (Some(20_002), 6)].into());
    world.clock.advance(Duration::from_mins(61));
    while world.table.compact().await.unwrap().is_some() {}
    assert_eq!(world.files(), [(Some(20_001), 1), (Some(20_002), 1)].into());
    world::check_days(&world.lake, &world.view()).await;
    assert_eq!(world.view().live_rows(), 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_stay_as_they_are_while_there_are_rows_and_files_hold_one() {
    let mut world = World::new(&[], true).await;
    world.apply(Op::Insert, [(1, 1), (2, 2)]).await;
    world.flush().await;
    let table = world.table.table();
    let refused = |outcome: Result<_, LakeError>| matches!(outcome, Err(LakeError::Refused { .. }));
    let other_zone = |mut column: Column| {
        column.partition.iter_mut().for_each(|partition| partition.zone = "UTC".into());
        column
    };
    let columns: Vec<Column> = world::parted_columns().into_iter().map(other_zone).collect();
    let change = |columns, remove| TableChange { columns: Some(columns), remove, ..TableChange::default() };
    assert!(refused(table.commit(change(columns.clone(), Remove::None)).await));
    assert!(refused(table.commit(change(world::columns(), Remove::None)).await));
    let mixed = with_days(world::batch(&[1, 2].map(|id| {
        let row = Some(Row { v: id, big: None, note: None });
        Change { op: Op::Insert, id, row, left_out: [false; 2] }
    })));
    assert!(matches!(table.stager(StagerOptions::default()).write(&mixed.rows).await, Err(LakeError::Refused { .. })));
    let mut stager = table.stager(StagerOptions::default());
    for row in 0..2 {
        stager.write(&mixed.rows.slice(row, 1)).await.unwrap();
    }
    let add = stager.finish().await.unwrap();
    assert_eq!(add.len(), 2, "each day has its file");
    let more = world::parted_columns().into_iter().chain([Column::new("more", arrow::datatypes::DataType::Int64)]);
    let change = TableChange { add, operation: Operation::Alter, ..change(more.collect(), Remove::None) };
    table.commit(change).await.unwrap();
    assert_eq!(world.ids(&table.view(), "more is null").await.len(), 4, "a column behind the day");
}
