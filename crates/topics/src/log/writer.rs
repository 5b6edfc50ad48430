//! The way of an append: placed under a short lock, written and synced by one thread, then answered.
//!
//! Owns: [`Pending`], the order of frames, group commit, the change to the next segment, and what an error of the
//! disk means. The sync under way is the window in which the next group gathers. Never looks into a body.

use std::{collections::HashMap, os::unix::fs::FileExt as _, sync::Arc};

use naru_base::{
    failpoint,
    number::{u64_from, usize_from},
};

use super::{
    Batch, TopicNo,
    error::LogError,
    frame::{self, CONTROL, HEAD, Head, control_bytes},
    local::{Shared, Sync},
    recover::FORMAT,
    segment::{self, Segment},
};

/// Files beyond the most that the log may hold that naru's own words may take.
const OWN_SEGMENTS: u64 = 4;

/// Frames that wait for the disk, and everything that decides where the next one goes.
#[derive(Debug)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    frames: Vec<Placed>,
    /// Where in `bytes` a new segment begins, if one does.
    roll: Option<usize>,
    /// A segment has begun here and not yet on disk; the spare is its.
    rolling: bool,
    pub(crate) next: HashMap<TopicNo, u64>,
    /// Up to where the state database knows that offsets may be given.
    pub(crate) reserved: HashMap<TopicNo, u64>,
    segment: u64,
    at: u64,
    group: u64,
    pub(crate) spare: Spare,
    /// The present segment was begun with [`Spare::ForOwn`]: it takes nothing else until there is room again.
    own_only: bool,
    pub(crate) stopped: Option<LogError>,
}

/// The file for the next segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spare {
    Making,
    Ready,
    /// There is room for what naru itself has to tell, and for nothing else: what it tells lets a reader go on, and so
    /// makes room.
    ForOwn(String),
    Failed(String),
}

/// A frame in `bytes`, and where it will stand in its segment.
#[derive(Debug, Clone, Copy)]
struct Placed {
    head: Head,
    at: u64,
}

/// Whether a batch has its place.
pub(crate) enum Place {
    Taken {
        first: u64,
        group: u64,
    },
    /// The next segment's file is being made.
    Wait,
    /// Offsets before this one are to be reserved first.
    Reserve {
        end: u64,
    },
}

/// One group on its way to the disk.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    frames: Vec<Placed>,
    roll: Option<usize>,
    number: u64,
}

/// How far the log is durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durable {
    /// The last group on disk.
    pub(crate) group: u64,
    /// No further group will be.
    pub(crate) stopped: Option<LogError>,
}

impl Pending {
    pub(crate) fn new(next: HashMap<TopicNo, u64>, segment: u64, at: u64, group: u64) -> Self {
        Self {
            bytes: Vec::new(),
            frames: Vec::new(),
            roll: None,
            rolling: false,
            next,
            reserved: HashMap::new(),
            segment,
            at,
            group: group + 1,
            spare: Spare::Making,
            own_only: false,
            stopped: None,
        }
    }

    /// Gives a batch its offsets and its place among the bytes that are written next.
    pub(crate) fn place(
        &mut self,
        topic: TopicNo,
        batch: &Batch,
        body_check: u32,
        time_us: i64,
        segment_bytes: u64,
    ) -> Result<Place, LogError> {
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        let first = self.next.get(&topic).copied().unwrap_or_default();
        let end = first.saturating_add(u64::from(batch.len()));
        if !self.is_reserved(topic, end) {
            return Ok(Place::Reserve { end });
        }
        let bytes = u64_from(HEAD + batch.bytes());
        let closed = self.own_only && !batch.is_own();
        if closed || self.at.saturating_add(bytes) > segment_bytes {
            match &self.spare {
                Spare::Ready if self.roll.is_none() => self.begin_segment(),
                Spare::ForOwn(_) if self.roll.is_none() && batch.is_own() => self.begin_segment(),
                Spare::Failed(reason) => return Err(LogError::Full { reason: reason.clone() }),
                Spare::ForOwn(reason) if !batch.is_own() => return Err(LogError::Full { reason: reason.clone() }),
                Spare::Making | Spare::Ready | Spare::ForOwn(_) => return Ok(Place::Wait),
            }
        }
        let head = Head {
            body_bytes: u32::try_from(batch.bytes()).unwrap_or(u32::MAX),
            body_check,
            topic,
            count: batch.len(),
            first,
            time_us,
            group: self.group,
        };
        self.next.insert(topic, head.end());
        self.push(head, batch.body());
        Ok(Place::Taken { first, group: self.group })
    }

    /// Whether offsets of a topic before an end may be given.
    pub(crate) fn is_reserved(&self, topic: TopicNo, end: u64) -> bool {
        self.reserved.get(&topic).is_some_and(|reserved| end <= *reserved)
    }

    /// Frames from here on go into the next segment, whose first one says where every topic goes on.
    fn begin_segment(&mut self) {
        self.own_only = self.spare != Spare::Ready;
        self.roll = Some(self.bytes.len());
        self.rolling = true;
        self.segment += 1;
        self.at = 0;
        self.spare = Spare::Making;
        self.control();
    }

    /// A frame that says where every topic goes on.
    pub(crate) fn control(&mut self) {
        let mut offsets: Vec<_> = self.next.iter().map(|(topic, next)| (*topic, *next)).collect();
        offsets.sort_unstable();
        let body = frame::encode_offsets(FORMAT, &offsets);
        let head = Head {
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body_check: crc32fast::hash(&body),
            topic: CONTROL,
            count: 0,
            first: 0,
            time_us: 0,
            group: self.group,
        };
        self.push(head, &body);
    }

    fn push(&mut self, head: Head, body: &[u8]) {
        self.frames.push(Placed { head, at: self.at });
        self.bytes.extend(head.encode(self.segment));
        self.bytes.extend(body);
        self.at += head.frame_bytes();
    }

    fn take(&mut self, group: &mut Group) {
        group.bytes.clear();
        group.frames.clear();
        std::mem::swap(&mut self.bytes, &mut group.bytes);
        std::mem::swap(&mut self.frames, &mut group.frames);
        group.roll = self.roll.take();
        group.number = self.group;
        self.group += 1;
    }
}

/// The largest batch that fits a segment beside its control frame.
pub(crate) fn batch_bytes_max(segment_bytes: u64, topics: usize) -> usize {
    usize_from(segment_bytes.saturating_sub(control_bytes(topics) + u64_from(HEAD)).min(u64::from(u32::MAX / 2)))
}

/// Writes groups until the log is closed or its disk fails.
pub(crate) fn run(shared: &Arc<Shared>, mut open: Arc<Segment>) {
    let mut group = Group::default();
    loop {
        {
            let mut pending = shared.pending.lock();
            while pending.frames.is_empty() && pending.stopped.is_none() {
                shared.wake.wait(&mut pending);
            }
            if pending.frames.is_empty() {
                break;
            }
            pending.take(&mut group);
        }
        if let Err(error) = commit(shared, &mut open, &group) {
            let poisoned = LogError::Poisoned { reason: error.to_string() };
            tracing::error!(%error, "the topic log's disk failed; nothing more is accepted until a restart");
            shared.pending.lock().stopped = Some(poisoned.clone());
            shared.durable.send_modify(|durable| durable.stopped = Some(poisoned));
            shared.room.notify_waiters();
            return;
        }
        shared.durable.send_modify(|durable| durable.group = group.number);
    }
    open.seal();
    let stopped = shared.pending.lock().stopped.clone();
    shared.durable.send_modify(|durable| durable.stopped = stopped);
}

/// Makes one group durable, then known to readers.
fn commit(shared: &Arc<Shared>, open: &mut Arc<Segment>, group: &Group) -> std::io::Result<()> {
    let before = group.roll.unwrap_or(group.bytes.len());
    let (here, there) = group.bytes.split_at_checked(before).unwrap_or((&group.bytes, &[]));
    let mut frames = group.frames.iter();
    write(shared, open, here, &mut frames)?;
    if group.roll.is_some() {
        open.seal();
        *open = Arc::new(Segment::begin(&shared.folder, open.number + 1)?);
        if failpoint::hit("log.after_begin") {
            return Err(std::io::Error::other("failpoint log.after_begin"));
        }
        shared.segments.write().insert(open.number, Arc::clone(open));
        shared.pending.lock().rolling = false;
        shared.make_spare();
        write(shared, open, there, &mut frames)?;
    }
    Ok(())
}

fn write(
    shared: &Shared,
    open: &Segment,
    bytes: &[u8],
    frames: &mut std::slice::Iter<'_, Placed>,
) -> std::io::Result<()> {
    let Some(first) = frames.as_slice().first().filter(|_| !bytes.is_empty()) else { return Ok(()) };
    let end = first.at + u64_from(bytes.len());
    if failpoint::hit("log.before_write") {
        return Err(std::io::Error::other("failpoint log.before_write"));
    }
    open.file.write_all_at(bytes, first.at)?;
    if failpoint::hit("log.after_write") {
        return Err(std::io::Error::other("failpoint log.after_write"));
    }
    if shared.settings.sync == Sync::Disk {
        open.file.sync_data()?;
    }
    if failpoint::hit("log.after_sync") {
        return Err(std::io::Error::other("failpoint log.after_sync"));
    }
    let mut known = open.known.write();
    let mut ends = shared.ends.write();
    let mut at = first.at;
    while let Some(placed) = frames.as_slice().first().filter(|placed| placed.at == at && at < end) {
        at += placed.head.frame_bytes();
        if placed.head.topic != CONTROL {
            known.index.add(&placed.head, placed.at);
            ends.insert(placed.head.topic, placed.head.end());
        }
        frames.next();
    }
    known.end = end;
    Ok(())
}

/// Makes files ahead, whenever asked, until nobody can ask any more.
pub(crate) fn run_ahead(shared: &std::sync::Weak<Shared>, asked: &std::sync::mpsc::Receiver<()>) {
    while asked.recv().is_ok() {
        let Some(shared) = shared.upgrade() else { break };
        let spare = ahead(&shared);
        if let Spare::ForOwn(reason) | Spare::Failed(reason) = &spare {
            tracing::warn!(%reason, "the topic log has no next file; it takes events until the present one is full");
        }
        {
            let mut pending = shared.pending.lock();
            // A segment that has yet to take the present spare asks for the next one itself.
            if !pending.rolling {
                pending.own_only &= spare != Spare::Ready;
                pending.spare = spare;
            }
        }
        shared.room.notify_waiters();
    }
}

/// Makes the next file, where there is room for it.
fn ahead(shared: &Shared) -> Spare {
    let settings = &shared.settings;
    let used = u64_from(shared.segments.read().len()).saturating_mul(settings.segment_bytes);
    let make = |free_min, bytes_max| {
        if used >= bytes_max {
            return Err(format!("it holds {used} bytes, and {} is the most it may", settings.bytes_max));
        }
        segment::make_spare(&shared.folder, settings.segment_bytes, free_min).map_err(|error| error.to_string())
    };
    let Err(reason) = make(settings.free_min, settings.bytes_max) else { return Spare::Ready };
    let own = settings.segment_bytes.saturating_mul(OWN_SEGMENTS);
    match make(settings.free_min / 2, settings.bytes_max.saturating_add(own)) {
        Ok(()) => Spare::ForOwn(reason),
        Err(_) => Spare::Failed(reason),
    }
}
