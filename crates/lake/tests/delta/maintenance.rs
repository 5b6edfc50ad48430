//! What maintenance promises while time passes: few files, a short log, and every version that is kept is readable.

use std::{collections::BTreeMap, time::Duration};

use naru_base::{Lsn, Version};
use naru_lake::{
    ChangeBatch, CompactionLimits, LakeError, Maintainer, Op, Piece, SimulatedClock, Table,
    live::{FlushPolicy, LiveSet, LiveSettings, LiveTable},
};

use crate::shop::{Contents, Shop, append, contents, dead, flush, id, model, rows, spec};

/// Simulated time between two flushes.
const FLUSH_EVERY: Duration = Duration::from_mins(5);
const FLUSHES_AN_HOUR: i64 = 12;

/// One flush: key 0 gets a new version, its former row dies, and a new key appears.
async fn change(table: &Table, step: i64) {
    let view = table.view();
    let last = view.files.last().unwrap();
    // Files are sorted by key, and the newest one holds key 0.
    let new = [rows([0], step), rows([100 + step], step)];
    let batch = arrow::compute::concat_batches(&new[0].schema(), &new).unwrap();
    flush(table, vec![(last.id, dead([0]))], &batch, step).await;
}

/// The rows after this step.
fn state(step: i64) -> Contents {
    let mut all = model(&[rows([0], step), rows(1..10, 0)]);
    (1..=step).for_each(|step| all.extend(model(&[rows([100 + step], step)])));
    all
}

async fn maintain(maintainer: &Maintainer) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some(done) = maintainer.step().await {
        pieces.push(done.piece);
    }
    pieces
}

fn count(shop: &Shop, folder: &str, ending: &str) -> usize {
    let names = std::fs::read_dir(shop.path(&id()).join(folder)).unwrap();
    names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_flushes_keep_a_day_exactly_and_one_version_an_hour_of_a_week() {
    let clock = SimulatedClock::default();
    let shop = Shop::timed(&clock).await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    append(&table, &rows(1..10, 0)).await;
    append(&table, &rows([0], 0)).await;
    let limits = CompactionLimits { files_min: 3, ..CompactionLimits::default() };
    let maintainer = Maintainer::new(shop.lake.clone(), limits);
    let (hours, mut steps, mut done) = (27, BTreeMap::new(), Vec::new());
    for step in 1..=hours * FLUSHES_AN_HOUR {
        clock.advance(FLUSH_EVERY);
        change(&table, step).await;
        steps.insert(table.view().version, step);
        done.extend(maintain(&maintainer).await);
        assert!(table.view().files.len() <= 6, "{} files", table.view().files.len());
    }
    for piece in [Piece::Compact, Piece::Checkpoint, Piece::CleanLog, Piece::Vacuum] {
        assert!(done.contains(&piece), "{piece:?} was never done");
    }
    let upkeep = maintainer.status().tables[&id()].clone();
    assert!(upkeep.vacuumed_files > 0 && upkeep.log_files > 0 && upkeep.problem.is_none(), "{upkeep:?}");
    let checkpoints = count(&shop, "_delta_log", "checkpoint.parquet");
    assert!(checkpoints <= 28 + 6, "{checkpoints} checkpoints");
    // Looked at as another process would, which holds no file of an older version.
    let other = shop.again().await;
    let table = other.open_table(&id()).await.unwrap().unwrap();
    for (version, step) in steps.iter().filter(|(_, step)| **step > (hours - 24) * FLUSHES_AN_HOUR).step_by(29) {
        assert_eq!(contents(&other, &table.view_at(*version).await.unwrap()).await, state(*step), "step {step}");
    }
    let first = shop.lake.open_table(&id()).await.unwrap().unwrap();
    let points = first.restore_points(&first.retention()).await.unwrap();
    assert!((2..=4).contains(&points.len()), "{points:?}");
    for (version, _) in points {
        let step = *steps.range(..=version).next_back().unwrap().1;
        assert_eq!(contents(&other, &table.view_at(version).await.unwrap()).await, state(step), "{version:?}");
    }
    let gone = table.view_at(Version(3)).await;
    assert!(matches!(gone, Err(LakeError::Log { .. })), "a version that was cleaned away: {gone:?}");
}

/// A flush of these keys through the live table.
async fn flush_live(live: &LiveTable, set: &LiveSet, keys: std::ops::Range<i64>, position: i64) {
    let rows = rows(keys, position);
    let ops = vec![Op::Insert; rows.num_rows()];
    live.apply(ChangeBatch { rows, ops, unchanged: Vec::new() }).await.unwrap();
    set.publish(Lsn(position.unsigned_abs()), &[live]);
    live.flush("app", position).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_not_rewritten_while_the_source_catches_up_and_are_afterwards() {
    let clock = SimulatedClock::default();
    let shop = Shop::timed(&clock).await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let limits = CompactionLimits { files_min: 3, ..CompactionLimits::default() };
    let flush = FlushPolicy { changes_max: 40, ..FlushPolicy::default() };
    let settings = LiveSettings { compaction: limits.clone(), flush, ..LiveSettings::default() };
    let live = LiveTable::open(table.clone(), settings).await.unwrap();
    let set = LiveSet::new();
    set.insert(&live);
    let maintainer = Maintainer::new(shop.lake.clone(), limits);
    for step in 1..=5 {
        clock.advance(Duration::from_secs(5));
        flush_live(&live, &set, step * 100..step * 100 + 20, step).await;
        assert!(maintain(&maintainer).await.is_empty(), "a backlog comes in");
    }
    assert_eq!(table.view().files.len(), 5);
    clock.advance(Duration::from_secs(10));
    assert_eq!(maintain(&maintainer).await, [Piece::Compact]);
    assert_eq!(table.view().files.len(), 1);
    for step in 6..=8 {
        clock.advance(Duration::from_secs(5));
        flush_live(&live, &set, step * 100..step * 100 + 5, step).await;
    }
    assert_eq!(maintain(&maintainer).await, [Piece::Compact], "small flushes are no backlog");
    // A backlog that does not end is no reason to let files become ever more.
    let mut compacted = 0;
    for step in 9..100 {
        clock.advance(Duration::from_secs(1));
        flush_live(&live, &set, step * 100..step * 100 + 20, step).await;
        compacted += maintain(&maintainer).await.len();
        assert!(table.view().files.len() <= 70, "{} files", table.view().files.len());
    }
    assert!(compacted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_fails_is_told_and_waits() {
    let clock = SimulatedClock::default();
    let shop = Shop::timed(&clock).await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    for key in 0..5 {
        append(&table, &rows([key], 0)).await;
    }
    let limits = CompactionLimits { files_min: 3, ..CompactionLimits::default() };
    let maintainer = Maintainer::new(shop.lake.clone(), limits);
    let lost = table.view().files[0].path.to_string();
    let (from, aside) = (shop.path(&id()).join(&lost), shop.folder.join("aside"));
    std::fs::rename(&from, &aside).unwrap();
    assert!(maintain(&maintainer).await.is_empty(), "nobody has had the time to open it");
    clock.advance(Duration::from_mins(5));
    assert_eq!(maintain(&maintainer).await, [Piece::Compact]);
    let upkeep = maintainer.status().tables[&id()].clone();
    assert!(upkeep.problem.is_some() && upkeep.compactions == 0);
    assert_eq!(maintainer.status().doing, None);
    std::fs::rename(&aside, &from).unwrap();
    assert!(maintain(&maintainer).await.is_empty(), "it waits");
    clock.advance(Duration::from_mins(5));
    assert!(maintain(&maintainer).await.contains(&Piece::Compact));
    let upkeep = maintainer.status().tables[&id()].clone();
    assert_eq!((upkeep.problem, upkeep.compactions, table.view().files.len()), (None, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thorough_compaction_leaves_no_dead_row_and_one_file() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    flush(&table, vec![(first, dead([1]))], &rows([1], 1), 1).await;
    let before = contents(&shop.lake, &table.view()).await;
    let maintainer = Maintainer::new(shop.lake.clone(), CompactionLimits::default());
    let mut heard = 0;
    maintainer.compact(&id(), |_| heard += 1).await.unwrap();
    let view = table.view();
    assert!(heard > 0 && view.files.iter().all(|file| file.deleted.is_none()), "{heard}");
    assert_eq!(contents(&shop.lake, &view).await, before);
    assert!(maintainer.vacuum(&id(), true).await.unwrap().removed.is_empty(), "a day is kept");
}
