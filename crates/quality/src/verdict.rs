//! What a check found, as a row.
//!
//! Owns: [`Verdict`], its words, and what a set of verdicts means for publishing. Never runs a check.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a failing check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The result is not published.
    Block,
    /// The result is published, and the failure is shown.
    Warn,
}

impl Severity {
    /// The word in the state database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The query returned no rows.
    Pass,
    /// It returned rows, and the check only warns.
    Warn,
    /// It returned rows, and the result must not be published.
    Block,
    /// It could not be run. For a blocking check that blocks: unknown is not good.
    Error,
}

impl Outcome {
    /// The word in the state database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Block => "block",
            Self::Error => "error",
        }
    }
}

/// Rows that a check's query returned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailingRows {
    /// All of them.
    pub count: u64,
    /// The first few, in no particular order, columns by name.
    pub sample: Vec<Map<String, Value>>,
}

/// One check's result for one attempt at one mart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The check's name, unique within its mart: `unique(order_id)`, `checks/paid_orders.sql`.
    pub check: String,
    /// What a failure does.
    pub severity: Severity,
    /// How it ended.
    pub outcome: Outcome,
    /// Rows that the query returned.
    pub failing: u64,
    /// One sentence for people: what was found or why the check did not run. Holds no row values.
    pub detail: Option<String>,
    /// The query, runnable as it stands once the mart is published.
    pub sql: String,
    /// A few failing rows. Only shown to people who may read the mart, never logged.
    pub sample: Vec<Map<String, Value>>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Verdict {
    /// Whether this verdict keeps its mart from being published.
    pub fn blocks(&self) -> bool {
        match (self.severity, self.outcome) {
            (Severity::Block, Outcome::Block | Outcome::Error) => true,
            (Severity::Block, Outcome::Pass | Outcome::Warn) | (Severity::Warn, _) => false,
        }
    }
}

impl From<naru_project::Severity> for Severity {
    fn from(severity: naru_project::Severity) -> Self {
        match severity {
            naru_project::Severity::Block => Self::Block,
            naru_project::Severity::Warn => Self::Warn,
        }
    }
}
