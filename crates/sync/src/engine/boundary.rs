//! The line between whole transactions and the one that is not wholly here yet, table by table.
//!
//! Owns: [`OpenFrom`], making what is whole ready to be flushed inside an open transaction, and taking back what that
//! one did. So a table that leaves in the middle of a transaction ends at a commit of the source, and no table is shown
//! later than the others.
//! Never decides why a table leaves.

use naru_base::Lsn;
use naru_lake::ChangeBatch;

use super::{
    change::quarantine_or,
    stream::Stream,
    table::{SpoolPosition, TableRuntime},
};
use crate::{
    error::SyncError,
    postgres::ChangeBuilder,
    spool::TableSpool,
    state::{TableEvent, TableState},
};

/// Where a table's changes of the open transaction begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFrom {
    /// At this change of the builder; those before it, and all in the live table, are of whole transactions.
    Builder(usize),
    /// The builder and everything unpublished in the live table is its.
    Tail,
}

impl TableRuntime {
    /// What comes from here on belongs to a transaction whose end has not come.
    pub(super) fn transaction_begins(&mut self) {
        self.open_from = Some(OpenFrom::Builder(self.builder.as_ref().map_or(0, ChangeBuilder::len)));
    }

    /// Hands what is of whole transactions to the live table, and gives what the open one changed. Afterwards nothing
    /// of the builder is left.
    async fn drain_whole(&mut self, at: usize) -> Result<Option<ChangeBatch>, SyncError> {
        let Some(batch) = self.gathered()? else { return Ok(None) };
        if at == 0 {
            return Ok(Some(batch));
        }
        let (whole, open) = split(batch, at);
        self.apply(whole).await?;
        Ok(Some(open))
    }
}

impl Stream {
    /// Hands on the changes of an open transaction that is too large to wait for its end.
    pub(super) async fn drain_inside(&mut self, oid: u32) -> Result<(), SyncError> {
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        let Some(OpenFrom::Builder(at)) = table.open_from else { return table.drain().await };
        let open = table.drain_whole(at).await?;
        table.open_from = Some(OpenFrom::Tail);
        self.ready(oid);
        match (open, self.tables.get_mut(&oid)) {
            (Some(open), Some(table)) => table.apply(open).await,
            _ => Ok(()),
        }
    }

    /// Forgets what the open transaction did to a table; what is left, all of whole transactions, is in the live table.
    pub(super) async fn take_back(&mut self, oid: u32) -> Result<(), SyncError> {
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if let Some(open) = &mut self.open {
            open.touched.remove(&oid);
        }
        match table.open_from.take() {
            Some(OpenFrom::Builder(at)) => {
                table.drain_whole(at).await?;
            }
            Some(OpenFrom::Tail) => {
                table.builder = None;
                if let Some(live) = &table.live {
                    live.discard_unpublished();
                }
            }
            None => table.drain().await?,
        }
        Ok(())
    }

    /// Publishes what the table has of whole transactions, so that it can be flushed; gives the position that covers it.
    ///
    /// Inside a transaction that has changed other tables those cannot be shown as of here: then this one is not shown
    /// before they are.
    pub(super) async fn settle(&mut self, oid: u32) -> Result<Lsn, SyncError> {
        if self.untouched() {
            self.publish().await?;
        } else {
            let taken_back = self.take_back(oid).await;
            self.stopped_alone(oid, taken_back)?;
            self.ready(oid);
            if let Some(table) = self.tables.get_mut(&oid).filter(|table| table.state == TableState::Live) {
                table.applied = table.applied.max(self.cut);
            }
        }
        Ok(self.tables.get(&oid).map_or(self.cut, |table| table.applied))
    }

    /// Makes what is in the live table, all of it of whole transactions, ready to be flushed.
    fn ready(&mut self, oid: u32) {
        let Some(table) = self.tables.get_mut(&oid) else { return };
        let Some(live) = table.live.clone() else { return };
        if table.state == TableState::CatchingUp {
            self.live_set.publish_behind(&live, table.applied);
        } else if table.state == TableState::Live && live.has_unpublished() {
            table.applied = table.applied.max(self.cut);
            self.live_set.publish_ahead(&live, table.applied);
            self.dirty.insert(oid);
        }
    }

    /// A connection ended between making a table ready and showing it with the others: it waits until they have come
    /// as far. What it has more than they show is skipped when it comes again.
    ///
    /// What it shows is put into the lake first: nothing may be missing before what its spool holds. Where that fails it
    /// is opened again from what the lake has.
    pub(super) async fn wait_for_the_others(&mut self) {
        let ahead = |table: &&TableRuntime| table.state == TableState::Live && table.applied > self.published;
        let ahead: Vec<u32> = self.tables.values().filter(ahead).map(|table| table.oid).collect();
        for oid in ahead {
            let Some(table) = self.tables.get_mut(&oid) else { continue };
            table.builder = None;
            table.relation = None;
            table.open_from = None;
            if let Some(live) = &table.live {
                live.discard_unpublished();
            }
            let flushed = self.flush_now(oid).await;
            let path = self.context.spool_path(oid);
            // A flush may have ended otherwise, with the table opened again or stopped.
            let Some(table) = self.tables.get_mut(&oid).filter(|t| t.state == TableState::Live) else { continue };
            if let Err(problem) = flushed {
                tracing::warn!(table = %table.image.full_name(), %problem, "a table is opened again");
                self.todo.store.remove(&oid);
                table.reopen();
                continue;
            }
            let spool = table.spent_spool.take().map_or_else(|| TableSpool::create(&path), Ok);
            let waits = spool.and_then(|spool| {
                table.spool = Some(spool);
                table.spooled = SpoolPosition::default();
                table.step(TableEvent::Ahead)
            });
            if let Err(error) = waits {
                table.quarantine(&error.problem());
            }
            self.todo.store.insert(oid);
        }
    }

    /// An error of one table stops that table; any other is given back.
    pub(super) fn stopped_alone(&mut self, oid: u32, done: Result<(), SyncError>) -> Result<(), SyncError> {
        let (Err(error), Some(table)) = (done, self.tables.get_mut(&oid)) else { return Ok(()) };
        self.todo.store.insert(oid);
        quarantine_or(error, table)
    }
}

/// The first `at` changes, and the others.
fn split(batch: ChangeBatch, at: usize) -> (ChangeBatch, ChangeBatch) {
    let at = at.min(batch.len());
    let part = |from: usize, rows: usize| ChangeBatch {
        rows: batch.rows.slice(from, rows),
        ops: batch.ops.iter().skip(from).take(rows).copied().collect(),
        unchanged: batch.unchanged.iter().map(|mask| mask.as_ref().map(|mask| mask.slice(from, rows))).collect(),
    };
    (part(0, at), part(at, batch.len() - at))
}
