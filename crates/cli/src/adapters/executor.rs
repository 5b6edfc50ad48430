//! Flow's hands: SQL by the warehouse, tables by the lake, cuts by sync.
//!
//! Owns: pins of runs and staged results of this process. A staged result is Parquet files that no commit names; it
//! dies with the process, which is what flow's settling expects.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use naru_access::Principal;
use naru_base::{Problem, RunId, TableId, Version};
use naru_flow::{
    Attempt, CheckWork, Executor, Input, Inputs, Kind, Pins, StageWork, Staged, StagedColumn, executor::transaction_app,
};
use naru_googlesql::Params;
use naru_lake::{
    Change, Column, Lake, LakeError, Operation, Remove, StagedFile, StagerOptions, Table, TableSpec, TableView,
};
use naru_quality::FailingRows;
use naru_store::Store;
use naru_warehouse::{Pinned, ResultSet, Session, SessionOptions, View, Warehouse, WarehouseError, output};
use parking_lot::Mutex;

use super::{
    cuts::Cuts,
    dropped,
    storable::{self, column_of, storable},
};

/// What a mart's stage left behind until it is published or discarded.
#[derive(Debug)]
struct Held {
    table: Table,
    files: Vec<StagedFile>,
    columns: Vec<Column>,
    view: Arc<TableView>,
}

/// Views that a run reads, held so that vacuum leaves their files.
type PinnedViews = HashMap<(TableId, Version), Arc<TableView>>;

/// Builds, checks and publishes marts over the lake.
pub struct LakeExecutor {
    lake: Lake,
    warehouse: Warehouse,
    cuts: Cuts,
    store: Store,
    pins: Mutex<HashMap<RunId, PinnedViews>>,
    staged: Mutex<HashMap<(TableId, Attempt), Arc<Held>>>,
}

impl LakeExecutor {
    /// `cuts` says where the tables of sources stand; `store` what marts have read before.
    pub fn new(lake: Lake, warehouse: Warehouse, cuts: Cuts, store: Store) -> Self {
        Self { lake, warehouse, cuts, store, pins: Mutex::default(), staged: Mutex::default() }
    }

    fn session(&self, memory_bytes: Option<u64>) -> Result<Session, Problem> {
        let memory_bytes = memory_bytes.map(naru_base::number::usize_from);
        let options = SessionOptions { memory_bytes, ..SessionOptions::of(Principal::Project) };
        self.warehouse.session(options).map_err(|error| error.problem())
    }

    /// A table as a run may read it; a mart that was never published is not there.
    async fn readable(&self, id: &TableId) -> Result<Option<Table>, Problem> {
        let Some(table) = self.lake.open_table(id).await.map_err(lake)? else { return Ok(None) };
        let application = self.warehouse.settings().published_by.read().get(id).cloned();
        let Some(application) = application else { return Ok(Some(table)) };
        Ok(table.position(&application).await.map_err(lake)?.map(|_| table))
    }

    async fn view_at(&self, id: &TableId, version: Version) -> Result<Arc<TableView>, Problem> {
        let table = self.table(id).await?;
        let view = table.view();
        if view.version == version { Ok(view) } else { table.view_at(version).await.map_err(lake) }
    }

    async fn table(&self, id: &TableId) -> Result<Table, Problem> {
        let table = self.lake.open_table(id).await.map_err(lake)?;
        table.ok_or_else(|| Problem::new("flow.no_table", format!("table {id} is not in the lake")))
    }

    /// What the names of a query stand for, for the warehouse.
    async fn pinned(&self, run: RunId, inputs: &Inputs) -> Result<Pinned, Problem> {
        let mut pinned = Pinned::default();
        for (id, input) in inputs {
            match input {
                Input::Table(version) => {
                    let view = self.pinned_view(run, id, *version).await?;
                    pinned.views.insert(id.clone(), View::of_lake_now(&view).map_err(warehouse)?);
                }
                Input::View(sql) => {
                    pinned.queries.insert(id.clone(), sql.clone());
                }
            }
        }
        Ok(pinned)
    }

    async fn pinned_view(&self, run: RunId, id: &TableId, version: Version) -> Result<Arc<TableView>, Problem> {
        let held = self.pins.lock().get(&run).and_then(|pins| pins.get(&(id.clone(), version)).cloned());
        match held {
            Some(view) => Ok(view),
            None => self.view_at(id, version).await,
        }
    }

    /// An error of a mart's SQL with its place in the file. A column that was there when the mart last read the table
    /// is told from one that never was.
    async fn sql_problem(&self, work: &StageWork, error: &WarehouseError) -> Problem {
        let mut problem = error.problem();
        if let WarehouseError::Sql(mistake) = error {
            problem.summary.clone_from(&mistake.message);
            if let Some(column) = dropped::column_named(&mistake.message)
                && let Some(gone) = self.gone_column(work, column).await
            {
                problem = gone.problem(&work.mart);
            }
        }
        let place = match error.place() {
            Some((line, column)) => work.place.below(line, column),
            None => work.place.clone(),
        };
        problem.at(place)
    }

    /// Looks for a column in what the mart's tables were before: dropped ones that still lie there, and those of the
    /// version that the mart read when it was last published.
    async fn gone_column(&self, work: &StageWork, column: &str) -> Option<dropped::Gone> {
        let earlier = dropped::last_read(&self.store, &work.mart).await;
        for (id, input) in &work.inputs {
            let Input::Table(version) = input else { continue };
            let Ok(now) = self.pinned_view(work.run, id, *version).await else { continue };
            let before = match earlier.get(id) {
                Some(version) => self.view_at(id, *version).await.ok(),
                None => None,
            };
            let before = before.as_ref().map(|view| &*view.columns);
            if let Some(gone) = dropped::find(id, column, &now.columns, before) {
                return Some(gone);
            }
        }
        None
    }

    async fn stage_table(&self, work: &StageWork, mut rows: ResultSet) -> Result<Staged, Problem> {
        let columns = columns(&rows, work)?;
        let existing = self.lake.open_table(&work.mart).await.map_err(lake)?;
        let table = if let Some(table) = existing {
            table
        } else {
            let spec =
                TableSpec { columns: columns.clone(), description: work.description.clone(), ..TableSpec::default() };
            self.lake.create(&work.mart, spec).await.map_err(lake)?
        };
        let mut stager = table.stager_for(columns.clone(), &[], StagerOptions::default()).map_err(lake)?;
        let view = stager.view();
        while let Some(batch) = rows.next().await {
            let batch = storable(&batch.map_err(warehouse)?, &columns).map_err(|error| {
                Problem::from_error("flow.store", format!("a result of {} cannot be stored", work.mart), &error)
            })?;
            stager.write(&batch).await.map_err(lake)?;
        }
        let files = stager.finish().await.map_err(lake)?;
        let staged = Staged {
            run: work.run,
            attempt: work.attempt,
            mart: work.mart.clone(),
            kind: work.kind,
            rows: Some(files.iter().map(|file| file.rows).sum()),
            bytes: Some(files.iter().map(|file| file.size).sum()),
            columns: shown_columns(&rows.schema),
        };
        let held = Arc::new(Held { table, files, columns, view });
        self.staged.lock().insert((work.mart.clone(), work.attempt), held);
        Ok(staged)
    }

    fn held(&self, mart: &TableId, attempt: Attempt) -> Option<Arc<Held>> {
        self.staged.lock().get(&(mart.clone(), attempt)).cloned()
    }
}

/// Columns of a result as columns of a table. Names that repeat or are missing are the author's to mend.
fn columns(rows: &ResultSet, work: &StageWork) -> Result<Vec<Column>, Problem> {
    let mut columns = Vec::new();
    for field in rows.schema.fields() {
        if let Some((path, of)) = storable::unstorable(field) {
            return Err(Problem::new(
                "flow.unstorable",
                format!("column \"{}\" of mart {} has {of} inside a STRUCT", field.name(), work.mart),
            )
            .detail(format!("{path} is {of}, which the lake stores as a column and not as a field of a STRUCT."))
            .hint(format!("Write CAST(... AS STRING) for {path}, or make it a column of its own.")));
        }
        let mut column = column_of(field);
        column.comment = work.column_comments.get(field.name()).cloned();
        if columns.iter().any(|other: &Column| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(Problem::new(
                "flow.duplicate_column",
                format!("mart {} has two columns named \"{}\"", work.mart, column.name),
            )
            .hint("Give one of them another name with AS."));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn shown_columns(schema: &arrow::datatypes::Schema) -> Vec<StagedColumn> {
    let shown = |field: &Arc<arrow::datatypes::Field>| StagedColumn {
        name: field.name().clone(),
        sql_type: storable::sql_type(field),
    };
    schema.fields().iter().map(shown).collect()
}

/// Rows as JSON objects; a sample is for eyes, so a row that has no JSON form is left out.
fn sample(batch: &arrow::record_batch::RecordBatch) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let mut text = Vec::new();
    let written = output::writer(output::Format::Ndjson, &batch.schema(), &mut text)
        .and_then(|mut writer| writer.write(batch).and_then(|()| writer.finish()));
    if let Err(error) = written {
        tracing::debug!(problem = %error.problem(), "a sample of failing rows has no JSON form");
    }
    text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn lake(error: LakeError) -> Problem {
    error.problem()
}

fn warehouse(error: WarehouseError) -> Problem {
    error.problem()
}

#[async_trait]
impl Executor for LakeExecutor {
    async fn pin(&self, run: RunId, tables: &[TableId], held: &Pins) -> Result<Pins, Problem> {
        let fit = self.cuts.take(tables, held).await?;
        let mut pins = Pins { positions: fit.positions, unfit: fit.unfit, ..Pins::default() };
        let known = |(id, version): (&TableId, &Option<Version>)| version.map(|version| (id.clone(), version));
        pins.tables.extend(fit.versions.iter().filter_map(known));
        let mut views = HashMap::new();
        for id in tables.iter().filter(|id| !pins.unfit.contains_key(*id)) {
            let version = held.tables.get(id).or_else(|| pins.tables.get(id)).copied();
            let view = match version {
                Some(version) => self.view_at(id, version).await?,
                None => match self.readable(id).await? {
                    Some(table) => table.view(),
                    None => continue,
                },
            };
            pins.tables.insert(id.clone(), view.version);
            views.insert((id.clone(), view.version), view);
        }
        self.pins.lock().entry(run).or_default().extend(views);
        Ok(pins)
    }

    async fn release(&self, run: RunId) -> Result<(), Problem> {
        self.pins.lock().remove(&run);
        Ok(())
    }

    async fn stage(&self, work: StageWork) -> Result<Staged, Problem> {
        let session = self.session(work.memory_bytes)?;
        let pinned = self.pinned(work.run, &work.inputs).await?;
        match work.kind {
            Kind::Table => match session.stream(&work.sql, &Params::default(), pinned).await {
                Ok(rows) => self.stage_table(&work, rows).await,
                Err(error) => Err(self.sql_problem(&work, &error).await),
            },
            Kind::View => {
                let schema = match session.validate_pinned(&work.sql, &Params::default(), pinned).await {
                    Ok(schema) => schema,
                    Err(error) => return Err(self.sql_problem(&work, &error).await),
                };
                Ok(Staged {
                    run: work.run,
                    attempt: work.attempt,
                    mart: work.mart,
                    kind: work.kind,
                    rows: None,
                    bytes: None,
                    columns: shown_columns(&schema),
                })
            }
        }
    }

    async fn failing_rows(&self, work: CheckWork) -> Result<FailingRows, Problem> {
        let mut pinned = self.pinned(work.staged.run, &work.inputs).await?;
        if let Some(held) = self.held(&work.staged.mart, work.staged.attempt) {
            let view = View::of_staged(&held.view, &held.files).map_err(warehouse)?;
            pinned.queries.remove(&work.staged.mart);
            pinned.views.insert(work.staged.mart.clone(), view);
        }
        let session = self.session(None)?;
        let mut rows = session.stream(&work.sql, &Params::default(), pinned).await.map_err(warehouse)?;
        let mut failing = FailingRows::default();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(warehouse)?;
            let wanted = work.sample_rows_max.saturating_sub(failing.sample.len()).min(batch.num_rows());
            failing.sample.extend(sample(&batch.slice(0, wanted)));
            failing.count += naru_base::number::u64_from(batch.num_rows());
        }
        Ok(failing)
    }

    async fn publish(&self, staged: &Staged) -> Result<Version, Problem> {
        if let Some(version) = self.committed(&staged.mart, staged.attempt).await? {
            return Ok(version);
        }
        let Some(held) = self.held(&staged.mart, staged.attempt) else {
            return Err(Problem::new("flow.nothing_staged", format!("nothing is staged for {}", staged.mart)));
        };
        let change = Change {
            add: held.files.clone(),
            remove: Remove::All,
            columns: Some(held.columns.clone()),
            txn: Some((transaction_app(&staged.mart), staged.attempt.0)),
            operation: Operation::Replace,
            ..Change::default()
        };
        let committed = held.table.commit(change).await.map_err(lake)?;
        self.staged.lock().remove(&(staged.mart.clone(), staged.attempt));
        Ok(committed.version)
    }

    async fn committed(&self, mart: &TableId, attempt: Attempt) -> Result<Option<Version>, Problem> {
        let Some(table) = self.lake.open_table(mart).await.map_err(lake)? else { return Ok(None) };
        let position = table.position(&transaction_app(mart)).await.map_err(lake)?;
        Ok((position == Some(attempt.0)).then(|| table.view().version))
    }

    async fn discard(&self, mart: &TableId, attempt: Attempt) -> Result<(), Problem> {
        self.staged.lock().remove(&(mart.clone(), attempt));
        // A table that was made only to stage into, and never published, is not left for people to find empty.
        if let Some(table) = self.lake.open_table(mart).await.map_err(lake)?
            && table.position(&transaction_app(mart)).await.map_err(lake)?.is_none()
        {
            self.lake.drop_table(mart).await.map_err(lake)?;
        }
        Ok(())
    }
}
