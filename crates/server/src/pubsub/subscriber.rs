//! `google.pubsub.v1.Subscriber`: subscriptions, pulling, acknowledging, seeking, snapshots.
//!
//! Owns: translating its calls. Streams are in [`super::stream`].

use std::{collections::HashMap, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::Stream;
use naru_topics::subscribe::{AckId, Confirmation, Limits, NewSubscription, Outcome, Settings, Snapshot, Subscription};
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::{
    PubSub,
    caller::Caller,
    convert, fault, mask,
    names::{self, DELETED_TOPIC, Kind},
    pages, push, stream,
};
use crate::generated::google::pubsub::v1::{self as pb, seek_request::Target, subscriber_server::Subscriber};

/// Messages of one pull.
const PULL_MESSAGES_MAX: usize = 1000;
/// Bytes of one pull; one larger message is given by itself.
const PULL_BYTES_MAX: usize = 10 << 20;
/// How long a pull waits for a first message, if its caller waits longer.
const PULL_WAIT_MAX: Duration = Duration::from_secs(20);
/// Acknowledgement ids of one request.
pub(super) const ACK_IDS_MAX: usize = 10_000;
/// What an update of a subscription cannot change.
const FIXED: &[&str] =
    &["name", "topic", "filter", "enable_message_ordering", "enableMessageOrdering", "detached", "state"];
/// What an update of a snapshot cannot change.
const SNAPSHOT_FIXED: &[&str] = &["name", "topic"];

/// A subscription as its maker wrote it.
pub(super) fn config(subscription: &Subscription) -> Result<pb::Subscription, Status> {
    pb::Subscription::decode(subscription.config())
        .map_err(|_| Status::internal("a stored subscription cannot be read"))
}

impl PubSub {
    /// A subscription that is there for the caller.
    pub(super) fn subscription(&self, caller: &Caller, id: &str) -> Result<Subscription, Status> {
        let found = self.subscriptions().get(id).filter(|found| caller.receives(found.topic_name()));
        found.ok_or_else(|| fault::missing(id))
    }

    /// A subscription that events can be taken from over this service.
    pub(super) fn pulled(&self, caller: &Caller, name: &str) -> Result<Subscription, Status> {
        let subscription = self.subscription(caller, names::read(Kind::Subscriptions, name)?.id)?;
        if subscription.settings().detached {
            return Err(Status::failed_precondition("The subscription is detached from its topic."));
        }
        Ok(subscription)
    }

    /// A subscription as `project` sees it.
    fn subscription_shown(&self, project: &str, subscription: &Subscription) -> Result<pb::Subscription, Status> {
        let mut shown = config(subscription)?;
        shown.name = names::write(project, Kind::Subscriptions, subscription.name());
        let gone = subscription.settings().topic_deleted || self.topics().get(subscription.topic_name()).is_none();
        shown.topic = if gone {
            DELETED_TOPIC.to_owned()
        } else {
            names::write(project, Kind::Topics, subscription.topic_name())
        };
        Ok(shown)
    }

    pub(super) async fn configure(
        &self,
        subscription: &Subscription,
        settings: Settings,
        config: &pb::Subscription,
    ) -> Result<(), Status> {
        let bytes = Bytes::from(config.encode_to_vec());
        let updated = self.subscriptions().update(subscription, settings, bytes).await;
        updated.map_err(|error| fault::subscription(&error))
    }

    /// Takes messages for one request; waits for the first until `wait` is over.
    async fn take(
        &self,
        caller: &Caller,
        request: &pb::PullRequest,
        wait: Duration,
    ) -> Result<pb::PullResponse, Status> {
        let subscription = self.pulled(caller, &request.subscription)?;
        let shown = config(&subscription)?;
        if shown.push_config.is_some_and(|push| !push.push_endpoint.is_empty()) {
            return Err(Status::failed_precondition("This method is not supported for this subscription type."));
        }
        let most = usize::try_from(request.max_messages).unwrap_or(0);
        if most == 0 {
            return Err(convert::invalid("max_messages must be larger than 0."));
        }
        let limits = Limits {
            messages_max: most.min(PULL_MESSAGES_MAX),
            bytes_max: PULL_BYTES_MAX,
            outstanding_messages_max: usize::MAX,
            outstanding_bytes_max: usize::MAX,
            deadline_s: subscription.settings().ack_deadline_s,
        };
        let receiver = subscription.receiver();
        #[allow(deprecated)]
        let taken = if request.return_immediately {
            receiver.take(limits).await
        } else {
            match tokio::time::timeout(wait, receiver.next(limits)).await {
                Ok(taken) => taken,
                Err(_) => Ok(Vec::new()),
            }
        };
        let taken = taken.map_err(|error| fault::subscription(&error))?;
        let received_messages = taken.iter().map(|delivered| convert::received(&subscription, delivered)).collect();
        Ok(pb::PullResponse { received_messages })
    }

    fn snapshot_shown(&self, project: &str, snapshot: &Snapshot) -> pb::Snapshot {
        let config = pb::Snapshot::decode(snapshot.config.clone()).unwrap_or_default();
        let gone = self.topics().get(&snapshot.topic_name).is_none();
        let topic =
            if gone { DELETED_TOPIC.to_owned() } else { names::write(project, Kind::Topics, &snapshot.topic_name) };
        let name = names::write(project, Kind::Snapshots, &snapshot.name);
        pb::Snapshot { name, topic, expire_time: Some(convert::timestamp(snapshot.expires_us)), ..config }
    }

    fn snapshot(&self, caller: &Caller, id: &str) -> Result<Snapshot, Status> {
        let found = self.subscriptions().snapshot(id).filter(|found| caller.receives(&found.topic_name));
        found.ok_or_else(|| fault::missing(id))
    }

    /// Refuses what a subscription would do beyond its own topic with more than its maker may.
    fn check_reach(caller: &Caller, config: &pb::Subscription) -> Result<(), Status> {
        if config.push_config.as_ref().is_some_and(|push| !push.push_endpoint.is_empty()) {
            caller.must_manage("push messages to an endpoint")?;
        }
        match &config.dead_letter_policy {
            Some(policy) => caller.must_send(names::read(Kind::Topics, &policy.dead_letter_topic)?.id),
            None => Ok(()),
        }
    }
}

/// What of some acknowledgement ids failed, and why; empty when everything holds or nothing can fail.
#[derive(Debug, Default)]
pub(super) struct Failed {
    pub(super) stale: Vec<String>,
    pub(super) not_stored: Vec<String>,
    pub(super) unordered: Vec<String>,
}

impl Failed {
    fn into_result(self) -> Result<(), Status> {
        if self.stale.is_empty() && self.not_stored.is_empty() && self.unordered.is_empty() {
            return Ok(());
        }
        let stale = self.stale.into_iter().map(|id| (id, fault::ACK_STALE.to_owned()));
        let not_stored = self.not_stored.into_iter().map(|id| (id, fault::ACK_NOT_STORED.to_owned()));
        let unordered = self.unordered.into_iter().map(|id| (id, fault::ACK_UNORDERED.to_owned()));
        Err(fault::acknowledgements(stale.chain(not_stored).chain(unordered).collect::<HashMap<_, _>>()))
    }
}

/// Acknowledges by the ids' texts.
pub(super) async fn acknowledge(subscription: &Subscription, texts: &[String]) -> Failed {
    let mut failed = Failed::default();
    let (mut read, mut ids): (Vec<&String>, Vec<AckId>) = (Vec::new(), Vec::new());
    for text in texts {
        match subscription.ack_id(text) {
            Some(id) => {
                read.push(text);
                ids.push(id);
            }
            None => failed.stale.push(text.clone()),
        }
    }
    let confirmed = subscription.acknowledge(&ids).await;
    for (text, confirmation) in read.into_iter().zip(confirmed) {
        match confirmation {
            Confirmation::Done => {}
            Confirmation::Stale => failed.stale.push(text.clone()),
            Confirmation::NotDurable => failed.not_stored.push(text.clone()),
            Confirmation::Unordered => failed.unordered.push(text.clone()),
        }
    }
    if subscription.settings().exactly_once { failed } else { Failed::default() }
}

/// Sets deadlines by the ids' texts.
pub(super) fn modify<'a>(subscription: &Subscription, deadlines: impl Iterator<Item = (&'a String, u32)>) -> Failed {
    let mut failed = Failed::default();
    let (mut read, mut ids) = (Vec::new(), Vec::new());
    for (text, seconds) in deadlines {
        match subscription.ack_id(text) {
            Some(id) => {
                read.push(text);
                ids.push((id, seconds));
            }
            None => failed.stale.push(text.clone()),
        }
    }
    for (text, outcome) in read.into_iter().zip(subscription.modify(&ids)) {
        if outcome == Outcome::Stale {
            failed.stale.push(text.clone());
        }
    }
    if subscription.settings().exactly_once { failed } else { Failed::default() }
}

/// How long the caller waits, from the header that gRPC has for it.
fn patience(metadata: &tonic::metadata::MetadataMap) -> Duration {
    let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(|text| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = number.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(number.saturating_mul(3600)),
            "M" => Duration::from_secs(number.saturating_mul(60)),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    // The answer must arrive before the caller gives up: what it did not see stays leased until its deadline.
    asked.map_or(PULL_WAIT_MAX, |asked| (asked / 10 * 9).min(PULL_WAIT_MAX))
}

fn bounded(ack_ids: &[String]) -> Result<(), Status> {
    match ack_ids.len() {
        0 => Err(convert::invalid("No ack ids specified.")),
        count if count > ACK_IDS_MAX => Err(convert::invalid("Too many ack ids specified.")),
        _ => Ok(()),
    }
}

#[tonic::async_trait]
impl Subscriber for PubSub {
    type StreamingPullStream = Pin<Box<dyn Stream<Item = Result<pb::StreamingPullResponse, Status>> + Send>>;

    async fn create_subscription(
        &self,
        request: Request<pb::Subscription>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let caller = Caller::of(request.extensions())?;
        let mut config = request.into_inner();
        let wanted = config.name.clone();
        let name = names::new(Kind::Subscriptions, &wanted)?;
        let topic = self.topic(&caller, names::read(Kind::Topics, &config.topic)?.id)?;
        caller.must_receive(topic.name())?;
        config.detached = false;
        let settings = convert::settings(&mut config)?;
        push::check(&config)?;
        Self::check_reach(&caller, &config)?;
        let new = NewSubscription { name: name.id.to_owned(), settings, config: Bytes::from(config.encode_to_vec()) };
        let made = self.subscriptions().create(&topic, new).await;
        let made = made.map_err(|error| fault::subscription(&error))?;
        self.pushes().follow(&made);
        Ok(Response::new(self.subscription_shown(name.project, &made)?))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Subscriptions, &request.subscription)?;
        Ok(Response::new(self.subscription_shown(name.project, &self.subscription(&caller, name.id)?)?))
    }

    async fn update_subscription(
        &self,
        request: Request<pb::UpdateSubscriptionRequest>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let new = request.subscription.ok_or_else(|| convert::invalid("The subscription must be set."))?;
        let name = names::read(Kind::Subscriptions, &new.name)?;
        let subscription = self.subscription(&caller, name.id)?;
        let old = config(&subscription)?;
        let mask = request.update_mask.as_ref();
        let mut merged = mask::merged(self.descriptors(), "google.pubsub.v1.Subscription", &old, &new, mask, FIXED)?;
        let settings = convert::settings(&mut merged)?;
        push::check(&merged)?;
        Self::check_reach(&caller, &merged)?;
        let settings = Settings { topic_deleted: subscription.settings().topic_deleted, ..settings };
        self.configure(&subscription, settings, &merged).await?;
        self.pushes().follow(&subscription);
        Ok(Response::new(self.subscription_shown(name.project, &subscription)?))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let project = names::project(&request.project)?;
        let all = self.subscriptions().list();
        let seen = all.iter().filter(|found| caller.receives(found.topic_name()));
        let names = seen.map(|found| found.name().to_owned()).collect();
        let (page, next_page_token) = pages::page(names, request.page_size, &request.page_token)?;
        let found = page.iter().filter_map(|id| self.subscriptions().get(id));
        let subscriptions =
            found.map(|found| self.subscription_shown(project, &found)).collect::<Result<Vec<_>, _>>()?;
        Ok(Response::new(pb::ListSubscriptionsResponse { subscriptions, next_page_token }))
    }

    async fn delete_subscription(
        &self,
        request: Request<pb::DeleteSubscriptionRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Subscriptions, &request.subscription)?;
        self.subscription(&caller, name.id)?;
        self.subscriptions().remove(name.id).await.map_err(|error| fault::subscription(&error))?;
        Ok(Response::new(()))
    }

    async fn modify_ack_deadline(
        &self,
        request: Request<pb::ModifyAckDeadlineRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let subscription = self.pulled(&caller, &request.subscription)?;
        bounded(&request.ack_ids)?;
        let seconds = convert::deadline(request.ack_deadline_seconds, 0)?;
        modify(&subscription, request.ack_ids.iter().map(|text| (text, seconds))).into_result()?;
        Ok(Response::new(()))
    }

    async fn acknowledge(&self, request: Request<pb::AcknowledgeRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let subscription = self.pulled(&caller, &request.subscription)?;
        bounded(&request.ack_ids)?;
        acknowledge(&subscription, &request.ack_ids).await.into_result()?;
        Ok(Response::new(()))
    }

    async fn pull(&self, request: Request<pb::PullRequest>) -> Result<Response<pb::PullResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let wait = patience(request.metadata());
        Ok(Response::new(self.take(&caller, request.get_ref(), wait).await?))
    }

    async fn streaming_pull(
        &self,
        request: Request<Streaming<pb::StreamingPullRequest>>,
    ) -> Result<Response<Self::StreamingPullStream>, Status> {
        let caller = Caller::of(request.extensions())?;
        let stream = stream::open(self, caller, request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn modify_push_config(&self, request: Request<pb::ModifyPushConfigRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let subscription = self.subscription(&caller, names::read(Kind::Subscriptions, &request.subscription)?.id)?;
        let mut changed = config(&subscription)?;
        changed.push_config = Some(request.push_config.unwrap_or_default());
        push::check(&changed)?;
        Self::check_reach(&caller, &changed)?;
        self.configure(&subscription, subscription.settings(), &changed).await?;
        self.pushes().follow(&subscription);
        Ok(Response::new(()))
    }

    async fn get_snapshot(&self, request: Request<pb::GetSnapshotRequest>) -> Result<Response<pb::Snapshot>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Snapshots, &request.snapshot)?;
        Ok(Response::new(self.snapshot_shown(name.project, &self.snapshot(&caller, name.id)?)))
    }

    async fn list_snapshots(
        &self,
        request: Request<pb::ListSnapshotsRequest>,
    ) -> Result<Response<pb::ListSnapshotsResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let project = names::project(&request.project)?;
        let all = self.subscriptions().snapshots().into_iter();
        let seen = all.filter(|snapshot| caller.receives(&snapshot.topic_name));
        let names = seen.map(|snapshot| snapshot.name).collect();
        let (page, next_page_token) = pages::page(names, request.page_size, &request.page_token)?;
        let found = page.iter().filter_map(|id| self.subscriptions().snapshot(id));
        let snapshots = found.map(|snapshot| self.snapshot_shown(project, &snapshot)).collect();
        Ok(Response::new(pb::ListSnapshotsResponse { snapshots, next_page_token }))
    }

    async fn create_snapshot(
        &self,
        request: Request<pb::CreateSnapshotRequest>,
    ) -> Result<Response<pb::Snapshot>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::new(Kind::Snapshots, &request.name)?;
        let subscription = self.pulled(&caller, &request.subscription)?;
        let config = pb::Snapshot { labels: request.labels, ..Default::default() };
        let bytes = Bytes::from(config.encode_to_vec());
        let taken = self.subscriptions().take_snapshot(name.id, &subscription, bytes).await;
        let taken = taken.map_err(|error| fault::subscription(&error))?;
        Ok(Response::new(self.snapshot_shown(name.project, &taken)))
    }

    async fn update_snapshot(
        &self,
        request: Request<pb::UpdateSnapshotRequest>,
    ) -> Result<Response<pb::Snapshot>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let new = request.snapshot.ok_or_else(|| convert::invalid("The snapshot must be set."))?;
        let name = names::read(Kind::Snapshots, &new.name)?;
        let old = pb::Snapshot::decode(self.snapshot(&caller, name.id)?.config)
            .map_err(|_| Status::internal("a stored snapshot cannot be read"))?;
        let mask = request.update_mask.as_ref();
        let merged = mask::merged(self.descriptors(), "google.pubsub.v1.Snapshot", &old, &new, mask, SNAPSHOT_FIXED)?;
        let updated = self.subscriptions().update_snapshot(name.id, Bytes::from(merged.encode_to_vec())).await;
        let updated = updated.map_err(|error| fault::subscription(&error))?;
        Ok(Response::new(self.snapshot_shown(name.project, &updated)))
    }

    async fn delete_snapshot(&self, request: Request<pb::DeleteSnapshotRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let name = names::read(Kind::Snapshots, &request.snapshot)?;
        self.snapshot(&caller, name.id)?;
        self.subscriptions().remove_snapshot(name.id).await.map_err(|error| fault::subscription(&error))?;
        Ok(Response::new(()))
    }

    async fn seek(&self, request: Request<pb::SeekRequest>) -> Result<Response<pb::SeekResponse>, Status> {
        let caller = Caller::of(request.extensions())?;
        let request = request.into_inner();
        let subscription = self.pulled(&caller, &request.subscription)?;
        let sought = match request.target {
            None => return Err(convert::invalid("A time or a snapshot must be set.")),
            Some(Target::Time(time)) => self.subscriptions().seek_to_time(&subscription, convert::micros(time)).await,
            Some(Target::Snapshot(name)) => {
                let snapshot = self.snapshot(&caller, names::read(Kind::Snapshots, &name)?.id)?;
                self.subscriptions().seek_to_snapshot(&subscription, &snapshot).await
            }
        };
        sought.map_err(|error| fault::subscription(&error))?;
        Ok(Response::new(pb::SeekResponse {}))
    }
}
