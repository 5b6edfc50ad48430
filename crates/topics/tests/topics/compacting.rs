//! What goes on while files of a topic's table are joined.
//!
//! The test starts itself again, so that a rewrite can be made to take long.

use std::{process::Command, time::Duration};

use naru_lake::CompactionLimits;
use naru_testkit::Failpoints;

use crate::world::World;

const CHILD: &str = "NARU_COMPACTING_TEST_CHILD";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_of_the_compacting_test() {
    // Started by the test runner there is nothing to do.
    if std::env::var(CHILD).is_err() {
        return;
    }
    let text = "flush_interval = \"100ms\"\nretention = \"400d\"\n[columns]\nn = \"INT64\"\n";
    let world = World::new(&[("log", text)]);
    let open = world.open().await;
    let log = open.topics.get("log").unwrap();
    for n in 0..3 {
        open.send("log", &[&format!(r#"{{"n": {n}}}"#)]).await;
        open.topics.flush(&log).await.unwrap();
    }
    let table = open.lake.open_table(&naru_topics::tables("log")[0]).await.unwrap().unwrap();
    let joining = tokio::spawn(async move { table.compact(&CompactionLimits::default().thorough()).await });
    println!("joining");
    for n in 3..40 {
        // Some of these wait for a flush, which waits for the files.
        open.send("log", &[&format!(r#"{{"n": {n}}}"#), r#"{"n": "bad"}"#]).await;
        open.settle("log").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rows = open.rows("log", "SELECT count(*) AS c FROM t", false).await;
    assert!(rows.contains("| 40 |"), "{rows}");
    let dead = open.rows("log__dead", "SELECT count(*) AS c FROM t", false).await;
    assert!(dead.contains("| 37 |"), "{dead}");
    assert!(!joining.is_finished(), "the files were joined before the rows were visible");
    println!("visible");
    joining.await.unwrap().unwrap().unwrap();
    open.topics.flush(&log).await.unwrap();
    let rows = open.rows("log", "SELECT count(*) AS c FROM t", false).await;
    assert!(rows.contains("| 40 |"), "{rows}");
    open.topics.stop().await;
    println!("whole");
}

#[test]
fn dead_letters_and_old_days_delay_no_row_while_files_are_joined() {
    let slow = Failpoints::new().sleep("lake.compact.before_rewrite", Duration::from_secs(30));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "compacting::child_of_the_compacting_test", "--nocapture"])
        .env(CHILD, "1")
        .env(Failpoints::VARIABLE, slow.value())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("visible") && said.contains("whole"), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_lie_by_the_columns_that_the_file_names_once_files_are_joined() {
    let world = World::new(&[("log", "cluster = [\"Name\"]\n[columns]\nname = \"STRING\"\nn = \"INT64\"\n")]);
    let open = world.open().await;
    let log = open.topics.get("log").unwrap();
    for n in 0..3 {
        open.send("log", &[&format!(r#"{{"name": "b", "n": {n}}}"#), &format!(r#"{{"name": "a", "n": {n}}}"#)]).await;
        open.topics.flush(&log).await.unwrap();
    }
    let [id, _] = naru_topics::tables("log");
    let table = open.lake.open_table(&id).await.unwrap().unwrap();
    assert_eq!(table.view().properties.get(naru_lake::CLUSTER_PROPERTY).unwrap(), "[\"name\"]");
    table.compact(&CompactionLimits::default().thorough()).await.unwrap().unwrap();
    assert_eq!(table.view().files.len(), 1);
    let rows = open.rows("log", "SELECT string_agg(name, '') AS names FROM t", false).await;
    assert!(rows.contains("aaabbb"), "{rows}");
    open.topics.stop().await;
    drop(open);
    world.write("log", "[columns]\nname = \"STRING\"\nn = \"INT64\"\n");
    let open = world.open().await;
    open.settle("log").await;
    let table = open.lake.open_table(&id).await.unwrap().unwrap();
    assert_eq!(table.view().properties.get(naru_lake::CLUSTER_PROPERTY), None);
    open.topics.stop().await;
}
