//! All topics of a project.
//!
//! Owns: [`Topics`]: which topics there are, the way of an event to the log, what holds the log, and the order of
//! starting and stopping.
//! Never looks into an event on its way: what is accepted is on the log, and the checks belong to whoever reads it.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use jiff::tz::TimeZone;
use naru_base::{
    Problem, failpoint,
    number::{u64_from, u64_from_signed},
    time::now_us,
};
use naru_lake::{
    Lake,
    live::{LiveSet, LiveSettings},
    rows::{Fault, RowBuilder},
};
use naru_project::Topic;
use naru_store::{Store, topics as stored};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{PublishError, TopicError},
    handle::{SinkHandle, TopicHandle},
    keep::{self, LOG_RETENTION},
    log::{Batch, LazyLog, LogError, LogSettings, LogStatus, Sync, TopicLog, TopicNo},
    marks,
    schema::{self, Shape},
    sink::{self, Asked, SinkCell, SinkCut},
    status::{LogFacts, ReaderStatus, TopicStatus, TopicsStatus},
};

/// KiB of events that may wait for the disk, those of all senders together. More are told to wait: memory is bounded
/// by it, and the log's own queue is half of it.
const WAITING_KIB: usize = 128 << 10;
/// How long rows of a topic wait for a file, unless its file says otherwise: they are visible before, and the log has
/// them, so few large files are worth more than many small ones.
const FLUSH_INTERVAL: Duration = Duration::from_mins(1);
/// How often rates are sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// Samples between two looks at what of the log can go.
const TRIM_EVERY: u32 = 15;

/// What topics need to know.
#[derive(Debug, Clone)]
pub struct TopicsSettings {
    /// The project's name.
    pub project: String,
    /// The business time zone, for days.
    pub zone: TimeZone,
    /// Where the log lies.
    pub folder: PathBuf,
    /// The files of `topics/`.
    pub declared: Vec<Topic>,
    /// The state database.
    pub store: Store,
    /// The lake.
    pub lake: Lake,
    /// How the tables behave: when they flush, and the memory that they share.
    pub live: LiveSettings,
    /// How the log behaves.
    pub log: LogSettings,
}

/// All topics of a project. Clones are the same.
#[derive(Debug, Clone)]
pub struct Topics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: TopicsSettings,
    log: Arc<LazyLog>,
    port: Arc<dyn TopicLog>,
    registry: RwLock<BTreeMap<String, TopicHandle>>,
    waiting: Semaphore,
    set: LiveSet,
    stop: CancellationToken,
    sinks: Mutex<Vec<JoinHandle<()>>>,
    /// One edited file is taken at a time.
    declaring: tokio::sync::Mutex<()>,
}

/// An event as a sender sent it.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    /// Its bytes, whatever they are.
    pub data: Bytes,
    /// Events of one key keep their order; empty for none.
    pub ordering_key: String,
    /// Names and values. Those that begin with `naru.` are naru's own; doors refuse them from outside.
    pub attributes: Vec<(String, String)>,
}

/// An event that the table's check will not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its place among those that were judged.
    pub index: usize,
    /// What is wrong.
    pub fault: Fault,
    /// The revision of the columns that it was judged by.
    pub schema_revision: u32,
    /// Its own id, where the topic has a dedup key and the event a value for it.
    pub event_id: Option<String>,
}

impl Incoming {
    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        self.data.len() + self.ordering_key.len() + attributes + 12
    }
}

impl Topics {
    /// Opens the log and the topics.
    ///
    /// # Errors
    /// [`TopicError`] when the log, the state database or the lake cannot be used, or a file's columns cannot follow
    /// those of its table.
    pub async fn open(settings: TopicsSettings) -> Result<Self, TopicError> {
        let names: Vec<String> = settings.declared.iter().map(|topic| topic.name.clone()).collect();
        let (numbers, made) = settings
            .store
            .write(move |db| {
                let numbers = names.iter().map(|name| stored::number(db, name)).collect::<Result<Vec<_>, _>>()?;
                Ok((numbers, stored::made(db)?))
            })
            .await?;
        let numbers: Vec<TopicNo> = numbers.into_iter().map(TopicNo).collect();
        let log = Arc::new(open_log(&settings, &numbers, !made.is_empty()).await?);
        let port: Arc<dyn TopicLog> = log.clone();
        let mut registry = BTreeMap::new();
        for (number, name) in made {
            registry.insert(name.clone(), TopicHandle::made(name, TopicNo(number)));
        }
        let declared = settings.declared.clone();
        let inner = Inner {
            settings,
            log,
            port,
            registry: RwLock::new(registry),
            waiting: Semaphore::new(WAITING_KIB),
            set: LiveSet::new(),
            stop: CancellationToken::new(),
            sinks: Mutex::default(),
            declaring: tokio::sync::Mutex::default(),
        };
        let topics = Self { inner: Arc::new(inner) };
        for (topic, number) in declared.iter().zip(numbers) {
            topics.begin(topic, number).await?;
        }
        Ok(topics)
    }

    /// Serves a declared topic from now on.
    async fn begin(&self, topic: &Topic, number: TopicNo) -> Result<(), TopicError> {
        let (inner, settings) = (&self.inner, &self.inner.settings);
        let revision = schema::note_revision(&settings.store, topic, number).await?;
        let shape = Shape::of(topic, &[], revision)?;
        let cell = SinkCell::default();
        let (asked, asks) = mpsc::channel(sink::ASKED_MAX);
        let handle = TopicHandle::of_file(topic, number, shape, SinkHandle { cell: cell.clone(), asked });
        if let Some(made) = self.get(&topic.name) {
            // What was made over a door has a file from now on; who reads it goes on.
            handle.inner.facts.holds.lock().clone_from(&made.inner.facts.holds.lock());
        }
        handle.hold(sink::READER, inner.port.bounds(number).start);
        inner.registry.write().insert(topic.name.clone(), handle.clone());
        let context = sink::Context {
            topic: handle,
            declared: topic.clone(),
            log: Arc::clone(&inner.port),
            lake: settings.lake.clone(),
            store: settings.store.clone(),
            live: live_settings(settings, topic),
            set: inner.set.clone(),
            zone: settings.zone.iana_name().unwrap_or("UTC").to_owned(),
            cache: settings.lake.cache().join("topics"),
            cell,
        };
        let running = tokio::spawn(sink::keep(context, asks, inner.stop.child_token()));
        inner.sinks.lock().push(running);
        Ok(())
    }

    /// Goes by another text of a topic's file from now on, or serves a topic whose file is new. What was accepted before
    /// is in the table by the earlier one. Forwards and queues of the file are not begun or ended by this.
    ///
    /// # Errors
    /// Why not; the topic goes on as before.
    pub async fn declare(&self, topic: &Topic) -> Result<(), Problem> {
        let _turn = self.inner.declaring.lock().await;
        let known = self.get(&topic.name);
        let Some(handle) = known.filter(|handle| handle.declared().is_some()) else {
            let name = topic.name.clone();
            let number = self.inner.settings.store.write(move |db| stored::number(db, &name)).await;
            let number = number.map_err(|error| error.problem())?;
            return self.begin(topic, TopicNo(number)).await.map_err(|error| error.problem());
        };
        let Some(sink) = &handle.inner.facts.sink else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        let live = live_settings(&self.inner.settings, topic);
        let declared = Asked::Declare(Box::new(sink::Declared { topic: topic.clone(), live }), answer);
        let handle = ask(&handle, sink, declared, answered).await?;
        self.inner.registry.write().insert(topic.name.clone(), handle);
        Ok(())
    }

    /// A declared or made topic.
    pub fn get(&self, name: &str) -> Option<TopicHandle> {
        self.inner.registry.read().get(name).cloned()
    }

    /// All topics by name.
    pub fn list(&self) -> Vec<TopicHandle> {
        self.inner.registry.read().values().cloned().collect()
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.inner.settings.project
    }

    /// The state database, for what stands on topics.
    pub fn store(&self) -> &Store {
        &self.inner.settings.store
    }

    /// Makes a topic without a file, which is on the log only.
    ///
    /// # Errors
    /// [`TopicError::Exists`]; [`TopicError::Store`].
    pub async fn make(&self, name: &str) -> Result<TopicHandle, TopicError> {
        if self.get(name).is_some() {
            return Err(TopicError::Exists(name.to_owned()));
        }
        let wanted = name.to_owned();
        let number = self.inner.settings.store.write(move |db| stored::make(db, &wanted, now_us())).await?;
        let mut registry = self.inner.registry.write();
        if registry.contains_key(name) {
            return Err(TopicError::Exists(name.to_owned()));
        }
        let handle = TopicHandle::made(name.to_owned(), TopicNo(number));
        registry.insert(name.to_owned(), handle.clone());
        Ok(handle)
    }

    /// Removes a made topic and forgets its events.
    ///
    /// # Errors
    /// [`TopicError::Missing`]; [`TopicError::Declared`]: its file says that it exists.
    pub async fn remove(&self, name: &str) -> Result<(), TopicError> {
        let handle = self.get(name).ok_or_else(|| TopicError::Missing(name.to_owned()))?;
        if handle.declared().is_some() {
            return Err(TopicError::Declared(name.to_owned()));
        }
        let number = handle.number();
        handle.inner.facts.removed.store(true, Ordering::Relaxed);
        self.inner.settings.store.write(move |db| stored::unmake(db, number.0)).await?;
        self.inner.registry.write().remove(name);
        let end = self.inner.port.bounds(number).end;
        Ok(self.inner.port.trim(number, end).await?)
    }

    /// The log below all topics.
    pub fn log(&self) -> Arc<dyn TopicLog> {
        Arc::clone(&self.inner.port)
    }

    /// Appends events; answers the first one's offset once all of them are durable. The others follow it without gaps.
    ///
    /// Dropping the future does not take them back.
    ///
    /// # Errors
    /// [`PublishError`]; every refused event and byte is counted.
    pub async fn publish(&self, topic: &TopicHandle, events: &[Incoming]) -> Result<u64, PublishError> {
        let bytes: usize = events.iter().map(Incoming::bytes).sum();
        let published = self.append(topic, events, bytes).await;
        let count = u64_from(events.len());
        match &published {
            Ok(_) => {
                topic.inner.facts.published.fetch_add(count, Ordering::Relaxed);
            }
            Err(_) => topic.count_refused(count, u64_from(bytes)),
        }
        published
    }

    async fn append(&self, topic: &TopicHandle, events: &[Incoming], bytes: usize) -> Result<u64, PublishError> {
        if topic.is_removed() {
            return Err(PublishError::Unknown { topic: topic.name().to_owned() });
        }
        let kib = u32::try_from(bytes.div_ceil(1024).min(WAITING_KIB)).unwrap_or(u32::MAX);
        let Ok(_waiting) = self.inner.waiting.try_acquire_many(kib) else { return Err(PublishError::Busy) };
        let mut batch = Batch::with_capacity(bytes);
        for event in events {
            let attributes = event.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            batch.push(&event.data, &event.ordering_key, attributes);
        }
        // What is told of dead letters lets their reader go on, and the log be trimmed.
        if events.iter().all(|event| event.attributes.iter().any(|(name, _)| name == marks::DEAD_SINK)) {
            batch = batch.own();
        }
        let first = self.inner.port.append(topic.number(), batch).await.map_err(PublishError::of)?;
        failpoint::hit("topics.after_append");
        Ok(first)
    }

    /// Says that a reader still needs a topic's events from an offset on: they are not trimmed. Called again as the
    /// reader moves on. What was trimmed before the first call is gone.
    pub fn hold(&self, topic: &TopicHandle, reader: &str, from: u64) {
        topic.hold(reader, from);
    }

    /// Says that a reader needs nothing any more.
    pub fn release(&self, topic: &TopicHandle, reader: &str) {
        topic.inner.facts.holds.lock().remove(reader);
    }

    /// Samples rates and trims the log from now on. Whoever reads topics has said so with [`Topics::hold`] by now.
    pub fn begin_trimming(&self) {
        let (topics, stop) = (self.clone(), self.inner.stop.clone());
        tokio::spawn(async move {
            let mut round: u32 = 0;
            while stop.run_until_cancelled(tokio::time::sleep(SAMPLE_EVERY)).await.is_some() {
                topics.sample();
                round = round.wrapping_add(1);
                if round.is_multiple_of(TRIM_EVERY) {
                    topics.trim().await;
                }
            }
        });
    }

    fn sample(&self) {
        let now = Instant::now();
        for topic in self.list() {
            let end = self.inner.port.bounds(topic.number()).end;
            topic.inner.facts.samples.lock().note(now, end);
        }
    }

    /// Forgets what nobody needs any more of the log, as [`Topics::begin_trimming`] does now and then.
    pub async fn trim(&self) {
        // Where there is no room for more, what everybody has read is worth less than what wants to come in.
        let status = self.inner.log.status();
        let full = status.as_ref().is_some_and(|log| matches!(log.stopped, Some(LogError::Full { .. })));
        let mut known = HashSet::new();
        for topic in self.list() {
            let number = topic.number();
            known.insert(number);
            let end = self.inner.port.bounds(number).end;
            let retention = topic.declared().and_then(|declared| declared.log_retention);
            let past = if full { end } else { self.past(number, retention.unwrap_or(LOG_RETENTION)).await };
            let holds: Vec<u64> = topic.inner.facts.holds.lock().values().copied().collect();
            self.forget(number, keep::floor(past, holds)).await;
        }
        // Topics whose file is gone: one that comes back within the retention finds its events.
        for (number, bounds) in status.map(|log| log.topics).unwrap_or_default() {
            if !known.contains(&number) && !bounds.is_empty() {
                self.forget(number, self.past(number, LOG_RETENTION).await).await;
            }
        }
    }

    async fn past(&self, number: TopicNo, retention: Duration) -> u64 {
        keep::past(&*self.inner.port, number, retention).await.unwrap_or_else(|error| {
            tracing::warn!(topic = number.0, problem = %error.problem(), "the topic log was not looked at");
            0
        })
    }

    async fn forget(&self, number: TopicNo, floor: u64) {
        if floor <= self.inner.port.bounds(number).start {
            return;
        }
        if let Err(error) = self.inner.port.trim(number, floor).await {
            tracing::warn!(topic = number.0, problem = %error.problem(), "the topic log was not trimmed");
        }
    }

    /// Everything at this moment.
    pub fn status(&self) -> TopicsStatus {
        let log = self.inner.log.status();
        let of = |fact: fn(&LogStatus) -> u64| log.as_ref().map_or(0, fact);
        let facts = LogFacts {
            mode: match self.inner.log.sync() {
                Sync::Disk => "fsync",
                Sync::System => "os",
            },
            segments: of(|log| u64_from(log.segments)),
            bytes: of(|log| log.bytes),
            damaged: of(|log| u64_from(log.quarantined.len())),
            cut_bytes: of(|log| log.cut_bytes),
            problem: log.and_then(|log| log.stopped).map(|error| error.problem()),
        };
        TopicsStatus { log: facts, topics: self.list().iter().map(|topic| self.topic_status(topic)).collect() }
    }

    fn topic_status(&self, topic: &TopicHandle) -> TopicStatus {
        let bounds = self.inner.port.bounds(topic.number());
        let inner = &topic.inner.facts;
        let reader = |(reader, next): (&String, &u64)| ReaderStatus {
            reader: reader.clone(),
            next: *next,
            backlog: bounds.end.saturating_sub(*next),
        };
        TopicStatus {
            topic: topic.name().to_owned(),
            declared: topic.declared().is_some(),
            first: bounds.start,
            next: bounds.end,
            published: inner.published.load(Ordering::Relaxed),
            refused: inner.refused.load(Ordering::Relaxed),
            refused_bytes: inner.refused_bytes.load(Ordering::Relaxed),
            rate: inner.samples.lock().rate(),
            table: inner.sink.as_ref().map(|sink| sink.cell.get()),
            readers: inner.holds.lock().iter().map(reader).collect(),
        }
    }

    /// The tables of all topics, for readers.
    pub fn set(&self) -> LiveSet {
        self.inner.set.clone()
    }

    /// What the table's check will say of events: those that do not fit, with their place in the slice. Touches no
    /// disk. A topic without a file has no table, and takes everything.
    pub fn judge(&self, topic: &TopicHandle, events: &[Incoming]) -> Vec<Judged> {
        let (Some(shape), Some(declared)) = (topic.shape(), topic.declared()) else { return Vec::new() };
        let mut builder = RowBuilder::new(&shape.rows);
        let judged = events.iter().enumerate().filter_map(|(index, event)| {
            let fault = builder.check(&event.data).err()?;
            let event_id = declared.dedup.as_ref().and_then(|dedup| sink::event_id(&dedup.key, &event.data));
            Some(Judged { index, fault, schema_revision: shape.revision, event_id })
        });
        judged.collect()
    }

    /// Waits until everything on the log of this moment is visible in the topic's table.
    ///
    /// # Errors
    /// Why the table does not take events. A topic without a file has no table: at once, without an error.
    pub async fn settle(&self, topic: &TopicHandle) -> Result<(), Problem> {
        let Some(sink) = &topic.inner.facts.sink else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        ask(topic, sink, Asked::Settle(answer), answered).await
    }

    /// Puts everything on the log of this moment into the files of the topic's table, and says where it stands; none
    /// for a topic without a file.
    ///
    /// # Errors
    /// Why the table does not take events.
    pub async fn flush(&self, topic: &TopicHandle) -> Result<Option<SinkCut>, Problem> {
        let Some(sink) = &topic.inner.facts.sink else { return Ok(None) };
        let (answer, answered) = oneshot::channel();
        ask(topic, sink, Asked::Flush(answer), answered).await.map(Some)
    }

    /// Stops the tables' sinks, which take what is on the log and flush, and closes the log. Nobody publishes any more.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        let sinks = std::mem::take(&mut *self.inner.sinks.lock());
        for ended in futures::future::join_all(sinks).await {
            if let Err(error) = ended {
                tracing::warn!(%error, "a topic's table ended badly");
            }
        }
        self.inner.log.close().await;
    }
}

async fn ask<T>(
    topic: &TopicHandle,
    sink: &SinkHandle,
    asked: Asked,
    answered: oneshot::Receiver<Result<T, Problem>>,
) -> Result<T, Problem> {
    let stopped =
        || Problem::new("topics.stopping", format!("the table of topic \"{}\" is stopping", topic.name())).later();
    sink.asked.send(asked).await.map_err(|_| stopped())?;
    answered.await.map_err(|_| stopped())?
}

/// Opens the log, where there is one or is to be one.
async fn open_log(settings: &TopicsSettings, numbers: &[TopicNo], made: bool) -> Result<LazyLog, TopicError> {
    let log = || LazyLog::new(settings.folder.clone(), settings.log.clone(), settings.store.clone());
    let lazy = log();
    if numbers.is_empty() && !made && !lazy.exists() {
        return Ok(lazy);
    }
    lazy.open().await?;
    let behind = behind(settings, numbers, &lazy).await?;
    if behind.is_empty() {
        return Ok(lazy);
    }
    lazy.close().await;
    drop(lazy);
    let floors = move |db: &naru_store::Transaction<'_>| {
        behind.iter().try_for_each(|(number, floor)| stored::set_floor(db, number.0, *floor))
    };
    settings.store.write(floors).await?;
    let lazy = log();
    lazy.open().await?;
    Ok(lazy)
}

/// Topics whose table is ahead of the log, which shows that the log was lost, with the table's position: they go on
/// behind it, for no offset is given twice.
async fn behind(
    settings: &TopicsSettings,
    numbers: &[TopicNo],
    log: &LazyLog,
) -> Result<Vec<(TopicNo, u64)>, TopicError> {
    let mut behind = Vec::new();
    for (topic, number) in settings.declared.iter().zip(numbers) {
        let table = match settings.lake.open_table(&sink::table_of(&topic.name)).await {
            Ok(table) => table,
            Err(error) => {
                // Intake does not wait for the lake; the sink will.
                tracing::warn!(topic = topic.name, problem = %error.problem(), "a topic's table cannot be looked at");
                continue;
            }
        };
        let Some(table) = table else { continue };
        let position = table.position(sink::APP).await?.map_or(0, u64_from_signed);
        if position > log.bounds(*number).end {
            tracing::error!(topic = topic.name, position, "the topic log was lost; the topic goes on behind its table");
            behind.push((*number, position));
        }
    }
    Ok(behind)
}

fn live_settings(settings: &TopicsSettings, topic: &Topic) -> LiveSettings {
    let mut live = settings.live.clone();
    live.flush.interval = topic.flush_interval.unwrap_or(FLUSH_INTERVAL);
    live.flush.interval_max = live.flush.interval_max.max(live.flush.interval);
    live
}
