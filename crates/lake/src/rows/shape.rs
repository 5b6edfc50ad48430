//! The columns that rows must have, compiled once per schema.
//!
//! Owns: the text of GoogleSQL types as a tree, how each is stored in the lake, and [`RowShape`]. Never reads a row.

use std::{collections::HashMap, fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef, TimeUnit};
use naru_base::Problem;
use unicode_normalization::UnicodeNormalization as _;

use super::{build::RowBuilder, fault::Fault};
use crate::{
    column::{Column, NaruType},
    schema,
};

/// The column for fields that are no column.
pub const EXTRA: &str = "_extra";

/// Digits of a NUMERIC.
pub(super) const NUMERIC_DIGITS: u8 = 38;
/// Those behind the point.
pub(super) const NUMERIC_SCALE: i8 = 9;

/// ARRAY and STRUCT within each other in one column's type.
const TYPE_DEPTH_MAX: usize = 16;

/// What happens to fields that are no column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are kept, at their place and with their exact text, in the JSON column [`EXTRA`].
    Extra,
    /// The row is a fault.
    Reject,
    /// As `Extra`, and those of the top level are reported, so that they can become columns.
    Evolve,
}

/// One declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct RowColumn {
    /// As the lake stores it.
    pub column: Column,
    /// Whether a row without a value is a fault.
    pub required: bool,
    /// The GoogleSQL type in upper case, for example `ARRAY<STRUCT<a INT64>>`.
    pub sql_type: String,
}

impl RowColumn {
    /// A column stored the way the lake stores `sql_type`. NULL is allowed in the table even where a row needs a value,
    /// so that a requirement can be lifted later.
    ///
    /// # Errors
    /// [`ShapeError::Type`] for a type that is none.
    pub fn new(name: &str, sql_type: &str, required: bool) -> Result<Self, ShapeError> {
        let kind = Kind::of(name, sql_type)?;
        let (data_type, naru_type) = kind.storage();
        let mut column = Column::new(name, data_type);
        column.naru_type = naru_type;
        Ok(Self { column, required, sql_type: kind.to_string() })
    }
}

/// Columns that rows cannot be checked against.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// The type's text is no type.
    #[error("column \"{column}\" has the type \"{sql_type}\", which is none")]
    Type {
        /// The column.
        column: String,
        /// The text.
        sql_type: String,
    },
    /// The lake stores the column as something else.
    #[error("column \"{column}\" is stored as {stored}, not as {sql_type}")]
    Stored {
        /// The column.
        column: String,
        /// Its GoogleSQL type.
        sql_type: String,
        /// The Arrow type it is stored as.
        stored: String,
    },
    /// Two names that are the same to SQL.
    #[error("\"{name}\" stands twice (case does not count)")]
    Twice {
        /// The second one.
        name: String,
    },
}

impl ShapeError {
    /// What a person is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Type { .. } => Problem::new("row.unknown_type", self.to_string())
                .hint("types are STRING, INT64, FLOAT64, NUMERIC, BIGNUMERIC, BOOL, BYTES, DATE, DATETIME, TIME, TIMESTAMP, JSON, ARRAY<…> and STRUCT<name TYPE, …>."),
            Self::Stored { .. } => Problem::new("row.stored_differently", self.to_string())
                .hint("a column's type changes by widening or under a new name."),
            Self::Twice { .. } => {
                Problem::new("row.duplicate_column", self.to_string()).hint("rename or remove one of them.")
            }
        }
    }
}

/// What rows are checked against. Clones are the same.
#[derive(Debug, Clone)]
pub struct RowShape {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) names: Arc<Names>,
    pub(super) kinds: Vec<Kind>,
    /// Indices of the columns that need a value.
    pub(super) required: Vec<usize>,
    pub(super) unknown: Unknown,
    columns: Vec<Column>,
    pub(super) schema: SchemaRef,
}

impl RowShape {
    /// Compiles the declared columns.
    ///
    /// # Errors
    /// When a type is none, is not what the lake stores the column as, or a name stands twice.
    pub fn new(declared: Vec<RowColumn>, unknown: Unknown) -> Result<Self, ShapeError> {
        let mut kinds = Vec::with_capacity(declared.len());
        for row in &declared {
            let kind = Kind::of(&row.column.name, &row.sql_type)?;
            if kind.storage() != (row.column.data_type.clone(), row.column.naru_type) {
                return Err(ShapeError::Stored {
                    column: row.column.name.clone(),
                    sql_type: row.sql_type.clone(),
                    stored: row.column.data_type.to_string(),
                });
            }
            kinds.push(kind);
        }
        let extra = (unknown != Unknown::Reject).then_some(EXTRA);
        let names = Names::of(declared.iter().map(|row| row.column.name.as_str()), extra)?;
        let required = declared.iter().enumerate().filter(|(_, row)| row.required).map(|(at, _)| at).collect();
        let mut columns: Vec<Column> = declared.into_iter().map(|row| row.column).collect();
        columns.extend(extra.map(|name| Column::new(name, DataType::Utf8).with_type(NaruType::Json)));
        let schema = schema::arrow_schema(&columns);
        let inner = Inner { names: Arc::new(names), kinds, required, unknown, columns, schema };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The columns of the batches: the declared ones in their order, then [`EXTRA`] unless unknown fields are refused.
    pub fn columns(&self) -> &[Column] {
        &self.inner.columns
    }

    /// Checks one row and keeps nothing. For many rows, [`RowBuilder::check`] uses its memory again.
    ///
    /// # Errors
    /// The first fault in the row's own order.
    pub fn check(&self, json: &[u8]) -> Result<(), Fault> {
        RowBuilder::new(self).check(json)
    }
}

/// A type as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(Scalar),
    Array(Box<Kind>),
    Struct(Arc<Names>, Vec<Kind>),
}

/// A type without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    String,
    Int64,
    Float64,
    Numeric,
    Bignumeric,
    Bool,
    Bytes,
    Date,
    Datetime,
    Time,
    Timestamp,
    Json,
}

const SCALARS: [Scalar; 12] = [
    Scalar::String,
    Scalar::Int64,
    Scalar::Float64,
    Scalar::Numeric,
    Scalar::Bignumeric,
    Scalar::Bool,
    Scalar::Bytes,
    Scalar::Date,
    Scalar::Datetime,
    Scalar::Time,
    Scalar::Timestamp,
    Scalar::Json,
];

impl Scalar {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Int64 => "INT64",
            Self::Float64 => "FLOAT64",
            Self::Numeric => "NUMERIC",
            Self::Bignumeric => "BIGNUMERIC",
            Self::Bool => "BOOL",
            Self::Bytes => "BYTES",
            Self::Date => "DATE",
            Self::Datetime => "DATETIME",
            Self::Time => "TIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Json => "JSON",
        }
    }

    /// CONTRACTS "Tables on disk".
    fn storage(self) -> (DataType, Option<NaruType>) {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        match self {
            Self::String => (DataType::Utf8, None),
            Self::Int64 => (DataType::Int64, None),
            Self::Float64 => (DataType::Float64, None),
            Self::Numeric => (DataType::Decimal128(NUMERIC_DIGITS, NUMERIC_SCALE), None),
            Self::Bignumeric => (DataType::Utf8, Some(NaruType::Bignumeric)),
            Self::Bool => (DataType::Boolean, None),
            Self::Bytes => (DataType::Binary, None),
            Self::Date => (DataType::Date32, None),
            Self::Datetime => (utc, Some(NaruType::Datetime)),
            Self::Time => (DataType::Utf8, Some(NaruType::Time)),
            Self::Timestamp => (utc, None),
            Self::Json => (DataType::Utf8, Some(NaruType::Json)),
        }
    }
}

impl Kind {
    fn of(column: &str, text: &str) -> Result<Self, ShapeError> {
        let mut rest = text;
        let wrong = || ShapeError::Type { column: column.to_owned(), sql_type: text.to_owned() };
        let kind = parse(&mut rest, 0)?.ok_or_else(wrong)?;
        if rest.trim().is_empty() { Ok(kind) } else { Err(wrong()) }
    }

    /// The Arrow type of stored values, and what it does not say. A mark on a list is about its elements; marks of a
    /// STRUCT's fields stand on the fields.
    pub(super) fn storage(&self) -> (DataType, Option<NaruType>) {
        match self {
            Self::Scalar(scalar) => scalar.storage(),
            Self::Array(item) => {
                let (inner, mark) = item.storage();
                (DataType::List(Arc::new(Field::new("element", inner, true))), mark)
            }
            Self::Struct(names, kinds) => {
                let fields: Fields = names.list.iter().zip(kinds).map(|(name, kind)| kind.field(name)).collect();
                (DataType::Struct(fields), None)
            }
        }
    }

    fn field(&self, name: &str) -> FieldRef {
        let (data_type, mark) = self.storage();
        let field = Field::new(name, data_type, true);
        Arc::new(match schema::type_word(mark) {
            Some(word) => field.with_metadata([(schema::TYPE.to_owned(), word)].into()),
            None => field,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.name()),
            Self::Array(item) => write!(f, "ARRAY<{item}>"),
            Self::Struct(names, kinds) => {
                f.write_str("STRUCT<")?;
                for (at, (name, kind)) in names.list.iter().zip(kinds).enumerate() {
                    write!(f, "{}{name} {kind}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str(">")
            }
        }
    }
}

/// `None`: no type stands here.
fn parse(rest: &mut &str, depth: usize) -> Result<Option<Kind>, ShapeError> {
    let word = word(rest).to_ascii_uppercase();
    if depth > TYPE_DEPTH_MAX {
        return Ok(None);
    }
    Ok(match word.as_str() {
        "ARRAY" => {
            let Some(item) = take(rest, '<').then(|| parse(rest, depth + 1)).transpose()?.flatten() else {
                return Ok(None);
            };
            let sound = take(rest, '>') && !matches!(item, Kind::Array(_));
            sound.then(|| Kind::Array(Box::new(item)))
        }
        "STRUCT" => {
            let (mut names, mut kinds) = (Vec::new(), Vec::new());
            let mut more = take(rest, '<');
            while more {
                names.push(self::word(rest));
                let Some(kind) = parse(rest, depth + 1)? else { return Ok(None) };
                kinds.push(kind);
                more = take(rest, ',');
            }
            let sound = !kinds.is_empty() && take(rest, '>') && names.iter().all(|name| !name.is_empty());
            sound.then(|| Ok(Kind::Struct(Arc::new(Names::of(names, None)?), kinds))).transpose()?
        }
        word => SCALARS.into_iter().find(|scalar| scalar.name() == word).map(Kind::Scalar),
    })
}

fn word<'t>(rest: &mut &'t str) -> &'t str {
    let text = rest.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    *rest = after;
    word
}

fn take(rest: &mut &str, letter: char) -> bool {
    let after = rest.trim_start().strip_prefix(letter);
    if let Some(after) = after {
        *rest = after;
    }
    after.is_some()
}

/// The names of a row's columns or of a STRUCT's fields, to find by what a sender writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) list: Vec<String>,
    /// By [`folded`] name.
    index: HashMap<String, usize>,
}

impl Names {
    fn of<'n>(names: impl IntoIterator<Item = &'n str>, reserved: Option<&str>) -> Result<Self, ShapeError> {
        let (mut list, mut index) = (Vec::new(), HashMap::new());
        for name in names {
            let twice = index.insert(folded(name), list.len()).is_some();
            if twice || reserved.is_some_and(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return Err(ShapeError::Twice { name: name.to_owned() });
            }
            list.push(name.to_owned());
        }
        Ok(Self { list, index })
    }

    pub(super) fn get(&self, at: usize) -> &str {
        self.list.get(at).map_or("", String::as_str)
    }

    /// The column that a sender means by `name`: case and Unicode composition do not count.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let plain = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        let found = self.index.get(name).copied();
        if plain { found } else { found.or_else(|| self.index.get(&folded(name)).copied()) }
    }
}

/// A name as it is compared.
fn folded(name: &str) -> String {
    if name.is_ascii() { name.to_ascii_lowercase() } else { name.nfc().collect::<String>().to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_text_and_one_storage() {
        for text in ["STRING", "ARRAY<TIME>", "STRUCT<a INT64, 나이 ARRAY<STRUCT<b JSON>>>"] {
            assert_eq!(RowColumn::new("c", text, false).unwrap().sql_type, text);
        }
        let nested = RowColumn::new("c", "struct<t time, d array<datetime>>", false).unwrap().column;
        let DataType::Struct(fields) = &nested.data_type else { panic!("no struct") };
        let marks: Vec<_> = fields.iter().map(|field| field.metadata().get("naru.type").cloned()).collect();
        assert_eq!(marks, [Some("time".to_owned()), Some("datetime".to_owned())]);
        for text in
            ["", "TEXT", "ARRAY", "ARRAY<", "ARRAY<ARRAY<INT64>>", "STRUCT<>", "STRUCT<a>", "INT64 x", "STRUCT<a INT64"]
        {
            assert!(matches!(RowColumn::new("c", text, false), Err(ShapeError::Type { .. })), "{text}");
        }
        assert!(RowColumn::new("c", &"STRUCT<a ".repeat(9_999), false).is_err());
        assert!(matches!(RowColumn::new("c", "STRUCT<a INT64, A INT64>", false), Err(ShapeError::Twice { .. })));
    }

    #[test]
    fn a_shape_that_the_table_does_not_have_is_refused() {
        let wrong = RowColumn { sql_type: "DATE".into(), ..RowColumn::new("c", "STRING", false).unwrap() };
        assert!(matches!(RowShape::new(vec![wrong], Unknown::Extra), Err(ShapeError::Stored { .. })));
        let extra = || vec![RowColumn::new("_Extra", "STRING", false).unwrap()];
        assert!(matches!(RowShape::new(extra(), Unknown::Extra), Err(ShapeError::Twice { .. })));
        assert!(RowShape::new(extra(), Unknown::Reject).is_ok());
    }
}
