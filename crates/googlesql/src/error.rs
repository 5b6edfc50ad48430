//! The one error of this crate: what is wrong in a statement, where, and the nearest form that works.

use std::fmt;

use datafusion::error::DataFusionError;
use sqlparser::tokenizer::{Location, Span};

/// What sort of mistake it is; stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlErrorKind {
    /// The text is not GoogleSQL.
    Syntax,
    /// GoogleSQL, or nearly, but not built here; refused instead of guessed.
    Unsupported,
    /// A table, column, function or parameter that does not exist, or a name that means two things.
    Name,
    /// Types that do not go together.
    Type,
    /// The engine below refused the plan.
    Engine,
}

/// A statement that cannot be answered.
///
/// Lines and columns count from 1, in characters of the text given to [`crate::parse`]; both are 0 where
/// the place is not known. Never holds row values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SqlError {
    /// What sort of mistake it is.
    pub kind: SqlErrorKind,
    /// What is wrong; lowercase, without a full stop.
    pub message: String,
    /// Line, from 1; 0 if unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 if unknown.
    pub column: usize,
    /// What to write instead, in a sentence.
    pub hint: Option<String>,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if self.line > 0 {
            write!(f, " at {}:{}", self.line, self.column)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl SqlError {
    pub(crate) fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), line: 0, column: 0, hint: None }
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Syntax, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Unsupported, message)
    }

    pub(crate) fn name(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Name, message)
    }

    pub(crate) fn typed(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Type, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the place unless an inner part already did.
    pub(crate) fn at(mut self, span: Span) -> Self {
        if self.line == 0 {
            self.set_place(span.start);
        }
        self
    }

    pub(crate) fn set_place(&mut self, place: Location) {
        self.line = usize::try_from(place.line).unwrap_or(0);
        self.column = usize::try_from(place.column).unwrap_or(0);
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        Self::new(SqlErrorKind::Engine, error.strip_backtrace())
    }
}

/// The result of everything in this crate that can refuse.
pub(crate) type Result<T, E = SqlError> = std::result::Result<T, E>;
