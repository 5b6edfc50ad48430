//! Aligned columns for eyes.
//!
//! Owns: widths. Hangul and other wide characters take two columns of a terminal. The first rows decide the widths;
//! a longer result goes on with them, so memory stays bounded and a long cell only shifts its own line.

use std::io::Write;

use arrow::{
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
};
use unicode_width::UnicodeWidthStr;

use super::{OutputError, RowWriter, cells};

/// Rows that decide the widths.
const SAMPLE_ROWS: usize = 1_000;
/// A wider cell does not widen its column.
const COLUMN_WIDTH_MAX: usize = 120;
const NULL: &str = "NULL";

/// Writes rows in aligned columns.
pub struct TableWriter<W> {
    schema: SchemaRef,
    out: W,
    held: Vec<Vec<String>>,
    /// Known once the header is written.
    widths: Option<Vec<usize>>,
}

impl<W: Write> TableWriter<W> {
    /// Nothing is written until the widths are known.
    pub fn new(schema: SchemaRef, out: W) -> Self {
        Self { schema, out, held: Vec::new(), widths: None }
    }

    fn begin(&mut self) -> Result<(), OutputError> {
        let names: Vec<String> = self.schema.fields().iter().map(|field| one_line(field.name())).collect();
        let mut widths: Vec<usize> = names.iter().map(|name| name.width()).collect();
        for row in &self.held {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width().min(COLUMN_WIDTH_MAX));
            }
        }
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        self.line(&names, &widths)?;
        writeln!(self.out, "{}", rule.join("─┼─"))?;
        for row in std::mem::take(&mut self.held) {
            self.line(&row, &widths)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    fn line(&mut self, row: &[String], widths: &[usize]) -> Result<(), OutputError> {
        let mut line = String::new();
        let last = row.len().saturating_sub(1);
        for (position, (cell, field)) in row.iter().zip(self.schema.fields()).enumerate() {
            let width = widths.get(position).copied().unwrap_or(0);
            let room = " ".repeat(width.saturating_sub(cell.width()));
            let right = is_number(field.data_type());
            if position > 0 {
                line.push_str(" │ ");
            }
            if right {
                line.push_str(&room);
            }
            line.push_str(cell);
            if !right && position < last {
                line.push_str(&room);
            }
        }
        Ok(writeln!(self.out, "{line}")?)
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// A terminal line holds one row: line ends and tabs are shown as symbols, other control characters, which could
/// drive the terminal, as the replacement character.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '↵',
            '\t' => '→',
            '\r' => '␍',
            c if c.is_control() => '\u{FFFD}',
            c => c,
        })
        .collect()
}

impl<W: Write + Send> RowWriter for TableWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let columns = cells(batch)?;
        for row in 0..batch.num_rows() {
            let mut line = Vec::with_capacity(columns.len());
            for column in &columns {
                if column.is_null(row) {
                    line.push(NULL.to_owned());
                } else {
                    let mut text = String::new();
                    column.text(row, &mut text);
                    line.push(one_line(&text));
                }
            }
            if let Some(widths) = self.widths.clone() {
                self.line(&line, &widths)?;
                continue;
            }
            self.held.push(line);
            if self.held.len() >= SAMPLE_ROWS {
                self.begin()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if self.widths.is_none() {
            self.begin()?;
        }
        Ok(self.out.flush()?)
    }
}
