//! Runs of marts: what was asked, where each mart stands, what happened, what checks found, which views are live.
//!
//! Owns: the `flow_*` tables. States, events and problems are words and JSON here; `flow` knows what they mean.
//! Never decides a transition; it refuses one that does not start from the stored state.
//! Read next: `migrations/002_runs.sql` for the tables, [`crate::runs_read`] for the questions asked of them.

use naru_base::{RunId, TableId, number};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{error::StoreError, runs_read::VerdictRow};

/// A run as it begins.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// `manual`, `schedule`, `catch_up` or `rollback`.
    pub reason: &'static str,
    /// What was asked for, in the asker's words.
    pub requested: String,
    /// The person who asked.
    pub asked_by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// For a rollback: the run whose result it publishes again.
    pub rolled_to: Option<RunId>,
    /// The process that runs it.
    pub epoch: i64,
    /// Now, in microseconds since 1970 UTC.
    pub started_us: i64,
    /// State in which every mart begins.
    pub first_state: &'static str,
    /// Its marts.
    pub nodes: Vec<NewNode>,
}

/// One mart of a run as it begins.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// The mart.
    pub mart: TableId,
    /// `table` or `view`.
    pub kind: String,
    /// Of its SQL and kind.
    pub fingerprint: String,
}

/// One step of one mart.
#[derive(Debug, Clone)]
pub struct Transition {
    /// The run.
    pub run: RunId,
    /// The mart.
    pub mart: TableId,
    /// Now, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// What happened.
    pub event: &'static str,
    /// The state it happened in.
    pub from: &'static str,
    /// The state after it.
    pub to: &'static str,
    /// Why, one line.
    pub cause: Option<String>,
    /// The problem behind it, as JSON.
    pub problem: Option<String>,
    /// What changes besides.
    pub change: NodeChange,
}

/// What a step changes besides the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NodeChange {
    /// Nothing.
    #[default]
    None,
    /// A new attempt begins; its number is made.
    NewAttempt,
    /// Rows are staged.
    Staged {
        /// Rows, for a table.
        rows: Option<u64>,
        /// Bytes, for a table.
        bytes: Option<u64>,
    },
    /// A table is published; a view of the same name ends.
    PublishedTable {
        /// Its Delta version.
        version: u64,
    },
    /// A view is published by this very step.
    PublishedView {
        /// Its query.
        sql: String,
        /// JSON array of `{name, sql_type}`.
        columns: String,
        /// What it reads, JSON array of `dataset.table`.
        reads: String,
    },
    /// The mart has ended without being published.
    Ended,
    /// The mart begins again, with this kind and fingerprint.
    Again {
        /// `table` or `view`.
        kind: String,
        /// Of its SQL now.
        fingerprint: String,
    },
}

/// What became of [`record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// All steps are stored; the latest attempt of the last step's mart.
    Stored(Option<i64>),
    /// A mart was not in the state that its first step starts from. Nothing is stored.
    Stale,
}

/// A number for this process, larger than that of every earlier one.
pub fn next_epoch(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "UPDATE flow_counters SET value = value + 1 WHERE name = 'epoch' RETURNING value";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Stores a new run with all its marts.
pub fn begin(connection: &Connection, new: &NewRun) -> Result<RunId, StoreError> {
    connection.execute(
        "INSERT INTO flow_runs (reason, requested, state, epoch, started_us, asked_by, why, rolled_to) \
         VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7)",
        params![
            new.reason,
            new.requested,
            new.epoch,
            new.started_us,
            new.asked_by,
            new.why,
            new.rolled_to.map(|run| run.0)
        ],
    )?;
    let run = connection.last_insert_rowid();
    let mut insert = connection
        .prepare_cached("INSERT INTO flow_nodes (run, mart, kind, fingerprint, state) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for node in &new.nodes {
        insert.execute(params![run, node.mart.to_string(), node.kind, node.fingerprint, new.first_state])?;
    }
    Ok(RunId(run))
}

/// Stores the versions that a run reads, as JSON.
pub fn set_cut(connection: &Connection, run: RunId, cut: &str) -> Result<(), StoreError> {
    connection.execute("UPDATE flow_runs SET cut = ?2 WHERE run = ?1", params![run.0, cut])?;
    Ok(())
}

/// Ends a run.
pub fn end(connection: &Connection, run: RunId, state: &str, at_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE flow_runs SET state = ?2, ended_us = ?3 WHERE run = ?1";
    connection.execute(sql, params![run.0, state, at_us])?;
    Ok(())
}

/// Opens an ended run again, for the process `epoch`.
pub fn reopen(connection: &Connection, run: RunId, epoch: i64) -> Result<(), StoreError> {
    let sql = "UPDATE flow_runs SET state = 'running', epoch = ?2, ended_us = NULL WHERE run = ?1";
    connection.execute(sql, params![run.0, epoch])?;
    Ok(())
}

/// Stores steps in order, each as an event and on its mart, all of them or none.
pub fn record(connection: &Connection, steps: &[Transition]) -> Result<Recorded, StoreError> {
    for (at, step) in steps.iter().enumerate() {
        let earlier = steps.iter().take(at).rev().find(|other| other.run == step.run && other.mart == step.mart);
        let state = match earlier {
            Some(earlier) => Some(earlier.to.to_owned()),
            None => stored_state(connection, step.run, &step.mart)?,
        };
        if state.as_deref() != Some(step.from) {
            return Ok(Recorded::Stale);
        }
    }
    let mut attempt = None;
    for step in steps {
        attempt = store_step(connection, step)?;
    }
    Ok(Recorded::Stored(attempt))
}

fn stored_state(connection: &Connection, run: RunId, mart: &TableId) -> Result<Option<String>, StoreError> {
    let mut query = connection.prepare_cached("SELECT state FROM flow_nodes WHERE run = ?1 AND mart = ?2")?;
    Ok(query.query_row(params![run.0, mart.to_string()], |row| row.get(0)).optional()?)
}

fn store_step(connection: &Connection, step: &Transition) -> Result<Option<i64>, StoreError> {
    let mart = step.mart.to_string();
    connection
        .prepare_cached("UPDATE flow_nodes SET state = ?3, cause = ?4, problem = ?5 WHERE run = ?1 AND mart = ?2")?
        .execute(params![step.run.0, mart, step.to, step.cause, step.problem])?;
    store_change(connection, step, &mart)?;
    let attempt: Option<i64> = connection
        .prepare_cached("SELECT attempt FROM flow_nodes WHERE run = ?1 AND mart = ?2")?
        .query_row(params![step.run.0, mart], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO flow_events (run, mart, at_us, event, from_state, to_state, attempt, cause) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![step.run.0, mart, step.at_us, step.event, step.from, step.to, attempt, step.cause])?;
    Ok(attempt)
}

fn store_change(connection: &Connection, step: &Transition, mart: &str) -> Result<(), StoreError> {
    let run = step.run.0;
    let update = |set: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), StoreError> {
        let sql = format!("UPDATE flow_nodes SET {set} WHERE run = ?1 AND mart = ?2");
        let keys: [&dyn rusqlite::ToSql; 2] = [&run, &mart];
        let all: Vec<&dyn rusqlite::ToSql> = keys.into_iter().chain(values.iter().copied()).collect();
        connection.prepare_cached(&sql)?.execute(all.as_slice())?;
        Ok(())
    };
    match &step.change {
        NodeChange::None => Ok(()),
        NodeChange::NewAttempt => {
            let attempt = next_attempt(connection, step.at_us)?;
            let set = "attempt = ?3, started_us = ?4, tries = tries + 1, rows = NULL, bytes = NULL, ended_us = NULL";
            update(set, &[&attempt, &step.at_us])
        }
        NodeChange::Staged { rows, bytes } => {
            update("rows = ?3, bytes = ?4", &[&rows.map(number::i64_from), &bytes.map(number::i64_from)])
        }
        NodeChange::PublishedTable { version } => {
            connection.prepare_cached("DELETE FROM flow_views WHERE mart = ?1")?.execute([mart])?;
            update("version = ?3, ended_us = ?4", &[&number::i64_from(*version), &step.at_us])
        }
        NodeChange::PublishedView { sql, columns, reads } => {
            update("version = NULL, ended_us = ?3", &[&step.at_us])?;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO flow_views (mart, sql, fingerprint, columns, reads, run, attempt, published_us) \
                     SELECT mart, ?3, fingerprint, ?4, ?5, run, attempt, ?6 FROM flow_nodes WHERE run = ?1 AND mart = ?2",
                )?
                .execute(params![run, mart, sql, columns, reads, step.at_us])?;
            Ok(())
        }
        NodeChange::Ended => update("ended_us = ?3", &[&step.at_us]),
        NodeChange::Again { kind, fingerprint } => {
            let set = "kind = ?3, fingerprint = ?4, tries = 0, rows = NULL, bytes = NULL, ended_us = NULL";
            update(set, &[kind, fingerprint])
        }
    }
}

fn next_attempt(connection: &Connection, now_us: i64) -> Result<i64, StoreError> {
    let sql = "UPDATE flow_counters SET value = max(value + 1, ?1) WHERE name = 'attempt' RETURNING value";
    Ok(connection.prepare_cached(sql)?.query_row([now_us], |row| row.get(0))?)
}

/// Stores what the checks of one attempt found, over what an earlier call stored for it.
pub fn add_verdicts(connection: &Connection, run: RunId, verdicts: &[VerdictRow]) -> Result<(), StoreError> {
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO flow_verdicts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
    for verdict in verdicts {
        insert.execute(params![
            run.0,
            verdict.mart.to_string(),
            verdict.attempt,
            verdict.check,
            verdict.severity,
            verdict.outcome,
            number::i64_from(verdict.failing),
            verdict.detail,
            verdict.sql,
            verdict.sample,
            number::i64_from(verdict.elapsed_ms),
        ])?;
    }
    Ok(())
}

/// Forgets the published views that are not in `keep`, because their files are gone. Returns how many.
pub fn keep_views(connection: &Connection, keep: &[TableId]) -> Result<usize, StoreError> {
    let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
    let names: Vec<String> = connection
        .prepare_cached("SELECT mart FROM flow_views")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut forgotten = 0;
    for name in names.iter().filter(|name| !keep.contains(name)) {
        forgotten += connection.execute("DELETE FROM flow_views WHERE mart = ?1", [name])?;
    }
    Ok(forgotten)
}

/// Stores that marts, each with its schedule as written, were started by their schedules.
pub fn set_fired(connection: &Connection, marts: &[(TableId, String)], at_us: i64) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO flow_schedules (mart, schedule, last_fired_us) VALUES (?1, ?2, ?3)";
    let mut insert = connection.prepare_cached(sql)?;
    for (mart, schedule) in marts {
        insert.execute(params![mart.to_string(), schedule, at_us])?;
    }
    Ok(())
}

/// Forgets when a mart was last started by its schedule, because it has none any more.
pub fn forget_fired(connection: &Connection, mart: &TableId) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM flow_schedules WHERE mart = ?1")?.execute([mart.to_string()])?;
    Ok(())
}

/// Forgets runs that ended before `before_us`, except the latest of each mart and the latest that published it.
/// Returns how many.
pub fn forget(connection: &Connection, before_us: i64) -> Result<usize, StoreError> {
    let sql = "DELETE FROM flow_runs WHERE ended_us < ?1 \
               AND run NOT IN (SELECT MAX(run) FROM flow_nodes GROUP BY mart) \
               AND run NOT IN (SELECT MAX(run) FROM flow_nodes WHERE state = 'done' GROUP BY mart)";
    Ok(connection.execute(sql, [before_us])?)
}
