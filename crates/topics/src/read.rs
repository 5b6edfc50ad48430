//! Reading rows of a topic's own tables back.
//!
//! Owns: scans with a range of a column. Never serves people's queries; the warehouse does.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::{
    common::ScalarValue,
    execution::SendableRecordBatchStream,
    prelude::{Expr, SessionContext, ident, lit},
};
use futures::TryStreamExt as _;
use naru_lake::{Lake, LakeError, ScanOptions, TableView};

use crate::error::TopicError;

/// Rows whose column lies between two values, both included.
pub(crate) fn between(column: &str, least: i64, most: i64) -> Expr {
    ident(column).between(lit(least), lit(most))
}

/// Rows whose column is this text.
pub(crate) fn is(column: &str, text: &str) -> Expr {
    ident(column).eq(lit(text))
}

/// Rows whose column is at least a value.
pub(crate) fn from(column: &str, least: i64) -> Expr {
    ident(column).gt_eq(lit(least))
}

/// Rows whose instant is not before another, in microseconds.
pub(crate) fn since(column: &str, least_us: i64) -> Expr {
    ident(column).gt_eq(lit(ScalarValue::TimestampMicrosecond(Some(least_us), Some("UTC".into()))))
}

/// These columns of the rows that a filter lets through, hidden columns included.
pub(crate) async fn stream(
    lake: &Lake,
    view: &Arc<TableView>,
    columns: &[&str],
    filter: Expr,
) -> Result<SendableRecordBatchStream, TopicError> {
    let context = SessionContext::new();
    lake.register(&context.runtime_env());
    let provider = view.provider(&ScanOptions { hidden: true, current: false })?;
    let frame = context.read_table(provider).map_err(failed)?;
    let chosen: Vec<Expr> = columns.iter().map(|name| ident(*name)).collect();
    let frame = frame.filter(filter).and_then(|frame| frame.select(chosen)).map_err(failed)?;
    frame.execute_stream().await.map_err(failed)
}

/// The next rows of a stream.
pub(crate) async fn next(stream: &mut SendableRecordBatchStream) -> Result<Option<RecordBatch>, TopicError> {
    stream.try_next().await.map_err(failed)
}

fn failed(error: datafusion::error::DataFusionError) -> TopicError {
    TopicError::Lake(LakeError::from(error))
}
