//! Whether a column repeats itself, from a sample of its first rows.
//!
//! Owns: the decision whether a dictionary is worth building while a file is written: for values that are nearly all
//! distinct it costs more than the rest of encoding, and is larger than the values themselves.
//! Never changes what is stored, only how.

use std::collections::HashSet;

use arrow::{
    array::{Array, AsArray as _},
    datatypes::DataType,
};
use xxhash_rust::xxh3::xxh3_64;

/// Values looked at, spread evenly over the rows.
const SAMPLE: usize = 2048;

/// Whether at least 15 of 16 sampled values are distinct; false for few rows and for types without plain values.
///
/// A column of some 16,000 values in random order is just below that: in a row group each of them comes about eight times.
pub(crate) fn is_mostly_distinct(values: &dyn Array) -> bool {
    let step = values.len() / SAMPLE;
    if step == 0 {
        return false;
    }
    let rows = (0..values.len()).step_by(step).filter(|row| values.is_valid(*row));
    match values.data_type() {
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            distinct(rows.map(|row| texts.value(row).as_bytes()))
        }
        DataType::Binary => {
            let texts = values.as_binary::<i32>();
            distinct(rows.map(|row| texts.value(row)))
        }
        other => {
            let data = values.to_data();
            let (Some(width), Some(bytes)) = (other.primitive_width(), data.buffers().first()) else { return false };
            distinct(rows.filter_map(|row| {
                let at = (data.offset() + row) * width;
                bytes.as_slice().get(at..at + width)
            }))
        }
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut seen, mut all) = (HashSet::with_capacity(SAMPLE * 2), 0_usize);
    for value in values {
        all += 1;
        seen.insert(xxh3_64(value));
    }
    all >= SAMPLE / 2 && seen.len() >= all - all / 16
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Decimal128Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn only_a_column_of_nearly_distinct_values_goes_without_a_dictionary() {
        let rows = 0..20_000_i64;
        let ids = Int64Array::from_iter_values(rows.clone());
        assert!(is_mostly_distinct(&ids) && is_mostly_distinct(&ids.slice(7, 9_000)));
        assert!(!is_mostly_distinct(&ids.slice(0, 1_000)), "few rows say nothing");
        assert!(is_mostly_distinct(&Decimal128Array::from_iter_values(rows.clone().map(i128::from))));
        assert!(is_mostly_distinct(&rows.clone().map(|id| Some(format!("note {id}"))).collect::<StringArray>()));
        let states = rows.clone().map(|id| Some(format!("status {}", id % 7)));
        assert!(!is_mostly_distinct(&states.collect::<StringArray>()));
        assert!(!is_mostly_distinct(&Int64Array::from_iter_values(rows.clone().map(|id| id / 100))));
        assert!(!is_mostly_distinct(&rows.clone().map(|_| None::<i64>).collect::<Int64Array>()));
        assert!(!is_mostly_distinct(&rows.map(|id| Some(id % 2 == 0)).collect::<BooleanArray>()));
    }
}
