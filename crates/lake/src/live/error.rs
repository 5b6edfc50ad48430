//! Why a change could not be applied.
//!
//! Owns: [`ApplyError`] and its translation to [`Problem`]. Names columns and tables, never values.

use naru_base::{Problem, TableId};

use crate::{error::LakeError, index::IndexError};

/// A change batch that was not applied. The table is exactly as before the call.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The batch's columns are not the table's: call [`super::LiveTable::evolve`], then apply again.
    #[error("the changes of {table} do not have its columns: {reason}")]
    Schema {
        /// Which table.
        table: TableId,
        /// Which column differs and how.
        reason: String,
    },
    /// A row leaves values unchanged, and the row they should come from does not exist: the table has lost a row.
    #[error("a row of {table} that a change builds on is missing")]
    MissingBase {
        /// Which table.
        table: TableId,
        /// Names of the key columns.
        key: Vec<String>,
    },
    /// An update or delete for a table without a key.
    #[error("{table} has no key, so its rows cannot be updated or deleted")]
    Keyless {
        /// Which table.
        table: TableId,
    },
    /// The batch contradicts itself.
    #[error("a batch of changes of {table} contradicts itself: {reason}")]
    Malformed {
        /// Which table.
        table: TableId,
        /// What does not fit.
        reason: &'static str,
    },
    /// The lake or the index could not be read or written.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl From<IndexError> for ApplyError {
    fn from(error: IndexError) -> Self {
        Self::Lake(error.into())
    }
}

impl From<arrow::error::ArrowError> for ApplyError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Lake(error.into())
    }
}

impl ApplyError {
    /// Says it to a person.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Schema { table, reason } => {
                Problem::new("lake.apply_schema", format!("table \"{table}\" does not have the columns of its changes"))
                    .detail(format!("{reason}."))
            }
            Self::MissingBase { table, key } => {
                Problem::new("lake.missing_base", format!("table \"{table}\" lacks a row that a change builds on"))
                    .detail(format!(
                        "The source left out values that did not change, and no row with that {} exists here.",
                        key.join(", ")
                    ))
                    .hint("Copy the table again: `naru sync resync`.")
            }
            Self::Keyless { table } => {
                Problem::new("lake.keyless", format!("table \"{table}\" has no key to find a changed row by"))
                    .hint("Add a primary key or a replica identity index at the source.")
            }
            Self::Malformed { table, reason } => {
                Problem::new("lake.malformed_changes", format!("changes of table \"{table}\" contradict themselves"))
                    .detail(format!("{reason}."))
            }
            Self::Lake(error) => error.problem(),
        }
    }
}
