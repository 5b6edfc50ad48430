//! Changes into the tail.
//!
//! Owns: [`LiveTable::apply`] and its counts: collapse by key, find the rows that die, fill in what the source did not
//! send, append the rows that survive, keep memory within its bounds.
//! Never shows anything to readers and never commits.

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::take,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use naru_base::number::u64_from;

use crate::{
    change::{ChangeBatch, Op},
    error::LakeError,
    index::{HashedMap, IndexError, Position},
    partition,
    table::Table,
};

use super::{
    base_rows::Sources,
    collapse::{Collapsed, First, collapse},
    error::ApplyError,
    staging::Staging,
    table::{Inner, Keys, LiveTable, State, blocking},
    tail::Tail,
};

/// Batches of at least this many rows are hashed and looked up on a thread for blocking work.
pub(super) const BLOCKING_ROWS: usize = 256;

/// What a batch did, in changes as the source made them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyCounts {
    /// Inserts.
    pub inserts: u64,
    /// Updates, with and without a change of key.
    pub updates: u64,
    /// Deletes that are not part of a change of key.
    pub deletes: u64,
    /// Truncates.
    pub truncates: u64,
    /// Inserts whose key had a row already, which they replaced. Normal after a copy or a restart.
    pub replaced: u64,
    /// Deletes whose key had no row. Normal after a copy or a restart.
    pub missing: u64,
}

impl ApplyCounts {
    pub(super) fn of(ops: &[Op]) -> Self {
        let count = |wanted: Op| u64_from(ops.iter().filter(|op| **op == wanted).count());
        let moves = count(Op::Move);
        Self {
            inserts: count(Op::Insert),
            updates: count(Op::Update) + moves,
            deletes: count(Op::Delete).saturating_sub(moves),
            truncates: count(Op::Truncate),
            ..Self::default()
        }
    }
}

impl std::ops::AddAssign for ApplyCounts {
    fn add_assign(&mut self, other: Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
        self.truncates += other.truncates;
        self.replaced += other.replaced;
        self.missing += other.missing;
    }
}

/// A batch whose effect is known.
pub(super) struct Plan {
    pub(super) batch: ChangeBatch,
    hashes: Vec<u128>,
    pub(super) collapsed: Collapsed,
    /// Rows of touched keys from before the batch.
    pub(super) located: HashedMap<Position>,
    pub(super) counts: ApplyCounts,
}

impl Plan {
    /// Works out what a batch does; `locate` finds the rows that sorted hashes have now.
    pub(super) fn new(
        keys: &Keys,
        batch: ChangeBatch,
        locate: impl FnOnce(&[u128]) -> Result<Vec<Option<Position>>, IndexError>,
    ) -> Result<Self, LakeError> {
        let hashes = keys.hash(&batch.rows)?;
        let collapsed = collapse(&batch.ops, &hashes, batch.unchanged.iter().any(Option::is_some));
        let mut located = HashedMap::default();
        let mut counts = ApplyCounts::of(&batch.ops);
        counts.missing = collapsed.deleted_twice;
        if !collapsed.truncated {
            let wanted: Vec<_> = collapsed.touched.iter().map(|key| key.hash).collect();
            let found = locate(&wanted)?;
            located.extend(wanted.into_iter().zip(found).filter_map(|(hash, at)| at.map(|at| (hash, at))));
        }
        for key in &collapsed.touched {
            match (key.first, located.contains_key(&key.hash)) {
                (First::Insert, true) => counts.replaced += 1,
                (First::Delete, false) => counts.missing += 1,
                (First::Insert, false) | (First::Update, _) | (First::Delete, true) => {}
            }
        }
        Ok(Plan { batch, hashes, collapsed, located, counts })
    }

    /// Hashes of the rows that survive, in batch order.
    pub(super) fn hashes_of<'a>(&'a self, images: &'a [usize]) -> impl Iterator<Item = u128> + 'a {
        images.iter().filter_map(|row| self.hashes.get(*row)).copied()
    }
}

impl LiveTable {
    /// Applies changes in order. Nobody sees them before [`super::LiveSet::publish`].
    ///
    /// An insert or update of a key sets its row, whether or not there was one; a delete of a key without a row is
    /// counted. So applying the same changes again gives the same rows. Values marked unchanged come from the row's
    /// earlier image. A keyless table takes inserts and truncates, and applying those again doubles rows.
    ///
    /// Memory stays bounded: full segments are staged as uncommitted files, one beside what is applied next.
    ///
    /// # Errors
    /// - [`ApplyError::Schema`]: call [`LiveTable::evolve`], then apply again.
    /// - [`ApplyError::MissingBase`]: the table lacks a row; copy it again.
    ///
    /// After any error but [`ApplyError::Lake`] the table is as before. After that one the batch may have been applied
    /// and only staging failed; applying it again is right for keyed tables, others are opened anew.
    pub async fn apply(&self, batch: ChangeBatch) -> Result<ApplyCounts, ApplyError> {
        if batch.is_empty() {
            return Ok(ApplyCounts::default());
        }
        let _writer = self.inner.writer.lock().await;
        let counts = self.inner.apply(batch).await?;
        Inner::shrink(&self.inner).await?;
        Ok(counts)
    }
}

impl Inner {
    async fn apply(self: &Arc<Self>, batch: ChangeBatch) -> Result<ApplyCounts, ApplyError> {
        let keys = self.state.lock().keys.clone();
        let batch = self.checked(batch, keys.is_some())?;
        let Some(keys) = keys else { return self.apply_keyless(&batch) };
        if self.index.take_damage() {
            self.rebuild_index().await?;
        }
        let plan = match self.planned(&keys, batch.clone()).await {
            Err(LakeError::Index(IndexError::Damaged { path, why })) => {
                let path = path.display();
                tracing::warn!(table = %self.table.id(), %path, why, "the key index is damaged and built again");
                self.rebuild_index().await?;
                self.planned(&keys, batch).await?
            }
            plan => plan?,
        };
        let images = plan.collapsed.images();
        let rows = self.images(&plan, &images, || self.snapshot()).await?;
        let mut state = self.state.lock();
        state.apply(&self.table, &plan, &images, rows)?;
        self.share.set(state.bytes());
        Ok(plan.counts)
    }

    async fn planned(self: &Arc<Self>, keys: &Arc<Keys>, batch: ChangeBatch) -> Result<Plan, LakeError> {
        if batch.len() < BLOCKING_ROWS {
            return self.plan(keys, batch);
        }
        let (inner, keys) = (Arc::clone(self), Arc::clone(keys));
        blocking(move || inner.plan(&keys, batch)).await
    }

    /// The batch with exactly the table's schema, or why it cannot have it.
    pub(super) fn checked(&self, batch: ChangeBatch, keyed: bool) -> Result<ChangeBatch, ApplyError> {
        let table = || self.table.id().clone();
        let malformed = |reason| ApplyError::Malformed { table: table(), reason };
        if batch.rows.num_rows() != batch.ops.len() {
            return Err(malformed("rows and ops differ in number"));
        }
        if batch.unchanged.len() > batch.rows.num_columns() {
            return Err(malformed("there are more unchanged masks than columns"));
        }
        if !keyed && batch.ops.iter().any(|op| !matches!(op, Op::Insert | Op::Truncate)) {
            return Err(ApplyError::Keyless { table: table() });
        }
        let schema = Arc::clone(&self.state.lock().base.schema);
        let given = batch.rows.schema();
        if given.fields().len() != schema.fields().len() {
            let reason = format!("{} columns came, the table has {}", given.fields().len(), schema.fields().len());
            return Err(ApplyError::Schema { table: table(), reason });
        }
        for (came, has) in given.fields().iter().zip(schema.fields()) {
            if came.name() != has.name() || came.data_type() != has.data_type() {
                let text = |field: &arrow::datatypes::Field| format!("\"{}\" {}", field.name(), field.data_type());
                let reason = format!("column {} came where the table has {}", text(came), text(has));
                return Err(ApplyError::Schema { table: table(), reason });
            }
        }
        let rows = with_schema(schema, batch.rows.columns().to_vec(), batch.rows.num_rows())?;
        Ok(ChangeBatch { rows, ..batch })
    }

    fn apply_keyless(&self, batch: &ChangeBatch) -> Result<ApplyCounts, ApplyError> {
        let truncated = batch.ops.iter().rposition(|op| *op == Op::Truncate);
        let first = truncated.map_or(0, |row| row + 1);
        let rows = batch.rows.slice(first, batch.len() - first);
        let mut state = self.state.lock();
        if truncated.is_some() {
            state.tail.clear();
        }
        if rows.num_rows() > 0 {
            let base = Arc::clone(&state.base);
            for part in partition::split(&base, rows)? {
                state.tail.append(part.day, part.rows, || self.table.reserve_file())?;
            }
        }
        state.touched();
        self.share.set(state.bytes());
        Ok(ApplyCounts::of(&batch.ops))
    }

    /// Works out what a batch does. Changes nothing.
    fn plan(&self, keys: &Keys, batch: ChangeBatch) -> Result<Plan, LakeError> {
        Plan::new(keys, batch, |wanted| self.state.lock().locate(&self.index, wanted))
    }

    /// The rows that survive a batch, with every value filled in, in batch order.
    ///
    /// `seen` gives the table as the batch found it.
    pub(super) async fn images(
        &self,
        plan: &Plan,
        images: &[usize],
        seen: impl Fn() -> (Arc<crate::view::TableView>, Tail),
    ) -> Result<RecordBatch, ApplyError> {
        let missing = || {
            let base = Arc::clone(&self.state.lock().base);
            ApplyError::MissingBase { table: base.id.clone(), key: base.key.to_vec() }
        };
        let sources = Sources::trace(&plan.batch, &plan.collapsed, images, &plan.located).ok_or_else(missing)?;
        let rows = &plan.batch.rows;
        if sources.is_empty() && images.len() == rows.num_rows() {
            return Ok(rows.clone());
        }
        let mut filled = if sources.is_empty() {
            std::collections::HashMap::new()
        } else {
            let (base, tail) = seen();
            sources.read(rows, &base, &tail).await?
        };
        let picks = UInt64Array::from_iter_values(images.iter().map(|row| u64_from(*row)));
        let columns = rows
            .columns()
            .iter()
            .enumerate()
            .map(|(at, column)| filled.remove(&at).map_or_else(|| take(column, &picks, None), Ok))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(with_schema(rows.schema(), columns, images.len())?)
    }

    pub(super) fn snapshot(&self) -> (Arc<crate::view::TableView>, Tail) {
        let state = self.state.lock();
        (Arc::clone(&state.base), state.tail.clone())
    }

    /// Brings memory back within its bounds: spills positions, stages the open segment.
    async fn shrink(this: &Arc<Self>) -> Result<(), LakeError> {
        let most = this.settings.segment_bytes;
        let (full, open) = {
            let state = this.state.lock();
            let published = state.layers.first().map_or(0, |layer| layer.bytes_in_map());
            let most = if this.share.exceeded() { most / 16 } else { most };
            let open = state.tail.overfull(most);
            (state.fresh.bytes_in_map().max(published) > this.settings.positions_bytes, open.cloned())
        };
        if full {
            let inner = Arc::clone(this);
            blocking(move || inner.spill()).await?;
        }
        let written = this.staging.lock().as_ref().is_some_and(Staging::is_done);
        if open.is_some() || written {
            Self::settle(this).await?;
        }
        if let Some(open) = open {
            this.state.lock().tail.seal(open.file);
            *this.staging.lock() = Some(Staging::begin(&this.table, open));
        }
        Ok(())
    }

    /// Waits for the segment that is being written as a Parquet file, which readers and the next flush then use in its
    /// place. `writer` is held.
    pub(super) async fn settle(this: &Arc<Self>) -> Result<(), LakeError> {
        let Some(staging) = this.staging.lock().take() else { return Ok(()) };
        if let Some((was, file)) = staging.finish().await? {
            this.swap(|state| {
                state.tail.staged(&was, &file);
                state.published.staged(&was, &file);
            });
        }
        Ok(())
    }

    fn spill(&self) -> Result<(), LakeError> {
        let most = self.settings.positions_bytes;
        let mut state = self.state.lock();
        if state.fresh.bytes_in_map() > most {
            state.fresh.spill(self.index.dir())?;
        }
        if let Some(layer) = state.layers.first_mut()
            && layer.bytes_in_map() > most
        {
            Arc::make_mut(layer).spill(self.index.dir())?;
        }
        self.share.set(state.bytes());
        Ok(())
    }
}

impl State {
    fn apply(&mut self, table: &Table, plan: &Plan, images: &[usize], rows: RecordBatch) -> Result<(), LakeError> {
        if plan.collapsed.truncated {
            self.tail.clear();
        }
        let base = Arc::clone(&self.base);
        if rows.num_rows() > 0 {
            let hashes: Vec<u128> = plan.hashes_of(images).collect();
            for part in partition::split(&base, rows)? {
                let hashes = part.pick(&hashes);
                let first = self.tail.append(part.day, part.rows, || table.reserve_file())?;
                for (row, hash) in (first.row..).zip(hashes.iter().copied()) {
                    self.fresh.put(hash, Position { row, ..first });
                }
            }
        }
        self.tail.kill_all(&base, plan.located.values().copied().collect());
        self.touched();
        Ok(())
    }

    pub(super) fn touched(&mut self) {
        self.dirty = true;
        self.oldest.get_or_insert_with(Instant::now);
    }
}

/// A batch of these columns; the row count stands even without columns.
fn with_schema(
    schema: arrow::datatypes::SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
}
