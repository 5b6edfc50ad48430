//! Fewer, larger, sorted files with the same rows.
//!
//! Owns: which files to rewrite (pure), the rewrite outside the commit lock, the map from old to new rows, the commit
//! that catches up with rows that died meanwhile.
//! Never runs by itself: the live table decides when. Read next: [`plan`], [`rewrite`].

mod plan;
mod rewrite;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use naru_base::number::usize_from;
use roaring::RoaringTreemap;
use serde_json::{Map, Value};

use crate::{
    column::Column,
    commit::{Change, Committed, Operation, Remove},
    error::LakeError,
    live::Compacted,
    stage::{StagedFile, TARGET_FILE_BYTES},
    table::Table,
    view::{FileId, TableView},
};
use naru_base::failpoint;

pub use plan::plan_compaction;

/// Property of a keyless table: the columns by whose values compactions sort its rows, true names as a JSON array. Names
/// that are no column are passed over.
pub const CLUSTER_PROPERTY: &str = "naru.cluster";

/// The columns that rewritten rows are sorted by: the key, or what [`CLUSTER_PROPERTY`] names.
fn order(view: &TableView) -> Vec<String> {
    if !view.key.is_empty() {
        return view.key.to_vec();
    }
    let named = view.properties.get(CLUSTER_PROPERTY);
    let named: Vec<String> = named.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let there = |name: &String| view.columns.iter().any(|column| column.name == *name);
    named.into_iter().filter(there).collect()
}

/// What a compaction may take on, and when it is worth it.
#[derive(Debug, Clone)]
pub struct CompactionLimits {
    /// Parquet bytes a rewritten file aims at.
    pub target_file_bytes: u64,
    /// Parquet bytes one group may read; bounds time and temporary space.
    pub group_bytes_max: u64,
    /// Rows one group may read; bounds the row map (8 bytes a row).
    pub group_rows_max: u64,
    /// A file is rewritten when at least this share of its rows is dead …
    pub dead_ratio: f64,
    /// … and a file younger than [`Self::hot_age`] at this share: rows that die as soon as they are written are not
    /// worth writing again.
    pub hot_dead_ratio: f64,
    /// See [`Self::hot_dead_ratio`].
    pub hot_age: Duration,
    /// Files of one size class, or files that hold one same key, are joined when at least this many meet.
    pub files_min: usize,
    /// Where rows are kept by day: all small files of a day are joined when none of them is younger than this.
    pub rest_age: Duration,
}

impl Default for CompactionLimits {
    fn default() -> Self {
        Self {
            target_file_bytes: TARGET_FILE_BYTES,
            group_bytes_max: 512 << 20,
            group_rows_max: 8_000_000,
            dead_ratio: 0.2,
            hot_dead_ratio: 0.5,
            hot_age: Duration::from_mins(10),
            files_min: 8,
            rest_age: Duration::from_hours(1),
        }
    }
}

/// Where the rows of one rewritten file went.
#[derive(Debug, Clone)]
pub struct RowMap {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Every row kept its number.
    Same(FileId, u64),
    /// By old row: file number and row packed into one word, [`GONE`] for rows not carried over.
    Moved(Vec<u64>),
}

const GONE: u64 = u64::MAX;

impl RowMap {
    fn moved(rows: u64) -> Self {
        Self { kind: Kind::Moved(vec![GONE; usize_from(rows)]) }
    }

    fn same(file: FileId, rows: u64) -> Self {
        Self { kind: Kind::Same(file, rows) }
    }

    fn set(&mut self, row: u64, file: FileId, to: u32) {
        if let Kind::Moved(rows) = &mut self.kind
            && let Some(slot) = rows.get_mut(usize_from(row))
        {
            *slot = (u64::from(file.0) << 32) | u64::from(to);
        }
    }

    /// New file and row of an old row; `None` when it was dead at the rewrite.
    pub fn get(&self, row: u64) -> Option<(FileId, u64)> {
        match &self.kind {
            Kind::Same(file, rows) => (row < *rows).then_some((*file, row)),
            Kind::Moved(rows) => {
                let packed = rows.get(usize_from(row)).copied().filter(|packed| *packed != GONE)?;
                let file = u32::try_from(packed >> 32).ok()?;
                Some((FileId(file), packed & u64::from(u32::MAX)))
            }
        }
    }
}

/// New files and the map of rows, not committed yet.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The new files.
    pub staged: Vec<StagedFile>,
    /// Per old file, where its rows went. Also the list of files the commit will remove.
    pub moved: Arc<BTreeMap<FileId, RowMap>>,
    /// Columns whose defaults are in the new files now; the commit clears their `fill` where it is still the same.
    filled: Vec<Column>,
}

impl CompactionLimits {
    /// Whatever a compaction can improve is worth it: any dead row, any two small files.
    #[must_use]
    pub fn thorough(self) -> Self {
        Self { dead_ratio: f64::MIN_POSITIVE, hot_age: Duration::ZERO, files_min: 2, rest_age: Duration::ZERO, ..self }
    }
}

impl Table {
    /// Rewrites the group of files that gains most within these limits, if any does. Goes through the live table where
    /// one is open. Readers see the same rows before and after.
    ///
    /// # Errors
    /// [`LakeError`]. A table that was replaced meanwhile is no error; its old files need no rewrite any more.
    pub async fn compact(&self, limits: &CompactionLimits) -> Result<Option<Compacted>, LakeError> {
        let owning = self.owning().await;
        if let Some(live) = self.live() {
            drop(owning);
            return live.compact_within(limits).await;
        }
        let Some(files) = plan_compaction(&self.view(), limits, self.home().clock.now_ms()).into_iter().next() else {
            return Ok(None);
        };
        let rewritten = self.rewrite(&files, &[], limits).await?;
        let (removed, added) = (rewritten.moved.len(), rewritten.staged.len());
        let rows = rewritten.staged.iter().map(|file| file.rows).sum();
        match self.commit_rewrite(rewritten, &[]).await {
            Ok(committed) => Ok(Some(Compacted { version: committed.version, removed, added, rows })),
            Err(LakeError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Commits a rewrite. Rows that died since in old files (by commits, or named in `deleted`) are dead in the new ones.
    ///
    /// # Errors
    /// [`LakeError::Refused`] when one of the old files is not in the table any more; rewrite anew.
    pub async fn commit_rewrite(
        &self,
        rewritten: Rewritten,
        deleted: &[(FileId, RoaringTreemap)],
    ) -> Result<Committed, LakeError> {
        if failpoint::hit("lake.compact.before_commit") {
            return Err(LakeError::Failpoint("lake.compact.before_commit"));
        }
        let deleted = deleted.to_vec();
        let committed = self.commit_with(move |view| change_of(view, &rewritten, &deleted)).await?;
        if failpoint::hit("lake.compact.after_commit") {
            return Err(LakeError::Failpoint("lake.compact.after_commit"));
        }
        Ok(committed)
    }
}

/// The change that puts a rewrite in place of its old files as they are now. Pure.
fn change_of(
    view: &TableView,
    rewritten: &Rewritten,
    deleted: &[(FileId, RoaringTreemap)],
) -> Result<Change, LakeError> {
    let mut dead: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
    let mut carry = |id: FileId, rows: &RoaringTreemap| {
        let Some(map) = rewritten.moved.get(&id) else { return };
        for (file, row) in rows.iter().filter_map(|row| map.get(row)) {
            dead.entry(file).or_default().insert(row);
        }
    };
    for id in rewritten.moved.keys() {
        let file = view.file(*id).ok_or_else(|| LakeError::Refused {
            table: view.id.clone(),
            reason: format!("file {id} left the table while it was rewritten"),
        })?;
        if let Some(rows) = &file.deleted {
            carry(*id, rows);
        }
    }
    for (id, rows) in deleted {
        carry(*id, rows);
    }
    let mut others: Vec<(FileId, RoaringTreemap)> = Vec::new();
    others.extend(deleted.iter().filter(|(id, _)| !rewritten.moved.contains_key(id)).cloned());
    let mut info = Map::new();
    info.insert("naruFilesBefore".into(), Value::from(rewritten.moved.len()));
    info.insert("naruFilesAfter".into(), Value::from(rewritten.staged.len()));
    let columns = cleared(view, &rewritten.filled);
    Ok(Change {
        add: rewritten.staged.clone(),
        add_deleted: dead.into_iter().collect(),
        delete: others,
        remove: Remove::Files(rewritten.moved.keys().copied().collect()),
        operation: if columns.is_some() { Operation::Alter } else { Operation::Compact },
        columns,
        info,
        ..Change::default()
    })
}

/// The columns without the defaults that every file holds now.
fn cleared(view: &TableView, filled: &[Column]) -> Option<Vec<Column>> {
    let done = |column: &Column| filled.iter().any(|was| was.stored == column.stored && was.fill == column.fill);
    if !view.columns.iter().any(|column| column.fill.is_some() && done(column)) {
        return None;
    }
    Some(
        view.columns
            .iter()
            .map(|column| Column { fill: column.fill.clone().filter(|_| !done(column)), ..column.clone() })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_map_knows_moved_gone_and_unknown_rows() {
        let mut map = RowMap::moved(3);
        map.set(2, FileId(u32::MAX - 1), u32::MAX - 1);
        map.set(0, FileId(7), 0);
        assert_eq!(map.get(0), Some((FileId(7), 0)));
        assert_eq!(map.get(1), None);
        assert_eq!(map.get(2), Some((FileId(u32::MAX - 1), u64::from(u32::MAX - 1))));
        assert_eq!(map.get(3), None);
        assert_eq!(RowMap::same(FileId(4), 2).get(1), Some((FileId(4), 1)));
        assert_eq!(RowMap::same(FileId(4), 2).get(2), None);
    }
}
