//! The test kit's own promises: servers start fast, come back, never outlive their test; the proxy breaks what it should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use naru_testkit::{Options, PostgresServer, TcpProxy, python};

#[tokio::test]
async fn a_server_keeps_its_rows_over_restart_and_kill() {
    let mut server = PostgresServer::start(Options::default().with("logical_decoding_work_mem", "64kB")).await;
    assert_eq!(server.value("SHOW wal_level").await, "logical");
    assert_eq!(server.value("SHOW logical_decoding_work_mem").await, "64kB");
    server.execute("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2); CHECKPOINT").await;
    server.restart().await;
    assert_eq!(server.rows("SELECT id FROM kept ORDER BY id").await.len(), 2);
    server.kill9().await;
    server.start_again().await;
    assert_eq!(server.value("SELECT count(*) FROM kept").await, "2");
}

#[tokio::test]
async fn a_dropped_server_leaves_no_folder_and_no_process() {
    let server = PostgresServer::start_default().await;
    let data = server.data();
    assert!(data.exists());
    drop(server);
    assert!(!data.exists());
}

#[tokio::test]
async fn clusters_have_own_identities_when_asked() {
    let (one, other) =
        tokio::join!(PostgresServer::start_default(), PostgresServer::start(Options::default().own_identity()));
    let identity = "SELECT system_identifier FROM pg_control_system()";
    assert_ne!(one.value(identity).await, other.value(identity).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_proxy_ends_connections_and_a_mended_one_takes_new_ones() {
    let server = PostgresServer::start_default().await;
    let proxy = TcpProxy::start(server.port()).await;
    let url = server.url_through(proxy.port(), "postgres", "naru", "postgres");
    let connect = async || {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
        let ended = tokio::spawn(connection);
        Ok::<_, tokio_postgres::Error>((client, ended))
    };
    let (client, ended) = connect().await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();

    proxy.cut();
    let _how = ended.await.unwrap();
    assert!(client.simple_query("SELECT 1").await.is_err());
    assert!(connect().await.is_err());

    proxy.mend();
    let (client, _ended) = connect().await.unwrap();
    proxy.stall();
    let stalled = tokio::time::timeout(Duration::from_millis(200), client.simple_query("SELECT 1")).await;
    assert!(stalled.is_err());
    proxy.mend();
    client.simple_query("SELECT 2").await.unwrap();
}

/// Set for the second process of the next test: start a server, say where, then die without clean-up.
const VICTIM: &str = "NARU_TESTKIT_VICTIM";

#[tokio::test]
async fn a_server_does_not_outlive_a_killed_test() {
    if std::env::var_os(VICTIM).is_some() {
        let server = PostgresServer::start_default().await;
        println!("\nfolder {}", server.data().display());
        std::process::abort();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_server_does_not_outlive_a_killed_test"])
        .env(VICTIM, "1")
        .output()
        .unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let folder = words.lines().find_map(|line| line.strip_prefix("folder ")).expect("the victim started a server");
    let began = Instant::now();
    while Path::new(folder).exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "{folder} outlived its test");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn independent_readers_can_be_imported() {
    let script = "import polars, deltalake, pyarrow, sys; print(sys.argv[1], polars.__version__ > '1')";
    assert_eq!(python::run(python::READERS, script, &["read"]), "read True\n");
}

#[test]
fn clients_of_the_postgres_wire_can_be_imported() {
    let script = "import psycopg, sqlalchemy; print(psycopg.__version__, sqlalchemy.__version__)";
    assert_eq!(python::run::<&str>(python::CLIENTS, script, &[]), "3.3.9 2.1.9\n");
}
