//! Appends to the topic log beside the least that can be durable: one preallocated file, one thread that writes whatever
//! gathered and calls fdatasync, the same frames.
//!
//! Owns: both sides and their order; they take turns, so that a slow minute of the disk hits both.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use naru_base::number::{u64_from, usize_from};
use naru_store::Store;
use naru_topics::log::{Batch, LocalLog, LogSettings, TopicLog as _, TopicNo};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

use crate::report;

const WRITERS: u64 = 32;
const BATCH: u64 = 100;
const EVENT_BYTES: usize = 400;
const ROUNDS: usize = 3;
/// The head that naru's frames have before their body.
const HEAD: usize = 48;

pub async fn run() {
    let events: u64 = std::env::var("NARU_BENCH_ROWS").map_or(1_000_000, |rows| rows.parse().expect("a number"));
    let batches = events / BATCH / WRITERS;
    println!("{} events of {EVENT_BYTES} bytes, batches of {BATCH} from {WRITERS} writers", batches * BATCH * WRITERS);
    let event = event();
    let (mut bare, mut naru) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(bare_loop(&event, batches).await);
        naru.push(naru_log(&event, batches).await);
    }
    let best = |times: &[(Duration, Vec<Duration>)]| times.iter().map(|(took, _)| *took).min().unwrap_or_default();
    let total = batches * BATCH * WRITERS;
    report::line("bare group commit into a preallocated file", best(&bare), Some(total));
    report::line("naru's topic log", best(&naru), Some(total));
    report::ratio("naru / bare", best(&bare).as_secs_f64() / best(&naru).as_secs_f64(), ">= 0.8");
    for (what, times) in [("bare", &bare), ("naru", &naru)] {
        let mut waits: Vec<Duration> = times.iter().flat_map(|(_, waits)| waits.clone()).collect();
        waits.sort_unstable();
        for percent in [50, 99] {
            report::line(
                &format!("{what}: a batch to its answer, p{percent}"),
                report::percentile(&waits, percent),
                None,
            );
        }
    }
}

/// Bytes that do not compress to nothing.
fn event() -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(1);
    (0..EVENT_BYTES).map(|_| random.random_range(b' '..b'~')).collect()
}

fn batch(event: &[u8]) -> Batch {
    let mut batch = Batch::with_capacity(usize_from(BATCH) * (EVENT_BYTES + 16));
    for _ in 0..BATCH {
        batch.push(event, "", []);
    }
    batch
}

async fn naru_log(event: &[u8], batches: u64) -> (Duration, Vec<Duration>) {
    let folder = naru_testkit::Folder::new("bench-log");
    let store = Store::open(&folder.path().join("naru.db")).expect("a state database");
    let settings = LogSettings { free_min: 0, ..LogSettings::default() };
    let log = LocalLog::open(&folder.path().join("log"), settings, store).expect("a log");
    let began = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (log, event) = (log.clone(), event.to_vec());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..batches {
                    let sent = Instant::now();
                    log.append(TopicNo(1), batch(&event)).await.expect("an append");
                    waits.push(sent.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for writer in writers {
        waits.extend(writer.await.expect("a writer"));
    }
    let took = began.elapsed();
    assert_eq!(log.bounds(TopicNo(1)).end, batches * BATCH * WRITERS, "every event is on the log");
    log.close().await;
    (took, waits)
}

/// What waits for the disk in the bare loop.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    group: u64,
    done: bool,
}

async fn bare_loop(event: &[u8], batches: u64) -> (Duration, Vec<Duration>) {
    let folder = naru_testkit::Folder::new("bench-bare");
    let frame = HEAD + batch(event).bytes();
    let file = preallocated(&folder.path().join("file"), u64_from(frame) * batches * WRITERS);
    let shared = Arc::new((Mutex::new(Waiting::default()), Condvar::new(), watch::Sender::new(0_u64)));
    let began = Instant::now();
    let disk = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || write_groups(&file, &shared)
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (shared, event) = (Arc::clone(&shared), event.to_vec());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..batches {
                    let sent = Instant::now();
                    let batch = batch(&event);
                    let frame = vec![0; HEAD + batch.bytes()];
                    let group = {
                        let mut waiting = shared.0.lock().expect("a lock");
                        waiting.bytes.extend(&frame);
                        shared.1.notify_one();
                        waiting.group
                    };
                    let mut written = shared.2.subscribe();
                    written.wait_for(|done| *done > group).await.expect("the disk");
                    waits.push(sent.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for writer in writers {
        waits.extend(writer.await.expect("a writer"));
    }
    let took = began.elapsed();
    shared.0.lock().expect("a lock").done = true;
    shared.1.notify_one();
    disk.join().expect("the disk's thread");
    (took, waits)
}

fn preallocated(path: &Path, bytes: u64) -> File {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).expect("a file");
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        file.write_all_at(&zeros, at).expect("room on the disk");
        at += u64_from(zeros.len());
    }
    file.sync_all().expect("a sync");
    file
}

fn write_groups(file: &File, (waiting, wake, written): &(Mutex<Waiting>, Condvar, watch::Sender<u64>)) {
    let mut bytes = Vec::new();
    let mut at = 0;
    loop {
        let group = {
            let mut waiting = waiting.lock().expect("a lock");
            while waiting.bytes.is_empty() && !waiting.done {
                waiting = wake.wait(waiting).expect("a lock");
            }
            if waiting.bytes.is_empty() {
                return;
            }
            bytes.clear();
            std::mem::swap(&mut bytes, &mut waiting.bytes);
            waiting.group += 1;
            waiting.group
        };
        file.write_all_at(&bytes, at).expect("a write");
        file.sync_data().expect("a sync");
        at += u64_from(bytes.len());
        written.send_replace(group);
    }
}
