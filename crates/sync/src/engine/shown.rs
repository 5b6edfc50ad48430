//! What queries see of a stream, and what the source may be told is durable.
//!
//! Owns: publishing whole transactions of all tables at once, the position that may be acknowledged, putting spools on
//! disk before that. Never sends an acknowledgement; the session does.

use naru_base::{Lsn, time::now_us};
use naru_lake::live::LiveTable;

use super::{
    change::quarantine_or,
    stream::{Stream, Todo},
    table::TableRuntime,
};
use crate::{
    error::SyncError,
    state::{TableLife as _, TableState},
};

impl Stream {
    /// Whether something was handled that queries do not see yet.
    pub fn unpublished(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether the open transaction has changed no table yet, so that a publish holds only whole transactions.
    pub(super) fn untouched(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.touched.is_empty())
    }

    /// Makes everything handled so far visible, all tables at once. Tables that fail are quarantined alone.
    pub async fn publish(&mut self) -> Result<(), SyncError> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut visible: Vec<LiveTable> = Vec::new();
        for oid in &dirty {
            let Some(table) = self.tables.get_mut(oid) else { continue };
            // Its later changes are in its spool: what it shows must not be flushed under the stream's position.
            if table.state.spools() {
                continue;
            }
            if drained(table, &mut self.todo).await? {
                visible.extend(table.live.clone());
            }
        }
        self.live_set.publish(self.cut, &visible.iter().collect::<Vec<_>>());
        let lag_ms = u64::try_from((now_us() - self.last_commit_time_us) / 1000).unwrap_or(0);
        for table in self.tables.values_mut().filter(|table| table.state == TableState::Live) {
            table.applied = table.applied.max(self.cut);
            if dirty.contains(&table.oid) {
                table.lag_ms = Some(lag_ms);
            }
        }
        self.published = self.cut;
        Ok(())
    }

    /// A keep-alive says that everything the server wrote before `wal_end` was sent.
    ///
    /// # Errors
    /// [`SyncError::OtherHistory`], when it did not send what it had sent before.
    pub fn keep_alive(&mut self, wal_end: Lsn) -> Result<(), SyncError> {
        self.server = self.server.max(wal_end);
        if self.open.is_none() {
            self.same_history(wal_end, None)?;
            self.cut = self.cut.max(wal_end);
            self.reached = self.reached.max(wal_end);
            if self.dirty.is_empty() && self.cut > self.published {
                // Nothing happened up to there that queries do not see.
                self.published = self.cut;
                self.live_set.publish(self.cut, &[]);
            }
        }
        Ok(())
    }

    /// The position up to which everything is durable: in the lake, or in a synced spool. Never more than this session
    /// has seen: a table that was opened again waits for what an earlier one had already handled.
    pub fn durable(&self) -> Lsn {
        self.tables
            .values()
            .flat_map(|table| [table.unflushed_since, table.flushing_since, table.spooled.unsynced_since])
            .flatten()
            .fold(if self.dirty.is_empty() { self.cut } else { self.published }, Lsn::min)
            .min(self.reached)
    }

    /// Puts every spool on disk, so that what it holds may be acknowledged.
    pub fn sync_spools(&mut self) -> Result<(), SyncError> {
        for table in self.tables.values_mut() {
            if let Some(spool) = &mut table.spool
                && !spool.synced()
            {
                spool.sync()?;
                // How much of it is acknowledged from now on is stored before the acknowledgement.
                self.todo.store.insert(table.oid);
            }
            // An open spooled transaction is not whole yet; its position stays until the commit is synced.
            if !table.spooled.open {
                table.spooled.unsynced_since = None;
            }
        }
        Ok(())
    }
}

/// Hands a table's collected changes to its live table; `false` when that quarantined it.
pub(super) async fn drained(table: &mut TableRuntime, todo: &mut Todo) -> Result<bool, SyncError> {
    let Err(error) = table.drain().await else { return Ok(true) };
    todo.store.insert(table.oid);
    quarantine_or(error, table)?;
    Ok(false)
}
