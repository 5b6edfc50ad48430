//! What a killed process leaves on the topic log.
//!
//! The test starts itself again as a child that appends from many tasks and says which batches were answered; it is
//! killed at a named place or at any moment. Every answered batch must be there whole, once, at the offset that was
//! answered, and what was not answered whole or not at all. `NARU_LOG_KILLS` scales the random kills (default 10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    missing_docs
)]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use naru_store::Store;
use naru_testkit::Failpoints;
use naru_topics::log::{Batch, LocalLog, LogSettings, TopicLog, TopicNo};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

const FOLDER: &str = "NARU_LOG_KILL_TEST_FOLDER";
const EVENTS: u64 = 7;
const TOPICS: u32 = 3;
/// A topic whose events are forgotten soon after they came.
const TRIMMED: TopicNo = TopicNo(4);

fn open(folder: &Path) -> LocalLog {
    let settings = LogSettings { segment_bytes: 128 << 10, free_min: 0, ..LogSettings::default() };
    LocalLog::open(&folder.join("log"), settings, Store::open(&folder.join("naru.db")).unwrap()).unwrap()
}

/// Appends until it is killed; each answer goes to standard output after it came.
async fn work(folder: &Path) {
    let log = open(folder);
    let round = std::process::id();
    let writers = (0..16u32).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            let topic = TopicNo(1 + writer % (TOPICS + 1));
            for i in 0u64.. {
                let mut batch = Batch::new();
                for event in 0..EVENTS {
                    let text = format!("{round}/{writer}/{i}/{event} {}", "x".repeat((i % 300) as usize));
                    batch.push(text.as_bytes(), "", []);
                }
                let first = log.append(topic, batch).await.unwrap();
                if topic == TRIMMED && i % 8 == 0 {
                    log.trim(topic, first).await.unwrap();
                }
                let mut out = std::io::stdout().lock();
                writeln!(out, "answered {} {first} {round}/{writer}/{i}", topic.0).unwrap();
                out.flush().unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_kill_test() {
    // Started by hand or by the test runner there is nothing to do.
    if let Ok(folder) = std::env::var(FOLDER) {
        work(folder.as_ref()).await;
    }
}

fn child(folder: &Path, faults: &Failpoints) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_of_the_kill_test", "--nocapture"]).env(FOLDER, folder);
    command.env(Failpoints::VARIABLE, faults.value()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Answers of one child: topic and first offset to the batch's name.
type Answers = BTreeMap<(u32, u64), String>;

/// Reads answers until the child is gone; kills it after `kill_after` of them.
fn answers(folder: &Path, faults: &Failpoints, kill_after: Option<usize>, all: &mut Answers) -> usize {
    let (mut child, out) = child(folder, faults);
    let mut seen = 0;
    // A line that was cut by the kill is no answer.
    for line in out.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8(line).unwrap();
        let Some(answer) = line.strip_prefix("answered ") else { continue };
        let parts: Vec<&str> = answer.split(' ').collect();
        let [topic, first, name] = parts[..] else { continue };
        if name.split('/').count() < 3 {
            continue;
        }
        let doubled = all.insert((topic.parse().unwrap(), first.parse().unwrap()), name.to_owned());
        assert_eq!(doubled, None, "an offset was given twice");
        seen += 1;
        if kill_after == Some(seen) {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    seen
}

/// Everything on the log, and that every answer is part of it.
async fn judge(folder: &Path, all: &Answers) {
    let log = open(folder);
    assert!(log.status().quarantined.is_empty(), "{:?}", log.status().quarantined);
    for topic in 1..=TOPICS {
        let mut events = Vec::new();
        let mut next = 0;
        while next < log.bounds(TopicNo(topic)).end {
            let chunk = log.read(TopicNo(topic), next, 1 << 20).await.unwrap();
            assert!(chunk.gaps.is_empty() && chunk.next > next);
            next = chunk.next;
            events.extend(chunk.events);
        }
        assert!(events.iter().zip(0..).all(|(event, offset)| event.offset == offset));
        let name = |at: u64| {
            let text = String::from_utf8(events[at as usize].data.to_vec()).unwrap();
            text.split(' ').next().unwrap().to_owned()
        };
        assert_eq!(events.len() as u64 % EVENTS, 0, "half a batch");
        for first in (0..events.len() as u64).step_by(EVENTS as usize) {
            let batch = name(first).rsplit_once('/').unwrap().0.to_owned();
            for event in 0..EVENTS {
                assert_eq!(name(first + event), format!("{batch}/{event}"));
            }
            let answered = all.get(&(topic, first));
            assert!(answered.is_none_or(|answered| *answered == batch), "{answered:?} is {batch}");
        }
        let beyond = all.keys().filter(|(of, first)| *of == topic && first + EVENTS > events.len() as u64);
        assert_eq!(beyond.count(), 0, "answered and not there");
    }
    let next = log.append(TRIMMED, one_event()).await.unwrap();
    let answered = all.keys().filter(|(topic, _)| *topic == TRIMMED.0).map(|(_, first)| first + EVENTS).max();
    assert!(answered.is_none_or(|answered| answered <= next), "an offset below {answered:?} was given again: {next}");
    let kept = log.read(TRIMMED, next, 1 << 20).await.unwrap();
    assert!(kept.gaps.is_empty() && kept.events.len() == 1, "what was appended is there");
    log.close().await;
}

fn one_event() -> Batch {
    let mut batch = Batch::new();
    batch.push(b"one", "", []);
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_once_after_kills_at_every_place_and_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Answers::new();
    for place in ["log.before_write", "log.after_write", "log.after_sync", "log.after_begin"] {
        for visit in [4, 2] {
            answers(folder.path(), &Failpoints::new().kill(place, visit), None, &mut all);
            judge(folder.path(), &all).await;
        }
        // The disk says no: the process goes on, takes nothing more, and everything it answered for is there.
        let failed = answers(folder.path(), &Failpoints::new().error(place, 3), None, &mut all);
        assert!(failed > 0);
        judge(folder.path(), &all).await;
    }
    let kills = std::env::var("NARU_LOG_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let seed = std::env::var("NARU_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..kills {
        answers(folder.path(), &Failpoints::new(), Some(random.random_range(1..400)), &mut all);
        if round % 5 == 4 || round + 1 == kills {
            judge(folder.path(), &all).await;
        }
    }
    println!("{} batches answered, seed {seed}", all.len());
}
