//! What a person may reach with SQL: their tables, nothing else, and every statement is written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use naru_access::{
    AccessFile, Account, Policy, Principal, Rights, Terms,
    audit::{Audit, AuditFilter, Door, Origin},
};
use naru_base::TableId;
use naru_project::Environment;
use naru_store::{DATABASE_FILE, Store};
use naru_warehouse::{
    Cut, Session, SessionOptions, TableSource, View, Warehouse, WarehouseError, WarehouseSettings, postgres_catalog,
};
use tempfile::TempDir;

/// Tables in memory, opened on request.
#[derive(Default)]
struct Memory {
    tables: HashMap<TableId, View>,
    queries: HashMap<TableId, String>,
}

#[async_trait]
impl TableSource for Memory {
    fn cut(&self) -> Cut {
        Cut::new()
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

fn table(values: &[i64]) -> View {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    View::of(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap()))
}

fn rights(text: &str) -> Rights {
    let file = AccessFile::parse(text, &Environment::of_process()).unwrap();
    Rights::new(Terms { file: Some(file), sign_in: true, admins: vec!["boss@acme.kr".into()] })
}

fn person(address: &str) -> Principal {
    let account = Account { id: 1, name: address.into(), shown: address.into(), domain: Some("acme.kr".into()) };
    Principal::Person(Arc::new(account))
}

struct World {
    warehouse: Warehouse,
    policy: Policy,
    audit: Audit,
    _folder: TempDir,
}

const GRANTS: &str =
    "closed = [\"shop.secret\"]\n[[grants]]\nto = \"domain:acme.kr\"\ncan = \"view\"\non = [\"shop\"]\n";

fn world(text: &str) -> World {
    world_with(text, &[])
}

fn world_with(text: &str, more: &[(&str, usize)]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut tables = Memory::default();
    let all = [("shop.orders", 2), ("shop.secret", 3), ("hr.pay", 5), ("hr.people", 7)];
    for (name, rows) in all.iter().chain(more).copied() {
        tables.tables.insert(name.parse().unwrap(), table(&vec![1; rows]));
    }
    for (name, sql) in [
        ("shop.leak", "SELECT n FROM hr.pay"),
        ("shop.deep", "SELECT n FROM shop.leak"),
        ("shop.fine", "SELECT n FROM shop.orders"),
        ("hr.view", "SELECT n FROM shop.orders"),
    ] {
        tables.queries.insert(name.parse().unwrap(), sql.to_owned());
    }
    let policy = Policy::new(rights(text));
    let audit = Audit::open(Store::open(&folder.path().join(DATABASE_FILE)).unwrap(), false);
    let settings = WarehouseSettings {
        target_partitions: 2,
        policy: policy.clone(),
        audit: audit.clone(),
        ..WarehouseSettings::new("acme", folder.path().join("spill"))
    };
    World { warehouse: Warehouse::over(settings, Arc::new(tables)).unwrap(), policy, audit, _folder: folder }
}

impl World {
    fn session(&self, principal: Principal) -> Session {
        let origin = Origin { door: Door::Api, address: Some([10, 0, 0, 7].into()), client: "test".into() };
        let options = SessionOptions { origin: Some(origin), ..SessionOptions::of(principal) };
        self.warehouse.session(options).unwrap()
    }
}

async fn count(session: &Session, sql: &str) -> i64 {
    let batches = session.run(sql).await.unwrap().collect().await.unwrap();
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0)
}

/// The problem of a statement, whether it shows while it is planned or while rows are made.
async fn said(session: &Session, sql: &str) -> naru_base::Problem {
    match session.run(sql).await {
        Err(error) => error.problem(),
        Ok(result) => result.collect().await.expect_err(sql).problem(),
    }
}

#[tokio::test]
async fn what_is_forbidden_answers_as_what_does_not_exist() {
    let world = world(GRANTS);
    let session = world.session(person("kim@acme.kr"));
    // Pairs of one length, so that the places in the text are the same.
    let pairs =
        [("hr.pay", "hr.pat"), ("hr.view", "hr.viem"), ("shop.secret", "shop.secrez"), ("naru.audit", "naru.audix")];
    let forms = [
        "SELECT * FROM {}",
        "SELECT COUNT(*) FROM {}",
        "SELECT n FROM {} WHERE n = 1 ORDER BY n LIMIT 1",
        "EXPLAIN SELECT * FROM {}",
        "WITH x AS (SELECT * FROM {}) SELECT * FROM x",
        "SELECT * FROM shop.orders WHERE n IN (SELECT n FROM {})",
        "SELECT (SELECT MAX(n) FROM {})",
        "SELECT o.n FROM shop.orders AS o LEFT JOIN {} AS p ON o.n = p.n",
        "SELECT n FROM shop.orders UNION ALL SELECT n FROM {}",
        "SELECT EXISTS (SELECT 1 FROM {})",
        "SELECT nothing FROM {}",
        "SELECT * FROM acme.{}",
        "SELECT 1; SELECT * FROM {}",
        "SELECT * FROM {} -- ;",
        "SELECT /* n */ * FROM {}",
    ];
    for (forbidden, unknown) in pairs {
        for form in forms {
            let told = said(&session, &form.replace("{}", forbidden)).await;
            let other = said(&session, &form.replace("{}", unknown)).await;
            assert_eq!(told.code, other.code, "{form} {forbidden}");
            assert_eq!(told.to_string().replace(forbidden, unknown), other.to_string(), "{form} {forbidden}");
            assert!(!told.to_string().contains("hr.p") || forbidden == "hr.pay", "{told}");
        }
    }
    // What they may see is there, and to an administrator everything is.
    assert_eq!(count(&session, "SELECT COUNT(*) FROM shop.fine").await, 2);
    let boss = world.session(person("boss@acme.kr"));
    assert_eq!(count(&boss, "SELECT COUNT(*) FROM hr.pay").await, 5);
    assert_eq!(count(&boss, "SELECT COUNT(*) FROM shop.deep").await, 5);
}

#[tokio::test]
async fn lists_and_catalogs_hold_only_what_is_granted() {
    let world = world(GRANTS);
    let session = world.session(person("kim@acme.kr"));
    let names: Vec<String> = session.describe().await.unwrap().iter().map(|table| table.id.to_string()).collect();
    assert_eq!(names, ["shop.deep", "shop.fine", "shop.leak", "shop.orders"]);
    for (sql, rows) in [
        ("SELECT COUNT(*) FROM INFORMATION_SCHEMA.SCHEMATA", 1),
        ("SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES", 4),
        ("SELECT COUNT(*) FROM hr.INFORMATION_SCHEMA.TABLES", 0),
        ("SELECT COUNT(*) FROM shop.INFORMATION_SCHEMA.TABLES WHERE table_name = 'secret'", 0),
        ("SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'hr' OR table_schema = 'naru'", 0),
    ] {
        assert_eq!(count(&session, sql).await, rows, "{sql}");
    }
    let facts = postgres_catalog::Facts { user: "kim@acme.kr".into(), version: "15.0".into() };
    for sql in [
        "SELECT relname, reltuples FROM pg_catalog.pg_class",
        "SELECT nspname FROM pg_catalog.pg_namespace",
        "SELECT table_schema, table_name FROM information_schema.tables",
        "SELECT table_name, column_name FROM information_schema.columns",
    ] {
        let (_, batches) = postgres_catalog::run(&session, &facts, sql).await.unwrap();
        let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        assert!(text.contains("orders") || text.contains("shop"), "{sql}\n{text}");
        for hidden in ["hr", "pay", "people", "secret", "audit", "naru"] {
            assert!(!text.contains(hidden), "{hidden} in {sql}\n{text}");
        }
    }
    // A hint never names what is hidden, however near it is.
    for sql in ["SELECT * FROM hr.pey", "SELECT * FROM shop.secre", "SELECT * FROM hr.peopl", "SELECT * FROM naru.audi"]
    {
        let told = said(&session, sql).await.to_string();
        assert!(!told.contains("hr.pay") && !told.contains("shop.secret") && !told.contains("people"), "{told}");
    }
    assert!(said(&session, "SELECT * FROM shop.ordres").await.to_string().contains("shop.orders"));
}

#[tokio::test]
async fn a_view_reads_with_the_rights_of_whoever_asks_and_does_not_name_what_it_may_not() {
    let world = world(GRANTS);
    let session = world.session(person("kim@acme.kr"));
    for view in ["shop.leak", "shop.deep"] {
        let told = said(&session, &format!("SELECT * FROM {view}")).await.to_string();
        assert!(told.contains("reads a table that does not exist or that you may not see"), "{told}");
        assert!(!told.contains("hr.pay"), "{told}");
    }
    let columns = count(&session, "SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'leak'").await;
    assert_eq!(columns, 0);
}

/// Statements that nobody may run through SQL; `{}` is a path of this machine.
const REFUSED: &[&str] = &[
    "COPY shop.orders TO '{}'",
    "COPY (SELECT * FROM shop.orders) TO '{}'",
    "COPY (SELECT * FROM shop.orders) TO '{}' STORED AS CSV",
    "/* SELECT */ COPY shop.orders TO '{}'",
    "SELECT 1; COPY shop.orders TO '{}'",
    "EXPLAIN COPY shop.orders TO '{}'",
    "EXPLAIN ANALYZE COPY shop.orders TO '{}'",
    "EXPLAIN ANALYZE SELECT * FROM shop.orders",
    "EXPORT DATA OPTIONS (uri = '{}') AS SELECT 1",
    "LOAD DATA INTO shop.orders FROM FILES (uris = ['{}'])",
    "UNLOAD (SELECT 1) TO '{}'",
    "INSERT INTO '{}' SELECT 1",
    "INSERT INTO shop.orders VALUES (1)",
    "INSERT INTO shop.orders SELECT * FROM shop.orders",
    "UPDATE shop.orders SET n = 2 WHERE TRUE",
    "DELETE FROM shop.orders WHERE TRUE",
    "TRUNCATE TABLE shop.orders",
    "MERGE shop.orders AS t USING shop.orders AS s ON t.n = s.n WHEN MATCHED THEN DELETE",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE EXTERNAL TABLE x OPTIONS (format = 'CSV', uris = ['/etc/passwd'])",
    "CREATE TABLE shop.x AS SELECT 1",
    "CREATE OR REPLACE TABLE shop.orders AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE VIEW shop.x AS SELECT * FROM hr.pay",
    "CREATE FUNCTION shop.f() AS (1)",
    "CREATE TEMP FUNCTION f() RETURNS INT64 LANGUAGE js AS 'return 1'",
    "CREATE SCHEMA x",
    "CREATE DATABASE x",
    "DROP TABLE shop.orders",
    "DROP VIEW shop.fine",
    "ALTER TABLE shop.orders RENAME TO x",
    "GRANT SELECT ON TABLE shop.orders TO 'kim'",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM `file:///etc/passwd`",
    "SELECT * FROM `../../etc/passwd`",
    "SELECT * FROM shop.`../hr/pay`",
    "SELECT * FROM shop.`..`",
    "SELECT * FROM `shop/orders`",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM metadata_cache()",
    "SELECT * FROM statistics_cache()",
    "SELECT * FROM list_files_cache()",
    "SELECT * FROM EXTERNAL_QUERY('x', 'SELECT 1')",
    "SELECT * FROM generate_series(1, 10)",
    "SELECT * FROM range(10)",
    "WITH x AS (COPY shop.orders TO '{}') SELECT * FROM x",
    "WITH x AS (INSERT INTO shop.orders VALUES (1)) SELECT * FROM x",
    "WITH x AS (DELETE FROM shop.orders) SELECT 1",
    "SELECT * INTO OUTFILE '{}' FROM shop.orders",
    "SET datafusion.execution.target_partitions = 1",
    "SET datafusion.catalog.information_schema = true",
    "SET datafusion.catalog.location = '/'",
    "SET datafusion.runtime.memory_limit = '1K'",
    "SET @@dataset_id = 'hr'",
    "SET x = 1",
    "SET VARIABLE datafusion.catalog.location TO '/'",
    "SELECT 1; SET datafusion.execution.batch_size = 1; SELECT 2",
    "RESET datafusion.execution.batch_size",
    "SHOW ALL",
    "SHOW TABLES",
    "SHOW datafusion.catalog.location",
    "DESCRIBE shop.orders",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "CALL shop.p()",
    "BEGIN TRANSACTION",
    "COMMIT",
    "ROLLBACK",
    "BEGIN SELECT 1; END",
    "DECLARE x INT64",
    "ASSERT TRUE",
    "ATTACH DATABASE '/tmp/x' AS x",
    "PRAGMA table_info('shop.orders')",
    "USE hr",
    "KILL 1",
    "VACUUM",
    "ANALYZE TABLE shop.orders COMPUTE STATISTICS",
];

#[tokio::test]
async fn nothing_but_reading_granted_tables_is_possible_in_sql() {
    let world = world(GRANTS);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    for principal in [person("kim@acme.kr"), person("boss@acme.kr"), Principal::Owner] {
        let session = world.session(principal.clone());
        for sql in REFUSED {
            let sql = sql.replace("{}", &out.display().to_string());
            let outcome = match session.run(&sql).await {
                Ok(result) => result.collect().await.map(|_| ()),
                Err(error) => Err(error),
            };
            let problem = outcome.expect_err(&format!("{principal}: {sql}")).problem();
            let told = problem.to_string();
            assert!(problem.code.starts_with("sql."), "{sql}: {told}");
            assert!(!told.contains("root:"), "{sql}: {told}");
            assert!(problem.code != "sql.engine", "{sql}: {told}");
        }
    }
    assert!(!out.exists(), "a statement wrote a file");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // SET of the one variable there is works, and reaches nothing else.
    assert_eq!(count(&world.session(person("kim@acme.kr")), "SET @@time_zone = 'Asia/Seoul'; SELECT 1").await, 1);
}

#[tokio::test]
async fn a_right_taken_back_ends_what_runs_and_narrows_what_comes() {
    let world = world_with(GRANTS, &[("shop.big", 5_000)]);
    let session = world.session(person("kim@acme.kr"));
    let cross = "SELECT a.n FROM shop.big AS a CROSS JOIN shop.big AS b CROSS JOIN shop.big AS c";
    let mut running = session.run(cross).await.unwrap();
    let mut other = world.session(person("boss@acme.kr")).run(cross).await.unwrap();
    assert!(running.next().await.unwrap().is_ok() && other.next().await.unwrap().is_ok());
    world.policy.replace(rights("[[grants]]\nto = \"domain:acme.kr\"\ncan = \"view\"\non = [\"shop.fine\"]\n"));
    let ended = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            match running.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.problem(),
                None => panic!("it came to its end"),
            }
        }
    });
    assert_eq!(ended.await.unwrap().code, "access.right_taken");
    assert!(other.next().await.unwrap().is_ok(), "who kept the right goes on");
    // A view is not enough: whoever asks needs what it reads.
    assert_eq!(said(&session, "SELECT * FROM shop.orders").await.code, "sql.no_table");
    assert!(said(&session, "SELECT * FROM shop.fine").await.summary.contains("may not see"));
}

#[tokio::test]
async fn every_statement_is_a_row_of_the_audit() {
    let world = world(GRANTS);
    let session = world.session(person("kim@acme.kr"));
    assert_eq!(count(&session, "SELECT COUNT(*) FROM shop.fine").await, 2);
    said(&session, "SELECT * FROM hr.pay").await;
    said(&session, "SELECT 1 / 0 FROM shop.orders").await;
    drop(session.run("SELECT * FROM INFORMATION_SCHEMA.TABLES").await.unwrap());
    // What naru asks for itself is no row.
    let own = world.warehouse.session(SessionOptions::of(Principal::Project)).unwrap();
    assert_eq!(count(&own, "SELECT COUNT(*) FROM hr.pay").await, 5);
    let boss = world.session(person("boss@acme.kr"));
    let asked = "SELECT COUNT(*) FROM naru.audit WHERE account = 'kim@acme.kr' AND 'hr.pay' IN UNNEST(tables) AND result = 'sql.no_table' AND time <= CURRENT_TIMESTAMP()";
    let wait = async {
        while count(&boss, asked).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("the refusal is in the audit");
    assert_eq!(said(&session, "SELECT * FROM naru.audit").await.code, "sql.no_table");
    drop((session, boss));
    world.audit.close().await;
    let filter = AuditFilter { account: Some("kim@acme.kr".into()), ..AuditFilter::default() };
    let mut rows = world.audit.find(filter, None, 100).await.unwrap();
    rows.reverse();
    let told: Vec<_> = rows.iter().map(|row| (row.tables.as_str(), row.rows, row.result.as_str())).collect();
    assert_eq!(
        told,
        [
            ("[\"shop.fine\",\"shop.orders\"]", Some(1), "ok"),
            ("[\"hr.pay\"]", Some(0), "sql.no_table"),
            ("[\"shop.orders\"]", Some(0), "sql.value"),
            ("[]", Some(0), "left"),
            ("[\"naru.audit\"]", Some(0), "sql.no_table"),
        ]
    );
    let first = &rows[0];
    assert_eq!(
        (first.door.as_str(), first.address.as_deref(), first.client.as_str()),
        ("api", Some("10.0.0.7"), "test")
    );
    assert_eq!((first.action.as_str(), first.account_kind.as_str(), first.bytes), ("query", "person", Some(8)));
    assert_eq!(first.sql.as_deref(), Some("SELECT COUNT(*) FROM shop.fine"));
    assert!(first.took_us.is_some() && world.audit.verify(None).await.unwrap().broken.is_none());
}

/// Prints what rights cost a statement beside its planning, with 10,000 tables and 1,000 grants.
#[tokio::test]
async fn rights_among_ten_thousand_tables_are_a_small_part_of_planning() {
    let mut text = String::from("[groups]\nall = [\"kim@acme.kr\"]\n");
    for grant in 0..1_000 {
        text.push_str(&format!(
            "[[grants]]\nto = \"group:all\"\ncan = \"view\"\non = [\"d{}.t{}\"]\n",
            grant % 100,
            grant / 100
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut tables = Memory::default();
    let one = table(&[1]);
    for number in 0..10_000 {
        tables.tables.insert(TableId::new(format!("d{}", number % 100), format!("t{}", number / 100)), one.clone());
    }
    let policy = Policy::new(rights(&text));
    let settings =
        WarehouseSettings { policy: policy.clone(), ..WarehouseSettings::new("acme", folder.path().join("spill")) };
    let warehouse = Warehouse::over(settings, Arc::new(tables)).unwrap();
    let kim = person("kim@acme.kr");
    let session = warehouse.session(SessionOptions::of(kim.clone())).unwrap();
    let began = Instant::now();
    let merged = policy.now().visible(&kim);
    let first = began.elapsed();
    let began = Instant::now();
    for number in 0..1_000 {
        assert!(
            policy.now().visible(&kim).table(&TableId::new(format!("d{}", number % 100), format!("t{}", number / 100)))
        );
    }
    let each = began.elapsed() / 1_000;
    let began = Instant::now();
    session.validate("SELECT n FROM d7.t3").await.unwrap();
    let planned = began.elapsed();
    println!("rights merged {first:?} once, then {each:?} a table; planning one query {planned:?}");
    assert!(merged.dataset("d7") && !merged.dataset("d100"));
    assert_eq!(said(&session, "SELECT n FROM d7.t30").await.code, "sql.no_table");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_the_catalog_has_the_limits_of_any_other_and_is_written_down() {
    let world = world(GRANTS);
    let session = world.session(person("kim@acme.kr"));
    let facts = postgres_catalog::Facts { user: "kim@acme.kr".into(), version: "15.0".into() };
    let ask = async |sql: &str| postgres_catalog::run(&session, &facts, sql).await.map(|(_, batches)| batches);
    ask("SELECT relname FROM pg_catalog.pg_class").await.unwrap();
    // Rows out of nothing, tables of its own.
    for sql in ["SELECT * FROM generate_series(1, 10)", "CREATE TABLE t AS SELECT oid FROM pg_catalog.pg_type"] {
        assert!(ask(sql).await.is_err(), "{sql}");
    }
    let types = ["a", "b", "c", "d", "e", "f"].map(|name| format!("pg_catalog.pg_type {name}")).join(", ");
    let wide = ask(&format!("SELECT a.typname, b.typname FROM {types}")).await.unwrap_err().problem();
    assert_eq!(wide.code, "sql.out_of_memory", "{wide}");
    session.set_timeout(Some(Duration::from_millis(100)));
    let long = format!(
        "SELECT count(*), max(a.oid + b.oid + c.oid + d.oid + e.oid + f.oid) FROM {types}, {types2}",
        types2 = ["g", "h", "i"].map(|name| format!("pg_catalog.pg_type {name}")).join(", ")
    );
    let long = ask(&long).await.unwrap_err().problem();
    assert_eq!(long.code, "sql.timed_out", "{long}");
    session.set_timeout(None);
    // Only its columns are asked for: nothing goes out.
    postgres_catalog::describe(&session, &facts, "SELECT relname FROM pg_catalog.pg_class").await.unwrap();
    world.audit.close().await;
    let rows = world.audit.find(AuditFilter::default(), None, 100).await.unwrap();
    let mut told: Vec<_> = rows.iter().map(|row| (row.account.as_str(), row.result.as_str())).collect();
    told.reverse();
    let kim = |result| ("kim@acme.kr", result);
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!((told[0], told[3], told[4]), (kim("ok"), kim("sql.out_of_memory"), kim("sql.timed_out")), "{told:?}");
    assert!(rows.last().unwrap().rows.unwrap() > 0);
}
