//! Rows of a table read back by the room that wrote them.
//!
//! Owns: a scan of some columns with a test on others, hidden columns included. Never serves people's queries: those
//! go through the warehouse, with its memory, its limits and its permissions.

use std::sync::Arc;

use arrow::{array::ArrayRef, record_batch::RecordBatch};
use datafusion::{
    common::ScalarValue,
    error::DataFusionError,
    execution::SendableRecordBatchStream,
    prelude::{Expr, SessionContext, ident, lit},
};
use futures::TryStreamExt as _;

use crate::{error::LakeError, lake::Lake, scan::ScanOptions, view::TableView};

/// Which rows are wanted.
#[derive(Debug, Clone)]
pub struct Only(Expr);

impl Only {
    /// Those whose column lies between two values, both included.
    pub fn between(column: &str, least: i64, most: i64) -> Self {
        Self(ident(column).between(lit(least), lit(most)))
    }

    /// Those whose column is this text.
    pub fn is(column: &str, text: &str) -> Self {
        Self(ident(column).eq(lit(text)))
    }

    /// Those whose column has one of these values, NULL aside.
    ///
    /// # Errors
    /// [`LakeError`] for values that cannot be compared.
    pub fn among(column: &str, values: &ArrayRef) -> Result<Self, LakeError> {
        let rows = (0..values.len()).filter(|row| values.is_valid(*row));
        let listed = rows.map(|row| ScalarValue::try_from_array(values, row).map(lit));
        Ok(Self(ident(column).in_list(listed.collect::<Result<Vec<_>, DataFusionError>>()?, false)))
    }

    /// Those whose column is at least a value.
    pub fn at_least(column: &str, least: i64) -> Self {
        Self(ident(column).gt_eq(lit(least)))
    }

    /// Those whose instant is not before another, in microseconds since 1970.
    pub fn since(column: &str, least_us: i64) -> Self {
        Self(ident(column).gt_eq(lit(ScalarValue::TimestampMicrosecond(Some(least_us), Some("UTC".into())))))
    }

    /// Those whose instant is before another, in microseconds since 1970.
    pub fn before(column: &str, end_us: i64) -> Self {
        Self(ident(column).lt(lit(ScalarValue::TimestampMicrosecond(Some(end_us), Some("UTC".into())))))
    }

    /// Those that pass both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.and(other.0))
    }
}

/// Rows on their way.
pub struct Rows(SendableRecordBatchStream);

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rows").finish_non_exhaustive()
    }
}

impl Rows {
    /// The next of them; `None` at the end.
    ///
    /// # Errors
    /// [`LakeError`] of the store.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        self.0.try_next().await.map_err(LakeError::from)
    }
}

impl Lake {
    /// These columns, in this order, of the wanted rows of a view; committed and unflushed ones.
    ///
    /// # Errors
    /// [`LakeError`]; a column that the table does not have is one.
    pub async fn read(&self, view: &Arc<TableView>, columns: &[&str], only: Only) -> Result<Rows, LakeError> {
        let context = SessionContext::new();
        self.register(&context.runtime_env());
        let provider = view.provider(&ScanOptions { hidden: true, current: false })?;
        let chosen: Vec<Expr> = columns.iter().map(|name| ident(*name)).collect();
        let rows = async {
            let frame = context.read_table(provider)?.filter(only.0)?.select(chosen)?;
            frame.execute_stream().await
        };
        rows.await.map(Rows).map_err(|error: DataFusionError| LakeError::from(error))
    }
}
