//! The loop of one sink, and its flushes.
//!
//! Owns: when events are read, when the table is flushed, and the order of the two tables in a flush: dead letters
//! first, because the table's position says that they are written.
//! Never looks into an event; see [`super::process`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_base::{
    Version, failpoint,
    number::{i64_from, u64_from_signed},
    time::now_us,
};
use naru_lake::{LakeError, live::LiveTable};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use super::{APP, Asked, Context, Declared, Ended, READER, Redeclared, SinkCut, blocking, dedup::Seen};
use crate::{
    dead::DeadLetters,
    error::TopicError,
    log::LogError,
    schema::{Shape, Sightings, table_columns},
};

/// Bytes of events read together: some ten thousand small ones, few enough to be visible soon.
const CHUNK_BYTES: usize = 4 << 20;
/// Events that come one by one are gathered for so long.
const GATHER: Duration = Duration::from_millis(15);
/// How often due flushes are looked for.
const TICK: Duration = Duration::from_millis(500);
/// Wait after a failed flush.
const FLUSH_RETRY: Duration = Duration::from_secs(3);
/// Bytes of unflushed rows beyond which nothing is read while flushes fail.
const UNFLUSHED_MAX: usize = 64 << 20;
/// At a stop, how long what is on the log may still be taken.
const STOP_MAX: Duration = Duration::from_secs(10);

/// One topic's table, open.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) context: Arc<Context>,
    pub(super) table: LiveTable,
    pub(super) dead: DeadLetters,
    pub(super) shape: Arc<Shape>,
    /// Not there for a moment while it works on a thread that may block.
    pub(super) seen: Option<Seen>,
    pub(super) sightings: Sightings,
    /// Offset of the next event.
    pub(super) next: u64,
    /// The table's position.
    pub(super) flushed: u64,
    pub(super) flushing: Option<JoinHandle<Result<u64, LakeError>>>,
    pub(super) flush_failed: Option<Instant>,
    /// Where the sink stood when the last flush began: keys of events before it are saved with that flush.
    pub(super) rotated_at: u64,
    /// When the last event that was taken had been accepted, microseconds since 1970.
    pub(super) reached_us: i64,
    /// When the last flush began.
    pub(super) since: Instant,
    /// When old days and old dead letters were looked for last.
    pub(super) expired: Option<Instant>,
    /// Old days on their way out. They may wait for a compaction, which new rows do not.
    pub(super) expiring: Option<JoinHandle<Result<Option<Version>, LakeError>>>,
    /// Another text of the file, that the sink is to go by next.
    pub(super) declared: Option<(Box<Declared>, Redeclared)>,
}

/// Opens a topic's table and keeps it up to the log until `stop`. `waits` is who edited the file.
pub(super) async fn run(
    context: &Arc<Context>,
    waits: Option<Redeclared>,
    asked: &mut mpsc::Receiver<Asked>,
    stop: &CancellationToken,
) -> Result<Ended, TopicError> {
    let opened = Sink::open(context).await;
    if let Some(waits) = waits {
        // What keeps the table from being opened is seen in the status. And whoever asked may be gone.
        drop(waits.send(Ok(context.topic.clone())));
    }
    let mut sink = opened?;
    let ended = sink.follow(asked, stop).await;
    // A table is opened again only when nobody writes it.
    if let Some(flushing) = sink.flushing.take() {
        drop(flushing.await);
    }
    if let Some(expiring) = sink.expiring.take() {
        drop(expiring.await);
    }
    ended?;
    Ok(sink.declared.take().map_or(Ended::Stopped, |(declared, answer)| Ended::Declared(declared, answer)))
}

impl Sink {
    async fn follow(&mut self, asked: &mut mpsc::Receiver<Asked>, stop: &CancellationToken) -> Result<(), TopicError> {
        while !stop.is_cancelled() && self.declared.is_none() {
            let more = if self.may_read() { self.step().await? } else { false };
            self.flush_if_due();
            self.expire().await?;
            if more {
                if let Ok(one) = asked.try_recv() {
                    self.answer(one, stop).await?;
                }
                self.take_flush(false).await?;
                continue;
            }
            let (log, number, next) = (Arc::clone(&self.context.log), self.context.topic.number(), self.next);
            let reads = self.may_read();
            tokio::select! {
                () = stop.cancelled() => {}
                () = log.grown(number, next), if reads => tokio::time::sleep(GATHER).await,
                Some(one) = asked.recv() => self.answer(one, stop).await?,
                ended = ended(&mut self.flushing), if self.flushing.is_some() => self.flush_ended(ended).await?,
                () = tokio::time::sleep(TICK) => {}
            }
            self.still_there()?;
        }
        if self.declared.is_some() && !stop.is_cancelled() { self.flush_all().await } else { self.last().await }
    }

    /// Whether the table can follow another text of the file; the sink is opened again by it then.
    fn declare(&mut self, declared: Box<Declared>, answer: Redeclared) {
        let (columns, zone) = (&self.table.view().columns, &self.context.zone);
        let next = table_columns(&declared.topic, columns, zone).map_err(TopicError::Columns);
        match next.and_then(|columns| Shape::of(&declared.topic, &columns, self.shape.revision)) {
            Ok(_) => self.declared = Some((declared, answer)),
            // Whoever asked may be gone.
            Err(error) => drop(answer.send(Err(error.problem()))),
        }
    }

    /// Takes what is on the log and flushes, once nobody publishes any more.
    async fn last(&mut self) -> Result<(), TopicError> {
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline && self.step().await? {}
        failpoint::hit("topics.stopping");
        self.flush_all().await
    }

    /// A log that was poisoned grows no more, and waiting for it does not wait.
    fn still_there(&self) -> Result<(), TopicError> {
        let end = self.context.log.bounds(self.context.topic.number()).end;
        if end < self.next {
            let reason = format!("it ends at {end}, before {} that the table has", self.next);
            return Err(LogError::Poisoned { reason }.into());
        }
        Ok(())
    }

    fn may_read(&self) -> bool {
        self.flush_failed.is_none() || self.table.bytes() + self.dead.live.bytes() < UNFLUSHED_MAX
    }

    /// Takes the next events; false when there are none.
    async fn step(&mut self) -> Result<bool, TopicError> {
        let number = self.context.topic.number();
        if self.context.log.bounds(number).end <= self.next {
            return Ok(false);
        }
        let chunk = self.context.log.read(number, self.next, CHUNK_BYTES).await?;
        for gap in &chunk.gaps {
            let (topic, offsets, trimmed) = (self.context.topic.name(), &gap.offsets, gap.trimmed);
            tracing::error!(topic, ?offsets, trimmed, "events are missing on the log and are not in the table");
            self.context.cell.change(|status| status.lost += gap.offsets.end - gap.offsets.start);
        }
        let moved = chunk.next > self.next;
        self.reached_us = chunk.events.last().map_or(self.reached_us, |event| event.time_us);
        self.process(chunk.events, chunk.next).await?;
        Ok(moved)
    }

    /// Takes what is on the log now, then answers. At a stop nobody is answered.
    async fn answer(&mut self, asked: Asked, stop: &CancellationToken) -> Result<(), TopicError> {
        let asked = match asked {
            Asked::Declare(declared, answer) => {
                self.declare(declared, answer);
                return Ok(());
            }
            other => other,
        };
        let end = self.context.log.bounds(self.context.topic.number()).end;
        while self.next < end && self.step().await? {
            self.flush_if_due();
            self.take_flush(false).await?;
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        match asked {
            Asked::Declare(..) => {}
            Asked::Settle(answer) => drop(answer.send(Ok(()))),
            Asked::Flush(answer) => match self.flush_all().await {
                Ok(()) => {
                    let (table, dead) = (self.table.table().view().version, self.dead.live.table().view().version);
                    drop(answer.send(Ok(SinkCut { offset: self.flushed, table, dead })));
                }
                Err(error) => {
                    drop(answer.send(Err(error.problem())));
                    return Err(error);
                }
            },
        }
        Ok(())
    }

    fn is_due(&self, now: Instant) -> bool {
        if self.flush_failed.is_some_and(|at| at.elapsed() < FLUSH_RETRY) {
            return false;
        }
        // Events that left no row move the position, too.
        let waited = now.duration_since(self.since) >= self.context.live.flush.interval;
        self.table.should_flush(now) || self.dead.live.should_flush(now) || (self.next > self.flushed && waited)
    }

    fn flush_if_due(&mut self) {
        if self.flushing.is_none() && self.is_due(Instant::now()) {
            self.begin_flush();
        }
    }

    fn begin_flush(&mut self) {
        self.since = Instant::now();
        if let Some(seen) = &mut self.seen {
            seen.rotate();
        }
        self.rotated_at = self.next;
        let (dead, table, position) = (self.dead.clone(), self.table.clone(), self.next);
        self.flushing = Some(tokio::spawn(flush(dead, table, position)));
    }

    /// Takes the result of a flush that has ended; waits for one under way where asked.
    pub(super) async fn take_flush(&mut self, wait: bool) -> Result<(), TopicError> {
        if self.flushing.as_ref().is_some_and(|flushing| wait || flushing.is_finished()) {
            let ended = ended(&mut self.flushing).await;
            self.flush_ended(ended).await?;
        }
        Ok(())
    }

    async fn flush_ended(&mut self, ended: Result<Result<u64, LakeError>, JoinError>) -> Result<(), TopicError> {
        self.flushing = None;
        let flushed = ended.unwrap_or_else(|error| Err(LakeError::Task(error.to_string())));
        match flushed {
            Ok(position) => self.flushed_to(position).await,
            // What is in memory is not to be trusted: the table is opened again.
            Err(error @ (LakeError::CommitLost { .. } | LakeError::Task(_) | LakeError::Index(_))) => Err(error.into()),
            Err(error) => {
                let problem = error.problem();
                tracing::warn!(topic = self.context.topic.name(), %problem, "a topic's table was not flushed");
                self.flush_failed = Some(Instant::now());
                self.context.cell.change(|status| status.problem = Some(problem));
                Ok(())
            }
        }
    }

    async fn flushed_to(&mut self, position: u64) -> Result<(), TopicError> {
        self.flushed = position;
        self.context.topic.hold(READER, position);
        if self.flush_failed.take().is_some() {
            self.context.cell.change(|status| status.problem = None);
        }
        self.context.cell.change(|status| status.flushed = position);
        if let Some(mut seen) = self.seen.take() {
            // A flush may cover events that came after it began; their keys are in memory only. And the window is that
            // of the events: a backlog of days is not older than what it repeats.
            let (covered, now) = (position.min(self.rotated_at), now_us().min(self.reached_us));
            self.seen = Some(blocking(move || seen.save(covered, now).map(|()| seen)).await??);
        }
        Ok(())
    }

    /// Everything that was taken, into files.
    pub(super) async fn flush_all(&mut self) -> Result<(), TopicError> {
        self.take_flush(true).await?;
        if self.next > self.flushed || self.table.has_unflushed() || self.dead.live.has_unflushed() {
            self.begin_flush();
            let ended = ended(&mut self.flushing).await;
            self.flushing = None;
            let position = ended.unwrap_or_else(|error| Err(LakeError::Task(error.to_string())))?;
            self.flushed_to(position).await?;
        }
        Ok(())
    }
}

async fn ended(flushing: &mut Option<JoinHandle<Result<u64, LakeError>>>) -> Result<Result<u64, LakeError>, JoinError> {
    match flushing {
        Some(flushing) => flushing.await,
        None => std::future::pending().await,
    }
}

/// Flushes both tables; the position that the topic's table has then.
///
/// The dead letters go first, and they are taken after it was decided which rows go: so none that the position covers is
/// missing, and nobody who writes more of them waits for a flush.
async fn flush(dead: DeadLetters, table: LiveTable, position: u64) -> Result<u64, LakeError> {
    let wanted = i64_from(position);
    let letters = async {
        dead.live.flush(APP, wanted).await?;
        if failpoint::hit("topics.before_table_flush") {
            return Err(LakeError::Failpoint("topics.before_table_flush"));
        }
        Ok(())
    };
    let flushed = table.flush_after(APP, wanted, letters).await?;
    if flushed.committed {
        return Ok(u64_from_signed(flushed.position));
    }
    // No event left a row: the position moves alone.
    dead.live.flush(APP, wanted).await?;
    let has = table.position(APP).await?;
    if has.is_none_or(|has| has < wanted) {
        table.append(Vec::new(), APP, wanted).await?;
    }
    Ok(position)
}
