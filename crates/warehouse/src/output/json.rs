//! Rows as JSON objects in column order: one array, or one object a line.
//!
//! Owns: brackets, commas and names. Values are `cell`'s.

use std::io::Write;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};

use super::{
    OutputError, RowWriter,
    cell::{json_or_null, json_string},
    cells,
};

/// Writes rows as JSON.
pub struct JsonWriter<W> {
    out: W,
    /// `"name":` of every column.
    names: Vec<String>,
    array: bool,
    rows: u64,
    line: String,
}

impl<W: Write> JsonWriter<W> {
    /// One array of objects, a row a line; `[]` without rows.
    pub fn array(schema: SchemaRef, mut out: W) -> Result<Self, OutputError> {
        out.write_all(b"[")?;
        Ok(Self { array: true, ..Self::lines(schema, out) })
    }

    /// One object a line.
    pub fn lines(schema: SchemaRef, out: W) -> Self {
        let names = schema
            .fields()
            .iter()
            .map(|field| {
                let mut name = String::new();
                json_string(field.name(), &mut name);
                name.push(':');
                name
            })
            .collect();
        Self { out, names, array: false, rows: 0, line: String::new() }
    }
}

impl<W: Write + Send> RowWriter for JsonWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let columns = cells(batch)?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            if self.array {
                self.line.push_str(if self.rows == 0 { "\n" } else { ",\n" });
            }
            self.line.push('{');
            for (position, (name, column)) in self.names.iter().zip(&columns).enumerate() {
                if position > 0 {
                    self.line.push(',');
                }
                self.line.push_str(name);
                json_or_null(column.as_ref(), row, &mut self.line);
            }
            self.line.push('}');
            if !self.array {
                self.line.push('\n');
            }
            self.out.write_all(self.line.as_bytes())?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if self.array {
            self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        Ok(self.out.flush()?)
    }
}
