//! Questions about runs of marts.
//!
//! Owns: rows of the `flow_*` tables as values, newest or oldest first as each function says. Never writes.
//! Read next: [`crate::runs`] for how they come to be.

use naru_base::{RunId, TableId, number};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::error::StoreError;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub run: RunId,
    /// `manual`, `schedule`, `catch_up` or `rollback`.
    pub reason: String,
    /// What was asked for.
    pub requested: String,
    /// The person who asked.
    pub asked_by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// For a rollback: the run whose result it published again.
    pub rolled_to: Option<RunId>,
    /// `running`, `done`, `failed`, `cancelled` or `interrupted`.
    pub state: String,
    /// The process that runs or ran it.
    pub epoch: i64,
    /// Pinned versions as JSON, once they are pinned.
    pub cut: Option<String>,
    /// Microseconds since 1970 UTC.
    pub started_us: i64,
    /// Microseconds since 1970 UTC.
    pub ended_us: Option<i64>,
}

/// One mart in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// The run.
    pub run: RunId,
    /// The mart.
    pub mart: TableId,
    /// `table` or `view`.
    pub kind: String,
    /// Of the SQL that it was planned with.
    pub fingerprint: String,
    /// Its state's word.
    pub state: String,
    /// Why, one line.
    pub cause: Option<String>,
    /// The problem behind a bad end, as JSON.
    pub problem: Option<String>,
    /// The latest attempt.
    pub attempt: Option<i64>,
    /// Attempts since the run began or was resumed.
    pub tries: u32,
    /// Rows staged or published by the latest attempt.
    pub rows: Option<u64>,
    /// Bytes staged or published by the latest attempt.
    pub bytes: Option<u64>,
    /// Delta version published.
    pub version: Option<u64>,
    /// When the latest attempt began, microseconds since 1970 UTC.
    pub started_us: Option<i64>,
    /// When the mart ended, microseconds since 1970 UTC.
    pub ended_us: Option<i64>,
}

/// One step of one mart, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The mart.
    pub mart: TableId,
    /// Microseconds since 1970 UTC.
    pub at_us: i64,
    /// What happened.
    pub event: String,
    /// The state it happened in.
    pub from: String,
    /// The state after it.
    pub to: String,
    /// The attempt it belongs to.
    pub attempt: Option<i64>,
    /// Why, one line.
    pub cause: Option<String>,
}

/// A mart's part in one run, as a grid of runs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRow {
    /// The run.
    pub run: RunId,
    /// Why the run exists.
    pub reason: String,
    /// The person who asked for the run.
    pub asked_by: Option<String>,
    /// When the run began, microseconds since 1970 UTC.
    pub run_started_us: i64,
    /// The mart's state's word.
    pub state: String,
    /// Of the SQL that it was planned with.
    pub fingerprint: String,
    /// Why, one line.
    pub cause: Option<String>,
    /// The latest attempt.
    pub attempt: Option<i64>,
    /// Rows staged or published by the latest attempt.
    pub rows: Option<u64>,
    /// When the latest attempt began, microseconds since 1970 UTC.
    pub started_us: Option<i64>,
    /// When the mart ended, microseconds since 1970 UTC.
    pub ended_us: Option<i64>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// The mart.
    pub mart: TableId,
    /// The attempt whose rows were checked.
    pub attempt: i64,
    /// The check's name.
    pub check: String,
    /// `block` or `warn`.
    pub severity: String,
    /// `pass`, `warn`, `block` or `error`.
    pub outcome: String,
    /// Rows that its query returned.
    pub failing: u64,
    /// One sentence.
    pub detail: Option<String>,
    /// Its query.
    pub sql: String,
    /// JSON array of a few failing rows; for people who may read the mart.
    pub sample: String,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// A published view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// Its name.
    pub mart: TableId,
    /// Its query.
    pub sql: String,
    /// JSON array of `{name, sql_type}`.
    pub columns: String,
    /// What it reads, JSON array of `dataset.table`.
    pub reads: String,
    /// The run that published it.
    pub run: RunId,
    /// The attempt that published it.
    pub attempt: i64,
    /// When, microseconds since 1970 UTC.
    pub published_us: i64,
}

/// A mart's latest run and what is live: the newest run may have been published over by an older one that was gone on
/// with later, so that the order of publications is not that of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MartRow {
    /// Its part in the latest run that it took part in.
    pub latest: NodeRow,
    /// Its part in the run that published it last.
    pub published: Option<NodeRow>,
    /// That run, if it was a rollback.
    pub rollback: Option<RunRow>,
    /// Checks of the latest attempt that did not pass: name, outcome, failing rows.
    pub failing: Vec<(String, String, u64)>,
}

const RUN_COLUMNS: &str = "SELECT run, reason, requested, state, epoch, cut, started_us, ended_us, asked_by, why, \
                           rolled_to FROM flow_runs";

const NODE_COLUMNS: &str = "SELECT run, mart, kind, fingerprint, state, cause, problem, attempt, tries, rows, bytes, \
                            version, started_us, ended_us FROM flow_nodes AS n";

/// Newest publication first. Steps are numbered in the order in which they were stored.
const NEWEST_PUBLISHED: &str = "ORDER BY (SELECT MAX(event_id) FROM flow_events AS e WHERE e.run = n.run AND \
                                e.mart = n.mart AND e.to_state = 'done') DESC, run DESC";

/// One run.
pub fn run(connection: &Connection, run: RunId) -> Result<Option<RunRow>, StoreError> {
    let mut query = connection.prepare_cached(&format!("{RUN_COLUMNS} WHERE run = ?1"))?;
    Ok(query.query_row([run.0], run_row).optional()?)
}

/// The latest runs, newest first.
pub fn latest(connection: &Connection, most: u32) -> Result<Vec<RunRow>, StoreError> {
    let mut query = connection.prepare_cached(&format!("{RUN_COLUMNS} ORDER BY run DESC LIMIT ?1"))?;
    Ok(query.query_map([most], run_row)?.collect::<Result<_, _>>()?)
}

/// Runs without an end, oldest first: those of this process that go on, and those that a dead one left.
pub fn running(connection: &Connection) -> Result<Vec<RunRow>, StoreError> {
    let sql = format!("{RUN_COLUMNS} WHERE state = 'running' ORDER BY run");
    Ok(connection.prepare_cached(&sql)?.query_map([], run_row)?.collect::<Result<_, _>>()?)
}

/// The marts of a run, by name.
pub fn nodes(connection: &Connection, run: RunId) -> Result<Vec<NodeRow>, StoreError> {
    let sql = format!("{NODE_COLUMNS} WHERE run = ?1 ORDER BY mart");
    Ok(connection.prepare_cached(&sql)?.query_map([run.0], node_row)?.collect::<Result<_, _>>()?)
}

/// A mart's part in its latest runs, newest first.
pub fn history(connection: &Connection, mart: &TableId, most: u32) -> Result<Vec<NodeRow>, StoreError> {
    let sql = format!("{NODE_COLUMNS} WHERE mart = ?1 ORDER BY run DESC LIMIT ?2");
    let mut query = connection.prepare_cached(&sql)?;
    Ok(query.query_map(params![mart.to_string(), most], node_row)?.collect::<Result<_, _>>()?)
}

/// A mart's part in its latest runs, newest first, without the problems behind bad ends.
pub fn cells(connection: &Connection, mart: &TableId, most: u32) -> Result<Vec<CellRow>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT n.run, r.reason, r.asked_by, r.started_us, n.state, n.fingerprint, n.cause, n.attempt, n.rows, \
         n.started_us, n.ended_us FROM flow_nodes AS n JOIN flow_runs AS r ON r.run = n.run \
         WHERE n.mart = ?1 ORDER BY n.run DESC LIMIT ?2",
    )?;
    let cells = query.query_map(params![mart.to_string(), most], |row| {
        Ok(CellRow {
            run: RunId(row.get(0)?),
            reason: row.get(1)?,
            asked_by: row.get(2)?,
            run_started_us: row.get(3)?,
            state: row.get(4)?,
            fingerprint: row.get(5)?,
            cause: row.get(6)?,
            attempt: row.get(7)?,
            rows: known_count(row, 8)?,
            started_us: row.get(9)?,
            ended_us: row.get(10)?,
        })
    })?;
    Ok(cells.collect::<Result<_, _>>()?)
}

/// Checks of one attempt at a mart that did not pass: name, outcome, failing rows.
pub fn failing(
    connection: &Connection,
    run: RunId,
    mart: &TableId,
    attempt: Option<i64>,
) -> Result<Vec<(String, String, u64)>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT check_name, outcome, failing FROM flow_verdicts \
         WHERE run = ?1 AND mart = ?2 AND attempt = ?3 AND outcome <> 'pass' ORDER BY check_name",
    )?;
    let rows = query
        .query_map(params![run.0, mart.to_string(), attempt], |row| Ok((row.get(0)?, row.get(1)?, count(row, 2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every mart that ever took part in a run, by name.
pub fn marts(connection: &Connection) -> Result<Vec<MartRow>, StoreError> {
    let sql = format!(
        "{NODE_COLUMNS} WHERE run = (SELECT MAX(run) FROM flow_nodes AS m WHERE m.mart = n.mart) ORDER BY mart"
    );
    let latest: Vec<NodeRow> = connection.prepare_cached(&sql)?.query_map([], node_row)?.collect::<Result<_, _>>()?;
    latest.into_iter().map(|latest| mart_row(connection, latest)).collect()
}

fn mart_row(connection: &Connection, latest: NodeRow) -> Result<MartRow, StoreError> {
    let mart = latest.mart.to_string();
    let sql = format!("{NODE_COLUMNS} WHERE mart = ?1 AND state = 'done' {NEWEST_PUBLISHED} LIMIT 1");
    let published = connection.prepare_cached(&sql)?.query_row([&mart], node_row).optional()?;
    let failing = failing(connection, latest.run, &latest.mart, latest.attempt)?;
    let rollback = match &published {
        Some(node) => run(connection, node.run)?.filter(|row| row.rolled_to.is_some()),
        None => None,
    };
    Ok(MartRow { latest, published, rollback, failing })
}

/// Everything that happened in a run, in order.
pub fn events(connection: &Connection, run: RunId) -> Result<Vec<EventRow>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT mart, at_us, event, from_state, to_state, attempt, cause FROM flow_events \
         WHERE run = ?1 ORDER BY event_id",
    )?;
    let events = query.query_map([run.0], |row| {
        Ok(EventRow {
            mart: table(row, 0)?,
            at_us: row.get(1)?,
            event: row.get(2)?,
            from: row.get(3)?,
            to: row.get(4)?,
            attempt: row.get(5)?,
            cause: row.get(6)?,
        })
    })?;
    Ok(events.collect::<Result<_, _>>()?)
}

/// What checks found in a run, all attempts, by mart, attempt and check.
pub fn verdicts(connection: &Connection, run: RunId) -> Result<Vec<VerdictRow>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT mart, attempt, check_name, severity, outcome, failing, detail, sql, sample, elapsed_ms \
         FROM flow_verdicts WHERE run = ?1 ORDER BY mart, attempt, check_name",
    )?;
    let verdicts = query.query_map([run.0], |row| {
        Ok(VerdictRow {
            mart: table(row, 0)?,
            attempt: row.get(1)?,
            check: row.get(2)?,
            severity: row.get(3)?,
            outcome: row.get(4)?,
            failing: count(row, 5)?,
            detail: row.get(6)?,
            sql: row.get(7)?,
            sample: row.get(8)?,
            elapsed_ms: count(row, 9)?,
        })
    })?;
    Ok(verdicts.collect::<Result<_, _>>()?)
}

/// All published views, by name: the queries that SQL expands.
pub fn views(connection: &Connection) -> Result<Vec<ViewRow>, StoreError> {
    let mut query = connection
        .prepare_cached("SELECT mart, sql, columns, reads, run, attempt, published_us FROM flow_views ORDER BY mart")?;
    let views = query.query_map([], |row| {
        Ok(ViewRow {
            mart: table(row, 0)?,
            sql: row.get(1)?,
            columns: row.get(2)?,
            reads: row.get(3)?,
            run: RunId(row.get(4)?),
            attempt: row.get(5)?,
            published_us: row.get(6)?,
        })
    })?;
    Ok(views.collect::<Result<_, _>>()?)
}

/// The runs that have published a mart, the newest publication first, with the mart's part in each.
pub fn publications(connection: &Connection, mart: &TableId) -> Result<Vec<(RunRow, NodeRow)>, StoreError> {
    let sql = format!("{NODE_COLUMNS} WHERE mart = ?1 AND state = 'done' {NEWEST_PUBLISHED}");
    let mut query = connection.prepare_cached(&sql)?;
    let nodes: Vec<NodeRow> = query.query_map([mart.to_string()], node_row)?.collect::<Result<_, _>>()?;
    let mut found = Vec::with_capacity(nodes.len());
    for node in nodes {
        if let Some(row) = run(connection, node.run)? {
            found.push((row, node));
        }
    }
    Ok(found)
}

/// The latest runs that a mart took part in, newest first.
pub fn latest_of(connection: &Connection, mart: &TableId, most: u32) -> Result<Vec<RunRow>, StoreError> {
    let sql = format!(
        "{RUN_COLUMNS} WHERE run IN (SELECT run FROM flow_nodes WHERE mart = ?1 ORDER BY run DESC LIMIT ?2) \
         ORDER BY run DESC"
    );
    let mut query = connection.prepare_cached(&sql)?;
    Ok(query.query_map(params![mart.to_string(), most], run_row)?.collect::<Result<_, _>>()?)
}

/// When each scheduled mart was last started by its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredRow {
    /// The mart.
    pub mart: TableId,
    /// The schedule as it was written then.
    pub schedule: String,
    /// Microseconds since 1970 UTC.
    pub at_us: i64,
}

/// The last start of every scheduled mart by its schedule, by name.
pub fn fired(connection: &Connection) -> Result<Vec<FiredRow>, StoreError> {
    let sql = "SELECT mart, schedule, last_fired_us FROM flow_schedules ORDER BY mart";
    let mut query = connection.prepare_cached(sql)?;
    let rows =
        query.query_map([], |row| Ok(FiredRow { mart: table(row, 0)?, schedule: row.get(1)?, at_us: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        run: RunId(row.get(0)?),
        reason: row.get(1)?,
        requested: row.get(2)?,
        state: row.get(3)?,
        epoch: row.get(4)?,
        cut: row.get(5)?,
        started_us: row.get(6)?,
        ended_us: row.get(7)?,
        asked_by: row.get(8)?,
        why: row.get(9)?,
        rolled_to: row.get::<_, Option<i64>>(10)?.map(RunId),
    })
}

fn node_row(row: &Row<'_>) -> rusqlite::Result<NodeRow> {
    Ok(NodeRow {
        run: RunId(row.get(0)?),
        mart: table(row, 1)?,
        kind: row.get(2)?,
        fingerprint: row.get(3)?,
        state: row.get(4)?,
        cause: row.get(5)?,
        problem: row.get(6)?,
        attempt: row.get(7)?,
        tries: row.get(8)?,
        rows: known_count(row, 9)?,
        bytes: known_count(row, 10)?,
        version: known_count(row, 11)?,
        started_us: row.get(12)?,
        ended_us: row.get(13)?,
    })
}

/// A `dataset.table` in a column.
fn table(row: &Row<'_>, column: usize) -> rusqlite::Result<TableId> {
    let name: String = row.get(column)?;
    name.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(number::u64_from_signed)
}

fn known_count(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(number::u64_from_signed))
}
