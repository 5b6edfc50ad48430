//! What client libraries hide: pings, flow control, confirmations, error details.

use std::time::Duration;

use naru_server::generated::google::pubsub::v1 as pb;
use naru_topics::subscribe::Limits;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use crate::world::{World, subscription, texts, topic};

/// A stream that the test writes requests into.
struct Stream {
    requests: mpsc::Sender<pb::StreamingPullRequest>,
    responses: Streaming<pb::StreamingPullResponse>,
}

impl Stream {
    async fn open(world: &World, id: &str, change: impl FnOnce(&mut pb::StreamingPullRequest)) -> Result<Self, Status> {
        let mut first = pb::StreamingPullRequest {
            subscription: subscription(id),
            stream_ack_deadline_seconds: 60,
            ..Default::default()
        };
        change(&mut first);
        let (requests, inbound) = mpsc::channel(16);
        requests.send(first).await.unwrap();
        let inbound = futures::stream::unfold(inbound, |mut inbound| async {
            inbound.recv().await.map(|request| (request, inbound))
        });
        let responses = world.subscriber().streaming_pull(inbound).await?.into_inner();
        Ok(Self { requests, responses })
    }

    async fn next(&mut self) -> pb::StreamingPullResponse {
        let next = tokio::time::timeout(Duration::from_mins(1), self.responses.message());
        next.await.expect("a response within a minute").unwrap().expect("an open stream")
    }

    /// Whether nothing comes although the server had every chance: it answers a ping first.
    async fn is_silent(&mut self) -> bool {
        self.requests.send(pb::StreamingPullRequest::default()).await.unwrap();
        self.next().await.received_messages.is_empty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ping_is_answered_when_the_client_expects_it() {
    let mut world = World::new().await;
    world.subscribed("ping", |_| {}).await;
    let mut stream = Stream::open(&world, "ping", |first| first.protocol_version = 1).await.unwrap();
    for _ in 0..3 {
        stream.requests.send(pb::StreamingPullRequest::default()).await.unwrap();
        let answer = stream.next().await;
        assert!(answer.received_messages.is_empty() && answer.subscription_properties.is_some());
    }
    drop(stream);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_never_has_more_unanswered_than_it_asked_for() {
    let mut world = World::new().await;
    world.subscribed("flow", |_| {}).await;
    let mut stream = Stream::open(&world, "flow", |first| {
        first.protocol_version = 1;
        first.max_outstanding_messages = 2;
        first.max_outstanding_bytes = 40;
    })
    .await
    .unwrap();
    world.publish("flow", &["one", "two", "three", "a message that is larger than forty bytes by itself"], "").await;
    let mut first = stream.next().await.received_messages;
    if first.len() < 2 {
        first.extend(stream.next().await.received_messages);
    }
    assert_eq!(texts(&first), ["one", "two"]);
    assert!(stream.is_silent().await, "two are out");
    world.acknowledge("flow", &first[..1]).await.unwrap();
    let third = stream.next().await.received_messages;
    assert_eq!(texts(&third), ["three"]);
    world.acknowledge("flow", &first[1..]).await.unwrap();
    assert!(stream.is_silent().await, "the large one only goes alone");
    world.acknowledge("flow", &third).await.unwrap();
    assert_eq!(texts(&stream.next().await.received_messages).len(), 1);
    drop(stream);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_confirms_what_exactly_once_promises() {
    let mut world = World::new().await;
    world.subscribed("once", |config| config.enable_exactly_once_delivery = true).await;
    let mut stream = Stream::open(&world, "once", |_| {}).await.unwrap();
    world.publish("once", &["one"], "").await;
    let response = stream.next().await;
    assert!(response.subscription_properties.unwrap().exactly_once_delivery_enabled);
    let id = response.received_messages[0].ack_id.clone();
    let request = pb::StreamingPullRequest {
        ack_ids: vec![id.clone(), "nonsense".to_owned()],
        modify_deadline_ack_ids: vec![id.clone()],
        modify_deadline_seconds: vec![30],
        ..Default::default()
    };
    stream.requests.send(request).await.unwrap();
    let confirmed = stream.next().await.acknowledge_confirmation.unwrap();
    assert_eq!((confirmed.ack_ids, confirmed.invalid_ack_ids), (vec![id.clone()], vec!["nonsense".to_owned()]));
    let modified = stream.next().await.modify_ack_deadline_confirmation.unwrap();
    assert_eq!(modified.invalid_ack_ids, [id], "it is acknowledged, so nobody has it");
    drop(stream);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_with_googles_codes() {
    let mut world = World::new().await;
    world.subscribed("codes", |_| {}).await;
    let mut publisher = world.publisher();
    let publish = |count: usize, message: pb::PubsubMessage| pb::PublishRequest {
        topic: topic("codes"),
        messages: vec![message; count],
    };
    let full = pb::PubsubMessage { data: "x".into(), ..Default::default() };
    let large = pb::PubsubMessage { data: vec![0; 10 << 20].into(), ..Default::default() };
    assert_eq!(publisher.publish(publish(1000, full.clone())).await.unwrap().into_inner().message_ids.len(), 1000);
    for (request, why) in [
        (publish(0, full.clone()), "no message"),
        (publish(1001, full.clone()), "too many"),
        (publish(1, pb::PubsubMessage::default()), "an empty one"),
        (publish(1, large), "too large"),
    ] {
        assert_eq!(publisher.publish(request).await.unwrap_err().code(), Code::InvalidArgument, "{why}");
    }
    let mut subscriber = world.subscriber();
    let config = |name: &str, filter: &str| pb::Subscription {
        name: subscription(name),
        topic: topic("codes"),
        filter: filter.to_owned(),
        ..Default::default()
    };
    let made = subscriber.create_subscription(config("codes", "")).await;
    assert_eq!(made.unwrap_err().code(), Code::AlreadyExists);
    let made = subscriber.create_subscription(config("other", "kind = 1")).await;
    assert_eq!(made.unwrap_err().code(), Code::InvalidArgument);
    let opened = Stream::open(&world, "nobody", |_| {}).await;
    assert_eq!(opened.err().unwrap().code(), Code::NotFound);
    let opened = Stream::open(&world, "codes", |first| first.stream_ack_deadline_seconds = 5).await;
    assert_eq!(opened.err().unwrap().code(), Code::InvalidArgument);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_confirmed_comes_again_and_nothing_else_is_lost_over_restarts() {
    let mut world = World::new().await;
    world.subscribed("kept", |config| config.enable_exactly_once_delivery = true).await;
    let ids = world.publish("kept", &["one", "two", "three"], "").await;
    let first = world.pull("kept", 3).await;
    assert_eq!(texts(&first), ["one", "two", "three"]);
    world.acknowledge("kept", &first[1..2]).await.unwrap();
    world.restart().await;
    let stale = world.acknowledge("kept", &first[..1]).await.unwrap_err();
    assert_eq!(stale.code(), Code::InvalidArgument, "leases end with the process");
    let again = world.pull("kept", 3).await;
    assert_eq!(texts(&again), ["one", "three"]);
    let shown: Vec<String> = again.iter().map(|one| one.message.clone().unwrap().message_id).collect();
    assert_eq!(shown, [ids[0].clone(), ids[2].clone()]);
    world.acknowledge("kept", &again).await.unwrap();
    world.restart().await;
    assert_eq!(world.subscriptions.get("kept").unwrap().backlog(), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_of_a_deleted_topic_gets_nothing_of_another_with_its_name() {
    let mut world = World::new().await;
    world.subscribed("orders", |_| {}).await;
    let request = pb::DeleteTopicRequest { topic: topic("orders") };
    world.publisher().delete_topic(request).await.unwrap();
    let again = pb::Topic { name: topic("orders"), ..Default::default() };
    world.publisher().create_topic(again).await.unwrap();
    world.publish("orders", &["other"], "").await;
    world.restart().await;
    let held = world.subscriptions.get("orders").unwrap();
    let limits = Limits {
        messages_max: 9,
        bytes_max: 1 << 20,
        outstanding_messages_max: 9,
        outstanding_bytes_max: 1 << 20,
        deadline_s: 10,
    };
    assert!(held.settings().topic_deleted);
    assert!(held.receiver().take(limits).await.unwrap().is_empty());
    world.stop().await;
}
