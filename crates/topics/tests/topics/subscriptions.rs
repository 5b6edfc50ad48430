//! Subscriptions and snapshots of a topic that is deleted and made again.

use bytes::Bytes;
use naru_topics::subscribe::{NewSubscription, Settings, Subscriptions};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_topic_holds_or_counts_events_of_one_of_its_name() {
    let world = World::new(&[]);
    let open = world.open().await;
    let subscriptions = Subscriptions::open(open.topics.clone()).await.unwrap();
    let topic = open.topics.make("log").await.unwrap();
    let new =
        |name: &str| NewSubscription { name: name.to_owned(), settings: Settings::default(), config: Bytes::new() };
    let reader = subscriptions.create(&topic, new("reader")).await.unwrap();
    open.send("log", &["a", "b"]).await;
    subscriptions.take_snapshot("then", &reader, Bytes::new()).await.unwrap();
    assert_eq!(reader.backlog(), 2);
    subscriptions.topic_removed(&topic).await.unwrap();
    open.topics.remove("log").await.unwrap();
    assert!(subscriptions.snapshots().is_empty(), "its events are gone");
    let again = open.topics.make("log").await.unwrap();
    let other = subscriptions.create(&again, new("other")).await.unwrap();
    open.send("log", &["c", "d", "e"]).await;
    assert_eq!((reader.backlog(), other.backlog()), (0, 3));
    let readers = open.topics.status().topics.remove(0).readers;
    let needed: Vec<u64> = readers.iter().map(|reader| reader.backlog).filter(|backlog| *backlog > 0).collect();
    assert_eq!(needed, [3], "{readers:?}");
    subscriptions.stop().await;
    open.topics.stop().await;
}
