//! Columns of a table in GoogleSQL's words.
//!
//! Owns: the text of a stored column's type, as `lake::rows` takes it. Never reads a value.

use arrow::datatypes::DataType;
use naru_lake::{Column, NaruType};

/// A column's type in GoogleSQL's words, as a topic's file says it. Marks within a STRUCT are not said: they are not compared.
pub(crate) fn sql_type(column: &Column) -> String {
    text(&column.data_type, column.naru_type)
}

fn text(data_type: &DataType, mark: Option<NaruType>) -> String {
    let marked = match mark {
        Some(NaruType::Time) => Some("TIME"),
        Some(NaruType::Json) => Some("JSON"),
        Some(NaruType::Bignumeric) => Some("BIGNUMERIC"),
        Some(NaruType::Datetime) => Some("DATETIME"),
        Some(NaruType::Uuid | NaruType::Interval | NaruType::Range | NaruType::Enum) | None => None,
    };
    match data_type {
        DataType::List(item) => format!("ARRAY<{}>", text(item.data_type(), mark)),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), text(field.data_type(), None))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        other => marked.map_or_else(|| scalar(other).to_owned(), str::to_owned),
    }
}

fn scalar(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => "INT64",
        DataType::Float64 => "FLOAT64",
        DataType::Decimal128(..) => "NUMERIC",
        DataType::Boolean => "BOOL",
        DataType::Binary => "BYTES",
        DataType::Date32 => "DATE",
        DataType::Timestamp(..) => "TIMESTAMP",
        _ => "STRING",
    }
}

#[cfg(test)]
mod tests {
    use naru_lake::rows::RowColumn;

    use super::*;

    #[test]
    fn every_type_comes_back_from_its_column() {
        for sql in [
            "STRING",
            "INT64",
            "FLOAT64",
            "NUMERIC",
            "BIGNUMERIC",
            "BOOL",
            "BYTES",
            "DATE",
            "DATETIME",
            "TIME",
            "TIMESTAMP",
            "JSON",
            "ARRAY<STRING>",
            "ARRAY<JSON>",
            "STRUCT<a INT64, 나이 ARRAY<DATE>>",
            "ARRAY<STRUCT<a INT64>>",
        ] {
            assert_eq!(sql_type(&RowColumn::new("c", sql, false).unwrap().column), sql);
        }
    }
}
