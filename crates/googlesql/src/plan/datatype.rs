//! Type names in SQL to types.

use sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, TimezoneInfo};

use crate::{
    error::{Result, SqlError},
    types::SqlType,
};

/// What a type's parameters allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Digits in all, and digits after the point.
    Digits { precision: u8, scale: u8 },
    /// Characters of a STRING, bytes of BYTES.
    Length(usize),
}

/// Reads the type of a CAST: its name, and what its parameters allow.
pub(super) fn bounded_type(ast: &DataType) -> Result<(SqlType, Option<Bound>)> {
    let (ty, bound) = match ast {
        DataType::Numeric(info) | DataType::Decimal(info) if *info != ExactNumberInfo::None => {
            (SqlType::Numeric, digits(*info, 29, 9))
        }
        DataType::BigNumeric(info) | DataType::BigDecimal(info) if *info != ExactNumberInfo::None => {
            (SqlType::BigNumeric, digits(*info, 38, 38))
        }
        DataType::String(Some(length)) => (SqlType::String, usize::try_from(*length).ok().map(Bound::Length)),
        DataType::Bytes(Some(length)) => (SqlType::Bytes, usize::try_from(*length).ok().map(Bound::Length)),
        other => return Ok((sql_type(other)?, None)),
    };
    match bound {
        Some(Bound::Length(0)) | None => Err(SqlError::typed(format!("{ast} has parameters that {ty} does not take"))),
        bound => Ok((ty, bound)),
    }
}

/// Precision and scale, if a type holds `whole` digits before the point and `part` after it.
pub(super) fn digits(info: ExactNumberInfo, whole: u8, part: u8) -> Option<Bound> {
    let (precision, scale) = match info {
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
        ExactNumberInfo::None => return None,
    };
    let (precision, scale) = (u8::try_from(precision).ok()?, u8::try_from(scale).ok()?);
    let fits = scale <= part && precision >= scale.max(1) && precision - scale <= whole;
    fits.then_some(Bound::Digits { precision, scale })
}

/// Reads a type's name. A length or precision is refused: only a CAST enforces it.
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
