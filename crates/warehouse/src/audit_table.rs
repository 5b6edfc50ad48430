//! `naru.audit`: the audit as a table of SQL.
//!
//! Owns: its columns, and reading it in pages from the state database. Who may see it is decided like for any table;
//! grants on `*` do not reach the dataset `naru`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    record_batch::RecordBatch,
};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::stream;
use naru_access::audit::{Audit, AuditRow, chain};
use naru_base::TableId;

use crate::{WarehouseError, catalog::through_engine, tables::View};

/// Rows of one page, and of one batch.
const PAGE: usize = 4_096;

/// The table's name.
pub(crate) fn id() -> TableId {
    TableId::new(naru_access::rights::OWN_DATASET, "audit")
}

/// The audit as a table; `None` where there is no audit.
pub(crate) fn view(audit: &Audit) -> Result<Option<View>, WarehouseError> {
    if !audit.is_open() {
        return Ok(None);
    }
    let schema = schema();
    let pages: Arc<dyn PartitionStream> = Arc::new(Pages { audit: audit.clone(), schema: schema.clone() });
    let table = StreamingTable::try_new(schema, vec![pages]);
    let table: Arc<dyn TableProvider> =
        Arc::new(table.map_err(|error| WarehouseError::Engine(error.strip_backtrace()))?);
    Ok(Some(View::of(table)))
}

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let tables = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let columns = [
        ("id", DataType::Int64, false),
        ("time", time, false),
        ("account", DataType::Utf8, false),
        ("account_kind", DataType::Utf8, false),
        ("door", DataType::Utf8, false),
        ("address", DataType::Utf8, true),
        ("client", DataType::Utf8, false),
        ("action", DataType::Utf8, false),
        ("sql", DataType::Utf8, true),
        ("tables", tables, false),
        ("rows", DataType::Int64, true),
        ("bytes", DataType::Int64, true),
        ("bytes_read", DataType::Int64, true),
        ("took_ms", DataType::Int64, true),
        ("result", DataType::Utf8, false),
        ("detail", DataType::Utf8, true),
        ("reason", DataType::Utf8, true),
        ("hash", DataType::Utf8, false),
    ];
    let fields: Vec<Field> = columns.into_iter().map(|(name, of, nullable)| Field::new(name, of, nullable)).collect();
    Arc::new(Schema::new(fields))
}

#[derive(Debug)]
struct Pages {
    audit: Audit,
    schema: SchemaRef,
}

impl PartitionStream for Pages {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (audit, schema) = (self.audit.clone(), self.schema.clone());
        let pages = stream::try_unfold(0_i64, move |last| {
            let (audit, schema) = (audit.clone(), schema.clone());
            async move {
                let rows = audit.after(last, PAGE).await;
                let rows = rows.map_err(|error| through_engine(WarehouseError::Audit(Box::new(error.problem()))))?;
                let Some(last) = rows.last().map(|row| row.id) else { return Ok(None) };
                Ok::<_, DataFusionError>(Some((batch(&schema, &rows)?, last)))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), pages))
    }
}

fn batch(schema: &SchemaRef, rows: &[AuditRow]) -> Result<RecordBatch, DataFusionError> {
    let text = |of: fn(&AuditRow) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let some =
        |of: fn(&AuditRow) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
    let number =
        |of: fn(&AuditRow) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    let time = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at_us)).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        number(|row| Some(row.id)),
        Arc::new(time),
        text(|row| &row.account),
        text(|row| &row.account_kind),
        text(|row| &row.door),
        some(|row| row.address.as_deref()),
        text(|row| &row.client),
        text(|row| &row.action),
        some(|row| row.sql.as_deref()),
        tables(rows),
        number(|row| row.rows),
        number(|row| row.bytes),
        number(|row| row.bytes_read),
        number(|row| row.took_us.map(|took| took / 1_000)),
        text(|row| &row.result),
        some(|row| row.detail.as_deref()),
        some(|row| row.reason.as_deref()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| chain::hex(&row.hash)))),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn tables(rows: &[AuditRow]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        for name in chain::names(&row.tables) {
            lists.values().append_value(name);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}
