//! In which order a scan has the table's columns, and what stands beside them.
//!
//! Owns: [`Layout`]. The engine wants what files hold first, then what is the same for a whole file, then what its
//! reader counts. Never reads anything.

use std::sync::Arc;

use ::parquet::arrow::RowNumber;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::{
    common::ScalarValue,
    datasource::table_schema::{TableSchema, TableSchemaBuilder},
    error::Result,
};

use crate::{
    scan::live_rows::{FILE, ROW},
    view::{FileView, TableView},
};

/// The columns of one scan.
#[derive(Debug)]
pub(super) struct Layout {
    table: TableSchema,
    /// By position in the view's columns, the position here.
    places: Vec<usize>,
    /// Whether files have a day.
    parted: bool,
    /// Whether each row says where it is from, in two more columns.
    origin: bool,
}

impl Layout {
    /// The view's columns.
    pub(super) fn of(view: &TableView) -> Self {
        Self::with(view, None)
    }

    /// The view's columns, then [`FILE`] and [`ROW`].
    pub(super) fn with_origin(view: &TableView) -> Result<Self> {
        let mut row = Field::new(ROW, DataType::Int64, false);
        row.try_with_extension_type(RowNumber)?;
        Ok(Self::with(view, Some([Field::new(FILE, DataType::UInt32, false), row].map(Arc::new))))
    }

    fn with(view: &TableView, origin: Option<[FieldRef; 2]>) -> Self {
        let parted = view.partition_column();
        let (mut in_files, mut constants): (Vec<FieldRef>, Vec<FieldRef>) = (Vec::new(), Vec::new());
        for (at, field) in view.schema.fields().iter().enumerate() {
            if parted == Some(at) { constants.push(Arc::clone(field)) } else { in_files.push(Arc::clone(field)) }
        }
        let (day, mut next) = (in_files.len(), 0..in_files.len());
        let places =
            (0..view.schema.fields().len()).map(|at| if parted == Some(at) { day } else { next.next().unwrap_or(day) });
        let places = places.collect();
        let whole = origin.is_some();
        let mut counted = Vec::new();
        if let Some([file, row]) = origin {
            constants.push(file);
            counted.push(row);
        }
        let table = TableSchemaBuilder::new(Arc::new(Schema::new(in_files)))
            .with_table_partition_cols(constants)
            .with_virtual_columns(counted)
            .build();
        Self { table, places, parted: parted.is_some(), origin: whole }
    }

    /// The columns as the engine's reader wants them.
    pub(super) fn table(&self) -> &TableSchema {
        &self.table
    }

    /// Where these columns of the view stand, then where the origin does.
    pub(super) fn places(&self, chosen: &[usize]) -> Vec<usize> {
        let columns = self.table.table_schema().fields().len();
        let origin = if self.origin { columns.saturating_sub(2)..columns } else { 0..0 };
        chosen.iter().filter_map(|at| self.places.get(*at).copied()).chain(origin).collect()
    }

    /// What is the same for every row of a file.
    pub(super) fn constants(&self, file: &FileView) -> Vec<ScalarValue> {
        let day = self.parted.then_some(ScalarValue::Date32(file.day));
        day.into_iter().chain(self.origin.then_some(ScalarValue::UInt32(Some(file.id.0)))).collect()
    }
}
