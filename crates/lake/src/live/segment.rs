//! A piece of the unflushed tail: rows under one file number, in memory or staged as an uncommitted Parquet file.
//!
//! Owns: [`Segment`], which of its rows still count, and showing it to readers. Row numbers never change.
//! Never knows keys or the index. Clones share everything that is large; a change copies only what it touches.

use std::sync::Arc;

use arrow::{
    array::BooleanArray,
    buffer::{BooleanBuffer, Buffer},
    compute::{concat_batches, filter_record_batch},
    error::ArrowError,
    record_batch::RecordBatch,
};
use naru_base::number::usize_from;
use roaring::RoaringTreemap;

use crate::{
    stage::StagedFile,
    view::{FileId, FileView, TailBatch},
};

/// Small batches are joined up to this many rows, so that a query does not read hundreds of them.
const CHUNK_ROWS: usize = 8_192;
/// Rows of one segment; far below what a row number can say.
const SEGMENT_ROWS_MAX: u32 = 1 << 30;

/// Rows under one reserved file number.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) file: FileId,
    /// The one day of its rows, where the table is partitioned by day.
    pub(crate) day: Option<i32>,
    rows: u32,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Memory { chunks: Arc<Vec<Arc<Chunk>>>, live: Arc<LiveRows>, bytes: usize },
    Staged { file: StagedFile, dead: Arc<RoaringTreemap> },
}

/// Consecutive rows of a segment in memory.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) first: u32,
    pub(crate) rows: RecordBatch,
}

/// One bit a row: whether it still counts.
#[derive(Debug, Clone, Default)]
struct LiveRows {
    bits: Vec<u8>,
    dead: u32,
}

impl LiveRows {
    /// Makes room for rows up to `rows`; new ones count. Unused bits of the last byte are set, so nothing else is needed.
    fn grow(&mut self, rows: u32) {
        self.bits.resize(usize_from(u64::from(rows.div_ceil(8))), u8::MAX);
    }

    fn get(&self, row: u32) -> bool {
        let byte = self.bits.get(usize_from(u64::from(row / 8))).copied().unwrap_or(0);
        byte & (1 << (row % 8)) != 0
    }

    fn kill(&mut self, row: u32) {
        if self.get(row)
            && let Some(byte) = self.bits.get_mut(usize_from(u64::from(row / 8)))
        {
            *byte &= !(1 << (row % 8));
            self.dead += 1;
        }
    }
}

impl Segment {
    /// An empty segment in memory.
    pub(crate) fn new(file: FileId, day: Option<i32>) -> Self {
        Self { file, day, rows: 0, body: Body::Memory { chunks: Arc::default(), live: Arc::default(), bytes: 0 } }
    }

    /// Rows, dead ones included.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Rows that no longer count.
    pub(crate) fn dead_rows(&self) -> u64 {
        match &self.body {
            Body::Memory { live, .. } => u64::from(live.dead),
            Body::Staged { dead, .. } => dead.len(),
        }
    }

    /// Bytes of memory that its rows hold.
    pub(crate) fn bytes(&self) -> usize {
        match &self.body {
            Body::Memory { bytes, live, .. } => bytes + live.bits.len(),
            Body::Staged { .. } => 0,
        }
    }

    /// The Parquet file, once staged, and its dead rows.
    pub(crate) fn staged(&self) -> Option<(&StagedFile, &Arc<RoaringTreemap>)> {
        match &self.body {
            Body::Staged { file, dead } => Some((file, dead)),
            Body::Memory { .. } => None,
        }
    }

    /// The rows in memory, in row order; empty once staged.
    pub(crate) fn chunks(&self) -> &[Arc<Chunk>] {
        match &self.body {
            Body::Memory { chunks, .. } => chunks,
            Body::Staged { .. } => &[],
        }
    }

    /// Whether `rows` more rows can be added.
    pub(crate) fn takes(&self, rows: usize) -> bool {
        let room = usize_from(u64::from(SEGMENT_ROWS_MAX.saturating_sub(self.rows)));
        matches!(self.body, Body::Memory { .. }) && rows <= room
    }

    /// Adds rows and gives the first one's number. Call [`Segment::takes`] before.
    ///
    /// # Errors
    /// If small batches cannot be joined, which equal schemas exclude.
    pub(crate) fn push(&mut self, rows: RecordBatch) -> Result<u32, ArrowError> {
        let start = self.rows;
        let Body::Memory { chunks, live, bytes } = &mut self.body else { return Ok(start) };
        let end = start.saturating_add(u32::try_from(rows.num_rows()).unwrap_or(u32::MAX));
        let chunks = Arc::make_mut(chunks);
        let mut chunk = Chunk { first: start, rows };
        // Like a binary counter: a batch joins its left neighbour while that is not much longer than itself.
        while let Some(left) = chunks.last() {
            let (long, short) = (left.rows.num_rows(), chunk.rows.num_rows());
            if long > short.saturating_mul(2) || long + short > CHUNK_ROWS {
                break;
            }
            let joined = concat_batches(left.rows.schema_ref(), [&left.rows, &chunk.rows])?;
            *bytes = bytes.saturating_sub(left.rows.get_array_memory_size());
            chunk = Chunk { first: left.first, rows: joined };
            chunks.pop();
        }
        *bytes += chunk.rows.get_array_memory_size();
        chunks.push(Arc::new(chunk));
        Arc::make_mut(live).grow(end);
        self.rows = end;
        Ok(start)
    }

    /// Whether the row exists and counts.
    pub(crate) fn is_live(&self, row: u32) -> bool {
        row < self.rows
            && match &self.body {
                Body::Memory { live, .. } => live.get(row),
                Body::Staged { dead, .. } => !dead.contains(u64::from(row)),
            }
    }

    /// The row no longer counts.
    pub(crate) fn kill(&mut self, row: u32) {
        match &mut self.body {
            Body::Memory { live, .. } => Arc::make_mut(live).kill(row),
            Body::Staged { dead, .. } => {
                Arc::make_mut(dead).insert(u64::from(row));
            }
        }
    }

    /// Numbers of the rows that no longer count.
    pub(crate) fn dead(&self) -> RoaringTreemap {
        match &self.body {
            Body::Memory { live, .. } => (0..self.rows).filter(|row| !live.get(*row)).map(u64::from).collect(),
            Body::Staged { dead, .. } => RoaringTreemap::clone(dead),
        }
    }

    /// The same rows are now in this Parquet file; what died meanwhile stays dead.
    pub(crate) fn became(&mut self, file: StagedFile) {
        let dead = Arc::new(self.dead());
        self.body = Body::Staged { file, dead };
    }

    /// Whether both hold the same rows in memory, whatever died in either of them.
    pub(crate) fn holds_rows_of(&self, other: &Self) -> bool {
        match (&self.body, &other.body) {
            (Body::Memory { chunks, .. }, Body::Memory { chunks: others, .. }) => {
                self.file == other.file && self.rows == other.rows && Arc::ptr_eq(chunks, others)
            }
            _ => false,
        }
    }

    /// The rows in memory that count, chunk by chunk.
    pub(crate) fn live_chunks(&self) -> Result<Vec<RecordBatch>, ArrowError> {
        let kept = |batch: TailBatch| match &batch.live {
            Some(live) => filter_record_batch(&batch.rows, live),
            None => Ok(batch.rows),
        };
        self.tail_batches().into_iter().map(kept).collect()
    }

    /// Numbers of the rows that count.
    pub(crate) fn live(&self) -> Vec<u32> {
        (0..self.rows).filter(|row| self.is_live(*row)).collect()
    }

    /// What readers see of the rows in memory. Chunks without a row that counts are left out.
    pub(crate) fn tail_batches(&self) -> Vec<TailBatch> {
        let Body::Memory { chunks, live, .. } = &self.body else { return Vec::new() };
        if live.dead == 0 {
            return chunks.iter().map(|chunk| TailBatch { rows: chunk.rows.clone(), live: None }).collect();
        }
        let bits = Buffer::from_vec(live.bits.clone());
        // A killed row below a chunk's start never moves it, so offsets into the bits are row numbers.
        let mut out = Vec::with_capacity(chunks.len());
        for chunk in chunks.iter() {
            let rows = chunk.rows.num_rows();
            let mask = BooleanBuffer::new(bits.clone(), usize_from(u64::from(chunk.first)), rows);
            let counted = mask.count_set_bits();
            if counted > 0 {
                let live = (counted < rows).then(|| BooleanArray::new(mask, None));
                out.push(TailBatch { rows: chunk.rows.clone(), live });
            }
        }
        out
    }

    /// What readers see of the staged file, if any of its rows counts.
    pub(crate) fn file_view(&self) -> Option<Arc<FileView>> {
        let Body::Staged { file, dead } = &self.body else { return None };
        let deleted = (!dead.is_empty()).then(|| Arc::clone(dead));
        (dead.len() < u64::from(self.rows)).then(|| Arc::new(FileView { deleted, ..file.file_view() }))
    }

    /// The chunk that holds a row in memory, and the row's number within it.
    pub(crate) fn find(&self, row: u32) -> Option<(&RecordBatch, usize)> {
        let chunks = self.chunks();
        let at = chunks.partition_point(|chunk| chunk.first <= row).checked_sub(1)?;
        let chunk = chunks.get(at)?;
        let within = usize_from(u64::from(row - chunk.first));
        (within < chunk.rows.num_rows()).then_some((&chunk.rows, within))
    }

    /// Rows that count.
    pub(crate) fn live_rows(&self) -> u64 {
        u64::from(self.rows).saturating_sub(self.dead_rows())
    }

    /// Number of chunks in memory.
    #[cfg(test)]
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks().len()
    }

    /// Bytes that a new chunk list would hold; only for the budget's tests.
    #[cfg(test)]
    pub(crate) fn total_chunk_rows(&self) -> u64 {
        self.chunks().iter().map(|chunk| naru_base::number::u64_from(chunk.rows.num_rows())).sum()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray as _, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(values))]).unwrap()
    }

    fn shown(segment: &Segment) -> Vec<i64> {
        let batches = segment.live_chunks().unwrap();
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn hundreds_of_small_batches_become_few_chunks_and_keep_their_row_numbers() {
        let mut segment = Segment::new(FileId(1), None);
        for i in 0..500 {
            assert_eq!(segment.push(batch(i * 20..i * 20 + 20)).unwrap(), u32::try_from(i * 20).unwrap());
        }
        assert_eq!((segment.rows(), segment.total_chunk_rows()), (10_000, 10_000));
        assert!(segment.chunk_count() <= 12, "{}", segment.chunk_count());
        for row in [0, 1, 4_999, 9_999] {
            let (chunk, at) = segment.find(row).unwrap();
            assert_eq!(chunk.column(0).as_primitive::<Int64Type>().value(at), i64::from(row));
        }
        assert!(segment.find(10_000).is_none());
    }

    #[test]
    fn a_published_segment_does_not_see_later_kills_and_rows() {
        let mut segment = Segment::new(FileId(1), None);
        segment.push(batch(0..10)).unwrap();
        segment.kill(3);
        let published = segment.clone();
        segment.kill(4);
        segment.kill(4);
        segment.push(batch(10..12)).unwrap();
        assert_eq!(shown(&published), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
        assert_eq!(shown(&segment), [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!((segment.dead_rows(), segment.live_rows()), (2, 10));
        assert!(!segment.is_live(3) && segment.is_live(11) && !segment.is_live(12));
        assert_eq!(segment.dead().iter().collect::<Vec<_>>(), [3, 4]);
    }
}
