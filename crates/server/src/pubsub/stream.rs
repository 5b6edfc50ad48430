//! One StreamingPull.
//!
//! Owns: the life of a stream: its flow control, its answers to pings and acknowledgements, and its end in time.
//!
//! Nothing is taken from the subscription before the connection has room for it, so that a lease begins when its
//! message is sent and not when it is queued.

use std::collections::VecDeque;

use futures::Stream;
use naru_base::number::usize_from;
use naru_topics::subscribe::{Delivered, Limits, SubscribeError, Subscription, subscription::OpenReceiver};
use tokio::time::{Duration, Instant, Interval, interval};
use tonic::{Status, Streaming};

use super::{PubSub, caller::Caller, convert, fault, gate::Gate, subscriber};
use crate::generated::google::pubsub::v1::{
    self as pb,
    streaming_pull_response::{AcknowledgeConfirmation, ModifyAckDeadlineConfirmation, SubscriptionProperties},
};

/// Messages and bytes of one response.
const RESPONSE_MESSAGES_MAX: usize = 1000;
const RESPONSE_BYTES_MAX: usize = 1 << 20;
/// What a stream may have unanswered that does not limit itself.
const OUTSTANDING_MESSAGES_MAX: usize = 20_000;
const OUTSTANDING_BYTES_MAX: usize = 200 << 20;
/// A stream ends before this, so that clients spread over what serves them; they open another at once.
const LIFE_MAX: Duration = Duration::from_mins(29);
/// How long a stream may be open before its first request.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the token of an open stream is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Shortest lease of a stream, seconds.
const DEADLINE_MIN_S: u32 = 10;

/// A stream while it is open. The order of fields does not matter: dropping it closes the receiver.
struct Open {
    subscription: Subscription,
    receiver: OpenReceiver,
    inbound: Streaming<pb::StreamingPullRequest>,
    limits: Limits,
    /// The client expects an answer to every ping.
    pings_are_answered: bool,
    waiting: VecDeque<pb::StreamingPullResponse>,
    ends_at: Instant,
    ended: bool,
    caller: Caller,
    gate: Gate,
    looks: Interval,
}

/// Reads the first request and opens the stream.
pub(super) async fn open(
    service: &PubSub,
    caller: Caller,
    mut inbound: Streaming<pb::StreamingPullRequest>,
) -> Result<impl Stream<Item = Result<pb::StreamingPullResponse, Status>> + Send + 'static, Status> {
    let first = tokio::time::timeout(FIRST_WAIT_MAX, inbound.message()).await;
    let first = first.map_err(|_| Status::unavailable("The first request of the stream did not come in time."))??;
    let first = first.ok_or_else(|| convert::invalid("The first request of a stream must name a subscription."))?;
    let subscription = service.pulled(&caller, &first.subscription)?;
    let config = subscriber::config(&subscription)?;
    if config.push_config.is_some_and(|push| !push.push_endpoint.is_empty()) {
        return Err(Status::failed_precondition("This method is not supported for this subscription type."));
    }
    let limit = |asked: i64, most: usize| {
        u64::try_from(asked).ok().filter(|asked| *asked > 0).map_or(most, |asked| usize_from(asked).min(most))
    };
    let limits = Limits {
        messages_max: RESPONSE_MESSAGES_MAX,
        bytes_max: RESPONSE_BYTES_MAX,
        outstanding_messages_max: limit(first.max_outstanding_messages, OUTSTANDING_MESSAGES_MAX),
        outstanding_bytes_max: limit(first.max_outstanding_bytes, OUTSTANDING_BYTES_MAX),
        deadline_s: convert::deadline(first.stream_ack_deadline_seconds, DEADLINE_MIN_S)?,
    };
    let mut open = Open {
        receiver: subscription.receiver(),
        subscription,
        inbound,
        limits,
        pings_are_answered: first.protocol_version >= 1,
        waiting: VecDeque::new(),
        ends_at: Instant::now() + LIFE_MAX,
        ended: false,
        caller,
        gate: service.gate().clone(),
        looks: interval(LOOK_EVERY),
    };
    open.answer(&first).await;
    Ok(futures::stream::unfold(open, async |mut open| open.step().await.map(|response| (response, open))))
}

impl Open {
    /// The next response; nothing after the end.
    async fn step(&mut self) -> Option<Result<pb::StreamingPullResponse, Status>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(response) = self.waiting.pop_front() {
                return Some(Ok(response));
            }
            tokio::select! {
                biased;
                request = self.inbound.message() => match request {
                    Ok(Some(request)) => {
                        if let Err(status) = self.requested(&request).await {
                            self.ended = true;
                            return Some(Err(status));
                        }
                    }
                    // The client is done, or its connection is.
                    Ok(None) | Err(_) => return None,
                },
                () = tokio::time::sleep_until(self.ends_at) => {
                    self.ended = true;
                    return Some(Err(Status::unavailable(
                        "The StreamingPull stream closed for an expected reason and should be recreated, which is \
                         done automatically by client libraries.",
                    )));
                }
                _ = self.looks.tick() => if !self.gate.stands(&self.caller).await {
                    self.ended = true;
                    return Some(Err(Status::unauthenticated("The token is no longer good.")));
                },
                taken = self.receiver.next(self.limits) => {
                    let response = self.given(taken);
                    self.ended = response.is_err();
                    return Some(response);
                }
            }
        }
    }

    fn given(&self, taken: Result<Vec<Delivered>, SubscribeError>) -> Result<pb::StreamingPullResponse, Status> {
        let taken = taken.map_err(|error| match error {
            // It may have been removed, or naru is stopping.
            SubscribeError::Ended(name) if self.subscription.end().is_cancelled() => {
                Status::unavailable(format!("The subscription {name} is served no more; try again."))
            }
            error => fault::subscription(&error),
        })?;
        let received = taken.iter().map(|delivered| convert::received(&self.subscription, delivered)).collect();
        Ok(pb::StreamingPullResponse { received_messages: received, ..self.empty() })
    }

    /// Clients read the properties of every response, so every response has them.
    fn empty(&self) -> pb::StreamingPullResponse {
        let settings = self.subscription.settings();
        pb::StreamingPullResponse {
            subscription_properties: Some(SubscriptionProperties {
                exactly_once_delivery_enabled: settings.exactly_once,
                message_ordering_enabled: settings.ordered,
            }),
            ..Default::default()
        }
    }

    /// A later request of the client.
    async fn requested(&mut self, request: &pb::StreamingPullRequest) -> Result<(), Status> {
        if !request.subscription.is_empty() {
            return Err(convert::invalid("The subscription must only be set in the first request of a stream."));
        }
        if request.stream_ack_deadline_seconds != 0 {
            self.limits.deadline_s = convert::deadline(request.stream_ack_deadline_seconds, DEADLINE_MIN_S)?;
        }
        if request.modify_deadline_seconds.len() != request.modify_deadline_ack_ids.len() {
            return Err(convert::invalid("Every modified ack id needs a deadline."));
        }
        if request.ack_ids.len() > subscriber::ACK_IDS_MAX
            || request.modify_deadline_ack_ids.len() > subscriber::ACK_IDS_MAX
        {
            return Err(convert::invalid("Too many ack ids specified."));
        }
        let answered = self.waiting.len();
        self.answer(request).await;
        if self.pings_are_answered && self.waiting.len() == answered {
            self.waiting.push_back(self.empty());
        }
        Ok(())
    }

    /// Does what a request says of earlier deliveries; with exactly-once, confirms it.
    async fn answer(&mut self, request: &pb::StreamingPullRequest) {
        let exactly_once = self.subscription.settings().exactly_once;
        if !request.ack_ids.is_empty() {
            let failed = subscriber::acknowledge(&self.subscription, &request.ack_ids).await;
            if exactly_once {
                let missed = [&failed.stale, &failed.not_stored, &failed.unordered];
                let holds = |id: &&String| !missed.iter().any(|missed| missed.contains(id));
                let confirmation = AcknowledgeConfirmation {
                    ack_ids: request.ack_ids.iter().filter(holds).cloned().collect(),
                    invalid_ack_ids: failed.stale.clone(),
                    unordered_ack_ids: failed.unordered.clone(),
                    temporary_failed_ack_ids: failed.not_stored.clone(),
                };
                let response =
                    pb::StreamingPullResponse { acknowledge_confirmation: Some(confirmation), ..self.empty() };
                self.waiting.push_back(response);
            }
        }
        if !request.modify_deadline_ack_ids.is_empty() {
            let seconds = request.modify_deadline_seconds.iter().map(|seconds| u32::try_from(*seconds).unwrap_or(0));
            let failed = subscriber::modify(&self.subscription, request.modify_deadline_ack_ids.iter().zip(seconds));
            if exactly_once {
                let holds = |id: &&String| !failed.stale.contains(id);
                let confirmation = ModifyAckDeadlineConfirmation {
                    ack_ids: request.modify_deadline_ack_ids.iter().filter(holds).cloned().collect(),
                    invalid_ack_ids: failed.stale.clone(),
                    temporary_failed_ack_ids: Vec::new(),
                };
                let response =
                    pb::StreamingPullResponse { modify_ack_deadline_confirmation: Some(confirmation), ..self.empty() };
                self.waiting.push_back(response);
            }
        }
    }
}
