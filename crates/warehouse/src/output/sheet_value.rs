//! What a value is in a spreadsheet: number, truth, date, text.
//!
//! Owns: the one choice for workbooks and Google Sheets. A number is a number while a spreadsheet keeps all its digits
//! (15), a date is a date in UTC while the spreadsheet's calendar is right; everything else is text.

use arrow::{
    array::{
        ArrayRef, AsArray,
        types::{Date32Type, Time64MicrosecondType, TimestampMicrosecondType},
    },
    compute::cast,
    datatypes::{DataType, Field, TimeUnit},
    record_batch::RecordBatch,
};
use naru_base::number::f64_from;

use super::{Cell, OutputError, cells};

/// Digits that a spreadsheet keeps; it rounds the rest away.
const DIGITS_EXACT: usize = 15;
/// 1900-03-01, from which on Excel's count of days is right, and 9999-12-31, in days since 1970.
const DAYS: std::ops::RangeInclusive<i64> = -25_508..=2_932_896;
/// The number of 1970-01-01 in spreadsheets.
const EPOCH: f64 = 25_569.0;
const US_A_DAY: i64 = 86_400_000_000;

/// A cell's value.
#[derive(Debug, Clone, PartialEq)]
pub enum SheetValue {
    /// Nothing.
    Empty,
    /// A number with all its digits.
    Number(f64),
    /// TRUE or FALSE.
    Truth(bool),
    /// Days since 1899-12-30.
    Date(f64),
    /// Days and their part since then, in UTC.
    DateTime(f64),
    /// The part of a day.
    Time(f64),
    /// Text, never a formula.
    Text(String),
}

/// What a column's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Truth,
    Date,
    DateTime,
    Time,
    Text,
}

impl Kind {
    pub(super) fn of(field: &Field) -> Self {
        match field.data_type() {
            number if number.is_numeric() => Self::Number,
            DataType::Boolean => Self::Truth,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(..) => Self::DateTime,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Utf8 if field.metadata().get("naru.type").is_some_and(|mark| mark == "bignumeric") => {
                Self::Number
            }
            _ => Self::Text,
        }
    }
}

/// One column of one batch, ready to be read cell by cell.
pub struct SheetColumn {
    text: Box<dyn Cell>,
    values: Values,
}

/// Values in the one form in which they are read.
enum Values {
    Digits,
    Truth(ArrayRef),
    Days(ArrayRef),
    Moments(ArrayRef),
    Times(ArrayRef),
    Texts,
}

/// The columns of a batch.
///
/// # Errors
/// [`OutputError::Unsupported`] names a column whose type has no text form.
pub fn sheet_columns(batch: &RecordBatch) -> Result<Vec<SheetColumn>, OutputError> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).zip(cells(batch)?);
    columns.map(|((field, array), text)| SheetColumn::new(Kind::of(field), array, text)).collect()
}

impl SheetColumn {
    fn new(kind: Kind, array: &ArrayRef, text: Box<dyn Cell>) -> Result<Self, OutputError> {
        let values = match kind {
            Kind::Number => Values::Digits,
            Kind::Truth => Values::Truth(array.clone()),
            Kind::Date => Values::Days(cast(array, &DataType::Date32)?),
            Kind::DateTime => Values::Moments(cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?),
            Kind::Time => Values::Times(cast(array, &DataType::Time64(TimeUnit::Microsecond))?),
            Kind::Text => Values::Texts,
        };
        Ok(Self { text, values })
    }

    /// The value of a row.
    pub fn value(&self, row: usize) -> SheetValue {
        if self.text.is_null(row) {
            return SheetValue::Empty;
        }
        let found = match &self.values {
            Values::Digits => exact(&self.words(row)).map(SheetValue::Number),
            Values::Truth(array) => Some(SheetValue::Truth(array.as_boolean().value(row))),
            Values::Days(array) => {
                serial(i64::from(array.as_primitive::<Date32Type>().value(row)), 0).map(SheetValue::Date)
            }
            Values::Moments(array) => {
                let us = array.as_primitive::<TimestampMicrosecondType>().value(row);
                serial(us.div_euclid(US_A_DAY), us.rem_euclid(US_A_DAY)).map(SheetValue::DateTime)
            }
            Values::Times(array) => {
                Some(SheetValue::Time(part_of_day(array.as_primitive::<Time64MicrosecondType>().value(row))))
            }
            Values::Texts => None,
        };
        found.unwrap_or_else(|| SheetValue::Text(self.words(row)))
    }

    fn words(&self, row: usize) -> String {
        let mut text = String::new();
        self.text.text(row, &mut text);
        text
    }
}

/// The number that a text of digits stands for, if a spreadsheet keeps all of them. A FLOAT64 is what it is: spreadsheets
/// compute with the same numbers, and show 15 digits of them.
fn exact(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let is_float = text.contains(['e', 'E']) || text.ends_with(".0");
    let significant: String = text.chars().filter(char::is_ascii_digit).collect();
    let significant = significant.trim_start_matches('0');
    let significant = if text.contains('.') { significant.trim_end_matches('0') } else { significant };
    (is_float || significant.len() <= DIGITS_EXACT).then_some(number)
}

/// The number of a moment; `None` where Excel's calendar is wrong or ends.
fn serial(days: i64, us: i64) -> Option<f64> {
    DAYS.contains(&days).then(|| {
        let whole = f64_from(days.unsigned_abs());
        EPOCH + if days < 0 { -whole } else { whole } + part_of_day(us)
    })
}

fn part_of_day(us: i64) -> f64 {
    f64_from(us.unsigned_abs()) / f64_from(US_A_DAY.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_spreadsheet_would_round_go_as_text() {
        for (text, number) in [
            ("999999999999999", Some(999_999_999_999_999.0)),
            ("-999999999999999", Some(-999_999_999_999_999.0)),
            ("1000000000000000", None),
            ("9007199254740993", None),
            ("0.000000001", Some(1e-9)),
            ("123456789012.345", Some(123_456_789_012.345)),
            ("1234567890123.456", None),
            ("1e300", Some(1e300)),
            ("NaN", None),
            ("Infinity", None),
        ] {
            assert_eq!(exact(text), number, "{text}");
        }
    }

    #[test]
    fn a_day_before_excels_calendar_is_right_goes_as_text() {
        assert_eq!(serial(0, 0), Some(25_569.0));
        assert_eq!(serial(-25_508, 0), Some(61.0));
        assert_eq!(serial(-25_509, 0), None);
        assert_eq!(serial(20_000, US_A_DAY / 2), Some(45_569.5));
        assert_eq!(serial(2_932_897, 0), None);
    }
}
