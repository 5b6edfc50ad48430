//! From commit at the source to visible in SQL, under 2,000 changes a second, beside a native subscriber.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_testkit::{Options, PostgresServer};
use tokio::sync::Mutex;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::{report, wire, world::World};

/// Changes a second, and in one transaction.
const RATE: u64 = 2_000;
const BATCH: u64 = 20;
/// How long the load runs.
const SECONDS: u64 = 30;

/// When each numbered transaction had committed.
type Commits = Arc<Mutex<Vec<Instant>>>;

/// Runs and prints.
pub async fn run() {
    let mut world = World::new().await;
    world.sql("CREATE TABLE beat (id bigint PRIMARY KEY, batch bigint NOT NULL, note text)").await;
    world.up();
    world.wait_live("beat").await;
    let subscriber = subscribe(&world).await;
    let (naru, native) = (wire::connect(&world).await, subscriber.client().await);

    let commits = Commits::default();
    let load = tokio::spawn(load(world.server.client().await, Arc::clone(&commits)));
    let (mine, peer) = tokio::join!(
        watch(&naru, "SELECT max(batch) FROM shop.beat", &commits),
        watch(&native, "SELECT max(batch) FROM beat", &commits)
    );
    load.await.expect("the load");

    println!("{RATE} changes/s for {SECONDS} s, {BATCH} to a transaction");
    for (name, mut lags) in [("native logical subscriber", peer), ("naru", mine)] {
        lags.sort_unstable();
        for percent in [50, 99] {
            report::line(&format!("{name}: p{percent}"), report::percentile(&lags, percent), None);
        }
        report::fact("transactions seen", lags.len());
    }
    println!("reach: naru's p99 <= 1 s");
    world.stop();
}

async fn subscribe(world: &World) -> PostgresServer {
    let subscriber = PostgresServer::start(Options::default()).await;
    subscriber.execute("CREATE TABLE beat (id bigint PRIMARY KEY, batch bigint NOT NULL, note text)").await;
    world.sql("CREATE PUBLICATION peer FOR TABLE beat").await;
    let port = world.server.port();
    subscriber
        .execute(&format!(
            "CREATE SUBSCRIPTION peer CONNECTION 'host=127.0.0.1 port={port} user=postgres password=naru dbname=postgres'
             PUBLICATION peer"
        ))
        .await;
    subscriber
}

async fn load(client: Client, commits: Commits) {
    let began = Instant::now();
    for batch in 0..RATE / BATCH * SECONDS {
        let due = Duration::from_micros(batch * BATCH * 1_000_000 / RATE);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        let from = batch * BATCH;
        let insert =
            format!("INSERT INTO beat SELECT g, {batch}, 'beat' FROM generate_series({from}, {}) g", from + BATCH - 1);
        client.batch_execute(&insert).await.expect("the load's insert");
        commits.lock().await.push(Instant::now());
    }
}

/// Asks again and again; a batch became visible by the end of the first answer that contains it.
async fn watch(client: &Client, sql: &str, commits: &Commits) -> Vec<Duration> {
    let last = RATE / BATCH * SECONDS;
    let mut lags = Vec::new();
    let began = Instant::now();
    while u64::try_from(lags.len()).unwrap_or(u64::MAX) < last {
        assert!(began.elapsed() < Duration::from_secs(SECONDS * 4), "only {} of {last} became visible", lags.len());
        let newest = newest(client, sql).await;
        let now = Instant::now();
        let commits = commits.lock().await;
        // An answer may show a commit whose own client has not heard of it yet.
        let seen = newest.map_or(0, |newest| newest + 1).min(commits.len());
        lags.extend(commits.get(lags.len()..seen).unwrap_or_default().iter().map(|commit| now - *commit));
        drop(commits);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    lags
}

async fn newest(client: &Client, sql: &str) -> Option<usize> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    })
}
