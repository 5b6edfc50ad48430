//! Writing rows into Parquet files that are not part of the table yet.
//!
//! Owns: [`Stager`], [`StagedFile`], the Parquet settings. Encoding runs on a blocking thread, the upload beside it,
//! both with short queues: a file is never held whole in memory.
//! Never commits. What is dropped before a commit takes its objects with it, as far as the store lets it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arrow::{
    array::{ArrayRef, new_null_array},
    compute::cast,
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use bytes::Bytes;
use naru_base::{failpoint, number::u64_from};
use object_store::{ObjectStore, buffered::BufWriter, path::Path};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};
use uuid::Uuid;

use crate::{
    column::Column,
    error::LakeError,
    index::{KeyHasher, KeySink, Run, StagedKeys},
    object::Pin,
    partition, sample, schema,
    stats::{self, Gathering},
    table::Table,
    view::{FileId, FileStats, FileView, TableView},
};

/// Bytes of Parquet after which a stager begins the next file, unless told otherwise.
pub const TARGET_FILE_BYTES: u64 = 128 << 20;
/// Rows of a row group: the unit of pruning and of parallel reading.
const GROUP_ROWS: usize = 128 * 1024;
/// Encoded bytes of a row group held in memory while it is written.
const GROUP_BYTES: usize = 32 << 20;
/// Batches waiting for the encoder, and encoded pieces waiting for the upload.
const BATCHES_WAITING: usize = 4;
const PIECES_WAITING: usize = 2;
/// Bytes of one encoded piece and of one part of an upload.
const PIECE_BYTES: usize = 1 << 20;
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 2;
/// Bloom filters of key columns: false positives accepted.
const BLOOM_FALSE_POSITIVES: f64 = 0.02;
/// Zstandard levels: the first loses a few percent of size to the second and takes half its time.
const LEVEL_FAST: i32 = 1;
const LEVEL_SMALL: i32 = 3;

/// How to stage.
#[derive(Debug, Clone)]
pub struct StagerOptions {
    /// Parquet bytes after which the next file begins.
    pub target_file_bytes: u64,
    /// A number reserved before: then everything goes into one file with this number, whatever its size.
    pub file: Option<FileId>,
    /// Index the rows' keys on the way, for rows that [`crate::live::LiveTable`] will take over by the million.
    pub index: bool,
    /// Compress harder: nobody waits for these rows, and they stay.
    pub small: bool,
}

impl Default for StagerOptions {
    fn default() -> Self {
        Self { target_file_bytes: TARGET_FILE_BYTES, file: None, index: false, small: false }
    }
}

/// A Parquet file in the table's folder that no commit names yet.
///
/// When the last clone, and the last [`FileView`] made of it, goes without a commit, the object is removed.
#[derive(Debug, Clone)]
pub struct StagedFile {
    /// Its number, also in its name.
    pub id: FileId,
    /// Relative to the table's folder.
    pub path: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// Bounds and null counts.
    pub stats: Arc<FileStats>,
    day: Option<i32>,
    modified_ms: i64,
    pin: Arc<Pin>,
    keys: Option<Arc<StagedKeys>>,
}

impl StagedFile {
    /// Index runs of its keys, if they were made for this kind of key; only once.
    pub(crate) fn adopt_keys(&self, fingerprint: &str) -> Option<Vec<Arc<Run>>> {
        self.keys.as_ref().and_then(|keys| keys.adopt(fingerprint))
    }

    /// The file as a view shows it, for queries that may see it before its commit.
    pub fn file_view(&self) -> FileView {
        FileView {
            id: self.id,
            path: Arc::clone(&self.path),
            size: self.size,
            rows: self.rows,
            deleted: None,
            stats: Arc::clone(&self.stats),
            day: self.day,
            vector: None,
            modified_ms: self.modified_ms,
            pin: Arc::clone(&self.pin),
        }
    }
}

/// Where the rows of one written batch went: consecutive rows of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Which file.
    pub file: FileId,
    /// Row number of the batch's first row.
    pub first_row: u64,
}

/// Writes batches into staged files. Rows keep their order; a file's row numbers count from 0 in write order.
#[derive(Debug)]
pub struct Stager {
    table: Table,
    view: Arc<TableView>,
    options: StagerOptions,
    layout: Arc<Layout>,
    open: Option<OpenFile>,
    done: Vec<StagedFile>,
}

/// What every file of one stager shares.
#[derive(Debug)]
struct Layout {
    columns: Arc<[Column]>,
    /// The columns that are in files, by stored name.
    schema: SchemaRef,
    /// The column that is not.
    partition: Option<usize>,
    properties: WriterProperties,
    with_stats: Vec<usize>,
}

#[derive(Debug)]
struct OpenFile {
    id: FileId,
    path: Arc<str>,
    pin: Arc<Pin>,
    day: Option<i32>,
    rows: u64,
    bytes: Arc<AtomicU64>,
    batches: mpsc::Sender<Work>,
    encoder: JoinHandle<Result<Encoded, LakeError>>,
    upload: JoinHandle<Result<u64, LakeError>>,
}

impl Layout {
    /// A writer for a file that begins with these rows.
    fn writer(&self, first: &[ArrayRef]) -> Result<ArrowWriter<Vec<u8>>, LakeError> {
        let mut properties = self.properties.clone().into_builder();
        for (column, values) in self.columns.iter().zip(first) {
            if sample::is_mostly_distinct(values.as_ref()) {
                properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.stored.clone()), false);
            }
        }
        Ok(ArrowWriter::try_new(Vec::new(), Arc::clone(&self.schema), Some(properties.build()))?)
    }
}

impl Stager {
    pub(crate) fn new(table: Table, view: Arc<TableView>, options: StagerOptions) -> Self {
        let layout = Layout {
            columns: Arc::clone(&view.columns),
            schema: schema::file_schema(&view.columns),
            partition: view.partition_column(),
            properties: properties(&view, if options.small { LEVEL_SMALL } else { LEVEL_FAST }),
            with_stats: stats::columns(&view.columns, &view.key),
        };
        Self { table, view, options, layout: Arc::new(layout), open: None, done: Vec::new() }
    }

    /// The table with the columns that are being staged; what checks read before the commit stands on it.
    pub fn view(&self) -> Arc<TableView> {
        Arc::clone(&self.view)
    }

    /// Adds rows and says where they went. Columns are found by true name; columns the batch lacks are null.
    /// An empty batch begins no file; its place is where the next row would go. The rows of one call are of one day in a
    /// table that is partitioned by day, and those of another day begin another file.
    ///
    /// # Errors
    /// After an error the stager is of no use; dropping it removes what it wrote.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<Placed, LakeError> {
        let arrays = arranged(&self.view, rows)?;
        let day = self.day_of(rows)?;
        if self.full() || self.open.as_ref().is_some_and(|open| open.day != day) {
            self.close_file().await?;
        }
        if self.open.is_none() {
            self.open = Some(self.begin(day));
        }
        let Some(open) = &mut self.open else { return Err(LakeError::Task("no file is open".into())) };
        let placed = Placed { file: open.id, first_row: open.rows };
        if rows.num_rows() > 0 && open.batches.send(Work::Rows(arrays)).await.is_err() {
            // The encoder has ended early; its error says why.
            return Err(self
                .close_file()
                .await
                .err()
                .unwrap_or_else(|| LakeError::Task("the encoder ended early".into())));
        }
        if let Some(open) = &mut self.open {
            open.rows += u64_from(rows.num_rows());
        }
        Ok(placed)
    }

    /// Finishes the uploads. Files come in write order; none when no row was written.
    pub async fn finish(mut self) -> Result<Vec<StagedFile>, LakeError> {
        self.close_file().await?;
        if failpoint::hit("lake.after_upload") {
            return Err(LakeError::Failpoint("lake.after_upload"));
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// The day of these rows.
    fn day_of(&self, rows: &RecordBatch) -> Result<Option<i32>, LakeError> {
        let refused = |reason: &str| LakeError::Refused { table: self.view.id.clone(), reason: reason.into() };
        if rows.num_rows() == 0 {
            return Ok(self.open.as_ref().and_then(|open| open.day));
        }
        let day = partition::only_day(&self.view, rows);
        let day = day.map_err(|_| refused("rows of several days cannot go into one file"))?;
        let begun = self.open.as_ref().is_some_and(|open| open.rows > 0 && open.day != day);
        if begun && self.options.file.is_some() {
            return Err(refused("rows of another day cannot go into this file"));
        }
        Ok(day)
    }

    fn full(&self) -> bool {
        self.options.file.is_none()
            && self
                .open
                .as_ref()
                .is_some_and(|open| open.bytes.load(Ordering::Relaxed) >= self.options.target_file_bytes)
    }

    fn begin(&self, day: Option<i32>) -> OpenFile {
        let id = self.options.file.unwrap_or_else(|| self.table.reserve_file());
        let folder = partition::folder(&self.view.columns, day);
        let path: Arc<str> = format!("{folder}part-n{id}-{}.parquet", Uuid::new_v4()).into();
        let store = Arc::clone(&self.table.home().store);
        let pin = Pin::staged(Arc::clone(&store), Path::from(&*path));
        self.table.hold([&pin]);
        let bytes = Arc::new(AtomicU64::new(0));
        let (batches, waiting_batches) = mpsc::channel(BATCHES_WAITING);
        let (pieces, waiting_pieces) = mpsc::channel(PIECES_WAITING);
        let (layout, seen) = (Arc::clone(&self.layout), Arc::clone(&bytes));
        let keys = self.options.index.then(|| (self.table.index_dir(), Arc::clone(&self.view)));
        let encoder = spawn_blocking(move || {
            let keys = keys.and_then(|(dir, view)| key_sink(&dir, id, &view).transpose()).transpose()?;
            encode(&layout, keys, waiting_batches, &pieces, &seen)
        });
        let upload = tokio::spawn(upload(store, Path::from(&*path), waiting_pieces));
        OpenFile { id, path, pin, day, rows: 0, bytes, batches, encoder, upload }
    }

    async fn close_file(&mut self) -> Result<(), LakeError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        // An encoder that is gone already has an error to tell.
        open.batches.send(Work::End).await.ok();
        let stopped = |error: tokio::task::JoinError| LakeError::Task(error.to_string());
        // The upload's error is the cause when both failed, since the encoder then only finds its queue closed.
        let (stats, size) = (open.encoder.await.map_err(stopped)?, open.upload.await.map_err(stopped)?);
        let (size, Encoded { mut stats, keys }) = (size?, stats?);
        if open.rows == 0 {
            return Ok(());
        }
        partition::describe(&mut stats, &self.view.columns, open.day, open.rows);
        self.done.push(StagedFile {
            id: open.id,
            path: open.path,
            size,
            rows: open.rows,
            stats: Arc::new(stats),
            day: open.day,
            modified_ms: self.table.home().clock.now_ms(),
            pin: open.pin,
            keys: keys.map(Arc::new),
        });
        Ok(())
    }
}

fn properties(view: &TableView, level: i32) -> WriterProperties {
    let level = ZstdLevel::try_new(level).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("naru ", env!("CARGO_PKG_VERSION")).into());
    for column in view.columns.iter().filter(|column| view.key.contains(&column.name)) {
        let path = ColumnPath::from(column.stored.clone());
        if view.key.len() == 1 {
            // Every value is another one: a dictionary would be built only to be given up.
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
        }
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path, u64_from(GROUP_ROWS));
    }
    builder.build()
}

/// The batch's columns in the table's order and types.
fn arranged(view: &TableView, rows: &RecordBatch) -> Result<Vec<ArrayRef>, LakeError> {
    let mut arrays = Vec::with_capacity(view.columns.len());
    for column in view.columns.iter() {
        arrays.push(match rows.column_by_name(&column.name) {
            Some(array) if array.data_type() == &column.data_type => Arc::clone(array),
            Some(array) => cast(array, &column.data_type)?,
            None => new_null_array(&column.data_type, rows.num_rows()),
        });
    }
    Ok(arrays)
}

/// Indexes the keys of a file with the columns of `view`; `None` for a table without a key.
fn key_sink(dir: &std::path::Path, file: FileId, view: &TableView) -> Result<Option<KeySink>, LakeError> {
    let places = view.key.iter().map(|name| view.columns.iter().position(|column| column.name == *name));
    let Some(places) = places.collect::<Option<Vec<_>>>().filter(|places| !places.is_empty()) else { return Ok(None) };
    let types: Vec<_> = places.iter().filter_map(|at| view.columns.get(*at)).map(|c| c.data_type.clone()).collect();
    Ok(Some(KeySink::new(dir, file.0, KeyHasher::new(&types)?, &view.key, places)?))
}

/// A file's contents beside its bytes.
#[derive(Debug)]
struct Encoded {
    stats: FileStats,
    keys: Option<StagedKeys>,
}

/// Encodes batches until the queue ends. Runs on a blocking thread.
fn encode(
    layout: &Layout,
    mut keys: Option<KeySink>,
    mut batches: mpsc::Receiver<Work>,
    pieces: &mpsc::Sender<Piece>,
    bytes: &AtomicU64,
) -> Result<Encoded, LakeError> {
    let mut gathering = Gathering::new(&layout.columns, &layout.with_stats);
    let mut open = None;
    let gone = |_| LakeError::Task("the upload ended early".into());
    loop {
        let mut arrays = match batches.blocking_recv() {
            Some(Work::Rows(arrays)) => arrays,
            Some(Work::End) => break,
            None => return Err(LakeError::Task("the stager was dropped".into())),
        };
        gathering.add(&arrays);
        if let Some(keys) = &mut keys {
            keys.push(&arrays)?;
        }
        let writer = match &mut open {
            Some(writer) => writer,
            none => none.insert(layout.writer(&arrays)?),
        };
        if let Some(at) = layout.partition.filter(|at| *at < arrays.len()) {
            arrays.remove(at);
        }
        writer.write(&RecordBatch::try_new(Arc::clone(&layout.schema), arrays)?)?;
        if writer.inner().len() >= PIECE_BYTES {
            let bytes = std::mem::take(writer.inner_mut()).into();
            pieces.blocking_send(Piece { bytes, last: false }).map_err(gone)?;
        }
        bytes.store(u64_from(writer.bytes_written() + writer.in_progress_size()), Ordering::Relaxed);
    }
    let mut writer = open.map_or_else(|| layout.writer(&[]), Ok)?;
    writer.finish()?;
    pieces.blocking_send(Piece { bytes: std::mem::take(writer.inner_mut()).into(), last: true }).map_err(gone)?;
    Ok(Encoded { stats: gathering.finish(), keys: keys.map(KeySink::finish).transpose()? })
}

/// What the encoder gets.
enum Work {
    Rows(Vec<ArrayRef>),
    /// The file is complete; a queue that ends without this was abandoned.
    End,
}

/// Encoded bytes on their way to the store.
struct Piece {
    bytes: Bytes,
    /// Whether the file is whole with it.
    last: bool,
}

/// Uploads pieces until the queue ends; answers the object's size.
async fn upload(store: Arc<dyn ObjectStore>, path: Path, mut pieces: mpsc::Receiver<Piece>) -> Result<u64, LakeError> {
    if failpoint::hit("lake.before_upload") {
        return Err(LakeError::Failpoint("lake.before_upload"));
    }
    let mut writer = BufWriter::with_capacity(store, path, PART_BYTES).with_max_concurrency(PARTS_AT_ONCE);
    let mut size = 0;
    let mut whole = false;
    while let Some(piece) = pieces.recv().await {
        whole = piece.last;
        size += u64_from(piece.bytes.len());
        writer.put(piece.bytes).await?;
    }
    // An encoder that failed, or a stager that was dropped, leaves no object.
    if !whole {
        writer.abort().await.ok();
        return Ok(size);
    }
    writer.shutdown().await?;
    Ok(size)
}
