//! The Parquet leaf of a scan.
//!
//! Owns: files as `PartitionedFile`s with statistics, their grouping, the scan's configuration. Files are read whole but
//! for row groups without a row that counts; [`super::live_rows`] leaves out the other dead rows.
//! Row counts are exact because dead rows are known; bounds are never exact because dead rows are in them.

use std::{collections::HashMap, sync::Arc};

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
    scan::{
        adapter::{Factory, StoredColumns},
        layout::Layout,
        live_rows::{Dead, LiveRowsExec},
    },
    view::{FileId, FileView, TableView},
};

/// Bytes read at the end of a file in the hope that the whole footer is in them.
pub(super) const FOOTER_BYTES: usize = 64 << 10;
/// Footers read at the same time.
const FOOTERS_AT_ONCE: usize = 16;
/// A file with fewer dead rows has hardly a row group without any other.
const SKIP_DEAD_MIN: u64 = 64 << 10;

/// A scan of these files, `chosen` being positions in the view's columns.
pub(super) async fn leaf(
    session: &dyn Session,
    view: &TableView,
    stored: &Arc<StoredColumns>,
    files: &[Arc<FileView>],
    chosen: &[usize],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let dead: Dead = files.iter().filter_map(|file| Some((file.id, Arc::clone(file.deleted.as_ref()?)))).collect();
    let layout = if dead.is_empty() { Layout::of(view) } else { Layout::with_origin(view)? };
    let mut groups_to_skip = groups_to_skip(session.runtime_env(), view, files).await?;
    let options = session.default_table_options().parquet;
    let source = source(session.runtime_env(), view, &layout)?.with_table_parquet_options(options);
    let groups = by_bytes(files, session.config().target_partitions())
        .into_iter()
        .map(|group| {
            let part = |file: &Arc<FileView>| partitioned(view, &layout, file, groups_to_skip.remove(&file.id));
            FileGroup::new(group.iter().map(part).collect())
        })
        .collect();
    let config = FileScanConfigBuilder::new(view.store.clone(), Arc::new(source))
        .with_file_groups(groups)
        .with_statistics(total(&layout, files))
        .with_expr_adapter(Some(Arc::new(Factory(Arc::clone(stored)))))
        .with_projection_indices(Some(layout.places(chosen)))?
        // Rows that are dropped above must not use up a limit.
        .with_limit(limit.filter(|_| dead.is_empty()))
        .build();
    let leaf: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
    if dead.is_empty() { Ok(leaf) } else { Ok(Arc::new(LiveRowsExec::new(leaf, Arc::new(dead))?)) }
}

/// Opens files; the runtime caches footers.
pub(super) fn readers(runtime: &RuntimeEnv, view: &TableView) -> Result<CachedParquetFileReaderFactory> {
    let store = runtime.object_store(&view.store)?;
    Ok(CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache()))
}

/// The source of a scan.
pub(super) fn source(runtime: &RuntimeEnv, view: &TableView, layout: &Layout) -> Result<ParquetSource> {
    Ok(ParquetSource::new(layout.table().clone())
        .with_parquet_file_reader_factory(Arc::new(readers(runtime, view)?))
        .with_metadata_size_hint(FOOTER_BYTES))
}

/// Where a file's object lies, from the lake's root.
pub(super) fn object_meta(view: &TableView, file: &FileView) -> ObjectMeta {
    let location = Path::from(&*file.path).parts().fold(view.folder.clone(), Path::join);
    let last_modified = DateTime::<Utc>::from_timestamp_millis(file.modified_ms).unwrap_or_default();
    ObjectMeta { location, last_modified, size: file.size, e_tag: None, version: None }
}

/// A file as a part of a scan.
fn partitioned(
    view: &TableView,
    layout: &Layout,
    file: &FileView,
    groups: Option<ParquetAccessPlan>,
) -> PartitionedFile {
    let statistics = Arc::new(of_file(layout, file));
    let partitioned = PartitionedFile::new_from_meta(object_meta(view, file)).with_statistics(statistics);
    let partitioned = PartitionedFile { partition_values: layout.constants(file), ..partitioned };
    match groups {
        Some(groups) => partitioned.with_extension(groups),
        None => partitioned,
    }
}

/// Row groups without a row that counts, of files where there may be some; for that the footers are read, which stay
/// cached.
async fn groups_to_skip(
    runtime: &RuntimeEnv,
    view: &TableView,
    files: &[Arc<FileView>],
) -> Result<HashMap<FileId, ParquetAccessPlan>> {
    let readers = Arc::new(readers(runtime, view)?);
    let work: Vec<_> = files
        .iter()
        .filter_map(|file| Some((file, file.deleted.clone().filter(|dead| dead.len() >= SKIP_DEAD_MIN)?)))
        .map(|(file, dead)| live_groups(Arc::clone(&readers), object_meta(view, file), Arc::clone(file), dead))
        .collect();
    futures::stream::iter(work).buffer_unordered(FOOTERS_AT_ONCE).try_collect().await
}

async fn live_groups(
    readers: Arc<CachedParquetFileReaderFactory>,
    object: ObjectMeta,
    file: Arc<FileView>,
    dead: Arc<RoaringTreemap>,
) -> Result<(FileId, ParquetAccessPlan)> {
    let (part, metrics) = (PartitionedFile::new_from_meta(object), ExecutionPlanMetricsSet::new());
    let footer = readers.create_reader(0, part, Some(FOOTER_BYTES), &metrics)?.get_metadata(None).await?;
    let groups = footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
    let groups: Vec<u64> = groups.collect();
    if groups.iter().sum::<u64>() != file.rows {
        return Err(exec_datafusion_err!("{} does not have as many rows as the log says", file.path));
    }
    Ok((file.id, ParquetAccessPlan::new(accesses(&dead, &groups))))
}

/// Whether to read row groups with so many rows each.
fn accesses(dead: &RoaringTreemap, groups: &[u64]) -> Vec<RowGroupAccess> {
    let mut first = 0;
    let access = |rows: &u64| {
        let group = first..first + rows;
        first = group.end;
        if dead.range_cardinality(group) == *rows { RowGroupAccess::Skip } else { RowGroupAccess::Scan }
    };
    groups.iter().map(access).collect()
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

fn of_file(layout: &Layout, file: &FileView) -> Statistics {
    let schema = layout.table().table_schema();
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

fn total(layout: &Layout, files: &[Arc<FileView>]) -> Statistics {
    let schema = layout.table().table_schema();
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(usize_from(files.iter().map(|file| file.live_rows()).sum()));
    statistics.total_byte_size = Precision::Inexact(usize_from(files.iter().map(|file| file.size).sum()));
    statistics.column_statistics = schema.fields().iter().map(|field| over_all(files, field.name())).collect();
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
    fn only_row_groups_without_a_row_that_counts_are_skipped() {
        use RowGroupAccess::{Scan, Skip};
        let cases: [(&[u64], &[u64], &[RowGroupAccess]); 6] = [
            (&[], &[4], &[Scan]),
            (&[1, 2, 3], &[4], &[Scan]),
            (&[0, 1, 2, 3], &[4], &[Skip]),
            (&[4, 5, 6], &[4, 3, 3], &[Scan, Skip, Scan]),
            (&[3, 4, 5, 7, 8, 9], &[4, 3, 3], &[Scan, Scan, Skip]),
            (&[0, 1, 2, 3, 6], &[4, 0, 2, 1], &[Skip, Skip, Scan, Skip]),
        ];
        for (dead, groups, expected) in cases {
            assert_eq!(accesses(&dead.iter().copied().collect(), groups), expected, "{dead:?} of {groups:?}");
        }
    }
}
