//! The cost of a flush of random changed keys as the table grows a hundredfold.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_lake::{CompactionLimits, MachineClock, Maintainer};

use crate::{
    memory,
    mirror::{Mirror, timed},
    report,
    world::rows,
};

/// Rows that change before each flush.
const CHANGED: usize = 10_000;
/// Flushes at each size; the median counts.
const FLUSHES: usize = 15;
/// Flushes while the index's runs are merged.
const BESIDE_MAX: usize = 50;
/// Pause between two looks at a merge.
const POLL: Duration = Duration::from_millis(10);
/// The table's sizes, as multiples of the first.
const GROWTH: [u64; 3] = [1, 10, 100];

/// Runs and prints.
pub async fn run() {
    let first = rows(1_000_000);
    let mut mirror = Mirror::new(Arc::new(MachineClock)).await;
    let maintainer = Maintainer::new(mirror.lake.clone(), CompactionLimits::default());
    let mut base: Option<[Duration; 2]> = None;
    for growth in GROWTH {
        let rows = first * growth;
        let mut grown = Duration::ZERO;
        timed(&mut grown, mirror.grow(rows)).await;
        // Small files of the size before are joined, as they would be by now.
        while maintainer.step().await.is_some() {}
        let (settled, beside) = settle(&mut mirror).await;
        let (mut applies, mut flushes) = (Vec::new(), Vec::new());
        for _ in 0..FLUSHES {
            let (mut apply, mut flush) = (Duration::ZERO, Duration::ZERO);
            timed(&mut apply, mirror.change(CHANGED)).await;
            timed(&mut flush, mirror.flush()).await;
            applies.push(apply);
            flushes.push(flush);
        }
        applies.sort_unstable();
        flushes.sort_unstable();
        let medians = [report::percentile(&applies, 50), report::percentile(&flushes, 50)];
        println!("{rows} rows, {CHANGED} random keys changed before each of {FLUSHES} flushes");
        report::line("grown to this size and indexed", grown, None);
        report::line("then: the index's runs merged", settled, None);
        report::fact("flushes beside that", beside.len());
        if !beside.is_empty() {
            report::line("flush beside that: median", report::percentile(&beside, 50), None);
            report::line("flush beside that: p99", report::percentile(&beside, 99), None);
        }
        report::line("changes applied: median", medians[0], u64::try_from(CHANGED).ok());
        report::line("flush: median", medians[1], None);
        report::line("flush: slowest", flushes.last().copied().unwrap_or_default(), None);
        report::fact("files", mirror.live.view().files.len());
        report::fact("peak resident memory, MB", memory::own_peak_mb());
        let base = *base.get_or_insert(medians);
        let ratio = |at: usize| medians[at].as_secs_f64() / base[at].as_secs_f64();
        report::ratio("changes applied / at the first size", ratio(0), "-");
        report::ratio("flush / at the first size", ratio(1), "<= 2");
    }
}

/// Waits until the runs of the keys that came while the table grew are merged, as they would be by now; a flush starts
/// it. Meanwhile changes go on for some flushes, whose times come back sorted; without an end there would always be
/// something to merge.
async fn settle(mirror: &mut Mirror) -> (Duration, Vec<Duration>) {
    let mut beside = Vec::new();
    mirror.change(CHANGED).await;
    mirror.flush().await;
    let began = Instant::now();
    tokio::time::sleep(POLL).await;
    while mirror.live.is_merging_index() {
        if beside.len() < BESIDE_MAX {
            let mut flush = Duration::ZERO;
            mirror.change(CHANGED).await;
            timed(&mut flush, mirror.flush()).await;
            beside.push(flush);
        }
        tokio::time::sleep(POLL).await;
    }
    beside.sort_unstable();
    (began.elapsed(), beside)
}
