//! One Parquet file: zstd, row groups small enough to skip.
//!
//! Owns: the writer's settings, and which types go as text because Parquet or most of its readers do not have them:
//! INTERVAL and BIGNUMERIC, each marked in its field's metadata as in the lake.

use std::{io::Write, sync::Arc};

use ::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    record_batch::RecordBatch,
};

use super::{OutputError, RowWriter, convert};

const ROW_GROUP_ROWS: usize = 128 * 1024;
/// The field-metadata key under which a type stands that the stored one does not say.
const TYPE_KEY: &str = "naru.type";

/// Writes rows into one Parquet file.
pub struct ParquetRows<W: Write + Send> {
    writer: Option<ArrowWriter<W>>,
    schema: SchemaRef,
}

impl<W: Write + Send> ParquetRows<W> {
    /// Starts the file.
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self, OutputError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by("naru".to_owned())
            .build();
        let fields: Vec<Field> = schema.fields().iter().map(|field| stored(field)).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Self { writer: Some(ArrowWriter::try_new(out, schema.clone(), Some(properties))?), schema })
    }
}

/// What a type goes as text by the name of.
fn text_mark(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Interval(_) => Some("interval"),
        DataType::Decimal256(precision, _) if *precision > 38 => Some("bignumeric"),
        _ => None,
    }
}

/// The field as the file holds it. A list's mark says what its elements are.
fn stored(field: &Field) -> Field {
    let marked = |data_type: DataType, mark: Option<&str>| {
        let mut metadata = field.metadata().clone();
        metadata.extend(mark.map(|mark| (TYPE_KEY.to_owned(), mark.to_owned())));
        field.clone().with_data_type(data_type).with_metadata(metadata)
    };
    match field.data_type() {
        DataType::List(item) => {
            let mark = text_mark(item.data_type());
            marked(DataType::List(Arc::new(Field::new(item.name(), stored(item).data_type().clone(), true))), mark)
        }
        DataType::Struct(fields) => {
            let fields: Fields = fields.iter().map(|field| stored(field)).collect();
            marked(DataType::Struct(fields), None)
        }
        plain => match text_mark(plain) {
            Some(mark) => marked(DataType::Utf8, Some(mark)),
            None => field.clone(),
        },
    }
}

impl<W: Write + Send> RowWriter for ParquetRows<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns: Vec<ArrayRef> =
            columns.map(|(array, field)| convert(array, field.data_type())).collect::<Result<_, _>>()?;
        Ok(writer.write(&RecordBatch::try_new(self.schema.clone(), columns)?)?)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(writer) = self.writer.take() {
            writer.into_inner()?.flush()?;
        }
        Ok(())
    }
}
