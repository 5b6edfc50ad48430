//! Which files can hold rows that a filter wants, by the statistics in the log.
//!
//! Owns: [`may_match`]. Pure but for planning the filter; keeps a file whenever anything is unknown.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    datatypes::SchemaRef,
};
use datafusion::{
    catalog::Session,
    common::{Column, DFSchema, ScalarValue, pruning::PruningStatistics},
    logical_expr::{Expr, utils::conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
};

use crate::view::{ColumnBounds, FileView};

/// Leaves out files that cannot hold a matching row.
pub(super) fn may_match(
    session: &dyn Session,
    schema: &SchemaRef,
    files: Vec<Arc<FileView>>,
    filters: &[Expr],
) -> Vec<Arc<FileView>> {
    let Some(wanted) = wanted(session, schema, &files, filters) else { return files };
    files.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(file, _)| file).collect()
}

fn wanted(session: &dyn Session, schema: &SchemaRef, files: &[Arc<FileView>], filters: &[Expr]) -> Option<Vec<bool>> {
    let filter = conjunction(filters.iter().cloned())?;
    let named = DFSchema::try_from(Arc::clone(schema)).ok()?;
    let filter = session.create_physical_expr(filter, &named).ok()?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(filter)?;
    predicate.prune(&LogStatistics { schema, files }).ok()
}

struct LogStatistics<'a> {
    schema: &'a SchemaRef,
    files: &'a [Arc<FileView>],
}

impl LogStatistics<'_> {
    fn bounds(&self, column: &Column, side: impl Fn(&ColumnBounds) -> &ScalarValue) -> Option<ArrayRef> {
        let data_type = self.schema.field_with_name(column.name()).ok()?.data_type();
        let unknown = ScalarValue::try_from(data_type).ok()?;
        let values = self.files.iter().map(|file| {
            file.stats.bounds.get(column.name()).map_or_else(|| unknown.clone(), |bounds| side(bounds).clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for LogStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |bounds| &bounds.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |bounds| &bounds.max)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    // Nulls and rows both count dead rows, so "all null" stays comparable.
    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts: UInt64Array = self.files.iter().map(|file| file.stats.nulls.get(column.name()).copied()).collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows: UInt64Array = self.files.iter().map(|file| Some(file.rows)).collect();
        Some(Arc::new(rows))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
