//! Processes that are killed in the middle of runs, for real, and the next start.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod world;

use std::{collections::BTreeSet, path::Path, process::Command};

use naru_flow::{FlowError, run::RunState};
use naru_store::runs_read;
use world::World;

const FOLDER: &str = "NARU_FLOW_KILL_FOLDER";

const POINTS: [&str; 9] = [
    "flow.after_started",
    "fake.staged",
    "flow.after_stage",
    "flow.after_audit",
    "flow.before_publish",
    "fake.before_commit",
    "fake.after_commit",
    "flow.after_publish",
    "flow.after_published",
];

fn project(folder: &Path) -> World {
    let mut world = World::at(folder);
    world.parallelism = 2;
    world
        .mart("a.orders", "/* naru\nchecks: [{unique: id}]\n*/ SELECT * FROM shop.orders")
        .mart("a.customers", "/* naru\nkind: view\n*/ SELECT * FROM shop.customers")
        .mart("b.sales", "SELECT * FROM a.orders JOIN a.customers ON TRUE")
        .mart("c.report", "SELECT * FROM b.sales");
    world
}

/// What a start of naru does: settle, then go on with what is left, or run everything for the first time.
#[tokio::test]
async fn a_start_goes_on_where_the_last_one_died() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let world = project(Path::new(&folder));
    let flow = world.flow().await;
    let settled = flow.settle().await.unwrap();
    assert!(settled.problems.is_empty());
    let first = world.store.read(|tx| runs_read::latest(tx, 1)).await.unwrap().is_empty();
    if first {
        world.run(&flow, &[]).await;
        return;
    }
    match flow.resume(world.graph(), None).await {
        Ok(handle) => assert_eq!(handle.ended().await.unwrap().state, RunState::Done),
        Err(FlowError::NothingToResume) => {}
        Err(error) => panic!("{}", error.problem()),
    }
}

fn start(folder: &Path, failpoints: &str) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_start_goes_on_where_the_last_one_died", "--nocapture", "--test-threads=1"]);
    child.env(FOLDER, folder).env("NARU_FAILPOINTS", failpoints);
    let output = child.output().unwrap();
    let killed = output.status.code().is_none();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(killed || output.status.success(), "{failpoints}: {said}");
    killed
}

#[test]
fn killed_at_every_point_twice_in_a_row_every_mart_is_published_exactly_once() {
    for point in POINTS {
        for visit in [1, 2, 3] {
            let folder = tempfile::tempdir().unwrap();
            let killed = start(folder.path(), &format!("{point}=kill@{visit}"));
            assert!(killed || visit == 3, "{point}@{visit} was never reached");
            start(folder.path(), &format!("{point}=kill@1"));
            assert!(!start(folder.path(), ""));
            assert_published_once(folder.path(), &format!("{point}@{visit}"));
        }
    }
}

fn assert_published_once(folder: &Path, case: &str) {
    let world = World::at(folder);
    let commits = world.lake.commits();
    let marts: Vec<&str> = commits.iter().map(|commit| commit.mart.as_str()).collect();
    assert_eq!(marts.len(), 3, "{case}: {marts:?}");
    assert_eq!(marts.iter().collect::<BTreeSet<_>>().len(), 3, "{case}");
    assert_eq!(world.lake.staged_files(), 0, "{case}");
    let runs = world.store.read_blocking(|tx| runs_read::latest(tx, 10)).unwrap();
    assert_eq!(runs.len(), 1, "{case}");
    assert_eq!(runs[0].state, "done", "{case}");
    let views = world.store.read_blocking(|tx| runs_read::views(tx)).unwrap();
    assert_eq!(views.len(), 1, "{case}");
}
