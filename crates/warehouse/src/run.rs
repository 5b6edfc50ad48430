//! From a statement to rows: plan, execute, fall back to an operator that spills, stop.
//!
//! Owns: [`ResultSet`], the driver task of a query. Rows flow through a short channel, so a slow reader slows the
//! query and a reader who left ends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arrow::{
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    error::DataFusionError,
    execution::{SendableRecordBatchStream, session_state::SessionState},
    logical_expr::{LogicalPlan, LogicalPlanBuilder},
    physical_plan::{ExecutionPlan, execute_stream, stream::RecordBatchStreamAdapter},
    sql::sqlparser::ast,
};
use futures::StreamExt;
use naru_base::{TableId, Version};
use naru_googlesql::{GoogleSql, Params, Parsed, SqlError, SqlErrorKind, SqlType, StatementKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Progress, Warehouse, WarehouseError, catalog::Scope, record::Record, steps::stoppable, warehouse::Running,
};

/// Batches that wait between the query and its reader.
const BATCHES_AHEAD: usize = 4;

/// One statement with everything it needs to be planned, more than once if need be.
pub(crate) struct Job {
    pub parsed: Parsed,
    pub params: Params,
    pub google: GoogleSql,
    pub state: SessionState,
    pub scope: Arc<Scope>,
    pub time_zone: String,
    /// It is stopped after this.
    pub timeout: Option<Duration>,
    /// What it may hold, for messages.
    pub memory_bytes: usize,
}

/// The answer to one statement. Dropping it stops the query.
pub struct ResultSet {
    /// Columns, in order.
    pub schema: SchemaRef,
    /// Tables that were read, with the version of those that have one.
    pub versions: BTreeMap<TableId, Option<Version>>,
    /// The zone in which TIMESTAMP met DATE.
    pub time_zone: String,
    /// How far it has come.
    pub progress: Progress,
    rows: mpsc::Receiver<Result<RecordBatch, WarehouseError>>,
    stop: StopOnDrop,
    /// Nothing more comes: the end, an error or a stop was handed out.
    ended: bool,
    opened: BTreeSet<TableId>,
    /// What the audit will say of it.
    record: Option<Record>,
}

impl std::fmt::Debug for ResultSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultSet").field("schema", &self.schema).finish_non_exhaustive()
    }
}

struct StopOnDrop(CancellationToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ResultSet {
    /// The answer of a text without rows.
    pub(crate) fn empty(time_zone: String) -> Self {
        let (_, rows) = mpsc::channel(1);
        Self {
            schema: Arc::new(Schema::empty()),
            versions: BTreeMap::new(),
            time_zone,
            progress: Progress::default(),
            rows,
            stop: StopOnDrop(CancellationToken::new()),
            ended: false,
            opened: BTreeSet::new(),
            record: None,
        }
    }

    /// The same, written down when it ends.
    pub(crate) fn recorded(mut self, record: Option<Record>) -> Self {
        self.record = record.map(|mut record| {
            record.watch(std::mem::take(&mut self.opened), self.progress.clone());
            record
        });
        self
    }

    /// The next rows; `None` at the end. After an error there is nothing more.
    ///
    /// A stop is answered at once, also while the engine is still letting go.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, WarehouseError>> {
        if self.ended {
            return None;
        }
        let item = tokio::select! {
            biased;
            () = self.stop.0.cancelled() => Some(Err(WarehouseError::Cancelled)),
            item = self.rows.recv() => item,
        };
        self.ended = !matches!(item, Some(Ok(_)));
        if let Some(record) = &mut self.record {
            match &item {
                Some(Ok(batch)) => record.handed(batch),
                Some(Err(error)) => record.failed(error),
                None => record.done(),
            }
        }
        item
    }

    /// A token whose cancelling stops the query; its reader then gets [`WarehouseError::Cancelled`].
    pub fn canceller(&self) -> CancellationToken {
        self.stop.0.clone()
    }

    /// All rows. For small results and tests.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, WarehouseError> {
        let mut all = Vec::new();
        while let Some(batch) = self.next().await {
            all.push(batch?);
        }
        Ok(all)
    }

    /// Runs to the end, dropping the rows.
    pub async fn finish(mut self) -> Result<(), WarehouseError> {
        while let Some(batch) = self.next().await {
            batch?;
        }
        Ok(())
    }

    /// The rows as the engine's stream; errors of ours are inside `DataFusionError::External`.
    pub fn into_stream(self) -> SendableRecordBatchStream {
        let schema = self.schema.clone();
        let rows = futures::stream::unfold(self, |mut result| async move {
            let item = result.next().await?;
            Some((item.map_err(crate::catalog::through_engine), result))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// Plans one statement. Anything but a query, or `EXPLAIN` of one, is refused.
pub(crate) async fn plan(job: &Job) -> Result<LogicalPlan, WarehouseError> {
    match naru_googlesql::kind(&job.parsed) {
        StatementKind::Query => planned(job, &job.parsed).await,
        StatementKind::Explain => explain(job).await,
        other => Err(refused(other)),
    }
}

async fn planned(job: &Job, parsed: &Parsed) -> Result<LogicalPlan, WarehouseError> {
    match job.google.plan(&job.state, parsed, &job.params).await {
        Ok(plan) => Ok(plan),
        Err(error) => Err(with_nearest_table(job, error).await),
    }
}

/// A missing table, with the name that may have been meant among those that whoever asks may know of.
async fn with_nearest_table(job: &Job, error: SqlError) -> WarehouseError {
    if error.kind != SqlErrorKind::NoTable {
        return error.into();
    }
    let known = job.scope.list().await.unwrap_or_default();
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    error.with_nearest_table(&known).into()
}

/// The types that the places of a statement's parameters ask for; see [`GoogleSql::parameter_types`].
pub(crate) async fn parameter_types(
    job: &Job,
    given: &[Option<SqlType>],
) -> Result<Vec<Option<SqlType>>, WarehouseError> {
    match naru_googlesql::kind(&job.parsed) {
        StatementKind::Query => match job.google.parameter_types(&job.state, &job.parsed, given).await {
            Ok(types) => Ok(types),
            Err(error) => Err(with_nearest_table(job, error).await),
        },
        _ => Ok(given.to_vec()),
    }
}

async fn explain(job: &Job) -> Result<LogicalPlan, WarehouseError> {
    let no_explain = |statement: &str| WarehouseError::Refused {
        statement: statement.to_owned(),
        hint: "Write `EXPLAIN SELECT …`.".to_owned(),
    };
    let ast::Statement::Explain { statement, analyze, .. } = &job.parsed.statement else {
        return Err(no_explain("this form of EXPLAIN"));
    };
    if *analyze {
        return Err(no_explain("EXPLAIN ANALYZE"));
    }
    let inner = Parsed { statement: statement.as_ref().clone(), ..job.parsed.clone() };
    if naru_googlesql::kind(&inner) != StatementKind::Query {
        return Err(no_explain("EXPLAIN of anything but a query"));
    }
    let plan = planned(job, &inner).await?;
    let explained = LogicalPlanBuilder::from(plan).explain(false, false).and_then(LogicalPlanBuilder::build);
    explained.map_err(|error| WarehouseError::of_engine(&error, job.memory_bytes))
}

fn refused(kind: StatementKind) -> WarehouseError {
    let (statement, hint) = match kind {
        StatementKind::CreateTable | StatementKind::CreateView => {
            ("CREATE TABLE or VIEW", "Write the SELECT into `marts/<dataset>/<name>.sql`; `naru run` builds it.")
        }
        StatementKind::CreateFunction => ("CREATE FUNCTION", "Write the expression into the query."),
        StatementKind::CreateSchema => ("CREATE SCHEMA", "A dataset exists as soon as it has a table."),
        StatementKind::Drop | StatementKind::Alter => {
            ("DROP or ALTER", "Change the source's database, or the mart's file.")
        }
        StatementKind::Insert
        | StatementKind::Update
        | StatementKind::Delete
        | StatementKind::Merge
        | StatementKind::Truncate => {
            ("changing rows", "Mirrored tables follow their source, marts their file; change those.")
        }
        StatementKind::Query | StatementKind::Explain | StatementKind::Set | StatementKind::Other => (
            "this statement",
            "Write a SELECT; `SELECT * FROM INFORMATION_SCHEMA.TABLES` lists tables, `.COLUMNS` columns.",
        ),
    };
    WarehouseError::Refused { statement: statement.to_owned(), hint: hint.to_owned() }
}

/// Plans, starts the driver, and hands out the reading end.
pub(crate) async fn start(job: Job, warehouse: Warehouse) -> Result<ResultSet, WarehouseError> {
    let plan = plan(&job).await?;
    let engine = |error: DataFusionError| WarehouseError::of_engine(&error, job.memory_bytes);
    let stop = CancellationToken::new();
    // Of its own, so that a limit can stop the engine and the reader still learns why.
    let engine_stop = stop.child_token();
    let physical =
        job.state.create_physical_plan(&plan).await.and_then(|plan| stoppable(plan, &engine_stop)).map_err(engine)?;
    let schema: SchemaRef = plan.schema().inner().clone();
    let (sender, rows) = mpsc::channel(BATCHES_AHEAD);
    let progress = Progress::default();
    progress.watch(physical.clone());
    let result = ResultSet {
        schema: schema.clone(),
        versions: job.scope.used(),
        time_zone: job.time_zone.clone(),
        progress: progress.clone(),
        rows,
        stop: StopOnDrop(stop.clone()),
        ended: false,
        opened: job.scope.opened(),
        record: None,
    };
    let loses = job.scope.reader().clone().loses(job.scope.opened());
    let driver = Driver { job, plan, schema, sender, progress, warehouse, stop: engine_stop };
    let running = Running::new(&driver.warehouse);
    tokio::spawn(async move {
        let (sender, progress) = (driver.sender.clone(), driver.progress.clone());
        // Dropping the driver's future drops the plan's streams, which abort their tasks.
        let outcome = tokio::select! {
            () = stop.cancelled() => Err(WarehouseError::Cancelled),
            limit = out_of_time(driver.job.timeout) => Err(WarehouseError::TimedOut(limit)),
            () = loses => Err(WarehouseError::RightTaken),
            outcome = driver.drive(physical) => outcome,
        };
        driver.stop.cancel();
        progress.end();
        drop(running);
        if let Err(error) = outcome {
            // Fails when the reader has left: then there is nobody to tell.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(result)
}

/// Comes back when the limit has passed; never without one.
async fn out_of_time(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Runs one query to its end, on its own task.
struct Driver {
    job: Job,
    plan: LogicalPlan,
    schema: SchemaRef,
    sender: mpsc::Sender<Result<RecordBatch, WarehouseError>>,
    progress: Progress,
    /// Keeps pool, spill folder and threads while the query runs.
    warehouse: Warehouse,
    stop: CancellationToken,
}

impl Driver {
    async fn drive(&self, first: Arc<dyn ExecutionPlan>) -> Result<(), WarehouseError> {
        let mut handed_out = false;
        match self.attempt(first, &self.job.state, &mut handed_out).await {
            Err(WarehouseError::OutOfMemory { detail, .. }) if !handed_out => {
                tracing::info!(%detail, "a query ran out of memory and starts again in small steps that spill");
                let state = spilling(&self.job.state);
                let engine = |error: DataFusionError| WarehouseError::of_engine(&error, self.job.memory_bytes);
                let second = state.create_physical_plan(&self.plan).await;
                let second = second.and_then(|plan| stoppable(plan, &self.stop)).map_err(engine)?;
                self.progress.watch(second.clone());
                self.attempt(second, &state, &mut handed_out).await
            }
            outcome => outcome,
        }
    }

    /// Executes one physical plan; `handed_out` becomes true with the first row the reader can see.
    async fn attempt(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        handed_out: &mut bool,
    ) -> Result<(), WarehouseError> {
        let limit = self.job.memory_bytes;
        let engine = |error: DataFusionError| WarehouseError::of_engine(&error, limit);
        let mut stream = execute_stream(plan, state.task_ctx()).map_err(engine)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(engine)?;
            if batch.num_rows() == 0 {
                continue;
            }
            *handed_out = true;
            if self.sender.send(Ok(self.announced(batch)?)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The batch under the schema that was announced; engine operators differ from it in nullability.
    fn announced(&self, batch: RecordBatch) -> Result<RecordBatch, WarehouseError> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| WarehouseError::Engine(format!("a batch does not fit the result: {error}")))
    }
}

/// Rows a batch of the second attempt. Merges hold a batch of every run they merge.
const SMALL_BATCH_ROWS: usize = 1024;

/// The same session with merge joins, which spill, and small batches. Merge joins exist only between partitions, so
/// there are two; more would divide the memory further.
fn spilling(state: &SessionState) -> SessionState {
    let mut state = state.clone();
    let config = state.config_mut();
    *config = config.clone().with_batch_size(SMALL_BATCH_ROWS);
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    options.optimizer.repartition_joins = true;
    options.execution.target_partitions = 2;
    state
}
