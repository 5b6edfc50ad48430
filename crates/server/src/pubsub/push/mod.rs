//! Push subscriptions: messages as HTTP POST requests to somebody's endpoint.
//!
//! Owns: one task per push subscription, how many requests it has open, and how long it waits after failures.
//! Never decides what is delivered again: a message that was not taken is given back to the subscription.

mod key;
mod request;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use naru_topics::subscribe::{Delivered, Limits, Outcome, SubscribeError, Subscription, subscription::OpenReceiver};
use parking_lot::Mutex;
use prost::Message as _;
use reqwest::Client;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(super) use key::PushKey;
use request::Target;

use crate::generated::google::pubsub::v1 as pb;

/// Requests of one subscription at once; it begins with one and doubles while all succeed.
const WINDOW_MAX: usize = 64;
/// The first wait after a failure; each is twice the last.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait after failures.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// A lease lasts so much longer than its request may take.
const LEASE_MARGIN_S: u32 = 5;
/// Bytes of messages that are taken at once.
const BYTES_MAX: usize = 16 << 20;

/// The tasks of all push subscriptions. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Pushes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    key: PushKey,
    project: String,
    running: Mutex<HashMap<String, CancellationToken>>,
}

impl Pushes {
    pub(super) fn new(key: PushKey, project: String) -> Result<Self, reqwest::Error> {
        // An endpoint that sends elsewhere is not followed: the token in the request is meant for it alone.
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { inner: Arc::new(Inner { client, key, project, running: Mutex::default() }) })
    }

    pub(super) fn key(&self) -> &PushKey {
        &self.inner.key
    }

    /// Begins, changes or ends pushing, as a subscription's configuration says now.
    pub(super) fn follow(&self, subscription: &Subscription) {
        if let Some(earlier) = self.inner.running.lock().remove(subscription.name()) {
            earlier.cancel();
        }
        let config = pb::Subscription::decode(subscription.config()).unwrap_or_default();
        let Some(push) = config.push_config.filter(|push| !push.push_endpoint.is_empty()) else { return };
        if config.detached {
            return;
        }
        let stop = subscription.end().child_token();
        let other = self.inner.running.lock().insert(subscription.name().to_owned(), stop.clone());
        if let Some(other) = other {
            // Somebody followed it at the same time.
            other.cancel();
        }
        let (pushes, subscription) = (self.clone(), subscription.clone());
        tokio::spawn(async move {
            let target = Target::new(&pushes.inner.project, &subscription, push);
            stop.run_until_cancelled(pushes.push(&subscription, &target)).await;
        });
    }

    async fn push(&self, subscription: &Subscription, target: &Target) {
        let receiver = subscription.receiver();
        let (mut window, mut wait) = (1, WAIT_MIN);
        loop {
            let Some(taken) = take(subscription, &receiver, window).await else { return };
            let mut failures = 0_usize;
            let mut sending = futures::stream::iter(chains(taken))
                .map(|chain| self.send(subscription, target, chain))
                .buffer_unordered(window);
            while let Some(failed) = sending.next().await {
                failures += failed;
            }
            if failures == 0 {
                window = (window * 2).min(WINDOW_MAX);
                wait = WAIT_MIN;
            } else {
                window = (window / 2).max(1);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }

    /// Sends messages one after another; what follows a failure is given back with it. Answers how many failed.
    async fn send(&self, subscription: &Subscription, target: &Target, chain: Vec<Delivered>) -> usize {
        let seconds = subscription.settings().ack_deadline_s;
        let deadline = Duration::from_secs(u64::from(seconds));
        for (at, delivered) in chain.iter().enumerate() {
            // Those behind wait for those before, and their leases must not end meanwhile.
            let rest = chain.get(at..).unwrap_or_default();
            let leases: Vec<_> =
                rest.iter().map(|delivered| (delivered.ack_id, seconds.saturating_add(LEASE_MARGIN_S))).collect();
            if subscription.modify(&leases).first() == Some(&Outcome::Stale) {
                // The subscription has it back already, with all behind it.
                return 0;
            }
            let request = target.request(&self.inner.client, &self.inner.key, delivered);
            let sent = request.timeout(deadline).send().await;
            let taken =
                sent.as_ref().is_ok_and(|answer| matches!(answer.status().as_u16(), 102 | 200 | 201 | 202 | 204));
            if !taken {
                let why =
                    sent.map_or_else(|error| error.without_url().to_string(), |answer| answer.status().to_string());
                tracing::debug!(subscription = subscription.name(), why, "a push was not taken");
                // The first failed; with an order, the subscription takes those behind it back by itself.
                subscription.modify(&rest.iter().map(|delivered| (delivered.ack_id, 0)).collect::<Vec<_>>());
                return 1;
            }
            subscription.acknowledge(&[delivered.ack_id]).await;
        }
        0
    }
}

/// `None` when there is nothing to push any more.
async fn take(subscription: &Subscription, receiver: &OpenReceiver, window: usize) -> Option<Vec<Delivered>> {
    let limits = Limits {
        messages_max: window,
        bytes_max: BYTES_MAX,
        outstanding_messages_max: WINDOW_MAX,
        outstanding_bytes_max: BYTES_MAX,
        deadline_s: subscription.settings().ack_deadline_s,
    };
    let mut wait = WAIT_MIN;
    loop {
        match receiver.next(limits).await {
            Ok(taken) => return Some(taken),
            Err(error @ (SubscribeError::Ended(_) | SubscribeError::Detached(_))) => {
                tracing::debug!(subscription = subscription.name(), problem = %error.problem(), "pushing ended");
                return None;
            }
            Err(error) => {
                tracing::warn!(subscription = subscription.name(), problem = %error.problem(), "pushing waits");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }
}

/// Messages of one ordering key behind one another, all others by themselves.
fn chains(taken: Vec<Delivered>) -> Vec<Vec<Delivered>> {
    let mut chains: Vec<Vec<Delivered>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for delivered in taken {
        let key = delivered.event.ordering_key().to_owned();
        match places.get(&key).and_then(|place| chains.get_mut(*place)) {
            Some(chain) if !key.is_empty() => chain.push(delivered),
            _ => {
                places.insert(key, chains.len());
                chains.push(vec![delivered]);
            }
        }
    }
    chains
}

/// Checks where a subscription pushes to.
pub(super) fn check(config: &pb::Subscription) -> Result<(), Status> {
    let endpoint = config.push_config.as_ref().map(|push| push.push_endpoint.as_str()).unwrap_or_default();
    if endpoint.is_empty() {
        return Ok(());
    }
    let fits = url::Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    fits.then_some(())
        .ok_or_else(|| Status::invalid_argument("Invalid push endpoint given. It must be an http or https URL."))
}
