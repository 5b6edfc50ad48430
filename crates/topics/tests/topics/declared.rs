//! A topic's file that is edited while the topic is open.

use naru_base::Problem;
use naru_topics::Incoming;

use crate::world::{Open, World};

async fn declare(world: &World, open: &Open, name: &str, text: &str) -> Result<(), Problem> {
    world.write(name, text);
    let declared = world.declared();
    open.topics.declare(declared.iter().find(|topic| topic.name == name).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_counts_without_a_restart_and_for_later_events_only() {
    let world = World::new(&[("log", "[columns]\nid = \"STRING\"\n")]);
    let open = world.open().await;
    open.send("log", &[r#"{"id": "a", "n": 1}"#, r#"{"id": "a", "n": 1}"#]).await;
    let earlier = open.topics.get("log").unwrap();
    let text = "unknown = \"reject\"\ndedup = { key = \"id\" }\n[columns]\nid = \"STRING\"\nn = \"INT64\"\n";
    declare(&world, &open, "log", text).await.unwrap();
    assert_eq!(open.topics.get("log").unwrap().schema_revision(), 2);
    assert_eq!(open.topics.get("log").unwrap().declared().unwrap().columns.len(), 2);
    let events = [r#"{"id": "a", "n": 2}"#, r#"{"id": "b", "n": 2}"#, r#"{"id": "c", "more": 3}"#];
    let events = events.map(|text| Incoming { data: text.as_bytes().to_vec().into(), ..Incoming::default() });
    // Who holds the handle of before goes on with the same topic.
    open.topics.publish(&earlier, &events).await.unwrap();
    for round in 0..2 {
        open.settle("log").await;
        let rows = open.rows("log", "SELECT id, n, \"_extra\" FROM t ORDER BY id, n", false).await;
        assert!(rows.contains("| a  |   | {\"n\":1} |") && rows.contains("| b  | 2 |         |"), "{round}: {rows}");
        assert_eq!(rows.lines().count(), 7, "{rows}");
        let dead = open.rows("log__dead", "SELECT path, schema_revision FROM t", false).await;
        assert!(dead.contains("| $.more | 2 "), "{dead}");
        open.topics.flush(&earlier).await.unwrap();
    }
    let status = open.topics.status().topics.remove(0);
    assert_eq!((status.published, status.table.unwrap().lost), (5, 0));
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_the_table_cannot_follow_is_refused_and_the_topic_goes_on() {
    let world = World::new(&[("log", "[columns]\nn = \"INT64\"\n")]);
    let open = world.open().await;
    open.send("log", &[r#"{"n": 1}"#]).await;
    let refused = declare(&world, &open, "log", "[columns]\nn = \"NUMERIC\"\n").await.unwrap_err();
    assert_eq!(refused.code, "topics.type_changed");
    assert!(refused.to_string().contains("INT64") && refused.place.is_some(), "{refused}");
    open.send("log", &[r#"{"n": 2}"#]).await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT n FROM t", false).await;
    assert_eq!(rows.lines().count(), 6, "{rows}");
    declare(&world, &open, "log", "[columns]\nn = \"INT64\"\nexact = \"NUMERIC\"\n").await.unwrap();
    open.send("log", &[r#"{"exact": 2.5}"#]).await;
    open.settle("log").await;
    let rows = open.rows("log", "SELECT exact FROM t WHERE exact IS NOT NULL", false).await;
    assert!(rows.contains("2.5"), "{rows}");
    open.topics.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_a_topic_and_a_mended_one_ends_the_waiting() {
    let world = World::new(&[("log", "[columns]\nn = \"INT64\"\n")]);
    let open = world.open().await;
    open.send("log", &[r#"{"n": 1}"#]).await;
    open.topics.stop().await;
    drop(open);
    // At a start there is nothing to go on with: events wait on the log.
    world.write("log", "[columns]\nn = \"STRING\"\n");
    let open = world.open().await;
    open.send("log", &[r#"{"n": 2}"#]).await;
    let log = open.topics.get("log").unwrap();
    assert_eq!(open.topics.settle(&log).await.unwrap_err().code, "topics.type_changed");
    declare(&world, &open, "log", "[columns]\nn = \"INT64\"\n").await.unwrap();
    open.settle("log").await;
    let rows = open.rows("log", "SELECT n FROM t", false).await;
    assert_eq!(rows.lines().count(), 6, "{rows}");
    open.topics.make("later").await.unwrap();
    open.send("later", &[r#"{"n": 1}"#]).await;
    declare(&world, &open, "later", "[columns]\nn = \"INT64\"\n").await.unwrap();
    open.send("later", &[r#"{"n": 2}"#]).await;
    open.settle("later").await;
    let rows = open.rows("later", "SELECT n FROM t", false).await;
    assert_eq!(rows.lines().count(), 6, "{rows}");
    open.topics.stop().await;
}
