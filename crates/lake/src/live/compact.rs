//! Compaction of a table that goes on changing.
//!
//! Owns: one rewrite at a time, serialised with flushes, and what follows from it: the index learns the new positions,
//! and rows that died while it ran stay dead.
//! Never chooses files; see [`crate::plan_compaction`].

use std::sync::Arc;

use naru_base::{Version, failpoint};

use crate::{
    compact::{Rewritten, plan_compaction},
    error::LakeError,
    view::{FileId, FileView, TableView},
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
        !plan_compaction(&base, &self.inner.settings.compaction).is_empty()
    }

    /// Rewrites the group of files that gains most, if any does. Changes are applied and published meanwhile; a flush
    /// waits. Readers see the same rows before and after.
    ///
    /// # Errors
    /// As [`LiveTable::flush`].
    pub async fn compact(&self) -> Result<Option<Compacted>, LakeError> {
        let _maintenance = self.inner.maintenance.lock().await;
        let base = Arc::clone(&self.inner.state.lock().base);
        let Some(files) = plan_compaction(&base, &self.inner.settings.compaction).into_iter().next() else {
            return Ok(None);
        };
        Inner::rewrite(&self.inner, &base, &files).await.map(Some)
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
        let _maintenance = inner.maintenance.lock().await;
        if !self.fill_due() {
            return Ok(None);
        }
        let base = Arc::clone(&inner.state.lock().base);
        let rewritten = inner.table.rewrite_fills().await?;
        // Files are copied row for row in order of their numbers, dead rows included.
        let dead = rewritten.moved.keys().map(|old| base.file(*old).and_then(|file| file.deleted.clone()));
        let copies = rewritten.staged.iter().zip(dead);
        let new = copies.map(|(copy, deleted)| Arc::new(FileView { deleted, ..copy.file_view() })).collect();
        Inner::commit_rewritten(inner, &base, rewritten, new).await.map(Some)
    }
}

impl Inner {
    async fn rewrite(this: &Arc<Self>, base: &Arc<TableView>, files: &[FileId]) -> Result<Compacted, LakeError> {
        let rewritten = this.table.rewrite(files, &[], &this.settings.compaction).await?;
        let new = rewritten.staged.iter().map(|file| Arc::new(file.file_view())).collect();
        Self::commit_rewritten(this, base, rewritten, new).await
    }

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
        let run = this.index_files(keys.as_ref(), base, new).await?;
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
            this.index.install(run);
        });
        this.save_index(committed.view).await;
        Ok(compacted)
    }
}
