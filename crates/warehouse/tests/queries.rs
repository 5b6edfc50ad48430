//! Sessions over tables in memory: what runs, what is refused, what happens when memory ends or a user does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, StringArray, types::Int64Type},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use naru_access::{AccessFile, Grant, Grantee, Policy, Principal, Reach, Rights, Role, Terms};
use naru_base::{Place, TableId, Version};
use naru_warehouse::{
    Cut, Params, Pinned, ResultSet, Session, SessionOptions, TableSource, View, Warehouse, WarehouseError,
    WarehouseSettings,
};
use tempfile::TempDir;

/// Tables in memory; those of dataset `cut` come from the cut, the others on request.
#[derive(Default)]
struct Memory {
    tables: HashMap<TableId, View>,
    queries: HashMap<TableId, String>,
}

impl Memory {
    fn with(mut self, name: &str, version: u64, batches: Vec<RecordBatch>) -> Self {
        let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
        let view = View { version: Some(Version(version)), ..View::of(Arc::new(table)) };
        self.tables.insert(name.parse().unwrap(), view);
        self
    }

    fn with_view(mut self, name: &str, sql: &str) -> Self {
        self.queries.insert(name.parse().unwrap(), sql.to_owned());
        self
    }
}

#[async_trait]
impl TableSource for Memory {
    fn cut(&self) -> Cut {
        let live = self.tables.iter().filter(|(id, _)| id.dataset == "cut");
        live.map(|(id, view)| (id.clone(), Ok(view.clone()))).collect()
    }

    fn views(&self) -> HashMap<TableId, String> {
        self.queries.clone()
    }

    async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        Ok(self.tables.keys().cloned().collect())
    }

    async fn open(&self, id: &TableId) -> Result<Option<View>, WarehouseError> {
        Ok(self.tables.get(id).cloned())
    }
}

fn warehouse(memory_mb: usize, tables: Memory) -> (Warehouse, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = WarehouseSettings {
        memory_bytes: memory_mb << 20,
        target_partitions: 2,
        ..WarehouseSettings::new("acme", folder.path().join("spill"))
    };
    (Warehouse::over(settings, Arc::new(tables)).unwrap(), folder)
}

fn session(warehouse: &Warehouse) -> Session {
    warehouse.session(SessionOptions::of(Principal::Owner)).unwrap()
}

fn numbers(values: &[i64]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

/// Rows `0..rows`: `k` scrambled over the same range, `pad` about 90 bytes.
fn wide(rows: i64) -> Vec<RecordBatch> {
    let schema =
        Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("pad", DataType::Utf8, false)]));
    let filler = "가나다라마바사아자차카타파하".repeat(2);
    (0..rows)
        .step_by(8192)
        .map(|start| {
            let range = start..(start + 8192).min(rows);
            let keys = range.clone().map(|row| row * 7_919 % rows);
            let pads = keys.clone().map(|key| format!("{key:08}{filler}"));
            let columns: Vec<ArrayRef> =
                vec![Arc::new(Int64Array::from_iter_values(keys)), Arc::new(StringArray::from_iter_values(pads))];
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        })
        .collect()
}

async fn one(session: &Session, sql: &str) -> i64 {
    let batches = session.run(sql).await.unwrap().collect().await.unwrap();
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn an_answer_says_which_versions_it_read() {
    let (warehouse, _folder) = warehouse(
        64,
        Memory::default().with("cut.a", 3, vec![numbers(&[1, 2])]).with("lake.b", 7, vec![numbers(&[2])]),
    );
    let session = session(&warehouse);
    let result = session.run("SELECT a.n FROM cut.a AS a JOIN acme.lake.b AS b ON a.n = b.n").await.unwrap();
    let versions: Vec<_> = result.versions.iter().map(|(id, version)| (id.to_string(), version.unwrap().0)).collect();
    assert_eq!(versions, [("cut.a".to_owned(), 3), ("lake.b".to_owned(), 7)]);
    assert_eq!(result.time_zone, "UTC");
    assert_eq!(result.collect().await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test]
async fn an_unknown_table_says_so_and_nothing_else_can_be_read() {
    let (warehouse, _folder) = warehouse(64, Memory::default());
    let session = session(&warehouse);
    for sql in ["SELECT * FROM shop.nothing", "SELECT * FROM acme.shop.nothing", "SELECT * FROM other.shop.nothing"] {
        let problem = session.run(sql).await.unwrap_err().problem();
        assert!(problem.summary.contains("nothing"), "{sql}: {problem}");
    }
    for sql in ["SELECT * FROM '/etc/passwd'", "SELECT * FROM `/etc/passwd`", "SELECT * FROM read_csv('/etc/passwd')"] {
        assert!(session.run(sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_missing_table_says_which_one_may_have_been_meant() {
    let tables =
        Memory::default().with("shop.orders", 1, vec![numbers(&[1])]).with("shop.매출", 1, vec![numbers(&[2])]);
    let (warehouse, _folder) = warehouse(64, tables);
    let session = session(&warehouse);
    for (asked, hint) in [
        ("shop.ordrs", Some("did you mean shop.orders?")),
        ("acme.shop.Orders", Some("did you mean shop.orders?")),
        ("orders", Some("did you mean shop.orders?")),
        ("`매출`", Some("did you mean shop.매출?")),
        ("nothing", Some("write dataset.table")),
        ("finance.weekly_revenue", None),
    ] {
        let problem = session.run(&format!("SELECT * FROM {asked}")).await.unwrap_err().problem();
        assert_eq!((problem.code.as_ref(), problem.hint.as_deref()), ("sql.no_table", hint), "{asked}: {problem}");
        assert!(problem.summary.contains("1:15"), "{problem}");
    }
}

#[tokio::test]
async fn a_session_takes_queries_and_refuses_the_rest_with_a_hint() {
    let (warehouse, _folder) = warehouse(64, Memory::default().with("lake.b", 7, vec![numbers(&[2])]));
    let session = session(&warehouse);
    for sql in [
        "CREATE TABLE lake.c AS SELECT 1 AS x",
        "DROP TABLE lake.b",
        "DELETE FROM lake.b WHERE TRUE",
        "INSERT INTO lake.b VALUES (1)",
        "TRUNCATE TABLE lake.b",
        "COPY lake.b TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t LOCATION '/etc'",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN ANALYZE SELECT * FROM lake.b",
    ] {
        let problem = session.run(sql).await.unwrap_err().problem();
        assert!(problem.code.starts_with("sql."), "{sql}: {problem}");
    }
    assert!(session.run("EXPLAIN SELECT * FROM lake.b").await.is_ok());
}

#[tokio::test]
async fn several_statements_answer_with_the_last_that_has_rows() {
    let (warehouse, _folder) = warehouse(64, Memory::default().with("lake.b", 7, vec![numbers(&[2])]));
    let session = session(&warehouse);
    assert_eq!(one(&session, "SELECT 1 AS x; SELECT n FROM lake.b; SET @@time_zone = 'Asia/Seoul';").await, 2);
    assert_eq!(session.time_zone(), "Asia/Seoul");
    assert!(session.run("SET @@time_zone = 'Asia/Nowhere'").await.is_err());
    assert!(session.run("SET @@time_zone = 'UTC'").await.unwrap().schema.fields().is_empty());
    assert!(matches!(session.run("  -- nothing\n").await, Err(WarehouseError::Empty)));
}

#[tokio::test]
async fn a_pinned_query_reads_what_is_pinned_and_nothing_else() {
    let (warehouse, _folder) = warehouse(64, Memory::default().with("lake.b", 7, vec![numbers(&[2])]));
    let session = session(&warehouse);
    let staged = Memory::default().with("m.staged", 0, vec![numbers(&[40, 2])]);
    let pinned = Pinned {
        views: staged.tables,
        queries: HashMap::from([("m.v".parse().unwrap(), "SELECT SUM(n) AS n FROM m.staged".to_owned())]),
    };
    let params = Params::default();
    let rows = session.stream("SELECT n FROM m.v", &params, pinned.clone()).await.unwrap().collect().await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 42);
    assert!(session.stream("SELECT n FROM lake.b", &params, pinned).await.is_err());
}

#[tokio::test]
async fn a_view_is_read_like_a_table_and_a_circle_is_refused() {
    let tables = Memory::default()
        .with("lake.b", 7, vec![numbers(&[2, 3])])
        .with_view("m.double", "SELECT n * 2 AS n FROM lake.b")
        .with_view("m.total", "SELECT SUM(n) AS n FROM m.double")
        .with_view("m.x", "SELECT * FROM m.y")
        .with_view("m.y", "SELECT * FROM m.x");
    let (warehouse, _folder) = warehouse(64, tables);
    let session = session(&warehouse);
    assert_eq!(one(&session, "SELECT n FROM m.total").await, 10);
    let problem = session.run("SELECT * FROM m.x").await.unwrap_err().problem();
    assert!(problem.to_string().contains("circle"), "{problem}");
    let described = session.describe().await.unwrap();
    let names: Vec<_> = described.iter().map(|table| (table.id.to_string(), table.is_view)).collect();
    assert_eq!(names[0], ("lake.b".to_owned(), false));
    assert_eq!(names[2], ("m.total".to_owned(), true));
}

#[tokio::test]
async fn information_schema_lists_tables_and_columns() {
    let (warehouse, _folder) =
        warehouse(64, Memory::default().with("shop.b", 7, vec![numbers(&[2])]).with("x.c", 1, vec![numbers(&[2])]));
    let session = session(&warehouse);
    assert_eq!(one(&session, "SELECT COUNT(*) AS c FROM shop.INFORMATION_SCHEMA.TABLES").await, 1);
    assert_eq!(one(&session, "SELECT COUNT(*) AS c FROM INFORMATION_SCHEMA.TABLES").await, 2);
    let sql = "SELECT ordinal_position FROM shop.INFORMATION_SCHEMA.COLUMNS WHERE data_type = 'INT64'";
    assert_eq!(one(&session, sql).await, 1);
}

#[tokio::test]
async fn sort_group_and_join_larger_than_memory_finish_right() {
    let rows = 600_000;
    let tables = Memory::default().with("d.a", 0, wide(rows)).with("d.b", 0, wide(rows));
    let (warehouse, _folder) = warehouse(32, tables);
    let session = session(&warehouse);

    let mut sorted = session.run("SELECT pad, k FROM d.a ORDER BY pad").await.unwrap();
    let (mut expected, progress) = (0, sorted.progress.clone());
    while let Some(batch) = sorted.next().await {
        for key in batch.unwrap().column(1).as_primitive::<Int64Type>().values() {
            assert_eq!(*key, expected);
            expected += 1;
        }
    }
    assert_eq!(expected, rows);
    let seen = progress.seen();
    assert!(seen.bytes_spilled > 0 && seen.rows_total == Some(u64::try_from(rows).unwrap()), "{seen:?}");

    let groups = "SELECT COUNT(*) AS c FROM (SELECT pad, COUNT(*) AS n FROM d.a GROUP BY pad)";
    assert_eq!(one(&session, groups).await, rows);

    let join = "SELECT COUNT(*) AS c FROM d.a AS a JOIN d.b AS b ON a.pad = b.pad WHERE a.k + b.k >= 0";
    assert_eq!(one(&session, join).await, rows);
    assert_eq!(warehouse.memory_used(), 0);
}

#[tokio::test]
async fn what_cannot_spill_fails_with_a_clear_problem() {
    let (warehouse, _folder) = warehouse(8, Memory::default().with("d.a", 0, wide(200_000)));
    let session = session(&warehouse);
    let outcome = session.run("SELECT ARRAY_AGG(pad) AS all_of_them FROM d.a").await.unwrap().collect().await;
    let problem = outcome.unwrap_err().problem();
    assert_eq!(problem.code, "sql.out_of_memory", "{problem}");
    assert!(problem.hint.is_some());
    // The next query has the whole pool again.
    assert_eq!(one(&session, "SELECT COUNT(*) AS c FROM d.a").await, 200_000);
}

/// Rows `0..rows` in one column, in batches.
fn counted(rows: i64) -> Vec<RecordBatch> {
    (0..rows).step_by(8192).map(|start| numbers(&(start..(start + 8192).min(rows)).collect::<Vec<_>>())).collect()
}

/// How long a stop may take. Each of these queries works for hours, and without the pauses of `steps` minutes pass
/// between two places where it could be stopped; on an idle machine a stop takes some ten milliseconds.
const STOP_MOST: Duration = Duration::from_secs(20);

async fn has_begun(result: &ResultSet, rows: u64) {
    while result.progress.seen().rows_read < rows {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// `begun` is how many rows its scans have read when it is in the middle of its work.
async fn stops_when_asked(warehouse: &Warehouse, sql: &str, begun: u64) {
    let session = session(warehouse);
    let mut result = session.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", error.problem()));
    let stop = result.canceller();
    has_begun(&result, begun).await;
    stop.cancel();
    let let_go = async {
        assert!(matches!(result.next().await, Some(Err(WarehouseError::Cancelled))), "{sql}");
        assert!(result.next().await.is_none(), "{sql}");
        // The engine itself has let go when its memory is back and no task works on.
        while warehouse.memory_used() > 0 || warehouse.queries_running() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(STOP_MOST, let_go).await.unwrap_or_else(|_| panic!("still at work: {sql}"));
}

#[tokio::test]
async fn a_cancelled_query_stops_wherever_it_is() {
    let tables =
        Memory::default().with("d.a", 0, counted(2_000_000)).with("d.one", 0, vec![numbers(&vec![1; 200_000])]);
    let (warehouse, _folder) = warehouse(512, tables);
    // One side is held whole before the first row of the other is read.
    for (sql, begun) in [
        ("SELECT COUNT(*) AS c FROM d.a AS a CROSS JOIN d.a AS b WHERE a.n * b.n = -1", 2_000_001),
        ("SELECT COUNT(*) AS c FROM d.a AS a JOIN d.a AS b ON a.n < b.n AND a.n * b.n = -1", 2_000_001),
        ("SELECT COUNT(*) AS c FROM d.a AS a LEFT JOIN d.a AS b ON a.n + b.n < 0", 2_000_001),
        ("SELECT COUNT(*) AS c FROM d.one AS a JOIN d.one AS b ON a.n = b.n AND a.n + b.n < 0", 200_001),
        ("SELECT COUNT(*) AS c FROM d.a AS a, UNNEST(GENERATE_ARRAY(a.n, a.n + 300)) AS x WHERE x < 0", 1),
        ("SELECT COUNT(*) AS c FROM d.a AS a WHERE EXISTS (SELECT 1 FROM d.a AS b WHERE a.n * b.n < 0)", 2_000_001),
    ] {
        stops_when_asked(&warehouse, sql, begun).await;
    }
    // The next query has threads and memory again.
    assert_eq!(one(&session(&warehouse), "SELECT COUNT(*) AS c FROM d.a").await, 2_000_000);
}

#[tokio::test]
async fn a_query_that_works_for_hours_leaves_room_for_others() {
    let (warehouse, _folder) = warehouse(512, Memory::default().with("d.a", 0, counted(300_000)));
    let endless = "SELECT COUNT(*) AS c FROM d.a AS a JOIN d.a AS b ON a.n < b.n AND a.n * b.n = -1";
    let session = session(&warehouse);
    // As many as there are threads.
    let heavy = [session.run(endless).await.unwrap(), session.run(endless).await.unwrap()];
    for query in &heavy {
        has_begun(query, 300_001).await;
    }
    let light = one(&session, "SELECT COUNT(*) AS c FROM d.a WHERE n < 10");
    assert_eq!(tokio::time::timeout(STOP_MOST, light).await.expect("nobody else gets a thread"), 10);
}

#[tokio::test]
async fn a_wrong_value_is_named_without_being_shown() {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["kim@example.com"]));
    let (warehouse, _folder) =
        warehouse(64, Memory::default().with("d.t", 0, vec![RecordBatch::try_from_iter([("s", column)]).unwrap()]));
    let session = session(&warehouse);
    let outcome = async { session.run("SELECT CAST(s AS INT64) AS n FROM d.t").await?.collect().await }.await;
    let problem = outcome.unwrap_err().problem();
    assert!(!problem.to_string().contains("kim"), "{problem}");
    assert_eq!(problem.code, "sql.value", "{problem}");
}

fn with_settings(tables: Memory, change: impl FnOnce(&mut WarehouseSettings)) -> (Warehouse, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = WarehouseSettings::new("acme", folder.path().join("spill"));
    change(&mut settings);
    (Warehouse::over(settings, Arc::new(tables)).unwrap(), folder)
}

const ENDLESS: &str = "SELECT COUNT(*) AS c FROM d.a AS a CROSS JOIN d.a AS b CROSS JOIN d.a AS c WHERE a.n * b.n = -1";

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_and_says_why() {
    let tables = Memory::default().with("d.a", 0, counted(200_000));
    let (warehouse, _folder) = with_settings(tables, |settings| settings.timeout = Some(Duration::from_millis(300)));
    let session = session(&warehouse);
    let problem = session.run(ENDLESS).await.unwrap().collect().await.unwrap_err().problem();
    assert!(problem.code == "sql.timed_out" && problem.hint.is_some(), "{problem}");
    while warehouse.memory_used() > 0 || warehouse.queries_running() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A session can make its own limit shorter, never longer.
    session.set_timeout(Some(Duration::from_hours(1)));
    assert_eq!(session.timeout(), Some(Duration::from_millis(300)));
    session.set_timeout(Some(Duration::from_millis(200)));
    let problem = session.run(ENDLESS).await.unwrap().collect().await.unwrap_err().problem();
    assert_eq!(problem.summary, "the query took longer than its limit of 0.2 s");
    // What flow runs has the mart's limit, not this one.
    let pinned = Pinned { views: Memory::default().with("d.a", 0, counted(10)).tables, ..Pinned::default() };
    let rows = session.stream("SELECT COUNT(*) AS c FROM d.a", &Params::default(), pinned).await.unwrap();
    assert_eq!(rows.collect().await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0), 10);
}

#[tokio::test]
async fn a_session_with_a_share_of_the_memory_spills_at_its_share() {
    let (warehouse, _folder) = warehouse(512, Memory::default().with("d.a", 0, wide(600_000)));
    let share = SessionOptions { memory_bytes: Some(32 << 20), ..SessionOptions::of(Principal::Project) };
    let session = warehouse.session(share).unwrap();
    let groups = "SELECT COUNT(*) AS c FROM (SELECT pad, COUNT(*) AS n FROM d.a GROUP BY pad)";
    let mut result = session.run(groups).await.unwrap();
    let rows = result.next().await.unwrap().unwrap();
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 600_000);
    assert!(result.progress.seen().bytes_spilled > 0, "{:?}", result.progress.seen());
    drop(result);
    let all = "SELECT ARRAY_AGG(pad) AS p FROM d.a";
    let problem = session.run(all).await.unwrap().collect().await.unwrap_err().problem();
    assert_eq!(problem.code, "sql.out_of_memory", "{problem}");
    // Others have the whole pool.
    assert!(self::session(&warehouse).run(all).await.unwrap().collect().await.is_ok());
    assert_eq!(warehouse.memory_used(), 0);
}

#[tokio::test]
async fn spilling_stops_at_the_disk_it_was_given() {
    let tables = Memory::default().with("d.a", 0, wide(200_000));
    let (warehouse, folder) = with_settings(tables, |settings| {
        (settings.memory_bytes, settings.spill_bytes_max, settings.target_partitions) = (8 << 20, 1 << 20, 2);
    });
    let session = session(&warehouse);
    let sorted = session.run("SELECT pad, k FROM d.a ORDER BY pad").await.unwrap().collect().await;
    let problem = sorted.unwrap_err().problem();
    assert_eq!(problem.code, "sql.spill_full", "{problem}");
    while warehouse.memory_used() > 0 || warehouse.queries_running() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut left = walk(&folder.path().join("spill"));
    left.retain(|path| path.is_file());
    assert!(left.is_empty(), "{left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            all.extend(walk(&entry.path()));
        }
        all.push(entry.path());
    }
    all
}

/// Rights under which the token `bi` sees the dataset `shop` and nothing else.
fn only_shop() -> Policy {
    let place = Place { file: "access.toml".into(), line: 1, column: 1 };
    let grant = Grant {
        to: vec![Grantee::Token("bi".into())],
        can: Role::View,
        on: vec![Reach::Dataset("shop".into())],
        place,
    };
    let file = AccessFile { grants: vec![grant], ..AccessFile::default() };
    Policy::new(Rights::new(Terms { file: Some(file), ..Terms::default() }))
}

#[tokio::test]
async fn what_a_reader_may_not_see_is_not_there_for_them() {
    let tables = Memory::default()
        .with("hr.pay", 1, vec![numbers(&[100])])
        .with("shop.b", 1, vec![numbers(&[2])])
        .with_view("hr.v", "SELECT n FROM shop.b")
        .with_view("shop.leak", "SELECT n FROM hr.pay");
    let (warehouse, _folder) = with_settings(tables, |settings| settings.policy = only_shop());
    let token = Principal::Token { id: 1, name: "bi".into(), owner: "kim".into() };
    let session = warehouse.session(SessionOptions::of(token)).unwrap();
    let said = async |sql: &str| session.run(sql).await.unwrap_err().problem().to_string();
    for (forbidden, unknown) in [("hr.pay", "hr.non"), ("hr.v", "hr.n"), ("acme.hr.pay", "acme.hr.non")] {
        let told = said(&format!("SELECT * FROM {forbidden}")).await;
        assert_eq!(told.replace(forbidden, unknown), said(&format!("SELECT * FROM {unknown}")).await);
    }
    // A view reads with the rights of whoever asks it.
    let told = said("SELECT * FROM shop.leak").await;
    assert!(told.contains("view shop.leak reads a table that does not exist or that you may not see"), "{told}");
    assert!(!told.contains("hr.pay"), "{told}");
    assert_eq!(one(&session, "SELECT n FROM shop.b").await, 2);
    assert_eq!(one(&session, "SELECT COUNT(*) AS c FROM hr.INFORMATION_SCHEMA.TABLES").await, 0);
    assert_eq!(
        one(&session, "SELECT COUNT(*) AS c FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'hr'").await,
        0
    );
    let names: Vec<_> = session.describe().await.unwrap().iter().map(|table| table.id.to_string()).collect();
    assert_eq!(names, ["shop.b", "shop.leak"]);
    let owner = self::session(&warehouse);
    assert_eq!(one(&owner, "SELECT n FROM shop.leak").await, 100);
}
