//! One Parquet file: zstd, row groups small enough to skip.
//!
//! Owns: the writer's settings. Column types and metadata are the result's own.

use std::io::Write;

use ::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};

use super::{OutputError, RowWriter};

const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Writes rows into one Parquet file.
pub struct ParquetRows<W: Write + Send> {
    writer: Option<ArrowWriter<W>>,
}

impl<W: Write + Send> ParquetRows<W> {
    /// Starts the file.
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self, OutputError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by("naru".to_owned())
            .build();
        Ok(Self { writer: Some(ArrowWriter::try_new(out, schema.clone(), Some(properties))?) })
    }
}

impl<W: Write + Send> RowWriter for ParquetRows<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(writer) = self.writer.take() {
            writer.into_inner()?.flush()?;
        }
        Ok(())
    }
}
