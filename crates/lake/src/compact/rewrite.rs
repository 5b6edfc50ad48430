//! Writing the rows of some files into new ones.
//!
//! Owns: [`Table::rewrite`], [`Table::rewrite_fills`]. Runs outside the commit lock; memory is bounded by the sort's
//! pool, which spills into the lake's cache folder, plus the row map.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, UInt32Array},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type},
    record_batch::RecordBatch,
};
use datafusion::{
    catalog::streaming::StreamingTable,
    error::{DataFusionError, Result as PlanResult},
    execution::{
        SendableRecordBatchStream, SessionStateBuilder, TaskContext, memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
    prelude::{SessionConfig, SessionContext, ident},
};
use futures::{Stream, StreamExt, TryStreamExt};
use naru_base::{failpoint, number::u64_from};
use roaring::RoaringTreemap;

use crate::{
    column::Column,
    compact::{CompactionLimits, Rewritten, RowMap, order},
    error::LakeError,
    stage::{StagedFile, Stager, StagerOptions},
    table::Table,
    view::{FileId, FileView, TableView},
};

/// Memory of one rewrite's sort; more rows spill.
const SORT_BYTES: usize = 64 << 20;
/// Rows handed on at once.
const BATCH_ROWS: usize = 8192;
/// Columns that travel with the rows through the sort.
const FROM_FILE: &str = "_naru_from_file";
const FROM_ROW: &str = "_naru_from_row";

impl Table {
    /// Rewrites files outside the commit lock, sorted by key or by the columns of
    /// [`super::CLUSTER_PROPERTY`] (in file order without either), without the rows dead in
    /// the committed view and those named in `deleted`. Commit with [`Self::commit_rewrite`].
    ///
    /// # Errors
    /// [`LakeError::Refused`] for a file that is not in the table.
    pub async fn rewrite(
        &self,
        files: &[FileId],
        deleted: &[(FileId, RoaringTreemap)],
        limits: &CompactionLimits,
    ) -> Result<Rewritten, LakeError> {
        let view = self.view();
        let mut sources = Vec::with_capacity(files.len());
        for id in files {
            let file = present(&view, *id)?;
            let mut dead = file.deleted.as_deref().cloned().unwrap_or_default();
            deleted.iter().filter(|(of, _)| of == id).for_each(|(_, rows)| dead |= rows);
            sources.push(Source { file: Arc::clone(file), dead });
        }
        if failpoint::hit("lake.compact.before_rewrite") {
            return Err(LakeError::Failpoint("lake.compact.before_rewrite"));
        }
        let mut moved: Vec<RowMap> = sources.iter().map(|source| RowMap::moved(source.file.rows)).collect();
        let old: Vec<FileId> = sources.iter().map(|source| source.file.id).collect();
        let options =
            StagerOptions { target_file_bytes: limits.target_file_bytes, file: None, index: true, small: true };
        let mut stager = self.stager(options);
        let mut rows = sorted(self, &view, sources).await?;
        while let Some(batch) = rows.next().await {
            carry(&mut stager, &batch?, &mut moved).await?;
        }
        let staged = stager.finish().await?;
        let filled = view.columns.iter().filter(|column| column.fill.is_some()).cloned().collect();
        let filled = if files.len() == view.files.len() { filled } else { Vec::new() };
        Ok(Rewritten { staged, moved: Arc::new(old.into_iter().zip(moved).collect()), filled })
    }

    /// Writes the `fill` values of columns into the files that lack them, row for row; dead rows stay in place, so
    /// that row numbers hold. Commit with [`Self::commit_rewrite`], which clears `fill`.
    pub async fn rewrite_fills(&self) -> Result<Rewritten, LakeError> {
        let view = self.view();
        let filled: Vec<Column> = view.columns.iter().filter(|column| column.fill.is_some()).cloned().collect();
        let (mut staged, mut moved) = (Vec::new(), BTreeMap::new());
        for file in view.files.iter() {
            if lacks(&view, file, &filled).await? {
                let copy = self.copy(&view, file).await?;
                moved.insert(file.id, RowMap::same(copy.id, file.rows));
                staged.push(copy);
            }
        }
        Ok(Rewritten { staged, moved: Arc::new(moved), filled })
    }

    /// One file again, with all columns the table has now.
    async fn copy(&self, view: &TableView, file: &FileView) -> Result<StagedFile, LakeError> {
        let options = StagerOptions { file: Some(self.reserve_file()), small: true, ..StagerOptions::default() };
        let mut stager = self.stager(options);
        let mut rows = view.read_file(file, &names(view), None)?;
        while let Some(batch) = rows.next().await {
            stager.write(&batch?).await?;
        }
        let copy = stager.finish().await?.pop();
        copy.filter(|copy| copy.rows == file.rows).ok_or_else(|| LakeError::Damaged {
            table: view.id.clone(),
            reason: format!("file {} does not have as many rows as the log says", file.id),
        })
    }
}

fn present(view: &TableView, id: FileId) -> Result<&Arc<FileView>, LakeError> {
    view.file(id).ok_or_else(|| LakeError::Refused {
        table: view.id.clone(),
        reason: format!("file {id} cannot be rewritten, the table does not have it"),
    })
}

fn names(view: &TableView) -> Vec<&str> {
    view.columns.iter().map(|column| column.name.as_str()).collect()
}

/// Whether the file was written before one of these columns existed.
async fn lacks(view: &TableView, file: &FileView, columns: &[Column]) -> Result<bool, LakeError> {
    if columns.is_empty() {
        return Ok(false);
    }
    let held = view.stored_names(file).await?;
    Ok(columns.iter().any(|column| !held.contains(&column.stored)))
}

/// Stages one sorted batch and notes where each of its rows went.
async fn carry(stager: &mut Stager, batch: &RecordBatch, moved: &mut [RowMap]) -> Result<(), LakeError> {
    let placed = stager.write(batch).await?;
    let lost = || LakeError::Task("a rewrite lost the origin of its rows".into());
    let origin = |name: &str| {
        batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt32Type>()).ok_or_else(lost)
    };
    let (files, rows) = (origin(FROM_FILE)?, origin(FROM_ROW)?);
    for (at, (file, row)) in files.values().iter().zip(rows.values()).enumerate() {
        let to = u32::try_from(placed.first_row + u64_from(at)).map_err(|_| lost())?;
        let map = usize::try_from(*file).ok().and_then(|file| moved.get_mut(file)).ok_or_else(lost)?;
        map.set(u64::from(*row), placed.file, to);
    }
    Ok(())
}

/// A file to rewrite and its rows that do not count.
#[derive(Debug)]
struct Source {
    file: Arc<FileView>,
    dead: RoaringTreemap,
}

/// The live rows of all sources with their origin, sorted.
async fn sorted(
    table: &Table,
    view: &Arc<TableView>,
    sources: Vec<Source>,
) -> Result<SendableRecordBatchStream, LakeError> {
    let mut fields: Vec<Arc<Field>> = view.schema.fields().iter().cloned().collect();
    fields.extend([FROM_FILE, FROM_ROW].map(|name| Arc::new(Field::new(name, DataType::UInt32, false))));
    let schema = Arc::new(Schema::new(fields));
    let input = Arc::new(Sources { view: Arc::clone(view), files: Arc::new(sources), schema: Arc::clone(&schema) });
    let spill = table.lake().cache().join("spill");
    std::fs::create_dir_all(&spill)?;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(SORT_BYTES)))
        .with_temp_file_path(spill)
        .build_arc()?;
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH_ROWS);
    config.options_mut().execution.sort_spill_reservation_bytes = SORT_BYTES / 8;
    let state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    let rows =
        SessionContext::new_with_state(state).read_table(Arc::new(StreamingTable::try_new(schema, vec![input])?))?;
    let keys: Vec<_> = order(view).iter().map(|name| ident(name).sort(true, true)).collect();
    let rows = if keys.is_empty() { rows } else { rows.sort(keys)? };
    Ok(rows.execute_stream().await?)
}

#[derive(Debug)]
struct Sources {
    view: Arc<TableView>,
    files: Arc<Vec<Source>>,
    schema: SchemaRef,
}

impl PartitionStream for Sources {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (view, sources, schema) = (Arc::clone(&self.view), Arc::clone(&self.files), Arc::clone(&self.schema));
        let files = futures::stream::iter(0..sources.len());
        let rows = files.then(move |at| {
            let (view, sources, schema) = (Arc::clone(&view), Arc::clone(&sources), Arc::clone(&schema));
            async move { live_rows(&view, &sources, at, schema) }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows.try_flatten()))
    }
}

fn outside(error: LakeError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn lost() -> DataFusionError {
    outside(LakeError::Task("a rewrite lost one of its files".into()))
}

/// One source's live rows with their origin.
fn live_rows(
    view: &TableView,
    sources: &Arc<Vec<Source>>,
    at: usize,
    schema: SchemaRef,
) -> PlanResult<impl Stream<Item = PlanResult<RecordBatch>> + use<>> {
    let source = sources.get(at).ok_or_else(lost)?;
    let rows = view.read_file(&source.file, &names(view), None).map_err(outside)?;
    let number = u32::try_from(at).map_err(|_| lost())?;
    let sources = Arc::clone(sources);
    let mut next = 0_u32;
    Ok(rows.map(move |batch| {
        let batch = batch?;
        let count = u32::try_from(batch.num_rows()).map_err(|_| lost())?;
        let end = next.checked_add(count).ok_or_else(lost)?;
        let dead = &sources.get(at).ok_or_else(lost)?.dead;
        let live: BooleanArray = (next..end).map(|row| Some(!dead.contains(u64::from(row)))).collect();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(UInt32Array::from_value(number, batch.num_rows())));
        columns.push(Arc::new(UInt32Array::from_iter_values(next..end)));
        next = end;
        let with_origin = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        Ok(if live.true_count() == live.len() { with_origin } else { filter_record_batch(&with_origin, &live)? })
    }))
}
