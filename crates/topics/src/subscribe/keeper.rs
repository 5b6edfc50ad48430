//! What happens to subscriptions without anybody asking.
//!
//! Owns: the task of each subscription (leases that end, dead letters on their way) and the one task that makes
//! acknowledgements durable and says what must stay on the log.

use std::{sync::atomic::Ordering, time::Duration};

use naru_base::{number::u64_from_signed, time::now_us};
use naru_store::subscriptions as stored;

use super::{Subscription, Subscriptions, deliveries::Forward, seek};
use crate::{Incoming, log::Event};

/// How long acknowledgements gather before they are stored together.
const GATHER: Duration = Duration::from_millis(500);
/// How often retention and snapshots are looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often a subscription gives up what is past its retention though nothing else is due.
const LOOK_AT_LEAST_US: i64 = 60_000_000;
/// How long an event waits when its dead-letter topic did not take it.
const FORWARD_AGAIN_US: i64 = 10_000_000;

/// Attributes of a dead letter, as Google names them.
const SOURCE: &str = "CloudPubSubDeadLetterSource";

impl Subscriptions {
    /// The task of one subscription; ends with it.
    pub(super) async fn keep(self, subscription: Subscription) {
        let inner = &subscription.inner;
        loop {
            let now = now_us();
            // Whatever becomes due while this looks is told.
            inner.planned_us.store(i64::MAX, Ordering::Relaxed);
            let due_us = inner.deliveries.lock().due_us().unwrap_or(i64::MAX);
            let planned_us = due_us.min(now.saturating_add(LOOK_AT_LEAST_US));
            inner.planned_us.store(planned_us, Ordering::Relaxed);
            let wait = Duration::from_micros(u64_from_signed(planned_us.saturating_sub(now)));
            tokio::select! {
                () = inner.end.cancelled() => return,
                () = inner.earlier.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            for forward in subscription.tick() {
                self.forward(&subscription, forward).await;
            }
        }
    }

    /// What goes by the clock alone: snapshots expire, and retained events become too old.
    async fn look_at_the_clock(&self) {
        if let Err(error) = self.forget_expired().await {
            tracing::warn!(problem = %error.problem(), "an expired snapshot stays a while");
        }
        for subscription in self.list() {
            self.retain(&subscription).await;
        }
        self.hold_what_is_needed();
    }

    /// Gives up what is past the retention, also when nobody reads the subscription.
    async fn retain(&self, subscription: &Subscription) {
        let (inner, settings) = (&subscription.inner, subscription.settings());
        if settings.takes_nothing() {
            return;
        }
        let kept = i64::try_from(settings.retention_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let from = now_us().saturating_sub(kept);
        match seek::offset_at(&*inner.log, inner.topic, from).await {
            Ok(offset) => {
                inner.retained_from.store(offset, Ordering::Relaxed);
                inner.deliveries.lock().give_up_before(offset);
                inner.news.notify_waiters();
                subscription.note_changes();
            }
            Err(error) => {
                tracing::warn!(subscription = subscription.name(), problem = %error.problem(), "the retention stays");
            }
        }
    }

    /// Copies an event to the dead-letter topic; it is acknowledged only once the copy is durable.
    async fn forward(&self, subscription: &Subscription, forward: Forward) {
        let offset = forward.event.offset;
        let letters = subscription.settings().dead_letters;
        let topic = letters.and_then(|letters| self.topics().get(&letters.topic));
        let sent = match &topic {
            None => Err("the dead-letter topic does not exist".to_owned()),
            Some(topic) => {
                let copy = self.copy(subscription.name(), &forward);
                self.topics().publish(topic, &[copy]).await.map_err(|error| error.problem().to_string())
            }
        };
        {
            let mut deliveries = subscription.inner.deliveries.lock();
            match &sent {
                Ok(_) => deliveries.forwarded(offset),
                Err(_) => deliveries.not_forwarded(offset, now_us(), FORWARD_AGAIN_US),
            }
        }
        if let Err(reason) = sent {
            tracing::warn!(subscription = subscription.name(), reason, "a dead letter waits for its topic");
        }
        subscription.inner.news.notify_waiters();
        subscription.note_changes();
    }

    fn copy(&self, subscription: &str, forward: &Forward) -> Incoming {
        let event: &Event = &forward.event;
        let kept = event.attributes().filter(|(name, _)| !name.starts_with(SOURCE));
        let mut attributes: Vec<(String, String)> = kept.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        let published = jiff::Timestamp::from_microsecond(event.time_us).unwrap_or_default();
        let mut add = |name: &str, value: String| attributes.push((format!("{SOURCE}{name}"), value));
        add("DeliveryCount", forward.deliveries.to_string());
        add("Subscription", subscription.to_owned());
        add("SubscriptionProject", self.topics().project().to_owned());
        add("TopicPublishTime", published.strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00").to_string());
        Incoming { data: event.data.clone(), ordering_key: event.ordering_key().to_owned(), attributes }
    }

    /// Makes durable what changed, soon after it changed; ends when naru stops.
    pub(super) async fn persist_changes(self) {
        let mut clock = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = self.stopping().cancelled() => return,
                _ = clock.tick() => {
                    self.look_at_the_clock().await;
                    continue;
                }
                () = self.dirty().notified() => {}
            }
            if self.stopping().run_until_cancelled(tokio::time::sleep(GATHER)).await.is_none() {
                return;
            }
            self.persist_all().await;
        }
    }

    /// Stores every subscription that changed, in one transaction; one that is being stored at this moment is left.
    pub(super) async fn persist_all(&self) {
        let all = self.list();
        let mut turns = Vec::new();
        let mut rows = Vec::new();
        for subscription in &all {
            let Ok(turn) = subscription.inner.persisted.try_lock() else {
                self.dirty().notify_one();
                continue;
            };
            let deliveries = subscription.inner.deliveries.lock();
            if deliveries.revision() <= *turn {
                continue;
            }
            let (saved, covered) = deliveries.saved();
            drop(deliveries);
            rows.push((subscription.name().to_owned(), saved.encode()));
            turns.push((subscription, turn, covered));
        }
        if !rows.is_empty() {
            let write = move |db: &naru_store::Transaction<'_>| {
                rows.iter().try_for_each(|(name, state)| stored::save(db, name, state))
            };
            if let Err(error) = self.topics().store().write(write).await {
                tracing::warn!(problem = %error.problem(), "acknowledgements are not stored yet");
                self.dirty().notify_one();
                return;
            }
        }
        for (subscription, mut turn, covered) in turns {
            *turn = covered;
            subscription.inner.persisted_revision.store(covered, Ordering::Relaxed);
        }
        self.hold_what_is_needed();
    }
}
