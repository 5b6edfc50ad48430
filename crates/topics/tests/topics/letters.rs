//! Dead letters over time: mended late, given up, and too old.

use std::time::Duration;

use naru_topics::{
    TABLE_SINK,
    replay::{Discard, Letter},
};

use crate::world::World;

/// 2026-11-20 at noon, UTC.
const LONG_AGO_US: i64 = 1_795_176_000_000_000;

fn letter(id: u64, data: &str, first_seen_us: i64) -> Letter {
    Letter {
        id,
        sink: TABLE_SINK.to_owned(),
        data: data.as_bytes().to_vec(),
        ordering_key: String::new(),
        attributes: Vec::new(),
        attempts: 1,
        first_seen_us,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_mended_after_the_window_makes_no_second_row() {
    let topic = "dedup = { key = \"id\", window = \"1s\" }\n[columns]\nid = \"STRING\"\nn = \"INT64\"\n";
    let world = World::new(&[("log", topic)]);
    let open = world.open().await;
    let first_us = naru_base::time::now_us();
    open.send("log", &[r#"{"id": "a", "n": "x"}"#, r#"{"id": "a", "n": 1}"#, r#"{"id": "b", "n": "x"}"#]).await;
    let log = open.topics.get("log").unwrap();
    open.topics.flush(&log).await.unwrap();
    // Keys of before the window are forgotten when later events are in the files.
    tokio::time::sleep(Duration::from_secs(5)).await;
    open.send("log", &[r#"{"id": "z", "n": 0}"#]).await;
    open.topics.flush(&log).await.unwrap();
    let mended = [letter(0, r#"{"id": "a", "n": 2}"#, first_us), letter(2, r#"{"id": "b", "n": 2}"#, first_us)];
    open.topics.replay(&log, &mended).await.unwrap();
    open.topics.flush(&log).await.unwrap();
    // The same key in another letter, and the same letter twice.
    let again = [letter(9, r#"{"id": "b", "n": 3}"#, first_us), letter(2, r#"{"id": "b", "n": 4}"#, first_us)];
    open.topics.replay(&log, &again).await.unwrap();
    open.settle("log").await;
    let rows = open.rows("log", "SELECT id, n FROM t ORDER BY id", false).await;
    assert!(rows.contains("| a  | 1 |") && rows.contains("| b  | 2 |") && rows.lines().count() == 7, "{rows}");
    let dead = open.rows("log__dead", "SELECT id, status FROM t ORDER BY id", false).await;
    assert!(dead.contains("| 0  | replayed |") && dead.contains("| 2  | replayed |"), "{dead}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_event_has_the_day_the_time_and_the_id_of_its_first_arrival() {
    let world = World::new(&[("log", "write_metadata = true\n[columns]\nn = \"INT64\"\n")]);
    let open = world.open().await;
    open.send("log", &["{}", r#"{"n": "x"}"#]).await;
    let log = open.topics.get("log").unwrap();
    open.settle("log").await;
    open.topics.replay(&log, &[letter(1, r#"{"n": 7}"#, LONG_AGO_US)]).await.unwrap();
    open.settle("log").await;
    for round in 0..2 {
        let columns = "message_id, publish_time, \"_naru_time\" = publish_time AS same, \"_day__naru_time\"";
        let rows = open.rows("log", &format!("SELECT {columns} FROM t WHERE n = 7"), true).await;
        assert!(rows.contains("| 1          | 2026-11-20T12:00:00Z | true | 2026-11-20 "), "{round}: {rows}");
        open.topics.flush(&log).await.unwrap();
    }
    let dead = open.rows("log__dead", "SELECT status, replayed_at > last_seen AS later FROM t", false).await;
    assert!(dead.contains("| replayed | true  |"), "{dead}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_given_up_says_who_and_why_and_is_not_replayed() {
    let world = World::new(&[("log", "[columns]\nn = \"INT64\"\n")]);
    let open = world.open().await;
    open.send("log", &[r#"{"n": "x"}"#, r#"{"n": "y"}"#, r#"{"n": "z"}"#]).await;
    let log = open.topics.get("log").unwrap();
    open.settle("log").await;
    open.topics.replay(&log, &[letter(2, r#"{"n": 3}"#, LONG_AGO_US)]).await.unwrap();
    let letters = [0, 2].map(|id| (id, TABLE_SINK.to_owned())).to_vec();
    let discard = Discard { letters, by: Some("dana".to_owned()), why: "a load test".to_owned() };
    open.topics.discard(&log, &discard).await.unwrap();
    open.topics.replay(&log, &[letter(0, r#"{"n": 1}"#, LONG_AGO_US)]).await.unwrap();
    for round in 0..2 {
        open.settle("log").await;
        let columns = "id, status, discarded_by, discard_reason, discarded_at IS NULL AS no";
        let dead = open.rows("log__dead", &format!("SELECT {columns} FROM t ORDER BY id"), false).await;
        assert!(dead.contains("| 0  | discarded | dana         | a load test    | false |"), "{round}: {dead}");
        assert!(dead.contains("| 1  | dead      |              |                | true  |"), "{dead}");
        assert!(dead.contains("| 2  | replayed  |              |                | true  |"), "{dead}");
        let rows = open.rows("log", "SELECT n FROM t", false).await;
        assert!(rows.contains("| 3 |") && rows.lines().count() == 5, "{rows}");
        assert_eq!(open.topics.status().topics[0].table.as_ref().unwrap().dead_letters, 1);
        open.topics.flush(&log).await.unwrap();
    }
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_past_their_retention_go_and_later_ones_stay() {
    let world = World::new(&[("log", "dead = { retention = \"90d\" }\n[columns]\nn = \"INT64\"\n")]);
    let mut declared = world.declared();
    assert_eq!(declared[0].dead_retention, Some(Duration::from_hours(90 * 24)));
    let open = world.open().await;
    open.send("log", &[r#"{"n": "x"}"#, r#"{"n": "y"}"#]).await;
    open.topics.stop().await;
    drop(open);
    let open = world.open().await;
    open.settle("log").await;
    let dead = open.rows("log__dead", "SELECT id FROM t", false).await;
    assert_eq!(dead.lines().count(), 6, "{dead}");
    open.topics.stop().await;
    drop(open);
    declared[0].dead_retention = Some(Duration::from_millis(1));
    let open = world.open_with(declared).await;
    open.settle("log").await;
    let gone = async {
        while open.topics.status().topics[0].table.as_ref().unwrap().dead_letters > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone).await.unwrap();
    open.send("log", &[r#"{"n": "z"}"#]).await;
    open.settle("log").await;
    let dead = open.rows("log__dead", "SELECT id FROM t", false).await;
    assert!(dead.contains("| 2  |") && dead.lines().count() == 5, "{dead}");
    open.topics.stop().await;
    drop(open);
    let open = world.open().await;
    open.settle("log").await;
    let dead = open.rows("log__dead", "SELECT id FROM t", false).await;
    assert!(dead.contains("| 2  |") && dead.lines().count() == 5, "over a restart: {dead}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stay_on_the_log_for_as_long_as_the_file_says() {
    let topic = "log = { retention = \"10m\" }\n[columns]\nn = \"INT64\"\n";
    let world = World::new(&[("log", topic)]);
    let mut declared = world.declared();
    assert_eq!(declared[0].log_retention, Some(Duration::from_mins(10)));
    let open = world.open().await;
    open.send("log", &["{}", "{}"]).await;
    let log = open.topics.get("log").unwrap();
    open.topics.flush(&log).await.unwrap();
    open.topics.trim().await;
    assert_eq!(open.topics.log().bounds(log.number()), 0..2);
    open.topics.stop().await;
    drop(open);
    declared[0].log_retention = Some(Duration::from_millis(1));
    let open = world.open_with(declared).await;
    open.settle("log").await;
    let log = open.topics.get("log").unwrap();
    open.topics.hold(&log, "somebody", 1);
    tokio::time::sleep(Duration::from_millis(10)).await;
    open.topics.trim().await;
    assert_eq!(open.topics.log().bounds(log.number()), 1..2, "also what came before the start, but not what is needed");
    open.topics.stop().await;
}
