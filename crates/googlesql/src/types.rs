//! GoogleSQL's types and how they lie in Arrow.
//!
//! Owns: [`SqlType`], its Arrow form, its name, and reading it from a field. Coercion rules are in `plan/coerce.rs`.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

use crate::options::Options;

/// Digits and scale of NUMERIC.
pub(crate) const NUMERIC: DataType = DataType::Decimal128(38, 9);
/// Digits and scale of BIGNUMERIC.
pub(crate) const BIGNUMERIC: DataType = DataType::Decimal256(76, 38);

/// A GoogleSQL type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// BOOL.
    Bool,
    /// INT64.
    Int64,
    /// FLOAT64.
    Float64,
    /// NUMERIC: 29 digits before the point, 9 after.
    Numeric,
    /// BIGNUMERIC: 38 digits before the point, 38 after.
    BigNumeric,
    /// STRING.
    String,
    /// BYTES.
    Bytes,
    /// DATE.
    Date,
    /// DATETIME: without a zone.
    Datetime,
    /// TIME of day.
    Time,
    /// TIMESTAMP: an instant.
    Timestamp,
    /// JSON.
    Json,
    /// INTERVAL.
    Interval,
    /// ARRAY.
    Array(Box<SqlType>),
    /// STRUCT; an unnamed field has an empty name.
    Struct(Vec<(String, SqlType)>),
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("BOOL"),
            Self::Int64 => f.write_str("INT64"),
            Self::Float64 => f.write_str("FLOAT64"),
            Self::Numeric => f.write_str("NUMERIC"),
            Self::BigNumeric => f.write_str("BIGNUMERIC"),
            Self::String => f.write_str("STRING"),
            Self::Bytes => f.write_str("BYTES"),
            Self::Date => f.write_str("DATE"),
            Self::Datetime => f.write_str("DATETIME"),
            Self::Time => f.write_str("TIME"),
            Self::Timestamp => f.write_str("TIMESTAMP"),
            Self::Json => f.write_str("JSON"),
            Self::Interval => f.write_str("INTERVAL"),
            Self::Array(element) => write!(f, "ARRAY<{element}>"),
            Self::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (at, (name, field)) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    let space = if name.is_empty() { "" } else { " " };
                    write!(f, "{comma}{name}{space}{field}")?;
                }
                f.write_str(">")
            }
        }
    }
}

impl SqlType {
    /// The Arrow type in which values of this type are computed.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Numeric => NUMERIC,
            Self::BigNumeric => BIGNUMERIC,
            Self::String | Self::Json => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Array(element) => DataType::List(Arc::new(Field::new_list_field(element.arrow(), true))),
            Self::Struct(fields) => DataType::Struct(struct_fields(fields)),
        }
    }

    /// Whether arithmetic takes it.
    pub(crate) fn is_numeric(&self) -> bool {
        matches!(self, Self::Int64 | Self::Float64 | Self::Numeric | Self::BigNumeric)
    }

    /// Reads the type of a column. `None` if GoogleSQL has no such type.
    pub(crate) fn of_field(field: &Field, options: &Options) -> Option<Self> {
        let Some(marked) = field.metadata().get(&options.type_key).and_then(|word| Self::marked(word)) else {
            return Self::of_arrow(field.data_type(), options);
        };
        // A mark on a list says what its elements are.
        let is_list =
            matches!(field.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
        Some(if is_list { Self::Array(Box::new(marked)) } else { marked })
    }

    fn marked(word: &str) -> Option<Self> {
        Some(match word.trim_matches('"').to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "bignumeric" => Self::BigNumeric,
            "time" => Self::Time,
            "interval" => Self::Interval,
            "datetime" => Self::Datetime,
            "uuid" | "enum" | "range" => Self::String,
            _ => return None,
        })
    }

    /// Reads the type of an Arrow type that carries no marks.
    pub(crate) fn of_arrow(data_type: &DataType, options: &Options) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Null => Self::Int64,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float64,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => decimal(*precision, *scale)?,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Datetime,
            DataType::Timestamp(_, Some(_)) => Self::Timestamp,
            DataType::Interval(_) => Self::Interval,
            DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
                Self::Array(Box::new(Self::of_field(element, options)?))
            }
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| Some((field.name().clone(), Self::of_field(field, options)?)))
                    .collect::<Option<_>>()?,
            ),
            DataType::Dictionary(_, value) => Self::of_arrow(value, options)?,
            _ => return None,
        })
    }
}

/// Arrow needs distinct, non-empty field names; GoogleSQL does not. Position makes them so.
pub(crate) fn struct_fields(fields: &[(String, SqlType)]) -> Fields {
    fields
        .iter()
        .enumerate()
        .map(|(at, (name, field))| {
            let taken = fields.iter().take(at).any(|(other, _)| other == name);
            let name = if name.is_empty() || taken { format!("_field_{}", at + 1) } else { name.clone() };
            Field::new(name, field.arrow(), true)
        })
        .collect()
}

fn decimal(precision: u8, scale: i8) -> Option<SqlType> {
    let scale = u8::try_from(scale).ok()?;
    let whole = precision.checked_sub(scale)?;
    if scale <= 9 && whole <= 29 {
        Some(SqlType::Numeric)
    } else if scale <= 38 && whole <= 38 {
        Some(SqlType::BigNumeric)
    } else {
        None
    }
}

/// The GoogleSQL name of a column's type, such as `ARRAY<STRUCT<a INT64>>`.
///
/// Types that Arrow does not have are read from the field's metadata under [`Options::type_key`]. A type that
/// GoogleSQL does not have is named as Arrow names it.
pub fn sql_type(field: &Field, options: &Options) -> String {
    SqlType::of_field(field, options).map_or_else(|| field.data_type().to_string(), |found| found.to_string())
}
