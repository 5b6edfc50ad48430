//! The doors, opened for real: control socket, HTTP, and the Postgres wire with the clients people use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::HashMap,
    net::IpAddr,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arrow::{
    array::{
        ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray, types::Int64Type,
    },
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use naru_access::{Entry, Principal, Scope};
use naru_base::{Problem, TableId};
use naru_server::{
    Listen, ServerError,
    control::{self, Client, Control, SqlRequest},
    http, postgres,
};
use naru_warehouse::{Cut, TableSource, View, Warehouse, WarehouseError, WarehouseSettings};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Tables in memory.
struct Memory(HashMap<TableId, View>);

#[async_trait]
impl TableSource for Memory {
    fn cut(&self) -> Cut {
        self.0.iter().map(|(id, view)| (id.clone(), Ok(view.clone()))).collect()
    }

    fn views(&self) -> HashMap<TableId, String> {
        HashMap::from([(
            "shop.big_orders".parse().unwrap(),
            "SELECT id, name FROM shop.orders WHERE id > 1".to_owned(),
        )])
    }

    async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        Ok(self.0.keys().cloned().collect())
    }

    async fn open(&self, _: &TableId) -> Result<Option<View>, WarehouseError> {
        Ok(None)
    }
}

fn orders() -> RecordBatch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a b"), None]);
    tags.append_value(Vec::<Option<&str>>::new());
    tags.append_null();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 9_007_199_254_740_993]))),
        ("name", Arc::new(StringArray::from(vec![Some("김치"), None, Some("it's; \"x\"")]))),
        (
            "total",
            Arc::new(Decimal128Array::from(vec![Some(1250), Some(-5), None]).with_precision_and_scale(38, 2).unwrap()),
        ),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_767_225_600_500_000, -1]).with_timezone("UTC"))),
        ("day", Arc::new(Date32Array::from(vec![0, 20_000, -1]))),
        ("paid", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("weight", Arc::new(Float64Array::from(vec![1.5, f64::NAN, f64::INFINITY]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\x00\xff", b"", b"x"]))),
        ("tags", Arc::new(tags.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn warehouse() -> (Warehouse, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = WarehouseSettings {
        memory_bytes: 64 << 20,
        target_partitions: 2,
        ..WarehouseSettings::new("acme", folder.path().join("spill"))
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
    let tables = [("shop.orders", orders()), ("shop.numbers", RecordBatch::try_from_iter([("n", numbers)]).unwrap())];
    let tables =
        tables.into_iter().map(|(name, batch)| (name.parse().unwrap(), View::of_batches(vec![batch]).unwrap()));
    (Warehouse::over(settings, Arc::new(Memory(tables.collect()))).unwrap(), folder)
}

struct Words;

#[async_trait]
impl Control for Words {
    async fn status(&self) -> Value {
        json!({"listeners": {}})
    }

    async fn call(&self, word: &str, body: Value, progress: mpsc::Sender<Value>) -> Result<Value, Problem> {
        for step in 0..3 {
            progress.send(json!({ "step": step })).await.unwrap();
        }
        match word {
            "echo" => Ok(body),
            _ => Err(Problem::new("test.unknown", format!("no word {word}")).hint("Use echo.").later()),
        }
    }
}

async fn control_door(project: &Path, version: &str) -> control::ControlDoor {
    let (warehouse, folder) = warehouse();
    std::mem::forget(folder);
    control::serve(project, version, warehouse, Arc::new(Words)).await.unwrap()
}

#[tokio::test]
async fn a_command_finds_the_running_naru_and_streams_rows_from_it() {
    let project = tempfile::tempdir().unwrap();
    assert!(Client::find(project.path(), "1").await.unwrap().is_none());
    let door = control_door(project.path(), "1").await;
    let client = Client::find(project.path(), "1").await.unwrap().unwrap();

    let request = SqlRequest { sql: "SELECT id, name FROM shop.orders ORDER BY id".into(), ..SqlRequest::default() };
    let mut answer = client.sql(&request).await.unwrap();
    assert_eq!(answer.schema.field(1).name(), "name");
    assert_eq!((answer.time_zone.as_str(), answer.versions.len()), ("UTC", 1));
    let batch = answer.next().await.unwrap().unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(2), 9_007_199_254_740_993);
    assert!(answer.next().await.is_none());

    let wrong = SqlRequest { sql: "SELECT * FROM shop.nothing".into(), ..SqlRequest::default() };
    let Err(ServerError::Remote(problem)) = client.sql(&wrong).await else { panic!("a missing table was found") };
    assert!(problem.summary.contains("nothing") && problem.code.starts_with("sql."), "{problem}");

    let path = door.path.clone();
    door.close(Duration::from_secs(5)).await;
    assert!(!path.exists());
    assert!(Client::find(project.path(), "1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_word_answers_with_progress_and_then_its_result_or_its_problem() {
    let project = tempfile::tempdir().unwrap();
    let _door = control_door(project.path(), "1").await;
    let client = Client::find(project.path(), "1").await.unwrap().unwrap();
    let mut steps = Vec::new();
    let done = client.call("echo", &json!({"x": "나루"}), |line| steps.push(line)).await.unwrap();
    assert_eq!(done, json!({"x": "나루"}));
    assert_eq!(steps, [json!({"step": 0}), json!({"step": 1}), json!({"step": 2})]);
    let Err(ServerError::Remote(problem)) = client.call("other", &Value::Null, |_| ()).await else { panic!() };
    assert_eq!((problem.code.as_ref(), problem.hint.as_deref()), ("test.unknown", Some("Use echo.")));
    assert_eq!(problem.retry, naru_base::Retry::Later);
}

#[tokio::test]
async fn another_version_is_told_which_to_restart_and_a_second_naru_is_refused() {
    let project = tempfile::tempdir().unwrap();
    let door = control_door(project.path(), "1.0.0").await;
    let problem = Client::find(project.path(), "2.0.0").await.unwrap_err().problem();
    assert_eq!(problem.code, "server.version");
    assert!(problem.hint.unwrap().contains("Restart `naru up`"));
    let (warehouse, _folder) = warehouse();
    let second = control::serve(project.path(), "1.0.0", warehouse, Arc::new(Words)).await;
    assert!(matches!(second, Err(ServerError::AlreadyRunning)));
    // A socket whose naru was killed is replaced.
    let path = door.path.clone();
    drop(door);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _again = control_door(project.path(), "1.0.0").await;
    assert!(Client::find(project.path(), "1.0.0").await.unwrap().is_some());
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served_on_loopback() {
    let reasons = Arc::new(Mutex::new(vec!["shop.orders is copying".to_owned()]));
    let shared = reasons.clone();
    let readiness = Arc::new(move || shared.lock().clone());
    let metrics = Arc::new(Mutex::new(Registry::default()));
    let counter = prometheus_client::metrics::counter::Counter::<u64>::default();
    metrics.lock().register("queries", "Queries started", counter.clone());
    counter.inc();
    let door = http::serve("127.0.0.1:0".parse::<Listen>().unwrap().into(), readiness, metrics, None, None)
        .await
        .unwrap()
        .unwrap();
    let told = async |path: &str, headers: &str| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(door.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let ask = async |path: &str| told(path, "Host: 127.0.0.1").await;
    assert!(ask("/healthz").await.starts_with("HTTP/1.1 200"));
    let unready = ask("/readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503") && unready.contains("shop.orders is copying"));
    reasons.lock().clear();
    assert!(ask("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(ask("/metrics").await.contains("queries_total 1"));
    // A proxy on this machine asks for somebody elsewhere, whether it says so or only passes the name on.
    for headers in ["Host: naru.acme.kr", "Host: localhost\r\nX-Real-IP: 192.0.2.1"] {
        assert!(told("/metrics", headers).await.starts_with("HTTP/1.1 403"), "{headers}");
        assert!(told("/healthz", headers).await.starts_with("HTTP/1.1 200"), "{headers}");
    }
    door.close().await;
}

/// An open Postgres wire with one token, `kim` / `s3cret`.
struct Wire {
    door: naru_server::Door,
    _folder: TempDir,
    token: Arc<OneToken>,
}

#[derive(Default)]
struct OneToken {
    revoked: AtomicBool,
}

#[async_trait]
impl postgres::Tokens for OneToken {
    async fn enter(&self, user: &str, token: &str, from: Option<IpAddr>) -> Result<Option<Entry>, Problem> {
        assert!(from.is_some_and(|from| from.is_loopback()));
        let principal = Principal::Token { id: 1, name: user.to_owned(), owner: user.to_owned() };
        Ok((user == "kim" && token == "s3cret").then(|| Entry { principal, token: 1, scopes: vec![Scope::Query] }))
    }

    async fn stands(&self, _: i64) -> Result<bool, Problem> {
        Ok(!self.revoked.load(Ordering::SeqCst))
    }
}

async fn wire() -> Wire {
    let (warehouse, folder) = warehouse();
    let token = Arc::new(OneToken::default());
    let door = postgres::serve(Listen::At(([127, 0, 0, 1], 0).into()), warehouse, token.clone()).await;
    Wire { door: door.unwrap().unwrap(), _folder: folder, token }
}

impl Wire {
    fn url(&self) -> String {
        format!("postgresql://kim:s3cret@{}/acme", self.door.address)
    }

    async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs psql; standard output, or the error it printed.
    async fn psql(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("psql");
        command.args(["-X", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", &self.url()]).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_token_or_to_another_project() {
    let wire = wire().await;
    let address = wire.door.address;
    for (user, password, database, state) in [
        ("kim", "wrong", "acme", "28P01"),
        ("postgres", "s3cret", "acme", "28P01"),
        ("postgres", "", "acme", "28P01"),
        ("kim", "s3cret", "other", "3D000"),
    ] {
        let config =
            format!("host=127.0.0.1 port={} user={user} password='{password}' dbname={database}", address.port());
        let error = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.err().expect("came in");
        if !password.is_empty() {
            assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some(state), "{error:?}");
        }
    }
}

#[tokio::test]
async fn psql_reads_rows_and_describes_tables() {
    let wire = wire().await;
    let rows = wire
        .psql(&["-At", "-c", "SELECT id, name, total, at, day, paid, weight, raw, tags FROM shop.orders ORDER BY id"])
        .await
        .unwrap();
    assert_eq!(
        rows,
        "1|김치|12.5|1970-01-01 00:00:00+00|1970-01-01|t|1.5|\\x00ff|{\"a b\",NULL}\n\
         2||-0.05|2026-01-01 00:00:00.5+00|2024-10-04|f|NaN|\\x|{}\n\
         9007199254740993|it's; \"x\"||1969-12-31 23:59:59.999999+00|1969-12-31||Infinity|\\x78|\n"
    );
    let tables = wire.psql(&["-c", "\\dt"]).await.unwrap();
    assert!(tables.contains("orders") && tables.contains("shop") && tables.contains("(2 rows)"), "{tables}");
    let described = wire.psql(&["-c", "\\d orders"]).await.unwrap();
    assert!(described.contains("Table \"shop.orders\"") && described.contains("numeric(38,2)"), "{described}");
    assert!(described.contains("timestamp with time zone") && described.contains("text[]"), "{described}");
    for asked in
        ["\\d", "\\d shop.orders", "\\d+ shop.orders", "\\dn", "\\dv", "\\l", "\\du", "\\df", "\\dx", "\\conninfo"]
    {
        let answer = wire.psql(&["-c", asked]).await;
        assert!(answer.is_ok(), "{asked}: {answer:?}");
    }
    let several =
        wire.psql(&["-At", "-c", "BEGIN; SELECT 1 AS a; COMMIT; SET @@time_zone = 'Asia/Seoul'; SHOW timezone"]).await;
    assert!(several.unwrap().contains("Asia/Seoul"));
}

#[tokio::test]
async fn an_error_has_state_position_and_hint_and_ends_only_its_transaction() {
    let wire = wire().await;
    let client = wire.client().await;
    let error = client.simple_query("SELECT 1 AS x;\nSELECT FROM FROM").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "42601", "{error:?}");
    assert!(
        matches!(error.position(), Some(tokio_postgres::error::ErrorPosition::Original(at)) if *at > 15),
        "{error:?}"
    );
    let error = client.simple_query("CREATE TABLE x.y AS SELECT 1 AS a").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert!(error.code().code() == "0A000" && error.hint().is_some(), "{error:?}");

    client.simple_query("BEGIN").await.unwrap();
    client.simple_query("SELECT * FROM shop.nothing").await.unwrap_err();
    let aborted = client.simple_query("SELECT 1 AS x").await.unwrap_err();
    assert_eq!(aborted.code().unwrap().code(), "25P02");
    client.simple_query("ROLLBACK").await.unwrap();
    client.simple_query("SELECT 1 AS x").await.unwrap();
}

#[tokio::test]
async fn prepared_statements_take_parameters_and_answer_in_binary() {
    let wire = wire().await;
    let client = wire.client().await;
    let row =
        client.query_one("SELECT id, name, paid, weight, raw FROM shop.orders WHERE id = $1", &[&1_i64]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1), row.get::<_, bool>(2)), (1, "김치", true));
    assert_eq!((row.get::<_, f64>(3), row.get::<_, Vec<u8>>(4)), (1.5, vec![0, 255]));
    let row = client.query_one("SELECT id FROM shop.orders WHERE name = $1", &[&"it's; \"x\""]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 9_007_199_254_740_993);
    let row = client.query_one("SELECT tags FROM shop.orders WHERE id = 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, Vec<Option<&str>>>(0), [Some("a b"), None]);
    let rows = client.query("SELECT n FROM shop.numbers ORDER BY n LIMIT $1", &[&7_i64]).await.unwrap();
    assert_eq!(rows.len(), 7);
}

/// A connection whose token was revoked takes no other statement, and ends by itself when it asks for nothing or is
/// in the middle of a query.
#[tokio::test]
async fn a_revoked_token_ends_its_open_connections() {
    let wire = wire().await;
    let (asking, idle, busy) = (wire.client().await, wire.client().await, wire.client().await);
    let (_silent, still_open) = tokio_postgres::connect(&wire.url(), tokio_postgres::NoTls).await.unwrap();
    asking.simple_query("SELECT 1 AS x").await.unwrap();
    let endless = "SELECT COUNT(*) AS c FROM shop.numbers AS a CROSS JOIN shop.numbers AS b CROSS JOIN shop.numbers AS d WHERE a.n * b.n * d.n = -1";
    let query = tokio::spawn(async move { busy.simple_query(endless).await });
    wire.token.revoked.store(true, Ordering::SeqCst);
    let error = asking.simple_query("SELECT 1 AS x").await.unwrap_err();
    let told = error.as_db_error().unwrap();
    assert_eq!((told.code().code(), told.severity()), ("57P01", "FATAL"));
    assert!(told.message().contains("revoked") && told.hint().unwrap().contains("naru token new"));
    let error = idle.query("SELECT 1 AS x", &[]).await.unwrap_err();
    assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("57P01"));
    // No time is promised here but that it ends.
    query.await.unwrap().unwrap_err();
    let _ = still_open.await;
}

#[tokio::test]
async fn postgresqls_casts_are_taken_where_they_mean_the_same() {
    let wire = wire().await;
    let rows = wire
        .psql(&[
            "-At",
            "-c",
            "SELECT id::text AS a, day::timestamp AS b, '2024-02-29'::date AS c FROM shop.orders WHERE id = '1'::int",
        ])
        .await
        .unwrap();
    assert_eq!(rows, "1|1970-01-01 00:00:00|2024-02-29\n");
    let error = wire.psql(&["-c", "SELECT weight::int FROM shop.orders"]).await.unwrap_err();
    assert!(error.contains("may give another value") && error.contains("halves away from zero"), "{error}");
}

#[tokio::test]
async fn what_tools_ask_of_privileges_and_sizes_is_answered() {
    let wire = wire().await;
    for (asked, answer) in [
        (
            "SELECT has_table_privilege('shop.orders', 'SELECT'), has_table_privilege('shop.orders', 'INSERT, UPDATE')",
            "t|f",
        ),
        ("SELECT has_schema_privilege('shop', 'USAGE'), has_schema_privilege('shop', 'CREATE')", "t|f"),
        ("SELECT has_database_privilege('acme', 'CONNECT')", "t"),
        ("SELECT pg_size_pretty(10240), pg_catalog.pg_size_pretty(5)", "10 kB|5 bytes"),
        ("SELECT pg_total_relation_size('shop.orders') IS NULL", "t"),
        ("SELECT current_setting('server_version_num'), current_database()", "150000|acme"),
    ] {
        assert_eq!(wire.psql(&["-At", "-c", asked]).await.as_deref(), Ok(format!("{answer}\n").as_str()), "{asked}");
    }
    for asked in [
        "\\dt+",
        "\\dt+ shop.*",
        "\\l+",
        "\\dn+",
        "\\df",
        "\\dv+",
        "\\di",
        "\\ds",
        "\\dT",
        "\\dp",
        "\\db+",
        "\\dF",
        "\\dconfig",
        "\\drds",
        "\\db",
        "\\d+ shop.orders",
    ] {
        let answer = wire.psql(&["-c", asked]).await;
        assert!(answer.is_ok(), "{asked}: {answer:?}");
    }
}

#[tokio::test]
async fn a_cancel_request_stops_a_query() {
    let wire = wire().await;
    let client = wire.client().await;
    let cancel = client.cancel_token();
    let endless = "SELECT COUNT(*) AS c FROM shop.numbers AS a CROSS JOIN shop.numbers AS b CROSS JOIN shop.numbers AS d WHERE a.n * b.n * d.n = -1";
    let query = tokio::spawn(async move { client.simple_query(endless).await });
    // A cancel request that comes before the query has no effect, so it is repeated until the query ends.
    while !query.is_finished() {
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = query.await.unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_does_not_keep_the_door_open() {
    use tokio::io::AsyncWriteExt;
    let metrics = Arc::new(Mutex::new(Registry::default()));
    let ready = Arc::new(Vec::<String>::new);
    let door = http::serve("127.0.0.1:0".parse::<Listen>().unwrap().into(), ready, metrics, None, None)
        .await
        .unwrap()
        .unwrap();
    let mut stream = tokio::net::TcpStream::connect(door.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: na").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::timeout(Duration::from_secs(20), door.close()).await.unwrap();
    drop(stream);
}
