//! One row change on its way into a table's builder, and what an error on that way stops.
//!
//! Owns: [`RowChange`], putting it into a builder, telling a table's own errors from everybody's.
//! Never decides which table a change belongs to; `stream` does.

use std::sync::Arc;

use naru_lake::{LakeError, index::IndexError};

use super::table::TableRuntime;
use crate::{
    error::SyncError,
    postgres::{ChangeBuilder, PostgresError, Relation, pgoutput::OldTuple, pgoutput::Tuple},
};

/// A row change as the stream carries it.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowChange<'a> {
    /// A new row.
    Insert(Tuple<'a>),
    /// A changed row.
    Update(Option<OldTuple<'a>>, Tuple<'a>),
    /// A deleted row.
    Delete(OldTuple<'a>),
    /// All rows.
    Truncate,
}

impl RowChange<'_> {
    /// Puts the change into a builder that follows its relation.
    pub(super) fn put(self, builder: &mut ChangeBuilder) -> Result<(), PostgresError> {
        match self {
            Self::Insert(new) => builder.insert(new),
            Self::Update(old, new) => builder.update(old, new),
            Self::Delete(old) => builder.delete(old),
            Self::Truncate => {
                builder.truncate();
                Ok(())
            }
        }
    }
}

/// Puts a row into the builder. `Ok(false)` when the relation no longer fits the table's shape.
pub(super) fn push(
    table: &mut TableRuntime,
    relation: &Arc<Relation>,
    change: RowChange<'_>,
) -> Result<bool, SyncError> {
    let Some(builder) = table.builder_for(relation)? else { return Ok(false) };
    match (change.put(builder), &table.shape) {
        (Ok(()), _) => Ok(true),
        (Err(error), Some(shape)) => Err(shape.broke(error.problem())),
        (Err(error), None) => Err(SyncError::Protocol(error.to_string())),
    }
}

/// An error of one table stops that table; any other stops the session.
pub(super) fn quarantine_or(error: SyncError, table: &mut TableRuntime) -> Result<(), SyncError> {
    match error {
        SyncError::Table { problem, .. } => {
            table.quarantine(&problem);
            Ok(())
        }
        SyncError::Lake(LakeError::Index(IndexError::Damaged { .. })) => {
            // Perhaps of rows that only memory has, so that nothing here can mend it; the source has them.
            table.distrusted = true;
            Err(error)
        }
        SyncError::Query(_)
        | SyncError::Wire(_)
        | SyncError::Lake(_)
        | SyncError::Catalog(_)
        | SyncError::Spool { .. }
        | SyncError::SpoolDamaged { .. }
        | SyncError::WentBack { .. }
        | SyncError::OtherHistory { .. }
        | SyncError::PublicationLost { .. }
        | SyncError::DiskLow { .. }
        | SyncError::Protocol(_)
        | SyncError::Preflight(_)
        | SyncError::SlotLost { .. }
        | SyncError::SlotMoved { .. }
        | SyncError::Undecodable { .. }
        | SyncError::Anew
        | SyncError::TailDamaged { .. }
        | SyncError::OtherServer { .. }
        | SyncError::Yielded { .. }
        | SyncError::Rewritten { .. }
        | SyncError::Held { .. }
        | SyncError::NeedsText
        | SyncError::Stopped
        | SyncError::Store(_)
        | SyncError::OutOfOrder { .. } => Err(error),
    }
}
