//! A disk that is full, for real: a small file system in memory that the test mounts in a namespace of its own.

use std::{
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use naru_topics::{Incoming, PublishError};

use crate::world::{Open, World};

const CHILD: &str = "NARU_FULL_DISK_TEST_CHILD";
const DISK: &str = "24m";
const BATCH: u64 = 10;

fn batch(first: u64) -> Vec<Incoming> {
    let event = |n: u64| {
        // Letters that a file of the table does not make smaller than the log's by much.
        let letter = |at: u64| char::from_digit(u32::try_from((n * 7 + at * at * 31) % 16).unwrap(), 16).unwrap();
        let pad: String = (0..4_000).map(letter).collect();
        Incoming { data: format!(r#"{{"n": {n}, "pad": "{pad}"}}"#).into_bytes().into(), ..Incoming::default() }
    };
    (first..first + BATCH).map(event).collect()
}

async fn publish(open: &Open, answered: &mut u64) -> bool {
    match open.topics.publish(&open.topics.get("log").unwrap(), &batch(*answered)).await {
        Ok(_) => {
            *answered += BATCH;
            true
        }
        Err(PublishError::Full(error)) => {
            assert_eq!(error.problem().code, "topics.log_full");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_of_the_full_disk_test() {
    // Started by the test runner there is nothing to do.
    if std::env::var(CHILD).is_err() {
        return;
    }
    let mut world = World::new(&[("log", "flush_interval = \"100ms\"\n[columns]\nn = \"INT64\"\npad = \"STRING\"\n")]);
    world.log.free_min = 8 << 20;
    let open = world.open().await;
    let mut answered = 0;
    while publish(&open, &mut answered).await {}
    println!("refused with room to spare after {answered}");
    // Somebody else takes what was left.
    let ballast = world.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4_096]).is_ok() {}
    for _ in 0..20 {
        publish(&open, &mut answered).await;
    }
    let log = open.topics.get("log").unwrap();
    assert!(!publish(&open, &mut answered).await, "no byte is free");
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let began = Instant::now();
    let before = answered;
    while answered < before + 50 * BATCH {
        assert!(began.elapsed() < Duration::from_mins(2), "it does not go on");
        if !publish(&open, &mut answered).await {
            // What is in the table is not needed on the log while there is no room for more.
            open.topics.flush(&log).await.ok();
            open.topics.trim().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    println!("went on to {answered}");
    for _ in 0..2 {
        open.topics.flush(&log).await.unwrap();
        let rows = open.rows("log", "SELECT count(*) AS c, count(DISTINCT n) AS d FROM t", false).await;
        assert!(rows.contains(&format!("| {answered} | {answered} |")), "{rows}");
    }
    open.topics.stop().await;
    drop(open);
    let open = world.open().await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT count(*) AS c, count(DISTINCT n) AS d FROM t", false).await;
    assert!(rows.contains(&format!("| {answered} | {answered} |")), "{rows}");
    open.topics.stop().await;
    println!("whole");
}

#[test]
fn a_full_disk_refuses_events_loses_none_that_was_answered_and_goes_on_when_there_is_room() {
    let disk = tempfile::tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]).arg(disk.path());
        command
    };
    let mount = format!("mount -t tmpfs -o size={DISK} tmpfs \"$0\"");
    if !unshare(&mount).output().is_ok_and(|tried| tried.status.success()) {
        println!("this machine lets nobody mount a file system, so nothing was tested");
        return;
    }
    let child = unshare(&format!("{mount}; exec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::child_of_the_full_disk_test", "--nocapture"])
        .env(CHILD, "1")
        .env("TMPDIR", disk.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("whole"), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
}
