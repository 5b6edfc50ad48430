//! The Pub/Sub door: Google's client libraries work unchanged with `PUBSUB_EMULATOR_HOST` set to its address.
//!
//! Owns: gRPC over HTTP/2, REST on the same port, with TLS and tokens or, on this machine, without, the translation between Google's messages and topics, and what Google's
//! configuration says that naru keeps for show.
//! Never decides who gets which message when: [`naru_topics::subscribe`] does.
//! Read next: [`publisher`], [`subscriber`], [`stream`]; [`listener`] for connections.

mod caller;
mod convert;
mod fault;
mod gate;
mod iam;
mod listener;
mod mask;
mod names;
mod pages;
mod publisher;
mod push;
pub mod rest;
pub mod schemas;
mod stream;
mod subscriber;

use std::{collections::HashMap, sync::Arc};

use axum::{Router, extract::Request, middleware::from_fn_with_state};
use naru_project::{IntakeSettings, Keys};
use naru_store::subscriptions as stored;
use naru_topics::{Topics, subscribe::Subscriptions};
use parking_lot::RwLock;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::{Status, service::Routes};

use gate::Gate;
use push::{PushKey, Pushes};
use rest::Rest;
use schemas::Schemas;

use crate::{
    Door, Doorway, ServerError,
    generated::google::{
        iam::v1::iam_policy_server::IamPolicyServer,
        pubsub::v1::{
            self as pb, publisher_server::PublisherServer, schema_service_server::SchemaServiceServer,
            subscriber_server::SubscriberServer,
        },
    },
    ingest::{KeyBook, Senders},
};

/// Bytes of one request: ten megabytes of messages and what is around them.
const REQUEST_BYTES_MAX: usize = 12 << 20;
/// Bytes of one request about subscriptions: ten thousand acknowledgements. A stream may be in the middle of one.
const ASK_BYTES_MAX: usize = 4 << 20;
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
    pushes: Pushes,
    schemas: Schemas,
    gate: Gate,
}

/// Opens the door; `None` when it is off. With a certificate it may listen beyond loopback; `keys` say whether a token
/// is needed, and how fast its bearer may send.
///
/// # Errors
/// [`ServerError::Bind`], [`ServerError::NotLoopback`], [`ServerError::Certificate`]; [`ServerError::Lost`] when the state cannot be read.
pub async fn serve(
    doorway: Doorway,
    topics: Topics,
    subscriptions: Subscriptions,
    keys: (KeyBook, IntakeSettings),
) -> Result<Option<Door>, ServerError> {
    let doorway = Doorway { limits: listener::limits(doorway.limits), ..doorway };
    let builder = listener::http(&doorway.limits);
    let Some(mut entrance) = doorway.bind("pubsub", &[b"h2", b"http/1.1"]).await? else { return Ok(None) };
    // Programs on this machine that know an emulator's address only speak no TLS.
    entrance.plain_too = entrance.address.ip().is_loopback();
    let (book, settings) = keys;
    let gate = Gate::new(Senders::new(book, settings.keys == Keys::Required, settings.rate));
    let scheme = if entrance.has_tls() { "https" } else { "http" };
    let service = PubSub::open(topics, subscriptions, format!("{scheme}://{}", entrance.address), gate).await?;
    service.subscriptions().list().iter().for_each(|subscription| service.pushes().follow(subscription));
    Ok(Some(entrance.serve(service.router(), builder)))
}

impl PubSub {
    async fn open(
        topics: Topics,
        subscriptions: Subscriptions,
        issuer: String,
        gate: Gate,
    ) -> Result<Self, ServerError> {
        let lost = |error: String| ServerError::Lost(error);
        let rows = topics.store().read(|db| stored::topic_configs(db)).await;
        let rows = rows.map_err(|error| lost(error.problem().to_string()))?;
        let read = |(name, bytes): (String, Vec<u8>)| Some((name, pb::Topic::decode(bytes.as_slice()).ok()?));
        let configs = RwLock::new(rows.into_iter().filter_map(read).collect());
        let descriptors = mask::descriptors().map_err(|error| lost(error.to_string()))?;
        let key = PushKey::open(topics.store(), issuer).await.map_err(|error| lost(error.problem().to_string()))?;
        let schemas = Schemas::open(topics.store()).await.map_err(|error| lost(error.problem().to_string()))?;
        let pushes = Pushes::new(key, topics.project().to_owned()).map_err(|error| lost(error.to_string()))?;
        Ok(Self { inner: Arc::new(Inner { topics, subscriptions, descriptors, configs, pushes, schemas, gate }) })
    }

    /// gRPC by its paths, and REST for everything else.
    fn router(&self) -> Router {
        let routes = self.routes();
        let rest = Rest::new(self.descriptors(), routes.clone(), self.pushes().key().clone());
        routes
            .into_axum_router()
            .fallback(move |request: Request| rest.clone().answer(request))
            .layer(from_fn_with_state(self.inner.gate.clone(), gate::pass))
    }

    fn routes(&self) -> Routes {
        let publisher = PublisherServer::new(self.clone())
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        let subscriber = SubscriberServer::new(self.clone())
            .max_decoding_message_size(ASK_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        Routes::new(publisher)
            .add_service(subscriber)
            .add_service(IamPolicyServer::new(self.clone()))
            .add_service(SchemaServiceServer::new(self.clone()))
            .prepare()
    }

    fn topics(&self) -> &Topics {
        &self.inner.topics
    }

    fn subscriptions(&self) -> &Subscriptions {
        &self.inner.subscriptions
    }

    fn schemas(&self) -> &Schemas {
        &self.inner.schemas
    }

    fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    fn pushes(&self) -> &Pushes {
        &self.inner.pushes
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
}

/// Runs what takes long on a thread where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Status::internal("a check that did not end"))?
}
