//! Everything a query can fail with, and what a person is told about it.
//!
//! Owns: [`WarehouseError`], its one translation to [`Problem`], and the reading of the engine's errors.
//! Never shows row values: the engine quotes the value that did not fit, here only the kind of mistake is kept.

use std::sync::Arc;

use datafusion::{arrow::error::ArrowError, common::SchemaError, error::DataFusionError};
use naru_base::{Problem, problem::chain};
use naru_googlesql::{SqlError, SqlErrorKind};
use naru_lake::LakeError;

const SPILL_LIMIT: &str = "Queries may write as much as `[sql] spill` in naru.toml says.";

/// A failed query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WarehouseError {
    /// The SQL is wrong, or asks for what is not built.
    #[error("{0}")]
    Sql(#[from] SqlError),
    /// The statement is understood and not allowed here.
    #[error("{statement} is not possible in a SQL session")]
    Refused {
        /// The statement's words.
        statement: String,
        /// What to do instead.
        hint: String,
    },
    /// The text holds no statement.
    #[error("there is no statement to run")]
    Empty,
    /// The memory pool was exhausted, spilling included.
    #[error("the query needs more memory than it may use")]
    OutOfMemory {
        /// The pool's size in bytes.
        limit: usize,
        /// What asked last, as the engine says it.
        detail: String,
    },
    /// The spill folder is full, or has reached its limit.
    #[error("the query filled the spill folder")]
    SpillFull(String),
    /// A value made an operation fail: division by zero, overflow, a cast.
    #[error("{0}")]
    Value(String),
    /// It took longer than a statement may.
    #[error("the query took longer than its limit of {} s", .0.as_secs_f64())]
    TimedOut(std::time::Duration),
    /// Somebody stopped the query.
    #[error("the query was cancelled")]
    Cancelled,
    /// The lake could not give the rows.
    #[error("a table could not be read")]
    Lake(#[source] Arc<LakeError>),
    /// A zone nobody knows.
    #[error("\"{0}\" is not a time zone")]
    TimeZone(String),
    /// Somebody took the right to a table back while it was read.
    #[error("the right to read this was taken back")]
    RightTaken,
    /// What is asked cannot be written down, so it is not answered.
    #[error("{}", .0.summary)]
    Audit(Box<Problem>),
    /// The machine did not give what the warehouse needs at its start.
    #[error("the warehouse could not start")]
    Start(String),
    /// The engine failed in a way that is not the query's fault.
    #[error("the query engine failed")]
    Engine(String),
}

impl WarehouseError {
    /// The error as people see it. Line and column of a mistake in SQL are part of the summary.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Sql(error) => sql_problem(error),
            Self::Refused { hint, .. } => Problem::new("sql.refused", self.to_string()).hint(hint),
            Self::Empty => Problem::new("sql.empty", self.to_string()).hint("Write a query, for example `SELECT 1`."),
            Self::OutOfMemory { limit, detail } => Problem::new("sql.out_of_memory", self.to_string())
                .detail(format!("It may hold {} MiB, together with what runs beside it, and could not spill the rest: {detail}", limit >> 20))
                .hint("Read fewer columns or rows, aggregate before joining, or raise `[sql] memory` in naru.toml (for a mart also its `limits: {memory: …}`)."),
            Self::SpillFull(detail) => Problem::new("sql.spill_full", self.to_string())
                .detail(detail)
                .hint("Read fewer rows, raise `[sql] spill` in naru.toml, or free space on the disk of the project's .naru folder.")
                .later(),
            Self::Value(what) => Problem::new("sql.value", what.clone())
                .hint("Use the SAFE form (SAFE_CAST, SAFE_DIVIDE, SAFE.function) to get NULL instead."),
            Self::TimedOut(_) => Problem::new("sql.timed_out", self.to_string()).hint(
                "Read fewer rows, or make a mart of it. The limit is `[sql] timeout` in naru.toml or the session's statement_timeout.",
            ),
            Self::Cancelled => Problem::new("sql.cancelled", self.to_string()),
            Self::Lake(error) => error.problem(),
            Self::TimeZone(_) => Problem::new("sql.time_zone", self.to_string())
                .hint("Use a name such as UTC or Asia/Seoul."),
            Self::RightTaken => Problem::new("access.right_taken", self.to_string())
                .hint("`naru access why WHO TABLE` shows what is granted now."),
            Self::Audit(problem) => problem.as_ref().clone(),
            Self::Start(detail) => Problem::new("sql.start", self.to_string()).detail(detail),
            Self::Engine(detail) => Problem::new("sql.engine", self.to_string()).detail(detail),
        }
    }

    /// Line and column in the SQL text, from 1, where the mistake has a place.
    pub fn place(&self) -> Option<(usize, usize)> {
        match self {
            Self::Sql(error) if error.line > 0 => Some((error.line, error.column)),
            _ => None,
        }
    }

    /// Reads an error of the engine. `limit` is the pool's size in bytes.
    pub(crate) fn of_engine(error: &DataFusionError, limit: usize) -> Self {
        if let Some(own) = own_error(error) {
            return own;
        }
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::of_engine(inner, limit),
            DataFusionError::Shared(inner) => Self::of_engine(inner, limit),
            DataFusionError::Collection(all) => {
                all.first().map_or_else(|| Self::Engine(String::new()), |first| Self::of_engine(first, limit))
            }
            DataFusionError::ArrowError(error, _) => of_arrow(error, limit),
            DataFusionError::External(error) => match error.downcast_ref::<ArrowError>() {
                Some(arrow) => of_arrow(arrow, limit),
                None => Self::Engine(chain(error.as_ref())),
            },
            DataFusionError::ResourcesExhausted(detail) => exhausted(detail, limit),
            DataFusionError::IoError(error) => of_io(error),
            DataFusionError::Execution(text) => Self::Value(without_values(text)),
            DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
                SchemaError::DuplicateUnqualifiedField { name } | SchemaError::DuplicateQualifiedField { name, .. } => {
                    Self::Value(format!("two result columns are named \"{name}\""))
                }
                other => Self::Engine(other.to_string()),
            },
            other => Self::Engine(other.strip_backtrace()),
        }
    }
}

/// An error of ours that travelled through the engine.
fn own_error(error: &DataFusionError) -> Option<WarehouseError> {
    let DataFusionError::External(inner) = error.find_root() else { return None };
    if let Some(own) = inner.downcast_ref::<WarehouseError>() {
        return Some(own.clone());
    }
    inner.downcast_ref::<Arc<WarehouseError>>().map(|own| own.as_ref().clone())
}

fn exhausted(detail: &str, limit: usize) -> WarehouseError {
    // The disk manager reports its own limit as exhausted resources too.
    if detail.contains("disk") {
        WarehouseError::SpillFull(SPILL_LIMIT.to_owned())
    } else {
        WarehouseError::OutOfMemory { limit, detail: detail.lines().next().unwrap_or_default().to_owned() }
    }
}

/// Reads an error of reading or writing; the limit on spilling comes as one too.
fn of_io(error: &std::io::Error) -> WarehouseError {
    let text = error.to_string();
    if error.kind() == std::io::ErrorKind::StorageFull {
        WarehouseError::SpillFull(text)
    } else if text.contains("during the spilling process") {
        WarehouseError::SpillFull(SPILL_LIMIT.to_owned())
    } else {
        WarehouseError::Engine(text)
    }
}

fn of_arrow(error: &ArrowError, limit: usize) -> WarehouseError {
    match error {
        ArrowError::DivideByZero => WarehouseError::Value("division by zero".to_owned()),
        ArrowError::ArithmeticOverflow(_) => WarehouseError::Value("a number is too large for its type".to_owned()),
        ArrowError::CastError(text) | ArrowError::ParseError(text) | ArrowError::ComputeError(text) => {
            WarehouseError::Value(without_values(text))
        }
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(engine) => WarehouseError::of_engine(engine, limit),
            None => WarehouseError::Engine(chain(inner.as_ref())),
        },
        ArrowError::IoError(_, inner) => of_io(inner),
        ArrowError::OffsetOverflowError(_) => {
            WarehouseError::Value("a column of one batch holds more than 2 GiB of text".to_owned())
        }
        other => WarehouseError::Engine(other.to_string()),
    }
}

/// Drops what stands in quotes, which is where the engine puts the value at fault, and anything after a line end.
pub(crate) fn without_values(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut kept = String::new();
    let mut open: Option<char> = None;
    for c in line.chars() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"' | '`') => {
                open = Some(c);
                kept.push('…');
            }
            None => kept.push(c),
        }
    }
    // INT64 stays INT64.
    if kept.chars().nth(1).is_some_and(|second| !second.is_lowercase()) {
        return kept;
    }
    let mut chars = kept.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn sql_problem(error: &SqlError) -> Problem {
    let code = match error.kind {
        SqlErrorKind::Syntax => "sql.syntax",
        SqlErrorKind::Unsupported => "sql.unsupported",
        SqlErrorKind::NoTable => "sql.no_table",
        SqlErrorKind::Name => "sql.name",
        SqlErrorKind::Type => "sql.type",
        SqlErrorKind::Engine => "sql.engine",
    };
    let place = if error.line > 0 { format!(" at {}:{}", error.line, error.column) } else { String::new() };
    let problem = Problem::new(code, format!("{}{place}", error.message));
    match &error.hint {
        Some(hint) => problem.hint(hint.clone()),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_the_kind_of_mistake_and_drops_the_value() {
        let error = DataFusionError::ArrowError(
            Box::new(ArrowError::CastError("Cannot cast string 'kim@example.com' to value of Int64 type".to_owned())),
            None,
        );
        let problem = WarehouseError::of_engine(&error, 1).problem();
        assert_eq!(problem.summary, "cannot cast string … to value of Int64 type");
    }

    #[test]
    fn the_name_of_a_type_keeps_its_letters() {
        let error = DataFusionError::Execution("INT64 overflow in SUM".to_owned());
        assert_eq!(WarehouseError::of_engine(&error, 1).problem().summary, "INT64 overflow in SUM");
    }

    #[test]
    fn an_error_of_ours_survives_its_way_through_the_engine() {
        let own = WarehouseError::TimeZone("Seoul".to_owned());
        let error = DataFusionError::External(Box::new(own)).context("planning");
        assert!(matches!(WarehouseError::of_engine(&error, 1), WarehouseError::TimeZone(_)));
    }
}
