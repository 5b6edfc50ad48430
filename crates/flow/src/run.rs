//! Runs as their callers see them: why, how it goes, how it ended.
//!
//! Owns: the values of a run that leave this room. Never decides what runs when.
//! Read next: [`crate::flow`] for starting one.

use std::collections::BTreeSet;

use naru_base::{Problem, RunId, TableId};
use naru_store::runs_read::NodeRow;
use serde::Serialize;

use crate::{
    graph::Graph,
    state::{NodeState, Stage},
};

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A person asked.
    Manual,
    /// Its time had come.
    Schedule,
    /// Its time had come while nothing was running.
    CatchUp,
    /// A person wants an earlier result back.
    Rollback,
}

impl Reason {
    /// The word in the state database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::CatchUp => "catch_up",
            Self::Rollback => "rollback",
        }
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Request {
    /// Why.
    pub reason: Reason,
    /// In the asker's words, for the history: `+finance.revenue`.
    pub words: String,
    /// The person who asks, where it is one.
    pub by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// The marts, as selected from the graph.
    pub marts: BTreeSet<TableId>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Some mart has not ended.
    Running,
    /// Every mart ended well.
    Done,
    /// Some mart failed or is blocked.
    Failed,
    /// A person cancelled it.
    Cancelled,
    /// The process died; resume goes on.
    Interrupted,
}

impl RunState {
    /// The word in the state database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state that [`Self::word`] stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Running, Self::Done, Self::Failed, Self::Cancelled, Self::Interrupted]
            .into_iter()
            .find(|state| state.word() == word)
    }

    /// What the marts' states mean together. Interrupted and cancelled weigh more than failed: they say that more would
    /// have been done.
    pub fn of(states: impl IntoIterator<Item = NodeState>) -> Self {
        let mut run = Self::Done;
        for state in states {
            let with_this = match state.stage() {
                Stage::Pending | Stage::Working => return Self::Running,
                Stage::EndedWell => Self::Done,
                Stage::EndedBadly => match state {
                    NodeState::Interrupted => Self::Interrupted,
                    NodeState::Cancelled => Self::Cancelled,
                    _ => Self::Failed,
                },
            };
            run = run.max_weight(with_this);
        }
        run
    }

    fn max_weight(self, other: Self) -> Self {
        let weight = |state| match state {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Cancelled => 2,
            Self::Interrupted => 3,
            Self::Running => 4,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

/// One step of one mart, as it happens.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// The run.
    pub run: RunId,
    /// The mart.
    pub mart: TableId,
    /// Where it stands now.
    pub state: NodeState,
    /// Why, one line, when it is not going well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Rows staged or published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Since its latest attempt began, in milliseconds.
    pub elapsed_ms: u64,
}

/// How one mart stands in one run.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// The mart.
    pub mart: TableId,
    /// Where it stands.
    pub state: NodeState,
    /// Why, one line, when it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The whole problem behind a bad end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<serde_json::Value>,
    /// Rows staged or published by the latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes staged or published by the latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Delta version published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Attempts since the run began or was resumed.
    pub tries: u32,
    /// When the latest attempt began, in microseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_us: Option<i64>,
    /// When the mart ended, in microseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<i64>,
    /// How long the latest attempt took, in milliseconds, once the mart has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// Whom to ask about the mart, as its file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl NodeReport {
    /// A stored mart; none if its state is a word that this software does not know.
    pub(crate) fn of(row: &NodeRow) -> Option<Self> {
        Some(Self {
            mart: row.mart.clone(),
            state: NodeState::from_word(&row.state)?,
            cause: row.cause.clone(),
            problem: row.problem.as_deref().and_then(|json| serde_json::from_str(json).ok()),
            rows: row.rows,
            bytes: row.bytes,
            version: row.version,
            tries: row.tries,
            started_us: row.started_us,
            ended_us: row.ended_us,
            elapsed_ms: row
                .started_us
                .zip(row.ended_us)
                .and_then(|(started, ended)| u64::try_from(ended.saturating_sub(started) / 1_000).ok()),
            owner: None,
        })
    }
}

/// How a run stands.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Where it stands.
    pub state: RunState,
    /// Its marts, by name.
    pub marts: Vec<NodeReport>,
}

impl RunReport {
    /// Adds the owners that the marts' files name.
    pub fn name_owners(&mut self, graph: &Graph) {
        for node in &mut self.marts {
            node.owner = graph.mart(&node.mart).and_then(|mart| mart.owner.clone());
        }
    }

    /// The marts that everything bad began with: failed by themselves, not blocked by another mart.
    pub fn roots(&self) -> impl Iterator<Item = &NodeReport> {
        self.marts.iter().filter(|mart| mart.state.stage() == Stage::EndedBadly && !blocked_by_another(mart))
    }

    /// One problem for a run that did not go well, naming what it began with.
    pub fn problem(&self) -> Option<Problem> {
        if matches!(self.state, RunState::Done | RunState::Running) {
            return None;
        }
        let roots: Vec<String> = self
            .roots()
            .map(|mart| format!("{} ({})", mart.mart, mart.cause.as_deref().unwrap_or(mart.state.word())))
            .collect();
        let problem = Problem::new("flow.run_failed", format!("run {} ended as {}", self.run, self.state.word()))
            .hint(format!("Mend it, then `naru resume {}`: what is done stays done.", self.run));
        Some(if roots.is_empty() { problem } else { problem.detail(format!("It began with {}.", roots.join(", "))) })
    }
}

fn blocked_by_another(mart: &NodeReport) -> bool {
    mart.state == NodeState::Blocked && mart.cause.as_deref().is_some_and(|cause| cause.starts_with(UPSTREAM))
}

/// How the cause of a mart begins that is blocked by another mart.
pub(crate) const UPSTREAM: &str = "upstream ";
