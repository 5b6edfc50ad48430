//! Runs of marts in the state database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use naru_base::{RunId, TableId};
use naru_store::{
    Store,
    runs::{self, NewNode, NewRun, NodeChange, Recorded, Transition},
    runs_read::{self, VerdictRow},
};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("naru.db")).unwrap();
    (folder, store)
}

fn mart(name: &str) -> TableId {
    TableId::new("a", name)
}

fn begin(store: &Store, marts: &[&str]) -> RunId {
    let nodes = marts.iter().map(|name| NewNode { mart: mart(name), kind: "table".into(), fingerprint: "f".into() });
    let new = NewRun {
        reason: "manual",
        requested: "all".into(),
        asked_by: Some("ji".into()),
        why: None,
        rolled_to: None,
        epoch: 1,
        started_us: 10,
        first_state: "waiting",
        nodes: nodes.collect(),
    };
    store.write_blocking(|tx| runs::begin(tx, &new)).unwrap()
}

fn step(run: RunId, name: &str, from: &'static str, to: &'static str, change: NodeChange) -> Transition {
    Transition {
        run,
        mart: mart(name),
        at_us: 20,
        event: "moved",
        from,
        to,
        cause: Some("why".into()),
        problem: None,
        change,
    }
}

fn record(store: &Store, steps: &[Transition]) -> Recorded {
    store.write_blocking(|tx| runs::record(tx, steps)).unwrap()
}

#[test]
fn steps_are_stored_together_as_events_and_on_the_mart() {
    let (_folder, store) = store();
    let run = begin(&store, &["x", "y"]);
    let staged = NodeChange::Staged { rows: Some(7), bytes: Some(70) };
    let steps = [
        step(run, "x", "waiting", "running", NodeChange::NewAttempt),
        step(run, "x", "running", "staged", staged),
        step(run, "x", "staged", "done", NodeChange::PublishedTable { version: 3 }),
    ];
    assert_eq!(record(&store, &steps), Recorded::Stored(Some(20)));
    let nodes = store.read_blocking(|tx| runs_read::nodes(tx, run)).unwrap();
    assert_eq!((nodes[0].rows, nodes[0].version, nodes[0].ended_us, nodes[0].tries), (Some(7), Some(3), Some(20), 1));
    assert_eq!((nodes[1].state.as_str(), nodes[1].attempt), ("waiting", None));
    let events = store.read_blocking(|tx| runs_read::events(tx, run)).unwrap();
    assert_eq!(events.iter().map(|event| event.to.as_str()).collect::<Vec<_>>(), ["running", "staged", "done"]);
}

#[test]
fn a_step_from_another_state_stores_nothing_of_its_batch() {
    let (_folder, store) = store();
    let run = begin(&store, &["x"]);
    let steps = [
        step(run, "x", "waiting", "ready", NodeChange::None),
        step(run, "x", "queued", "running", NodeChange::NewAttempt),
    ];
    assert_eq!(record(&store, &steps), Recorded::Stale);
    assert_eq!(record(&store, &[step(run, "other", "waiting", "ready", NodeChange::None)]), Recorded::Stale);
    assert_eq!(store.read_blocking(|tx| runs_read::events(tx, run)).unwrap(), []);
    assert_eq!(store.read_blocking(|tx| runs_read::nodes(tx, run)).unwrap()[0].state, "waiting");
}

#[test]
fn attempts_rise_even_when_the_clock_does_not() {
    let (_folder, store) = store();
    let run = begin(&store, &["x", "y"]);
    let first = record(&store, &[step(run, "x", "waiting", "running", NodeChange::NewAttempt)]);
    let second = record(&store, &[step(run, "y", "waiting", "running", NodeChange::NewAttempt)]);
    assert_eq!((first, second), (Recorded::Stored(Some(20)), Recorded::Stored(Some(21))));
    let epoch = || store.write_blocking(|tx| runs::next_epoch(tx)).unwrap();
    assert!(epoch() < epoch());
}

#[test]
fn a_published_view_lives_until_a_table_of_its_name_or_the_loss_of_its_file() {
    let (_folder, store) = store();
    let run = begin(&store, &["x", "y"]);
    let view = || NodeChange::PublishedView { sql: "SELECT 1".into(), columns: "[]".into(), reads: "[]".into() };
    for name in ["x", "y"] {
        let steps =
            [step(run, name, "waiting", "running", NodeChange::NewAttempt), step(run, name, "running", "done", view())];
        record(&store, &steps);
    }
    let names = || -> Vec<String> {
        let views = store.read_blocking(|tx| runs_read::views(tx)).unwrap();
        views.into_iter().map(|view| view.mart.table).collect()
    };
    assert_eq!(names(), ["x", "y"]);
    record(&store, &[step(run, "x", "done", "done", NodeChange::PublishedTable { version: 0 })]);
    assert_eq!(names(), ["y"]);
    assert_eq!(store.write_blocking(|tx| runs::keep_views(tx, &[mart("x")])).unwrap(), 1);
    assert_eq!(names(), [""; 0]);
}

#[test]
fn a_marts_row_shows_its_latest_run_and_the_one_that_is_live() {
    let (_folder, store) = store();
    let good = begin(&store, &["x"]);
    let published = NodeChange::PublishedTable { version: 0 };
    record(
        &store,
        &[step(good, "x", "waiting", "running", NodeChange::NewAttempt), step(good, "x", "running", "done", published)],
    );
    let bad = begin(&store, &["x"]);
    let Recorded::Stored(Some(attempt)) = record(
        &store,
        &[
            step(bad, "x", "waiting", "running", NodeChange::NewAttempt),
            step(bad, "x", "running", "blocked", NodeChange::Ended),
        ],
    ) else {
        panic!("nothing stored")
    };
    let verdict = |check: &str, outcome: &str| VerdictRow {
        mart: mart("x"),
        attempt,
        check: check.into(),
        severity: "block".into(),
        outcome: outcome.into(),
        failing: 4,
        detail: None,
        sql: "SELECT 1".into(),
        sample: "[]".into(),
        elapsed_ms: 1,
    };
    let verdicts = [verdict("bad", "block"), verdict("good", "pass")];
    store.write_blocking(|tx| runs::add_verdicts(tx, bad, &verdicts)).unwrap();
    let rows = store.read_blocking(|tx| runs_read::marts(tx)).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].latest.run, rows[0].published.as_ref().unwrap().run), (bad, good));
    assert_eq!(rows[0].failing, [("bad".to_owned(), "block".to_owned(), 4)]);
    assert_eq!(store.read_blocking(|tx| runs_read::history(tx, &mart("x"), 1)).unwrap()[0].run, bad);
}

#[test]
fn old_runs_are_forgotten_with_everything_of_theirs_but_not_what_is_live() {
    let (_folder, store) = store();
    let runs: Vec<RunId> = (0..3).map(|_| begin(&store, &["x"])).collect();
    for run in &runs {
        let published = NodeChange::PublishedTable { version: 0 };
        record(&store, &[step(*run, "x", "waiting", "done", published)]);
        store.write_blocking(|tx| runs::end(tx, *run, "done", 30)).unwrap();
    }
    assert_eq!(store.write_blocking(|tx| runs::forget(tx, 30)).unwrap(), 0);
    assert_eq!(store.write_blocking(|tx| runs::forget(tx, 31)).unwrap(), 2);
    assert_eq!(store.read_blocking(|tx| runs_read::events(tx, runs[0])).unwrap(), []);
    assert_eq!(store.read_blocking(|tx| runs_read::latest(tx, 9)).unwrap().len(), 1);
}
