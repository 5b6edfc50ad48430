//! Result rows as text and files: table, csv, json, ndjson, parquet, xlsx.
//!
//! Owns: the six formats of the contract, written to any `Write` batch by batch, never holding a whole result.
//! Never talks to a terminal: row counts, zones and progress are the caller's, on standard error.
//! Next: `cell` says how one value is written, the other files how rows are laid out.

mod cell;
mod convert;
mod csv;
mod defuse;
mod json;
mod parquet;
mod sheet_value;
mod table;
mod xlsx;

use std::{collections::HashSet, io::Write, str::FromStr};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use naru_base::Problem;

pub use cell::{Cell, cells, element};
pub use convert::convert;
pub use sheet_value::{SheetColumn, SheetValue, sheet_columns};
pub use xlsx::SHEET_ROWS_MAX;

/// A way to write result rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for eyes.
    Table,
    /// RFC 4180 with a header row; NULL empty, empty text quoted.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// One Parquet file.
    Parquet,
    /// One Excel workbook.
    Xlsx,
}

/// A file that a spreadsheet opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheetFormat {
    /// CSV in which text cannot become a formula.
    Csv {
        /// Whether it begins with a byte-order mark, which Excel needs for Hangul.
        bom: bool,
    },
    /// One Excel workbook.
    Xlsx,
}

impl Format {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Self; 6] = [Self::Table, Self::Csv, Self::Json, Self::Ndjson, Self::Parquet, Self::Xlsx];

    /// The word a user types.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Xlsx => "xlsx",
        }
    }

    /// Whether the bytes are unfit for a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Xlsx)
    }
}

impl FromStr for Format {
    type Err = Problem;

    fn from_str(word: &str) -> Result<Self, Problem> {
        Self::ALL.into_iter().find(|format| format.word() == word).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|format| format.word()).collect();
            Problem::new("output.unknown_format", format!("\"{word}\" is not an output format"))
                .hint(format!("Use one of: {}.", words.join(", ")))
        })
    }
}

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file, pipe or terminal refused bytes. A closed pipe is `ErrorKind::BrokenPipe`.
    #[error("the output could not be written")]
    Io(#[from] std::io::Error),
    /// Two columns of the result have this name.
    #[error("two result columns are named \"{0}\"")]
    DuplicateName(String),
    /// A column's type has no text form.
    #[error("column \"{column}\" has type {data_type}, which has no text form")]
    Unsupported {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// The Parquet writer failed.
    #[error("the Parquet file could not be written")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// A sheet ends before the result does.
    #[error("a sheet holds {} rows, the result has more", SHEET_ROWS_MAX)]
    SheetRows,
    /// A sheet is narrower than the result.
    #[error("a sheet holds 16,384 columns, the result has {0}")]
    SheetColumns(usize),
    /// A cell holds less than this column's longest text.
    #[error("column \"{0}\" has a text longer than the 32,767 characters of a cell")]
    SheetText(String),
    /// The workbook's writer failed.
    #[error("the workbook could not be written")]
    Xlsx(String),
    /// A batch does not fit the announced columns.
    #[error("a batch does not fit the result's columns")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl OutputError {
    /// The error as people see it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Io(error) => Problem::from_error("output.io", self.to_string(), error),
            Self::DuplicateName(name) => Problem::new("output.duplicate_name", self.to_string())
                .detail("Objects and Parquet files need one name per column.")
                .hint(format!("Give one of them another name: `... AS {name}_2`.")),
            Self::Unsupported { .. } => Problem::new("output.unsupported_type", self.to_string())
                .hint("CAST the column to STRING, or use another format."),
            Self::Parquet(error) => Problem::from_error("output.parquet", self.to_string(), error),
            Self::SheetRows => Problem::new("output.sheet_rows", self.to_string())
                .detail("One of its rows is the header.")
                .hint("Take CSV or Parquet, which hold all rows, or fewer rows."),
            Self::SheetColumns(_) => Problem::new("output.sheet_columns", self.to_string())
                .hint("Take CSV or Parquet, or name fewer columns."),
            Self::SheetText(_) => Problem::new("output.sheet_text", self.to_string())
                .hint("Take CSV or Parquet, which hold all of it, or shorten it with LEFT or SUBSTR."),
            Self::Xlsx(detail) => Problem::new("output.xlsx", self.to_string()).detail(detail),
            Self::Arrow(error) => Problem::from_error("output.batch", self.to_string(), error),
        }
    }

    /// Whether the reader went away, as `naru sql … | head` does; not an error for a command line.
    pub fn reader_went_away(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Writes one result, batch by batch.
pub trait RowWriter: Send {
    /// Writes the rows of one batch; its columns are those the writer was made with.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError>;

    /// Ends the result (closing bracket, Parquet footer, rows held back for alignment) and flushes.
    /// Nothing may be written afterwards.
    fn finish(&mut self) -> Result<(), OutputError>;
}

/// Starts writing a result with these columns.
///
/// # Errors
/// [`OutputError::DuplicateName`] for json, ndjson and parquet when two columns share a name.
pub fn writer<'a>(
    format: Format,
    schema: &SchemaRef,
    out: impl Write + Send + 'a,
) -> Result<Box<dyn RowWriter + 'a>, OutputError> {
    if matches!(format, Format::Json | Format::Ndjson | Format::Parquet) {
        refuse_duplicates(schema)?;
    }
    Ok(match format {
        Format::Table => Box::new(table::TableWriter::new(schema.clone(), out)),
        Format::Csv => Box::new(csv::CsvWriter::new(schema.clone(), out)?),
        Format::Json => Box::new(json::JsonWriter::array(schema.clone(), out)?),
        Format::Ndjson => Box::new(json::JsonWriter::lines(schema.clone(), out)),
        Format::Parquet => Box::new(parquet::ParquetRows::new(schema, out)?),
        Format::Xlsx => Box::new(xlsx::XlsxWriter::new(schema, out, None)?),
    })
}

/// Starts writing a file that a spreadsheet opens, with an optional line above the names of the columns. A workbook
/// reaches `out` as a whole when it is finished.
///
/// # Errors
/// [`OutputError::SheetColumns`] for more columns than a sheet has.
pub fn sheet_writer<'a>(
    format: SheetFormat,
    schema: &SchemaRef,
    out: impl Write + Send + 'a,
    note: Option<&str>,
) -> Result<Box<dyn RowWriter + 'a>, OutputError> {
    Ok(match format {
        SheetFormat::Csv { bom } => Box::new(csv::CsvWriter::for_sheets(schema.clone(), out, bom, note)?),
        SheetFormat::Xlsx => Box::new(xlsx::XlsxWriter::new(schema, out, note)?),
    })
}

fn refuse_duplicates(schema: &SchemaRef) -> Result<(), OutputError> {
    let mut seen = HashSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name().as_str()) {
            return Err(OutputError::DuplicateName(field.name().clone()));
        }
    }
    Ok(())
}
