//! Moves visible changes into the lake, and knows what is durable.
//!
//! Owns: which tables flush when, the bookkeeping before and after a flush. Compaction is the lake's maintainer's.
//! Never acknowledges anything to the source; the session does, from `Stream::durable`.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use naru_base::{Lsn, Problem, TableId, Version, number::i64_from};
use naru_lake::{LakeError, index::IndexError, live::LiveTable};
use tokio::task::JoinSet;

use super::{
    stream::{Stream, Todo},
    table::TableRuntime,
};
use crate::{error::SyncError, state::TableState};

/// Tables flushed at the same time.
const FLUSHES_MAX: usize = 2;
/// Wait after a failed flush of a table.
const FLUSH_RETRY: Duration = Duration::from_secs(3);
/// How often a table is opened again before it is stopped.
const REOPENED_MAX: u32 = 3;

/// Flushes that run now.
pub(super) type Flushes = JoinSet<FlushEnded>;

/// A flush that ended.
#[derive(Debug)]
pub(super) struct FlushEnded {
    oid: u32,
    position: Lsn,
    result: Result<(), LakeError>,
}

impl Stream {
    /// Starts the flushes that are due; all that have something, when `all` is set.
    pub(super) fn start_flushes(&mut self, all: bool) {
        for table in self.tables.values_mut() {
            let room = all || self.flushes.len() < FLUSHES_MAX;
            let flushable = matches!(
                table.state,
                TableState::Live | TableState::CatchingUp | TableState::Paused | TableState::Dropped
            );
            let waiting = table.flush_failed.is_some_and(|at| at.elapsed() < FLUSH_RETRY);
            let Some(live) = table.live.clone() else { continue };
            if !room || !flushable || waiting || table.flushing_since.is_some() || table.inside_spooled_transaction() {
                continue;
            }
            let due = if all { live.has_unflushed() } else { live.should_flush(Instant::now()) };
            let pending = live.has_unpublished() || table.builder.as_ref().is_some_and(|builder| !builder.is_empty());
            if !due {
                if !pending && !live.has_unflushed() {
                    // Everything is in the lake, perhaps taken along by an earlier flush, or came to nothing.
                    table.unflushed_since = None;
                    if table.delete_spent_spool() {
                        self.todo.store.insert(table.oid);
                    }
                }
                continue;
            }
            let (oid, position, app_id) = (table.oid, table.applied, self.app_id.clone());
            table.flushing_since = Some(table.unflushed_since.unwrap_or(position));
            if !pending {
                // Rows that nobody sees yet are not in this flush; their position stays.
                table.unflushed_since = None;
            }
            self.flushes.spawn(async move {
                let result = flush(&live, &app_id, position).await;
                FlushEnded { oid, position, result }
            });
        }
    }

    /// Puts everything that a live table shows into the lake, and waits for it.
    ///
    /// # Errors
    /// Why something is not in the lake. Then the table goes on as after any flush that failed.
    pub(super) async fn flush_now(&mut self, oid: u32) -> Result<(), Problem> {
        while self.tables.get(&oid).is_some_and(|table| table.flushing_since.is_some()) {
            match self.flushes.join_next().await {
                Some(Ok(ended)) => self.flush_ended(ended),
                Some(Err(error)) => return Err(SyncError::Protocol(error.to_string()).problem()),
                None => break,
            }
        }
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        let Some(live) = table.live.clone().filter(|_| table.state == TableState::Live) else {
            return Err(SyncError::Anew.problem());
        };
        let position = table.applied;
        table.flushing_since = Some(table.unflushed_since.take().unwrap_or(position));
        let result = flush(&live, &self.app_id, position).await;
        let failed = result.as_ref().err().map(LakeError::problem);
        self.flush_ended(FlushEnded { oid, position, result });
        match failed {
            Some(problem) => Err(problem),
            None => Ok(()),
        }
    }

    /// Flushes a table of a server that is no longer there; nobody takes note of how it ends.
    pub(super) fn flush_adrift(&mut self, live: &LiveTable, position: Lsn) {
        let (live, app_id) = (live.clone(), self.app_id.clone());
        if live.has_unflushed() && !app_id.is_empty() {
            self.flushes.spawn(async move {
                let result = flush(&live, &app_id, position).await;
                // No table of a source has this number.
                FlushEnded { oid: 0, position, result }
            });
        }
    }

    /// Whether a live table still has something that is not in the lake.
    pub(super) fn has_unflushed(&self) -> bool {
        self.live_tables().any(LiveTable::has_unflushed)
    }

    /// The newest version of every live table.
    pub(super) fn versions(&self) -> BTreeMap<TableId, Version> {
        self.live_tables().map(|live| (live.id().clone(), live.view().version)).collect()
    }

    fn live_tables(&self) -> impl Iterator<Item = &LiveTable> {
        self.tables.values().filter(|table| table.state == TableState::Live).filter_map(|table| table.live.as_ref())
    }

    /// Takes a flush's outcome. A failed one is tried again; what it held stays unflushed, unacknowledged and visible.
    pub(super) fn flush_ended(&mut self, ended: FlushEnded) {
        let Some(table) = self.tables.get_mut(&ended.oid) else { return };
        let since = table.flushing_since.take();
        match ended.result {
            Ok(()) => {
                (table.flush_failed, table.reopened) = (None, 0);
                if !table.counts.is_zero() {
                    self.todo.store.insert(ended.oid);
                }
                tracing::debug!(table = %table.image.full_name(), position = %ended.position, "flushed");
            }
            Err(
                error @ (LakeError::CommitLost { .. }
                | LakeError::Task(_)
                | LakeError::Index(IndexError::Damaged { .. })),
            ) => {
                // Somebody else wrote the table, a defect of ours ended the flush half-way, or this machine's disk gave
                // back something else than was written: what is in memory is not to be trusted.
                table.flushing_since = since;
                open_again(table, &error.problem(), &mut self.todo);
                self.todo.reconnect = true;
            }
            Err(error) => {
                table.flush_failed = Some(Instant::now());
                table.unflushed_since = [since, table.unflushed_since].into_iter().flatten().min();
                tracing::warn!(table = %table.image.full_name(), problem = %error.problem(), "a flush failed and is tried again");
            }
        }
    }
}

impl Stream {
    /// Opens tables again that were found to contradict themselves, once no flush of theirs runs.
    pub(super) async fn reopen_distrusted(&mut self) {
        if !self.tables.values().any(|table| table.distrusted) {
            return;
        }
        while let Some(ended) = self.flushes.join_next().await {
            if let Ok(ended) = ended {
                self.flush_ended(ended);
            }
        }
        for table in self.tables.values_mut().filter(|table| table.distrusted) {
            let damaged = SyncError::TailDamaged { table: table.image.full_name() };
            open_again(table, &damaged.problem(), &mut self.todo);
        }
    }
}

/// Opens a table anew from its last commit; the source sends again what that lacks. When this does not help, it is
/// stopped alone, so that the source need not keep its log for it.
fn open_again(table: &mut TableRuntime, problem: &Problem, todo: &mut Todo) {
    if table.reopened >= REOPENED_MAX {
        table.distrusted = false;
        table.flushing_since = None;
        table.quarantine(&problem.clone().hint(format!(
            "Check this machine's disk. The table is copied again when naru next connects to the source; `naru sync resync {}` does it now.",
            table.id
        )));
        todo.store.insert(table.oid);
        return;
    }
    // What is stored stays true: it was followed up to its position in the lake, so that no copy is needed.
    todo.store.remove(&table.oid);
    tracing::warn!(table = %table.image.full_name(), %problem, "a table is opened again");
    table.reopened += 1;
    table.reopen();
}

/// A flush that panics has failed like any other: its table alone is concerned.
async fn flush(live: &LiveTable, app_id: &str, position: Lsn) -> Result<(), LakeError> {
    let flushing = AssertUnwindSafe(live.flush(app_id, i64_from(position.0))).catch_unwind();
    match flushing.await {
        Ok(flushed) => flushed.map(drop),
        Err(_) => Err(LakeError::Task("a flush panicked".into())),
    }
}
