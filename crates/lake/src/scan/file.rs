//! One file, read for the lake itself: index rebuilds, point reads, rewrites.
//!
//! Owns: [`TableView::read_file`]. Vectors are ignored: row numbers are what callers want.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::RowSelection;
use datafusion::{
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, parquet::ParquetRowSelection},
        source::DataSourceExec,
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{ExecutionPlan, metrics::ExecutionPlanMetricsSet},
};

use crate::{
    error::LakeError,
    scan::{
        adapter::{Factory, StoredColumns},
        layout::Layout,
        parquet,
    },
    view::{FileView, TableView},
};

impl TableView {
    /// The names of the columns a file holds.
    pub(crate) async fn stored_names(&self, file: &FileView) -> Result<Vec<String>, LakeError> {
        let part = PartitionedFile::new_from_meta(parquet::object_meta(self, file));
        let metrics = ExecutionPlanMetricsSet::new();
        let mut reader =
            parquet::readers(&self.runtime, self)?.create_reader(0, part, Some(parquet::FOOTER_BYTES), &metrics)?;
        let footer = reader.get_metadata(None).await?;
        let fields = footer.file_metadata().schema_descr().root_schema().get_fields();
        Ok(fields.iter().map(|field| field.name().to_owned()).collect())
    }

    /// The rows of one file in file order, dead ones included, with these columns (true names, in this order);
    /// columns the file lacks have their `fill`, or NULL. `rows` picks some of them.
    pub(crate) fn read_file(
        &self,
        file: &FileView,
        columns: &[&str],
        rows: Option<RowSelection>,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let chosen = columns.iter().map(|name| self.schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let layout = Layout::of(self);
        let mut part = PartitionedFile::new_from_meta(parquet::object_meta(self, file));
        part.partition_values = layout.constants(file);
        if let Some(rows) = rows {
            part = part.with_extension(ParquetRowSelection::new(rows));
        }
        let source = parquet::source(&self.runtime, self, &layout)?;
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(vec![FileGroup::new(vec![part])])
            .with_expr_adapter(Some(Arc::new(Factory(Arc::new(StoredColumns::of(self)?)))))
            .with_projection_indices(Some(layout.places(&chosen)))?
            .build();
        let context = TaskContext::default().with_runtime(Arc::clone(&self.runtime));
        Ok(DataSourceExec::from_data_source(config).execute(0, Arc::new(context))?)
    }
}
