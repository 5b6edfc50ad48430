//! RFC 4180: header row, comma, CR LF, quotes only where needed.
//!
//! Owns: telling NULL (empty) from empty text (`""`). Never writes a byte-order mark.

use std::io::Write;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};

use super::{OutputError, RowWriter, cells};

/// Writes rows as comma-separated values.
pub struct CsvWriter<W> {
    out: W,
    line: String,
    cell: String,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header row.
    pub fn new(schema: SchemaRef, out: W) -> Result<Self, OutputError> {
        let mut writer = Self { out, line: String::new(), cell: String::new() };
        for (position, field) in schema.fields().iter().enumerate() {
            if position > 0 {
                writer.line.push(',');
            }
            push(field.name(), &mut writer.line);
        }
        writer.line.push_str("\r\n");
        writer.out.write_all(writer.line.as_bytes())?;
        Ok(writer)
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
            for (position, column) in columns.iter().enumerate() {
                if position > 0 {
                    self.line.push(',');
                }
                if !column.is_null(row) {
                    self.cell.clear();
                    column.text(row, &mut self.cell);
                    push(&self.cell, &mut self.line);
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
