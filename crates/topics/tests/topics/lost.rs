//! A state folder without its log.

use std::time::Duration;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn no_offset_is_given_twice_when_the_log_is_lost_and_the_lake_cannot_be_reached() {
    let world = World::new(&[("log", "[columns]\nn = \"INT64\"\n")]);
    let open = world.open().await;
    open.topics.make("plain").await.unwrap();
    open.send("plain", &["a", "b"]).await;
    open.send("log", &[r#"{"n": 0}"#, r#"{"n": 1}"#, r#"{"n": 2}"#]).await;
    open.topics.stop().await;
    drop(open);
    std::fs::remove_dir_all(world.path().join(".naru/topics")).unwrap();
    // Nobody can say what the table has.
    let (there, away) = (world.path().join("lake/topics"), world.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    std::fs::write(&there, "not a folder").unwrap();
    let open = world.open().await;
    let first = open.send("log", &[r#"{"n": 3}"#, r#"{"n": 4}"#]).await;
    assert!(first >= 3, "{first} was given before");
    let plain = open.send("plain", &["c"]).await;
    assert!(plain >= 2, "{plain} was given before");
    std::fs::remove_file(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    let log = open.topics.get("log").unwrap();
    let settled = async {
        while open.topics.settle(&log).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), settled).await.unwrap();
    let rows = open.rows("log", "SELECT n FROM t ORDER BY n", false).await;
    assert_eq!(rows.lines().count(), 9, "{rows}");
    let table = open.topics.status().topics.into_iter().find_map(|topic| topic.table).unwrap();
    assert!(table.lost > 0, "that something may be missing is said");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_there_goes_on_without_a_gap() {
    let world = World::new(&[("log", "[columns]\nn = \"INT64\"\n")]);
    for round in 0..3 {
        let open = world.open().await;
        assert_eq!(open.send("log", &["{}", "{}"]).await, round * 2);
        open.settle("log").await;
        assert_eq!(open.topics.status().topics[0].table.as_ref().unwrap().lost, 0);
        open.topics.stop().await;
    }
}
