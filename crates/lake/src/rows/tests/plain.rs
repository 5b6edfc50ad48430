//! Values of a batch as plain text, to compare with what a reference expects.
//!
//! Owns: the one text of each Arrow value. Numbers are exact, floating point by its bits.

use arrow::{
    array::{Array, ArrayRef, AsArray as _},
    datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};

/// The value at `row`.
pub(super) fn plain(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".into();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value(row).to_string(),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::Binary => format!("{:?}", array.as_binary::<i32>().value(row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<String> = (0..items.len()).map(|at| plain(&items, at)).collect();
            format!("[{}]", items.join(", "))
        }
        DataType::Struct(_) => {
            let fields: Vec<String> = array.as_struct().columns().iter().map(|field| plain(field, row)).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => panic!("a column of {other}"),
    }
}

pub(super) fn float(value: f64) -> String {
    if value.is_nan() { "NaN".into() } else { format!("{value:?}") }
}

pub(super) fn text(value: &str) -> String {
    format!("{value:?}")
}
