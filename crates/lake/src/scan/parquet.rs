//! The Parquet leaf of a scan.
//!
//! Owns: files as `PartitionedFile`s with the rows that count and statistics, their grouping, the scan's configuration.
//! Row counts are exact because dead rows are known; bounds are never exact because dead rows are in them.

use std::{collections::HashMap, sync::Arc};

use ::parquet::arrow::arrow_reader::RowSelection;
use arrow::{array::BooleanBufferBuilder, datatypes::SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::Session,
    common::{ColumnStatistics, Statistics, exec_datafusion_err, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory as _, ParquetSource,
            parquet::{CachedParquetFileReaderFactory, ParquetAccessPlan, RowGroupAccess},
        },
        source::DataSourceExec,
    },
    error::Result,
    execution::runtime_env::RuntimeEnv,
    physical_plan::{ExecutionPlan, metrics::ExecutionPlanMetricsSet},
};
use futures::{StreamExt as _, TryStreamExt as _};
use naru_base::number::usize_from;
use object_store::{ObjectMeta, path::Path};
use roaring::RoaringTreemap;

use crate::{
    scan::adapter::{Factory, StoredColumns},
    view::{FileId, FileView, TableView},
};

/// Bytes read at the end of a file in the hope that the whole footer is in them.
pub(super) const FOOTER_BYTES: usize = 64 << 10;
/// Footers read at the same time.
const FOOTERS_AT_ONCE: usize = 16;

/// A scan of these files, `chosen` being positions in the view's columns.
pub(super) async fn leaf(
    session: &dyn Session,
    view: &TableView,
    stored: &Arc<StoredColumns>,
    files: &[Arc<FileView>],
    chosen: &[usize],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut live = live_rows(session.runtime_env(), view, files).await?;
    let options = session.default_table_options().parquet;
    let source = source(session.runtime_env(), view)?.with_table_parquet_options(options);
    let groups = by_bytes(files, session.config().target_partitions())
        .into_iter()
        .map(|group| FileGroup::new(group.iter().map(|file| partitioned(view, file, live.remove(&file.id))).collect()))
        .collect();
    let config = FileScanConfigBuilder::new(view.store.clone(), Arc::new(source))
        .with_file_groups(groups)
        .with_statistics(total(view, files))
        .with_expr_adapter(Some(Arc::new(Factory(Arc::clone(stored)))))
        .with_projection_indices(Some(chosen.to_vec()))?
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Opens files; the runtime caches footers.
pub(super) fn readers(runtime: &RuntimeEnv, view: &TableView) -> Result<CachedParquetFileReaderFactory> {
    let store = runtime.object_store(&view.store)?;
    Ok(CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache()))
}

/// The source of a scan.
pub(super) fn source(runtime: &RuntimeEnv, view: &TableView) -> Result<ParquetSource> {
    Ok(ParquetSource::new(Arc::clone(&view.schema))
        .with_parquet_file_reader_factory(Arc::new(readers(runtime, view)?))
        .with_metadata_size_hint(FOOTER_BYTES))
}

/// Where a file's object lies, from the lake's root.
pub(super) fn object_meta(view: &TableView, file: &FileView) -> ObjectMeta {
    let location = Path::from(&*file.path).parts().fold(view.folder.clone(), Path::join);
    let last_modified = DateTime::<Utc>::from_timestamp_millis(file.modified_ms).unwrap_or_default();
    ObjectMeta { location, last_modified, size: file.size, e_tag: None, version: None }
}

fn partitioned(view: &TableView, file: &FileView, live: Option<ParquetAccessPlan>) -> PartitionedFile {
    let statistics = Arc::new(of_file(&view.schema, file));
    let partitioned = PartitionedFile::new_from_meta(object_meta(view, file)).with_statistics(statistics);
    match live {
        Some(live) => partitioned.with_extension(live),
        None => partitioned,
    }
}

/// What to read of the files that have dead rows. It is told by row group, so that a part of a file that one thread
/// reads does not go through the dead rows of all the others; for that the footers are read, which stay cached.
async fn live_rows(
    runtime: &RuntimeEnv,
    view: &TableView,
    files: &[Arc<FileView>],
) -> Result<HashMap<FileId, ParquetAccessPlan>> {
    let readers = Arc::new(readers(runtime, view)?);
    let work: Vec<_> = files
        .iter()
        .filter(|file| file.deleted.is_some())
        .map(|file| access(Arc::clone(&readers), object_meta(view, file), Arc::clone(file)))
        .collect();
    futures::stream::iter(work).buffer_unordered(FOOTERS_AT_ONCE).try_collect().await
}

async fn access(
    readers: Arc<CachedParquetFileReaderFactory>,
    object: ObjectMeta,
    file: Arc<FileView>,
) -> Result<(FileId, ParquetAccessPlan)> {
    let (part, metrics) = (PartitionedFile::new_from_meta(object), ExecutionPlanMetricsSet::new());
    let footer = readers.create_reader(0, part, Some(FOOTER_BYTES), &metrics)?.get_metadata(None).await?;
    let groups = footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
    let groups: Vec<u64> = groups.collect();
    if groups.iter().sum::<u64>() != file.rows {
        return Err(exec_datafusion_err!("{} does not have as many rows as the log says", file.path));
    }
    let accesses = match &file.deleted {
        Some(dead) => accesses(dead, &groups),
        None => vec![RowGroupAccess::Scan; groups.len()],
    };
    Ok((file.id, ParquetAccessPlan::new(accesses)))
}

/// What to read of row groups with so many rows each.
fn accesses(dead: &RoaringTreemap, groups: &[u64]) -> Vec<RowGroupAccess> {
    let mut dead = dead.iter().peekable();
    let mut first = 0;
    let access = |rows: &u64| {
        let end = first + rows;
        let (mut live, mut gone) = (None, 0);
        while let Some(row) = dead.next_if(|row| *row < end) {
            live.get_or_insert_with(|| all(usize_from(*rows))).set_bit(usize_from(row - first), false);
            gone += 1;
        }
        first = end;
        match live {
            None => RowGroupAccess::Scan,
            Some(_) if gone == *rows => RowGroupAccess::Skip,
            Some(mut live) => RowGroupAccess::Selection(RowSelection::from_boolean_buffer(live.finish())),
        }
    };
    groups.iter().map(access).collect()
}

fn all(rows: usize) -> BooleanBufferBuilder {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, true);
    bits
}

/// Spreads files over at most `width` groups of about the same bytes.
fn by_bytes(files: &[Arc<FileView>], width: usize) -> Vec<Vec<Arc<FileView>>> {
    let width = width.clamp(1, files.len().max(1));
    let mut largest_first: Vec<&Arc<FileView>> = files.iter().collect();
    largest_first.sort_by_key(|file| std::cmp::Reverse(file.size));
    let mut groups: Vec<(u64, Vec<Arc<FileView>>)> = vec![(0, Vec::new()); width];
    for file in largest_first {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.size.max(1);
            group.push(Arc::clone(file));
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| !group.is_empty()).collect()
}

fn of_file(schema: &SchemaRef, file: &FileView) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(usize_from(file.live_rows()));
    statistics.total_byte_size = Precision::Inexact(usize_from(file.size));
    for (field, known) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        if let Some(bounds) = file.stats.bounds.get(field.name()) {
            known.min_value = Precision::Inexact(bounds.min.clone());
            known.max_value = Precision::Inexact(bounds.max.clone());
        }
        // Any other count includes dead rows and must not be compared with the live ones.
        if file.stats.nulls.get(field.name()) == Some(&0) {
            known.null_count = Precision::Inexact(0);
        }
    }
    statistics
}

fn total(view: &TableView, files: &[Arc<FileView>]) -> Statistics {
    let mut statistics = Statistics::new_unknown(&view.schema);
    statistics.num_rows = Precision::Exact(usize_from(files.iter().map(|file| file.live_rows()).sum()));
    statistics.total_byte_size = Precision::Inexact(usize_from(files.iter().map(|file| file.size).sum()));
    statistics.column_statistics = view.schema.fields().iter().map(|field| over_all(files, field.name())).collect();
    statistics
}

/// Bounds over all files; unknown when one file's are.
fn over_all(files: &[Arc<FileView>], column: &str) -> ColumnStatistics {
    let mut known = ColumnStatistics::new_unknown();
    let bounds: Option<Vec<_>> = files.iter().map(|file| file.stats.bounds.get(column)).collect();
    let Some(bounds) = bounds else { return known };
    let low =
        bounds.iter().map(|bounds| &bounds.min).min_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let high =
        bounds.iter().map(|bounds| &bounds.max).max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    if let (Some(low), Some(high)) = (low, high) {
        known.min_value = Precision::Inexact(low.clone());
        known.max_value = Precision::Inexact(high.clone());
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_leaves_out_exactly_the_dead_rows_of_each_row_group() {
        let cases: [(&[u64], &[u64]); 8] = [
            (&[], &[4]),
            (&[0], &[4]),
            (&[3], &[4]),
            (&[1, 2], &[4]),
            (&[0, 1, 2, 3], &[4]),
            (&[0, 2, 9], &[4]),
            (&[3, 4, 9], &[4, 3, 3]),
            (&[4, 5, 6], &[4, 3, 3]),
        ];
        for (dead, groups) in cases {
            let (mut first, mut live) = (0, Vec::new());
            for (access, rows) in accesses(&dead.iter().copied().collect(), groups).iter().zip(groups) {
                let end = first + usize_from(*rows);
                match access {
                    RowGroupAccess::Skip => {}
                    RowGroupAccess::Scan => live.extend(first..end),
                    RowGroupAccess::Selection(rows) => {
                        let mask = rows.as_mask().unwrap();
                        assert_eq!(first + mask.len(), end);
                        live.extend(mask.set_indices().map(|row| first + row));
                    }
                }
                first = end;
            }
            let all = 0..groups.iter().sum();
            let expected: Vec<usize> = all.filter(|row| !dead.contains(row)).map(usize_from).collect();
            assert_eq!(live, expected, "{dead:?} of {groups:?}");
        }
    }
}
