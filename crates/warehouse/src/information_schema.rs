//! INFORMATION_SCHEMA as BigQuery shapes it: SCHEMATA, TABLES, COLUMNS.
//!
//! Owns: those three views over what a query may see. Columns that cannot be known here are left out rather than
//! filled with nothing. Source: the reference pages of BigQuery's INFORMATION_SCHEMA.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    datatypes::{Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{catalog::TableProvider, datasource::MemTable};
use naru_base::TableId;
use naru_googlesql::sql_type;

use crate::{WarehouseError, catalog::Sight, session::google_options, tables::Extent};

/// The schema's name.
pub(crate) const INFORMATION_SCHEMA: &str = "INFORMATION_SCHEMA";
/// Its views.
pub(crate) const VIEWS: [&str; 3] = ["SCHEMATA", "TABLES", "COLUMNS"];

/// One table or view with its columns.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its name.
    pub id: TableId,
    /// Whether it is a view.
    pub is_view: bool,
    /// Its columns; empty for a view whose query cannot be planned now.
    pub schema: SchemaRef,
    /// How large it is, where that is known.
    pub extent: Option<Extent>,
}

/// Everything a reader may know of, restricted to one dataset if given, sorted by name.
pub(crate) async fn describe(sight: &Sight, dataset: Option<&str>) -> Result<Vec<Described>, WarehouseError> {
    let mut all = Vec::new();
    let sight = sight.looking();
    for id in sight.scope.list().await? {
        if dataset.is_some_and(|dataset| dataset != id.dataset) {
            continue;
        }
        let is_view = sight.scope.is_view(&id);
        let schema = match sight.open(&id).await {
            Ok(Some(provider)) => provider.schema(),
            // Dropped since it was listed.
            Ok(None) => continue,
            // One broken table must not hide the others.
            Err(error) => {
                tracing::debug!(table = %id, %error, "a table could not be described");
                Arc::new(Schema::empty())
            }
        };
        let extent = if is_view { None } else { sight.scope.extent(&id).await };
        all.push(Described { id, is_view, schema, extent });
    }
    Ok(all)
}

/// Opens one view; `dataset` restricts it. `None` when there is no such view.
pub(crate) async fn view(
    sight: &Sight,
    dataset: Option<&str>,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>, WarehouseError> {
    let project = sight.scope.project.as_str();
    let batch = match name.to_ascii_uppercase().as_str() {
        "SCHEMATA" => schemata(project, &sight.scope.list().await?),
        "TABLES" => table_rows(project, &describe(sight, dataset).await?),
        "COLUMNS" => column_rows(project, &describe(sight, dataset).await?),
        _ => return Ok(None),
    }?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(|error| inner(&error))?;
    Ok(Some(Arc::new(table)))
}

fn inner(error: &dyn std::error::Error) -> WarehouseError {
    WarehouseError::Engine(error.to_string())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, WarehouseError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())
        .map_err(|error| inner(&error))
}

fn texts<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn schemata(project: &str, tables: &[TableId]) -> Result<RecordBatch, WarehouseError> {
    let datasets: BTreeSet<&str> = tables.iter().map(|id| id.dataset.as_str()).collect();
    batch(vec![("catalog_name", texts(datasets.iter().map(|_| project))), ("schema_name", texts(datasets.iter()))])
}

fn table_rows(project: &str, tables: &[Described]) -> Result<RecordBatch, WarehouseError> {
    batch(vec![
        ("table_catalog", texts(tables.iter().map(|_| project))),
        ("table_schema", texts(tables.iter().map(|table| table.id.dataset.as_str()))),
        ("table_name", texts(tables.iter().map(|table| table.id.table.as_str()))),
        ("table_type", texts(tables.iter().map(|table| if table.is_view { "VIEW" } else { "BASE TABLE" }))),
    ])
}

fn column_rows(project: &str, tables: &[Described]) -> Result<RecordBatch, WarehouseError> {
    let (mut datasets, mut names, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    let (mut positions, mut nullable, mut types) = (Vec::new(), Vec::new(), Vec::new());
    let options = google_options("UTC");
    for table in tables {
        for (position, field) in (1_i64..).zip(table.schema.fields()) {
            datasets.push(table.id.dataset.as_str());
            names.push(table.id.table.as_str());
            columns.push(field.name().as_str());
            positions.push(position);
            nullable.push(if field.is_nullable() { "YES" } else { "NO" });
            types.push(sql_type(field, &options));
        }
    }
    batch(vec![
        ("table_catalog", texts(datasets.iter().map(|_| project))),
        ("table_schema", texts(datasets)),
        ("table_name", texts(names)),
        ("column_name", texts(columns)),
        ("ordinal_position", Arc::new(Int64Array::from(positions))),
        ("is_nullable", texts(nullable)),
        ("data_type", texts(types)),
    ])
}
