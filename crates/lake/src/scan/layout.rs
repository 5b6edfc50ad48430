//! In which order a scan has the table's columns, and what stands beside them.
//!
//! Owns: [`Layout`]. The engine wants what files hold first, then what is the same for a whole file, then what its
//! reader counts. Never reads anything.

use std::sync::Arc;

use ::parquet::arrow::RowNumber;
use arrow::datatypes::{DataType, Field, FieldRef};
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
    /// Whether each row says where it is from, in two more columns.
    origin: bool,
}

impl Layout {
    /// The view's columns.
    pub(super) fn of(view: &TableView) -> Self {
        let places = (0..view.schema.fields().len()).collect();
        Self { table: TableSchema::from(&view.schema), places, origin: false }
    }

    /// The view's columns, then [`FILE`] and [`ROW`].
    pub(super) fn with_origin(view: &TableView) -> Result<Self> {
        let mut row = Field::new(ROW, DataType::Int64, false);
        row.try_with_extension_type(RowNumber)?;
        let row: FieldRef = Arc::new(row);
        let file: FieldRef = Arc::new(Field::new(FILE, DataType::UInt32, false));
        let plain = Self::of(view);
        let table = TableSchemaBuilder::new(Arc::clone(&view.schema))
            .with_table_partition_cols(vec![file])
            .with_virtual_columns(vec![row])
            .build();
        Ok(Self { table, origin: true, ..plain })
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
        if self.origin { vec![ScalarValue::UInt32(Some(file.id.0))] } else { Vec::new() }
    }
}
