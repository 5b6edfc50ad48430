//! The Parquet leaf of a scan.
//!
//! Owns: files as `PartitionedFile`s with row selections and statistics, their grouping, the scan's configuration.
//! Row counts are exact because dead rows are known; bounds are never exact because dead rows are in them.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::Session,
    common::{ColumnStatistics, Statistics, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetSource,
            parquet::{CachedParquetFileReaderFactory, ParquetRowSelection},
        },
        source::DataSourceExec,
    },
    error::Result,
    execution::runtime_env::RuntimeEnv,
    physical_plan::ExecutionPlan,
};
use naru_base::number::usize_from;
use object_store::{ObjectMeta, path::Path};
use roaring::RoaringTreemap;

use crate::{
    scan::adapter::{Factory, StoredColumns},
    view::{FileView, TableView},
};

/// Bytes read at the end of a file in the hope that the whole footer is in them.
pub(super) const FOOTER_BYTES: usize = 64 << 10;

/// A scan of these files, `chosen` being positions in the view's columns.
pub(super) fn leaf(
    session: &dyn Session,
    view: &TableView,
    stored: &Arc<StoredColumns>,
    files: &[Arc<FileView>],
    chosen: &[usize],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = session.default_table_options().parquet;
    let source = source(session.runtime_env(), view)?.with_table_parquet_options(options);
    let groups = by_bytes(files, session.config().target_partitions())
        .into_iter()
        .map(|group| FileGroup::new(group.iter().map(|file| partitioned(view, file)).collect()))
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

fn partitioned(view: &TableView, file: &FileView) -> PartitionedFile {
    let statistics = Arc::new(of_file(&view.schema, file));
    let partitioned = PartitionedFile::new_from_meta(object_meta(view, file)).with_statistics(statistics);
    match &file.deleted {
        Some(dead) => partitioned.with_extension(ParquetRowSelection::new(live_rows(dead, file.rows))),
        None => partitioned,
    }
}

/// Selects every row that is not dead.
fn live_rows(dead: &RoaringTreemap, rows: u64) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    let mut dead = dead.iter().take_while(|row| *row < rows).peekable();
    while let Some(first) = dead.next() {
        let mut end = first + 1;
        while dead.next_if_eq(&end).is_some() {
            end += 1;
        }
        if first > next {
            selectors.push(RowSelector::select(usize_from(first - next)));
        }
        selectors.push(RowSelector::skip(usize_from(end - first)));
        next = end;
    }
    if next < rows {
        selectors.push(RowSelector::select(usize_from(rows - next)));
    }
    RowSelection::from(selectors)
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
    fn a_selection_leaves_out_exactly_the_dead_rows() {
        let cases: [(&[u64], u64); 6] =
            [(&[], 4), (&[0], 4), (&[3], 4), (&[1, 2], 4), (&[0, 1, 2, 3], 4), (&[0, 2, 9], 4)];
        for (dead, rows) in cases {
            let selection = live_rows(&dead.iter().copied().collect(), rows);
            let mut at = 0;
            let mut live = Vec::new();
            for selector in selection.iter() {
                if !selector.skip {
                    live.extend(at..at + selector.row_count);
                }
                at += selector.row_count;
            }
            let expected: Vec<usize> = (0..rows).filter(|row| !dead.contains(row)).map(usize_from).collect();
            assert_eq!(live, expected, "{dead:?}");
            assert_eq!(at, usize_from(rows));
        }
    }
}
