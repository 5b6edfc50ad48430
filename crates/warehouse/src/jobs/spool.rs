//! One result on disk: an Arrow IPC stream whose pages can be read at any row, also while it is being written.
//!
//! Owns: the file, its chunks and where each of them stands. Every chunk is one record batch of the stream, so other
//! readers of Arrow open the whole file and a page reads only the chunks it touches. Never decides how long a result
//! is kept; that is `kept`.

use std::{
    fs::File,
    io::{Cursor, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::ArrayRef,
    buffer::Buffer,
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    ipc::{
        CompressionType,
        reader::StreamReader,
        writer::{IpcWriteOptions, StreamEncoder},
    },
    record_batch::RecordBatch,
};
use naru_base::number::{u64_from, usize_from};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

/// The file below a result's folder.
pub(super) const ROWS_FILE: &str = "rows.arrows";
/// Rows of a chunk, at most: what a page of a screen reads, and what is decoded for it.
const CHUNK_ROWS: usize = 4096;
/// Rows held back for a fuller chunk hold at most about this many bytes.
const HELD_BYTES_MAX: usize = 8 << 20;
/// Rows are held back for at most about this long, so that the first ones of a slow query are seen.
const HELD_FOR: Duration = Duration::from_millis(500);

/// How much of a result is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file, as it is compressed.
    pub bytes: u64,
}

/// Where one record batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Number of its first row in the result.
    first_row: u64,
    rows: u64,
    offset: u64,
    length: u64,
}

/// What is known of the file so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Bytes before the first chunk: the schema, and a batch without rows.
    head: u64,
    chunks: Vec<Chunk>,
    /// Rows that the query gave, kept or not.
    pub(super) counted: u64,
}

impl Index {
    fn rows(&self) -> u64 {
        self.chunks.last().map_or(0, |last| last.first_row + last.rows)
    }

    fn bytes(&self) -> u64 {
        self.chunks.last().map_or(self.head, |last| last.offset + last.length)
    }
}

/// A result's rows. Cheap to share; rows already written can be read while more come.
#[derive(Debug)]
pub struct Spool {
    schema: SchemaRef,
    file: File,
    index: RwLock<Index>,
}

impl Spool {
    /// Opens the file of a finished result.
    pub(super) fn open(folder: &Path, index: Index) -> Result<Self, ArrowError> {
        let file = File::open(folder.join(ROWS_FILE))?;
        let head = StreamReader::try_new(Cursor::new(read(&file, 0, index.head)?), None)?;
        let schema = head.schema();
        Ok(Self { schema, file, index: RwLock::new(index) })
    }

    /// Columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows that can be read now.
    pub fn rows(&self) -> u64 {
        self.index.read().rows()
    }

    /// Rows that the query has given so far, those beyond the bound included.
    pub fn counted(&self) -> u64 {
        self.index.read().counted
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.index.read().bytes()
    }

    pub(super) fn index(&self) -> Index {
        self.index.read().clone()
    }

    /// Up to `count` rows from row `from` on, as they are now. Blocks for milliseconds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, from: u64, count: u64) -> Result<Vec<RecordBatch>, ArrowError> {
        let (head, chunks) = {
            let index = self.index.read();
            let first = index.chunks.partition_point(|chunk| chunk.first_row + chunk.rows <= from);
            let end = from.saturating_add(count);
            let touched = index.chunks.iter().skip(first).take_while(|chunk| chunk.first_row < end);
            (index.head, touched.copied().collect::<Vec<_>>())
        };
        let mut page = Vec::with_capacity(chunks.len());
        for (chunk, batch) in chunks.iter().zip(self.decoded(head, &chunks)?) {
            let skipped = from.saturating_sub(chunk.first_row);
            let wanted = from.saturating_add(count).saturating_sub(chunk.first_row + skipped);
            let length = usize_from(wanted.min(chunk.rows - skipped));
            page.push(batch.slice(usize_from(skipped), length));
        }
        Ok(page)
    }

    /// Every chunk that is there now, in order, one at a time.
    pub fn batches(self: Arc<Self>) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let Index { head, chunks, .. } = self.index();
        chunks.into_iter().flat_map(move |chunk| match self.decoded(head, &[chunk]) {
            Ok(batches) => batches.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The batches of chunks that follow one another.
    fn decoded(&self, head: u64, chunks: &[Chunk]) -> Result<Vec<RecordBatch>, ArrowError> {
        let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else { return Ok(Vec::new()) };
        let rows = read(&self.file, first.offset, last.offset + last.length - first.offset)?;
        let bytes = Cursor::new(read(&self.file, 0, head)?).chain(Cursor::new(rows));
        // The head has a batch without rows.
        let batches: Vec<RecordBatch> = StreamReader::try_new(bytes, None)?.skip(1).collect::<Result<_, _>>()?;
        let whole = batches.len() == chunks.len()
            && chunks.iter().zip(&batches).all(|(chunk, batch)| chunk.rows == u64_from(batch.num_rows()));
        if whole { Ok(batches) } else { Err(ArrowError::IpcError("a part of the result is missing".to_owned())) }
    }
}

fn read(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = vec![0; usize_from(length)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Writes one result. Dropping it leaves the file as it is.
pub(super) struct Writer {
    file: File,
    encoder: StreamEncoder,
    spool: Arc<Spool>,
    keep: Keep,
    held: Vec<RecordBatch>,
    held_rows: usize,
    held_bytes: usize,
    flushed: Instant,
}

impl Writer {
    /// Makes the folder and begins the file. `schema` is the query's; what is written has no dictionaries, which
    /// would stand in the stream once and be missing for a page that begins behind them.
    pub(super) fn create(folder: &Path, schema: &SchemaRef, keep: Keep) -> Result<Self, ArrowError> {
        std::fs::create_dir_all(folder)?;
        let path: PathBuf = folder.join(ROWS_FILE);
        let schema = plain_schema(schema);
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let mut encoder = StreamEncoder::try_new_with_options(&schema, options)?;
        let mut file = File::create(&path)?;
        let head = put(&mut file, encoder.encode(&RecordBatch::new_empty(schema.clone()))?)?;
        let index = RwLock::new(Index { head, ..Index::default() });
        let spool = Arc::new(Spool { schema, file: File::open(&path)?, index });
        let flushed = Instant::now();
        Ok(Self { file, encoder, spool, keep, held: Vec::new(), held_rows: 0, held_bytes: 0, flushed })
    }

    /// The reading side.
    pub(super) fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Takes the rows of one batch; those beyond the bound are counted and dropped.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let (kept, bytes) = {
            let mut index = self.spool.index.write();
            index.counted += u64_from(batch.num_rows());
            (index.rows() + u64_from(self.held_rows), index.bytes())
        };
        let room = if bytes >= self.keep.bytes { 0 } else { usize_from(self.keep.rows.saturating_sub(kept)) };
        let batch = plain(&batch.slice(0, batch.num_rows().min(room)), self.spool.schema())?;
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = (batch.num_rows() - from).min(CHUNK_ROWS - self.held_rows);
            let piece = batch.slice(from, rows);
            from += rows;
            self.held_rows += rows;
            self.held_bytes += piece.get_array_memory_size();
            self.held.push(piece);
            if self.held_rows >= CHUNK_ROWS || self.held_bytes >= HELD_BYTES_MAX {
                self.flush()?;
            }
        }
        if self.flushed.elapsed() >= HELD_FOR || self.spool.rows() == 0 {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is held back.
    pub(super) fn flush(&mut self) -> Result<(), ArrowError> {
        self.flushed = Instant::now();
        if self.held_rows == 0 {
            return Ok(());
        }
        let batch = concat_batches(self.spool.schema(), &self.held)?;
        self.held.clear();
        (self.held_rows, self.held_bytes) = (0, 0);
        let length = put(&mut self.file, self.encoder.encode(&batch)?)?;
        let mut index = self.spool.index.write();
        let (first_row, offset) = (index.rows(), index.bytes());
        index.chunks.push(Chunk { first_row, rows: u64_from(batch.num_rows()), offset, length });
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<Arc<Spool>, ArrowError> {
        self.flush()?;
        let Self { mut file, encoder, spool, .. } = self;
        put(&mut file, encoder.finish()?)?;
        Ok(spool)
    }
}

fn put(file: &mut File, buffers: Vec<Buffer>) -> Result<u64, ArrowError> {
    let mut length = 0;
    for buffer in buffers {
        file.write_all(buffer.as_slice())?;
        length += u64_from(buffer.len());
    }
    Ok(length)
}

fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| has_dictionary(field.data_type())) {
        return schema.clone();
    }
    let fields: Vec<Field> = schema.fields().iter().map(|field| plain_field(field)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_field(field: &Field) -> Field {
    field.clone().with_data_type(plain_type(field.data_type()))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::List(item) => DataType::List(Arc::new(plain_field(item))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain_field(field)).collect()),
        other => other.clone(),
    }
}

fn has_dictionary(data_type: &DataType) -> bool {
    plain_type(data_type) != *data_type
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(array, field)| {
        if array.data_type() == field.data_type() { Ok(array.clone()) } else { cast(array, field.data_type()) }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, DictionaryArray, Int64Array, StringArray, types::Int32Type, types::Int64Type};

    use super::*;

    const ALL: Keep = Keep { rows: u64::MAX, bytes: u64::MAX };

    fn rows(range: std::ops::Range<i64>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(range.clone()));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(range.map(|n| format!("행 {n}"))));
        RecordBatch::try_from_iter([("n", numbers), ("s", texts)]).unwrap()
    }

    fn numbers(page: &[RecordBatch]) -> Vec<i64> {
        page.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn a_page_anywhere_is_the_rows_that_were_written_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path(), &rows(0..0).schema(), ALL).unwrap();
        // Batches of every size, larger and smaller than a chunk.
        let mut from = 0;
        for size in [1, 10_000, 0, 4095, 4096, 3, 20_000] {
            writer.write(&rows(from..from + size)).unwrap();
            from += size;
        }
        let spool = writer.finish().unwrap();
        assert_eq!((spool.rows(), spool.counted()), (38_195, 38_195));
        for (from, count) in [(0, 500), (4090, 500), (38_000, 500), (38_195, 5), (0, 100_000), (12_345, 0)] {
            let expected: Vec<i64> = (from..(from + count).min(38_195)).collect();
            let page = spool.page(u64::try_from(from).unwrap(), u64::try_from(count).unwrap()).unwrap();
            assert_eq!(numbers(&page), expected, "{from}+{count}");
        }
        let reopened = Spool::open(folder.path(), spool.index()).unwrap();
        assert_eq!(numbers(&reopened.page(30_000, 2).unwrap()), [30_000, 30_001]);
        assert_eq!(reopened.schema(), spool.schema());
        let all: Vec<RecordBatch> = spool.batches().map(Result::unwrap).collect();
        assert_eq!(numbers(&all), (0..38_195).collect::<Vec<_>>());
    }

    #[test]
    fn rows_beyond_the_bound_are_counted_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep { rows: 10_000, bytes: u64::MAX };
        let mut writer = Writer::create(folder.path(), &rows(0..0).schema(), keep).unwrap();
        for from in (0..50_000).step_by(3_000) {
            writer.write(&rows(from..from + 3_000)).unwrap();
        }
        let spool = writer.finish().unwrap();
        assert_eq!((spool.rows(), spool.counted()), (10_000, 51_000));
        assert_eq!(numbers(&spool.page(9_999, 10).unwrap()), [9_999]);
        let small = Keep { rows: u64::MAX, bytes: 1 };
        let mut writer = Writer::create(folder.path(), &rows(0..0).schema(), small).unwrap();
        writer.write(&rows(0..1_000)).unwrap();
        let spool = writer.finish().unwrap();
        assert_eq!((spool.rows(), spool.counted()), (0, 1_000));
    }

    #[test]
    fn a_column_with_a_dictionary_is_whole_on_every_page() {
        let folder = tempfile::tempdir().unwrap();
        let words: DictionaryArray<Int32Type> = (0..9_000).map(|n| if n % 2 == 0 { "짝" } else { "홀" }).collect();
        let words: ArrayRef = Arc::new(words);
        let batch = RecordBatch::try_from_iter([("w", words)]).unwrap();
        let mut writer = Writer::create(folder.path(), &batch.schema(), ALL).unwrap();
        writer.write(&batch).unwrap();
        let page = writer.finish().unwrap().page(8_999, 1).unwrap();
        assert_eq!(page[0].column(0).as_string::<i32>().value(0), "홀");
    }

    /// Nothing stands behind the message of a batch without rows, or of numbers that are all missing.
    #[test]
    fn a_column_of_numbers_alone_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap();
        let mut writer = Writer::create(folder.path(), &batch.schema(), ALL).unwrap();
        writer.write(&batch).unwrap();
        let spool = Spool::open(folder.path(), writer.finish().unwrap().index()).unwrap();
        assert_eq!(spool.page(1, 5).unwrap(), [batch.slice(1, 2)]);
    }

    #[test]
    fn rows_can_be_read_while_more_come() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path(), &rows(0..0).schema(), ALL).unwrap();
        writer.write(&rows(0..7)).unwrap();
        assert_eq!(numbers(&writer.spool().page(5, 500).unwrap()), [5, 6]);
    }
}
