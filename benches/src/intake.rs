//! Events over the network into a topic, durable before they are answered, and from the answer to SQL.
//!
//! Owns: a naru with one topic, the load over HTTP and over Pub/Sub's gRPC, and the disk's own fdatasync beside them.
//! Never sends with anything but [`load`]; its CPU is printed, since it runs on the same machine.

use std::{
    fs::OpenOptions,
    io::{Seek as _, Write as _},
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use naru_testkit::{Folder, Naru, process};
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::{
    jetstream,
    load::{self, Door, Plan, Sent},
    report, world,
};

const TOPIC: &str = "events";
const CONNECTIONS: u64 = 32;
const BATCH: u64 = 100;
const EVENT_BYTES: usize = 400;
/// Numbers left free between two loads: requests that were refused or cut off have some.
const APART: u64 = 1_000_000;

/// Runs and prints.
pub async fn run() {
    let seconds = Duration::from_secs(world::rows(10));
    let house = House::start();
    println!("{EVENT_BYTES} bytes an event, {BATCH} a request, {CONNECTIONS} connections, {} s", seconds.as_secs());
    let plan = |door, rate| Plan {
        door,
        connections: CONNECTIONS,
        batch: BATCH,
        event_bytes: EVENT_BYTES,
        rate,
        time: seconds,
    };
    let http = Door::Http { address: house.address("http"), topic: TOPIC.to_owned() };
    let grpc = Door::Grpc { address: house.address("pubsub"), topic: format!("projects/bench/topics/{TOPIC}") };
    let (mut next, mut events, mut peak) = (0, 0, 0);
    for (name, door) in [("HTTP", http.clone()), ("Pub/Sub gRPC", grpc)] {
        let sent = house.measured(name, &plan(door, None), next).await;
        next += sent.events + APART;
        events += sent.events;
        if name == "HTTP" {
            peak = sent.events / seconds.as_secs().max(1);
        }
        house.caught_up(events).await;
    }
    jetstream::run(&plan(http.clone(), None)).await;
    let bare = fdatasync_waits(house.folder.path(), usize::try_from(BATCH).unwrap_or(0) * EVENT_BYTES, seconds / 4);
    let half = house.measured("HTTP at half of its peak", &plan(http.clone(), Some(peak / 2)), next).await;
    next += half.events + APART;
    events += half.events;
    let (mine, disk) = (report::percentile(&half.waits, 99), report::percentile(&bare, 99));
    report::line("the disk's own fdatasync of a request's bytes, p99", disk, None);
    report::ratio("answer p99 / fdatasync p99", mine.as_secs_f64() / disk.as_secs_f64(), "<= 4");
    house.caught_up(events).await;
    let mut seen = house.visible(&plan(http, Some(2_000)), next).await;
    seen.sort_unstable();
    for percent in [50, 99] {
        report::line(&format!("answered to visible in SQL, p{percent}"), report::percentile(&seen, percent), None);
    }
    println!("reach: p99 <= 200 ms");
    house.stop();
}

/// A project with one topic, and naru up in it.
struct House {
    folder: Folder,
    runtime: Folder,
    naru: Naru,
    url: String,
}

impl House {
    fn start() -> Self {
        let (folder, runtime) = (Folder::new("bench-intake"), Folder::new("run"));
        folder.write(
            "naru.toml",
            "[project]\nname = \"bench\"\n[server]\nhttp = \"127.0.0.1:0\"\npostgres = \"127.0.0.1:0\"\npubsub = \"127.0.0.1:0\"\n",
        );
        folder.write(format!("topics/{TOPIC}.toml"), load::TOPIC);
        let naru = Naru::start(process::command(folder.path()).env("XDG_RUNTIME_DIR", runtime.path()).arg("up"));
        naru.wait_line("naru is up");
        let mut house = Self { folder, runtime, naru, url: String::new() };
        let printed = house.command(&["token", "new", "bench"]);
        let url = printed.split_whitespace().find(|word| word.starts_with("postgres")).expect("a URL");
        let (head, rest) = url.split_once('@').expect("a URL with a password");
        let database = rest.split_once('/').map_or("bench", |(_, database)| database);
        house.url = format!("{head}@{}/{database}", house.address("postgres"));
        house
    }

    fn stop(mut self) {
        let status = self.naru.interrupt();
        assert!(status.success(), "naru ended with {status}:\n{}", self.naru.output());
    }

    fn command(&self, words: &[&str]) -> String {
        let output = process::command(self.folder.path())
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .args(words)
            .output()
            .expect("run naru");
        assert!(output.status.success(), "naru {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn address(&self, listener: &str) -> SocketAddr {
        let status = self.command(&["status", "--json"]);
        let needle = format!("\"{listener}\"");
        let (_, after) = status.split_once("\"listeners\"").expect("listeners in the status");
        let (_, after) = after.split_once(&needle).expect("the listener in the status");
        after.split('"').nth(1).and_then(|text| text.parse().ok()).expect("the listener's address")
    }

    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.expect("connect to naru");
        tokio::spawn(connection);
        client
    }

    async fn measured(&self, name: &str, plan: &Plan, first: u64) -> Sent {
        let cpu = || (world::cpu_of(std::process::id()), world::cpu_of(self.naru.id()));
        let before = cpu();
        let sent = load::send(plan, first, None).await;
        let after = cpu();
        report::line(name, sent.took, Some(sent.events));
        report::fact("refused requests", sent.refused);
        for (who, before, after) in [("the generator", before.0, after.0), ("naru", before.1, after.1)] {
            let share = after.saturating_sub(before).as_secs_f64() / sent.took.as_secs_f64();
            report::fact(&format!("CPUs that {who} used"), format!("{share:.2}"));
        }
        for percent in [50, 99] {
            report::line(
                &format!("a request to its answer, p{percent}"),
                report::percentile(&sent.waits, percent),
                None,
            );
        }
        sent
    }

    /// Waits until SQL shows `events`, so that one load does not weigh on the next.
    async fn caught_up(&self, events: u64) {
        let client = self.client().await;
        let began = Instant::now();
        while count(&client).await < events {
            assert!(began.elapsed() < Duration::from_mins(10), "SQL never showed all {events} events");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        report::line("until SQL showed all of them", began.elapsed(), None);
    }

    /// From each acknowledgement to the end of the first answer of SQL that has its last event.
    async fn visible(&self, plan: &Plan, first: u64) -> Vec<Duration> {
        let client = self.client().await;
        let (tell, mut acknowledged) = mpsc::unbounded_channel();
        let plan = Plan { connections: 4, batch: 20, ..plan.clone() };
        let sending = tokio::spawn(async move { load::send(&plan, first, Some(tell)).await });
        let (mut waiting, mut lags): (Vec<(u64, Instant)>, Vec<Duration>) = (Vec::new(), Vec::new());
        while !(sending.is_finished() && waiting.is_empty() && acknowledged.is_empty()) {
            let newest = seen_to(&client, first).await;
            let now = Instant::now();
            while let Ok(one) = acknowledged.try_recv() {
                waiting.push(one);
            }
            waiting.retain(|(number, at)| {
                let seen = newest.contains(number);
                if seen {
                    lags.push(now.saturating_duration_since(*at));
                }
                !seen
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lags
    }
}

async fn count(client: &Client) -> u64 {
    numbers(client, &format!("SELECT count(*) FROM topics.{TOPIC}")).await.first().copied().unwrap_or(0)
}

async fn numbers(client: &Client, sql: &str) -> Vec<u64> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let number = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    };
    messages.iter().filter_map(number).collect()
}

/// Last numbers of requests that SQL shows.
async fn seen_to(client: &Client, first: u64) -> std::collections::HashSet<u64> {
    let sql = format!("SELECT n FROM topics.{TOPIC} WHERE n >= {first} AND MOD(n - {first}, 20) = 19");
    numbers(client, &sql).await.into_iter().collect()
}

/// How long this disk takes to write and sync a request's bytes, one after the other.
fn fdatasync_waits(folder: &Path, bytes: usize, time: Duration) -> Vec<Duration> {
    let path = folder.join("fdatasync");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).expect("a file");
    let body = vec![b'x'; bytes];
    file.write_all(&vec![0; 64 << 20]).and_then(|()| file.sync_all()).expect("a preallocated file");
    file.rewind().expect("a file");
    let (began, mut waits, mut written) = (Instant::now(), Vec::new(), 0);
    while began.elapsed() < time {
        if written + bytes > 64 << 20 {
            file.rewind().expect("a file");
            written = 0;
        }
        let asked = Instant::now();
        file.write_all(&body).and_then(|()| file.sync_data()).expect("a write");
        waits.push(asked.elapsed());
        written += bytes;
    }
    std::fs::remove_file(&path).expect("the file goes");
    waits.sort_unstable();
    waits
}
