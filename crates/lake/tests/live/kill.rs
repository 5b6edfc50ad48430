//! kill -9 at every failpoint, twice in a row: what is committed is a prefix of the source's transactions, and applying
//! them again from the committed position gives exactly the source's rows.

use std::{path::Path, process::Command};

use naru_base::Lsn;
use naru_lake::live::{LiveSet, LiveTable};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::world::{self, Change, Rows};

const APP: &str = "naru/test/1";
const TABLE: &str = "orders";
const TRANSACTIONS: u64 = 24;
const CHILD: &str = "NARU_LIVE_CHILD";

/// Transactions of the source, and its rows after each: the same for parent and child.
fn history(seed: u64) -> (Vec<Vec<Change>>, Vec<Rows>) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut rows, mut transactions, mut states) = (Rows::new(), Vec::new(), vec![Rows::new()]);
    for _ in 0..TRANSACTIONS {
        transactions.push(world::changes(&mut random, &mut rows, 60));
        states.push(rows.clone());
    }
    (transactions, states)
}

/// Goes on from what is committed: applies, publishes, flushes every second transaction, compacts now and then.
async fn go_on(dir: &Path, seed: u64) {
    let (transactions, states) = history(seed);
    let lake = world::lake(dir).await;
    let table = world::open(&lake, TABLE, world::small()).await;
    let set = LiveSet::new();
    set.insert(&table);
    let from = u64::try_from(table.position(APP).await.unwrap().unwrap_or(0)).unwrap();
    for (position, changes) in (1..).zip(&transactions).filter(|(position, _)| *position > from) {
        table.apply(world::batch(changes)).await.unwrap();
        set.publish(Lsn(position), &[&table]);
        if position % 2 == 0 {
            flush(&table).await;
        }
        if position % 3 == 0 {
            compact(&table).await;
        }
        let view = &set.snapshot().tables[table.id()];
        assert_eq!(world::scan(&lake, view).await, states[usize::try_from(position).unwrap()]);
    }
    flush(&table).await;
}

/// A flush or compaction that fails on purpose leaves everything as it was, so the second try does it.
async fn flush(table: &LiveTable) {
    if table.flush(APP, 0).await.is_err() {
        table.flush(APP, 0).await.unwrap();
    }
}

async fn compact(table: &LiveTable) {
    if table.compact().await.is_err() {
        table.compact().await.unwrap();
    }
}

#[tokio::test]
async fn child_of_the_kill_tests() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    go_on(Path::new(&dir), world::seed()).await;
}

/// Runs the child under `failpoints`; whether it came to the end.
fn run(dir: &Path, seed: u64, failpoints: &str) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child_of_the_kill_tests", "--exact", "--nocapture"])
        .env(CHILD, dir)
        .env("NARU_SEED", seed.to_string())
        .env("NARU_FAILPOINTS", failpoints)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let killed = output.status.code().is_none();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || killed, "{failpoints}: {text}");
    output.status.success()
}

/// What is committed is exactly the source's rows at the committed position.
async fn check_prefix(dir: &Path, states: &[Rows], case: &str) {
    let lake = world::lake(dir).await;
    let Some(table) = lake.open_table(&world::id(TABLE)).await.unwrap() else { return };
    let position = table.position(APP).await.unwrap().unwrap_or(0);
    let rows = world::scan(&lake, &table.view()).await;
    assert!(rows == states[usize::try_from(position).unwrap()], "{case}: not the rows at position {position}");
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_and_doubles_nothing() {
    let seed = world::seed();
    let (_, states) = history(seed);
    let points = [
        "live.before_flush_commit",
        "live.after_flush_commit",
        "live.before_compact_commit",
        "live.after_compact_commit",
        "lake.before_commit",
        "lake.after_commit",
        "index.before_manifest",
        "index.after_manifest",
    ];
    for point in points {
        let dir = tempfile::tempdir().unwrap();
        let mut kills = 0;
        let visits = if point.contains("compact") { [1, 1] } else { [2, 1] };
        for visit in visits {
            if !run(dir.path(), seed, &format!("{point}=kill@{visit}")) {
                kills += 1;
            }
            check_prefix(dir.path(), &states, point).await;
        }
        assert!(kills > 0, "{point} was never reached");
        assert!(run(dir.path(), seed, ""), "{point}");
        assert_eq!(world::committed(dir.path(), TABLE).await, states[states.len() - 1], "{point}");
    }
}

#[tokio::test]
async fn a_flush_that_fails_leaves_everything_as_it_was() {
    let seed = world::seed();
    let (_, states) = history(seed);
    for point in
        ["live.before_flush_commit", "live.before_compact_commit", "lake.before_commit", "index.before_manifest"]
    {
        let dir = tempfile::tempdir().unwrap();
        assert!(run(dir.path(), seed, &format!("{point}=error@2")), "{point}");
        assert_eq!(world::committed(dir.path(), TABLE).await, states[states.len() - 1], "{point}");
    }
}
