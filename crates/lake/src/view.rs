//! What a table is at one moment: columns, files with their dead rows, unflushed rows.
//!
//! Owns: [`TableView`], [`FileView`], [`FileId`]. Immutable; a changed view is a new one that shares what is equal.
//! Never reads an object. Read next: [`crate::scan`] for queries over a view.

use std::{collections::BTreeMap, fmt, sync::Arc};

use arrow::{array::BooleanArray, datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::ScalarValue,
    execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv},
};
use deltalake_core::kernel::DeletionVectorDescriptor;
use naru_base::{TableId, Version, number::u64_from};
use roaring::RoaringTreemap;

use crate::{column::Column, object::Pin};

/// A data file of one table. Written into the file's name, so it is stable across restarts; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Bounds of one column in one file. Never narrower than the truth, sometimes wider.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnBounds {
    /// No value is below it.
    pub min: ScalarValue,
    /// No value is above it.
    pub max: ScalarValue,
}

/// What is known of a file without opening it. Counts dead rows too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileStats {
    /// By true column name; absent means unknown.
    pub bounds: BTreeMap<String, ColumnBounds>,
    /// By true column name; absent means unknown.
    pub nulls: BTreeMap<String, u64>,
}

/// One data file as a view sees it. A file stays on disk while any `FileView` of it lives in this process.
///
/// A clone with another `deleted` is how an overlay marks rows dead before a commit does.
#[derive(Debug, Clone)]
pub struct FileView {
    /// Its number.
    pub id: FileId,
    /// Relative to the table's folder, as the log writes it (URL-encoded where needed).
    pub path: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// Rows in the file, dead ones included.
    pub rows: u64,
    /// Row numbers (from 0) that no longer count.
    pub deleted: Option<Arc<RoaringTreemap>>,
    /// Bounds and null counts.
    pub stats: Arc<FileStats>,
    /// The value of the table's partition column in all its rows, days since 1970. `None` for NULL, and in a table without
    /// partitions.
    pub day: Option<i32>,
    /// The vector in the log that `deleted` was committed with.
    pub(crate) vector: Option<DeletionVectorDescriptor>,
    /// When it was written, milliseconds since 1970.
    pub(crate) modified_ms: i64,
    /// Keeps the object.
    pub(crate) pin: Arc<Pin>,
}

impl FileView {
    /// Rows that still count.
    pub fn live_rows(&self) -> u64 {
        self.rows - self.deleted.as_ref().map_or(0, |dead| dead.len().min(self.rows))
    }
}

/// Unflushed rows that a scan adds to the files.
#[derive(Debug, Clone)]
pub struct TailBatch {
    /// The table's columns by true name, in the table's order.
    pub rows: RecordBatch,
    /// False for rows that no longer count; `None` when all do. As long as `rows`.
    pub live: Option<BooleanArray>,
}

impl TailBatch {
    /// Rows that still count.
    pub fn live_rows(&self) -> u64 {
        u64_from(self.live.as_ref().map_or(self.rows.num_rows(), BooleanArray::true_count))
    }
}

/// A table at one moment.
#[derive(Debug, Clone)]
pub struct TableView {
    /// Which table.
    pub id: TableId,
    /// The table's Delta id; a table dropped and created again has another.
    pub uid: Arc<str>,
    /// The Delta version of `files` (before overlays).
    pub version: Version,
    /// True names, in the table's order; every column of it, hidden and dropped ones included.
    pub schema: SchemaRef,
    /// The same columns in full.
    pub columns: Arc<[Column]>,
    /// True names of the key columns; empty for a keyless table.
    pub key: Arc<[String]>,
    /// Properties of the table, `naru.*` and `delta.*`.
    pub properties: Arc<BTreeMap<String, String>>,
    /// Data files, in order of `id`.
    pub files: Arc<[Arc<FileView>]>,
    /// Unflushed rows; empty in a committed view.
    pub tail: Arc<[TailBatch]>,
    /// Where sessions find the lake's object store.
    pub(crate) store: ObjectStoreUrl,
    /// A runtime that knows that store, for reads by the lake itself.
    pub(crate) runtime: Arc<RuntimeEnv>,
    /// The table's folder within that store.
    pub(crate) folder: object_store::path::Path,
}

impl TableView {
    /// The file with this number.
    pub fn file(&self, id: FileId) -> Option<&Arc<FileView>> {
        self.files.binary_search_by_key(&id, |file| file.id).ok().and_then(|at| self.files.get(at))
    }

    /// The position of the partition column among the columns, if rows are kept apart by one.
    pub(crate) fn partition_column(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.partition.is_some())
    }

    /// Rows that count, tail included.
    pub fn live_rows(&self) -> u64 {
        self.files.iter().map(|file| file.live_rows()).sum::<u64>()
            + self.tail.iter().map(TailBatch::live_rows).sum::<u64>()
    }

    /// The same view with other dead rows for some files; each bitmap replaces the file's former one.
    #[must_use]
    pub fn with_deleted(&self, deleted: impl IntoIterator<Item = (FileId, Arc<RoaringTreemap>)>) -> Self {
        let mut files = self.files.to_vec();
        for (id, dead) in deleted {
            if let Ok(at) = files.binary_search_by_key(&id, |file| file.id)
                && let Some(slot) = files.get_mut(at)
            {
                *slot = Arc::new(FileView { deleted: (!dead.is_empty()).then_some(dead), ..FileView::clone(slot) });
            }
        }
        self.with_files(files)
    }

    /// The same view over other files.
    #[must_use]
    pub fn with_files(&self, mut files: Vec<Arc<FileView>>) -> Self {
        files.sort_by_key(|file| file.id);
        Self { files: files.into(), ..self.clone() }
    }

    /// The same view with these unflushed rows.
    #[must_use]
    pub fn with_tail(&self, tail: Vec<TailBatch>) -> Self {
        Self { tail: tail.into(), ..self.clone() }
    }
}
