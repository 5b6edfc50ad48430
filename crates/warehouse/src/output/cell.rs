//! One value as text: plain (csv, table, Postgres wire) and JSON.
//!
//! Owns: the exact form of every type. Knows nothing of rows' layout.
//! Types that Arrow does not have are recognised by the field's metadata `naru.type`.

use std::fmt::Write as _;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray,
        types::{
            ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
            DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
            Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType,
            IntervalMonthDayNanoType, IntervalYearMonthType, Time32MillisecondType, Time32SecondType,
            Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
            TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
        },
    },
    datatypes::{DataType, Field, IntervalUnit, TimeUnit},
    record_batch::RecordBatch,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};

use super::OutputError;

/// Integers of larger magnitude are not exact in JSON readers that use doubles.
const JSON_EXACT_INTEGER: u64 = 1 << 53;
const NANOS_A_SECOND: i64 = 1_000_000_000;
const NANOS_A_DAY: i64 = 86_400 * NANOS_A_SECOND;

/// One column of one batch, ready to be written cell by cell. A null cell must be asked for with [`Cell::is_null`]
/// first; what the other methods write for it is unspecified.
pub trait Cell: Send {
    /// Whether the cell is NULL.
    fn is_null(&self, row: usize) -> bool;
    /// Appends the plain text.
    fn text(&self, row: usize, out: &mut String);
    /// Appends the JSON form.
    fn json(&self, row: usize, out: &mut String);
}

/// Appends the JSON form of a cell, `null` included.
pub(super) fn json_or_null(cell: &dyn Cell, row: usize, out: &mut String) {
    if cell.is_null(row) {
        out.push_str("null");
    } else {
        cell.json(row, out);
    }
}

/// Appends a JSON string literal.
pub(super) fn json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// One [`Cell`] per column of the batch.
///
/// # Errors
/// [`OutputError::Unsupported`] names a column whose type has no text form.
pub fn cells(batch: &RecordBatch) -> Result<Vec<Box<dyn Cell>>, OutputError> {
    batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, array)| cell(field, array)).collect()
}

/// How the plain text becomes JSON.
#[derive(Clone, Copy)]
enum Quoting {
    /// Numbers and booleans that JSON holds exactly.
    Bare,
    /// Everything else.
    Quoted,
    /// Integers: bare while exact.
    WhenInexact,
    /// Already JSON.
    Verbatim,
}

/// A value whose text is made by one function.
struct Scalar<F> {
    array: ArrayRef,
    quoting: Quoting,
    write: F,
}

impl<F: Fn(usize, &mut String) + Send> Cell for Scalar<F> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn text(&self, row: usize, out: &mut String) {
        (self.write)(row, out);
    }

    fn json(&self, row: usize, out: &mut String) {
        match self.quoting {
            Quoting::Bare => (self.write)(row, out),
            Quoting::Quoted | Quoting::WhenInexact | Quoting::Verbatim => {
                let mut text = String::new();
                (self.write)(row, &mut text);
                if self.is_bare(&text) { out.push_str(&text) } else { json_string(&text, out) }
            }
        }
    }
}

impl<F> Scalar<F> {
    fn is_bare(&self, text: &str) -> bool {
        match self.quoting {
            Quoting::Bare => true,
            Quoting::Quoted => false,
            Quoting::WhenInexact => {
                text.trim_start_matches('-').parse::<u64>().is_ok_and(|size| size <= JSON_EXACT_INTEGER)
            }
            Quoting::Verbatim => !text.contains('\n') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
        }
    }
}

fn scalar<F>(array: &ArrayRef, quoting: Quoting, write: F) -> Box<dyn Cell>
where
    F: Fn(usize, &mut String) + Send + 'static,
{
    Box::new(Scalar { array: array.clone(), quoting, write })
}

/// A primitive column whose values print themselves.
fn number<T>(array: &ArrayRef, quoting: Quoting) -> Box<dyn Cell>
where
    T: ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    let values = array.as_primitive::<T>().clone();
    scalar(array, quoting, move |row, out| {
        let _ = write!(out, "{}", values.value(row));
    })
}

/// A primitive column with its own text form.
fn primitive<T, F>(array: &ArrayRef, quoting: Quoting, write: F) -> Box<dyn Cell>
where
    T: ArrowPrimitiveType,
    F: Fn(T::Native, &mut String) + Send + 'static,
{
    let values = array.as_primitive::<T>().clone();
    scalar(array, quoting, move |row, out| write(values.value(row), out))
}

fn naru_type(field: &Field) -> Option<&str> {
    field.metadata().get("naru.type").map(String::as_str)
}

/// The elements of a list column; what the column's own metadata says of its type, it says of them.
pub fn element(list: &Field, item: &Field) -> Field {
    let mut metadata = list.metadata().clone();
    metadata.extend(item.metadata().clone());
    item.clone().with_metadata(metadata)
}

fn cell(field: &Field, array: &ArrayRef) -> Result<Box<dyn Cell>, OutputError> {
    let unsupported =
        || OutputError::Unsupported { column: field.name().clone(), data_type: array.data_type().to_string() };
    Ok(match array.data_type() {
        DataType::Null => scalar(array, Quoting::Bare, |_, _| {}),
        DataType::Boolean => {
            let values = array.as_boolean().clone();
            scalar(array, Quoting::Bare, move |row, out| out.push_str(if values.value(row) { "true" } else { "false" }))
        }
        integer if integer.is_integer() => integers(array).ok_or_else(unsupported)?,
        DataType::Float16 => float::<Float16Type>(array, f64::from),
        DataType::Float32 => primitive_float32(array),
        DataType::Float64 => float::<Float64Type>(array, |value| value),
        DataType::Decimal32(_, scale) => decimal::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimal::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimal::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => decimal::<Decimal256Type>(array, *scale),
        DataType::Date32 => primitive::<Date32Type, _>(array, Quoting::Quoted, |days, out| {
            instant(i128::from(days) * i128::from(NANOS_A_DAY), Shape::Date, out);
        }),
        DataType::Date64 => primitive::<Date64Type, _>(array, Quoting::Quoted, |ms, out| {
            instant(i128::from(ms) * 1_000_000, Shape::Date, out);
        }),
        DataType::Timestamp(unit, zone) => {
            let zoned = zone.is_some() && naru_type(field) != Some("datetime");
            timestamp(array, *unit, if zoned { Shape::Zulu } else { Shape::Local })
        }
        DataType::Time32(_) | DataType::Time64(_) => times(array).ok_or_else(unsupported)?,
        DataType::Duration(unit) => durations(array, *unit),
        DataType::Interval(unit) => intervals(array, *unit),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text(field, array),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            bytes(array).ok_or_else(unsupported)?
        }
        DataType::List(item) => list(array.as_list::<i32>(), &element(field, item))?,
        DataType::LargeList(item) => list(array.as_list::<i64>(), &element(field, item))?,
        DataType::FixedSizeList(item, _) => fixed_list(array.as_fixed_size_list(), &element(field, item))?,
        DataType::Struct(_) => structure(array.as_struct())?,
        DataType::Map(_, _) => map(array.as_map())?,
        DataType::Dictionary(_, value) => {
            let plain = arrow::compute::cast(array, value)?;
            cell(&field.clone().with_data_type(value.as_ref().clone()), &plain)?
        }
        _ => return Err(unsupported()),
    })
}

fn integers(array: &ArrayRef) -> Option<Box<dyn Cell>> {
    Some(match array.data_type() {
        DataType::Int8 => number::<Int8Type>(array, Quoting::Bare),
        DataType::Int16 => number::<Int16Type>(array, Quoting::Bare),
        DataType::Int32 => number::<Int32Type>(array, Quoting::Bare),
        DataType::Int64 => number::<Int64Type>(array, Quoting::WhenInexact),
        DataType::UInt8 => number::<UInt8Type>(array, Quoting::Bare),
        DataType::UInt16 => number::<UInt16Type>(array, Quoting::Bare),
        DataType::UInt32 => number::<UInt32Type>(array, Quoting::Bare),
        DataType::UInt64 => number::<UInt64Type>(array, Quoting::WhenInexact),
        _ => return None,
    })
}

/// A floating-point cell: bare in JSON unless JSON has no such number.
struct Float<F> {
    array: ArrayRef,
    value: F,
}

impl<F: Fn(usize) -> (f64, String) + Send> Cell for Float<F> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn text(&self, row: usize, out: &mut String) {
        let (value, digits) = (self.value)(row);
        out.push_str(special_float(value).unwrap_or(&digits));
    }

    fn json(&self, row: usize, out: &mut String) {
        let (value, digits) = (self.value)(row);
        match special_float(value) {
            Some(word) => json_string(word, out),
            None => out.push_str(&digits),
        }
    }
}

/// The word for a value that has no digits.
fn special_float(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        None
    }
}

fn float<T>(array: &ArrayRef, widen: fn(T::Native) -> f64) -> Box<dyn Cell>
where
    T: ArrowPrimitiveType,
{
    let values = array.as_primitive::<T>().clone();
    Box::new(Float {
        array: array.clone(),
        value: move |row| {
            let value = widen(values.value(row));
            (value, format!("{value:?}"))
        },
    })
}

/// Single precision keeps its own, shorter digits.
fn primitive_float32(array: &ArrayRef) -> Box<dyn Cell> {
    let values = array.as_primitive::<Float32Type>().clone();
    Box::new(Float {
        array: array.clone(),
        value: move |row| (f64::from(values.value(row)), format!("{:?}", values.value(row))),
    })
}

/// NUMERIC as GoogleSQL prints it: no trailing zeros after the point.
fn decimal<T: DecimalType>(array: &ArrayRef, scale: i8) -> Box<dyn Cell> {
    let values = array.as_primitive::<T>().clone();
    scalar(array, Quoting::Quoted, move |row, out| {
        let text = T::format_decimal(values.value(row), T::MAX_PRECISION, scale);
        if text.contains('.') {
            out.push_str(text.trim_end_matches('0').trim_end_matches('.'));
        } else {
            out.push_str(&text);
        }
    })
}

/// What part of an instant is shown.
#[derive(Clone, Copy)]
enum Shape {
    Date,
    /// `2026-11-22T15:00:00Z`
    Zulu,
    /// `2026-11-22T15:00:00`
    Local,
}

/// Appends nanoseconds since 1970 as a date or date and time. Fractions are shown with 3, 6 or 9 digits as needed.
fn instant(nanos: i128, shape: Shape, out: &mut String) {
    let second = i128::from(NANOS_A_SECOND);
    let parsed = i64::try_from(nanos.div_euclid(second))
        .ok()
        .zip(u32::try_from(nanos.rem_euclid(second)).ok())
        .and_then(|(seconds, fraction)| DateTime::from_timestamp(seconds, fraction));
    let Some(at) = parsed.map(|at| at.naive_utc()) else {
        // Beyond what a calendar date can say (year ±262,000): the raw count is better than a wrong date.
        let _ = write!(out, "{nanos}ns");
        return;
    };
    let _ = write!(out, "{:04}-{:02}-{:02}", at.year(), at.month(), at.day());
    if !matches!(shape, Shape::Date) {
        out.push('T');
        clock(&at, out);
    }
    if matches!(shape, Shape::Zulu) {
        out.push('Z');
    }
}

fn clock(at: &NaiveDateTime, out: &mut String) {
    let _ = write!(out, "{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
    fraction(at.nanosecond(), out);
}

fn fraction(nanos: u32, out: &mut String) {
    let _ = match nanos {
        0 => Ok(()),
        n if n % 1_000_000 == 0 => write!(out, ".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => write!(out, ".{:06}", n / 1_000),
        n => write!(out, ".{n:09}"),
    };
}

fn timestamp(array: &ArrayRef, unit: TimeUnit, shape: Shape) -> Box<dyn Cell> {
    let quoting = Quoting::Quoted;
    match unit {
        TimeUnit::Second => primitive::<TimestampSecondType, _>(array, quoting, move |value, out| {
            instant(i128::from(value) * i128::from(NANOS_A_SECOND), shape, out);
        }),
        TimeUnit::Millisecond => primitive::<TimestampMillisecondType, _>(array, quoting, move |value, out| {
            instant(i128::from(value) * 1_000_000, shape, out);
        }),
        TimeUnit::Microsecond => primitive::<TimestampMicrosecondType, _>(array, quoting, move |value, out| {
            instant(i128::from(value) * 1_000, shape, out);
        }),
        TimeUnit::Nanosecond => primitive::<TimestampNanosecondType, _>(array, quoting, move |value, out| {
            instant(i128::from(value), shape, out);
        }),
    }
}

/// Appends nanoseconds since midnight as a time of day.
fn time_of_day(nanos: i64, out: &mut String) {
    let nanos = nanos.rem_euclid(NANOS_A_DAY);
    let seconds = nanos / NANOS_A_SECOND;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(u32::try_from(nanos % NANOS_A_SECOND).unwrap_or(0), out);
}

fn times(array: &ArrayRef) -> Option<Box<dyn Cell>> {
    let quoting = Quoting::Quoted;
    Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => primitive::<Time32SecondType, _>(array, quoting, |value, out| {
            time_of_day(i64::from(value) * NANOS_A_SECOND, out);
        }),
        DataType::Time32(TimeUnit::Millisecond) => {
            primitive::<Time32MillisecondType, _>(array, quoting, |value, out| {
                time_of_day(i64::from(value) * 1_000_000, out);
            })
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            primitive::<Time64MicrosecondType, _>(array, quoting, |value, out| {
                time_of_day(value.saturating_mul(1_000), out);
            })
        }
        DataType::Time64(TimeUnit::Nanosecond) => primitive::<Time64NanosecondType, _>(array, quoting, time_of_day),
        _ => return None,
    })
}

/// Appends BigQuery's interval text, `Y-M D H:M:S[.f]`; each of the three parts has its own sign.
fn interval(months: i32, days: i64, nanos: i128, out: &mut String) {
    let month_sign = if months < 0 { "-" } else { "" };
    let months = months.unsigned_abs();
    let time_sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let second = u128::from(NANOS_A_SECOND.unsigned_abs());
    let seconds = nanos / second;
    let _ = write!(
        out,
        "{month_sign}{}-{} {days} {time_sign}{}:{}:{}",
        months / 12,
        months % 12,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    fraction(u32::try_from(nanos % second).unwrap_or(0), out);
}

fn durations(array: &ArrayRef, unit: TimeUnit) -> Box<dyn Cell> {
    let quoting = Quoting::Quoted;
    match unit {
        TimeUnit::Second => primitive::<DurationSecondType, _>(array, quoting, |value, out| {
            interval(0, 0, i128::from(value) * i128::from(NANOS_A_SECOND), out);
        }),
        TimeUnit::Millisecond => primitive::<DurationMillisecondType, _>(array, quoting, |value, out| {
            interval(0, 0, i128::from(value) * 1_000_000, out);
        }),
        TimeUnit::Microsecond => primitive::<DurationMicrosecondType, _>(array, quoting, |value, out| {
            interval(0, 0, i128::from(value) * 1_000, out);
        }),
        TimeUnit::Nanosecond => primitive::<DurationNanosecondType, _>(array, quoting, |value, out| {
            interval(0, 0, i128::from(value), out);
        }),
    }
}

fn intervals(array: &ArrayRef, unit: IntervalUnit) -> Box<dyn Cell> {
    let quoting = Quoting::Quoted;
    match unit {
        IntervalUnit::YearMonth => {
            primitive::<IntervalYearMonthType, _>(array, quoting, |months, out| interval(months, 0, 0, out))
        }
        IntervalUnit::DayTime => primitive::<IntervalDayTimeType, _>(array, quoting, |value, out| {
            interval(0, value.days.into(), i128::from(value.milliseconds) * 1_000_000, out);
        }),
        IntervalUnit::MonthDayNano => primitive::<IntervalMonthDayNanoType, _>(array, quoting, |value, out| {
            interval(value.months, value.days.into(), value.nanoseconds.into(), out);
        }),
    }
}

fn text(field: &Field, array: &ArrayRef) -> Box<dyn Cell> {
    let quoting = if naru_type(field) == Some("json") { Quoting::Verbatim } else { Quoting::Quoted };
    match array.data_type() {
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>().clone();
            scalar(array, quoting, move |row, out| out.push_str(values.value(row)))
        }
        DataType::Utf8View => {
            let values = array.as_string_view().clone();
            scalar(array, quoting, move |row, out| out.push_str(values.value(row)))
        }
        _ => {
            let values = array.as_string::<i32>().clone();
            scalar(array, quoting, move |row, out| out.push_str(values.value(row)))
        }
    }
}

fn bytes(array: &ArrayRef) -> Option<Box<dyn Cell>> {
    let quoting = Quoting::Quoted;
    Some(match array.data_type() {
        DataType::Binary => {
            let values = array.as_binary::<i32>().clone();
            scalar(array, quoting, move |row, out| STANDARD.encode_string(values.value(row), out))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>().clone();
            scalar(array, quoting, move |row, out| STANDARD.encode_string(values.value(row), out))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view().clone();
            scalar(array, quoting, move |row, out| STANDARD.encode_string(values.value(row), out))
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary().clone();
            scalar(array, quoting, move |row, out| STANDARD.encode_string(values.value(row), out))
        }
        _ => return None,
    })
}

/// A value whose plain text is its JSON.
struct Nested<F> {
    array: ArrayRef,
    write: F,
}

impl<F: Fn(usize, &mut String) + Send> Cell for Nested<F> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn text(&self, row: usize, out: &mut String) {
        (self.write)(row, out);
    }

    fn json(&self, row: usize, out: &mut String) {
        (self.write)(row, out);
    }
}

fn elements(items: &dyn Cell, range: std::ops::Range<usize>, out: &mut String) {
    out.push('[');
    for (position, item) in range.enumerate() {
        if position > 0 {
            out.push(',');
        }
        json_or_null(items, item, out);
    }
    out.push(']');
}

fn list<O: OffsetSizeTrait>(array: &GenericListArray<O>, item: &Field) -> Result<Box<dyn Cell>, OutputError> {
    let items = cell(item, array.values())?;
    let list = array.clone();
    Ok(Box::new(Nested {
        array: std::sync::Arc::new(array.clone()),
        write: move |row, out: &mut String| {
            let offsets = list.value_offsets();
            if let Some((from, to)) = offsets.get(row).zip(offsets.get(row + 1)) {
                elements(items.as_ref(), O::as_usize(*from)..O::as_usize(*to), out);
            }
        },
    }))
}

fn fixed_list(array: &FixedSizeListArray, item: &Field) -> Result<Box<dyn Cell>, OutputError> {
    let items = cell(item, array.values())?;
    let width = usize::try_from(array.value_length()).unwrap_or(0);
    Ok(Box::new(Nested {
        array: std::sync::Arc::new(array.clone()),
        write: move |row, out: &mut String| elements(items.as_ref(), row * width..(row + 1) * width, out),
    }))
}

fn structure(array: &StructArray) -> Result<Box<dyn Cell>, OutputError> {
    let fields = array
        .fields()
        .iter()
        .zip(array.columns())
        .map(|(field, column)| Ok((field.name().clone(), cell(field, column)?)))
        .collect::<Result<Vec<_>, OutputError>>()?;
    Ok(Box::new(Nested {
        array: std::sync::Arc::new(array.clone()),
        write: move |row, out: &mut String| {
            out.push('{');
            for (position, (name, field)) in fields.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                json_string(name, out);
                out.push(':');
                json_or_null(field.as_ref(), row, out);
            }
            out.push('}');
        },
    }))
}

/// A map is an array of `{"key": …, "value": …}`, as BigQuery has no map type.
fn map(array: &MapArray) -> Result<Box<dyn Cell>, OutputError> {
    let entry = Field::new("entry", array.entries().data_type().clone(), false);
    let entries: ArrayRef = std::sync::Arc::new(array.entries().clone());
    let items = cell(&entry, &entries)?;
    let map = array.clone();
    Ok(Box::new(Nested {
        array: std::sync::Arc::new(array.clone()),
        write: move |row, out: &mut String| {
            let offsets = map.value_offsets();
            let range = offsets.get(row).zip(offsets.get(row + 1));
            let bounds = range.and_then(|(from, to)| Some((usize::try_from(*from).ok()?, usize::try_from(*to).ok()?)));
            if let Some((from, to)) = bounds {
                elements(items.as_ref(), from..to, out);
            }
        },
    }))
}
