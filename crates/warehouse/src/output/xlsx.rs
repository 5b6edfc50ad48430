//! One Excel workbook with one sheet, in bounded memory.
//!
//! Owns: the sheet's looks and limits. What a sheet cannot hold is an error, never a shorter sheet. Which value becomes
//! which kind of cell is `sheet_value`'s. Source of the limits: "Excel specifications and limits".

use std::io::Write;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use naru_base::number::u64_from;
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};
use unicode_width::UnicodeWidthStr;

use super::{
    OutputError, RowWriter, SheetValue,
    defuse::could_be_formula,
    sheet_value::{Kind, sheet_columns},
};

/// Rows of a sheet, the header's included.
pub const SHEET_ROWS_MAX: u64 = 1_048_576;
/// Columns of a sheet.
const SHEET_COLUMNS_MAX: usize = 16_384;
/// Characters (UTF-16) of a cell.
const CELL_CHARACTERS_MAX: usize = 32_767;
const WIDTH_LEAST: usize = 8;
const WIDTH_MOST: usize = 40;

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
    names: Vec<String>,
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
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let (mut book, looks) = (Workbook::new(), Looks::new());
        let sheet = book.add_worksheet_with_constant_memory()?;
        for (column, field) in (0..).zip(schema.fields()) {
            let width = u32::try_from(width(Kind::of(field), field.name())).unwrap_or_default();
            sheet.set_column_width(column, f64::from(width))?;
        }
        let mut row = 0;
        if let Some(note) = note {
            sheet.write_string(row, 0, note)?;
            row += 1;
        }
        for (column, name) in (0..).zip(&names) {
            check_length(name, name)?;
            sheet.write_string_with_format(row, column, name, &looks.header)?;
        }
        sheet.set_freeze_panes(row + 1, 0)?;
        Ok(Self { out, book, names, looks, row: row + 1 })
    }
}

impl<W: Write + Send> RowWriter for XlsxWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        if u64::from(self.row) + u64_from(batch.num_rows()) > SHEET_ROWS_MAX {
            return Err(OutputError::SheetRows);
        }
        let columns = sheet_columns(batch)?;
        let sheet = self.book.worksheet_from_index(0)?;
        for row in 0..batch.num_rows() {
            for ((at, column), name) in (0..).zip(&columns).zip(&self.names) {
                put(sheet, (self.row, at), column.value(row), name, &self.looks)?;
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

fn put(sheet: &mut Worksheet, at: (u32, u16), value: SheetValue, name: &str, looks: &Looks) -> Result<(), OutputError> {
    let (row, column) = at;
    match value {
        SheetValue::Empty => {}
        SheetValue::Number(number) => drop(sheet.write_number(row, column, number)?),
        SheetValue::Truth(truth) => drop(sheet.write_boolean(row, column, truth)?),
        SheetValue::Date(days) => drop(sheet.write_number_with_format(row, column, days, &looks.date)?),
        SheetValue::DateTime(days) => drop(sheet.write_number_with_format(row, column, days, &looks.date_time)?),
        SheetValue::Time(part) => drop(sheet.write_number_with_format(row, column, part, &looks.time)?),
        SheetValue::Text(text) => {
            check_length(&text, name)?;
            if could_be_formula(&text) {
                sheet.write_string_with_format(row, column, text, &looks.guarded)?;
            } else {
                sheet.write_string(row, column, text)?;
            }
        }
    }
    Ok(())
}

fn width(kind: Kind, name: &str) -> usize {
    let own = match kind {
        Kind::Date | Kind::Time => 11,
        Kind::DateTime => 20,
        Kind::Number | Kind::Truth | Kind::Text => WIDTH_LEAST,
    };
    (name.width() + 2).clamp(own, WIDTH_MOST)
}

fn check_length(text: &str, column: &str) -> Result<(), OutputError> {
    // Every character of UTF-16 takes at least one byte of UTF-8.
    if text.len() > CELL_CHARACTERS_MAX && text.encode_utf16().count() > CELL_CHARACTERS_MAX {
        return Err(OutputError::SheetText(column.to_owned()));
    }
    Ok(())
}

impl From<XlsxError> for OutputError {
    fn from(error: XlsxError) -> Self {
        match error {
            XlsxError::IoError(error) => Self::Io(error),
            error => Self::Xlsx(error.to_string()),
        }
    }
}
