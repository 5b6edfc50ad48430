//! `COPY … TO STDOUT (FORMAT binary)` as Arrow batches.
//!
//! Owns: the stream's header, tuples and trailer across chunk borders, and the list of expressions to select.
//! Never reads from a connection: whoever does feeds the chunks. Read next: [`super::cells`].

use std::{fmt::Write, sync::Arc};

use arrow::record_batch::RecordBatch;
use naru_base::number::u64_from;

use super::{
    cells::CellBuilder,
    error::PostgresError,
    rows::finish_columns,
    table::TablePlan,
    types::{ColumnPlan, DecodeCounts},
};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header's extension.
const HEADER_BYTES: usize = 19;

/// The select list that gives a [`CopyDecoder`] its columns, quoted and in order.
///
/// Columns without a binary decoder are cast to text. A table without columns gives an empty list, which SQL allows.
pub fn copy_select_list<'a>(plans: impl IntoIterator<Item = &'a ColumnPlan>) -> String {
    let mut list = String::new();
    for plan in plans {
        if !list.is_empty() {
            list.push_str(", ");
        }
        let _ = write!(list, "\"{}\"", plan.source.name.replace('"', "\"\""));
        if !plan.has_binary_decoder() {
            list.push_str("::text");
        }
    }
    list
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// Decodes one binary `COPY` stream whose columns are those of [`TablePlan::plans`].
///
/// Chunks may be cut anywhere. A failed decoder is done; the rows before the failure can be taken.
#[derive(Debug)]
pub struct CopyDecoder {
    plan: Arc<TablePlan>,
    cells: Vec<Option<CellBuilder>>,
    /// For each selected column: its lake column, and whether it was cast to text.
    selected: Vec<(usize, bool)>,
    state: State,
    /// The beginning of a tuple whose end has not come yet.
    pending: Vec<u8>,
    rows: usize,
    bytes: usize,
    /// Bytes decoded since the start of the stream.
    offset: u64,
}

impl CopyDecoder {
    /// Waits for the stream's header.
    pub fn new(plan: Arc<TablePlan>) -> Self {
        let selected = plan
            .columns()
            .iter()
            .enumerate()
            .filter_map(|(index, target)| target.plan.as_ref().map(|plan| (index, !plan.has_binary_decoder())))
            .collect();
        Self {
            cells: plan.builders(),
            plan,
            selected,
            state: State::Header,
            pending: Vec::new(),
            rows: 0,
            bytes: 0,
            offset: 0,
        }
    }

    /// Decodes every tuple that is whole with this chunk.
    ///
    /// # Errors
    /// Bytes that are not a binary `COPY`, or a value that cannot be decoded.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), PostgresError> {
        if self.pending.is_empty() {
            let used = self.decode(chunk)?;
            self.pending.extend_from_slice(chunk.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(chunk);
        let used = self.decode(&pending)?;
        pending.drain(..used);
        self.pending = pending;
        Ok(())
    }

    /// Rows decoded and not yet taken.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes the rows not yet taken take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the rows decoded so far if there are at least `min_rows` (and at least one).
    ///
    /// # Errors
    /// The arrays do not fit the plan's schema, which is a fault of the plan.
    pub fn take_batch(&mut self, min_rows: usize) -> Result<Option<RecordBatch>, PostgresError> {
        if self.rows == 0 || self.rows < min_rows {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let columns = finish_columns(&self.plan, &mut self.cells, rows);
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.plan.schema().clone(), columns, &options)
            .map(Some)
            .map_err(PostgresError::Batch)
    }

    /// The values that became null by rule since the last call, per column of the plan.
    pub fn take_counts(&mut self) -> Vec<DecodeCounts> {
        self.cells.iter_mut().map(|cell| cell.as_mut().map(CellBuilder::take_counts).unwrap_or_default()).collect()
    }

    /// Checks, when the server has sent everything, that the stream was whole.
    ///
    /// # Errors
    /// The trailer has not come.
    pub fn end(&self) -> Result<(), PostgresError> {
        if self.state == State::Ended && self.pending.is_empty() { Ok(()) } else { Err(self.wrong("the trailer")) }
    }

    fn wrong(&self, expected: &'static str) -> PostgresError {
        PostgresError::Copy { offset: self.offset, expected }
    }

    /// Decodes what is whole and says how many bytes that were.
    fn decode(&mut self, data: &[u8]) -> Result<usize, PostgresError> {
        let mut used = 0;
        loop {
            let rest = data.get(used..).unwrap_or_default();
            let step = match self.state {
                State::Header => self.header(rest)?,
                State::Rows => self.tuple(rest)?,
                State::Ended if rest.is_empty() => return Ok(used),
                State::Ended => return Err(self.wrong("nothing after the trailer")),
            };
            let Some(step) = step else { return Ok(used) };
            used += step;
            self.offset = self.offset.saturating_add(u64_from(step));
        }
    }

    /// Reads the header, if it is whole.
    fn header(&mut self, data: &[u8]) -> Result<Option<usize>, PostgresError> {
        let Some((fixed, extension)) = data.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [signature @ .., _, _, _, _, l0, l1, l2, l3] = fixed;
        if signature != SIGNATURE {
            return Err(self.wrong("the signature of a binary COPY"));
        }
        let Ok(length) = usize::try_from(i32::from_be_bytes([*l0, *l1, *l2, *l3])) else {
            return Err(self.wrong("a header extension's length"));
        };
        if extension.len() < length {
            return Ok(None);
        }
        self.state = State::Rows;
        Ok(Some(HEADER_BYTES + length))
    }

    /// Reads one tuple or the trailer, if it is whole.
    fn tuple(&mut self, data: &[u8]) -> Result<Option<usize>, PostgresError> {
        let Some((count, cells)) = data.split_first_chunk::<2>() else { return Ok(None) };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            self.state = State::Ended;
            return Ok(Some(2));
        }
        if usize::try_from(count) != Ok(self.selected.len()) {
            return Err(self.wrong("as many columns as were selected"));
        }
        let Some(length) = self.whole_cells(cells)? else { return Ok(None) };
        self.append_cells(cells)?;
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(length);
        Ok(Some(2 + length))
    }

    /// The length of one tuple's cells, if they are all there.
    fn whole_cells(&self, cells: &[u8]) -> Result<Option<usize>, PostgresError> {
        let mut rest = cells;
        for _ in &self.selected {
            let Some((length, tail)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            rest = match i32::from_be_bytes(*length) {
                -1 => tail,
                length => {
                    let length = usize::try_from(length).map_err(|_| self.wrong("a value's length"))?;
                    match tail.get(length..) {
                        Some(tail) => tail,
                        None => return Ok(None),
                    }
                }
            };
        }
        Ok(Some(cells.len() - rest.len()))
    }

    /// Appends the cells of a tuple that is whole.
    fn append_cells(&mut self, cells: &[u8]) -> Result<(), PostgresError> {
        let mut rest = cells;
        for (target, cast) in &self.selected {
            let Some((length, tail)) = rest.split_first_chunk::<4>() else { break };
            let Some(Some(builder)) = self.cells.get_mut(*target) else { break };
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                builder.append_null();
                rest = tail;
                continue;
            };
            let (value, tail) = tail.split_at_checked(length).unwrap_or_default();
            if *cast { builder.append_text(value) } else { builder.append_binary(value) }?;
            rest = tail;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;
    use crate::postgres::{ColumnSource, TargetColumn, TypeSource};

    fn plan() -> Arc<TablePlan> {
        let columns = [("id", 23), ("a\"b", 25), ("place", 600)].into_iter().zip(1..).map(|((name, oid), attnum)| {
            let plan = ColumnPlan::new(ColumnSource {
                name: name.into(),
                attnum,
                type_source: TypeSource::base(oid, "t", -1),
                dimensions: 0,
                not_null: false,
                generated: false,
                comment: None,
            });
            TargetColumn { column: plan.column.clone(), plan: Some(plan) }
        });
        Arc::new(TablePlan::new(columns.collect(), vec![0]))
    }

    fn stream(rows: i32) -> Vec<u8> {
        let mut bytes = [&SIGNATURE[..], &[0; 4], &[0, 0, 0, 2], &[9, 9]].concat();
        for row in 0..rows {
            bytes.extend([0, 3, 0, 0, 0, 4]);
            bytes.extend(row.to_be_bytes());
            bytes.extend([0, 0, 0, 2, b'h', b'i', 255, 255, 255, 255]);
        }
        bytes.extend([255, 255]);
        bytes
    }

    #[test]
    fn the_select_list_quotes_names_and_casts_what_has_no_binary_decoder() {
        assert_eq!(copy_select_list(plan().plans()), r#""id", "a""b", "place"::text"#);
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let bytes = stream(5);
        for size in 1..bytes.len() {
            let mut decoder = CopyDecoder::new(plan());
            for chunk in bytes.chunks(size) {
                decoder.feed(chunk).unwrap();
            }
            decoder.end().unwrap();
            assert!(decoder.take_batch(6).unwrap().is_none());
            let batch = decoder.take_batch(5).unwrap().unwrap();
            let ids = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
            assert_eq!(ids.values(), &[0, 1, 2, 3, 4]);
            assert_eq!(batch.column(1).as_string::<i32>().value(4), "hi");
            assert_eq!(batch.column(2).null_count(), 5);
        }
    }

    #[test]
    fn a_cut_stream_is_not_an_end_and_garbage_is_an_error() {
        let bytes = stream(2);
        for end in 0..bytes.len() {
            let mut decoder = CopyDecoder::new(plan());
            decoder.feed(&bytes[..end]).unwrap();
            assert!(decoder.end().is_err());
        }
        assert!(CopyDecoder::new(plan()).feed(b"id\tname\n1\tx\n2\tyyyyyyyyyyyy").is_err());
        let mut decoder = CopyDecoder::new(plan());
        decoder.feed(&bytes).unwrap();
        assert!(decoder.feed(&[0]).is_err(), "bytes after the trailer passed");
    }
}
