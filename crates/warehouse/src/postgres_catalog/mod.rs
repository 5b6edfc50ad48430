//! What PostgreSQL's clients ask before they show anything: `pg_catalog` and `information_schema`.
//!
//! Owns: small virtual tables over what a session may see, and queries of them in PostgreSQL's dialect, in an engine
//! session of their own that holds nothing else. GoogleSQL and user tables are never reached from here.
//! Next: `relations` for the tables, `rewrite` for what PostgreSQL's dialect says that the engine does not.

mod relations;
mod rewrite;
mod types;

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    error::DataFusionError,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::{SessionConfig, SessionContext},
    scalar::ScalarValue,
    sql::{parser::Statement, sqlparser},
};
use naru_googlesql::{SqlError, SqlErrorKind};
use sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

use crate::{Session, WarehouseError};

pub use types::{element_oid, format_type, oid_of_name, type_length, type_modifier, type_oid};

/// What the catalog says about the server and the asker.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `current_user`
    pub user: String,
    /// `server_version`
    pub version: String,
}

/// Answers one query of the catalog.
///
/// # Errors
/// [`WarehouseError::Sql`] for what this small catalog does not have.
pub async fn run(session: &Session, facts: &Facts, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), WarehouseError> {
    let wrong = |message: String| {
        WarehouseError::Sql(SqlError { kind: SqlErrorKind::Unsupported, message, line: 0, column: 0, hint: None })
    };
    // The JDBC driver wants one row, whatever is in it.
    let sql = if sql.contains("pg_get_keywords") { "SELECT '' AS string_agg" } else { sql };
    let sql = &*without_search_path(sql);
    if sql.contains("typeinfo_tree") {
        let types = relations::type_tree().map_err(|error| wrong(error.strip_backtrace()))?;
        return Ok((types.schema(), vec![types]));
    }
    let mut parsed =
        Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| wrong(format!("catalog query: {error}")))?;
    let (Some(mut statement), true) = (parsed.pop(), parsed.is_empty()) else {
        return Err(wrong("one catalog query at a time".to_owned()));
    };
    let tables = relations::Relations::new(session.project(), session.default_dataset(), &session.describe().await?);
    let rewritten = rewrite::rewrite(&mut statement, &tables, facts);
    let context = context(&tables)?;
    let task = async move {
        let plan = context.state().statement_to_plan(Statement::Statement(Box::new(statement))).await?;
        // Only queries: the statements that could change this throw-away session have no use.
        let frame = context.execute_logical_plan(plan).await?;
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        // The engine may give texts in another layout than it planned.
        let given = batches.first().map_or(schema, RecordBatch::schema);
        let fields: Vec<Field> = given.fields().iter().map(|field| shown(field)).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let renamed = batches.into_iter().map(|batch| RecordBatch::try_new(schema.clone(), batch.columns().to_vec()));
        Ok::<_, DataFusionError>((schema.clone(), renamed.collect::<Result<_, _>>()?))
    };
    match task.await {
        Ok(answer) => Ok(answer),
        // Clients ask about indexes, constraints and triggers in ways the engine cannot plan; there are none.
        Err(error) if rewritten.asks_empty => {
            tracing::debug!(%error, "a catalog query of empty relations was answered without planning");
            let fields: Vec<Field> =
                rewritten.names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
            Ok((Arc::new(Schema::new(fields)), Vec::new()))
        }
        Err(error) => Err(wrong(format!("catalog query: {}", error.strip_backtrace()))),
    }
}

/// The JDBC driver's question for a type numbers the schemas of the search path, in a way that the engine cannot plan;
/// all types here stand in one schema.
fn without_search_path(sql: &str) -> Cow<'_, str> {
    let range = || {
        let start = sql.find("( select s.r, (current_schemas(false))[s.r] as nspname")?;
        let end = start + sql.get(start..)?.find("as s(r) )")? + "as s(r) )".len();
        Some((sql.get(..start)?, sql.get(end..)?))
    };
    match range() {
        Some((before, after)) => Cow::Owned(format!("{before}( SELECT 1 AS r, 'pg_catalog' AS nspname ){after}")),
        None => Cow::Borrowed(sql),
    }
}

/// A field under the name that the client gave it.
fn shown(field: &Field) -> Field {
    let name = field.name().trim_end_matches(rewrite::BESIDE_STAR).to_owned();
    // Joins may bring nulls that the plan did not announce.
    field.clone().with_name(name).with_nullable(true)
}

fn context(tables: &relations::Relations) -> Result<SessionContext, WarehouseError> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(&tables.project, "pg_catalog")
        .with_target_partitions(1)
        .with_information_schema(false);
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    let context = SessionContext::new_with_config(config);
    let failed = |error: DataFusionError| WarehouseError::Engine(error.strip_backtrace());
    tables.register(&context).map_err(failed)?;
    context.register_udf(create_udf(
        "format_type",
        vec![DataType::Int64, DataType::Int64],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| format_types(arguments)),
    ));
    let sizes = tables.sizes();
    context.register_udf(of_number("pg_total_relation_size", DataType::Int64, move |oid| {
        sizes.get(&oid).map(|bytes| ScalarValue::Int64(Some(*bytes)))
    }));
    context.register_udf(of_number("pg_size_pretty", DataType::Utf8, |bytes| {
        Some(ScalarValue::Utf8(Some(size_pretty(bytes))))
    }));
    Ok(context)
}

/// A function of one number; NULL of NULL, and where it gives nothing.
fn of_number(
    name: &str,
    returns: DataType,
    answer: impl Fn(i64) -> Option<ScalarValue> + Send + Sync + 'static,
) -> ScalarUDF {
    let to = returns.clone();
    let run = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let given = arrays.first().ok_or_else(|| DataFusionError::Plan("one number is missing".to_owned()))?;
        let null = ScalarValue::try_from(&to)?;
        let given = Int64Array::from(given.to_data());
        let answers = given.iter().map(|one| one.and_then(&answer).unwrap_or_else(|| null.clone()));
        let answers: Vec<ScalarValue> = answers.collect();
        if answers.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(&to)));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(answers)?))
    };
    create_udf(name, vec![DataType::Int64], returns, Volatility::Volatile, Arc::new(run))
}

/// A size as PostgreSQL's `pg_size_pretty` writes it.
fn size_pretty(bytes: i64) -> String {
    let mut size = bytes;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if size.abs() < 10_240 {
            return format!("{size} {unit}");
        }
        // Halves away from zero.
        size = (size + size.signum() * 512) / 1_024;
    }
    format!("{size} PB")
}

fn format_types(arguments: &[ColumnarValue]) -> Result<ColumnarValue, DataFusionError> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let numbers = |position: usize| -> Result<Int64Array, DataFusionError> {
        let array = arrays.get(position).ok_or_else(|| DataFusionError::Plan("format_type takes two".to_owned()))?;
        let plain = cast(array, &DataType::Int64)?;
        Ok(Int64Array::from(plain.to_data()))
    };
    let (oids, modifiers) = (numbers(0)?, numbers(1)?);
    let named =
        oids.iter().zip(&modifiers).map(|(oid, modifier)| oid.map(|oid| format_type(oid, modifier.unwrap_or(-1))));
    let names: ArrayRef = Arc::new(named.collect::<StringArray>());
    Ok(ColumnarValue::Array(names))
}

#[cfg(test)]
mod tests {
    use super::size_pretty;

    #[test]
    fn sizes_are_written_as_postgresql_writes_them() {
        let cases =
            [(0, "0 bytes"), (10_239, "10239 bytes"), (10_240, "10 kB"), (-10_240, "-10 kB"), (20_971_520, "20 MB")];
        for (bytes, text) in cases {
            assert_eq!(size_pretty(bytes), text);
        }
    }
}
