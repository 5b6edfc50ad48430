//! The Pub/Sub door: Google's client libraries work unchanged with `PUBSUB_EMULATOR_HOST` set to its address.
//!
//! Owns: gRPC over HTTP/2 without TLS, the translation between Google's messages and topics, and what Google's
//! configuration says that naru keeps for show.
//! Never decides who gets which message when: [`naru_topics::subscribe`] does.
//! Read next: [`publisher`], [`subscriber`], [`stream`]; [`listener`] for connections.

mod convert;
mod fault;
mod listener;
mod mask;
mod names;
mod pages;
mod publisher;
mod stream;
mod subscriber;

use std::{collections::HashMap, sync::Arc};

use naru_store::subscriptions as stored;
use naru_topics::{
    Incoming, Topics,
    subscribe::{Subscription, Subscriptions},
};
use parking_lot::RwLock;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::{Status, service::Routes};

use crate::{
    Door, Listen, ServerError,
    generated::google::pubsub::v1::{
        self as pb, publisher_server::PublisherServer, subscriber_server::SubscriberServer,
    },
};

/// Bytes of one request: ten megabytes of messages and what is around them.
const REQUEST_BYTES_MAX: usize = 12 << 20;
/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 24 << 20;

/// Everything that the calls of this door share. Clones are the same.
#[derive(Debug, Clone)]
struct PubSub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    topics: Topics,
    subscriptions: Subscriptions,
    descriptors: DescriptorPool,
    /// What was said of topics, by name.
    configs: RwLock<HashMap<String, pb::Topic>>,
}

/// Opens the door; `None` when it is off.
///
/// # Errors
/// [`ServerError::Bind`], [`ServerError::NotLoopback`]; [`ServerError::Lost`] when the state cannot be read.
pub async fn serve(listen: Listen, topics: Topics, subscriptions: Subscriptions) -> Result<Option<Door>, ServerError> {
    let Some(bound) = listen.bind("pubsub", false).await? else { return Ok(None) };
    let service = PubSub::open(topics, subscriptions).await?;
    listener::serve(bound, service.routes()).map(Some)
}

impl PubSub {
    async fn open(topics: Topics, subscriptions: Subscriptions) -> Result<Self, ServerError> {
        let lost = |error: String| ServerError::Lost(error);
        let rows = topics.store().read(|db| stored::topic_configs(db)).await;
        let rows = rows.map_err(|error| lost(error.problem().to_string()))?;
        let read = |(name, bytes): (String, Vec<u8>)| Some((name, pb::Topic::decode(bytes.as_slice()).ok()?));
        let configs = RwLock::new(rows.into_iter().filter_map(read).collect());
        let descriptors = mask::descriptors().map_err(|error| lost(error.to_string()))?;
        Ok(Self { inner: Arc::new(Inner { topics, subscriptions, descriptors, configs }) })
    }

    fn routes(&self) -> Routes {
        let publisher = PublisherServer::new(self.clone())
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        let subscriber = SubscriberServer::new(self.clone())
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        Routes::new(publisher).add_service(subscriber).prepare()
    }

    fn topics(&self) -> &Topics {
        &self.inner.topics
    }

    fn subscriptions(&self) -> &Subscriptions {
        &self.inner.subscriptions
    }

    fn descriptors(&self) -> &DescriptorPool {
        &self.inner.descriptors
    }

    /// What was said of a topic beside its name.
    fn topic_config(&self, id: &str) -> pb::Topic {
        self.inner.configs.read().get(id).cloned().unwrap_or_default()
    }

    async fn set_topic_config(&self, id: &str, config: pb::Topic) -> Result<(), Status> {
        let config = pb::Topic { name: String::new(), ..config };
        let (name, bytes) = (id.to_owned(), config.encode_to_vec());
        let written = self.topics().store().write(move |db| stored::set_topic_config(db, &name, &bytes)).await;
        written.map_err(|error| fault::store(&error))?;
        self.inner.configs.write().insert(id.to_owned(), config);
        Ok(())
    }

    async fn remove_topic_config(&self, id: &str) -> Result<(), Status> {
        let name = id.to_owned();
        let removed = self.topics().store().write(move |db| stored::remove_topic_config(db, &name)).await;
        removed.map_err(|error| fault::store(&error))?;
        self.inner.configs.write().remove(id);
        Ok(())
    }

    fn check_topic_config(&self, config: &pb::Topic) -> Result<(), Status> {
        match &config.schema_settings {
            Some(_) => Err(Status::unimplemented("Schemas of topics are not served.")),
            None => Ok(()),
        }
    }

    fn check_schema(&self, _topic: &str, _events: &[Incoming]) -> Result<(), Status> {
        Ok(())
    }

    fn check_push(&self, _config: &pb::Subscription) -> Result<(), Status> {
        Ok(())
    }

    fn pushes(&self, _subscription: &Subscription) {}
}
