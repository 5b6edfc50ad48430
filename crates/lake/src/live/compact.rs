//! Compaction of a table that goes on changing.
//!
//! Owns: one rewrite at a time, serialised with flushes, and what follows from it: the index learns the new positions,
//! and rows that died while it ran stay dead.
//! Never chooses files; see [`crate::plan_compaction`].

use std::sync::Arc;

use naru_base::{Version, failpoint};

use tokio::sync::OwnedMutexGuard;

use crate::{
    compact::{CompactionLimits, Rewritten, plan_compaction},
    error::LakeError,
    view::{FileView, TableView},
};

use super::table::{Inner, LiveTable};

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The table's version now.
    pub version: Version,
    /// Files that went.
    pub removed: usize,
    /// Files that came.
    pub added: usize,
    /// Rows written.
    pub rows: u64,
}

impl LiveTable {
    /// Whether [`LiveTable::compact`] would do something. No I/O.
    pub fn compact_due(&self) -> bool {
        let base = Arc::clone(&self.inner.state.lock().base);
        !plan_compaction(&base, &self.inner.settings.compaction, self.now_ms()).is_empty()
    }

    fn now_ms(&self) -> i64 {
        self.inner.table.home().clock.now_ms()
    }

    /// What a compaction of this table takes on by itself.
    pub fn compaction_limits(&self) -> &CompactionLimits {
        &self.inner.settings.compaction
    }

    /// Rewrites the group of files that gains most within the table's own limits, if any does. Changes are applied and
    /// published meanwhile; a flush waits. Readers see the same rows before and after.
    ///
    /// # Errors
    /// As [`LiveTable::flush`].
    pub async fn compact(&self) -> Result<Option<Compacted>, LakeError> {
        self.compact_within(&self.inner.settings.compaction).await
    }

    /// The same within other limits. Dropping the future stops a rewrite; a commit that has begun is carried through.
    ///
    /// # Errors
    /// As [`LiveTable::flush`].
    pub async fn compact_within(&self, limits: &CompactionLimits) -> Result<Option<Compacted>, LakeError> {
        let maintenance = Arc::clone(&self.inner.maintenance).lock_owned().await;
        let base = Arc::clone(&self.inner.state.lock().base);
        let Some(files) = plan_compaction(&base, limits, self.now_ms()).into_iter().next() else {
            return Ok(None);
        };
        let rewritten = self.inner.table.rewrite(&files, &[], limits).await?;
        let new = rewritten.staged.iter().map(|file| Arc::new(file.file_view())).collect();
        self.carry_through(maintenance, base, rewritten, new).await.map(Some)
    }

    /// Commits a rewrite and swaps to it in one piece: whoever stops waiting half-way must not leave a live table that
    /// stands on files that are gone.
    async fn carry_through(
        &self,
        maintenance: OwnedMutexGuard<()>,
        base: Arc<TableView>,
        rewritten: Rewritten,
        new: Vec<Arc<FileView>>,
    ) -> Result<Compacted, LakeError> {
        let inner = Arc::clone(&self.inner);
        let committing = tokio::spawn(async move {
            let _maintenance = maintenance;
            Inner::commit_rewritten(&inner, &base, rewritten, new).await
        });
        committing.await.map_err(|error| LakeError::Task(error.to_string()))?
    }

    /// Whether a column's default still has to be written into files from before the column existed. No I/O.
    pub fn fill_due(&self) -> bool {
        self.inner.state.lock().base.columns.iter().any(|column| column.fill.is_some())
    }

    /// Writes the defaults of columns into the files that lack them, and clears [`crate::Column::fill`]. Readers see the
    /// same rows before and after.
    ///
    /// # Errors
    /// As [`LiveTable::flush`].
    pub async fn fill(&self) -> Result<Option<Compacted>, LakeError> {
        let inner = &self.inner;
        let maintenance = Arc::clone(&inner.maintenance).lock_owned().await;
        if !self.fill_due() {
            return Ok(None);
        }
        let base = Arc::clone(&inner.state.lock().base);
        let rewritten = inner.table.rewrite_fills().await?;
        // Files are copied row for row in order of their numbers, dead rows included.
        let dead = rewritten.moved.keys().map(|old| base.file(*old).and_then(|file| file.deleted.clone()));
        let copies = rewritten.staged.iter().zip(dead);
        let new = copies.map(|(copy, deleted)| Arc::new(FileView { deleted, ..copy.file_view() })).collect();
        self.carry_through(maintenance, base, rewritten, new).await.map(Some)
    }
}

impl Inner {
    /// Commits files that hold the same rows as others. `new` are the new files with the dead rows they contain.
    async fn commit_rewritten(
        this: &Arc<Self>,
        base: &Arc<TableView>,
        rewritten: Rewritten,
        new: Vec<Arc<FileView>>,
    ) -> Result<Compacted, LakeError> {
        let keys = this.state.lock().keys.clone();
        let mut compacted = Compacted {
            version: base.version,
            removed: rewritten.moved.len(),
            added: new.len(),
            rows: new.iter().map(|file| file.rows).sum(),
        };
        let run = this.index_files(keys.as_ref(), base, new, &rewritten.staged).await?;
        if failpoint::hit("live.before_compact_commit") {
            return Err(LakeError::Failpoint("live.before_compact_commit"));
        }
        let moved = Arc::clone(&rewritten.moved);
        // Unflushed deletes are not committed here: their position is not either. They follow their rows below.
        let committed = this.table.commit_rewrite(rewritten, &[]).await?;
        compacted.version = committed.version;
        failpoint::hit("live.after_compact_commit");
        let _writer = this.writer.lock().await;
        this.swap(|state| {
            state.base = Arc::clone(&committed.view);
            state.tail.moved(&moved, &committed.view);
            state.published.moved(&moved, &committed.view);
            state.rush.compacted();
            this.index.install(run);
        });
        this.save_index(committed.view).await;
        Ok(compacted)
    }
}
