//! Tokens and TLS at the Pub/Sub door: what a token opens, and Google's libraries over TLS with one.

use std::process::Command;

use naru_access::Tokens;
use naru_project::{IntakeSettings, Keys};
use naru_server::{Tls, generated::google::pubsub::v1 as pb};
use naru_testkit::{Folder, node, python};
use reqwest::Client;
use serde_json::json;
use tonic::{Code, Request};

use crate::world::{NODE, PYTHON, World, ends_well, subscription, topic};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pubsub");

fn required() -> IntakeSettings {
    IntakeSettings { keys: Keys::Required, ..IntakeSettings::default() }
}

/// A certificate for loopback that signs itself.
fn certificate(folder: &Folder) -> Tls {
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem";
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace()).current_dir(folder.path());
    let made = command.output().expect("run openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Tls { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
}

/// A token of a world with keys.
async fn token(world: &World, name: &str, sends: &[&str], receives: &[&str]) -> String {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let tokens = Tokens::new(world.topics.store().clone());
    let made = tokens.issue_sender(name, "kim", None, &texts(sends), &texts(receives)).await.unwrap();
    made.secret.expose().to_owned()
}

/// A call with a token.
fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn publishing(id: &str) -> pb::PublishRequest {
    let messages = vec![pb::PubsubMessage { data: "x".into(), ..Default::default() }];
    pb::PublishRequest { topic: topic(id), messages }
}

fn pulling(id: &str) -> pb::PullRequest {
    #[allow(deprecated)]
    let now = pb::PullRequest { return_immediately: true, ..Default::default() };
    pb::PullRequest { subscription: subscription(id), max_messages: 10, ..now }
}

fn subscribing(id: &str, to: &str) -> pb::Subscription {
    pb::Subscription { name: subscription(id), topic: topic(to), ..Default::default() }
}

/// How a call was refused; the message without the name that was asked for.
fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>, name: &str) -> (Code, String) {
    let status = answer.expect_err("it is refused");
    let text = if name.is_empty() { status.message().to_owned() } else { status.message().replace(name, "?") };
    (status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_opened_where_tokens_are_required() {
    let mut world = World::secured(None, required()).await;
    world.topics.make("orders").await.unwrap();
    let viewer = Tokens::new(world.topics.store().clone()).issue("bi", "kim", None).await.unwrap().secret;
    let none = world.publisher().publish(publishing("orders")).await;
    assert_eq!(none.unwrap_err().code(), Code::Unauthenticated);
    for wrong in ["naru_wrong", "ya29.google", viewer.expose()] {
        let answer = world.publisher().publish(with(wrong, publishing("orders"))).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{wrong}");
    }
    let path = format!("http://{}/v1/projects/acme/topics/orders:publish", world.address);
    let answer =
        Client::new().post(path).body(json!({"messages": [{"data": "aGk="}]}).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let key = Client::new().get(format!("http://{}/.well-known/jwks.json", world.address)).send().await.unwrap();
    assert_eq!(key.status(), 200, "receivers of pushes read the key without a token");
    assert_eq!(world.topics.log().bounds(world.topics.get("orders").unwrap().number()).end, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_sends_to_its_topic_and_all_others_are_not_there() {
    let mut world = World::secured(None, required()).await;
    for id in ["orders", "secret"] {
        world.topics.make(id).await.unwrap();
    }
    let token = token(&world, "web", &["orders"], &[]).await;
    let (mut publisher, mut subscriber) = (world.publisher(), world.subscriber());
    let answer = publisher.publish(with(&token, publishing("orders"))).await.unwrap();
    assert_eq!(answer.into_inner().message_ids, ["0"]);
    let forbidden = refused(publisher.publish(with(&token, publishing("secret"))).await, "secret");
    assert_eq!(forbidden, refused(publisher.publish(with(&token, publishing("nothing"))).await, "nothing"));
    assert_eq!(forbidden.0, Code::NotFound);
    let listed = publisher
        .list_topics(with(&token, pb::ListTopicsRequest { project: "projects/acme".into(), ..Default::default() }));
    let listed: Vec<String> = listed.await.unwrap().into_inner().topics.into_iter().map(|topic| topic.name).collect();
    assert_eq!(listed, [topic("orders")]);
    let made = publisher.create_topic(with(&token, pb::Topic { name: topic("more"), ..Default::default() })).await;
    assert_eq!(refused(made, "").0, Code::PermissionDenied);
    let subscribed = subscriber.create_subscription(with(&token, subscribing("mine", "orders"))).await;
    let (code, text) = refused(subscribed, "");
    assert!(code == Code::PermissionDenied && text.contains("--receive orders"), "{text}");
    let rest = Client::new().post(format!("http://{}/v1/projects/acme/topics/orders:publish", world.address));
    let rest = rest.bearer_auth(&token).body(json!({"messages": [{"data": "aGk="}]}).to_string());
    assert_eq!(rest.send().await.unwrap().status(), 200, "REST takes the same token");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_uses_subscriptions_of_its_topic_and_all_others_are_not_there() {
    let mut world = World::secured(None, required()).await;
    for id in ["orders", "secret"] {
        world.topics.make(id).await.unwrap();
    }
    let (worker, other) =
        (token(&world, "worker", &[], &["orders"]).await, token(&world, "other", &["orders"], &["secret"]).await);
    let (mut publisher, mut subscriber) = (world.publisher(), world.subscriber());
    subscriber.create_subscription(with(&worker, subscribing("mine", "orders"))).await.unwrap();
    subscriber.create_subscription(with(&other, subscribing("theirs", "secret"))).await.unwrap();
    publisher.publish(with(&other, publishing("orders"))).await.unwrap();
    let pulled = subscriber.pull(with(&worker, pulling("mine"))).await.unwrap().into_inner().received_messages;
    assert_eq!(pulled.len(), 1);
    let ack = pb::AcknowledgeRequest { subscription: subscription("mine"), ack_ids: vec![pulled[0].ack_id.clone()] };
    subscriber.acknowledge(with(&worker, ack)).await.unwrap();
    assert_eq!(refused(publisher.publish(with(&worker, publishing("orders"))).await, "").0, Code::PermissionDenied);
    let forbidden = refused(subscriber.pull(with(&worker, pulling("theirs"))).await, "theirs");
    assert_eq!(forbidden, refused(subscriber.pull(with(&worker, pulling("nothing"))).await, "nothing"));
    let deleted = pb::DeleteSubscriptionRequest { subscription: subscription("theirs") };
    assert_eq!(refused(subscriber.delete_subscription(with(&worker, deleted)).await, "theirs").0, Code::NotFound);
    let all = pb::ListSubscriptionsRequest { project: "projects/acme".into(), ..Default::default() };
    let listed = subscriber.list_subscriptions(with(&worker, all)).await.unwrap().into_inner().subscriptions;
    assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [subscription("mine")]);
    let pushes = pb::Subscription {
        push_config: Some(pb::PushConfig { push_endpoint: "http://127.0.0.1:1/".into(), ..Default::default() }),
        ..subscribing("pushes", "orders")
    };
    assert_eq!(refused(subscriber.create_subscription(with(&worker, pushes)).await, "").0, Code::PermissionDenied);
    let policy = pb::DeadLetterPolicy { dead_letter_topic: topic("secret"), max_delivery_attempts: 5 };
    let reaches = pb::Subscription { dead_letter_policy: Some(policy), ..subscribing("reaches", "orders") };
    assert_eq!(refused(subscriber.create_subscription(with(&worker, reaches)).await, "").0, Code::NotFound);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_when_its_token_is_revoked() {
    let mut world = World::secured(None, required()).await;
    world.topics.make("orders").await.unwrap();
    let worker = token(&world, "worker", &[], &["orders"]).await;
    let mut subscriber = world.subscriber();
    subscriber.create_subscription(with(&worker, subscribing("mine", "orders"))).await.unwrap();
    let first = pb::StreamingPullRequest {
        subscription: subscription("mine"),
        stream_ack_deadline_seconds: 60,
        ..Default::default()
    };
    let requests = futures::StreamExt::chain(futures::stream::iter([first]), futures::stream::pending());
    let mut stream = subscriber.streaming_pull(with(&worker, requests)).await.unwrap().into_inner();
    Tokens::new(world.topics.store().clone()).revoke("worker").await.unwrap();
    let ended = stream.message().await.expect_err("the stream ends");
    assert_eq!(ended.code(), Code::Unauthenticated);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_too_fast_is_told_to_wait() {
    let settings = IntakeSettings { rate: Some(5), ..required() };
    let mut world = World::secured(None, settings).await;
    world.topics.make("orders").await.unwrap();
    let token = token(&world, "web", &["orders"], &[]).await;
    let mut many = publishing("orders");
    many.messages = vec![many.messages[0].clone(); 200];
    world.publisher().publish(with(&token, many)).await.unwrap();
    let again = world.publisher().publish(with(&token, publishing("orders"))).await;
    assert_eq!(again.unwrap_err().code(), Code::ResourceExhausted);
    world.stop().await;
}

/// A world with TLS and tokens, and what a library is told of it: the address, the token, the certificate.
async fn over_tls() -> (World, [String; 3]) {
    let world = World::secured(Some(certificate), required()).await;
    world.topics.make("orders").await.unwrap();
    let token = token(&world, "app", &["orders"], &["orders"]).await;
    let told = [world.address.to_string(), token, world.folder.join("cert.pem").display().to_string()];
    (world, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_library_for_python_works_over_tls_with_a_token() {
    let (mut world, told) = over_tls().await;
    let interpreter = tokio::task::spawn_blocking(|| python::venv(PYTHON)).await.unwrap();
    let mut command = Command::new(interpreter);
    command.arg(format!("{SCRIPTS}/secure.py")).args(&told).env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &told[2]);
    assert_eq!(ends_well(command).await.trim().lines().last(), Some("done"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_library_for_node_works_over_tls_with_a_token() {
    let (mut world, told) = over_tls().await;
    let script = std::fs::read_to_string(format!("{SCRIPTS}/secure.cjs")).unwrap();
    let (roots, words) = (told[2].clone(), told.to_vec());
    let made = tokio::task::spawn_blocking(move || node::command(NODE, &script, &words)).await;
    let mut command = made.unwrap();
    command.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", roots);
    assert_eq!(ends_well(command).await.trim().lines().last(), Some("done"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_on_this_machine_that_speaks_no_tls_is_served_beside_those_that_do() {
    let mut world = World::secured(Some(certificate), IntakeSettings::default()).await;
    world.subscribed("orders", |_| {}).await;
    let path = format!("https://{}/v1/projects/acme/topics/orders", world.address);
    let client = Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    assert_eq!(client.get(path).send().await.unwrap().status(), 200);
    world.stop().await;
}
