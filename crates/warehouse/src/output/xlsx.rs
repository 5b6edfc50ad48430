//! One Excel workbook with one sheet, in bounded memory.
//!
//! Owns: which value becomes which kind of cell. Numbers are numbers while Excel holds them exactly (15 digits), dates
//! are dates in UTC, everything else is text that Excel never reads as a formula. What a sheet cannot hold is an error,
//! never a shorter sheet. Source of the limits: "Excel specifications and limits".

use std::io::Write;

use arrow::{
    array::{
        ArrayRef, AsArray,
        types::{Date32Type, Time64MicrosecondType, TimestampMicrosecondType},
    },
    compute::cast,
    datatypes::{DataType, Field, SchemaRef, TimeUnit},
    record_batch::RecordBatch,
};
use naru_base::number::{f64_from, u64_from};
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};
use unicode_width::UnicodeWidthStr;

use super::{Cell, OutputError, RowWriter, cells, defuse::could_be_formula};

/// Rows of a sheet, the header's included.
pub const SHEET_ROWS_MAX: u64 = 1_048_576;
/// Columns of a sheet.
const SHEET_COLUMNS_MAX: usize = 16_384;
/// Characters (UTF-16) of a cell.
const CELL_CHARACTERS_MAX: usize = 32_767;
/// Digits that Excel keeps; it rounds the rest away.
const DIGITS_EXACT: usize = 15;
/// 1900-03-01, from which on Excel's count of days is right, and 9999-12-31, in days since 1970.
const DAYS: std::ops::RangeInclusive<i64> = -25_508..=2_932_896;
/// Excel's number of 1970-01-01.
const EPOCH: f64 = 25_569.0;
const US_A_DAY: i64 = 86_400_000_000;
const WIDTH_LEAST: usize = 8;
const WIDTH_MOST: usize = 40;

/// What a column's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Truth,
    Date,
    DateTime,
    Time,
    Text,
}

impl Kind {
    fn of(field: &Field) -> Self {
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

    fn width(self, name: &str) -> usize {
        let own = match self {
            Self::Date | Self::Time => 11,
            Self::DateTime => 20,
            Self::Number | Self::Truth | Self::Text => WIDTH_LEAST,
        };
        (name.width() + 2).clamp(own, WIDTH_MOST)
    }
}

/// How cells look.
struct Looks {
    header: Format,
    date: Format,
    date_time: Format,
    time: Format,
    /// Text that would become a formula if somebody edited the cell.
    guarded: Format,
}

impl Looks {
    fn new() -> Self {
        let number = |form: &str| Format::new().set_num_format(form);
        Self {
            header: Format::new().set_bold(),
            date: number("yyyy\\-mm\\-dd"),
            date_time: number("yyyy\\-mm\\-dd hh:mm:ss"),
            time: number("hh:mm:ss"),
            guarded: Format::new().set_quote_prefix(),
        }
    }
}

/// Writes rows into one workbook, which reaches `out` when it is finished.
pub struct XlsxWriter<W> {
    out: W,
    book: Workbook,
    kinds: Vec<Kind>,
    looks: Looks,
    /// The row that is written next.
    row: u32,
}

impl<W: Write + Send> XlsxWriter<W> {
    /// Starts the sheet with an optional line above the names of the columns.
    ///
    /// # Errors
    /// [`OutputError::SheetColumns`] beyond what a sheet holds.
    pub fn new(schema: &SchemaRef, out: W, note: Option<&str>) -> Result<Self, OutputError> {
        if schema.fields().len() > SHEET_COLUMNS_MAX {
            return Err(OutputError::SheetColumns(schema.fields().len()));
        }
        let kinds: Vec<Kind> = schema.fields().iter().map(|field| Kind::of(field)).collect();
        let (mut book, looks) = (Workbook::new(), Looks::new());
        let sheet = book.add_worksheet_with_constant_memory()?;
        for (column, (field, kind)) in (0..).zip(schema.fields().iter().zip(&kinds)) {
            let width = u32::try_from(kind.width(field.name())).unwrap_or_default();
            sheet.set_column_width(column, f64::from(width))?;
        }
        let mut row = 0;
        if let Some(note) = note {
            sheet.write_string(row, 0, note)?;
            row += 1;
        }
        for (column, field) in (0..).zip(schema.fields()) {
            check_length(field.name(), field.name())?;
            sheet.write_string_with_format(row, column, field.name(), &looks.header)?;
        }
        sheet.set_freeze_panes(row + 1, 0)?;
        Ok(Self { out, book, kinds, looks, row: row + 1 })
    }
}

impl<W: Write + Send> RowWriter for XlsxWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        if u64::from(self.row) + u64_from(batch.num_rows()) > SHEET_ROWS_MAX {
            return Err(OutputError::SheetRows);
        }
        let texts = cells(batch)?;
        let names = batch.schema_ref().fields();
        let columns = self.kinds.iter().zip(batch.columns()).zip(&texts).zip(names);
        let columns: Vec<Column<'_>> = columns
            .map(|(((kind, array), text), field)| Column::new(*kind, array, text.as_ref(), field.name()))
            .collect::<Result<_, _>>()?;
        let sheet = self.book.worksheet_from_index(0)?;
        for row in 0..batch.num_rows() {
            for (at, column) in (0..).zip(&columns) {
                column.write(sheet, (self.row, at), row, &self.looks)?;
            }
            self.row += 1;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.book.save_to_writer(&mut self.out)?;
        Ok(self.out.flush()?)
    }
}

/// One column of one batch.
struct Column<'a> {
    name: &'a str,
    text: &'a dyn Cell,
    values: Values,
}

/// Values in the one form in which they are written.
enum Values {
    Digits,
    Truth(ArrayRef),
    Days(ArrayRef),
    Moments(ArrayRef),
    Times(ArrayRef),
    Texts,
}

impl<'a> Column<'a> {
    fn new(kind: Kind, array: &ArrayRef, text: &'a dyn Cell, name: &'a str) -> Result<Self, OutputError> {
        let values = match kind {
            Kind::Number => Values::Digits,
            Kind::Truth => Values::Truth(array.clone()),
            Kind::Date => Values::Days(cast(array, &DataType::Date32)?),
            Kind::DateTime => Values::Moments(cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?),
            Kind::Time => Values::Times(cast(array, &DataType::Time64(TimeUnit::Microsecond))?),
            Kind::Text => Values::Texts,
        };
        Ok(Self { name, text, values })
    }

    fn write(&self, sheet: &mut Worksheet, at: (u32, u16), row: usize, looks: &Looks) -> Result<(), OutputError> {
        if self.text.is_null(row) {
            return Ok(());
        }
        let (line, column) = at;
        match &self.values {
            Values::Digits => return self.digits(sheet, at, row, looks),
            Values::Truth(array) => sheet.write_boolean(line, column, array.as_boolean().value(row))?,
            Values::Days(array) => {
                let days = i64::from(array.as_primitive::<Date32Type>().value(row));
                match serial(days, 0) {
                    Some(number) => sheet.write_number_with_format(line, column, number, &looks.date)?,
                    None => return self.text(sheet, at, row, looks),
                }
            }
            Values::Moments(array) => {
                let us = array.as_primitive::<TimestampMicrosecondType>().value(row);
                match serial(us.div_euclid(US_A_DAY), us.rem_euclid(US_A_DAY)) {
                    Some(number) => sheet.write_number_with_format(line, column, number, &looks.date_time)?,
                    None => return self.text(sheet, at, row, looks),
                }
            }
            Values::Times(array) => {
                let us = array.as_primitive::<Time64MicrosecondType>().value(row);
                sheet.write_number_with_format(line, column, part_of_day(us), &looks.time)?
            }
            Values::Texts => return self.text(sheet, at, row, looks),
        };
        Ok(())
    }

    /// A number if Excel keeps all its digits, else its text.
    fn digits(&self, sheet: &mut Worksheet, at: (u32, u16), row: usize, looks: &Looks) -> Result<(), OutputError> {
        let mut text = String::new();
        self.text.text(row, &mut text);
        match exact(&text) {
            Some(number) => sheet.write_number(at.0, at.1, number).map(drop).map_err(OutputError::from),
            None => self.text(sheet, at, row, looks),
        }
    }

    fn text(&self, sheet: &mut Worksheet, at: (u32, u16), row: usize, looks: &Looks) -> Result<(), OutputError> {
        let mut text = String::new();
        self.text.text(row, &mut text);
        check_length(&text, self.name)?;
        if could_be_formula(&text) {
            sheet.write_string_with_format(at.0, at.1, text, &looks.guarded)?;
        } else {
            sheet.write_string(at.0, at.1, text)?;
        }
        Ok(())
    }
}

fn check_length(text: &str, column: &str) -> Result<(), OutputError> {
    // Every character of UTF-16 takes at least one byte of UTF-8.
    if text.len() > CELL_CHARACTERS_MAX && text.encode_utf16().count() > CELL_CHARACTERS_MAX {
        return Err(OutputError::SheetText(column.to_owned()));
    }
    Ok(())
}

/// The number that a text of digits stands for, if a spreadsheet keeps all of them. A FLOAT64 is what it is: Excel
/// computes with the same numbers, and shows 15 digits of them.
pub(super) fn exact(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let is_float = text.contains(['e', 'E']) || text.ends_with(".0");
    let significant: String = text.chars().filter(char::is_ascii_digit).collect();
    let significant = significant.trim_start_matches('0');
    let significant = if text.contains('.') { significant.trim_end_matches('0') } else { significant };
    (is_float || significant.len() <= DIGITS_EXACT).then_some(number)
}

/// Excel's number of a moment; `None` where its calendar is wrong or ends.
pub(super) fn serial(days: i64, us: i64) -> Option<f64> {
    DAYS.contains(&days).then(|| {
        let whole = f64_from(days.unsigned_abs());
        EPOCH + if days < 0 { -whole } else { whole } + part_of_day(us)
    })
}

pub(super) fn part_of_day(us: i64) -> f64 {
    f64_from(us.unsigned_abs()) / f64_from(US_A_DAY.unsigned_abs())
}

impl From<XlsxError> for OutputError {
    fn from(error: XlsxError) -> Self {
        match error {
            XlsxError::IoError(error) => Self::Io(error),
            error => Self::Xlsx(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_excel_would_round_go_as_text() {
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
