//! `google.pubsub.v1.Publisher`: topics and publishing.
//!
//! Owns: translating its calls. What a topic's configuration says beyond schema and labels is kept and shown, not
//! used.

use naru_topics::{Incoming, TopicHandle, subscribe::Subscription};
use tonic::{Request, Response, Status};

use super::{
    PubSub, blocking,
    caller::Caller,
    convert, fault, mask,
    names::{self, Kind},
    pages,
    subscriber::config,
};
use crate::generated::google::pubsub::v1::{self as pb, publisher_server::Publisher};

/// Messages of one publish.
const MESSAGES_MAX: usize = 1000;
/// Bytes of one publish, as Google counts them.
const PUBLISH_BYTES_MAX: usize = 10 << 20;
/// Messages of more bytes are checked by a schema on a thread of their own.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// What an update cannot change.
const FIXED: &[&str] = &["name", "state", "satisfies_pzs"];

impl PubSub {
    /// A topic that is there for the caller.
    pub(super) fn topic(&self, caller: &Caller, id: &str) -> Result<TopicHandle, Status> {
        self.topics().get(id).filter(|_| caller.sees(id)).ok_or_else(|| fault::missing(id))
    }

    /// A topic as `project` sees it.
    fn topic_shown(&self, project: &str, id: &str) -> pb::Topic {
        let mut shown = self.topic_config(id);
        shown.name = names::write(project, Kind::Topics, id);
        shown.state = i32::from(pb::topic::State::Active);
        shown
    }

    fn subscriptions_of(&self, topic: &TopicHandle) -> Vec<Subscription> {
        let of_it = |subscription: &Subscription| {
            let settings = subscription.settings();
            subscription.topic() == topic.number() && !settings.topic_deleted && !settings.detached
        };
        self.subscriptions().list().into_iter().filter(of_it).collect()
    }

    async fn published(&self, caller: &Caller, request: pb::PublishRequest) -> Result<pb::PublishResponse, Status> {
        let name = names::read(Kind::Topics, &request.topic)?.id;
        caller.must_send(name)?;
        let topic = self.topic(caller, name)?;
        let count = request.messages.len();
        if count == 0 {
            return Err(convert::invalid(
                "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1.",
            ));
        }
        if count > MESSAGES_MAX {
            return Err(Status::invalid_argument(format!(
                "The value for message_count is too large. You passed {count} in the request, but the maximum value is {MESSAGES_MAX}."
            )));
        }
        let bytes = prost::Message::encoded_len(&request);
        if bytes > PUBLISH_BYTES_MAX {
            return Err(Status::invalid_argument(format!(
                "Request payload size exceeds the limit: {PUBLISH_BYTES_MAX} bytes."
            )));
        }
        let passed = self.gate().senders().pass(caller.sender(), topic.number(), count);
        passed.map_err(|wait| Status::resource_exhausted(format!("Too many messages a second; wait {wait} s.")))?;
        let events = self.prepared(&topic, request.messages, bytes).await?;
        let first = self.topics().publish(&topic, &events).await.map_err(|error| fault::publish(&error))?;
        let end = first.saturating_add(naru_base::number::u64_from(count));
        Ok(pb::PublishResponse { message_ids: (first..end).map(|offset| offset.to_string()).collect() })
    }

    /// Messages as events, checked by the topic's schema; many bytes of them on a thread of their own, so that others
    /// are not held up.
    async fn prepared(
        &self,
        topic: &TopicHandle,
        messages: Vec<pb::PubsubMessage>,
        bytes: usize,
    ) -> Result<Vec<Incoming>, Status> {
        let mut events = messages.into_iter().map(convert::incoming).collect::<Result<Vec<_>, _>>()?;
        if bytes <= INLINE_BYTES_MAX {
            self.check_schema(topic.name(), &mut events)?;
            return Ok(events);
        }
        let (service, topic) = (self.clone(), topic.clone());
        blocking(move || service.check_schema(topic.name(), &mut events).map(|()| events)).await
    }
}

#[tonic::async_trait]
impl Publisher for PubSub {
    async fn create_topic(&self, request: Request<pb::Topic>) -> Result<Response<pb::Topic>, Status> {
        let caller = Caller::of(request.extensions())?;
        caller.must_manage("make topics")?;
        let config = request.into_inner();
        let name = names::new(Kind::Topics, &config.name)?;
        let (project, id) = (name.project.to_owned(), name.id.to_owned());
        self.check_topic_config(&config)?;
        self.topics().make(&id).await.map_err(|error| fault::topic(&error))?;
        self.set_topic_config(&id, config).await?;
        Ok(Response::new(self.topic_shown(&project, &id)))
    }

    async fn update_topic(&self, request: Request<pb::UpdateTopicRequest>) -> Result<Response<pb::Topic>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        caller.must_manage("change topics")?;
        let new = request.topic.ok_or_else(|| convert::invalid("The topic in the request must be set."))?;
        let name = names::read(Kind::Topics, &new.name)?;
        let (project, id) = (name.project.to_owned(), name.id.to_owned());
        self.topic(&caller, &id)?;
        let old = self.topic_config(&id);
        let mask = request.update_mask.as_ref();
        let merged = mask::merged(self.descriptors(), "google.pubsub.v1.Topic", &old, &new, mask, FIXED)?;
        self.check_topic_config(&merged)?;
        self.set_topic_config(&id, merged).await?;
        Ok(Response::new(self.topic_shown(&project, &id)))
    }

    async fn publish(&self, request: Request<pb::PublishRequest>) -> Result<Response<pb::PublishResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        self.published(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_topic(&self, request: Request<pb::GetTopicRequest>) -> Result<Response<pb::Topic>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Topics, &request.topic)?;
        self.topic(&caller, name.id)?;
        Ok(Response::new(self.topic_shown(name.project, name.id)))
    }

    async fn list_topics(
        &self,
        request: Request<pb::ListTopicsRequest>,
    ) -> Result<Response<pb::ListTopicsResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let project = names::project(&request.project)?;
        let names = self.topics().list().into_iter().map(|topic| topic.name().to_owned());
        let names = names.filter(|name| caller.sees(name)).collect();
        let (page, next_page_token) = pages::page(names, request.page_size, &request.page_token)?;
        let topics = page.iter().map(|id| self.topic_shown(project, id)).collect();
        Ok(Response::new(pb::ListTopicsResponse { topics, next_page_token }))
    }

    async fn list_topic_subscriptions(
        &self,
        request: Request<pb::ListTopicSubscriptionsRequest>,
    ) -> Result<Response<pb::ListTopicSubscriptionsResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Topics, &request.topic)?;
        let topic = self.topic(&caller, name.id)?;
        caller.must_receive(topic.name())?;
        let ids = self.subscriptions_of(&topic).iter().map(|found| found.name().to_owned()).collect();
        let (page, next_page_token) = pages::page(ids, request.page_size, &request.page_token)?;
        let subscriptions = page.iter().map(|id| names::write(name.project, Kind::Subscriptions, id)).collect();
        Ok(Response::new(pb::ListTopicSubscriptionsResponse { subscriptions, next_page_token }))
    }

    async fn list_topic_snapshots(
        &self,
        request: Request<pb::ListTopicSnapshotsRequest>,
    ) -> Result<Response<pb::ListTopicSnapshotsResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Topics, &request.topic)?;
        caller.must_receive(self.topic(&caller, name.id)?.name())?;
        let of_it = self.subscriptions().snapshots().into_iter().filter(|snapshot| snapshot.topic_name == name.id);
        let ids = of_it.map(|snapshot| snapshot.name).collect();
        let (page, next_page_token) = pages::page(ids, request.page_size, &request.page_token)?;
        let snapshots = page.iter().map(|id| names::write(name.project, Kind::Snapshots, id)).collect();
        Ok(Response::new(pb::ListTopicSnapshotsResponse { snapshots, next_page_token }))
    }

    async fn delete_topic(&self, request: Request<pb::DeleteTopicRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        caller.must_manage("delete topics")?;
        let topic = self.topic(&caller, names::read(Kind::Topics, &request.topic)?.id)?;
        if topic.declared().is_none() {
            self.subscriptions().topic_removed(&topic).await.map_err(|error| fault::subscription(&error))?;
        }
        self.topics().remove(topic.name()).await.map_err(|error| fault::topic(&error))?;
        self.remove_topic_config(topic.name()).await?;
        Ok(Response::new(()))
    }

    async fn detach_subscription(
        &self,
        request: Request<pb::DetachSubscriptionRequest>,
    ) -> Result<Response<pb::DetachSubscriptionResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let subscription = self.subscription(&caller, names::read(Kind::Subscriptions, &request.subscription)?.id)?;
        let mut changed = config(&subscription)?;
        changed.detached = true;
        let mut settings = subscription.settings();
        settings.detached = true;
        self.configure(&subscription, settings, &changed).await?;
        Ok(Response::new(pb::DetachSubscriptionResponse {}))
    }
}
