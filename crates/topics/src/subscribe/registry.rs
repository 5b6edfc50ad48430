//! All subscriptions of a project.
//!
//! Owns: [`Subscriptions`]: creating, finding, changing, removing, snapshots, seeks, starting and stopping.
//! Never speaks a protocol.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
};

use bytes::Bytes;
use naru_base::time::now_us;
use naru_store::subscriptions::{self as stored, SubscriptionRow};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as TurnMutex, Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Acknowledged, Filter, Settings, Snapshot, SubscribeError, Subscription,
    deliveries::{Deliveries, Saved},
    seek,
    subscription::Inner as SubscriptionInner,
};
use crate::{TopicHandle, Topics, log::TopicNo};

/// A subscription to be made.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// Its name.
    pub name: String,
    /// How it behaves.
    pub settings: Settings,
    /// What the door keeps with it.
    pub config: Bytes,
}

/// All subscriptions of a project. Clones are the same.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    topics: Topics,
    all: RwLock<BTreeMap<String, Subscription>>,
    snapshots: RwLock<BTreeMap<String, Snapshot>>,
    /// One makes or removes at a time.
    changing: TurnMutex<()>,
    dirty: Arc<Notify>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Subscriptions {
    /// Opens what is stored. Every subscription holds the log when this returns.
    ///
    /// # Errors
    /// [`SubscribeError::Store`], [`SubscribeError::Unreadable`], [`SubscribeError::Filter`].
    pub async fn open(topics: Topics) -> Result<Self, SubscribeError> {
        let (rows, snapshots) = topics.store().read(|db| Ok((stored::all(db)?, stored::snapshots(db)?))).await?;
        let inner = Inner {
            topics,
            all: RwLock::default(),
            snapshots: RwLock::default(),
            changing: TurnMutex::default(),
            dirty: Arc::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let subscriptions = Self { inner: Arc::new(inner) };
        for row in snapshots {
            let snapshot = Snapshot::of_row(row)?;
            subscriptions.inner.snapshots.write().insert(snapshot.name.clone(), snapshot);
        }
        subscriptions.forget_expired().await?;
        for row in rows {
            let subscription = subscriptions.build(row)?;
            subscriptions.begin(subscription);
        }
        subscriptions.hold_what_is_needed();
        subscriptions.inner.tasks.spawn(subscriptions.clone().persist_changes());
        Ok(subscriptions)
    }

    fn build(&self, row: SubscriptionRow) -> Result<Subscription, SubscribeError> {
        let unreadable = || SubscribeError::Unreadable(row.name.clone());
        let settings: Settings = serde_json::from_str(&row.settings).map_err(|_| unreadable())?;
        let saved = Saved::decode(&row.state).ok_or_else(unreadable)?;
        let filter = Filter::parse(&settings.filter)?;
        let identity = format!("{} {}", row.name, row.made_us);
        let tag = xxhash_rust::xxh3::xxh3_64(identity.as_bytes()) >> 32;
        let inner = SubscriptionInner {
            topic: TopicNo(row.topic),
            topic_name: row.topic_name,
            tag: u32::try_from(tag).unwrap_or_default(),
            log: self.inner.topics.log(),
            store: self.inner.topics.store().clone(),
            deliveries: Mutex::new(Deliveries::new(settings, filter, saved, now_us())),
            config: Mutex::new(row.config.into()),
            loading: TurnMutex::default(),
            persisted: TurnMutex::default(),
            persisted_revision: AtomicU64::new(0),
            news: Notify::new(),
            earlier: Notify::new(),
            planned_us: AtomicI64::new(i64::MAX),
            dirty: Arc::clone(&self.inner.dirty),
            retained_from: AtomicU64::new(0),
            end: self.inner.stopping.child_token(),
            name: row.name,
        };
        Ok(Subscription { inner: Arc::new(inner) })
    }

    fn begin(&self, subscription: Subscription) {
        self.inner.all.write().insert(subscription.name().to_owned(), subscription.clone());
        self.inner.tasks.spawn(self.clone().keep(subscription));
    }

    pub(super) fn topics(&self) -> &Topics {
        &self.inner.topics
    }

    pub(super) fn dirty(&self) -> &Notify {
        &self.inner.dirty
    }

    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.inner.stopping
    }

    /// Says to the log what must stay.
    pub(super) fn hold_what_is_needed(&self) {
        for subscription in self.list() {
            if let Some(topic) = self.inner.topics.get(subscription.topic_name()) {
                self.inner.topics.hold(&topic, &reader(subscription.name()), subscription.needs_from());
            }
        }
        for snapshot in self.snapshots() {
            if let Some(topic) = self.inner.topics.get(&snapshot.topic_name) {
                let floor = snapshot.saved.acknowledged.floor();
                self.inner.topics.hold(&topic, &Snapshot::reader(&snapshot.name), floor);
            }
        }
    }

    /// A subscription by its name.
    pub fn get(&self, name: &str) -> Option<Subscription> {
        self.inner.all.read().get(name).cloned()
    }

    /// All subscriptions by name.
    pub fn list(&self) -> Vec<Subscription> {
        self.inner.all.read().values().cloned().collect()
    }

    /// Makes a subscription: it gets what is published from now on.
    ///
    /// # Errors
    /// [`SubscribeError::Exists`], [`SubscribeError::Filter`], [`SubscribeError::Store`].
    pub async fn create(&self, topic: &TopicHandle, new: NewSubscription) -> Result<Subscription, SubscribeError> {
        Filter::parse(&new.settings.filter)?;
        let _turn = self.inner.changing.lock().await;
        if self.get(&new.name).is_some() {
            return Err(SubscribeError::Exists(new.name));
        }
        let from = self.inner.topics.log().bounds(topic.number()).end;
        let row = SubscriptionRow {
            topic: topic.number().0,
            topic_name: topic.name().to_owned(),
            settings: text(&new.settings),
            config: new.config.to_vec(),
            state: Saved::beginning(from).encode(),
            made_us: now_us(),
            name: new.name,
        };
        self.inner.topics.hold(topic, &reader(&row.name), from);
        let written = row.clone();
        self.inner.topics.store().write(move |db| stored::add(db, &written)).await?;
        let subscription = self.build(row)?;
        self.begin(subscription.clone());
        Ok(subscription)
    }

    /// Changes how a subscription behaves, from now on. Its filter and its ordering stay.
    ///
    /// # Errors
    /// [`SubscribeError::Store`]: nothing changed.
    pub async fn update(
        &self,
        subscription: &Subscription,
        settings: Settings,
        config: Bytes,
    ) -> Result<(), SubscribeError> {
        let _turn = self.inner.changing.lock().await;
        let (name, written, bytes) = (subscription.name().to_owned(), text(&settings), config.clone());
        let store = self.inner.topics.store();
        store.write(move |db| stored::configure(db, &name, &written, &bytes)).await?;
        *subscription.inner.config.lock() = config;
        subscription.inner.deliveries.lock().set(settings);
        subscription.inner.news.notify_waiters();
        Ok(())
    }

    /// Removes a subscription; its receivers end.
    ///
    /// # Errors
    /// [`SubscribeError::Missing`], [`SubscribeError::Store`].
    pub async fn remove(&self, name: &str) -> Result<(), SubscribeError> {
        let _turn = self.inner.changing.lock().await;
        let subscription = self.get(name).ok_or_else(|| SubscribeError::Missing(name.to_owned()))?;
        let removed = name.to_owned();
        self.inner.topics.store().write(move |db| stored::remove(db, &removed)).await?;
        self.inner.all.write().remove(name);
        subscription.inner.end.cancel();
        if let Some(topic) = self.inner.topics.get(subscription.topic_name()) {
            self.inner.topics.release(&topic, &reader(name));
        }
        Ok(())
    }

    /// Marks the subscriptions of a topic that is about to be removed, and forgets its snapshots: their events go with
    /// it, and a topic of the same name later is another.
    ///
    /// # Errors
    /// [`SubscribeError::Store`].
    pub async fn topic_removed(&self, topic: &TopicHandle) -> Result<(), SubscribeError> {
        let of_it = |subscription: &Subscription| subscription.topic() == topic.number();
        for subscription in self.list().into_iter().filter(of_it) {
            let settings = Settings { topic_deleted: true, ..subscription.settings() };
            self.update(&subscription, settings, subscription.config()).await?;
        }
        for snapshot in self.snapshots().into_iter().filter(|snapshot| snapshot.topic == topic.number()) {
            self.remove_snapshot(&snapshot.name).await?;
        }
        Ok(())
    }

    /// Forgets snapshots that have expired; their events may go then.
    pub(super) async fn forget_expired(&self) -> Result<(), SubscribeError> {
        let now = now_us();
        let expired: Vec<Snapshot> =
            self.inner.snapshots.read().values().filter(|snapshot| snapshot.expires_us <= now).cloned().collect();
        for snapshot in expired {
            let removed = snapshot.name.clone();
            self.inner.topics.store().write(move |db| stored::remove_snapshot(db, &removed)).await?;
            self.inner.snapshots.write().remove(&snapshot.name);
            if let Some(topic) = self.inner.topics.get(&snapshot.topic_name) {
                self.inner.topics.release(&topic, &Snapshot::reader(&snapshot.name));
            }
        }
        Ok(())
    }

    /// All snapshots that have not expired, by name.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let now = now_us();
        self.inner.snapshots.read().values().filter(|snapshot| snapshot.expires_us > now).cloned().collect()
    }

    /// A snapshot that has not expired.
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        self.inner.snapshots.read().get(name).filter(|snapshot| snapshot.expires_us > now_us()).cloned()
    }

    /// Takes a snapshot of what a subscription has acknowledged.
    ///
    /// # Errors
    /// [`SubscribeError::SnapshotExists`], [`SubscribeError::TooOld`], [`SubscribeError::Store`].
    pub async fn take_snapshot(
        &self,
        name: &str,
        subscription: &Subscription,
        config: Bytes,
    ) -> Result<Snapshot, SubscribeError> {
        let _turn = self.inner.changing.lock().await;
        if self.snapshot(name).is_some() {
            return Err(SubscribeError::SnapshotExists(name.to_owned()));
        }
        let (saved, _) = subscription.inner.deliveries.lock().saved();
        let (log, now) = (self.inner.topics.log(), now_us());
        let oldest = log.read(subscription.topic(), saved.acknowledged.floor(), 1).await?;
        let age = oldest.events.first().map_or(0, |event| now.saturating_sub(event.time_us));
        if seek::SNAPSHOT_LIFE_US.saturating_sub(age) < seek::SNAPSHOT_LIFE_MIN_US {
            return Err(SubscribeError::TooOld(subscription.name().to_owned()));
        }
        let snapshot = Snapshot {
            name: name.to_owned(),
            topic_name: subscription.topic_name().to_owned(),
            expires_us: now.saturating_add(seek::SNAPSHOT_LIFE_US).saturating_sub(age),
            config,
            topic: subscription.topic(),
            saved,
        };
        self.store_snapshot(&snapshot).await?;
        Ok(snapshot)
    }

    /// Replaces what a door keeps with a snapshot.
    ///
    /// # Errors
    /// [`SubscribeError::SnapshotMissing`], [`SubscribeError::Store`].
    pub async fn update_snapshot(&self, name: &str, config: Bytes) -> Result<Snapshot, SubscribeError> {
        let _turn = self.inner.changing.lock().await;
        let found = self.snapshot(name).ok_or_else(|| SubscribeError::SnapshotMissing(name.to_owned()))?;
        let snapshot = Snapshot { config, ..found };
        self.store_snapshot(&snapshot).await?;
        Ok(snapshot)
    }

    async fn store_snapshot(&self, snapshot: &Snapshot) -> Result<(), SubscribeError> {
        let row = snapshot.row();
        self.inner.topics.store().write(move |db| stored::set_snapshot(db, &row)).await?;
        self.inner.snapshots.write().insert(snapshot.name.clone(), snapshot.clone());
        self.hold_what_is_needed();
        Ok(())
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// [`SubscribeError::SnapshotMissing`], [`SubscribeError::Store`].
    pub async fn remove_snapshot(&self, name: &str) -> Result<(), SubscribeError> {
        let _turn = self.inner.changing.lock().await;
        let snapshot = self.snapshot(name).ok_or_else(|| SubscribeError::SnapshotMissing(name.to_owned()))?;
        let removed = name.to_owned();
        self.inner.topics.store().write(move |db| stored::remove_snapshot(db, &removed)).await?;
        self.inner.snapshots.write().remove(name);
        if let Some(topic) = self.inner.topics.get(&snapshot.topic_name) {
            self.inner.topics.release(&topic, &Snapshot::reader(name));
        }
        Ok(())
    }

    /// Makes everything accepted before a time acknowledged, and everything after it not; durable when it returns.
    /// A time to come gives up what is accepted until then.
    ///
    /// # Errors
    /// [`SubscribeError::Log`], [`SubscribeError::Store`].
    pub async fn seek_to_time(&self, subscription: &Subscription, time_us: i64) -> Result<(), SubscribeError> {
        let offset = seek::offset_at(&*self.inner.topics.log(), subscription.topic(), time_us).await?;
        self.seek(subscription, Acknowledged::before(offset), time_us).await
    }

    /// Makes acknowledged what was acknowledged when a snapshot was taken; durable when it returns.
    ///
    /// # Errors
    /// [`SubscribeError::OtherTopic`], [`SubscribeError::Store`].
    pub async fn seek_to_snapshot(
        &self,
        subscription: &Subscription,
        snapshot: &Snapshot,
    ) -> Result<(), SubscribeError> {
        if snapshot.topic != subscription.topic() {
            return Err(SubscribeError::OtherTopic {
                snapshot: snapshot.name.clone(),
                subscription: subscription.name().to_owned(),
            });
        }
        self.seek(subscription, snapshot.saved.acknowledged.clone(), snapshot.saved.discard_before_us).await
    }

    async fn seek(
        &self,
        subscription: &Subscription,
        acknowledged: Acknowledged,
        discard_before_us: i64,
    ) -> Result<(), SubscribeError> {
        let revision = {
            let mut deliveries = subscription.inner.deliveries.lock();
            deliveries.seek(acknowledged, discard_before_us);
            deliveries.revision()
        };
        self.hold_what_is_needed();
        subscription.inner.news.notify_waiters();
        Ok(subscription.persist(revision).await?)
    }

    /// Ends receivers and makes durable what was acknowledged. Topics are stopped after it.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.persist_all().await;
    }
}

/// The name under which a subscription keeps events on the log.
fn reader(subscription: &str) -> String {
    format!("subscription {subscription}")
}

fn text(settings: &Settings) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}
