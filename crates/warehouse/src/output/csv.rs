//! RFC 4180: header row, comma, CR LF, quotes only where needed.
//!
//! Owns: telling NULL (empty) from empty text (`""`), and the form for spreadsheets: a byte-order mark, by which Excel
//! knows that Hangul is UTF-8, and text that cannot become a formula.

use std::io::Write;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};

use super::{
    OutputError, RowWriter, cells,
    defuse::{defused, is_text},
};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Writes rows as comma-separated values.
pub struct CsvWriter<W> {
    out: W,
    line: String,
    cell: String,
    /// Columns whose text is kept from becoming a formula.
    guarded: Vec<bool>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header row.
    pub fn new(schema: SchemaRef, out: W) -> Result<Self, OutputError> {
        let guarded = vec![false; schema.fields().len()];
        Self { out, line: String::new(), cell: String::new(), guarded }.begin(&schema)
    }

    /// For a spreadsheet: a byte-order mark if asked for, then an optional line above the header row.
    pub fn for_sheets(schema: SchemaRef, mut out: W, bom: bool, note: Option<&str>) -> Result<Self, OutputError> {
        if bom {
            out.write_all(BYTE_ORDER_MARK.as_bytes())?;
        }
        let guarded = schema.fields().iter().map(|field| is_text(field)).collect();
        let mut writer = Self { out, line: String::new(), cell: String::new(), guarded };
        if let Some(note) = note {
            push(&defused(note), &mut writer.line);
            writer.line.push_str("\r\n");
        }
        writer.begin(&schema)
    }

    fn begin(mut self, schema: &SchemaRef) -> Result<Self, OutputError> {
        for (position, field) in schema.fields().iter().enumerate() {
            if position > 0 {
                self.line.push(',');
            }
            // A name is text whatever its column holds.
            let name = if self.guarded.contains(&true) { defused(field.name()) } else { field.name().into() };
            push(&name, &mut self.line);
        }
        self.line.push_str("\r\n");
        self.out.write_all(self.line.as_bytes())?;
        Ok(self)
    }
}

/// Appends a value that is not NULL.
fn push(value: &str, line: &mut String) {
    if !value.is_empty() && !value.contains([',', '"', '\r', '\n']) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for piece in value.split_inclusive('"') {
        line.push_str(piece);
        if piece.ends_with('"') {
            line.push('"');
        }
    }
    line.push('"');
}

impl<W: Write + Send> RowWriter for CsvWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let columns = cells(batch)?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (position, (column, guarded)) in columns.iter().zip(&self.guarded).enumerate() {
                if position > 0 {
                    self.line.push(',');
                }
                if !column.is_null(row) {
                    self.cell.clear();
                    column.text(row, &mut self.cell);
                    let text = if *guarded { defused(&self.cell) } else { self.cell.as_str().into() };
                    push(&text, &mut self.line);
                }
            }
            self.line.push_str("\r\n");
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        Ok(self.out.flush()?)
    }
}
