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
    /// A table that does not exist.
    NoTable,
    /// A column, function or parameter that does not exist, or a name that means two things.
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

    pub(crate) fn no_table(parts: &[String]) -> Self {
        Self::new(SqlErrorKind::NoTable, format!("table \"{}\" does not exist", parts.join(".")))
    }

    /// Says which table of `known`, written `dataset.table`, may have been meant by one that does not exist.
    #[must_use]
    pub fn with_nearest_table(self, known: &[String]) -> Self {
        let name = self.message.strip_prefix("table \"").and_then(|rest| rest.strip_suffix("\" does not exist"));
        let (SqlErrorKind::NoTable, Some(name)) = (self.kind, name) else { return self };
        let parts: Vec<&str> = name.split('.').collect();
        let found = match parts.as_slice() {
            [table] => known.iter().find(|known| known.rsplit('.').next() == Some(*table)).cloned(),
            [.., dataset, table] => near(&format!("{dataset}.{table}"), known),
            [] => None,
        };
        match found {
            Some(found) => self.hint(format!("did you mean {found}?")),
            None if parts.len() == 1 => self.hint("write dataset.table"),
            None => self,
        }
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

/// The name that differs least, if by no more than a slip of the fingers.
fn near(wanted: &str, known: &[String]) -> Option<String> {
    let far = (wanted.chars().count() / 4).max(2);
    let distances = known.iter().map(|name| (strsim::osa_distance(&wanted.to_lowercase(), &name.to_lowercase()), name));
    distances.filter(|(distance, _)| *distance <= far).min().map(|(_, name)| name.clone())
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        let DataFusionError::External(cause) = error.find_root() else {
            return Self::new(SqlErrorKind::Engine, error.strip_backtrace());
        };
        let mut message = cause.to_string();
        let mut below = cause.source();
        while let Some(cause) = below {
            message = format!("{message}: {cause}");
            below = cause.source();
        }
        Self::new(SqlErrorKind::Engine, message)
    }
}

/// The result of everything in this crate that can refuse.
pub(crate) type Result<T, E = SqlError> = std::result::Result<T, E>;
