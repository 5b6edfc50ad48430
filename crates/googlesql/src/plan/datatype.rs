//! Type names in SQL to types.

use sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, TimezoneInfo};

use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

/// Reads a type's name. A length or precision is refused: it would have to be enforced.
pub(super) fn sql_type(ast: &DataType) -> Result<SqlType> {
    Ok(match ast {
        DataType::Bool | DataType::Boolean => SqlType::Bool,
        DataType::Int64
        | DataType::Int(None)
        | DataType::Integer(None)
        | DataType::BigInt(None)
        | DataType::SmallInt(None)
        | DataType::TinyInt(None) => SqlType::Int64,
        // DOUBLE is GoogleSQL's own name, which BigQuery does not have.
        DataType::Float64 | DataType::Double(ExactNumberInfo::None) => SqlType::Float64,
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None) => SqlType::Numeric,
        DataType::BigNumeric(ExactNumberInfo::None) | DataType::BigDecimal(ExactNumberInfo::None) => {
            SqlType::BigNumeric
        }
        DataType::String(None) => SqlType::String,
        DataType::Bytes(None) => SqlType::Bytes,
        DataType::Date => SqlType::Date,
        DataType::Datetime(None) => SqlType::Datetime,
        DataType::Time(None, TimezoneInfo::None) => SqlType::Time,
        DataType::Timestamp(None, TimezoneInfo::None) => SqlType::Timestamp,
        DataType::JSON => SqlType::Json,
        DataType::Interval { fields: None, precision: None } => SqlType::Interval,
        DataType::Array(ArrayElemTypeDef::AngleBracket(element)) => match sql_type(element)? {
            SqlType::Array(_) => {
                return Err(SqlError::typed("an ARRAY cannot hold ARRAYs").hint("put a STRUCT between them"));
            }
            element => SqlType::Array(Box::new(element)),
        },
        DataType::Struct(fields, _) => SqlType::Struct(
            fields
                .iter()
                .map(|field| {
                    if field.options.is_some() {
                        return Err(SqlError::unsupported("OPTIONS of a field"));
                    }
                    let name = field.field_name.as_ref().map_or(String::new(), |name| name.value.clone());
                    Ok((name, sql_type(&field.field_type)?))
                })
                .collect::<Result<_>>()?,
        ),
        other => {
            return Err(SqlError::typed(format!("type {other} is not built"))
                .hint("types are BOOL, INT64, FLOAT64, NUMERIC, BIGNUMERIC, STRING, BYTES, DATE, DATETIME, TIME, TIMESTAMP, JSON, INTERVAL, ARRAY<...>, STRUCT<...>"));
        }
    })
}
