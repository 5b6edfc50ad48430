//! One user's session: options, and statements run one after another.
//!
//! Owns: [`Session`], [`Statement`]; which statements a session takes. Only queries, `EXPLAIN` of queries and
//! `SET @@time_zone` are; everything else is refused with the way that exists instead.
//! Next: `run` for what happens to a plan.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arrow::datatypes::{Field, SchemaRef};
use datafusion::{
    config::ConfigOptions,
    execution::{
        SessionStateBuilder,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
    scalar::ScalarValue,
};
use naru_access::{Policy, Principal, audit::Origin};
use naru_base::TableId;
use naru_googlesql::{GoogleSql, Options, Params, Parsed, SqlType, StatementKind};
use parking_lot::RwLock;

use crate::{
    ResultSet, Warehouse, WarehouseError,
    catalog::{Reader, Scope, Sight},
    information_schema::{self, Described},
    limited_pool::LimitedPool,
    record::Record,
    run::{self, Job},
    tables::View,
};

/// The metadata key under which a column's type stands where Arrow does not have it.
pub(crate) const TYPE_KEY: &str = "naru.type";

pub(crate) fn google_options(time_zone: &str) -> Options {
    Options { time_zone: time_zone.to_owned(), type_key: TYPE_KEY.to_owned() }
}

/// The GoogleSQL type of a result's column, such as `ARRAY<INT64>`.
pub fn column_type(field: &Field) -> String {
    naru_googlesql::sql_type(field, &google_options("UTC"))
}

/// What a session starts with.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Who asks: decides which tables there are.
    pub principal: Principal,
    /// Where they ask from: each statement is a row of the audit. `None` for what naru asks for itself.
    pub origin: Option<Origin>,
    /// Dataset of table names without one.
    pub default_dataset: Option<String>,
    /// Zone of dates and times; the warehouse's when absent.
    pub time_zone: Option<String>,
    /// Bytes that each of its queries may hold; only the pool of all queries limits it when absent.
    pub memory_bytes: Option<usize>,
    /// Whether PostgreSQL's `x::type` is taken where it means what CAST means.
    pub postgres_casts: bool,
}

impl SessionOptions {
    /// A session with the warehouse's own choices for everything but who asks.
    pub fn of(principal: Principal) -> Self {
        Self {
            principal,
            origin: None,
            default_dataset: None,
            time_zone: None,
            memory_bytes: None,
            postgres_casts: false,
        }
    }
}

/// Exactly what a query may read.
#[derive(Debug, Clone, Default)]
pub struct Pinned {
    /// Tables by name; staged results of the caller stand here too.
    pub views: HashMap<TableId, View>,
    /// SQL views by name, over the same tables.
    pub queries: HashMap<TableId, String>,
}

/// One statement of a text.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) parsed: Parsed,
}

impl Statement {
    /// Its own text.
    pub fn text(&self) -> &str {
        &self.parsed.text
    }

    /// Whether it answers with rows.
    pub fn has_rows(&self) -> bool {
        matches!(naru_googlesql::kind(&self.parsed), StatementKind::Query | StatementKind::Explain)
    }
}

/// One user's session. Statements may run at the same time; `SET` reaches those that start later.
pub struct Session {
    warehouse: Warehouse,
    default_dataset: Option<String>,
    time_zone: RwLock<String>,
    timeout: RwLock<Option<Duration>>,
    principal: Principal,
    origin: Option<Origin>,
    policy: Policy,
    memory_bytes: Option<usize>,
    postgres_casts: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("time_zone", &self.time_zone()).finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(warehouse: Warehouse, options: SessionOptions) -> Result<Self, WarehouseError> {
        let time_zone = options.time_zone.unwrap_or_else(|| warehouse.settings().time_zone.clone());
        check_zone(&time_zone)?;
        let policy = warehouse.settings().policy.clone();
        Ok(Self {
            warehouse,
            default_dataset: options.default_dataset,
            time_zone: RwLock::new(time_zone),
            timeout: RwLock::new(None),
            principal: options.principal,
            origin: options.origin,
            policy,
            memory_bytes: options.memory_bytes,
            postgres_casts: options.postgres_casts,
        })
    }

    /// The zone in which TIMESTAMP meets DATE and DATETIME.
    pub fn time_zone(&self) -> String {
        self.time_zone.read().clone()
    }

    /// Changes the zone, as `SET @@time_zone` does.
    pub fn set_time_zone(&self, zone: &str) -> Result<(), WarehouseError> {
        check_zone(zone)?;
        zone.clone_into(&mut self.time_zone.write());
        Ok(())
    }

    /// The longest that a statement may take: the project's limit, or the session's own if that is shorter.
    pub fn timeout(&self) -> Option<Duration> {
        [self.warehouse.settings().timeout, *self.timeout.read()].into_iter().flatten().min()
    }

    /// Sets the session's own limit for statements that start later; it can only be shorter than the project's.
    pub fn set_timeout(&self, limit: Option<Duration>) {
        *self.timeout.write() = limit;
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.warehouse.settings().project
    }

    /// Dataset of names without one.
    pub fn default_dataset(&self) -> Option<&str> {
        self.default_dataset.as_deref()
    }

    /// Splits a text into statements without running any.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, WarehouseError> {
        let parse = if self.postgres_casts { naru_googlesql::parse_with_postgres_casts } else { naru_googlesql::parse };
        Ok(parse(sql)?.into_iter().map(|parsed| Statement { parsed }).collect())
    }

    /// Runs a text of one or more statements; the last one that has rows is the answer, and a text without any
    /// answers with no columns. Statements before it are run to their end.
    ///
    /// # Errors
    /// The first statement that fails stops the text. Mistakes that show only while rows are made come from the
    /// result's stream.
    pub async fn run(&self, sql: &str) -> Result<ResultSet, WarehouseError> {
        let statements = self.statements(sql)?;
        if statements.is_empty() {
            return Err(WarehouseError::Empty);
        }
        let last = statements.iter().rposition(Statement::has_rows);
        let mut answer = None;
        for (position, statement) in statements.iter().enumerate() {
            let result = self.run_statement(statement, &Params::default()).await?;
            if Some(position) == last {
                answer = Some(result);
            } else if let Some(result) = result {
                result.finish().await?;
            }
        }
        Ok(answer.flatten().unwrap_or_else(|| ResultSet::empty(self.time_zone())))
    }

    /// Runs one statement over the present state of all tables; `None` for a statement without rows.
    pub async fn run_statement(
        &self,
        statement: &Statement,
        params: &Params,
    ) -> Result<Option<ResultSet>, WarehouseError> {
        if naru_googlesql::kind(&statement.parsed) == StatementKind::Set {
            self.set(&statement.parsed)?;
            return Ok(None);
        }
        self.start(statement.parsed.clone(), params.clone(), self.live(), self.timeout()).await.map(Some)
    }

    /// Runs one query over exactly these tables and views: nothing outside `pinned` can be read. The caller limits
    /// its time.
    pub async fn stream(&self, sql: &str, params: &Params, pinned: Pinned) -> Result<ResultSet, WarehouseError> {
        let statement = one_statement(sql)?;
        self.start(statement, params.clone(), self.pinned(pinned), None).await
    }

    /// Plans every statement of a text without running it; the columns of the last one that has rows.
    pub async fn validate(&self, sql: &str) -> Result<SchemaRef, WarehouseError> {
        self.validate_over(sql, &Params::default(), self.live()).await
    }

    /// Columns of one statement whose `$1`, `$2`, … have no values yet, and the type each of them takes: the given one,
    /// else what its place asks for, else STRING.
    pub async fn describe_statement(
        &self,
        sql: &str,
        given: &[Option<SqlType>],
    ) -> Result<(Vec<SqlType>, SchemaRef), WarehouseError> {
        let mut statements = self.statements(sql)?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(WarehouseError::Empty);
        };
        if !statement.has_rows() {
            return Ok((Vec::new(), self.validate(sql).await?));
        }
        let job = self.job(statement.parsed.clone(), Params::default(), self.live())?;
        let given = given.to_vec();
        let asked = self.on_threads(Box::pin(async move { run::parameter_types(&job, &given).await })).await?;
        let types: Vec<SqlType> = asked.into_iter().map(|asked| asked.unwrap_or(SqlType::String)).collect();
        let nulls = types.iter().map(|ty| ScalarValue::try_from(&ty.arrow())).collect::<Result<_, _>>();
        let positional = nulls.map_err(|error| WarehouseError::Engine(error.strip_backtrace()))?;
        let params = Params { positional, ..Params::default() };
        let job = self.job(statement.parsed, params, self.live())?;
        let plan = self.on_threads(Box::pin(async move { run::plan(&job).await })).await?;
        Ok((types, plan.schema().inner().clone()))
    }

    /// Plans one query over exactly these views; its columns.
    pub async fn validate_pinned(
        &self,
        sql: &str,
        params: &Params,
        pinned: Pinned,
    ) -> Result<SchemaRef, WarehouseError> {
        one_statement(sql)?;
        self.validate_over(sql, params, self.pinned(pinned)).await
    }

    async fn validate_over(&self, sql: &str, params: &Params, scope: Arc<Scope>) -> Result<SchemaRef, WarehouseError> {
        let mut schema: SchemaRef = Arc::new(arrow::datatypes::Schema::empty());
        for statement in self.statements(sql)? {
            if naru_googlesql::kind(&statement.parsed) == StatementKind::Set {
                zone_of(&statement.parsed)?;
                continue;
            }
            let job = self.job(statement.parsed, params.clone(), scope.clone())?;
            schema = self.on_threads(Box::pin(async move { run::plan(&job).await })).await?.schema().inner().clone();
        }
        Ok(schema)
    }

    /// Tables that a text reads, by full name; those of INFORMATION_SCHEMA are not tables.
    pub fn tables(&self, sql: &str) -> Result<Vec<TableId>, WarehouseError> {
        let mut all: Vec<TableId> = naru_googlesql::parse(sql)?.iter().flat_map(|parsed| self.named(parsed)).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    fn named(&self, parsed: &Parsed) -> Vec<TableId> {
        naru_googlesql::tables(parsed).iter().filter_map(|name| self.table_id(&name.parts)).collect()
    }

    fn table_id(&self, parts: &[String]) -> Option<TableId> {
        match parts {
            [table] => self.default_dataset.as_ref().map(|dataset| TableId::new(dataset, table)),
            [dataset, table] if !is_information(dataset) => Some(TableId::new(dataset, table)),
            [_, dataset, table] if !is_information(dataset) => Some(TableId::new(dataset, table)),
            _ => None,
        }
    }

    pub(crate) fn live(&self) -> Arc<Scope> {
        let own = &self.warehouse.shared.own;
        Scope::live(&self.warehouse.settings().project, self.warehouse.tables(), own, self.reader())
    }

    fn pinned(&self, pinned: Pinned) -> Arc<Scope> {
        Scope::pinned(&self.warehouse.settings().project, pinned, self.reader())
    }

    /// Who asks and what they may see, as it stands now: the next statement asks again.
    fn reader(&self) -> Reader {
        Reader::new(&self.principal, &self.policy)
    }

    async fn start(
        &self,
        parsed: Parsed,
        params: Params,
        scope: Arc<Scope>,
        timeout: Option<Duration>,
    ) -> Result<ResultSet, WarehouseError> {
        let audit = &self.warehouse.settings().audit;
        let mut record = Record::begin(audit, &self.principal, self.origin.as_ref(), &parsed.text).await?;
        if let Some(record) = &mut record {
            record.named(self.named(&parsed));
        }
        let started = async {
            let job = Job { timeout, ..self.job(parsed, params, scope)? };
            self.warehouse.shared.queries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let warehouse = self.warehouse.clone();
            self.on_threads(Box::pin(run::start(job, warehouse))).await
        };
        match started.await {
            Ok(result) => Ok(result.recorded(record)),
            Err(error) => {
                if let Some(mut record) = record {
                    record.failed(&error);
                }
                Err(error)
            }
        }
    }

    /// Takes the place in the audit of a query that is not a [`Statement`].
    pub(crate) async fn record(&self, sql: &str) -> Result<Option<Record>, WarehouseError> {
        Record::begin(&self.warehouse.settings().audit, &self.principal, self.origin.as_ref(), sql).await
    }

    pub(crate) fn job(&self, parsed: Parsed, params: Params, scope: Arc<Scope>) -> Result<Job, WarehouseError> {
        let time_zone = self.time_zone();
        let sight = self.sight(&time_zone, scope)?;
        Ok(Job {
            parsed,
            params,
            google: GoogleSql::new(google_options(&time_zone)),
            state: sight.state(),
            scope: sight.scope,
            time_zone,
            timeout: None,
            memory_bytes: self.memory_bytes(),
        })
    }

    /// Bytes that a query may hold.
    pub(crate) fn memory_bytes(&self) -> usize {
        let all = self.warehouse.settings().memory_bytes;
        self.memory_bytes.map_or(all, |own| own.min(all))
    }

    /// The engine, with a share of its memory where the session has one.
    pub(crate) fn engine(&self) -> Result<Arc<RuntimeEnv>, WarehouseError> {
        let engine = &self.warehouse.shared.engine;
        let Some(limit) = self.memory_bytes else { return Ok(engine.clone()) };
        let pool = LimitedPool::new(engine.memory_pool.clone(), limit);
        let own = RuntimeEnvBuilder::from_runtime_env(engine).with_memory_pool(Arc::new(pool)).build_arc();
        own.map_err(|error| WarehouseError::Engine(error.strip_backtrace()))
    }

    fn sight(&self, time_zone: &str, scope: Arc<Scope>) -> Result<Sight, WarehouseError> {
        let settings = self.warehouse.settings();
        let google = GoogleSql::new(google_options(time_zone));
        let mut options = ConfigOptions::new();
        options.catalog.default_catalog.clone_from(&settings.project);
        options.catalog.default_schema = self.default_dataset.clone().unwrap_or_default();
        options.catalog.create_default_catalog_and_schema = false;
        options.catalog.information_schema = false;
        options.execution.target_partitions = settings.target_partitions.max(1);
        options.execution.time_zone = Some(time_zone.to_owned());
        options.execution.sort_spill_reservation_bytes = spill_reservation(self.memory_bytes());
        options.explain.physical_plan_only = true;
        let builder = SessionStateBuilder::new()
            .with_config(SessionConfig::from(options))
            .with_runtime_env(self.engine()?)
            .with_default_features();
        let mut builder = google.configure(builder);
        // The only ways to files and to other tables than the scope's.
        builder.table_factories().get_or_insert_default().clear();
        builder.table_functions().get_or_insert_default().clear();
        Ok(Sight::new(scope, google, builder.build()))
    }

    /// Every table and view a reader may know of, with its columns.
    pub async fn describe(&self) -> Result<Vec<Described>, WarehouseError> {
        let sight = self.sight(&self.time_zone(), self.live())?;
        self.on_threads(Box::pin(async move { information_schema::describe(&sight, None).await })).await
    }

    /// Runs planning and starting on the query threads; the caller's may belong to someone in a hurry.
    pub(crate) async fn on_threads<T, F>(&self, work: F) -> Result<T, WarehouseError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, WarehouseError>> + Send + 'static,
    {
        let handle = self.warehouse.shared.threads.handle().cloned().ok_or(WarehouseError::Cancelled)?;
        let task = AbortOnDrop(handle.spawn(work));
        task.join().await
    }

    fn set(&self, parsed: &Parsed) -> Result<(), WarehouseError> {
        *self.time_zone.write() = zone_of(parsed)?;
        Ok(())
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> AbortOnDrop<Result<T, WarehouseError>> {
    async fn join(mut self) -> Result<T, WarehouseError> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => Err(WarehouseError::Cancelled),
            Err(_) => Err(WarehouseError::Engine("planning stopped unexpectedly".to_owned())),
        }
    }
}

/// Memory that each sort keeps for its final merge. A fixed reserve would eat a small pool before the first row.
fn spill_reservation(memory_bytes: usize) -> usize {
    (memory_bytes / 64).clamp(256 << 10, 10 << 20)
}

fn is_information(dataset: &str) -> bool {
    dataset.eq_ignore_ascii_case(information_schema::INFORMATION_SCHEMA)
}

fn one_statement(sql: &str) -> Result<Parsed, WarehouseError> {
    let mut all = naru_googlesql::parse(sql)?;
    match (all.pop(), all.is_empty()) {
        (Some(parsed), true) => Ok(parsed),
        (None, _) => Err(WarehouseError::Empty),
        (Some(_), false) => Err(WarehouseError::Refused {
            statement: "more than one statement".to_owned(),
            hint: "Leave one query.".to_owned(),
        }),
    }
}

fn check_zone(zone: &str) -> Result<(), WarehouseError> {
    // Arrow's own reading, as that is what decides while rows are made.
    zone.parse::<arrow::array::timezone::Tz>().map(drop).map_err(|_| WarehouseError::TimeZone(zone.to_owned()))
}

/// Reads `SET @@time_zone = '…'`, the one variable there is.
fn zone_of(parsed: &Parsed) -> Result<String, WarehouseError> {
    let refused = || WarehouseError::Refused {
        statement: "SET of anything but @@time_zone".to_owned(),
        hint: "Write `SET @@time_zone = 'Asia/Seoul'`.".to_owned(),
    };
    let (name, value) = parsed.text.split_once('=').ok_or_else(refused)?;
    let name: Vec<String> = name.split_whitespace().map(str::to_ascii_lowercase).collect();
    if name.len() != 2 || !matches!(name.last().map(String::as_str), Some("@@time_zone" | "@@session.time_zone")) {
        return Err(refused());
    }
    let value = value.trim();
    let quoted = ['\'', '"']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)))
        .ok_or_else(refused)?;
    check_zone(quoted)?;
    Ok(quoted.to_owned())
}
