//! One subscription at work.
//!
//! Owns: [`Subscription`]: reading ahead from the log, waking receivers, making acknowledgements durable.
//! Never decides who may have what: [`super::deliveries`] does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use naru_base::time::now_us;
use naru_store::{Store, StoreError, subscriptions as stored};
use parking_lot::Mutex;
use tokio::sync::{Mutex as TurnMutex, Notify};
use tokio_util::sync::CancellationToken;

use super::{
    AckId, Delivered, Limits, Outcome, Receiver, Settings, SubscribeError,
    deliveries::{Deliveries, Forward},
};
use crate::log::{LogError, TopicLog, TopicNo};

/// Bytes read from the log at once.
const READ_BYTES: usize = 1 << 20;
/// How long an error of the log is left alone before a receiver is told.
const LOG_PATIENCE: Duration = Duration::from_millis(200);

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It holds; with exactly-once it is durable.
    Done,
    /// The lease is over. An error only with exactly-once.
    Stale,
    /// It could not be made durable; the lease goes on. Only with exactly-once.
    NotDurable,
    /// One before it of its ordering key is not acknowledged yet; the lease goes on. Only with exactly-once.
    Unordered,
}

/// A subscription. Clones are the same.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: String,
    pub(super) topic: TopicNo,
    pub(super) topic_name: String,
    /// Stands in every acknowledgement id, so that one of another subscription is not taken for ours.
    pub(super) tag: u32,
    pub(super) log: Arc<dyn TopicLog>,
    pub(super) store: Store,
    pub(super) deliveries: Mutex<Deliveries>,
    pub(super) config: Mutex<Bytes>,
    /// One reads the log at a time.
    pub(super) loading: TurnMutex<()>,
    /// The revision that is durable; held while another is written.
    pub(super) persisted: TurnMutex<u64>,
    /// The same, to look at without waiting.
    pub(super) persisted_revision: AtomicU64,
    /// Receivers look again.
    pub(super) news: Notify,
    /// The keeper looks again.
    pub(super) earlier: Notify,
    /// When the keeper looks next.
    pub(super) planned_us: AtomicI64,
    /// Something is to be made durable; shared by all subscriptions.
    pub(super) dirty: Arc<Notify>,
    /// First offset that acknowledged events are kept from, for a subscription that retains them.
    pub(super) retained_from: AtomicU64,
    pub(super) end: CancellationToken,
}

impl Subscription {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The name of its topic, which may be gone.
    pub fn topic_name(&self) -> &str {
        &self.inner.topic_name
    }

    /// Its topic's number on the log.
    pub fn topic(&self) -> TopicNo {
        self.inner.topic
    }

    /// How it behaves.
    pub fn settings(&self) -> Settings {
        self.inner.deliveries.lock().settings().clone()
    }

    /// What its door keeps with it.
    pub fn config(&self) -> Bytes {
        self.inner.config.lock().clone()
    }

    /// Cancelled when it is removed or naru stops.
    pub fn end(&self) -> &CancellationToken {
        &self.inner.end
    }

    /// Events that nobody acknowledged. None where it takes nothing any more: what the log goes on with is of another
    /// topic.
    pub fn backlog(&self) -> u64 {
        let end = self.inner.log.bounds(self.inner.topic).end;
        let deliveries = self.inner.deliveries.lock();
        if deliveries.settings().takes_nothing() { 0 } else { deliveries.backlog(end) }
    }

    /// The text of an acknowledgement id; letters and digits only.
    pub fn ack_text(&self, id: AckId) -> String {
        format!("{:08x}{:016x}{:016x}", self.inner.tag, id.offset, id.nonce)
    }

    /// Reads it back; `None` for one of another subscription, or of nobody.
    pub fn ack_id(&self, text: &str) -> Option<AckId> {
        let number = |range| u64::from_str_radix(text.get(range)?, 16).ok();
        let whole = text.len() == 40 && text.bytes().all(|letter| letter.is_ascii_hexdigit());
        if !whole || number(0..8)? != u64::from(self.inner.tag) {
            return None;
        }
        Some(AckId { offset: number(8..24)?, nonce: number(24..40)? })
    }

    /// A new receiver; dropping it closes it.
    pub fn receiver(&self) -> OpenReceiver {
        let receiver = self.inner.deliveries.lock().open_receiver();
        OpenReceiver { subscription: self.clone(), receiver }
    }

    /// Reads ahead; whether there is more to give than before.
    async fn load(&self) -> Result<bool, SubscribeError> {
        let inner = &self.inner;
        let before = inner.deliveries.lock().wants();
        let _turn = inner.loading.lock().await;
        let wants = inner.deliveries.lock().wants();
        if wants != before {
            // Somebody else has read meanwhile.
            return Ok(true);
        }
        let Some((from, era)) = wants else { return Ok(false) };
        if inner.log.bounds(inner.topic).end <= from {
            return Ok(false);
        }
        let chunk = inner.log.read(inner.topic, from, READ_BYTES).await?;
        let lost: u64 =
            chunk.gaps.iter().filter(|gap| !gap.trimmed).map(|gap| gap.offsets.end - gap.offsets.start).sum();
        if lost > 0 {
            tracing::warn!(subscription = inner.name, events = lost, "damaged events of the log are not delivered");
        }
        let moved = chunk.next > from;
        inner.deliveries.lock().load(chunk, era, now_us());
        if moved {
            // Who reads ahead what it may not have must not keep it from the others.
            inner.news.notify_waiters();
        }
        self.note_changes();
        Ok(moved)
    }

    /// Wakes whoever must know that something changed.
    pub(super) fn note_changes(&self) {
        let inner = &self.inner;
        let (due_us, revision) = {
            let deliveries = inner.deliveries.lock();
            (deliveries.due_us(), deliveries.revision())
        };
        if due_us.is_some_and(|due_us| due_us < inner.planned_us.load(Ordering::Relaxed)) {
            inner.earlier.notify_one();
        }
        if revision > inner.persisted_revision.load(Ordering::Relaxed) {
            inner.dirty.notify_one();
        }
    }

    /// Acknowledges deliveries. With exactly-once this waits for the disk.
    pub async fn acknowledge(&self, ids: &[AckId]) -> Vec<Confirmation> {
        let inner = &self.inner;
        if !inner.deliveries.lock().settings().exactly_once {
            let end = inner.log.bounds(inner.topic).end;
            let done = {
                let mut deliveries = inner.deliveries.lock();
                ids.iter().map(|id| deliveries.acknowledge(*id, end)).map(Confirmation::of).collect()
            };
            inner.news.notify_waiters();
            self.note_changes();
            return done;
        }
        let (begun, revision) = {
            let mut deliveries = inner.deliveries.lock();
            // In the order of the events, so that a whole chain can be acknowledged by one call in any order.
            let mut places: Vec<(usize, AckId)> = ids.iter().copied().enumerate().collect();
            places.sort_unstable_by_key(|(_, id)| *id);
            let mut begun: Vec<(usize, Outcome)> =
                places.into_iter().map(|(place, id)| (place, deliveries.begin_ack(id))).collect();
            begun.sort_unstable_by_key(|(place, _)| *place);
            let begun: Vec<Outcome> = begun.into_iter().map(|(_, outcome)| outcome).collect();
            (begun, deliveries.revision())
        };
        // Ends what was begun also when the caller goes away meanwhile.
        let mut guard = BegunAcks { subscription: self, ids: Vec::new(), durable: false };
        guard.ids.extend(ids.iter().zip(&begun).filter(|(_, outcome)| **outcome == Outcome::Done).map(|(id, _)| *id));
        if guard.ids.is_empty() {
            return begun.into_iter().map(Confirmation::of).collect();
        }
        let durable = self.persist(revision).await;
        if let Err(error) = &durable {
            tracing::warn!(subscription = inner.name, problem = %error.problem(), "an acknowledgement was not stored");
        }
        guard.durable = durable.is_ok();
        drop(guard);
        let not_durable = |outcome| match outcome {
            Outcome::Done => Confirmation::NotDurable,
            Outcome::Stale => Confirmation::Stale,
            Outcome::Unordered => Confirmation::Unordered,
        };
        let of = |outcome| if durable.is_ok() { Confirmation::of(outcome) } else { not_durable(outcome) };
        begun.into_iter().map(of).collect()
    }

    /// Sets new deadlines, each in seconds from now; 0 gives the event back.
    pub fn modify(&self, deadlines: &[(AckId, u32)]) -> Vec<Outcome> {
        let now = now_us();
        let outcomes = {
            let mut deliveries = self.inner.deliveries.lock();
            deadlines.iter().map(|(id, seconds)| deliveries.modify(*id, *seconds, now)).collect()
        };
        if deadlines.iter().any(|(_, seconds)| *seconds == 0) {
            self.inner.news.notify_waiters();
            // Dead letters may be due.
            self.inner.earlier.notify_one();
        }
        self.note_changes();
        outcomes
    }

    /// Makes at least this revision durable. Calls at one time share one write.
    pub(super) async fn persist(&self, revision: u64) -> Result<(), StoreError> {
        let mut persisted = self.inner.persisted.lock().await;
        if *persisted >= revision {
            return Ok(());
        }
        let (saved, covered) = self.inner.deliveries.lock().saved();
        let name = self.inner.name.clone();
        if naru_base::failpoint::hit("subscribe.before_save") {
            return Err(StoreError::Closing);
        }
        self.inner.store.write(move |db| stored::save(db, &name, &saved.encode())).await?;
        *persisted = covered;
        self.inner.persisted_revision.store(covered, Ordering::Relaxed);
        Ok(())
    }

    /// Leases that ended, waits that are over. Answers what goes to the dead-letter topic.
    pub(super) fn tick(&self) -> Vec<Forward> {
        let (changed, forwards) = {
            let mut deliveries = self.inner.deliveries.lock();
            (deliveries.tick(now_us()), deliveries.take_forwards())
        };
        if changed {
            self.inner.news.notify_waiters();
        }
        self.note_changes();
        forwards
    }

    /// The offset that must stay on the log.
    pub(super) fn needs_from(&self) -> u64 {
        let deliveries = self.inner.deliveries.lock();
        if deliveries.settings().takes_nothing() {
            return u64::MAX;
        }
        if deliveries.settings().retain_acked {
            return deliveries.floor().min(self.inner.retained_from.load(Ordering::Relaxed));
        }
        deliveries.floor()
    }
}

impl Confirmation {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Stale => Self::Stale,
            Outcome::Unordered => Self::Unordered,
        }
    }
}

/// Acknowledgements on their way to the disk.
struct BegunAcks<'a> {
    subscription: &'a Subscription,
    ids: Vec<AckId>,
    durable: bool,
}

impl Drop for BegunAcks<'_> {
    fn drop(&mut self) {
        let inner = &self.subscription.inner;
        {
            let mut deliveries = inner.deliveries.lock();
            for id in &self.ids {
                deliveries.finish_ack(*id, self.durable);
            }
        }
        inner.news.notify_waiters();
        self.subscription.note_changes();
    }
}

/// A receiver of a subscription while it is open.
#[derive(Debug)]
pub struct OpenReceiver {
    subscription: Subscription,
    receiver: Receiver,
}

impl OpenReceiver {
    /// What may be had now; empty for nothing.
    ///
    /// # Errors
    /// [`SubscribeError::Detached`], [`SubscribeError::Log`].
    pub async fn take(&self, limits: Limits) -> Result<Vec<Delivered>, SubscribeError> {
        loop {
            {
                let mut deliveries = self.subscription.inner.deliveries.lock();
                if deliveries.settings().detached {
                    return Err(SubscribeError::Detached(self.subscription.inner.name.clone()));
                }
                let taken = deliveries.take(self.receiver, limits, now_us());
                let more = deliveries.has_ready();
                drop(deliveries);
                if !taken.is_empty() {
                    self.subscription.note_changes();
                    if more {
                        // Others may have what this one may not.
                        self.subscription.inner.news.notify_waiters();
                    }
                    return Ok(taken);
                }
            }
            if !self.subscription.load().await? {
                return Ok(Vec::new());
            }
        }
    }

    /// Waits until there is something to have. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SubscribeError::Ended`], [`SubscribeError::Detached`], [`SubscribeError::Log`] when the log stopped.
    pub async fn next(&self, limits: Limits) -> Result<Vec<Delivered>, SubscribeError> {
        let inner = &self.subscription.inner;
        loop {
            let news = inner.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if inner.end.is_cancelled() {
                return Err(SubscribeError::Ended(inner.name.clone()));
            }
            let taken = self.take(limits).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            let wants = inner.deliveries.lock().wants();
            let grown = async {
                match wants {
                    Some((from, _)) => inner.log.grown(inner.topic, from).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = news => {}
                () = inner.end.cancelled() => {}
                () = grown => self.log_goes_on(wants.map_or(0, |(from, _)| from)).await?,
            }
        }
    }

    /// The log says that it has grown; if it has not, it stopped.
    async fn log_goes_on(&self, from: u64) -> Result<(), SubscribeError> {
        let inner = &self.subscription.inner;
        if inner.log.bounds(inner.topic).end > from {
            return Ok(());
        }
        tokio::time::sleep(LOG_PATIENCE).await;
        if inner.log.bounds(inner.topic).end > from {
            return Ok(());
        }
        Err(SubscribeError::Log(LogError::Closing))
    }
}

impl Drop for OpenReceiver {
    fn drop(&mut self) {
        self.subscription.inner.deliveries.lock().close_receiver(self.receiver);
    }
}
