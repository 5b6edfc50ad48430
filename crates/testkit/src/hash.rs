//! Compares rows as a multiset, whatever reader they came from.
//!
//! Owns: one canonical form per kind of value (any integer width, any text layout, any timestamp unit), a hash of it,
//! and a readable difference. Never orders rows: two tables are equal when they hold the same rows equally often.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, TimeUnit},
    row::{RowConverter, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};
use xxhash_rust::xxh3::xxh3_128;

/// Number of rows and the sum of their hashes; independent of row order and batch borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// Rows counted, duplicates included.
    pub rows: u64,
    /// Wrapping sum of 128-bit row hashes: a row twice is not a row once.
    pub sum: u128,
}

/// The digest of all rows. Columns count in their order; their names do not.
pub fn digest(batches: &[RecordBatch]) -> Digest {
    let mut digest = Digest::default();
    for batch in batches {
        let columns: Vec<ArrayRef> = batch.columns().iter().map(canonical).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields).expect("a canonical column has a row form");
        for row in &converter.convert_columns(&columns).expect("canonical columns have a row form") {
            digest.rows += 1;
            digest.sum = digest.sum.wrapping_add(xxh3_128(row.as_ref()));
        }
    }
    digest
}

/// Each row as text (`NULL` for null, `|` between), sorted: for small tables and for readable failures.
pub fn sorted_rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayRef> = batch.columns().iter().map(canonical).collect();
        let formatters: Vec<ArrayFormatter<'_>> = columns
            .iter()
            .map(|column| {
                ArrayFormatter::try_new(column.as_ref(), &options).expect("a canonical column has a text form")
            })
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = formatters.iter().map(|formatter| formatter.value(row).to_string()).collect();
            rows.push(cells.join("|"));
        }
    }
    rows.sort_unstable();
    rows
}

/// Stops the test with the rows that differ when the two multisets are not equal.
///
/// # Panics
/// When they differ; prints at most 20 rows of each side.
pub fn assert_same(left_name: &str, left: &[RecordBatch], right_name: &str, right: &[RecordBatch]) {
    if digest(left) == digest(right) {
        return;
    }
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for row in sorted_rows(left) {
        *counts.entry(row).or_default() += 1;
    }
    for row in sorted_rows(right) {
        *counts.entry(row).or_default() -= 1;
    }
    let side = |name: &str, wanted: fn(i64) -> bool| {
        let rows: Vec<&str> =
            counts.iter().filter(|(_, count)| wanted(**count)).map(|(row, _)| row.as_str()).take(20).collect();
        format!("only in {name}:\n  {}", rows.join("\n  "))
    };
    panic!("{}\n{}", side(left_name, |count| count > 0), side(right_name, |count| count < 0));
}

fn canonical(column: &ArrayRef) -> ArrayRef {
    let wanted = canonical_type(column.data_type());
    if &wanted == column.data_type() {
        return Arc::clone(column);
    }
    cast(column, &wanted).unwrap_or_else(|error| panic!("cast {} to {wanted}: {error}", column.data_type()))
}

fn canonical_type(from: &DataType) -> DataType {
    let inner = |field: &Field| Arc::new(Field::new("item", canonical_type(field.data_type()), true));
    match from {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| Arc::from("UTC")))
        }
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            DataType::Decimal128(38, *scale)
        }
        DataType::Dictionary(_, values) => canonical_type(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(inner(item))
        }
        DataType::Struct(fields) => {
            let canonical = |field: &Arc<Field>| Field::new(field.name(), canonical_type(field.data_type()), true);
            DataType::Struct(fields.iter().map(canonical).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array, LargeStringArray, StringArray};

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let names = (0..columns.len()).map(|index| format!("c{index}"));
        RecordBatch::try_from_iter(names.zip(columns)).unwrap()
    }

    #[test]
    fn rows_are_equal_whatever_their_order_width_and_layout() {
        let left = batch(vec![
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("가")])),
        ]);
        let right = batch(vec![
            Arc::new(Int32Array::from(vec![None, Some(2), Some(1)])),
            Arc::new(LargeStringArray::from(vec![Some("가"), None, Some("a")])),
        ]);
        assert_eq!(digest(std::slice::from_ref(&left)), digest(&[right.slice(0, 1), right.slice(1, 2)]));
        assert_eq!(sorted_rows(&[left]), sorted_rows(&[right]));
    }

    #[test]
    fn a_row_twice_is_not_a_row_once() {
        let once = batch(vec![Arc::new(Int64Array::from(vec![1, 2]))]);
        let twice = batch(vec![Arc::new(Int64Array::from(vec![1, 1, 2]))]);
        let other = batch(vec![Arc::new(Int64Array::from(vec![1, 2, 2]))]);
        assert_ne!(digest(&[once]), digest(std::slice::from_ref(&twice)));
        assert_ne!(digest(&[twice]), digest(&[other]));
    }

    #[test]
    fn null_is_not_the_empty_text() {
        let null = batch(vec![Arc::new(StringArray::from(vec![None::<&str>]))]);
        let empty = batch(vec![Arc::new(StringArray::from(vec![Some("")]))]);
        assert_ne!(digest(&[null]), digest(&[empty]));
    }
}
