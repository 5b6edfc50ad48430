//! A fingerprint of rows that does not depend on their order.
//!
//! Owns: [`RowDigest`] and reading a view's rows into one. Never compares anything with a source itself.

use std::sync::Arc;

use arrow::{
    compute::cast,
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use datafusion::prelude::{SessionContext, ident};
use futures::StreamExt as _;
use naru_base::number::u64_from;
use xxhash_rust::xxh3::xxh3_128;

use crate::{error::LakeError, lake::Lake, scan::ScanOptions, view::TableView};

/// Rows and the sum of their 128-bit hashes; equal multisets of rows give equal digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowDigest {
    rows: u64,
    sum: u128,
}

impl RowDigest {
    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds every row of a batch; all batches of one digest have the same columns in the same order.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let fields = batch.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let rows = RowConverter::new(fields)?.convert_columns(batch.columns())?;
        for row in &rows {
            self.sum = self.sum.wrapping_add(xxh3_128(row.as_ref()));
        }
        self.rows += u64_from(batch.num_rows());
        Ok(())
    }
}

impl Lake {
    /// Reads the named columns (true names, in this order) of every row a view shows.
    pub async fn digest(&self, view: &Arc<TableView>, columns: &[String]) -> Result<RowDigest, LakeError> {
        let session = SessionContext::new();
        self.register(&session.runtime_env());
        let frame = session.read_table(view.provider(&ScanOptions::default())?)?;
        let mut stream = frame.select(columns.iter().map(ident).collect::<Vec<_>>())?.execute_stream().await?;
        let mut digest = RowDigest::default();
        while let Some(batch) = stream.next().await {
            digest.add(&plain(&batch?, view, columns)?)?;
        }
        Ok(digest)
    }
}

/// The batch with the table's own types: a scan may hand out views of texts, which hash alike only as texts.
fn plain(batch: &RecordBatch, view: &TableView, columns: &[String]) -> Result<RecordBatch, LakeError> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays = Vec::with_capacity(columns.len());
    for (name, array) in columns.iter().zip(batch.columns()) {
        let field = view.schema.field_with_name(name)?;
        arrays.push(cast(array, field.data_type())?);
        fields.push(field.clone().with_nullable(true));
    }
    Ok(RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), arrays)?)
}
