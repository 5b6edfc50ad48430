//! One table while its source is streamed.
//!
//! Owns: [`TableRuntime`]: state, shape, live table, change builder, spool, positions, and what a person is told of it.
//! Never reads the stream and never decides where a message belongs; `stream` does.

use std::{sync::Arc, time::Instant};

use naru_base::{Lsn, Problem, TableId, number::u64_from, time::now_us};
use naru_lake::{
    ChangeBatch,
    live::{ApplyError, LiveTable},
};
use naru_store::sync_tables::SyncTable;

use super::{boundary::OpenFrom, catch_up::SpoolCursor};
use crate::{
    copy::CopyProgress,
    error::SyncError,
    image::TableImage,
    plan::TableShape,
    postgres::{ChangeBuilder, DecodeCounts, Relation},
    spool::{Record, TableSpool},
    state::{TableEvent, TableLife as _, TableState},
    status::TableStatus,
};

/// Everything the engine keeps of one source table.
#[derive(Debug)]
pub struct TableRuntime {
    /// Oid at the source.
    pub oid: u32,
    /// Name in SQL, whether or not it can be synced.
    pub id: TableId,
    /// Where it stands.
    pub state: TableState,
    /// The definition that the applied rows follow.
    pub image: TableImage,
    /// Its shape in the lake; `None` while it is not synced.
    pub shape: Option<TableShape>,
    /// Its live table, once it has rows in the lake.
    pub live: Option<LiveTable>,
    /// End of the last source transaction whose changes were applied (published or about to be).
    pub applied: Lsn,
    /// Position before its first change that is not yet in the lake; `None` when everything is.
    pub unflushed_since: Option<Lsn>,
    /// The same for the flush that runs now.
    pub flushing_since: Option<Lsn>,
    /// The first position from which its spool holds every change; a copy needs a snapshot at or after it.
    pub spool_from: Lsn,
    /// Collects changes between two publishes.
    pub builder: Option<ChangeBuilder>,
    /// The relation message that `builder` follows.
    pub relation: Option<Arc<Relation>>,
    /// Where the changes of a transaction that is not wholly here begin; `None` outside of one.
    pub open_from: Option<OpenFrom>,
    /// What is in memory contradicts itself: the table is opened again before anything more is done with it.
    pub distrusted: bool,
    /// How often it was opened again, as one that contradicts itself, since its last flush.
    pub reopened: u32,
    /// Waiting changes, while copying, catching up or paused.
    pub spool: Option<TableSpool>,
    /// A spool that was applied; deleted once a flush has put its changes into the lake.
    pub spent_spool: Option<TableSpool>,
    /// Where reading the spool stands.
    pub cursor: SpoolCursor,
    /// Position of the last spooled transaction that is on disk.
    pub spooled: SpoolPosition,
    /// Progress of a running copy.
    pub copy: Option<Arc<CopyProgress>>,
    /// Reason and remedy when it is not live, or remarks.
    pub note: TableNote,
    /// Remarks of the preflight.
    pub remarks: Vec<String>,
    /// Changes applied since start.
    pub changes: u64,
    /// Source commit to visible, of the last publish with changes.
    pub lag_ms: Option<u64>,
    /// Values that became null by a stated rule, since its copy; after a crash what is sent again counts again.
    pub counts: DecodeCounts,
    /// Last change of definition, for people.
    pub last_definition: Option<String>,
    /// When a flush of it failed last, to wait before the next try.
    pub flush_failed: Option<Instant>,
    /// Its publication does not list it yet, because somebody holds a lock on it: it waits with its copy.
    pub unlisted: bool,
    /// Whether its name in the lake is its own; another table may have had it first.
    pub holds_name: bool,
    /// Its columns, by catalog position and name, at the last stop; `None` when `image` says it.
    pub columns_before: Option<Vec<(i16, String)>>,
}

/// What is durable of a table's spool.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpoolPosition {
    /// A transaction is open in the spool (its `Begin` was written).
    pub open: bool,
    /// Position before the first record that is not yet synced; `None` when all is.
    pub unsynced_since: Option<Lsn>,
    /// The relation message last written, so that it is written again when it changes.
    pub relation: Option<u32>,
}

/// Why a table is where it is.
#[derive(Debug, Clone, Default)]
pub struct TableNote {
    /// Why, for people.
    pub reason: Option<String>,
    /// What mends it.
    pub fix: Option<String>,
}

impl TableRuntime {
    /// A table that was just discovered.
    pub fn new(image: TableImage, id: TableId) -> Self {
        Self {
            oid: image.oid,
            id,
            state: TableState::Discovered,
            image,
            shape: None,
            live: None,
            applied: Lsn(0),
            unflushed_since: None,
            flushing_since: None,
            spool_from: Lsn(0),
            builder: None,
            relation: None,
            open_from: None,
            distrusted: false,
            reopened: 0,
            spool: None,
            spent_spool: None,
            cursor: SpoolCursor::default(),
            spooled: SpoolPosition::default(),
            copy: None,
            note: TableNote::default(),
            remarks: Vec::new(),
            changes: 0,
            lag_ms: None,
            counts: DecodeCounts::default(),
            last_definition: None,
            flush_failed: None,
            unlisted: false,
            holds_name: true,
            columns_before: None,
        }
    }

    /// Moves to the next state. An event that does not concern the present state is refused, as a defect of ours.
    pub fn step(&mut self, event: TableEvent) -> Result<TableState, SyncError> {
        let next = self.state.next(event).ok_or_else(|| {
            SyncError::Protocol(format!("table {} is {} and cannot take {event:?}", self.image.full_name(), self.state))
        })?;
        tracing::info!(table = %self.image.full_name(), from = %self.state, to = %next, "table state");
        self.state = next;
        Ok(next)
    }

    /// Stops this table alone, with the reason and what mends it. Its waiting changes are given up: coming back always
    /// means a new copy.
    pub fn quarantine(&mut self, problem: &Problem) {
        tracing::warn!(table = %self.image.full_name(), code = %problem.code, reason = %problem.summary, "table quarantined");
        self.state = TableState::Quarantined;
        self.note = TableNote {
            reason: Some(match &problem.detail {
                Some(detail) => format!("{}. {detail}", problem.summary),
                None => problem.summary.clone(),
            }),
            fix: problem.hint.clone().or_else(|| Some("Run `naru sync resync` for the table.".into())),
        };
        self.give_up_changes();
    }

    /// Forgets changes that are neither visible nor wanted.
    pub fn give_up_changes(&mut self) {
        self.open_from = None;
        self.builder = None;
        self.relation = None;
        self.unflushed_since = None;
        self.spooled = SpoolPosition::default();
        if let Some(live) = &self.live {
            live.discard_unpublished();
        }
        self.cursor = SpoolCursor::default();
        for spool in self.spool.take().into_iter().chain(self.spent_spool.take()) {
            if let Err(error) = spool.delete() {
                tracing::warn!(table = %self.image.full_name(), %error, "could not delete a spool");
            }
        }
    }

    /// Remarks that stay true while the table is live (append-only, generated columns).
    pub fn remarks(&self) -> Option<String> {
        (!self.remarks.is_empty()).then(|| self.remarks.join("; "))
    }

    /// Whether a transaction that begins at `final_lsn` is already in the table.
    pub fn has(&self, final_lsn: Lsn) -> bool {
        final_lsn < self.applied
    }

    /// Whether a relation message describes the columns that the shape was made from.
    pub fn follows(&self, relation: &Arc<Relation>) -> bool {
        self.has_relation(relation) || relation_fits(relation, &self.image)
    }

    /// Whether the builder follows this relation message. Nearly always it is the very same one.
    fn has_relation(&self, relation: &Arc<Relation>) -> bool {
        self.relation.as_ref().is_some_and(|known| Arc::ptr_eq(known, relation) || known == relation)
    }

    /// Gives the builder for `relation`, making one where needed.
    ///
    /// # Errors
    /// `Ok(None)` when the relation no longer fits the shape: the definition changed and must be looked at first.
    pub fn builder_for(&mut self, relation: &Arc<Relation>) -> Result<Option<&mut ChangeBuilder>, SyncError> {
        if self.builder.is_none() || !self.has_relation(relation) {
            let Some(shape) = &self.shape else {
                return Err(SyncError::Protocol(format!("table {} has no shape", self.image.full_name())));
            };
            if !relation_fits(relation, &self.image) {
                return Ok(None);
            }
            match &mut self.builder {
                Some(builder) if Arc::ptr_eq(builder.plan(), &shape.plan) => builder.set_relation(relation),
                builder => ChangeBuilder::new(shape.plan.clone(), relation).map(|made| *builder = Some(made)),
            }
            .map_err(|error| SyncError::Protocol(error.to_string()))?;
            self.relation = Some(Arc::clone(relation));
        }
        Ok(self.builder.as_mut())
    }

    /// Hands the collected changes to the live table. They stay invisible until the next publish.
    pub async fn drain(&mut self) -> Result<(), SyncError> {
        match self.gathered()? {
            Some(batch) => self.apply(batch).await,
            None => Ok(()),
        }
    }

    /// Takes what the builder holds.
    pub(super) fn gathered(&mut self) -> Result<Option<ChangeBatch>, SyncError> {
        let Some(builder) = self.builder.as_mut().filter(|builder| !builder.is_empty()) else { return Ok(None) };
        let counts = crate::copy::sum(builder.take_counts());
        let batch = builder.finish().map_err(|error| SyncError::Protocol(error.to_string()))?;
        self.counts += counts;
        Ok(Some(batch))
    }

    /// Hands changes to the live table, invisible.
    pub(super) async fn apply(&mut self, batch: ChangeBatch) -> Result<(), SyncError> {
        self.changes += u64_from(batch.len());
        let (Some(live), Some(shape)) = (&self.live, &self.shape) else {
            return Err(SyncError::Protocol(format!("table {} has no live table", self.image.full_name())));
        };
        match live.apply(batch).await {
            Ok(_) => Ok(()),
            // The lake or the disk failed, not the table: the session begins again and nothing was applied.
            Err(ApplyError::Lake(error)) => Err(error.into()),
            Err(error) => Err(shape.broke(error.problem())),
        }
    }

    /// Writes one change to the spool, opening the transaction there first.
    pub fn spool_change(
        &mut self,
        begin: Lsn,
        before: Lsn,
        relation: Option<(u32, &[u8])>,
        record: Record,
    ) -> Result<(), SyncError> {
        let Some(spool) = &mut self.spool else {
            return Err(SyncError::Protocol(format!("table {} has no spool", self.image.full_name())));
        };
        if !self.spooled.open && begin <= spool.last_begin() {
            return Ok(());
        }
        self.spooled.unsynced_since.get_or_insert(before);
        if !self.spooled.open {
            spool.append(&Record::Begin(begin))?;
            self.spooled.open = true;
        }
        if let Some((generation, message)) = relation
            && self.spooled.relation != Some(generation)
        {
            spool.append(&Record::Change(bytes::Bytes::copy_from_slice(message)))?;
            self.spooled.relation = Some(generation);
        }
        spool.append(&record)
    }

    /// Ends the spool's open transaction, if it has one.
    pub fn spool_commit(&mut self, end: Lsn) -> Result<(), SyncError> {
        if self.spooled.open
            && let Some(spool) = &mut self.spool
        {
            spool.append(&Record::Commit(end))?;
            self.spooled.open = false;
        }
        Ok(())
    }

    /// Whether changes of a transaction that is not wholly applied are in the table: not a moment to flush.
    pub fn inside_spooled_transaction(&self) -> bool {
        self.state == TableState::CatchingUp && self.cursor.inside()
    }

    /// Deletes a spool that was applied, once everything applied is in the lake; `true` when there was one.
    pub fn delete_spent_spool(&mut self) -> bool {
        let Some(spool) = self.spent_spool.take() else { return false };
        if let Err(error) = spool.delete() {
            tracing::warn!(table = %self.image.full_name(), %error, "could not delete a spool");
        }
        true
    }

    /// Forgets what is in memory and judges the table again; the source sends what was not acknowledged. Until the table
    /// has its place again, that is still everything that was unflushed.
    pub fn reopen(&mut self) {
        self.open_from = None;
        self.distrusted = false;
        self.builder = None;
        self.relation = None;
        self.live = None;
        // The handles go, the file stays: its place opens it again, and two handles would write over each other.
        self.spool = None;
        self.spent_spool = None;
        self.state = TableState::Preflight;
        let spooled = std::mem::take(&mut self.spooled);
        let held = [self.unflushed_since, self.flushing_since.take(), spooled.unsynced_since];
        // Whatever comes before it has its place again goes nowhere.
        self.unflushed_since = held.into_iter().flatten().min().or(Some(self.applied));
    }

    /// What is stored of it.
    pub fn stored_row(&self, source: &str) -> SyncTable {
        let spool = self.spool.as_ref().or(self.spent_spool.as_ref());
        SyncTable {
            source: source.to_owned(),
            schema: self.image.schema.clone(),
            table: self.image.name.clone(),
            oid: self.oid,
            lake: self.id.clone(),
            state: self.state,
            detail: serde_json::json!({
                "spool_bytes": spool.map_or(0, TableSpool::durable_bytes),
                "storage": self.image.storage(),
                "holds_name": self.holds_name,
                "adjusted": self.counts.to_stored(),
            }),
            reason: self.note.reason.clone(),
            fix: self.note.fix.clone(),
            rows_copied: self.copy.as_ref().map_or(0, |c| c.rows.load(std::sync::atomic::Ordering::Relaxed)),
            updated_us: now_us(),
        }
    }

    /// What people see of it.
    pub fn status(&self) -> TableStatus {
        let view = self.live.as_ref().map(LiveTable::view);
        let copying = self.copy.as_ref().map(|c| c.rows.load(std::sync::atomic::Ordering::Relaxed));
        TableStatus {
            table: self.id.clone(),
            source_table: self.image.full_name(),
            state: self.state.as_str().to_owned(),
            rows: view.as_ref().map_or(0, |view| view.live_rows()),
            copied: copying,
            expected: u64::try_from(self.image.row_estimate).ok(),
            changes: self.changes,
            lag_ms: self.lag_ms,
            spool_bytes: self.spool.as_ref().map_or(0, TableSpool::pending_bytes),
            files: view.as_ref().map_or(0, |view| u64_from(view.files.len())),
            version: view.as_ref().map(|view| view.version.0),
            adjusted_values: self.counts.total(),
            reason: self.note.reason.clone(),
            fix: self.note.fix.clone(),
            last_definition: self.last_definition.clone(),
        }
    }
}

/// Whether a relation message describes the same table as the image: its name, and its columns, leaving out generated
/// ones, which are not sent.
pub fn relation_fits(relation: &Relation, image: &TableImage) -> bool {
    let sent: Vec<_> = image.columns.iter().filter(|column| column.generated.is_empty()).collect();
    relation.schema == image.schema
        && relation.name == image.name
        && relation.columns.len() == sent.len()
        && relation.columns.iter().zip(sent).all(|(sent, column)| {
            sent.name == column.name && sent.type_oid == column.type_oid && sent.typmod == column.typmod
        })
}
