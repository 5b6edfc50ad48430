//! A Pub/Sub door over a temporary folder, which can be closed and opened again at the same address.

use std::{net::SocketAddr, path::Path, process::Command};

use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use jiff::tz::TimeZone;
use naru_access::{Policy, Tokens};
use naru_lake::{Lake, LakeSettings};
use naru_project::IntakeSettings;
use naru_server::{Door, Doorway, Listen, Tls, generated::google::pubsub::v1 as pb, ingest::KeyBook};
use naru_store::Store;
use naru_testkit::Folder;
use naru_topics::{Topics, TopicsSettings, log::LogSettings, subscribe::Subscriptions};
use tonic::body::Body;

use crate::generated::clients::{publisher_client::PublisherClient, subscriber_client::SubscriberClient};

pub type Channel = Client<HttpConnector, Body>;

/// The released Python client.
pub const PYTHON: &[&str] = &["google-cloud-pubsub==2.44.0"];
/// The released Node.js client.
pub const NODE: &[&str] = &["@google-cloud/pubsub@5.3.1"];

pub struct World {
    pub folder: Folder,
    pub door: Option<Door>,
    pub topics: Topics,
    pub subscriptions: Subscriptions,
    pub address: SocketAddr,
    tls: Option<Tls>,
    settings: IntakeSettings,
}

impl World {
    pub async fn new() -> Self {
        Self::secured(None, IntakeSettings::default()).await
    }

    /// With a certificate in its folder (made by `certificate`), and these settings of keys.
    pub async fn secured(certificate: Option<fn(&Folder) -> Tls>, settings: IntakeSettings) -> Self {
        let folder = Folder::new("pubsub");
        let tls = certificate.map(|make| make(&folder));
        let (door, topics, subscriptions) = open(folder.path(), "127.0.0.1:0", tls.clone(), &settings).await;
        let address = door.address;
        Self { folder, door: Some(door), topics, subscriptions, address, tls, settings }
    }

    /// Stops everything in order, and opens it again at the same address.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (door, topics, subscriptions) =
            open(self.folder.path(), &self.address.to_string(), self.tls.clone(), &self.settings).await;
        (self.door, self.topics, self.subscriptions) = (Some(door), topics, subscriptions);
    }

    pub async fn stop(&mut self) {
        self.subscriptions.stop().await;
        if let Some(door) = self.door.take() {
            door.close().await;
        }
        self.topics.stop().await;
    }

    fn channel(&self) -> (Channel, tonic::codegen::http::Uri) {
        let client = Client::builder(TokioExecutor::new()).timer(TokioTimer::new()).http2_only(true).build_http();
        (client, format!("http://{}", self.address).parse().unwrap())
    }

    pub fn publisher(&self) -> PublisherClient<Channel> {
        let (channel, origin) = self.channel();
        PublisherClient::with_origin(channel, origin)
    }

    pub fn subscriber(&self) -> SubscriberClient<Channel> {
        let (channel, origin) = self.channel();
        SubscriberClient::with_origin(channel, origin)
    }

    /// Makes a topic with one subscription of the same id.
    pub async fn subscribed(&self, id: &str, change: impl FnOnce(&mut pb::Subscription)) {
        let topic = pb::Topic { name: topic(id), ..Default::default() };
        self.publisher().create_topic(topic).await.unwrap();
        let mut config = pb::Subscription { name: subscription(id), topic: self::topic(id), ..Default::default() };
        change(&mut config);
        self.subscriber().create_subscription(config).await.unwrap();
    }

    pub async fn publish(&self, id: &str, texts: &[&str], key: &str) -> Vec<String> {
        let message = |text: &&str| pb::PubsubMessage {
            data: (*text).to_owned().into(),
            ordering_key: key.to_owned(),
            ..Default::default()
        };
        let request = pb::PublishRequest { topic: topic(id), messages: texts.iter().map(message).collect() };
        self.publisher().publish(request).await.unwrap().into_inner().message_ids
    }

    pub async fn pull(&self, id: &str, most: i32) -> Vec<pb::ReceivedMessage> {
        let request = pb::PullRequest { subscription: subscription(id), max_messages: most, ..Default::default() };
        self.subscriber().pull(request).await.unwrap().into_inner().received_messages
    }

    pub async fn acknowledge(&self, id: &str, messages: &[pb::ReceivedMessage]) -> Result<(), tonic::Status> {
        let ack_ids = messages.iter().map(|message| message.ack_id.clone()).collect();
        let request = pb::AcknowledgeRequest { subscription: subscription(id), ack_ids };
        self.subscriber().acknowledge(request).await.map(|_| ())
    }
}

pub fn topic(id: &str) -> String {
    format!("projects/acme/topics/{id}")
}

pub fn subscription(id: &str) -> String {
    format!("projects/acme/subscriptions/{id}")
}

pub fn texts(messages: &[pb::ReceivedMessage]) -> Vec<String> {
    let text =
        |message: &pb::ReceivedMessage| String::from_utf8(message.message.clone().unwrap().data.to_vec()).unwrap();
    messages.iter().map(text).collect()
}

async fn open(
    folder: &Path,
    address: &str,
    tls: Option<Tls>,
    intake: &IntakeSettings,
) -> (Door, Topics, Subscriptions) {
    let state = folder.join(".naru");
    std::fs::create_dir_all(&state).unwrap();
    let lake = LakeSettings { location: "lake".into(), base: folder.to_owned(), cache: state.join("cache") };
    let settings = TopicsSettings {
        project: "acme".into(),
        zone: TimeZone::UTC,
        folder: state.join("topics"),
        declared: Vec::new(),
        store: Store::open(&state.join("naru.db")).unwrap(),
        lake: Lake::open(lake).await.unwrap(),
        live: naru_lake::live::LiveSettings::default(),
        log: LogSettings { segment_bytes: 32 << 20, free_min: 0, ..LogSettings::default() },
    };
    let topics = Topics::open(settings).await.unwrap();
    let subscriptions = Subscriptions::open(topics.clone()).await.unwrap();
    let tokens = Tokens::new(topics.store().clone());
    let book = KeyBook { tokens, policy: Policy::default(), proxies: Vec::new() };
    let keys = (book, intake.clone());
    let doorway = Doorway::from(address.parse::<Listen>().unwrap()).with_tls(tls);
    let door = naru_server::pubsub::serve(doorway, topics.clone(), subscriptions.clone(), keys).await;
    (door.unwrap().unwrap(), topics, subscriptions)
}

/// Runs a command to its end without holding up the server that it talks to.
pub async fn ends_well(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}
