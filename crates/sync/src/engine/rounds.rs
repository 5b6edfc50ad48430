//! Copies waiting tables, one snapshot a round, beside the stream.
//!
//! Owns: rounds: a snapshot and its keeper, the tables that share it, what becomes of a finished or failed copy.
//! Never reads rows itself (`crate::copy`) and never blocks the stream.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use naru_base::{failpoint, number::i64_from};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    context::{Context, Target},
    prepare::{Prepared, create_slot},
    stream::Stream,
    table::TableNote,
};
use crate::{
    copy::{Copied, CopyLimits, CopyProgress, Snapshot, copy_table},
    error::SyncError,
    postgres::{ReplicationConnection, connect_sql},
    state::{TableEvent, TableState},
};

/// Wait before a copy that stepped aside, or a snapshot that could not be made, is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the background work of a round reports.
#[derive(Debug)]
enum Ended {
    Opened(Result<(ReplicationConnection, Snapshot), SyncError>),
    Copied(u32, Box<Result<Copied, SyncError>>),
}

/// Copies of one source.
#[derive(Debug)]
pub(super) struct Rounds {
    keeper: Option<(ReplicationConnection, Snapshot)>,
    opening: bool,
    queue: VecDeque<u32>,
    running: Option<(u32, AbortHandle)>,
    work: JoinSet<Ended>,
    not_before: Option<Instant>,
    fresh: bool,
    /// What was noted of tables before they had to wait for hours, for disk or for a snapshot.
    held: HashMap<u32, TableNote>,
}

impl Rounds {
    /// Begins with the snapshot that came with a new slot, if there is one.
    pub(super) fn new(keeper: Option<(ReplicationConnection, Snapshot)>) -> Self {
        let fresh = keeper.is_some();
        Self {
            keeper,
            opening: false,
            queue: VecDeque::new(),
            running: None,
            work: JoinSet::new(),
            not_before: None,
            fresh,
            held: HashMap::new(),
        }
    }

    /// Takes what ended, starts what waits.
    pub(super) async fn look_after(&mut self, stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
        while let Some(ended) = self.work.try_join_next() {
            match ended {
                Ok(ended) => self.ended(stream, prepared, ended).await?,
                Err(error) if error.is_cancelled() => self.running = None,
                Err(error) => return Err(SyncError::Protocol(format!("a copy ended badly: {error}"))),
            }
        }
        self.stop_unwanted(stream);
        self.start(stream, prepared).await
    }

    /// Ends everything; half-made files are removed by their owners.
    pub(super) async fn abort(&mut self) {
        self.work.shutdown().await;
    }

    fn stop_unwanted(&mut self, stream: &mut Stream) {
        let Some((oid, handle)) = &self.running else { return };
        let Some(table) = stream.tables.get_mut(oid) else { return handle.abort() };
        if !copying(table.state) || table.copy.is_none() {
            handle.abort();
        } else if stream.room.for_copying().is_err() {
            // Its place in the queue is the first one.
            handle.abort();
            table.copy = None;
            stream.todo.copy.insert(0, *oid);
        }
    }

    /// Lets every table that waits for a copy say why it does not begin. No snapshot is kept meanwhile: the source
    /// would keep dead rows for it.
    async fn hold(&mut self, stream: &mut Stream, note: &TableNote) {
        self.fresh = false;
        stream.todo.copy.extend(self.queue.drain(..));
        if let Some((keeper, _)) = self.keeper.take() {
            keeper.close().await;
        }
        self.note(stream, note);
    }

    fn note(&mut self, stream: &mut Stream, note: &TableNote) {
        for oid in &stream.todo.copy {
            let Some(table) = stream.tables.get_mut(oid).filter(|table| copying(table.state)) else { continue };
            let before = std::mem::replace(&mut table.note, note.clone());
            if before.reason != note.reason {
                tracing::info!(table = %table.image.full_name(), reason = note.reason.as_deref().unwrap_or_default(), "copy waits");
                stream.todo.store.insert(*oid);
            }
            self.held.entry(*oid).or_insert(before);
        }
    }

    async fn start(&mut self, stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
        if self.running.is_some() || self.opening || self.not_before.is_some_and(|at| at > Instant::now()) {
            return Ok(());
        }
        if let Some(note) = held_back(stream) {
            self.hold(stream, &note).await;
            return Ok(());
        }
        if std::mem::take(&mut self.fresh) {
            // The snapshot that came with the slot is for every table that waits at the start.
            self.queue.extend(stream.todo.copy.drain(..));
        }
        while let Some(oid) = self.queue.pop_front() {
            let Some(table) = stream.tables.get(&oid).filter(|table| copying(table.state)) else { continue };
            let holds = self.keeper.as_ref().is_some_and(|(_, s)| table.spool_from <= s.consistent_point);
            if holds && !table.unlisted {
                return self.start_copy(stream, prepared, oid);
            }
            // Its spool begins after this snapshot: changes in between would be in neither.
            stream.todo.copy.push(oid);
        }
        if let Some((keeper, _)) = self.keeper.take() {
            keeper.close().await;
        }
        stream.todo.copy.retain(|oid| stream.tables.get(oid).is_some_and(|table| copying(table.state)));
        if waits(stream) {
            stream.rejudge(prepared).await?;
        }
        if waits(stream) {
            self.opening = true;
            let context = stream.context.clone();
            self.work.spawn(async move { Ended::Opened(open(&context).await) });
        }
        Ok(())
    }

    fn start_copy(&mut self, stream: &mut Stream, prepared: &Prepared, oid: u32) -> Result<(), SyncError> {
        let (Some((_, snapshot)), Some(table)) = (&self.keeper, stream.tables.get_mut(&oid)) else { return Ok(()) };
        let Some(shape) = &table.shape else {
            return Err(SyncError::Protocol(format!("table {} has no shape", table.image.full_name())));
        };
        if let Some(note) = self.held.remove(&oid) {
            table.note = note;
        }
        let progress = Arc::new(CopyProgress::default());
        table.copy = Some(progress.clone());
        let target = Target {
            context: stream.context.clone(),
            facts: prepared.facts.clone(),
            kind: shape.kind,
            names: table.image.names(),
            columns_before: table.columns_before.clone().unwrap_or_else(|| table.image.column_names()),
        };
        let (snapshot, context) = (snapshot.clone(), stream.context.clone());
        let limits = CopyLimits {
            parallelism: context.postgres.copy.parallelism,
            rows_per_second: context.postgres.copy.rows_per_second,
        };
        tracing::info!(table = %table.image.full_name(), at = %snapshot.consistent_point, "copy begins");
        let handle = self.work.spawn(async move {
            let copied = copy_table(&context.connect(), oid, &snapshot, limits, &target, progress).await;
            Ended::Copied(oid, Box::new(copied))
        });
        self.running = Some((oid, handle));
        Ok(())
    }

    async fn ended(&mut self, stream: &mut Stream, _prepared: &Prepared, ended: Ended) -> Result<(), SyncError> {
        match ended {
            Ended::Opened(opened) => {
                self.opening = false;
                match opened {
                    Ok(keeper) => {
                        self.keeper = Some(keeper);
                        self.queue.extend(stream.todo.copy.drain(..));
                    }
                    Err(error) => {
                        self.not_before = Some(Instant::now() + RETRY_AFTER);
                        let problem = error.problem();
                        tracing::warn!(%problem, "no snapshot for a copy yet");
                        let why = problem.detail.unwrap_or(problem.summary);
                        self.note(stream, &TableNote { reason: Some(why), fix: problem.hint });
                    }
                }
                Ok(())
            }
            Ended::Copied(oid, copied) => {
                self.running = None;
                self.copied(stream, oid, *copied).await
            }
        }
    }

    async fn copied(
        &mut self,
        stream: &mut Stream,
        oid: u32,
        copied: Result<Copied, SyncError>,
    ) -> Result<(), SyncError> {
        let Some(table) = stream.tables.get_mut(&oid) else { return Ok(()) };
        if !copying(table.state) || table.copy.is_none() {
            // It was sent to another copy meanwhile, which waits for a newer snapshot.
            return Ok(());
        }
        match copied {
            Ok(copied) => {
                let Some((_, snapshot)) = &self.keeper else { return Ok(()) };
                let at = snapshot.consistent_point;
                if let Err(error) = commit(stream, oid, copied, at).await {
                    self.copy_failed(stream, oid, &error);
                }
            }
            Err(error) => self.copy_failed(stream, oid, &error),
        }
        Ok(())
    }

    fn snapshot_at(&self) -> naru_base::Lsn {
        self.keeper.as_ref().map_or(naru_base::Lsn(0), |(_, snapshot)| snapshot.consistent_point)
    }

    /// A copy that may succeed later waits for another snapshot; any other failure stops that table alone.
    fn copy_failed(&mut self, stream: &mut Stream, oid: u32, error: &SyncError) {
        let Some(table) = stream.tables.get_mut(&oid) else { return };
        let problem = error.problem();
        tracing::warn!(table = %table.image.full_name(), %problem, "copy failed");
        table.live = None;
        stream.todo.store.insert(oid);
        if problem.retry == naru_base::Retry::Later {
            table.note.reason = Some(problem.summary);
            table.note.fix = problem.hint;
            table.copy = None;
            // A newer snapshot is needed: this one would see the same again.
            table.spool_from = table.spool_from.max(naru_base::Lsn(self.snapshot_at().0 + 1));
            self.not_before = Some(Instant::now() + RETRY_AFTER);
            stream.todo.copy.push(oid);
        } else {
            table.quarantine(&problem);
        }
    }
}

/// Puts a finished copy into the lake, in one commit with its position, and lets the table catch up.
async fn commit(stream: &mut Stream, oid: u32, copied: Copied, at: naru_base::Lsn) -> Result<(), SyncError> {
    if failpoint::hit("sync.copy.before_commit") {
        return Err(SyncError::Protocol("failpoint sync.copy.before_commit".into()));
    }
    let context = stream.context.clone();
    let Some(table) = stream.tables.get_mut(&oid) else { return Ok(()) };
    let Copied { image, shape, staged, rows, counts } = copied;
    let live = if let Some(live) = table.live.clone() {
        live
    } else {
        let Some(lake) = context.lake.open_table(&shape.id).await? else {
            return Err(SyncError::Protocol(format!("the lake table {} vanished", shape.id)));
        };
        context.live_table(lake).await?
    };
    live.replace_all(staged, shape.columns.clone(), shape.key.clone(), &stream.app_id, i64_from(at.0)).await?;
    if failpoint::hit("sync.copy.after_commit") {
        return Err(SyncError::Protocol("failpoint sync.copy.after_commit".into()));
    }
    stream.todo.text |= !shape.binary();
    table.counts = counts;
    table.live = Some(live.clone());
    table.shape = Some(shape);
    table.image = image;
    table.applied = at;
    table.builder = None;
    table.relation = None;
    table.copy = None;
    table.columns_before = None;
    // A picture of the catalog taken before this snapshot is older than what the copy saw.
    stream.definitions += 1;
    table.step(TableEvent::Copied)?;
    stream.live_set.insert(&live);
    stream.live_set.publish_behind(&live, at);
    stream.todo.store.insert(oid);
    tracing::info!(table = %table.image.full_name(), rows, "copy committed");
    Ok(())
}

/// Makes a snapshot by a temporary slot; the slot lives as long as its connection.
async fn open(context: &Context) -> Result<(ReplicationConnection, Snapshot), SyncError> {
    let client = connect_sql(&context.connect()).await?;
    let mut replication = ReplicationConnection::connect(&context.connect()).await?;
    let name = format!("{}_copy", context.names.slot);
    crate::publication::drop_slot(&client, &name).await?;
    let snapshot = create_slot(&mut replication, &client, &name, true).await?;
    Ok((replication, snapshot))
}

/// Whether a table waits for a copy that could begin.
fn waits(stream: &Stream) -> bool {
    let ready = |oid| stream.tables.get(oid).is_some_and(|table| copying(table.state) && !table.unlisted);
    stream.todo.copy.iter().any(ready)
}

fn copying(state: TableState) -> bool {
    matches!(state, TableState::Copying | TableState::Rebuilding)
}

/// Why no copy may begin now.
fn held_back(stream: &Stream) -> Option<TableNote> {
    if let Err(low) = stream.room.for_copying() {
        let problem = low.problem();
        return Some(TableNote { reason: Some(format!("its copy waits: {}", problem.summary)), fix: problem.hint });
    }
    let context = &stream.context;
    let now = jiff::Timestamp::now().to_zoned(context.zone.clone());
    let hours = context.postgres.copy.hours.as_ref().filter(|hours| !hours.contains(now.time()))?;
    let zone = context.zone.iana_name().unwrap_or("UTC");
    Some(TableNote {
        reason: Some(format!("its copy waits for the hours of copying, {hours} {zone}")),
        fix: Some(format!(
            "It begins by itself; `hours` under [copy] in sources/{}.toml sets them.",
            context.source.name
        )),
    })
}
