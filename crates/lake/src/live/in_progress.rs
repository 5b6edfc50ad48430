//! A transaction of the source that is still open there, worked out ahead of its commit.
//!
//! Owns: [`InProgress`]: its rows, its keys' positions and the rows it will make dead, beside the table and invisible
//! to everything else until [`InProgress::commit`] joins them in one short step.
//! Never decides whether the transaction committed, and never is the only copy of a change: whoever feeds it keeps the
//! changes too, because a table that was compacted or replaced meanwhile refuses the shortcut.
//!
//! Why this is right: a row that an open transaction changed is locked at the source until its end, so nobody else's
//! change of that key can come between. The caller applies what committed before it feeds what follows.

use std::{collections::HashMap, sync::Arc};

use arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

use crate::{
    change::{ChangeBatch, Op},
    error::LakeError,
    index::{IndexError, Layer, Position},
    partition,
    view::{FileId, TableView},
};

use super::{
    apply::{ApplyCounts, BLOCKING_ROWS, Plan},
    budget::Share,
    error::ApplyError,
    staging::Staging,
    table::{Inner, Keys, LiveTable, State, blocking},
    tail::Tail,
};

/// More keys than this whose rows were in memory when they were changed: looking them up again would take too long.
const HOT_MAX: usize = 4 << 20;

/// What one open transaction did to one table.
#[derive(Debug)]
pub struct InProgress {
    inner: Arc<Inner>,
    share: Share,
    keys: Option<Arc<Keys>>,
    epoch: u64,
    truncates: u64,
    /// Gone after an error or an apply that was given up half-way.
    work: Option<Work>,
    counts: ApplyCounts,
}

#[derive(Debug, Default)]
struct Work {
    /// Its own rows.
    tail: Tail,
    /// Positions of its own rows.
    layer: Layer,
    /// Rows of committed files that it makes dead.
    dead: HashMap<FileId, RoaringTreemap>,
    /// Keys whose former row was in the table's tail, where a flush may renumber it.
    hot: Vec<u128>,
    /// The segment that is being written as a file.
    staging: Option<Staging>,
}

impl LiveTable {
    /// Begins to work a transaction out. The table itself does not change before [`InProgress::commit`].
    pub fn in_progress(&self) -> InProgress {
        let state = self.inner.state.lock();
        InProgress {
            inner: Arc::clone(&self.inner),
            share: self.inner.settings.budget.share(),
            keys: state.keys.clone(),
            epoch: state.epoch,
            truncates: state.tail.truncates(),
            work: Some(Work::default()),
            counts: ApplyCounts::default(),
        }
    }
}

impl InProgress {
    /// The table it belongs to is this one.
    pub fn is_of(&self, table: &LiveTable) -> bool {
        Arc::ptr_eq(&self.inner, &table.inner)
    }

    /// What was fed so far.
    pub fn counts(&self) -> ApplyCounts {
        self.counts
    }

    /// Works out further changes of the transaction, in order. Everything that committed before them at the source must
    /// have been applied to the table.
    ///
    /// # Errors
    /// As [`LiveTable::apply`], and for a truncate; what was fed so far is then lost and [`InProgress::commit`] refuses.
    pub async fn apply(&mut self, batch: ChangeBatch) -> Result<(), ApplyError> {
        let Some(work) = self.work.take() else {
            return Err(self.malformed("an earlier batch of this transaction was lost"));
        };
        if batch.ops.contains(&Op::Truncate) {
            return Err(self.malformed("a truncate cannot be worked out ahead"));
        }
        let inner = Arc::clone(&self.inner);
        // Positions must not move while they are found and read.
        let writer = inner.writer.lock().await;
        let batch = inner.checked(batch, self.keys.is_some())?;
        let mut work = match self.keys.clone() {
            Some(keys) => self.apply_keyed(keys, work, batch).await?,
            None => self.apply_keyless(work, &batch)?,
        };
        drop(writer);
        self.shrink(&mut work).await?;
        self.share.set(work.tail.bytes() + work.layer.bytes());
        if work.hot.len() <= HOT_MAX {
            self.work = Some(work);
        }
        Ok(())
    }

    fn malformed(&self, reason: &'static str) -> ApplyError {
        ApplyError::Malformed { table: self.inner.table.id().clone(), reason }
    }

    fn apply_keyless(&mut self, mut work: Work, batch: &ChangeBatch) -> Result<Work, ApplyError> {
        let base = Arc::clone(&self.inner.state.lock().base);
        for part in partition::split(&base, batch.rows.clone())? {
            work.tail.append(part.day, part.rows, || self.inner.table.reserve_file())?;
        }
        self.counts += ApplyCounts::of(&batch.ops);
        Ok(work)
    }

    async fn apply_keyed(&mut self, keys: Arc<Keys>, work: Work, batch: ChangeBatch) -> Result<Work, ApplyError> {
        let (plan, mut work) = if batch.len() < BLOCKING_ROWS {
            (work.plan(&self.inner, &keys, batch)?, work)
        } else {
            let inner = Arc::clone(&self.inner);
            blocking(move || Ok((work.plan(&inner, &keys, batch)?, work))).await?
        };
        let images = plan.collapsed.images();
        let seen = || {
            let (base, mut tail) = self.inner.snapshot();
            tail.adopt(work.tail.segments().to_vec());
            (base, tail)
        };
        let rows = self.inner.images(&plan, &images, seen).await?;
        let base = Arc::clone(&self.inner.state.lock().base);
        work.take(&self.inner, &base, &plan, &images, rows)?;
        self.counts += plan.counts;
        Ok(work)
    }

    /// Keeps memory within the bounds that a table's tail has.
    async fn shrink(&self, work: &mut Work) -> Result<(), LakeError> {
        let (settings, index) = (&self.inner.settings, &self.inner.index);
        if work.layer.bytes_in_map() > settings.positions_bytes {
            let (mut layer, index) = (std::mem::take(&mut work.layer), Arc::clone(index));
            work.layer = blocking(move || layer.spill(index.dir()).map(|()| layer).map_err(Into::into)).await?;
        }
        let most = settings.segment_bytes;
        let most = if self.share.exceeded() { most / 16 } else { most };
        let open = work.tail.overfull(most).cloned();
        if open.is_some() || work.staging.as_ref().is_some_and(Staging::is_done) {
            work.settle().await?;
        }
        if let Some(open) = open {
            work.tail.seal(open.file);
            work.staging = Some(Staging::begin(&self.inner.table, open));
        }
        Ok(())
    }

    /// Joins everything to the table's unpublished changes, as [`LiveTable::apply`] would have. `None` when the table
    /// is no longer the one that was looked at: nothing is joined, and the changes must be applied one by one.
    ///
    /// # Errors
    /// [`LakeError`] if the index cannot be read; nothing is joined.
    pub async fn commit(self) -> Result<Option<ApplyCounts>, LakeError> {
        let Self { inner, share, epoch, truncates, work, counts, .. } = self;
        let Some(mut work) = work else { return Ok(None) };
        if let Err(error) = work.settle().await {
            tracing::debug!(table = %inner.table.id(), %error, "a transaction worked out ahead is gone through again");
            return Ok(None);
        }
        let joined = {
            let _writer = inner.writer.lock().await;
            let inner = Arc::clone(&inner);
            blocking(move || {
                let mut state = inner.state.lock();
                let same = state.epoch == epoch && state.tail.truncates() == truncates;
                let joined = same && state.join(&inner, work)?;
                inner.share.set(state.bytes());
                Ok(joined)
            })
            .await?
        };
        drop(share);
        Ok(joined.then_some(counts))
    }
}

impl Work {
    /// Waits for the segment that is being written.
    async fn settle(&mut self) -> Result<(), LakeError> {
        let Some(staging) = self.staging.take() else { return Ok(()) };
        if let Some((was, file)) = staging.finish().await? {
            self.tail.staged(&was, &file);
        }
        Ok(())
    }

    fn plan(&self, inner: &Inner, keys: &Keys, batch: ChangeBatch) -> Result<Plan, LakeError> {
        Plan::new(keys, batch, |wanted| self.locate(&inner.state.lock(), inner, wanted))
    }

    /// Where the rows of sorted hashes are for this transaction.
    fn locate(&self, state: &State, inner: &Inner, wanted: &[u128]) -> Result<Vec<Option<Position>>, IndexError> {
        let theirs = std::iter::once(&state.fresh).chain(state.layers.iter().map(AsRef::as_ref));
        let layers: Vec<_> = std::iter::once(&self.layer).chain(theirs).collect();
        let mut found = inner.index.reader().locate(&layers, wanted)?;
        for at in &mut found {
            *at = at.filter(|at| match self.tail.segment(FileId(at.file)) {
                Some(own) => own.is_live(at.row),
                None => state.tail.is_live(&state.base, *at),
            });
        }
        Ok(found)
    }

    /// Notes what a batch does.
    fn take(
        &mut self,
        inner: &Inner,
        base: &TableView,
        plan: &Plan,
        images: &[usize],
        rows: RecordBatch,
    ) -> Result<(), LakeError> {
        if rows.num_rows() > 0 {
            let hashes: Vec<u128> = plan.hashes_of(images).collect();
            for part in partition::split(base, rows)? {
                let hashes = part.pick(&hashes);
                let first = self.tail.append(part.day, part.rows, || inner.table.reserve_file())?;
                for (row, hash) in (first.row..).zip(hashes.iter().copied()) {
                    self.layer.put(hash, Position { row, ..first });
                }
            }
        }
        for (hash, at) in &plan.located {
            let file = FileId(at.file);
            if self.tail.segment(file).is_some() {
                self.tail.kill(base, *at);
            } else if base.file(file).is_some() {
                self.dead.entry(file).or_default().insert(u64::from(at.row));
            } else {
                self.hot.push(*hash);
            }
        }
        Ok(())
    }
}

impl State {
    /// Takes a transaction's work over; false, and nothing is taken, when files it knows are gone.
    fn join(&mut self, inner: &Inner, mut work: Work) -> Result<bool, LakeError> {
        let base = Arc::clone(&self.base);
        if !self.tail.cleared() && work.dead.keys().any(|file| base.file(*file).is_none()) {
            return Ok(false);
        }
        work.hot.sort_unstable();
        work.hot.dedup();
        let hot = self.locate(&inner.index, &work.hot)?;
        if let Err(newer) = self.fresh.absorb(work.layer) {
            // The table's own positions go to disk too, so that the newer ones lie on top.
            self.fresh.spill(inner.index.dir())?;
            if self.fresh.absorb(newer).is_err() {
                return Ok(false);
            }
        }
        for at in hot.into_iter().flatten() {
            self.tail.kill(&base, at);
        }
        for (file, rows) in &work.dead {
            self.tail.kill_rows(&base, *file, rows);
        }
        self.tail.adopt(work.tail.into_segments());
        self.touched();
        Ok(true)
    }
}
