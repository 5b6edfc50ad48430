//! Values in PostgreSQL's text and binary forms.
//!
//! Owns: the bytes of every cell. Source: "Frontend/Backend Protocol" and the `*_send` functions' documented layouts
//! (dates count days and times microseconds since 2000-01-01; numerics are base-10000 digits).

use std::{fmt::Write as _, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, Float32Array,
        Float64Array, Int64Array, PrimitiveArray, StringArray,
        types::{
            Date32Type, Decimal128Type, Decimal256Type, DecimalType, Time64MicrosecondType, TimestampMicrosecondType,
        },
    },
    compute::cast,
    datatypes::{DataType, Field},
    record_batch::RecordBatch,
};
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, Timelike};
use naru_warehouse::output::{Cell, element};
use pgwire::{
    api::{
        Type,
        results::{FieldFormat, FieldInfo},
    },
    messages::data::DataRow,
};

use super::types::{canonical, wire_type};

/// Days and microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const MICROS_A_SECOND: i64 = 1_000_000;

/// One column of one batch, ready to be encoded.
pub struct Column {
    values: Values,
    nulls: ArrayRef,
    of: Type,
}

enum Values {
    Bool(BooleanArray),
    Int(Int64Array),
    Float(Float32Array),
    Double(Float64Array),
    Decimal(Decimal128Array, i8),
    BigDecimal(Decimal256Array, i8),
    Text(StringArray),
    Bytes(BinaryArray),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    /// Item column and the range of items of each row.
    List(Box<Column>, Vec<(usize, usize)>),
    /// What has no form of its own: the text that every other output shows.
    Other(Box<dyn Cell>),
}

/// A value that cannot be put on the wire.
#[derive(Debug)]
pub struct Unencodable(pub String);

/// The batch's columns, ready to be encoded.
pub fn columns(batch: &RecordBatch) -> Result<Vec<Column>, Unencodable> {
    batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, array)| column(field, array)).collect()
}

fn column(field: &Field, array: &ArrayRef) -> Result<Column, Unencodable> {
    let mut array = array.clone();
    while let Some(plain) = canonical(array.data_type()) {
        array = cast(&array, &plain).map_err(|error| Unencodable(error.to_string()))?;
    }
    let values = match array.data_type() {
        DataType::Boolean => Values::Bool(array.as_boolean().clone()),
        DataType::Int64 => Values::Int(array.as_primitive().clone()),
        DataType::Float32 => Values::Float(array.as_primitive().clone()),
        DataType::Float64 => Values::Double(array.as_primitive().clone()),
        DataType::Decimal128(_, scale) => Values::Decimal(array.as_primitive().clone(), *scale),
        DataType::Decimal256(_, scale) => Values::BigDecimal(array.as_primitive().clone(), *scale),
        DataType::Utf8 => Values::Text(array.as_string().clone()),
        DataType::Binary => Values::Bytes(array.as_binary().clone()),
        DataType::Date32 => Values::Date(array.as_primitive().clone()),
        DataType::Time64(_) => Values::Time(array.as_primitive().clone()),
        DataType::Timestamp(..) => Values::Timestamp(array.as_primitive().clone()),
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let ends = list.value_offsets().windows(2);
            let ranges = ends.map(|pair| match pair {
                [from, to] => (usize::try_from(*from).unwrap_or(0), usize::try_from(*to).unwrap_or(0)),
                _ => (0, 0),
            });
            Values::List(Box::new(column(&element(field, item), list.values())?), ranges.collect())
        }
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let plain = cast(&array, &DataType::List(item.clone())).map_err(|error| Unencodable(error.to_string()))?;
            return column(&field.clone().with_data_type(plain.data_type().clone()), &plain);
        }
        _ => Values::Other(other(field, &array)?),
    };
    Ok(Column { values, nulls: array, of: wire_type(field) })
}

fn other(field: &Field, array: &ArrayRef) -> Result<Box<dyn Cell>, Unencodable> {
    let field = Field::new(field.name(), array.data_type().clone(), true).with_metadata(field.metadata().clone());
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema, vec![array.clone()]).map_err(|error| Unencodable(error.to_string()))?;
    let cells = naru_warehouse::output::cells(&batch).map_err(|error| Unencodable(error.to_string()))?;
    cells.into_iter().next().ok_or_else(|| Unencodable("a column without cells".to_owned()))
}

/// One row as the protocol's message.
pub fn row(columns: &[Column], fields: &[FieldInfo], row: usize) -> DataRow {
    let mut bytes = BytesMut::with_capacity(columns.len() * 16);
    for (column, field) in columns.iter().zip(fields) {
        column.put(row, field.format() == FieldFormat::Binary, &mut bytes);
    }
    DataRow::new(bytes, i16::try_from(columns.len()).unwrap_or(i16::MAX))
}

impl Column {
    /// Appends a value's text; `false` for NULL.
    pub fn text_of(&self, row: usize, out: &mut String) -> bool {
        let there = !self.nulls.is_null(row);
        if there {
            self.text(row, out);
        }
        there
    }

    /// Appends length and value; -1 for NULL.
    pub fn put(&self, row: usize, binary: bool, out: &mut BytesMut) {
        if self.nulls.is_null(row) {
            out.put_i32(-1);
            return;
        }
        let head = out.len();
        out.put_i32(0);
        if binary {
            self.binary(row, out);
        } else {
            let mut text = String::new();
            self.text(row, &mut text);
            out.put_slice(text.as_bytes());
        }
        let length = i32::try_from(out.len() - head - 4).unwrap_or(i32::MAX);
        if let Some(place) = out.get_mut(head..head + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn text(&self, row: usize, out: &mut String) {
        match &self.values {
            Values::Bool(values) => out.push(if values.value(row) { 't' } else { 'f' }),
            Values::Int(values) => {
                let _ = write!(out, "{}", values.value(row));
            }
            Values::Float(values) => float_text(f64::from(values.value(row)), &format!("{:?}", values.value(row)), out),
            Values::Double(values) => float_text(values.value(row), &format!("{:?}", values.value(row)), out),
            Values::Decimal(values, scale) => {
                exact(&Decimal128Type::format_decimal(values.value(row), Decimal128Type::MAX_PRECISION, *scale), out);
            }
            Values::BigDecimal(values, scale) => {
                exact(&Decimal256Type::format_decimal(values.value(row), Decimal256Type::MAX_PRECISION, *scale), out);
            }
            Values::Text(values) => out.push_str(values.value(row)),
            Values::Bytes(values) => {
                out.push_str("\\x");
                out.push_str(&hex::encode(values.value(row)));
            }
            Values::Date(values) => moment_text(i64::from(values.value(row)) * 86_400 * MICROS_A_SECOND, false, out),
            Values::Time(values) => time_text(values.value(row), out),
            Values::Timestamp(values) => {
                moment_text(values.value(row), true, out);
                if self.of == Type::TIMESTAMPTZ {
                    out.push_str("+00");
                }
            }
            Values::List(items, ranges) => list_text(items, ranges.get(row).copied().unwrap_or_default(), out),
            Values::Other(cell) => cell.text(row, out),
        }
    }

    fn binary(&self, row: usize, out: &mut BytesMut) {
        match &self.values {
            Values::Bool(values) => out.put_u8(u8::from(values.value(row))),
            Values::Int(values) => {
                let value = values.value(row);
                match self.of {
                    Type::INT2 => out.put_i16(i16::try_from(value).unwrap_or(i16::MAX)),
                    Type::INT4 => out.put_i32(i32::try_from(value).unwrap_or(i32::MAX)),
                    _ => out.put_i64(value),
                }
            }
            Values::Float(values) => out.put_f32(values.value(row)),
            Values::Double(values) => out.put_f64(values.value(row)),
            Values::Decimal(..) | Values::BigDecimal(..) => {
                let mut text = String::new();
                self.text(row, &mut text);
                numeric(&text, out);
            }
            Values::Text(values) => match self.of {
                Type::NUMERIC => numeric(values.value(row), out),
                Type::UUID => uuid(values.value(row), out),
                Type::TIME => out.put_i64(time_micros(values.value(row))),
                _ => out.put_slice(values.value(row).as_bytes()),
            },
            Values::Bytes(values) => out.put_slice(values.value(row)),
            Values::Date(values) => out.put_i32(values.value(row).saturating_sub(EPOCH_DAYS)),
            Values::Time(values) => out.put_i64(values.value(row)),
            Values::Timestamp(values) => out.put_i64(values.value(row).saturating_sub(EPOCH_MICROS)),
            Values::List(items, ranges) => list_binary(items, ranges.get(row).copied().unwrap_or_default(), out),
            Values::Other(cell) => {
                let mut text = String::new();
                cell.text(row, &mut text);
                out.put_slice(text.as_bytes());
            }
        }
    }
}

/// A NUMERIC without the zeros that fill its type's scale.
fn exact(text: &str, out: &mut String) {
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    out.push_str(short);
}

fn float_text(value: f64, digits: &str, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        out.push_str(digits.strip_suffix(".0").unwrap_or(digits));
    }
}

/// Appends microseconds since 1970 as `2026-11-22` or `2026-11-22 15:00:00.5`; years before 1 as PostgreSQL's `BC`.
fn moment_text(micros: i64, with_time: bool, out: &mut String) {
    let Some(at) = DateTime::from_timestamp_micros(micros) else {
        out.push_str(if micros > 0 { "infinity" } else { "-infinity" });
        return;
    };
    let (era, year) = if at.year() > 0 { ("", at.year()) } else { (" BC", 1 - at.year()) };
    let _ = write!(out, "{year:04}-{:02}-{:02}", at.month(), at.day());
    if with_time {
        let _ = write!(out, " {:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
        fraction(micros.rem_euclid(MICROS_A_SECOND), out);
    }
    out.push_str(era);
}

fn time_text(micros: i64, out: &mut String) {
    let seconds = micros.div_euclid(MICROS_A_SECOND);
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(micros.rem_euclid(MICROS_A_SECOND), out);
}

fn fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// Microseconds of a time of day as text; 0 for what is none.
fn time_micros(text: &str) -> i64 {
    let time = chrono::NaiveTime::parse_from_str(text, "%H:%M:%S%.f").unwrap_or_default();
    i64::from(time.num_seconds_from_midnight()) * MICROS_A_SECOND + i64::from(time.nanosecond() / 1_000)
}

/// `{a,"b c",NULL}`
fn list_text(items: &Column, (from, to): (usize, usize), out: &mut String) {
    out.push('{');
    for item in from..to {
        if item > from {
            out.push(',');
        }
        if items.nulls.is_null(item) {
            out.push_str("NULL");
            continue;
        }
        let mut text = String::new();
        items.text(item, &mut text);
        let plain = !text.is_empty()
            && !text.eq_ignore_ascii_case("null")
            && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '{' | '}' | ','));
        if plain {
            out.push_str(&text);
            continue;
        }
        out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
}

/// One dimension: count of dimensions, NULL flag, item type, length, lower bound, items.
fn list_binary(items: &Column, (from, to): (usize, usize), out: &mut BytesMut) {
    // Arrays whose items have no array type are text arrays; see `types`.
    let of =
        if matches!(items.values, Values::Other(_)) && items.of != Type::JSON { Type::TEXT } else { items.of.clone() };
    let empty = from >= to;
    out.put_i32(i32::from(!empty));
    out.put_i32(i32::from((from..to).any(|item| items.nulls.is_null(item))));
    out.put_u32(of.oid());
    if empty {
        return;
    }
    out.put_i32(i32::try_from(to - from).unwrap_or(i32::MAX));
    out.put_i32(1);
    for item in from..to {
        items.put(item, true, out);
    }
}

fn uuid(text: &str, out: &mut BytesMut) {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    match hex::decode(&digits) {
        Ok(bytes) if bytes.len() == 16 => out.put_slice(&bytes),
        _ => out.put_slice(&[0; 16]),
    }
}

/// Base-10000 digits: count, weight of the first, sign, digits after the point, digits.
fn numeric(text: &str, out: &mut BytesMut) {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        // NaN is the only other value a lake text can hold.
        for word in [0_i16, 0, -16384, 0] {
            out.put_i16(word);
        }
        return;
    }
    let left = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let right = format!("{part}{}", "0".repeat((4 - part.len() % 4) % 4));
    let groups = |digits: &str| -> Vec<i16> {
        digits
            .as_bytes()
            .chunks(4)
            .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')))
            .collect()
    };
    let (mut digits, after) = (groups(&left), groups(&right));
    let mut weight = i16::try_from(digits.len()).unwrap_or(i16::MAX) - 1;
    digits.extend(after);
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or(0);
    out.put_i16(i16::try_from(digits.len()).unwrap_or(i16::MAX));
    out.put_i16(if digits.is_empty() { 0 } else { weight });
    out.put_i16(if negative && !digits.is_empty() { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(part.len()).unwrap_or(i16::MAX));
    for digit in digits {
        out.put_i16(digit);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_sent_as_groups_of_four_digits() {
        let cases: [(&str, &[i16]); 6] = [
            ("0", &[0, 0, 0, 0]),
            ("0.00", &[0, 0, 0, 2]),
            ("12345.678", &[3, 1, 0, 3, 1, 2345, 6780]),
            ("-1", &[1, 0, 0x4000, 0, 1]),
            ("0.0001", &[1, -1, 0, 4, 1]),
            ("100000000", &[1, 2, 0, 0, 1]),
        ];
        for (text, words) in cases {
            let (mut got, mut expected) = (BytesMut::new(), BytesMut::new());
            numeric(text, &mut got);
            for word in words {
                expected.put_i16(*word);
            }
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn an_array_quotes_what_would_be_read_differently() {
        let mut list = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        list.append_value([Some("a"), None, Some("NULL"), Some(""), Some("가 나"), Some("\"x\\")]);
        let array: ArrayRef = Arc::new(list.finish());
        let field = Field::new("tags", array.data_type().clone(), true);
        let mut text = String::new();
        column(&field, &array).unwrap().text(0, &mut text);
        assert_eq!(text, "{a,NULL,\"NULL\",\"\",\"가 나\",\"\\\"x\\\\\"}");
    }
}
