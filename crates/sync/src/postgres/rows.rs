//! Changes of one table, from replication tuples straight into Arrow builders.
//!
//! Owns: what each message becomes (an update of the key is a delete and a move), which values were unchanged, how many
//! bytes have gathered. Never looks up an unchanged value in the lake, never orders tables or transactions.
//! Read next: [`super::cells`], `naru_lake::ChangeBatch`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBufferBuilder, new_null_array},
    record_batch::RecordBatch,
};
use naru_lake::{ChangeBatch, Op};

use super::{
    cells::CellBuilder,
    error::{CellFault, PgoutputError, PostgresError},
    pgoutput::{OldTuple, Relation, Tuple, TupleCell},
    table::{RelationMismatch, TablePlan},
    types::DecodeCounts,
};

/// What a row of cells costs beside its values: offsets, validity, the operation.
const ROW_BYTES: usize = 16;

/// Gathers changes of one table in commit order.
///
/// After an error the rows before it are whole: [`ChangeBuilder::finish`] gives exactly those.
#[derive(Debug)]
pub struct ChangeBuilder {
    plan: Arc<TablePlan>,
    /// For each column of the relation: the lake column it fills.
    targets: Vec<Option<usize>>,
    /// Lake columns with a builder that the relation lacks.
    absent: Vec<usize>,
    cells: Vec<Option<CellBuilder>>,
    unchanged: Vec<Vec<usize>>,
    ops: Vec<Op>,
    bytes: usize,
}

impl ChangeBuilder {
    /// An empty batch for tuples of this relation.
    ///
    /// # Errors
    /// The relation has a column of another type than the plan.
    pub fn new(plan: Arc<TablePlan>, relation: &Relation) -> Result<Self, RelationMismatch> {
        let cells = plan.builders();
        let unchanged = vec![Vec::new(); cells.len()];
        let mut builder =
            Self { plan, targets: Vec::new(), absent: Vec::new(), cells, unchanged, ops: Vec::new(), bytes: 0 };
        builder.set_relation(relation)?;
        Ok(builder)
    }

    /// Takes the tuples that follow as those of this relation message.
    ///
    /// # Errors
    /// As [`ChangeBuilder::new`]; the builder then stays as it was.
    pub fn set_relation(&mut self, relation: &Relation) -> Result<(), RelationMismatch> {
        let targets = self.plan.match_relation(relation)?;
        self.absent = (0..self.cells.len())
            .filter(|index| !targets.contains(&Some(*index)) && self.cells.get(*index).is_some_and(Option::is_some))
            .collect();
        self.targets = targets;
        Ok(())
    }

    /// The plan it was made for.
    pub fn plan(&self) -> &Arc<TablePlan> {
        &self.plan
    }

    /// Number of changes gathered.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// About how many bytes the changes take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a new row.
    ///
    /// # Errors
    /// A value that cannot be decoded.
    pub fn insert(&mut self, new: Tuple<'_>) -> Result<(), PostgresError> {
        self.push(Op::Insert, new, None)
    }

    /// Appends a changed row; one whose key changed becomes a delete of the old key and a move.
    ///
    /// # Errors
    /// A value that cannot be decoded, or a key column without a value.
    pub fn update(&mut self, old: Option<OldTuple<'_>>, new: Tuple<'_>) -> Result<(), PostgresError> {
        match old {
            Some(old) if self.key_changed(old.tuple(), new) => {
                self.delete(old)?;
                self.push(Op::Move, new, Some(old))
            }
            old => self.push(Op::Update, new, old),
        }
    }

    /// Appends the end of the row with this key; without a key, of the row with these values.
    ///
    /// # Errors
    /// A value that cannot be decoded, or a key column without a value.
    pub fn delete(&mut self, old: OldTuple<'_>) -> Result<(), PostgresError> {
        let tuple = old.tuple();
        self.check_width(b'D', tuple)?;
        let keyless = self.plan.key().is_empty();
        for (target, cell) in self.targets.iter().zip(tuple.cells()) {
            let Some(target) = *target else { continue };
            let is_key = self.plan.is_key(target);
            let Some(Some(builder)) = self.cells.get_mut(target) else { continue };
            match cell {
                TupleCell::Null | TupleCell::Unchanged if is_key => {
                    return Err(builder.error(CellFault::KeyMissing).into());
                }
                cell if is_key || keyless => append(builder, cell)?,
                _ => builder.append_null(),
            }
        }
        self.end_row(Op::Delete, tuple.byte_len());
        Ok(())
    }

    /// Appends the end of every row.
    pub fn truncate(&mut self) {
        for builder in self.cells.iter_mut().flatten() {
            builder.append_null();
        }
        self.ops.push(Op::Truncate);
        self.bytes = self.bytes.saturating_add(ROW_BYTES);
    }

    /// Gives what was gathered and starts over.
    ///
    /// # Errors
    /// The arrays do not fit the plan's schema, which is a fault of the plan.
    pub fn finish(&mut self) -> Result<ChangeBatch, PostgresError> {
        let ops = std::mem::take(&mut self.ops);
        let rows = ops.len();
        self.bytes = 0;
        let columns = finish_columns(&self.plan, &mut self.cells, rows);
        let any_unchanged = self.unchanged.iter().any(|rows| !rows.is_empty());
        let masks = self.unchanged.iter_mut().map(|marked| mask(std::mem::take(marked), rows)).collect();
        Ok(ChangeBatch {
            rows: RecordBatch::try_new(self.plan.schema().clone(), columns).map_err(PostgresError::Batch)?,
            ops,
            unchanged: if any_unchanged { masks } else { Vec::new() },
        })
    }

    /// The values that became null by rule since the last call, per column of the plan.
    pub fn take_counts(&mut self) -> Vec<DecodeCounts> {
        self.cells.iter_mut().map(|cell| cell.as_mut().map(CellBuilder::take_counts).unwrap_or_default()).collect()
    }

    /// Whether a key column was sent with another value than before.
    fn key_changed(&self, old: Tuple<'_>, new: Tuple<'_>) -> bool {
        self.targets.iter().zip(old.cells().zip(new.cells())).any(|(target, (old, new))| {
            target.is_some_and(|target| self.plan.is_key(target)) && new != TupleCell::Unchanged && old != new
        })
    }

    fn check_width(&self, tag: u8, tuple: Tuple<'_>) -> Result<(), PostgresError> {
        if tuple.len() == self.targets.len() {
            return Ok(());
        }
        Err(PgoutputError { tag, offset: 0, expected: "as many columns as the relation message named" }.into())
    }

    fn push(&mut self, op: Op, new: Tuple<'_>, old: Option<OldTuple<'_>>) -> Result<(), PostgresError> {
        self.check_width(if op == Op::Insert { b'I' } else { b'U' }, new)?;
        let row = self.ops.len();
        let mut old_cells = old.map(|old| old.tuple().cells());
        let old_is_full = matches!(old, Some(OldTuple::Full(_)));
        for (target, cell) in self.targets.iter().zip(new.cells()) {
            let old_cell = old_cells.as_mut().and_then(Iterator::next);
            let Some(target) = *target else { continue };
            let is_key = self.plan.is_key(target);
            let Some(Some(builder)) = self.cells.get_mut(target) else { continue };
            let cell = match (cell, old_cell) {
                (TupleCell::Unchanged, Some(old)) if old_is_full || is_key => old,
                (cell, _) => cell,
            };
            match cell {
                TupleCell::Null | TupleCell::Unchanged if is_key => {
                    return Err(builder.error(CellFault::KeyMissing).into());
                }
                TupleCell::Unchanged => {
                    builder.append_null();
                    if let Some(marked) = self.unchanged.get_mut(target) {
                        marked.push(row);
                    }
                }
                cell => append(builder, cell)?,
            }
        }
        self.end_row(op, new.byte_len());
        Ok(())
    }

    /// Fills the columns that the relation lacks, and counts the row.
    fn end_row(&mut self, op: Op, bytes: usize) {
        for index in &self.absent {
            if let Some(Some(builder)) = self.cells.get_mut(*index) {
                builder.append_null();
            }
        }
        self.ops.push(op);
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(ROW_BYTES);
    }
}

fn append(builder: &mut CellBuilder, cell: TupleCell<'_>) -> Result<(), PostgresError> {
    match cell {
        TupleCell::Null | TupleCell::Unchanged => builder.append_null(),
        TupleCell::Text(text) => builder.append_text(text)?,
        TupleCell::Binary(bytes) => builder.append_binary(bytes)?,
    }
    Ok(())
}

/// Ends every column at `rows` values; columns without a builder are null.
pub(crate) fn finish_columns(plan: &TablePlan, cells: &mut [Option<CellBuilder>], rows: usize) -> Vec<ArrayRef> {
    cells
        .iter_mut()
        .zip(plan.columns())
        .map(|(cell, target)| match cell {
            Some(builder) => {
                let array = builder.finish();
                // A row that failed half-way has left values in some columns.
                if array.len() > rows { array.slice(0, rows) } else { array }
            }
            None => new_null_array(&target.column.data_type, rows),
        })
        .collect()
}

/// Turns the marked rows into a mask, if there are any.
fn mask(marked: Vec<usize>, rows: usize) -> Option<BooleanArray> {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    let mut any = false;
    for row in marked.into_iter().filter(|row| *row < rows) {
        bits.set_bit(row, true);
        any = true;
    }
    any.then(|| BooleanArray::new(bits.finish(), None))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::postgres::{
        ColumnPlan, ColumnSource, Decoder, Message, TargetColumn, TypeSource,
        pgoutput::{RelationColumn, ReplicaIdentity},
    };

    fn source(name: &str, attnum: i16, oid: u32) -> ColumnSource {
        ColumnSource {
            name: name.into(),
            attnum,
            type_source: TypeSource::base(oid, "t", -1),
            dimensions: 0,
            not_null: false,
            generated: false,
            comment: None,
        }
    }

    /// id int8 (key), gone (dropped), body text.
    fn plan() -> Arc<TablePlan> {
        let target = |plan: ColumnPlan| TargetColumn { column: plan.column.clone(), plan: Some(plan) };
        let gone = naru_lake::Column::new("gone", arrow::datatypes::DataType::Int64);
        Arc::new(TablePlan::new(
            vec![
                target(ColumnPlan::new(source("id", 1, 20))),
                TargetColumn { column: gone, plan: None },
                target(ColumnPlan::new(source("body", 3, 25))),
            ],
            vec![0],
        ))
    }

    /// The relation has body first, and a column the plan leaves out.
    fn relation() -> Relation {
        let column = |key, name: &str, type_oid| RelationColumn { key, name: name.into(), type_oid, typmod: -1 };
        Relation {
            oid: 7,
            schema: "public".into(),
            name: "t".into(),
            replica_identity: ReplicaIdentity::Default,
            columns: vec![column(false, "body", 25), column(false, "secret", 25), column(true, "id", 20)],
        }
    }

    fn tuple(cells: &[Option<&str>]) -> Vec<u8> {
        let mut bytes = u16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
        for cell in cells {
            match cell {
                None => bytes.push(b'n'),
                Some("~") => bytes.push(b'u'),
                Some(text) => {
                    bytes.push(b't');
                    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        bytes
    }

    /// Sends an update through the decoder, as the server would have.
    fn update(builder: &mut ChangeBuilder, kind: Option<u8>, old: &[Option<&str>], new: &[Option<&str>]) {
        let mut bytes = vec![b'U', 0, 0, 0, 7];
        if let Some(kind) = kind {
            bytes.push(kind);
            bytes.extend(tuple(old));
        }
        bytes.push(b'N');
        bytes.extend(tuple(new));
        let Message::Update { old, new, .. } = Decoder::new().decode(&bytes).unwrap().message else { panic!() };
        builder.update(old, new).unwrap();
    }

    fn texts(batch: &ChangeBatch) -> Vec<Option<String>> {
        batch.rows.column(2).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn ids(batch: &ChangeBatch) -> Vec<Option<i64>> {
        batch.rows.column(0).as_primitive::<arrow::datatypes::Int64Type>().iter().collect()
    }

    #[test]
    fn columns_are_matched_by_name_and_dropped_ones_are_null() {
        let mut builder = ChangeBuilder::new(plan(), &relation()).unwrap();
        let bytes = [&b"I\0\0\0\x07N"[..], &tuple(&[Some("hello"), Some("hidden"), Some("5")])].concat();
        let Message::Insert { new, .. } = Decoder::new().decode(&bytes).unwrap().message else { panic!() };
        builder.insert(new).unwrap();
        let batch = builder.finish().unwrap();
        assert_eq!((ids(&batch), texts(&batch)), (vec![Some(5)], vec![Some("hello".into())]));
        assert_eq!(batch.rows.column(1).null_count(), 1);
        assert!(batch.unchanged.is_empty() && builder.is_empty());
    }

    #[test]
    fn a_changed_key_is_a_delete_and_a_move_that_keeps_unchanged_marks() {
        let mut builder = ChangeBuilder::new(plan(), &relation()).unwrap();
        update(&mut builder, Some(b'K'), &[None, None, Some("1")], &[Some("~"), None, Some("2")]);
        let batch = builder.finish().unwrap();
        assert_eq!(batch.ops, [Op::Delete, Op::Move]);
        assert_eq!(ids(&batch), [Some(1), Some(2)]);
        let body = batch.unchanged[2].as_ref().unwrap();
        assert_eq!((body.value(0), body.value(1)), (false, true));
        assert!(batch.unchanged[0].is_none());
    }

    #[test]
    fn a_full_old_row_resolves_unchanged_values_and_does_not_make_a_move() {
        let mut builder = ChangeBuilder::new(plan(), &relation()).unwrap();
        update(&mut builder, Some(b'O'), &[Some("long"), None, Some("1")], &[Some("~"), None, Some("1")]);
        let batch = builder.finish().unwrap();
        assert_eq!((batch.ops.as_slice(), texts(&batch)), (&[Op::Update][..], vec![Some("long".into())]));
        assert!(batch.unchanged.is_empty());
    }

    #[test]
    fn a_delete_keeps_only_the_key_and_truncate_is_one_empty_row() {
        let mut builder = ChangeBuilder::new(plan(), &relation()).unwrap();
        let bytes = [&b"D\0\0\0\x07O"[..], &tuple(&[Some("x"), None, Some("9")])].concat();
        let Message::Delete { old, .. } = Decoder::new().decode(&bytes).unwrap().message else { panic!() };
        builder.delete(old).unwrap();
        builder.truncate();
        let batch = builder.finish().unwrap();
        assert_eq!(batch.ops, [Op::Delete, Op::Truncate]);
        assert_eq!((ids(&batch), texts(&batch)), (vec![Some(9), None], vec![None, None]));
    }

    #[test]
    fn a_value_that_cannot_be_read_loses_no_row_before_it() {
        let mut builder = ChangeBuilder::new(plan(), &relation()).unwrap();
        for id in ["1", "not a number"] {
            let bytes = [&b"I\0\0\0\x07N"[..], &tuple(&[Some("b"), None, Some(id)])].concat();
            let Message::Insert { new, .. } = Decoder::new().decode(&bytes).unwrap().message else { panic!() };
            let _ = builder.insert(new).map_err(|error| assert!(!error.to_string().contains("not a number")));
        }
        let batch = builder.finish().unwrap();
        assert_eq!((batch.len(), texts(&batch)), (1, vec![Some("b".into())]));
    }

    #[test]
    fn a_retyped_column_is_a_mismatch_and_a_missing_key_is_an_error() {
        let mut retyped = relation();
        retyped.columns[2].type_oid = 25;
        assert_eq!(ChangeBuilder::new(plan(), &retyped).unwrap_err().column, "id");
        let mut builder = ChangeBuilder::new(plan(), &relation()).unwrap();
        let bytes = [&b"D\0\0\0\x07K"[..], &tuple(&[None, None, None])].concat();
        let Message::Delete { old, .. } = Decoder::new().decode(&bytes).unwrap().message else { panic!() };
        assert!(builder.delete(old).is_err());
    }
}
