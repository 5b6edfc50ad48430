//! A project of in-memory tables, enough to run cases: CREATE TABLE, INSERT, views; and loose comparison of rows.
#![allow(dead_code)]

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch},
        compute::concat_batches,
        datatypes::{
            DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float64Type, Int64Type,
            IntervalMonthDayNanoType, Schema, Time64MicrosecondType, TimestampMicrosecondType,
        },
        util::display::{ArrayFormatter, FormatOptions},
    },
    catalog::{MemoryCatalogProvider, MemorySchemaProvider},
    datasource::MemTable,
    execution::SessionStateBuilder,
    prelude::{SessionConfig, SessionContext},
    scalar::ScalarValue,
};
use naru_googlesql::{GoogleSql, Options, Params, Parsed, StatementKind, kind, parse};
use serde_json::{Value, json};
use sqlparser::ast::{SetExpr, Statement, TableObject};

/// How a case went.
pub enum Outcome {
    Equal,
    Refused(String),
    Wrong(String),
}

/// An empty project.
pub struct Project {
    pub context: SessionContext,
    pub sql: GoogleSql,
}

pub type Rows = Vec<Vec<Value>>;

impl Project {
    pub fn new() -> Self {
        Self::in_zone("UTC")
    }

    pub fn in_zone(zone: &str) -> Self {
        let sql = GoogleSql::new(Options { time_zone: zone.into(), ..Options::default() });
        let config = SessionConfig::new()
            .with_target_partitions(2)
            .with_default_catalog_and_schema("p", "ds")
            .with_create_default_catalog_and_schema(true);
        let state = sql.configure(SessionStateBuilder::new().with_default_features().with_config(config)).build();
        Self { context: SessionContext::new_with_state(state), sql }
    }

    /// Runs statements and gives the rows of the last.
    pub async fn run(&mut self, text: &str, params: &Params) -> Result<Rows, String> {
        let statements = parse(text).map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        for parsed in &statements {
            rows = match kind(parsed) {
                StatementKind::Query => to_rows(&self.query(parsed, params).await?),
                StatementKind::CreateTable => self.create(parsed).await?,
                StatementKind::CreateView => self.create_view(parsed).await?,
                StatementKind::Insert => self.insert(parsed).await?,
                StatementKind::CreateSchema => Vec::new(),
                other => return Err(format!("{other:?} is not run here")),
            };
        }
        Ok(rows)
    }

    pub async fn query(&self, parsed: &Parsed, params: &Params) -> Result<RecordBatch, String> {
        let plan = self.sql.plan(&self.context.state(), parsed, params).await.map_err(|error| error.to_string())?;
        let schema = Arc::new(plan.schema().as_arrow().clone());
        let frame = self.context.execute_logical_plan(plan).await.map_err(|error| error.to_string())?;
        let batches = frame.collect().await.map_err(|error| error.to_string())?;
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        concat_batches(&schema, &batches).map_err(|error| error.to_string())
    }

    async fn select(&self, text: &str) -> Result<RecordBatch, String> {
        let parsed = parse(text).map_err(|error| format!("{error} in {text}"))?;
        self.query(&parsed[0], &Params::default()).await
    }

    fn register(&self, parts: &[String], batch: RecordBatch) -> Result<(), String> {
        let parts: Vec<String> = parts.iter().flat_map(|part| part.split('.').map(ToOwned::to_owned)).collect();
        let (catalog, schema, table) = match parts.as_slice() {
            [table] => ("p", "ds", table.as_str()),
            [schema, table] => ("p", schema.as_str(), table.as_str()),
            [catalog, schema, table] => (catalog.as_str(), schema.as_str(), table.as_str()),
            _ => return Err("name".into()),
        };
        let catalogs = self.context.state().catalog_list().clone();
        if catalogs.catalog(catalog).is_none() {
            catalogs.register_catalog(catalog.into(), Arc::new(MemoryCatalogProvider::new()));
        }
        let catalog = catalogs.catalog(catalog).unwrap();
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new())).unwrap();
        }
        let schema = catalog.schema(schema).unwrap();
        schema.deregister_table(table).map_err(|error| error.to_string())?;
        let memory = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(|error| error.to_string())?;
        schema.register_table(table.into(), Arc::new(memory)).map_err(|error| error.to_string())?;
        Ok(())
    }

    async fn create(&self, parsed: &Parsed) -> Result<Rows, String> {
        let Statement::CreateTable(create) = &parsed.statement else { return Err("not CREATE TABLE".into()) };
        if create.clone.is_some() || create.like.is_some() || create.if_not_exists {
            return Err("form of CREATE TABLE".into());
        }
        let batch = if let Some(query) = &create.query {
            self.select(&query.to_string()).await?
        } else {
            let items: Vec<String> = create
                .columns
                .iter()
                .map(|column| format!("CAST(NULL AS {}) AS `{}`", column.data_type, column.name.value))
                .collect();
            self.select(&format!("SELECT {} FROM UNNEST(CAST([] AS ARRAY<INT64>))", items.join(", "))).await?
        };
        let names: Vec<String> = naru_googlesql::writes(parsed)[0].parts.clone();
        self.register(&names, batch)?;
        Ok(Vec::new())
    }

    async fn create_view(&self, parsed: &Parsed) -> Result<Rows, String> {
        let Statement::CreateView(create) = &parsed.statement else { return Err("not CREATE VIEW".into()) };
        let batch = self.select(&create.query.to_string()).await?;
        self.register(&naru_googlesql::writes(parsed)[0].parts.clone(), batch)?;
        Ok(Vec::new())
    }

    async fn insert(&self, parsed: &Parsed) -> Result<Rows, String> {
        let Statement::Insert(insert) = &parsed.statement else { return Err("not INSERT".into()) };
        let TableObject::TableName(name) = &insert.table else { return Err("form of INSERT".into()) };
        let Some(SetExpr::Values(values)) = insert.source.as_ref().map(|source| source.body.as_ref()) else {
            return Err("INSERT without VALUES".into());
        };
        let before = self.select(&format!("SELECT * FROM {name}")).await?;
        let schema = before.schema();
        let targets: Vec<String> = if insert.columns.is_empty() {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        } else {
            insert.columns.iter().map(ToString::to_string).collect()
        };
        let mut batches = vec![before];
        for row in &values.rows {
            let items: Vec<String> = schema
                .fields()
                .iter()
                .map(|field| {
                    let ty = naru_googlesql::sql_type(field, self.sql.options());
                    let at = targets.iter().position(|target| target.eq_ignore_ascii_case(field.name()));
                    let value = at.map_or("NULL".to_owned(), |at| row.content[at].to_string());
                    format!("CAST({value} AS {ty}) AS `{}`", field.name())
                })
                .collect();
            let batch = self.select(&format!("SELECT {}", items.join(", "))).await?;
            batches.push(
                RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).map_err(|error| error.to_string())?,
            );
        }
        let batch = concat_batches(&schema, &batches).map_err(|error| error.to_string())?;
        let parts = naru_googlesql::writes(parsed)[0].parts.clone();
        self.register(&parts, batch)?;
        Ok(Vec::new())
    }
}

pub fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| ScalarValue::Float64(number.as_f64()), |value| ScalarValue::Int64(Some(value))),
        other => ScalarValue::Utf8(Some(other.as_str().map_or_else(|| other.to_string(), ToOwned::to_owned))),
    }
}

pub fn to_rows(batch: &RecordBatch) -> Rows {
    (0..batch.num_rows())
        .map(|row| {
            batch
                .columns()
                .iter()
                .zip(batch.schema().fields())
                .map(|(column, field)| cell(column, field, row))
                .collect()
        })
        .collect()
}

fn cell(column: &ArrayRef, field: &Field, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            if value.is_finite() { json!(value) } else { json!(value.to_string()) }
        }
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Binary => json!(String::from_utf8_lossy(column.as_binary::<i32>().value(row))),
        DataType::List(element) => {
            let values = column.as_list::<i32>().value(row);
            Value::Array((0..values.len()).map(|at| cell(&values, element, at)).collect())
        }
        DataType::Struct(fields) => Value::Array(
            fields.iter().zip(column.as_struct().columns()).map(|(field, column)| cell(column, field, row)).collect(),
        ),
        _ => {
            let _ = (
                field,
                std::any::type_name::<(
                    Date32Type,
                    Decimal128Type,
                    Decimal256Type,
                    IntervalMonthDayNanoType,
                    Time64MicrosecondType,
                    TimestampMicrosecondType,
                    Schema,
                )>(),
            );
            let options = FormatOptions::default();
            json!(ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string())
        }
    }
}

/// Whether rows are the same, numbers to 1e-9, instants by time, in order where asked.
pub fn same_rows(given: &[Vec<Value>], wanted: &[Vec<Value>], ordered: bool) -> bool {
    if given.len() != wanted.len() {
        return false;
    }
    let same = |given: &Vec<Value>, wanted: &Vec<Value>| {
        given.len() == wanted.len() && given.iter().zip(wanted).all(|(given, wanted)| same_value(given, wanted))
    };
    if ordered {
        return given.iter().zip(wanted).all(|(given, wanted)| same(given, wanted));
    }
    let mut rest: Vec<&Vec<Value>> = given.iter().collect();
    wanted.iter().all(|wanted| match rest.iter().position(|given| same(given, wanted)) {
        Some(at) => {
            rest.remove(at);
            true
        }
        None => false,
    })
}

fn same_value(given: &Value, wanted: &Value) -> bool {
    match (given, wanted) {
        (Value::Null, Value::Null) => true,
        (Value::Array(given), Value::Array(wanted)) => {
            given.len() == wanted.len() && given.iter().zip(wanted).all(|(given, wanted)| same_value(given, wanted))
        }
        (Value::Array(_), Value::String(text)) => {
            let (given, wanted) = (strip(&shown(given)), strip(text));
            given.len() == wanted.len() && given.iter().zip(&wanted).all(|(given, wanted)| same_value(given, wanted))
        }
        _ => {
            if given == wanted {
                return true;
            }
            if let (Some(given), Some(wanted)) = (as_number(given), as_number(wanted)) {
                return (given - wanted).abs() <= 1e-9 * given.abs().max(wanted.abs()).max(1e-300);
            }
            same_text(given, wanted)
        }
    }
}

/// The words of a value's text; brackets and quotes do not count.
fn strip(text: &str) -> Vec<Value> {
    text.split(|c: char| " ,'\"(){}[]".contains(c)).filter(|word| !word.is_empty()).map(|word| json!(word)).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(parts) => {
            format!("[{}]", parts.iter().map(shown).collect::<Vec<_>>().join(",")).replace(['[', ']'], "")
        }
        Value::String(text) => text.clone(),
        Value::Null => "NULL".into(),
        other => other.to_string(),
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn same_text(given: &Value, wanted: &Value) -> bool {
    let (Some(given), Some(wanted)) = (given.as_str(), wanted.as_str()) else { return false };
    let plain = |text: &str| text.replace('T', " ").trim_end_matches('Z').trim_end_matches("+00").to_owned();
    plain(given) == plain(wanted)
}
