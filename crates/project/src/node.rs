//! A tree of values with their positions: what TOML and YAML have in common.
//!
//! Owns: [`Node`], [`Value`], [`Entry`]. Never knows a setting.
//! Read next: [`crate::toml_text`] and [`crate::yaml_text`] make it, [`crate::section`] reads it.

use std::ops::Range;

/// A value and the bytes it stands on.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// One `key = value`, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

/// A value of either format.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Text(String),
    /// A whole number, as decimal text: YAML and TOML both allow more than 64 bits to be written.
    Integer(String),
    /// A number with a fraction, as text.
    Float(String),
    Boolean(bool),
    /// TOML's date and time literals, which no setting takes.
    Moment,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

impl Value {
    /// The kind of value in a reader's words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::Moment => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}
