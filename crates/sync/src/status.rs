//! What `naru status`, metrics and the demo page show of a source while it runs.
//!
//! Owns: [`SourceStatus`] and [`TableStatus`], plain data rebuilt by the engine a few times a second.
//! Never decides anything.

use std::sync::Arc;

use naru_base::{Lsn, Problem, TableId};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

/// One table of a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableStatus {
    /// Name in SQL.
    pub table: TableId,
    /// `schema.name` at the source.
    pub source_table: String,
    /// State, as [`crate::state::TableState::as_str`].
    pub state: String,
    /// Live rows as the newest view counts them.
    pub rows: u64,
    /// Rows written by the running copy, if one runs.
    pub copied: Option<u64>,
    /// Rows the planner expects, for a progress bar.
    pub expected: Option<u64>,
    /// Changes applied since start.
    pub changes: u64,
    /// Milliseconds from source commit to visible, of the last change.
    pub lag_ms: Option<u64>,
    /// Bytes waiting in the spool.
    pub spool_bytes: u64,
    /// Data files of the newest version.
    pub files: u64,
    /// Newest Delta version.
    pub version: Option<u64>,
    /// Values changed by a stated rule (infinity, NaN, out of range).
    pub adjusted_values: u64,
    /// Why it is not live, or remarks worth showing.
    pub reason: Option<String>,
    /// What mends it.
    pub fix: Option<String>,
    /// Last change of its definition, as text.
    pub last_definition: Option<String>,
}

impl TableStatus {
    /// A table that the source does not have any more; its rows are still in the lake.
    pub fn departed(table: TableId, source_table: String, rows: u64, reason: &str) -> Self {
        Self {
            table,
            source_table,
            state: crate::state::TableState::Dropped.as_str().to_owned(),
            rows,
            copied: None,
            expected: None,
            changes: 0,
            lag_ms: None,
            spool_bytes: 0,
            files: 0,
            version: None,
            adjusted_values: 0,
            reason: Some(reason.to_owned()),
            fix: None,
            last_definition: None,
        }
    }
}

/// One source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Name of the source file.
    pub source: String,
    /// `connecting`, `preflight`, `streaming`, `waiting` or `stopped`.
    pub phase: String,
    /// Why it is not streaming.
    pub problem: Option<OwnedProblem>,
    /// What will stop it if nobody does anything.
    #[serde(default)]
    pub warnings: Vec<OwnedProblem>,
    /// End of the last transaction that queries see.
    pub visible: Lsn,
    /// Position acknowledged to the source.
    pub acknowledged: Lsn,
    /// Last position the server said it has written.
    pub server: Lsn,
    /// Bytes of WAL the slot keeps at the source.
    pub retained_bytes: Option<i64>,
    /// Bytes until the slot is lost; `None` when unbounded.
    pub safe_bytes: Option<i64>,
    /// Whether the event trigger reports definition changes.
    pub event_trigger: bool,
    /// What makes following the source slower or coarser than it could be; nothing is wrong.
    #[serde(default)]
    pub notes: Vec<OwnedProblem>,
    /// Whether `tables` is what the source had when it was last read, since the start of this process.
    #[serde(default)]
    pub read: bool,
    /// Tables in order of name.
    pub tables: Vec<TableStatus>,
}

/// A [`Problem`] that came over a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedProblem {
    /// Stable code.
    pub code: String,
    /// What happened.
    pub summary: String,
    /// Why.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl From<&Problem> for OwnedProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.code.to_string(),
            summary: problem.summary.clone(),
            detail: problem.detail.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// Shared cell with the newest status of one source.
#[derive(Debug, Clone, Default)]
pub struct StatusCell(Arc<RwLock<SourceStatus>>);

impl StatusCell {
    /// The newest status.
    pub fn get(&self) -> SourceStatus {
        self.0.read().clone()
    }

    /// Replaces it.
    pub fn set(&self, status: SourceStatus) {
        *self.0.write() = status;
    }

    /// Changes part of it.
    pub fn update(&self, change: impl FnOnce(&mut SourceStatus)) {
        change(&mut self.0.write());
    }
}
