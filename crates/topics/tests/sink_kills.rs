//! What a killed process leaves in a topic's tables.
//!
//! The test starts itself again as a child that publishes from many tasks, with rows that fit, rows that do not and
//! events that come twice, and says which batches were answered; it is killed at a named place or at any moment. In the
//! end every answered event is once in the table or once in the dead letters. `NARU_TOPIC_KILLS` scales the random
//! kills (default 6); `NARU_SEED` draws others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use arrow::array::AsArray as _;
use bytes::Bytes;
use datafusion::prelude::SessionContext;
use jiff::tz::TimeZone;
use naru_base::TableId;
use naru_lake::{Lake, LakeSettings, ScanOptions, live::LiveSettings};
use naru_project::{Environment, Project};
use naru_store::Store;
use naru_testkit::Failpoints;
use naru_topics::{Incoming, Topics, TopicsSettings, log::LogSettings};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

const FOLDER: &str = "NARU_SINK_KILL_TEST_FOLDER";
/// A number that no other child of the test has.
const ROUND: &str = "NARU_SINK_KILL_TEST_ROUND";
/// Names of answered batches whose rows the child sends once more.
const AGAIN: &str = "NARU_SINK_KILL_TEST_AGAIN";
/// Set for a child that stops cleanly after some batches.
const STOPS: &str = "NARU_SINK_KILL_TEST_STOPS";
const TOPIC: &str = "flush_interval = \"100ms\"\nunknown = \"extra\"\ndedup = { key = \"id\", window = \"1h\" }\n[columns]\nid = \"STRING\"\nn = \"INT64\"\n";
/// Rows of a batch that fit; one more comes twice, one does not fit.
const ROWS: usize = 8;
const BATCH: usize = ROWS + 2;

async fn open(folder: &Path) -> (Topics, Lake) {
    let topics = folder.join("topics");
    if !topics.exists() {
        std::fs::create_dir_all(&topics).unwrap();
        std::fs::write(folder.join("naru.toml"), "[project]\nname = \"acme\"\n").unwrap();
        std::fs::write(topics.join("log.toml"), TOPIC).unwrap();
    }
    let project = Project::load(folder, &Environment::default()).sound().unwrap();
    let state = folder.join(".naru");
    std::fs::create_dir_all(&state).unwrap();
    let lake = LakeSettings { location: "lake".into(), base: folder.to_owned(), cache: state.join("cache") };
    let lake = Lake::open(lake).await.unwrap();
    let settings = TopicsSettings {
        project: "acme".into(),
        zone: TimeZone::UTC,
        folder: state.join("topics"),
        declared: project.topics,
        store: Store::open(&state.join("naru.db")).unwrap(),
        lake: lake.clone(),
        live: LiveSettings::default(),
        log: LogSettings { segment_bytes: 256 << 10, free_min: 0, ..LogSettings::default() },
    };
    (Topics::open(settings).await.unwrap(), lake)
}

fn event(text: String) -> Incoming {
    Incoming { data: Bytes::from(text), ..Incoming::default() }
}

fn batch(name: &str) -> Vec<Incoming> {
    let row = |n: usize| event(format!(r#"{{"id": "{name}/{n}", "n": {n}, "more": true}}"#));
    let mut events: Vec<Incoming> = (0..ROWS).map(row).collect();
    events.push(row(0));
    events.push(event(format!(r#"{{"id": 1, "was": "{name}"}}"#)));
    assert_eq!(events.len(), BATCH);
    events
}

/// Publishes until it is killed, or for a while; each answer goes to standard output after it came.
async fn work(folder: &Path) {
    let (topics, _) = open(folder).await;
    // A sender that never heard of its answers sends again, first of all.
    for name in std::env::var(AGAIN).unwrap_or_default().split_whitespace() {
        let rows: Vec<Incoming> = batch(name).into_iter().take(ROWS).collect();
        topics.publish(&topics.get("log").unwrap(), &rows).await.unwrap();
    }
    let most = if std::env::var(STOPS).is_ok() { 12 } else { usize::MAX };
    let writers = (0..4).map(|writer| {
        let topics = topics.clone();
        tokio::spawn(async move {
            let log = topics.get("log").unwrap();
            // Not the process's number: those are given again.
            let round = std::env::var(ROUND).unwrap();
            for i in 0..most {
                let name = format!("{round}-{writer}-{i}");
                let first = topics.publish(&log, &batch(&name)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "answered {first} {name}.").unwrap();
                out.flush().unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    topics.stop().await;
    println!("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_kill_test() {
    // Started by hand or by the test runner there is nothing to do.
    if let Ok(folder) = std::env::var(FOLDER) {
        work(folder.as_ref()).await;
    }
}

static ROUNDS: AtomicU32 = AtomicU32::new(0);

/// First offset of every answered batch, with its name.
type Answers = BTreeMap<u64, String>;

/// Reads answers until the child is gone; kills it after `kill_after` of them. Whether it stopped by itself.
fn run(folder: &Path, faults: &Failpoints, stops: bool, kill_after: Option<usize>, all: &mut Answers) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_of_the_kill_test", "--nocapture"]).env(FOLDER, folder);
    let rounds = ROUNDS.fetch_add(1, Ordering::Relaxed);
    // The last ones, whose keys were the last to be saved, or were not.
    let again: Vec<&str> = all.values().rev().take(24).map(String::as_str).collect();
    command
        .env(ROUND, rounds.to_string())
        .env(AGAIN, again.join(" "))
        .env(Failpoints::VARIABLE, faults.value())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if stops {
        command.env(STOPS, "1");
    }
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (mut seen, mut stopped) = (0, false);
    for line in out.lines().map_while(Result::ok) {
        stopped |= line == "stopped";
        // A line that was cut by the kill is no answer.
        let Some((first, name)) = line.strip_prefix("answered ").and_then(|answer| answer.split_once(' ')) else {
            continue;
        };
        let Some(name) = name.strip_suffix('.') else { continue };
        assert_eq!(all.insert(first.parse().unwrap(), name.to_owned()), None, "an offset was given twice");
        seen += 1;
        if kill_after == Some(seen) {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    stopped
}

/// All values of a text query.
async fn texts(topics: &Topics, lake: &Lake, table: &str, query: &str) -> Vec<String> {
    let view = topics.set().snapshot().tables[&TableId::new("topics", table)].clone();
    let context = SessionContext::new();
    lake.register(&context.runtime_env());
    context.register_table("t", view.provider(&ScanOptions { hidden: true, current: true }).unwrap()).unwrap();
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    let of = |batch: &arrow::record_batch::RecordBatch| {
        let texts = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        texts.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

/// Every answered event once, and of the others whole batches or nothing.
async fn judge(folder: &Path, all: &Answers) {
    let (topics, lake) = open(folder).await;
    let log = topics.get("log").unwrap();
    topics.settle(&log).await.unwrap();
    let ids = texts(&topics, &lake, "log", "SELECT id FROM t").await;
    let once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), once.len(), "rows are doubled");
    let names: BTreeSet<&str> = ids.iter().filter_map(|id| id.split_once('/').map(|(name, _)| name)).collect();
    assert_eq!(ids.len(), names.len() * ROWS, "a part of a batch");
    let dead = texts(&topics, &lake, "log__dead", "SELECT id FROM t").await;
    assert_eq!(dead.len(), names.len(), "dead letters");
    let dead: BTreeSet<u64> = dead.iter().map(|id| id.parse().unwrap()).collect();
    for (first, name) in all {
        assert!(names.contains(name.as_str()), "batch {name} at {first} was answered and is not there");
        assert!(dead.contains(&(first + 9)), "the dead letter of {name} is not there");
    }
    let status = topics.status();
    assert_eq!(status.topics[0].table.as_ref().unwrap().lost, 0);
    assert!(status.topics[0].next >= u64::try_from(names.len() * BATCH).unwrap());
    topics.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_event_is_in_the_tables_once_after_kills_at_every_place_and_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Answers::new();
    let places = [
        "topics.after_append",
        "topics.before_table_flush",
        "live.before_flush_commit",
        "lake.before_commit",
        "lake.after_commit",
        "live.after_flush_commit",
        "topics.dedup_saving",
        "index.before_manifest",
        "index.after_manifest",
    ];
    for place in places {
        assert!(!run(folder.path(), &Failpoints::new().kill(place, 3), false, None, &mut all), "{place}");
    }
    // The tables of a process that says no: it opens them again, and goes on.
    for place in ["topics.before_table_flush", "lake.before_commit", "topics.dedup_saving"] {
        run(folder.path(), &Failpoints::new().error(place, 2), true, None, &mut all);
    }
    assert!(!run(folder.path(), &Failpoints::new().kill("topics.stopping", 1), true, None, &mut all));
    judge(folder.path(), &all).await;
    assert!(run(folder.path(), &Failpoints::new(), true, None, &mut all), "a clean stop");
    judge(folder.path(), &all).await;
    let kills = std::env::var("NARU_TOPIC_KILLS").map_or(6, |kills| kills.parse().unwrap());
    let seed = std::env::var("NARU_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..kills {
        run(folder.path(), &Failpoints::new(), false, Some(random.random_range(1..200)), &mut all);
        if round % 10 == 9 || round + 1 == kills {
            judge(folder.path(), &all).await;
        }
    }
    println!("{} batches answered, seed {seed}", all.len());
}
