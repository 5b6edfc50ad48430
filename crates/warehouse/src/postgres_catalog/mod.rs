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
    execution::{SessionStateBuilder, context::SQLOptions, memory_pool::MemoryConsumer},
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    physical_plan::execute_stream,
    prelude::{SessionConfig, SessionContext},
    scalar::ScalarValue,
    sql::{parser::Statement, sqlparser},
};
use futures::StreamExt as _;
use naru_googlesql::{SqlError, SqlErrorKind};
use sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
use tokio_util::sync::CancellationToken;

use crate::{Session, WarehouseError, steps::stoppable};

pub use types::{element_oid, format_type, oid_of_name, type_length, type_modifier, type_oid};

/// Bytes that one answer may have: it is kept as a whole until its reader has it.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What the catalog says about the server and the asker.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `current_user`
    pub user: String,
    /// `server_version`
    pub version: String,
}

/// Answers one query of the catalog: within the session's memory and time, and with its row in the audit.
///
/// # Errors
/// [`WarehouseError::Sql`] for what this small catalog does not have; what any query fails with when it takes too much.
pub async fn run(session: &Session, facts: &Facts, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), WarehouseError> {
    let mut record = session.record(sql).await?;
    let answered = within_limits(session, facts, sql).await;
    if let Some(record) = &mut record {
        match &answered {
            Ok((_, batches)) => {
                for batch in batches {
                    record.handed(batch);
                }
                record.done();
            }
            Err(error) => record.failed(error),
        }
    }
    answered
}

/// The columns of one query of the catalog; its rows go nowhere, so that nothing is written down.
///
/// # Errors
/// As [`run`].
pub async fn describe(session: &Session, facts: &Facts, sql: &str) -> Result<SchemaRef, WarehouseError> {
    // The engine may give texts in another layout than it planned: only an answer tells.
    Ok(within_limits(session, facts, sql).await?.0)
}

async fn within_limits(
    session: &Session,
    facts: &Facts,
    sql: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>), WarehouseError> {
    let answer = answer(session, facts, sql);
    match session.timeout() {
        Some(limit) => {
            tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(WarehouseError::TimedOut(limit)))
        }
        None => answer.await,
    }
}

fn wrong(message: String) -> WarehouseError {
    WarehouseError::Sql(SqlError { kind: SqlErrorKind::Unsupported, message, line: 0, column: 0, hint: None })
}

async fn answer(session: &Session, facts: &Facts, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), WarehouseError> {
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
    let context = context(session, &tables)?;
    let limit = session.memory_bytes().min(ANSWER_BYTES_MAX);
    let stop = CancellationToken::new();
    // Whoever leaves or runs out of time drops this, and the plan ends between two batches.
    let _left = stop.clone().drop_guard();
    let work = async move { Ok(collect(&context, Box::new(statement), limit, &stop).await) };
    let collected = session.on_threads(Box::pin(work)).await?;
    match collected {
        Ok(answer) => Ok(answer),
        Err(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {
            Err(WarehouseError::of_engine(&error, limit))
        }
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

/// Plans and runs one statement; its whole answer, of at most so many bytes.
async fn collect(
    context: &SessionContext,
    statement: Box<sqlparser::ast::Statement>,
    limit: usize,
    stop: &CancellationToken,
) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
    let plan = context.state().statement_to_plan(Statement::Statement(statement)).await?;
    // Only queries: the statements that could change this throw-away session have no use.
    let only_queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
    only_queries.verify_plan(&plan)?;
    let frame = context.execute_logical_plan(plan).await?;
    let planned: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let kept = MemoryConsumer::new("catalog answer").register(&context.runtime_env().memory_pool);
    let tasks = Arc::new(frame.task_ctx());
    let plan = stoppable(frame.create_physical_plan().await?, stop)?;
    let (mut rows, mut batches, mut bytes) = (execute_stream(plan, tasks)?, Vec::new(), 0_usize);
    while let Some(batch) = rows.next().await {
        let batch: RecordBatch = batch?;
        let more = batch.get_array_memory_size();
        bytes = bytes.saturating_add(more);
        if bytes > limit {
            return Err(DataFusionError::ResourcesExhausted(format!("the catalog's answer is over {limit} bytes")));
        }
        kept.try_grow(more)?;
        batches.push(batch);
    }
    // The engine may give texts in another layout than it planned.
    let given = batches.first().map_or(planned, RecordBatch::schema);
    let fields: Vec<Field> = given.fields().iter().map(|field| shown(field)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let renamed = batches.into_iter().map(|batch| RecordBatch::try_new(schema.clone(), batch.columns().to_vec()));
    Ok((schema.clone(), renamed.collect::<Result<_, _>>()?))
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

fn context(session: &Session, tables: &relations::Relations) -> Result<SessionContext, WarehouseError> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(&tables.project, "pg_catalog")
        .with_target_partitions(1)
        .with_information_schema(false);
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    let mut builder =
        SessionStateBuilder::new().with_config(config).with_runtime_env(session.engine()?).with_default_features();
    // No way to files, and none to rows out of nothing.
    builder.table_factories().get_or_insert_default().clear();
    builder.table_functions().get_or_insert_default().clear();
    let context = SessionContext::new_with_state(builder.build());
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
