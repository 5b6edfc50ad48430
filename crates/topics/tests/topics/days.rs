//! Old days that go while naru is killed.

use std::{path::Path, process::Command, time::Duration};

use naru_testkit::Failpoints;

use crate::world::World;

const CHILD: &str = "NARU_DAYS_TEST_CHILD";
const TOPIC: &str = "partition = \"day(at)\"\nretention = \"3d\"\n[columns]\nat = \"TIMESTAMP\"\nn = \"INT64\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_days_test() {
    // Started by the test runner there is nothing to do.
    let Ok(folder) = std::env::var(CHILD) else { return };
    let open = World::at(Path::new(&folder)).open().await;
    open.settle("log").await;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_going_when_naru_was_killed_go_later_and_no_other_row_with_them() {
    let world = World::new(&[("log", &TOPIC.replace("3d", "400d"))]);
    let now = jiff::Timestamp::now();
    let open = world.open().await;
    let at = |days: i64| now - jiff::SignedDuration::from_hours(24 * days);
    for (n, days) in [0, 1, 2, 5, 9, 30].into_iter().enumerate() {
        open.send("log", &[&format!(r#"{{"at": "{}", "n": {n}}}"#, at(days)), r#"{"n": 100}"#]).await;
        open.topics.flush(&open.topics.get("log").unwrap()).await.unwrap();
    }
    open.topics.stop().await;
    drop(open);
    world.write("log", TOPIC);
    for place in ["topics.expiring", "lake.before_commit", "lake.after_commit", "topics.expired", "topics.expired"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "days::child_of_the_days_test", "--nocapture"])
            .env(CHILD, world.path())
            .env(Failpoints::VARIABLE, Failpoints::new().kill(place, 1).value())
            .output()
            .unwrap();
        assert!(!child.status.success(), "{place}");
    }
    let open = world.open().await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT n FROM t WHERE n < 100 ORDER BY n", false).await;
    assert!(["| 0 |", "| 1 |", "| 2 |"].iter().all(|row| rows.contains(row)) && rows.lines().count() == 7, "{rows}");
    let rows = open.rows("log", "SELECT count(*) AS c FROM t WHERE n = 100", false).await;
    assert!(rows.contains("| 6 |"), "rows without a day stay: {rows}");
    open.topics.stop().await;
}
