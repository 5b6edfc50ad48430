//! Statement to plan: names and types are settled here, so that DataFusion has nothing left to guess.
//!
//! Owns: the planner's state and its entry. Every column of every intermediate plan has a name of its own
//! (`name#7`), so that no rewrite below can confuse two of them; the last projection gives the names people see.
//! Syntax that is not handled is refused by the `match` that meets it.
//! Read next: `query.rs`, `select.rs`, `from.rs`, `expr.rs`, `call.rs`.

mod aggregate;
mod asked;
mod bounded;
mod call;
mod coerce;
mod compare;
mod datatype;
mod dates;
mod elsewhere;
mod expr;
mod from;
mod literals;
mod names;
mod nested;
mod order;
mod pipe;
mod pivot;
mod postgres_cast;
mod query;
mod refuse;
mod scope;
mod select;
mod special;
mod stars;
mod subquery;
mod totals;
mod window;

pub(crate) use call::special_names;

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    common::{TableReference, metadata::FieldMetadata},
    datasource::provider_as_source,
    execution::{SessionStateBuilder, session_state::SessionState},
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource},
    prelude::SessionConfig,
};
use sqlparser::ast::{Query, Statement};

use self::{
    asked::Asked,
    scope::{Column, Rel, Scope},
};
use crate::{
    error::{Result, SqlError},
    options::{Options, Params},
    reads,
    statement::Parsed,
    types::SqlType,
};

/// Sets what plans rely on: NULLs smallest, text read as plain text, errors instead of NULLs.
pub(crate) fn configure(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let config = builder.config().get_or_insert_with(SessionConfig::new);
    let options = config.options_mut();
    options.sql_parser.default_null_ordering = "nulls_min".into();
    options.sql_parser.enable_ident_normalization = false;
    options.execution.parquet.schema_force_view_types = false;
    options.execution.enable_ansi_mode = true;
    builder
}

/// Plans a query; see [`crate::GoogleSql::plan`].
pub(crate) async fn plan(
    state: &SessionState,
    options: &Options,
    parsed: &Parsed,
    params: &Params,
) -> Result<LogicalPlan> {
    let query = query_of(parsed)?;
    let tables = resolve(state, parsed).await?;
    let mut planner = Planner::new(options, params, tables, None);
    planner.check_zone()?;
    let rel = planner.query(query)?;
    planner.finish(rel)
}

/// The types that a statement's parameters would take; see [`crate::GoogleSql::parameter_types`].
pub(crate) async fn parameter_types(
    state: &SessionState,
    options: &Options,
    parsed: &Parsed,
    given: &[Option<SqlType>],
) -> Result<Vec<Option<SqlType>>> {
    let query = query_of(parsed)?;
    let tables = resolve(state, parsed).await?;
    let params = Params::default();
    let mut planner = Planner::new(options, &params, tables, Some(Asked::new(given.to_vec())));
    planner.check_zone()?;
    planner.query(query)?;
    Ok(planner.asked.map(Asked::types).unwrap_or_default())
}

fn query_of(parsed: &Parsed) -> Result<&Query> {
    let Statement::Query(query) = &parsed.statement else {
        return Err(SqlError::unsupported("only queries are planned here").hint("this statement is not a SELECT"));
    };
    Ok(query)
}

/// Opens the tables that a statement names.
async fn resolve(state: &SessionState, parsed: &Parsed) -> Result<HashMap<Vec<String>, Arc<dyn TableSource>>> {
    let mut found: HashMap<Vec<String>, Arc<dyn TableSource>> = HashMap::new();
    for table in reads::tables(parsed) {
        if found.contains_key(&table.parts) {
            continue;
        }
        let place = |error: SqlError| SqlError { line: table.line, column: table.column, ..error };
        let reference = match table.parts.as_slice() {
            [table] => TableReference::bare(table.as_str()),
            [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
            [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
            _ => {
                return Err(place(SqlError::name(format!(
                    "table name \"{}\" has too many parts",
                    table.parts.join(".")
                ))));
            }
        };
        let missing = || place(SqlError::no_table(&table.parts));
        let schema = state.schema_for_ref(reference.clone()).map_err(|_| missing())?;
        let provider = schema.table(reference.table()).await.map_err(|error| place(error.into()))?;
        found.insert(table.parts.clone(), provider_as_source(provider.ok_or_else(missing)?));
    }
    Ok(found)
}

/// One CTE in scope.
struct Cte {
    name: String,
    body: CteBody,
}

/// What a CTE's name stands for.
enum CteBody {
    /// Its plan.
    Planned(Rel),
    /// The rows of the round before, inside its own recursive part.
    Round(Arc<dyn TableSource>, Vec<Column>),
}

/// The state of planning one statement.
struct Planner<'a> {
    options: &'a Options,
    params: &'a Params,
    tables: HashMap<Vec<String>, Arc<dyn TableSource>>,
    /// How many column names were given out.
    names: usize,
    /// How many `?` were read.
    placeholders: usize,
    ctes: Vec<Cte>,
    /// The scopes around the query being planned, outermost first.
    outer: Vec<Scope>,
    /// The statement's one moment, in microseconds.
    now: i64,
    /// Present while parameters are asked for their types instead of read.
    asked: Option<Asked>,
}

/// Whether a value is JSON, or an array of it.
fn holds_json(ty: &SqlType) -> bool {
    match ty {
        SqlType::Array(element) => **element == SqlType::Json,
        ty => *ty == SqlType::Json,
    }
}

impl<'a> Planner<'a> {
    fn new(
        options: &'a Options,
        params: &'a Params,
        tables: HashMap<Vec<String>, Arc<dyn TableSource>>,
        asked: Option<Asked>,
    ) -> Self {
        Self {
            options,
            params,
            tables,
            names: 0,
            placeholders: 0,
            ctes: Vec::new(),
            outer: Vec::new(),
            now: chrono::Utc::now().timestamp_micros(),
            asked,
        }
    }
}

impl Planner<'_> {
    /// A column name that nothing else in the plan has.
    fn fresh(&mut self, name: &str) -> String {
        self.names += 1;
        format!("{}#{}", if name.is_empty() { "_" } else { name }, self.names)
    }

    /// Gives the result the names people see, and marks types that Arrow does not have.
    fn finish(&self, rel: Rel) -> Result<LogicalPlan> {
        let mut unnamed = 0;
        let mut taken: Vec<String> = Vec::new();
        let mut exprs = Vec::with_capacity(rel.columns.len());
        for column in &rel.columns {
            let name = if column.name.is_empty() {
                unnamed += 1;
                format!("f{}_", unnamed - 1)
            } else {
                column.name.clone()
            };
            if taken.contains(&name.to_lowercase()) {
                return Err(SqlError::name(format!("two columns of the result are named \"{name}\""))
                    .hint("give one of them another name with AS"));
            }
            taken.push(name.to_lowercase());
            let marked = holds_json(&column.ty)
                .then(|| FieldMetadata::from(HashMap::from([(self.options.type_key.clone(), "json".to_owned())])));
            exprs.push(scope::column_expr(&column.id).alias_with_metadata(name, marked));
        }
        Ok(LogicalPlanBuilder::from(rel.plan).project(exprs)?.build()?)
    }

    /// Adds computed columns to a plan, keeping all it has.
    fn extend(plan: LogicalPlan, added: Vec<(Expr, String)>) -> Result<LogicalPlan> {
        if added.is_empty() {
            return Ok(plan);
        }
        let mut exprs = scope::all_columns(&plan);
        exprs.extend(added.into_iter().map(|(expr, id)| expr.alias(id)));
        Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
    }
}
