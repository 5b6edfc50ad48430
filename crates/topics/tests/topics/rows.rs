//! From the log into tables: what fits, what does not, what was seen before, and what a restart does.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use naru_topics::{Incoming, marks};

use crate::world::World;

const CLICKS: &str = "dedup = { key = \"id\", window = \"1h\" }\n[columns]\nid = { type = \"STRING\", required = true }\nn = \"INT64\"\nat = \"TIMESTAMP\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_is_a_row_at_once_and_the_rest_a_dead_letter_with_its_reason() {
    let world = World::new(&[("clicks", CLICKS)]);
    let open = world.open().await;
    let events =
        [r#"{"id": "a", "n": 1, "more": [1]}"#, r#"{"id": "b", "n": true}"#, "no json", r#"{"id": "a", "n": 9}"#];
    open.send("clicks", &events).await;
    open.settle("clicks").await;
    let rows = open.rows("clicks", "SELECT id, n, \"_extra\" FROM t", false).await;
    assert!(rows.contains("| a  | 1 | {\"more\":[1]} |") && rows.lines().count() == 5, "{rows}");
    let dead = open
        .rows(
            "clicks__dead",
            "SELECT id, event_id, sink, reason, path, got, attempts, status FROM t ORDER BY id",
            false,
        )
        .await;
    assert!(dead.contains("| 1  | b        | table | row.type     | $.n  |"), "{dead}");
    assert!(dead.contains("| 2  |          | table | row.not_json |"), "{dead}");
    let status = open.topics.status();
    let table = status.topics[0].table.clone().unwrap();
    assert_eq!((table.written, table.dead, table.duplicates, table.next, table.lost), (1, 2, 1, 4, 0));
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_the_tables_own_position_and_knows_earlier_events() {
    let world = World::new(&[("clicks", CLICKS)]);
    let open = world.open().await;
    open.send("clicks", &[r#"{"id": "a"}"#, r#"{"id": "b"}"#, "bad"]).await;
    open.topics.stop().await;
    drop(open);
    // The keys are a cache: without them the table says what was seen.
    std::fs::remove_dir_all(world.path().join(".naru/cache")).unwrap();
    let open = world.open().await;
    open.send("clicks", &[r#"{"id": "b"}"#, r#"{"id": "c"}"#]).await;
    open.settle("clicks").await;
    let rows = open.rows("clicks", "SELECT id, \"_naru_offset\" FROM t ORDER BY id", true).await;
    assert!(rows.contains("| a  | 0") && rows.contains("| b  | 1") && rows.contains("| c  | 4"), "{rows}");
    assert_eq!(rows.lines().count(), 7, "{rows}");
    let dead = open.rows("clicks__dead", "SELECT id FROM t", false).await;
    assert_eq!(dead.lines().count(), 5, "{dead}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_lost_gives_no_offset_twice() {
    let world = World::new(&[("clicks", CLICKS)]);
    let open = world.open().await;
    open.send("clicks", &[r#"{"id": "a"}"#, r#"{"id": "b"}"#]).await;
    open.topics.stop().await;
    drop(open);
    std::fs::remove_dir_all(world.path().join(".naru")).unwrap();
    let open = world.open().await;
    assert_eq!(open.send("clicks", &[r#"{"id": "c"}"#, r#"{"id": "a"}"#]).await, 2);
    open.settle("clicks").await;
    let rows = open.rows("clicks", "SELECT id FROM t ORDER BY id", false).await;
    assert_eq!(rows.lines().count(), 7, "{rows}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_never_loses_a_column_and_a_type_never_changes_under_it() {
    let world = World::new(&[("log", "[columns]\na = \"INT64\"\nb = \"STRING\"\n")]);
    let open = world.open().await;
    open.send("log", &[r#"{"a": 1, "b": "x"}"#]).await;
    open.topics.stop().await;
    drop(open);
    world.write("log", "[columns]\na = \"INT64\"\nc = \"BOOL\"\n");
    let open = world.open().await;
    open.send("log", &[r#"{"a": 2, "b": "y", "c": true}"#]).await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT * FROM t ORDER BY a", false).await;
    assert!(rows.contains("| a | c    | b | _extra"), "{rows}");
    assert!(rows.contains("| 2 | true |   | {\"b\":\"y\"} |"), "{rows}");
    assert_eq!(open.topics.get("log").unwrap().schema_revision(), 2);
    open.topics.stop().await;
    drop(open);
    world.write("log", "[columns]\na = \"STRING\"\n");
    let open = world.open().await;
    open.send("log", &[r#"{"a": "three"}"#]).await;
    let problem = open.topics.settle(&open.topics.get("log").unwrap()).await.unwrap_err();
    assert_eq!(problem.code, "topics.type_changed");
    assert_eq!(problem.place.unwrap().to_string(), "topics/log.toml:2:1");
    open.topics.stop().await;
    drop(open);
    // What was accepted meanwhile waits on the log.
    world.write("log", "[columns]\na = \"INT64\"\na2 = \"STRING\"\n");
    let open = world.open().await;
    open.settle("log").await;
    assert!(open.rows("log__dead", "SELECT path FROM t", false).await.contains("$.a"));
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_becomes_a_column_when_enough_events_agree() {
    let world = World::new(&[("log", "unknown = \"evolve\"\nevolve = { after = 3 }\n[columns]\na = \"INT64\"\n")]);
    let open = world.open().await;
    for n in 0..3 {
        open.send("log", &[&format!(r#"{{"a": {n}, "late": 1, "mixed": {}}}"#, if n == 1 { "true" } else { "1" })])
            .await;
        open.settle("log").await;
    }
    open.send("log", &[r#"{"a": 3, "late": 2.5, "mixed": 1}"#, r#"{"a": 4, "late": 7, "mixed": 1}"#]).await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT a, late, \"_extra\" FROM t ORDER BY a", false).await;
    assert!(rows.contains(r#"| 0 |      | {"late":1,"mixed":1} "#), "{rows}");
    assert!(rows.contains(r#"| 4 | 7    | {"mixed":1}"#), "{rows}");
    // The column's type is fixed now: 2.5 is no INT64.
    assert!(open.rows("log__dead", "SELECT path FROM t", false).await.contains("$.late"));
    open.topics.stop().await;
    drop(open);
    let open = world.open().await;
    open.send("log", &[r#"{"a": 5, "late": 8}"#]).await;
    open.settle("log").await;
    assert!(open.rows("log", "SELECT a, late FROM t WHERE a = 5", false).await.contains("| 5 | 8"));
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_ahead_is_a_dead_letter_and_a_late_one_is_not() {
    let world =
        World::new(&[("log", "partition = \"day(at)\"\nwrite_metadata = true\n[columns]\nat = \"TIMESTAMP\"\n")]);
    let open = world.open().await;
    open.send(
        "log",
        &[
            r#"{"at": "2999-01-01T00:00:00Z"}"#,
            r#"{"at": "2020-01-01T00:00:00Z"}"#,
            r"{}",
            r#"{"at": "1970-01-01T00:00:01Z"}"#,
        ],
    )
    .await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT at, message_id, attributes FROM t", false).await;
    assert!(rows.contains("| 2020-01-01T00:00:00Z | 1          | {}") && rows.lines().count() == 6, "{rows}");
    assert!(open.rows("log__dead", "SELECT reason, path FROM t", false).await.contains("topics.clock_ahead | $.at"));
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_events_go_to_their_own_day_and_old_days_go_with_the_retention() {
    let world = World::new(&[("log", "partition = \"day(at)\"\nretention = \"2d\"\n[columns]\nat = \"TIMESTAMP\"\n")]);
    let open = world.open().await;
    let log = open.topics.get("log").unwrap();
    let now = jiff::Timestamp::now();
    let yesterday = now - jiff::SignedDuration::from_hours(24);
    open.send("log", &[&format!(r#"{{"at": "{now}"}}"#), &format!(r#"{{"at": "{yesterday}"}}"#), "{}"]).await;
    let cut = open.topics.flush(&log).await.unwrap().unwrap();
    assert_eq!(cut.offset, 3);
    let days = open.rows("log", "SELECT at, cast(at as date) = \"_day_at\" AS same FROM t ORDER BY at", true).await;
    assert!(days.matches("| true ").count() == 2 && days.lines().count() == 7, "{days}");
    open.topics.stop().await;
    drop(open);
    let open = world.open().await;
    open.send("log", &[r#"{"at": "2020-01-01T00:00:00Z"}"#, r#"{"at": null}"#]).await;
    open.topics.stop().await;
    drop(open);
    // The first look for old days comes with the start.
    let open = world.open().await;
    open.settle("log").await;
    let gone = async {
        loop {
            let rows = open.rows("log", "SELECT at FROM t", false).await;
            if !rows.contains("2020") {
                break rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let rows = tokio::time::timeout(Duration::from_mins(1), gone).await.unwrap();
    assert_eq!(rows.lines().count(), 8, "{rows}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_log_is_said_and_counted_and_what_follows_is_read() {
    let world = World::new(&[]);
    let open = world.open().await;
    open.topics.make("log").await.unwrap();
    for n in 0..9 {
        open.send("log", &[&format!(r#"{{"a": {n}, "pad": "{}"}}"#, "x".repeat(300)), r#"{"a": 100}"#]).await;
    }
    open.topics.stop().await;
    drop(open);
    let file = world.path().join(".naru/topics/0000000001.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(8).position(|window| window == b"{\"a\": 4,").unwrap();
    bytes[at + 20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.write("log", "[columns]\na = \"INT64\"\n");
    let open = world.open().await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT count(*), sum(a), max(\"_naru_offset\") FROM t", true).await;
    assert!(rows.contains("| 16       | 832") && rows.contains("| 17 "), "{rows}");
    let status = open.topics.status();
    // Whose the bytes were, and how many, nobody can say: offsets behind them are left out, too.
    assert!(status.topics[0].table.as_ref().unwrap().lost >= 2 && status.log.damaged == 1, "{status:?}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_dead_letter_makes_one_row_and_a_settled_one_none() {
    let world = World::new(&[("log", "[columns]\na = \"INT64\"\n")]);
    let open = world.open().await;
    open.send("log", &[r#"{"a": "x"}"#, r#"{"a": "y"}"#, r#"{"a": "z"}"#]).await;
    let log = open.topics.get("log").unwrap();
    let replay = |of: u64, text: &str, attempt: u32| Incoming {
        data: Bytes::copy_from_slice(text.as_bytes()),
        attributes: vec![
            (marks::REPLAY_OF.to_owned(), of.to_string()),
            (marks::REPLAY_SINK.to_owned(), naru_topics::TABLE_SINK.to_owned()),
            (marks::ATTEMPT.to_owned(), attempt.to_string()),
        ],
        ..Incoming::default()
    };
    let mended = [replay(0, r#"{"a": 10}"#, 2), replay(0, r#"{"a": 10}"#, 2), replay(1, r#"{"a": "still"}"#, 2)];
    open.topics.publish(&log, &mended).await.unwrap();
    let discard = [marks::DEAD_OF, marks::DEAD_SINK, marks::DEAD_STATUS].map(str::to_owned);
    let values = ["2".to_owned(), "table".to_owned(), "discarded".to_owned()];
    let discard = Incoming { attributes: discard.into_iter().zip(values).collect(), ..Incoming::default() };
    open.topics.publish(&log, &[discard]).await.unwrap();
    open.topics.publish(&log, &[replay(2, r#"{"a": 12}"#, 2)]).await.unwrap();
    for round in 0..2 {
        open.settle("log").await;
        let rows = open.rows("log", "SELECT a FROM t", false).await;
        assert!(rows.contains("| 10 |") && rows.lines().count() == 5, "{round}: {rows}");
        let dead = open
            .rows("log__dead", "SELECT id, attempts, status, got, replayed_at IS NULL AS no FROM t ORDER BY id", false)
            .await;
        assert!(dead.contains("| 0  | 1        | replayed"), "{dead}");
        assert!(dead.contains("| 1  | 2        | dead"), "{dead}");
        assert!(dead.contains("| 2  | 1        | discarded"), "{dead}");
        assert_eq!(open.topics.status().topics[0].table.as_ref().unwrap().dead_letters, 1);
        tokio::time::timeout(Duration::from_mins(1), open.topics.flush(&log)).await.unwrap().unwrap().unwrap();
    }
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_and_flushes_at_once_lose_and_double_nothing() {
    let world =
        World::new(&[("log", "flush_interval = \"100ms\"\ndedup = { key = \"id\" }\n[columns]\nid = \"STRING\"\n")]);
    let open = Arc::new(world.open().await);
    let senders = (0..8).map(|sender| {
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            for batch in 0..50 {
                let texts: Vec<String> = (0..40)
                    .map(|n| match n {
                        39 => "bad".to_owned(),
                        38 => format!(r#"{{"id": "{sender} {batch} 0"}}"#),
                        n => format!(r#"{{"id": "{sender} {batch} {n}"}}"#),
                    })
                    .collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                open.send("log", &texts).await;
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    open.settle("log").await;
    let count = open.rows("log", "SELECT count(*), count(DISTINCT id) FROM t", false).await;
    assert!(count.contains("| 15200    | 15200 "), "{count}");
    let dead = open.rows("log__dead", "SELECT count(*), count(DISTINCT id) FROM t", false).await;
    assert!(dead.contains("| 400 "), "{dead}");
    open.topics.stop().await;
}
