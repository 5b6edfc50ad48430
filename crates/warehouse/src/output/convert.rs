//! Columns in another Arrow type, for files and tables that hold fewer types than SQL has.
//!
//! Owns: one conversion for results in Parquet and for marts in the lake. Which type goes as which is the caller's.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, StringBuilder, StructArray},
    compute::cast,
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};

use super::{OutputError, cells};

/// A column's values as `to`. INTERVAL and BIGNUMERIC become the text that every other output shows; everything else
/// as Arrow casts it, inside lists and structs too.
///
/// # Errors
/// [`OutputError`] where the types do not go together.
pub fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, OutputError> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    match (array.data_type(), to) {
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = convert(list.values(), item.data_type())?;
            Ok(Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let row = array.as_struct();
            let columns = row.columns().iter().zip(fields).map(|(column, field)| convert(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, row.nulls().cloned(), row.len())?))
        }
        (DataType::Interval(_) | DataType::Decimal256(..), DataType::Utf8) => texts(array),
        _ => Ok(cast(array, to)?),
    }
}

/// Each value as every other format writes it.
fn texts(array: &ArrayRef) -> Result<ArrayRef, OutputError> {
    let field = Field::new("value", array.data_type().clone(), true);
    let column = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array.clone()])?;
    let mut texts = StringBuilder::new();
    for cell in cells(&column)? {
        let mut text = String::new();
        for row in 0..array.len() {
            text.clear();
            if !cell.is_null(row) {
                cell.text(row, &mut text);
            }
            texts.append_option((!cell.is_null(row)).then_some(&text));
        }
    }
    Ok(Arc::new(texts.finish()))
}
