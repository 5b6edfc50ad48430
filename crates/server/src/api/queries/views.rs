//! A job as JSON.
//!
//! Owns: [`QueryView`], [`RowsView`], [`ColumnView`]. Cells are as the contract's "Output" says: integers beyond 2^53 and
//! NUMERIC are strings; a JSON value is a string with its text, so that no reader rounds what stands in it.

use arrow::datatypes::{Field, SchemaRef};
use naru_base::time::now_us;
use naru_warehouse::{
    column_type,
    jobs::{JobState, JobView, Page},
    output::{self, Cell},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::{
    ApiProblem,
    views::{ProblemView, time_text},
};

/// A column of a result.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnView {
    /// Its name.
    pub name: String,
    /// Its GoogleSQL type, such as `ARRAY<INT64>`.
    #[serde(rename = "type")]
    pub sql_type: String,
    /// The same without its parts, in small letters: `array`.
    pub kind: String,
}

impl ColumnView {
    /// Of a field of a result.
    pub fn of(field: &Field) -> Self {
        let sql_type = column_type(field);
        let kind = sql_type.split('<').next().unwrap_or_default().to_lowercase();
        Self { name: field.name().clone(), kind, sql_type }
    }

    /// Of all fields.
    pub fn all(schema: &SchemaRef) -> Vec<Self> {
        schema.fields().iter().map(|field| Self::of(field)).collect()
    }
}

/// How far a query is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressView {
    /// Rows that scans have handed on.
    rows_read: u64,
    /// Rows that scans hold, where that is known.
    rows_total: Option<u64>,
    /// Bytes read from files.
    bytes_read: u64,
    /// Bytes written to the spill folder.
    bytes_spilled: u64,
}

/// A table that was read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadView {
    /// Its name.
    table: String,
    /// Its version, where it has one.
    version: Option<u64>,
}

/// A place in the text that was sent, from 1.
#[derive(Debug, Clone, Copy, Serialize, serde::Deserialize, ToSchema)]
pub struct PlaceInText {
    /// The line.
    pub line: usize,
    /// The column in characters.
    pub column: usize,
}

/// A query.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryView {
    /// Its id.
    pub id: String,
    /// `queued`, `running`, `done`, `failed`, `timed_out` or `cancelled`.
    pub state: String,
    /// What was sent.
    pub sql: String,
    /// When it was taken.
    created_at: String,
    /// When it got a lane.
    started_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// How long it has run, or ran.
    elapsed_ms: u64,
    /// Its place in the queue, from 1, while it waits.
    queue_place: Option<usize>,
    /// How far it is.
    progress: ProgressView,
    /// Columns; null until they are known.
    columns: Option<Vec<ColumnView>>,
    /// Rows that can be fetched now.
    pub rows: u64,
    /// Rows counted so far; those beyond the bound are counted and not kept.
    rows_counted: u64,
    /// Rows of the whole answer, once it is done.
    pub rows_total: Option<u64>,
    /// Whether what can be fetched is the whole answer.
    pub complete: bool,
    /// Zone in which TIMESTAMP met DATE.
    time_zone: String,
    /// The moment whose rows these are.
    as_of: Option<String>,
    /// What it read.
    reads: Vec<ReadView>,
    /// When the rows are given up.
    expires_at: Option<String>,
    /// What went wrong.
    problem: Option<ProblemView>,
    /// Where that is in the text.
    position: Option<PlaceInText>,
}

impl QueryView {
    /// Of a job.
    pub fn of(view: &JobView) -> Self {
        let failure = view.state.failure();
        let until = view.ended_us.unwrap_or_else(now_us);
        let elapsed_us = view.started_us.map_or(0, |from| until.saturating_sub(from));
        let seen = view.seen;
        Self {
            id: view.id.to_string(),
            state: view.state.word().to_owned(),
            sql: view.sql.clone(),
            created_at: time_text(view.submitted_us),
            started_at: view.started_us.map(time_text),
            ended_at: view.ended_us.map(time_text),
            elapsed_ms: u64::try_from(elapsed_us / 1000).unwrap_or(0),
            queue_place: view.queue_place.filter(|_| view.state == JobState::Queued),
            progress: ProgressView {
                rows_read: seen.rows_read,
                rows_total: seen.rows_total,
                bytes_read: seen.bytes_read,
                bytes_spilled: seen.bytes_spilled,
            },
            columns: view.schema.as_ref().map(ColumnView::all),
            rows: view.rows,
            rows_counted: view.rows_counted,
            rows_total: view.rows_total,
            complete: view.complete(),
            time_zone: view.time_zone.clone(),
            as_of: view.started_us.filter(|_| view.schema.is_some()).map(time_text),
            reads: view
                .reads
                .iter()
                .map(|read| ReadView { table: read.table.to_string(), version: read.version.map(|version| version.0) })
                .collect(),
            expires_at: view.expires_us.map(time_text),
            position: failure
                .as_ref()
                .and_then(|failure| failure.place)
                .map(|(line, column)| PlaceInText { line, column }),
            problem: failure.map(|failure| ProblemView::of(&failure.problem)),
        }
    }
}

/// A page of rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowsView {
    /// The number of the first one, from 0.
    from: u64,
    /// Cells in the columns' order.
    #[schema(value_type = Vec<Vec<Object>>)]
    rows: Vec<Vec<Box<RawValue>>>,
    /// Rows of the whole answer, once it is done.
    rows_total: Option<u64>,
    /// Whether what is kept is the whole answer.
    complete: bool,
}

impl RowsView {
    /// Of a page. Takes time for wide rows; not for a thread that must not wait.
    ///
    /// # Errors
    /// A type that has no text form.
    pub fn of(from: u64, page: &Page) -> Result<Self, ApiProblem> {
        let mut rows = Vec::new();
        for batch in &page.batches {
            let columns = output::cells(batch).map_err(|error| error.problem())?;
            let is_json = |field: &Field| field.metadata().get("naru.type").is_some_and(|mark| mark == "json");
            let quoted: Vec<bool> = page.schema.fields().iter().map(|field| is_json(field)).collect();
            for row in 0..batch.num_rows() {
                let cells = columns.iter().zip(&quoted).map(|(column, quoted)| raw(column.as_ref(), row, *quoted));
                rows.push(cells.collect::<Result<_, _>>()?);
            }
        }
        Ok(Self { from, rows, rows_total: page.rows_total, complete: page.complete })
    }
}

fn raw(column: &dyn Cell, row: usize, quoted: bool) -> Result<Box<RawValue>, ApiProblem> {
    let mut text = String::new();
    if column.is_null(row) {
        text.push_str("null");
    } else if quoted {
        let mut json = String::new();
        column.text(row, &mut json);
        text = serde_json::Value::from(json).to_string();
    } else {
        column.json(row, &mut text);
    }
    RawValue::from_string(text)
        .map_err(|error| naru_base::Problem::from_error("query.cell", "a value has no JSON form", &error).into())
}
