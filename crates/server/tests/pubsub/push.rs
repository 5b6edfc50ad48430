//! Push subscriptions against an endpoint that refuses at first.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use naru_server::generated::google::pubsub::v1::{self as pb, push_config};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::{World, subscription};

type Seen = (HeaderMap, Bytes);

#[derive(Clone)]
struct Endpoint {
    refuse: Arc<Mutex<usize>>,
    seen: mpsc::UnboundedSender<Seen>,
}

async fn take(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> StatusCode {
    {
        let mut refuse = endpoint.refuse.lock();
        if *refuse > 0 {
            *refuse -= 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    endpoint.seen.send((headers, body)).unwrap();
    StatusCode::NO_CONTENT
}

/// An endpoint that refuses so often first; its address and what it took.
async fn endpoint(refuse: usize) -> (String, mpsc::UnboundedReceiver<Seen>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    let (seen, taken) = mpsc::unbounded_channel();
    let router =
        Router::new().route("/push", post(take)).with_state(Endpoint { refuse: Arc::new(Mutex::new(refuse)), seen });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, taken)
}

async fn next(taken: &mut mpsc::UnboundedReceiver<Seen>) -> Seen {
    tokio::time::timeout(Duration::from_mins(1), taken.recv()).await.expect("a push within a minute").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_pushed_in_order_with_a_token_until_they_are_taken() {
    let mut world = World::new().await;
    let (url, mut taken) = endpoint(3).await;
    let token = push_config::OidcToken { service_account_email: "push@acme".to_owned(), audience: String::new() };
    let config = pb::PushConfig {
        push_endpoint: url.clone(),
        authentication_method: Some(push_config::AuthenticationMethod::OidcToken(token)),
        ..Default::default()
    };
    world
        .subscribed("pushed", |made| {
            made.push_config = Some(config);
            made.enable_message_ordering = true;
        })
        .await;
    let texts: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let ids = world.publish("pushed", &texts.iter().map(String::as_str).collect::<Vec<_>>(), "key").await;
    for (n, id) in ids.iter().enumerate() {
        let (headers, body) = next(&mut taken).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["message"]["messageId"], &body["message"]["orderingKey"]),
            (&json!(id), &json!("key")),
            "{n}"
        );
        assert_eq!(body["subscription"], json!("projects/acme/subscriptions/pushed"));
        let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        let keys = reqwest::get(format!("http://{}/.well-known/jwks.json", world.address)).await.unwrap();
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&keys.bytes().await.unwrap()).unwrap();
        let key = keys.find(&jsonwebtoken::decode_header(&token).unwrap().kid.unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        validation.set_audience(&[&url]);
        let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
        let claims = jsonwebtoken::decode::<HashMap<String, Value>>(&token, &key, &validation).unwrap().claims;
        assert_eq!(claims["email"], json!("push@acme"));
    }
    let pulled = pb::PullRequest { subscription: subscription("pushed"), max_messages: 1, ..Default::default() };
    let refused = world.subscriber().pull(pulled).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_changes_to_bare_pushes_and_back_to_pulling() {
    let mut world = World::new().await;
    let (url, mut taken) = endpoint(0).await;
    world.subscribed("bare", |_| {}).await;
    let change = |config: pb::PushConfig| pb::ModifyPushConfigRequest {
        subscription: subscription("bare"),
        push_config: Some(config),
    };
    let bare = pb::PushConfig {
        push_endpoint: url,
        wrapper: Some(push_config::Wrapper::NoWrapper(push_config::NoWrapper { write_metadata: true })),
        ..Default::default()
    };
    let wrong = pb::PushConfig { push_endpoint: "ftp://acme".to_owned(), ..Default::default() };
    assert_eq!(
        world.subscriber().modify_push_config(change(wrong)).await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );
    world.subscriber().modify_push_config(change(bare)).await.unwrap();
    let ids = world.publish("bare", &["hello"], "").await;
    let (headers, body) = next(&mut taken).await;
    assert_eq!((&body[..], headers["x-goog-pubsub-message-id"].to_str().unwrap()), (&b"hello"[..], ids[0].as_str()));
    world.restart().await;
    world.publish("bare", &["again"], "").await;
    // The first may come again: its answer was on the way when naru stopped.
    let mut body = next(&mut taken).await.1;
    while body == "hello" {
        body = next(&mut taken).await.1;
    }
    assert_eq!(&body[..], b"again", "it pushes on after a restart");
    world.subscriber().modify_push_config(change(pb::PushConfig::default())).await.unwrap();
    world.publish("bare", &["pulled"], "").await;
    assert_eq!(world.pull("bare", 1).await.len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_takes_longer_than_a_lease_is_pushed_once() {
    let mut world = World::new().await;
    let (seen, mut taken) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let push_endpoint = format!("http://{}/push", listener.local_addr().unwrap());
    let push = move |body: Bytes| {
        let seen = seen.clone();
        async move {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let id: u64 = body["message"]["messageId"].as_str().unwrap().parse().unwrap();
            seen.send(id).unwrap();
            // The first are quick, so that eight are taken together then; a lease is 10 s.
            if id >= 7 {
                tokio::time::sleep(Duration::from_millis(2_500)).await;
            }
            StatusCode::NO_CONTENT
        }
    };
    let router = Router::new().route("/push", post(push));
    tokio::spawn(async move { axum::serve(listener, router).await });
    world
        .subscribed("slow", |made| {
            made.push_config = Some(pb::PushConfig { push_endpoint, ..Default::default() });
            made.enable_message_ordering = true;
        })
        .await;
    let texts: Vec<String> = (0..15).map(|n| n.to_string()).collect();
    world.publish("slow", &texts.iter().map(String::as_str).collect::<Vec<_>>(), "key").await;
    let subscription = world.subscriptions.get("slow").unwrap();
    let done = async {
        while subscription.backlog() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(3), done).await.expect("all are taken");
    let mut ids = Vec::new();
    while let Ok(id) = taken.try_recv() {
        ids.push(id);
    }
    assert_eq!(ids, (0..15).collect::<Vec<u64>>(), "each once, in order");
    world.stop().await;
}
