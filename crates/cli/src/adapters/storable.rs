//! Results of SQL as columns of the lake: what Delta cannot hold as it is, is stored by CONTRACTS' rules and marked.

use std::sync::Arc;

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, Schema, TimeUnit},
    record_batch::RecordBatch,
};
use naru_googlesql::Options;
use naru_lake::{Column, NaruType};
use naru_warehouse::output::{OutputError, convert};

/// Field metadata that says what a column is where its Arrow type does not.
const TYPE_KEY: &str = "naru.type";

/// The column of a table that holds a result's field.
pub(super) fn column_of(field: &Field) -> Column {
    let (data_type, naru_type) = storage(field.data_type());
    let mut column = Column::new(field.name().clone(), data_type);
    let marked = field.metadata().get(TYPE_KEY).map(|word| serde_json::Value::String(word.clone()));
    column.naru_type = naru_type.or_else(|| marked.and_then(|word| serde_json::from_value(word).ok()));
    column
}

/// The first part of a STRUCT that the lake does not hold: its path and its type in GoogleSQL's words.
///
/// A column says what it is in its own mark; the fields of a STRUCT have none.
pub(super) fn unstorable(field: &Field) -> Option<(String, String)> {
    let fields = match field.data_type() {
        DataType::Struct(fields) => fields,
        DataType::List(item) | DataType::LargeList(item) => {
            let named = item.as_ref().clone().with_name(field.name());
            return unstorable(&named);
        }
        _ => return None,
    };
    fields.iter().find_map(|part| {
        if storage(part.data_type()).1.is_some() {
            return Some((format!("{}.{}", field.name(), part.name()), sql_type(part)));
        }
        unstorable(part).map(|(path, of)| (format!("{}.{path}", field.name()), of))
    })
}

fn storage(data_type: &DataType) -> (DataType, Option<NaruType>) {
    match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => (DataType::Int64, None),
        DataType::Float16 | DataType::Float32 => (DataType::Float64, None),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => (DataType::Utf8, None),
        DataType::LargeBinary | DataType::BinaryView => (DataType::Binary, None),
        DataType::Decimal256(_, _) => (DataType::Utf8, Some(NaruType::Bignumeric)),
        DataType::Time32(_) | DataType::Time64(_) => (DataType::Utf8, Some(NaruType::Time)),
        DataType::Interval(_) => (DataType::Utf8, Some(NaruType::Interval)),
        DataType::Timestamp(_, None) => (utc(), Some(NaruType::Datetime)),
        DataType::Timestamp(_, Some(_)) => (utc(), None),
        DataType::List(item) | DataType::LargeList(item) => {
            // The column's mark says what its elements are.
            let (inner, naru_type) = storage(item.data_type());
            (DataType::List(Arc::new(Field::new("element", inner, true))), naru_type)
        }
        other => (other.clone(), None),
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The batch as the table's columns hold it.
pub(super) fn storable(batch: &RecordBatch, columns: &[Column]) -> Result<RecordBatch, OutputError> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (column, array) in columns.iter().zip(batch.columns()) {
        arrays.push(convert(array, &column.data_type)?);
    }
    let fields: Vec<Field> = columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// A field's type in GoogleSQL's words.
pub(super) fn sql_type(field: &Field) -> String {
    let options = Options { time_zone: "UTC".into(), type_key: TYPE_KEY.into() };
    naru_googlesql::sql_type(field, &options)
}
