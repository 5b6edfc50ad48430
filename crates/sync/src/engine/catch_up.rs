//! Applies spools: tables whose copy is committed catch up with the stream.
//!
//! Owns: reading a spool back in slices between two transactions of the stream, and the step to live.
//! Never runs inside an open transaction: a table becomes live exactly at the stream's cut.

use std::sync::Arc;

use bytes::Bytes;
use naru_base::Lsn;

use super::{
    change::{RowChange, push, quarantine_or},
    names::GONE,
    stream::Stream,
};
use crate::{
    definition::DefinitionEvent,
    error::SyncError,
    postgres::{Decoder, Message, Relation},
    spool::Record,
    state::{TableEvent, TableState},
};

/// Records applied between two looks at the stream, per table.
const SLICE_RECORDS: usize = 20_000;

/// Where reading a table's spool stands; kept with the table between slices.
#[derive(Debug, Default)]
pub struct SpoolCursor {
    relation: Option<Arc<Relation>>,
    skipping: bool,
    begin: Lsn,
    rewritten: bool,
    inside: bool,
}

impl SpoolCursor {
    /// Whether the last record read was inside a transaction.
    pub fn inside(&self) -> bool {
        self.inside
    }
}

impl Stream {
    /// Applies one slice of every catching-up table's spool. Returns whether any table still has more.
    pub(super) async fn catch_up(&mut self) -> Result<bool, SyncError> {
        if !self.at_boundary() {
            return Ok(true);
        }
        let waiting: Vec<u32> =
            self.tables.values().filter(|t| t.state == TableState::CatchingUp).map(|t| t.oid).collect();
        let mut more = false;
        for oid in waiting {
            match self.slice(oid).await {
                Ok(done) => more |= !done,
                Err(error @ SyncError::SpoolDamaged { .. }) => {
                    tracing::warn!(problem = %error.problem(), "changes on disk are lost");
                    self.rebuild(oid, "its waiting changes on disk are damaged".into())?;
                }
                Err(error) => {
                    let Some(table) = self.tables.get_mut(&oid) else { return Err(error) };
                    self.todo.store.insert(oid);
                    if let Err(error) = quarantine_or(error, table) {
                        // Records were read and not applied: only a new copy is sure to have them.
                        self.rebuild(oid, "its waiting changes could not be applied".into())?;
                        return Err(error);
                    }
                }
            }
        }
        Ok(more)
    }

    /// One slice of one table; `true` when it left the catching-up state.
    async fn slice(&mut self, oid: u32) -> Result<bool, SyncError> {
        let mut records = 0;
        loop {
            let Some(table) = self.tables.get_mut(&oid) else { return Ok(true) };
            if table.state != TableState::CatchingUp {
                return Ok(true);
            }
            let batch = match &mut table.spool {
                Some(spool) => spool.read(SLICE_RECORDS)?,
                None => Vec::new(),
            };
            if batch.is_empty() && (self.cut < table.applied || self.reached < self.cut) {
                // The copy is ahead of the stream: live would mean ahead of the other tables' cut. Or this connection has
                // not sent again yet what the others had before the last one ended.
                self.show(oid).await?;
                return Ok(false);
            }
            if batch.is_empty() {
                self.caught_up(oid).await?;
                return Ok(true);
            }
            records += batch.len();
            for record in batch {
                self.spooled_record(oid, record).await?;
            }
            let inside = self.tables.get(&oid).is_some_and(|table| table.cursor.inside);
            if records >= SLICE_RECORDS && !inside {
                self.show(oid).await?;
                return Ok(false);
            }
        }
    }

    async fn spooled_record(&mut self, oid: u32, record: Record) -> Result<(), SyncError> {
        let Some(table) = self.tables.get_mut(&oid).filter(|t| t.state == TableState::CatchingUp) else {
            return Ok(());
        };
        match record {
            Record::Begin(at) => {
                table.cursor.skipping = table.has(at);
                table.cursor.begin = at;
                table.cursor.rewritten = false;
                table.cursor.inside = true;
                table.transaction_begins();
            }
            Record::Commit(end) => {
                table.cursor.inside = false;
                table.open_from = None;
                if !table.cursor.skipping {
                    table.applied = table.applied.max(end);
                }
            }
            Record::Change(data) => self.spooled_change(oid, &data).await?,
            Record::Definition(content) if !table.cursor.skipping => {
                if let Ok(event) = serde_json::from_slice::<DefinitionEvent>(&content) {
                    self.spooled_definition(oid, event).await?;
                }
            }
            Record::Definition(_) => {}
        }
        Ok(())
    }

    async fn spooled_change(&mut self, oid: u32, data: &Bytes) -> Result<(), SyncError> {
        let decoded = Decoder::new().decode(data).map_err(|error| SyncError::Protocol(error.to_string()))?;
        let change = match decoded.message {
            Message::Relation(relation) => {
                if let Some(table) = self.tables.get_mut(&oid) {
                    table.cursor.relation = Some(Arc::new(relation));
                }
                return Ok(());
            }
            Message::Insert { new, .. } => RowChange::Insert(new),
            Message::Update { old, new, .. } => RowChange::Update(old, new),
            Message::Delete { old, .. } => RowChange::Delete(old),
            Message::Truncate { .. } => RowChange::Truncate,
            _ => return Ok(()),
        };
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if table.cursor.skipping {
            return Ok(());
        }
        let Some(relation) = table.cursor.relation.clone() else {
            return Err(SyncError::Protocol(format!("the spool of {} lacks its relation", table.image.full_name())));
        };
        if !table.follows(&relation) {
            // Without the event trigger the order of definitions is not in the spool; copy the table again.
            return self.rebuild(oid, "its definition changed while it was copied".into());
        }
        push(table, &relation, change)?;
        if table.builder.as_ref().is_some_and(|builder| builder.bytes() > super::stream::BUILDER_BYTES_MAX) {
            self.drain_inside(oid).await?;
        }
        Ok(())
    }

    async fn spooled_definition(&mut self, oid: u32, event: DefinitionEvent) -> Result<(), SyncError> {
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        match event {
            DefinitionEvent::Rewrite { .. } => {
                table.cursor.rewritten = true;
                Ok(())
            }
            DefinitionEvent::Drop { oid: dropped } if dropped == oid => {
                self.take_back(oid).await?;
                self.show(oid).await?;
                self.drop_table(oid, GONE)
            }
            DefinitionEvent::Drop { .. } => self.rebuild(oid, "a partition was dropped".into()),
            DefinitionEvent::Table { image, .. } => {
                let rewritten = table.cursor.rewritten;
                let difference = crate::image::Difference::between(&table.image, &image);
                let same = difference.added.is_empty()
                    && difference.dropped.is_empty()
                    && difference.renamed.is_empty()
                    && difference.retyped.is_empty()
                    && !difference.key_changed
                    && difference.leaves.is_none()
                    && !difference.moved;
                if same && !rewritten {
                    return Ok(());
                }
                if difference.moved {
                    return self.depart(oid, *image).await;
                }
                self.rebuild(oid, "its definition changed while it was copied".into())
            }
        }
    }

    /// Shows what was applied so far, at the table's own position.
    pub(super) async fn show(&mut self, oid: u32) -> Result<(), SyncError> {
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        table.drain().await?;
        if let Some(live) = table.live.clone() {
            self.live_set.publish_behind(&live, table.applied);
        }
        Ok(())
    }

    /// The spool is empty and no transaction is open: the table has exactly what the stream's cut has.
    async fn caught_up(&mut self, oid: u32) -> Result<(), SyncError> {
        self.show(oid).await?;
        let cut = self.cut;
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if let Some(spool) = &mut table.spool {
            // What the spool held is applied but perhaps not flushed: it stays on disk until the lake has it.
            spool.sync()?;
        }
        table.applied = table.applied.max(cut);
        table.step(TableEvent::CaughtUp)?;
        table.spent_spool = table.spool.take();
        table.spooled = super::table::SpoolPosition::default();
        table.cursor = SpoolCursor::default();
        table.note = super::table::TableNote { reason: table.remarks(), fix: None };
        self.todo.store.insert(oid);
        Ok(())
    }
}
