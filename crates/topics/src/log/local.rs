//! The log on this machine's disk.
//!
//! Owns: [`LocalLog`]: opening, the threads, what readers and appenders share, cursors, trimming, closing.
//! Never decides what is kept: whoever reads says what may go.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    ops::Range,
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::SystemTime,
};

use naru_base::number::u64_from;
use naru_store::{Store, topics};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, watch};

use super::{
    Batch, Chunk, LogError, LogStatus, Quarantined, TopicLog, TopicNo,
    frame::HEAD,
    read::Reading,
    recover,
    segment::{self, Folder, Segment},
    writer::{self, Durable, Pending, Place, Spare},
};

/// Bytes of batches that may wait for the disk; more wait for them.
const WAITING_KIB: usize = 64 << 10;
/// Offsets of a topic that are reserved together: at most so many are passed over when the log is lost. At the highest
/// rates that were measured this is one write of the state database a second.
const RESERVED_TOGETHER: u64 = 1 << 18;

/// What an answer to an append means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It is on the disk: it survives a power cut.
    Disk,
    /// The operating system has it: it survives a kill of naru.
    System,
}

/// How a log behaves.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// What an answer means.
    pub sync: Sync,
    /// Bytes of one file.
    pub segment_bytes: u64,
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Bytes that stay free on the disk.
    pub free_min: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { sync: Sync::Disk, segment_bytes: 64 << 20, bytes_max: u64::MAX, free_min: 512 << 20 }
    }
}

/// A log in a folder. Clones are the same log; the folder is held by one process at a time, which the project's lock
/// ensures.
#[derive(Debug, Clone)]
pub struct LocalLog {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    store: Store,
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) settings: LogSettings,
    pub(crate) pending: Mutex<Pending>,
    pub(crate) wake: Condvar,
    /// Told when a place may have become free.
    pub(crate) room: Notify,
    pub(crate) durable: watch::Sender<Durable>,
    pub(crate) segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// One past the last durable offset.
    pub(crate) ends: RwLock<HashMap<TopicNo, u64>>,
    floors: RwLock<HashMap<TopicNo, u64>>,
    waiting: Semaphore,
    /// One reserves offsets at a time.
    reserving: tokio::sync::Mutex<()>,
    ahead: mpsc::SyncSender<()>,
    damage: Mutex<Vec<Quarantined>>,
    cut_bytes: u64,
}

impl Shared {
    pub(crate) fn make_spare(&self) {
        // One that is asked for already is enough.
        self.ahead.try_send(()).ok();
    }
}

impl LocalLog {
    /// Opens or makes the log of a folder, and brings it into order after whatever happened. Blocks while it reads
    /// the last file; floors (what was trimmed) are asked of the state database, and where there is no log any more,
    /// which offsets were ever given.
    ///
    /// # Errors
    /// [`LogError::File`], [`LogError::Newer`], [`LogError::Full`] when there is not even room for the first file.
    pub fn open(folder: &Path, settings: LogSettings, store: Store) -> Result<Self, LogError> {
        fs::create_dir_all(folder).map_err(LogError::file(folder))?;
        let kept = Folder::open(folder).map_err(LogError::file(folder))?;
        let lost = segment::numbers(folder)?.is_empty();
        let known = move |db: &naru_store::Transaction<'_>| {
            let reserved = topics::reserved(db)?;
            if lost {
                // A log that is made anew has nothing of what was given.
                reserved.iter().try_for_each(|(topic, end)| topics::set_floor(db, *topic, *end))?;
            }
            Ok((topics::floors(db)?, reserved))
        };
        let (floors, reserved) = store.write_blocking(known).map_err(cursor_failed)?;
        let by_topic = |all: Vec<(u32, u64)>| all.into_iter().map(|(topic, offset)| (TopicNo(topic), offset)).collect();
        let floors: HashMap<TopicNo, u64> = by_topic(floors);
        // A floor is durable before a file goes, so no topic goes on below its own, whatever frames are left.
        let recovered = recover::recover(folder, floors.clone())?;
        let mut segments = recovered.segments;
        let full = |error: std::io::Error| LogError::Full { reason: error.to_string() };
        if segments.is_empty() {
            segment::make_spare(&kept, settings.segment_bytes, settings.free_min).map_err(full)?;
            segments.insert(1, Arc::new(Segment::begin(&kept, 1).map_err(LogError::file(folder))?));
        }
        let Some(open) = segments.values().next_back().cloned() else { return Err(LogError::Closing) };
        let at = open.known.read().end;
        let mut pending = Pending::new(recovered.next.clone(), open.number, at, recovered.group);
        pending.reserved = by_topic(reserved);
        // Says that everything before was whole when the log was opened, and where all topics go on.
        pending.control();
        let (ahead, asked) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared {
            folder: kept,
            settings,
            pending: Mutex::new(pending),
            wake: Condvar::new(),
            room: Notify::new(),
            durable: watch::Sender::new(Durable { group: recovered.group, stopped: None }),
            segments: RwLock::new(segments),
            ends: RwLock::new(recovered.next),
            floors: RwLock::new(floors),
            waiting: Semaphore::new(WAITING_KIB),
            reserving: tokio::sync::Mutex::default(),
            ahead,
            damage: Mutex::new(recovered.quarantined),
            cut_bytes: recovered.cut_bytes,
        });
        shared.make_spare();
        let threads = Self::begin(&shared, open, asked)?;
        Ok(Self { shared, threads: Arc::new(Mutex::new(threads)), store })
    }

    fn begin(
        shared: &Arc<Shared>,
        open: Arc<Segment>,
        asked: mpsc::Receiver<()>,
    ) -> Result<Vec<JoinHandle<()>>, LogError> {
        let failed = LogError::file(&shared.folder.path);
        let (writing, ahead) = (Arc::clone(shared), Arc::downgrade(shared));
        let builder = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let spawned = builder("naru-log").spawn(move || writer::run(&writing, open)).and_then(|writer| {
            // Ends by itself when the log is dropped: it holds nothing that keeps the log.
            builder("naru-log-ahead").spawn(move || writer::run_ahead(&ahead, &asked))?;
            Ok(vec![writer])
        });
        spawned.map_err(failed)
    }

    /// Takes no more, makes durable what was placed, and waits for it.
    pub async fn close(&self) {
        self.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        let ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                thread.join().ok();
            }
        });
        ended.await.ok();
    }

    fn stop(&self) {
        let mut pending = self.shared.pending.lock();
        if pending.stopped.is_none() {
            // What follows a last frame shows that the frame was whole.
            pending.control();
            pending.stopped = Some(LogError::Closing);
        }
        drop(pending);
        self.shared.wake.notify_all();
        self.shared.room.notify_waiters();
    }

    /// The log at this moment.
    pub fn status(&self) -> LogStatus {
        let shared = &self.shared;
        let segments = shared.segments.read().len();
        let mut numbers: Vec<TopicNo> = shared.ends.read().keys().copied().collect();
        numbers.sort_unstable();
        let topics = numbers.into_iter().map(|topic| (topic, self.bounds(topic))).collect();
        let pending = shared.pending.lock();
        let no_room = match &pending.spare {
            Spare::ForOwn(reason) | Spare::Failed(reason) => Some(LogError::Full { reason: reason.clone() }),
            Spare::Making | Spare::Ready => None,
        };
        LogStatus {
            sync: shared.settings.sync,
            segments,
            bytes: u64_from(segments).saturating_mul(shared.settings.segment_bytes),
            quarantined: shared.damage.lock().clone(),
            cut_bytes: shared.cut_bytes,
            stopped: pending.stopped.clone().or(no_room),
            topics,
        }
    }

    /// Places a batch, waiting for the next file where that is being made.
    async fn place(&self, topic: TopicNo, batch: &Batch) -> Result<(u64, u64), LogError> {
        let shared = &self.shared;
        let check = crc32fast::hash(batch.body());
        loop {
            let room = shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let placed = {
                let mut pending = shared.pending.lock();
                let placed = pending.place(topic, batch, check, now_us(), shared.settings.segment_bytes);
                if matches!(placed, Err(LogError::Full { .. })) {
                    // Space may have come back; the next append will know.
                    shared.make_spare();
                }
                placed?
            };
            shared.wake.notify_one();
            match placed {
                Place::Taken { first, group } => return Ok((first, group)),
                Place::Wait => room.await,
                Place::Reserve { end } => self.reserve(topic, end).await?,
            }
        }
    }

    /// Notes in the state database that offsets up to an end and some more may be given.
    async fn reserve(&self, topic: TopicNo, end: u64) -> Result<(), LogError> {
        let _turn = self.shared.reserving.lock().await;
        if self.shared.pending.lock().is_reserved(topic, end) {
            return Ok(());
        }
        let end = end.saturating_add(RESERVED_TOGETHER);
        let noted = self.store.write(move |db| topics::reserve(db, topic.0, end)).await;
        noted.map_err(|error| LogError::Full { reason: format!("offsets cannot be noted: {}", error.problem()) })?;
        self.shared.pending.lock().reserved.insert(topic, end);
        Ok(())
    }

    fn drop_forgotten(&self) {
        let shared = &self.shared;
        let mut segments = shared.segments.write();
        while segments.len() > 1 {
            let floors = shared.floors.read();
            let forgotten = segments.first_key_value().is_some_and(|(_, segment)| {
                let known = segment.known.read();
                let kept = |(topic, places): (&TopicNo, &super::index::Places)| {
                    floors.get(topic).copied().unwrap_or(0) < places.end
                };
                !known.index.topics.iter().any(kept)
            });
            let Some((_, segment)) = (if forgotten { segments.pop_first() } else { None }) else { break };
            // A reader that still holds it keeps the file alive, but not its name.
            let retired = match Arc::try_unwrap(segment) {
                Ok(segment) => segment::retire(&shared.folder, segment, shared.settings.segment_bytes),
                Err(read) => segment::remove(&read.path),
            };
            if let Err(error) = retired {
                tracing::warn!(%error, "a segment of the topic log was not removed");
            }
        }
    }
}

#[async_trait::async_trait]
impl TopicLog for LocalLog {
    async fn append(&self, topic: TopicNo, batch: Batch) -> Result<u64, LogError> {
        let topics = self.shared.ends.read().len() + 1;
        let most = writer::batch_bytes_max(self.shared.settings.segment_bytes, topics);
        if batch.bytes() > most {
            return Err(LogError::TooLarge { bytes: batch.bytes(), most });
        }
        if batch.is_empty() {
            return Ok(self.bounds(topic).end);
        }
        let kib = u32::try_from((batch.bytes() + HEAD).div_ceil(1024).min(WAITING_KIB)).unwrap_or(u32::MAX);
        let _waiting = self.shared.waiting.acquire_many(kib).await.map_err(|_| LogError::Closing)?;
        let (first, group) = self.place(topic, &batch).await?;
        drop(batch);
        let mut durable = self.shared.durable.subscribe();
        let reached = durable.wait_for(|durable| durable.group >= group || durable.stopped.is_some()).await;
        let reached = reached.map_err(|_| LogError::Closing)?;
        if reached.group >= group {
            return Ok(first);
        }
        Err(reached.stopped.clone().unwrap_or(LogError::Closing))
    }

    async fn read(&self, topic: TopicNo, from: u64, bytes_max: usize) -> Result<Chunk, LogError> {
        let reading = {
            let segments = self.shared.segments.read();
            // Before any index is looked at: what becomes durable from here on is for the next read.
            let bounds = self.bounds(topic);
            let holds = |segment: &&Arc<Segment>| {
                segment.known.read().index.topics.get(&topic).is_some_and(|places| places.end > from)
            };
            let segments = segments.values().filter(holds).cloned().collect();
            Reading { topic, from, bounds, bytes_max, segments }
        };
        let folder = self.shared.folder.path.clone();
        let found = tokio::task::spawn_blocking(move || reading.run()).await.map_err(|_| LogError::Closing)?;
        let found = found.map_err(LogError::file(&folder))?;
        if !found.damaged.is_empty() {
            let mut damage = self.shared.damage.lock();
            for one in found.damaged.into_iter().filter(|one| one.bytes.start < one.bytes.end) {
                if !damage.contains(&one) {
                    tracing::error!(segment = one.segment, bytes = ?one.bytes, "a range of the topic log is damaged and cannot be read");
                    damage.push(one);
                }
            }
        }
        Ok(found.chunk)
    }

    fn bounds(&self, topic: TopicNo) -> Range<u64> {
        let end = self.shared.ends.read().get(&topic).copied().unwrap_or(0);
        let floor = self.shared.floors.read().get(&topic).copied().unwrap_or(0);
        floor.min(end)..end
    }

    async fn grown(&self, topic: TopicNo, offset: u64) {
        let mut durable = self.shared.durable.subscribe();
        let there = durable.wait_for(|durable| durable.stopped.is_some() || self.bounds(topic).end > offset).await;
        drop(there);
    }

    async fn cursor(&self, topic: TopicNo, reader: &str) -> Result<Option<u64>, LogError> {
        let reader = reader.to_owned();
        self.store.read(move |db| topics::get(db, topic.0, &reader)).await.map_err(cursor_failed)
    }

    async fn set_cursor(&self, topic: TopicNo, reader: &str, offset: u64) -> Result<(), LogError> {
        let reader = reader.to_owned();
        self.store.write(move |db| topics::set(db, topic.0, &reader, offset)).await.map_err(cursor_failed)
    }

    async fn trim(&self, topic: TopicNo, before: u64) -> Result<(), LogError> {
        let before = before.min(self.bounds(topic).end);
        if self.bounds(topic).start >= before {
            return Ok(());
        }
        // The floor is durable first: an offset below it must never be asked of a file that is gone.
        let set = self.store.write(move |db| topics::set_floor(db, topic.0, before)).await;
        set.map_err(cursor_failed)?;
        {
            let mut floors = self.shared.floors.write();
            let floor = floors.entry(topic).or_default();
            *floor = before.max(*floor);
        }
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.drop_forgotten()).await.map_err(|_| LogError::Closing)
    }
}

impl Drop for LocalLog {
    fn drop(&mut self) {
        if Arc::strong_count(&self.threads) == 1 {
            self.stop();
        }
    }
}

fn cursor_failed(error: naru_store::StoreError) -> LogError {
    LogError::Cursor(error.problem().to_string())
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
