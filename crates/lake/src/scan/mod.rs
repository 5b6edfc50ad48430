//! A view as a DataFusion table.
//!
//! Owns: [`ScanOptions`], the provider. The leaf of every plan is a plain Parquet `DataSourceExec` (a leaf of our own
//! would lose splitting and pruning, see the storage research) below a node that leaves dead rows out; unflushed rows
//! are a second, in-memory leaf under a union.
//! Never checks permissions. Read next: [`adapter`] for names and defaults, [`prune`] for skipped files.

mod adapter;
mod days;
mod file;
mod layout;
mod live_rows;
mod parquet;
mod prune;

use std::sync::Arc;

use arrow::{
    compute::filter_record_batch,
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    datasource::{TableType, memory::MemorySourceConfig},
    error::Result,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::{ExecutionPlan, empty::EmptyExec, union::UnionExec},
};

use crate::{
    error::LakeError,
    scan::adapter::StoredColumns,
    view::{FileView, TableView, TailBatch},
};

/// What a provider shows.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// Also columns whose names begin with `_naru_` or `_day_`.
    pub hidden: bool,
    /// No columns that the source has dropped.
    pub current: bool,
}

impl TableView {
    /// The view as a table with true column names. Row-exact: dead rows are left out, unflushed rows are in.
    /// Sessions that execute it must have seen [`crate::Lake::register`].
    ///
    /// # Errors
    /// [`LakeError::Columns`] when a column's `fill` does not fit its type.
    pub fn provider(self: &Arc<Self>, options: &ScanOptions) -> std::result::Result<Arc<dyn TableProvider>, LakeError> {
        let hidden = |name: &str| name.starts_with("_naru_") || name.starts_with("_day_");
        let shown: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| options.hidden || !hidden(&column.name))
            .filter(|(_, column)| !(options.current && column.dropped))
            .map(|(at, _)| at)
            .collect();
        let schema = Arc::new(self.schema.project(&shown)?);
        let stored = Arc::new(StoredColumns::of(self)?);
        Ok(Arc::new(LakeTable { view: Arc::clone(self), schema, shown, stored }))
    }
}

#[derive(Debug)]
struct LakeTable {
    view: Arc<TableView>,
    schema: SchemaRef,
    /// Positions in the view's columns of the columns in `schema`.
    shown: Vec<usize>,
    stored: Arc<StoredColumns>,
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters skip files, row groups and pages; the rows that are left are filtered above the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let chosen: Vec<usize> = match projection {
            Some(chosen) => chosen.iter().filter_map(|at| self.shown.get(*at).copied()).collect(),
            None => self.shown.clone(),
        };
        let limit = if filters.is_empty() { limit } else { None };
        let live: Vec<Arc<FileView>> = self.view.files.iter().filter(|file| file.live_rows() > 0).cloned().collect();
        let files = prune::may_match(session, &self.view.schema, live, &days::on_days(&self.view, filters));
        let mut leaves: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(2);
        if !files.is_empty() {
            leaves.push(parquet::leaf(session, &self.view, &self.stored, &files, &chosen, limit).await?);
        }
        if self.view.tail.iter().any(|batch| batch.live_rows() > 0) {
            leaves.push(tail_leaf(session, &self.view, &chosen, limit)?);
        }
        match leaves.len() {
            0 => Ok(Arc::new(EmptyExec::new(Arc::new(self.view.schema.project(&chosen)?)))),
            1 => leaves.pop().ok_or_else(|| datafusion::common::internal_datafusion_err!("one leaf expected")),
            _ => UnionExec::try_new(leaves),
        }
    }
}

/// The unflushed rows, dead ones left out, spread over as many partitions as the session wants.
fn tail_leaf(
    session: &dyn Session,
    view: &TableView,
    chosen: &[usize],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(view.schema.project(chosen)?);
    let batches = view.tail.iter().filter(|batch| batch.live_rows() > 0);
    let batches = batches.map(|batch| live_part(batch, &schema, chosen)).collect::<Result<Vec<_>>>()?;
    let width = session.config().target_partitions().clamp(1, batches.len().max(1));
    let mut partitions = vec![Vec::new(); width];
    for (at, batch) in batches.into_iter().enumerate() {
        if let Some(partition) = partitions.get_mut(at % width) {
            partition.push(batch);
        }
    }
    let source = MemorySourceConfig::try_new(&partitions, schema, None)?.with_limit(limit);
    Ok(datafusion::datasource::source::DataSourceExec::from_data_source(source))
}

fn live_part(batch: &TailBatch, schema: &SchemaRef, chosen: &[usize]) -> Result<RecordBatch> {
    let columns = chosen.iter().map(|at| Arc::clone(batch.rows.column(*at))).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
    Ok(match &batch.live {
        Some(live) => filter_record_batch(&rows, live)?,
        None => rows,
    })
}
