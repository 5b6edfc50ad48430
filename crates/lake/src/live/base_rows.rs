//! Values that a source did not send, from the rows that have them.
//!
//! Owns: finding, for each surviving image of a batch, the row that holds each unchanged value, and reading it by
//! position: from the batch, from the tail, or from a Parquet file (only the columns and rows needed).
//! Never invents a value: a missing row is an error.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array as _, ArrayRef},
    compute::{concat_batches, interleave},
    record_batch::RecordBatch,
};
use futures::TryStreamExt as _;
use naru_base::number::usize_from;
use parquet::arrow::arrow_reader::RowSelection;

use crate::{
    change::ChangeBatch,
    error::LakeError,
    index::{HashedMap, Position},
    view::{FileId, FileView, TableView},
};

use super::{
    collapse::{Collapsed, Origin},
    error::ApplyError,
    segment::Segment,
    tail::Tail,
};

/// Where one value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A row of the batch.
    Batch(usize),
    /// A row from before the batch.
    Row(Position),
}

/// For each column with unchanged values: where the value of each surviving image comes from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    columns: BTreeMap<usize, Vec<Source>>,
}

impl Sources {
    /// Traces every value of `images` (batch rows) that the source left out. `located` holds the rows that keys had
    /// before the batch. `None` when a row is missing.
    pub(crate) fn trace(
        batch: &ChangeBatch,
        collapsed: &Collapsed,
        images: &[usize],
        located: &HashedMap<Position>,
    ) -> Option<Self> {
        let mut columns = BTreeMap::new();
        for (column, mask) in batch.unchanged.iter().enumerate() {
            let Some(mask) = mask else { continue };
            let left_out = |row: usize| row < mask.len() && mask.is_valid(row) && mask.value(row);
            if !images.iter().any(|row| left_out(*row)) {
                continue;
            }
            let trace = |image: &usize| {
                let mut row = *image;
                while left_out(row) {
                    match collapsed.origins.get(row)? {
                        Origin::Row(earlier) => row = *earlier,
                        Origin::Base(hash) => return located.get(hash).copied().map(Source::Row),
                        Origin::Nothing => return None,
                    }
                }
                Some(Source::Batch(row))
            };
            columns.insert(column, images.iter().map(trace).collect::<Option<Vec<_>>>()?);
        }
        Some(Self { columns })
    }

    /// Whether every value is in the batch.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Rows from before the batch that values come from, by file.
    fn needed(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut needed: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for source in self.columns.values().flatten() {
            if let Source::Row(at) = source {
                needed.entry(at.file).or_default().push(at.row);
            }
        }
        for rows in needed.values_mut() {
            rows.sort_unstable();
            rows.dedup();
        }
        needed
    }

    /// The images' values of each traced column, read from wherever they are.
    pub(crate) async fn read(
        &self,
        batch: &RecordBatch,
        base: &Arc<TableView>,
        tail: &Tail,
    ) -> Result<HashMap<usize, ArrayRef>, ApplyError> {
        let wanted: Vec<usize> = self.columns.keys().copied().collect();
        let mut parts = vec![batch.project(&wanted)?];
        let mut places: HashMap<Position, (usize, usize)> = HashMap::new();
        for (file, rows) in self.needed() {
            let part = parts.len();
            if let Some(segment) = tail.segment(FileId(file)).filter(|segment| segment.staged().is_none()) {
                for row in rows {
                    let (chunk, within) = segment.find(row).ok_or_else(|| lost(base))?;
                    places.insert(Position { file, row }, (parts.len(), within));
                    parts.push(chunk.project(&wanted)?);
                }
                continue;
            }
            let staged = tail.segment(FileId(file)).and_then(Segment::file_view);
            let view = staged.or_else(|| base.file(FileId(file)).cloned()).ok_or_else(|| lost(base))?;
            parts.push(read_rows(base, &view, &rows, &wanted).await?);
            places.extend(rows.iter().enumerate().map(|(at, row)| (Position { file, row: *row }, (part, at))));
        }
        self.assemble(&parts, &places, base)
    }

    fn assemble(
        &self,
        parts: &[RecordBatch],
        places: &HashMap<Position, (usize, usize)>,
        base: &TableView,
    ) -> Result<HashMap<usize, ArrayRef>, ApplyError> {
        let mut out = HashMap::new();
        for (at, (column, sources)) in self.columns.iter().enumerate() {
            let arrays: Vec<_> = parts.iter().map(|part| part.column(at).as_ref()).collect();
            let picks = sources
                .iter()
                .map(|source| match source {
                    Source::Batch(row) => Some((0, *row)),
                    Source::Row(position) => places.get(position).copied(),
                })
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| lost(base))?;
            out.insert(*column, interleave(&arrays, &picks)?);
        }
        Ok(out)
    }
}

/// Rows with these sorted numbers of one file, dead or not, with the columns at `wanted` of the table.
async fn read_rows(
    base: &Arc<TableView>,
    file: &FileView,
    rows: &[u32],
    wanted: &[usize],
) -> Result<RecordBatch, LakeError> {
    let schema = Arc::new(base.schema.project(wanted)?);
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let ranges = rows.iter().map(|row| {
        let row = usize_from(u64::from(*row));
        row..row + 1
    });
    let selection = RowSelection::from_consecutive_ranges(ranges, usize_from(file.rows));
    let batches: Vec<_> = base.read_file(file, &names, Some(selection))?.try_collect().await?;
    let read = concat_batches(&schema, &batches)?;
    if read.num_rows() == rows.len() {
        return Ok(read);
    }
    Err(LakeError::Damaged {
        table: base.id.clone(),
        reason: format!("file {} gave {} of {} rows", file.id, read.num_rows(), rows.len()),
    })
}

/// The index said that a row is there and it is not: a broken promise of our own.
fn lost(base: &TableView) -> ApplyError {
    ApplyError::MissingBase { table: base.id.clone(), key: base.key.to_vec() }
}
