//! A day of a busy table in minutes: what is left of it as files and log.
//!
//! Time is simulated, the work is not: every change is applied, every flush and every piece of maintenance that the
//! policies ask for at that time of the day is carried out by the code that `naru up` runs.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_lake::{CompactionLimits, Maintainer, SimulatedClock, live::FlushPolicy};

use crate::{
    memory,
    mirror::{Mirror, timed},
    report,
    world::{files, rows},
};

/// Updates a second.
const RATE: usize = 2_000;
/// Simulated time between two looks at what is due.
const TICK: Duration = Duration::from_secs(1);
/// Seconds between two looks at the folder.
const LOOK_EVERY: u64 = 1_800;

/// What the folder held, at most and in the end.
#[derive(Default)]
struct Most {
    files: usize,
    log_bytes: u64,
}

/// Where the time went.
#[derive(Default)]
struct Spent {
    apply: Duration,
    flush: Duration,
    maintenance: BTreeMap<String, (u32, Duration)>,
}

/// Runs and prints.
pub async fn run() {
    let hours = std::env::var("NARU_BENCH_HOURS").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(24);
    let clock = SimulatedClock::default();
    let mut mirror = Mirror::new(Arc::new(clock.clone())).await;
    mirror.grow(rows(1_000_000)).await;
    let maintainer = Maintainer::new(mirror.lake.clone(), CompactionLimits::default());
    let (policy, began) = (FlushPolicy::default(), Instant::now());
    let (mut most, mut spent, mut flushes, mut age) = (Most::default(), Spent::default(), 0_u64, Duration::ZERO);
    for second in 1..=hours * 3_600 {
        clock.advance(TICK);
        age += TICK;
        timed(&mut spent.apply, mirror.change(RATE)).await;
        let facts = naru_lake::live::TailFacts { age, ..mirror.live.facts(Instant::now()) };
        if policy.due(&facts) {
            timed(&mut spent.flush, mirror.flush()).await;
            (flushes, age) = (flushes + 1, Duration::ZERO);
            while let Some(done) = maintainer.step().await {
                let (count, took) = spent.maintenance.entry(format!("{:?}", done.piece)).or_default();
                (*count, *took) = (*count + 1, *took + done.took);
            }
            most.files = most.files.max(mirror.live.view().files.len());
        }
        if second % LOOK_EVERY == 0 {
            most.log_bytes = most.log_bytes.max(log(&mirror).1);
            eprintln!(
                "{:>5.1} h of {hours} h after {:.0} s",
                report::decimal(second) / 3_600.0,
                began.elapsed().as_secs_f64()
            );
        }
    }
    println!("{hours} h at {RATE} random updates a second of {} rows, in {flushes} flushes", mirror.live.rows());
    print(&mirror, &maintainer, &most, &spent);
    report::line("the whole of it", began.elapsed(), None);
}

fn log(mirror: &Mirror) -> (u64, u64) {
    let folder = mirror.path().join("_delta_log");
    let (entries, checkpoints) = (files(folder.clone(), "json"), files(folder, "parquet"));
    (entries.0 + checkpoints.0, entries.1 + checkpoints.1)
}

fn print(mirror: &Mirror, maintainer: &Maintainer, most: &Most, spent: &Spent) {
    let ((log_files, log_bytes), view) = (log(mirror), mirror.live.view());
    report::fact("files of the table, in the end", view.files.len());
    report::fact("files of the table, at most (reach <= 200)", most.files);
    report::fact("MB of log, in the end", log_bytes / 1_000_000);
    report::fact("MB of log, at most (reach <= 1000)", most.log_bytes.max(log_bytes) / 1_000_000);
    report::fact("files of the log, in the end", log_files);
    let (data, vectors) = (files(mirror.path(), "parquet"), files(mirror.path(), "bin"));
    report::fact("MB of live rows", view.files.iter().map(|file| file.size).sum::<u64>() / 1_000_000);
    report::fact("objects kept for older versions and now", data.0 + vectors.0);
    report::fact("MB of rows for older versions and now", data.1 / 1_000_000);
    report::fact("MB of vectors for older versions and now", vectors.1 / 1_000_000);
    for upkeep in maintainer.status().tables.values() {
        report::fact("rows rewritten by compaction, millions", upkeep.rows_written / 1_000_000);
    }
    report::line("time: changes applied", spent.apply, None);
    report::line("time: flushes", spent.flush, None);
    for (piece, (count, took)) in &spent.maintenance {
        report::line(&format!("time: {piece}, {count} times"), *took, None);
    }
    report::fact("peak resident memory, MB", memory::own_peak_mb());
}
