//! One connected session: reads the stream, publishes, flushes, acknowledges, copies, obeys commands.
//!
//! Owns: the event loop and its rhythm. Never decodes a message and never decides about a table.

use std::time::{Duration, Instant};

use naru_base::{Lsn, failpoint, retry::Backoff};
use naru_store::sync_tables::{self, SyncTable};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    SourceEngine,
    commands::{Command, CommandError, FlushedCut},
    cut::CutWanted,
    feedback::Feedback,
    poll::Poll,
    prepare::Prepared,
    pump::Pump,
    rounds::Rounds,
    stream::Stream,
    watch::Watch,
};
use crate::{
    error::SyncError,
    postgres::{Event, ReplicationConnection, ReplicationWriter, StreamOptions, within},
    status::OwnedProblem,
};

/// Longest time that handled changes wait to be shown while more keep arriving.
const PUBLISH_EVERY: Duration = Duration::from_millis(10);
/// Events handled between two looks at the clock.
const BURST_EVENTS_MAX: usize = 2_000;
/// How often the source is told what is durable.
const FEEDBACK_EVERY: Duration = Duration::from_millis(500);
/// How often the status that people see is renewed.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// How often flushes, copies, states and the status are looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long the stream may stand still for a flush of everything.
const FLUSH_CUT_MAX: Duration = Duration::from_mins(1);
/// How long a stop waits for the end of the transaction that is arriving.
const STOP_INSIDE_MAX: Duration = Duration::from_secs(10);
/// After this long a session counts as one that works: the next failure is tried again at once.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// Code of the problem that a full disk is.
const LOW: &str = "sync.disk_low";
/// How long a clean stop may take to flush.
const STOP_FLUSH_MAX: Duration = Duration::from_secs(20);

/// What the loop keeps besides the stream.
struct Session {
    feedback: Feedback,
    prepared: Prepared,
    rounds: Rounds,
    poll: Poll,
    watch: Watch,
    cut: Option<CutWanted>,
    acknowledged: Lsn,
    shown: Instant,
    told: Instant,
    reported: Instant,
}

impl SourceEngine {
    /// Prepares, streams until an error or `stop`, and leaves everything flushed on a clean stop.
    pub(super) async fn session(
        &mut self,
        stream: &mut Stream,
        stop: &CancellationToken,
        backoff: &mut Backoff,
    ) -> Result<(), SyncError> {
        self.room().await?;
        self.status.update(|s| s.phase = "preflight".into());
        persist(stream).await?;
        let prepared = tokio::select! {
            prepared = stream.prepare() => prepared?,
            () = stop.cancelled() => return Err(SyncError::Stopped),
        };
        stream.todo.text = false;
        persist(stream).await?;
        let options = StreamOptions {
            slot: self.context.names.slot.clone(),
            publications: vec![self.context.names.keyed.clone(), self.context.names.keyless.clone()],
            start: prepared.start,
            binary: prepared.binary,
            streaming: true,
            messages: true,
        };
        let connect = self.context.connect();
        let connection = ReplicationConnection::connect(&connect).await?;
        let starting = connection.start_replication(&options);
        let (reader, writer) = within(&connect, "starting the stream", starting).await?;
        let mut pump = Pump::start(reader);
        stream.binary = prepared.binary;
        self.streaming(&prepared);
        let mut session = Session::new(prepared, writer)?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let late = late(stop);
        tokio::pin!(late);
        let began = Instant::now();
        loop {
            let reading = session.reads();
            tokio::select! {
                biased;
                () = stop.cancelled(), if stream.at_boundary() => return session.stop(stream).await,
                // The end of a transaction does not come; it is sent again whole.
                () = &mut late => return Err(SyncError::Stopped),
                _ = tick.tick() => {
                    if began.elapsed() >= SETTLED_AFTER {
                        backoff.succeeded();
                    }
                    session.look_after(stream, &self.status).await?;
                }
                Some(ended) = stream.flushes.join_next(), if !stream.flushes.is_empty() => {
                    stream.flush_ended(ended.map_err(|error| SyncError::Protocol(error.to_string()))?);
                }
                told = CutWanted::told(&mut session.cut) => {
                    CutWanted::run_to(&mut session.cut, told);
                    session.show_cut(stream, None).await?;
                }
                command = self.commands.recv(), if stream.at_boundary() && session.cut.is_none() => match command {
                    Some(command) => session.command(stream, command).await?,
                    None => return session.stop(stream).await,
                },
                () = tokio::time::sleep_until((session.shown + PUBLISH_EVERY).into()),
                    if stream.unpublished() && stream.at_boundary() =>
                {
                    session.publish(stream).await?;
                }
                event = pump.next(), if reading => session.burst(stream, &mut pump, event?).await?,
                () = until(session.watch.silence_ends()), if reading => return Err(Watch::silent(stream)),
            }
        }
    }
}

impl SourceEngine {
    /// Says that the stream has begun, and once what it lacks.
    fn streaming(&self, prepared: &Prepared) {
        if let Some(note) = prepared.trigger.note.as_ref().filter(|_| self.status.get().notes.is_empty()) {
            tracing::warn!(source = %self.context.source.name, %note, "the source has no event trigger");
        }
        self.status.update(|s| {
            s.phase = "streaming".into();
            s.problem = None;
            s.event_trigger = prepared.trigger.installed;
            s.notes = prepared.trigger.note.iter().map(OwnedProblem::from).collect();
        });
    }

    /// Refuses to begin onto a full disk; people still see what the source keeps for naru meanwhile.
    async fn room(&self) -> Result<(), SyncError> {
        let low = self.status.get().problem.is_some_and(|problem| problem.code == LOW);
        let Err(error) = self.context.disk.look().for_applying() else {
            if low {
                tracing::info!(source = %self.context.source.name, "there is room on the disk again; the source is read on");
            }
            return Ok(());
        };
        match Watch::from_afar(&self.context).await {
            Ok((slot, warnings)) => self.status.update(|s| {
                s.retained_bytes = slot.as_ref().map(|slot| slot.retained_bytes);
                s.safe_bytes = slot.as_ref().and_then(|slot| slot.safe_bytes);
                s.warnings = warnings.iter().map(OwnedProblem::from).collect();
            }),
            Err(error) => tracing::debug!(problem = %error.problem(), "the source could not be looked at"),
        }
        Err(error)
    }
}

impl Session {
    fn new(mut prepared: Prepared, writer: ReplicationWriter) -> Result<Self, SyncError> {
        let acknowledged = prepared.start;
        let patience = u64::try_from(prepared.facts.sender_timeout_ms).ok().filter(|ms| *ms > 0);
        let now = Instant::now();
        Ok(Self {
            feedback: Feedback::start(writer, acknowledged, patience.map(Duration::from_millis))?,
            rounds: Rounds::new(prepared.snapshot.take()),
            poll: Poll::new(prepared.trigger.installed),
            watch: Watch::new(),
            cut: None,
            prepared,
            acknowledged,
            shown: now,
            told: now,
            reported: now,
        })
    }

    /// Whether the stream is read now: not while somebody fixes a position.
    fn reads(&self) -> bool {
        !CutWanted::holds(self.cut.as_ref())
    }

    async fn publish(&mut self, stream: &mut Stream) -> Result<(), SyncError> {
        stream.publish().await?;
        self.shown = Instant::now();
        Ok(())
    }

    /// Handles an event and those that have arrived behind it, up to a bound that keeps the clock's work on time.
    async fn burst(&mut self, stream: &mut Stream, pump: &mut Pump, first: Event) -> Result<(), SyncError> {
        self.watch.heard();
        self.event(stream, first).await?;
        for _ in 0..BURST_EVENTS_MAX {
            if !self.reads() {
                break;
            }
            match pump.arrived() {
                Some(event) => self.event(stream, event?).await?,
                None => break,
            }
        }
        Ok(())
    }

    /// Handles one event of the stream and shows what is complete when it is time.
    async fn event(&mut self, stream: &mut Stream, event: Event) -> Result<(), SyncError> {
        self.show_cut(stream, Some(&event)).await?;
        match event {
            Event::XLogData { data, wal_end, .. } => {
                stream.server = stream.server.max(wal_end);
                stream.message(&data).await?;
            }
            Event::KeepAlive { wal_end, reply_requested, .. } => {
                if stream.at_boundary() && stream.unpublished() {
                    stream.publish().await?;
                }
                stream.keep_alive(wal_end)?;
                if reply_requested {
                    self.tell(stream).await?;
                }
            }
        }
        if stream.at_boundary() && stream.unpublished() && self.shown.elapsed() >= PUBLISH_EVERY {
            self.publish(stream).await?;
        }
        self.show_cut(stream, None).await?;
        if self.told.elapsed() >= FEEDBACK_EVERY {
            self.tell(stream).await?;
        }
        Ok(())
    }

    /// Answers whoever asked for a position, if the stream has come exactly so far before the event `next`.
    async fn show_cut(&mut self, stream: &mut Stream, next: Option<&Event>) -> Result<(), SyncError> {
        if CutWanted::is_reached(self.cut.as_ref(), stream, next) {
            self.publish(stream).await?;
            CutWanted::answer(&mut self.cut, stream);
        }
        Ok(())
    }

    /// Everything that happens by the clock.
    async fn look_after(&mut self, stream: &mut Stream, status: &crate::status::StatusCell) -> Result<(), SyncError> {
        if !self.reads() {
            self.watch.heard();
        }
        self.watch.look(stream, &self.prepared, &mut self.feedback).await?;
        if stream.at_boundary() {
            // A connection that is not read makes the source's checkpoint and its shutdown wait (seen on PostgreSQL 15,
            // once the slot runs out of log): on a full disk there must be none.
            stream.room.for_applying()?;
        }
        if CutWanted::look_after(&mut self.cut) {
            self.feedback.ask().await?;
        }
        if stream.at_boundary() {
            if stream.unpublished() {
                self.publish(stream).await?;
            }
            stream.catch_up().await?;
            self.poll.look(stream, &self.prepared).await?;
            if std::mem::take(&mut stream.todo.members) {
                stream.rejudge(&self.prepared).await?;
            }
            self.rounds.look_after(stream, &self.prepared).await?;
        }
        stream.start_flushes(false);
        persist(stream).await?;
        if stream.at_boundary() && (stream.todo.reconnect || (stream.todo.text && self.prepared.binary)) {
            let text = stream.todo.text;
            (stream.todo.text, stream.todo.reconnect) = (false, false);
            self.tell(stream).await?;
            return Err(if text { SyncError::NeedsText } else { SyncError::Anew });
        }
        if self.told.elapsed() >= FEEDBACK_EVERY {
            self.tell(stream).await?;
        }
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.report(stream, status);
        }
        Ok(())
    }

    /// Tells the source what is durable. States are stored before, so that nothing acknowledged depends on memory.
    async fn tell(&mut self, stream: &mut Stream) -> Result<(), SyncError> {
        self.told = Instant::now();
        stream.sync_spools()?;
        persist(stream).await?;
        self.acknowledged = self.acknowledged.max(stream.durable());
        stream.remember_told(self.acknowledged).await?;
        if failpoint::hit("sync.before_ack") {
            return Err(SyncError::Protocol("failpoint sync.before_ack".into()));
        }
        let received = stream.server.max(self.acknowledged);
        self.feedback.tell(received, self.acknowledged).await?;
        if failpoint::hit("sync.after_ack") {
            return Err(SyncError::Protocol("failpoint sync.after_ack".into()));
        }
        Ok(())
    }

    fn report(&self, stream: &Stream, status: &crate::status::StatusCell) {
        let tables = stream.statuses();
        let (visible, server, acknowledged) = (stream.published, stream.server, self.acknowledged);
        status.update(|s| {
            (s.tables, s.read) = (tables, true);
            s.visible = visible;
            s.server = server;
            s.acknowledged = acknowledged;
            s.retained_bytes = self.watch.slot.as_ref().map(|slot| slot.retained_bytes);
            s.safe_bytes = self.watch.slot.as_ref().and_then(|slot| slot.safe_bytes);
            s.problem = None;
            s.warnings = self.watch.warnings.iter().map(OwnedProblem::from).collect();
        });
    }

    async fn command(&mut self, stream: &mut Stream, command: Command) -> Result<(), SyncError> {
        // Whoever asked may have gone; what was asked is done all the same.
        match command {
            Command::Resync(table, answer) => drop(answer.send(stream.command_resync(&table, &self.prepared).await)),
            Command::Pause(table, answer) => drop(answer.send(stream.command_pause(&table).await)),
            Command::Resume(table, answer) => drop(answer.send(stream.command_resume(&table, &self.prepared).await)),
            Command::Flush(answer) => drop(answer.send(self.flush_cut(stream).await?)),
            Command::CutAt { held, position, cut } => {
                self.publish(stream).await?;
                if held.send(()).is_ok() {
                    self.cut = Some(CutWanted::held(position, cut));
                }
            }
        }
        persist(stream).await
    }

    /// Shows and flushes everything while the stream stands still, so that all tables stand at one commit.
    async fn flush_cut(&mut self, stream: &mut Stream) -> Result<Result<FlushedCut, CommandError>, SyncError> {
        stream.publish().await?;
        let flushed = tokio::time::timeout(FLUSH_CUT_MAX, self.flush_all(stream)).await;
        if !matches!(flushed, Ok(Ok(()))) || stream.has_unflushed() {
            return Ok(Err(CommandError::Failed("the tables could not be flushed in time".into())));
        }
        Ok(Ok(FlushedCut { position: stream.published, versions: stream.versions() }))
    }

    async fn flush_all(&mut self, stream: &mut Stream) -> Result<(), SyncError> {
        loop {
            stream.start_flushes(true);
            match stream.flushes.join_next().await {
                Some(ended) => stream.flush_ended(ended.map_err(|error| SyncError::Protocol(error.to_string()))?),
                None => return Ok(()),
            }
        }
    }

    /// A clean stop: show, flush, store, acknowledge.
    async fn stop(mut self, stream: &mut Stream) -> Result<(), SyncError> {
        stream.publish().await?;
        self.rounds.abort().await;
        if tokio::time::timeout(STOP_FLUSH_MAX, self.flush_all(stream)).await.is_err() {
            tracing::warn!("flushing took too long; what is not flushed is read from the source again");
        }
        self.tell(stream).await?;
        self.feedback.finish().await?;
        Err(SyncError::Stopped)
    }
}

/// Comes at a moment; never without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Comes some time after `stop`, for a stream that is silent inside a transaction.
async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_INSIDE_MAX).await;
}

/// Stores the states that changed.
async fn persist(stream: &mut Stream) -> Result<(), SyncError> {
    if stream.todo.store.is_empty() && stream.todo.departed.is_empty() {
        return Ok(());
    }
    let oids = stream.todo.store.clone();
    let source = stream.context.source.name.clone();
    let rows = oids.iter().filter_map(|oid| stream.tables.get(oid)).map(|table| table.stored_row(&source));
    // What left a name goes before what has it now.
    let departed = stream.todo.departed.clone();
    let rows: Vec<SyncTable> = departed.into_iter().chain(rows).collect();
    stream.context.store.write(move |db| rows.iter().try_for_each(|row| sync_tables::upsert(db, row))).await?;
    // Only what is stored is forgotten: after a failed write the states are tried again.
    stream.todo.store.clear();
    stream.todo.departed.clear();
    Ok(())
}
