//! What the first page reads of `naru status --json`.
//!
//! Owns: these shapes, each a part of what the rooms print. A part that is missing is empty.

use naru_base::TableId;
use serde::Deserialize;
use serde_json::Value;

use crate::api::views::ProblemView;

/// Everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) sources: Vec<Source>,
    pub(super) marts: Vec<Mart>,
    /// Mistakes in the folder's files.
    pub(super) folder: Vec<ProblemView>,
    pub(super) lake: Lake,
    pub(super) topics: Option<Topics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    pub(super) source: String,
    pub(super) phase: String,
    pub(super) problem: Option<ProblemView>,
    pub(super) warnings: Vec<ProblemView>,
    pub(super) retained_bytes: Option<i64>,
    pub(super) safe_bytes: Option<i64>,
    pub(super) read: bool,
    pub(super) tables: Vec<Table>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Table {
    pub(super) table: TableId,
    pub(super) state: String,
    #[serde(default)]
    pub(super) lag_ms: Option<u64>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) fix: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mart {
    pub(super) mart: TableId,
    #[serde(default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) latest: Option<(i64, Node)>,
    #[serde(default)]
    pub(super) failing_checks: Vec<Check>,
}

/// How a mart stands in a run.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) state: String,
    #[serde(default)]
    pub(super) cause: Option<String>,
    #[serde(default)]
    pub(super) problem: Option<ProblemView>,
    #[serde(default)]
    pub(super) ended_us: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Check {
    pub(super) check: String,
    pub(super) outcome: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lake {
    pub(super) tables: Vec<LakeTable>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LakeTable {
    pub(super) table: TableId,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) upkeep: Upkeep,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Upkeep {
    pub(super) problem: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Topics {
    pub(super) log: Log,
    pub(super) topics: Vec<Topic>,
    pub(super) forwards: Vec<Forward>,
    /// Mistakes in the topics' files.
    pub(super) wrong: Vec<ProblemView>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub(super) problem: Option<ProblemView>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Topic {
    pub(super) topic: String,
    pub(super) declared: bool,
    pub(super) rate: f64,
    pub(super) table: Option<Sink>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sink {
    pub(super) dead_letters: u64,
    pub(super) problem: Option<ProblemView>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Forward {
    pub(super) topic: String,
    pub(super) forward: String,
    pub(super) state: String,
    pub(super) problem: Option<ProblemView>,
}

impl Told {
    /// Reads each part by itself: one that cannot be read must not hide the others.
    pub(super) fn read(mut status: Value) -> Self {
        fn part<T: Default + serde::de::DeserializeOwned>(status: &mut Value, name: &str) -> T {
            let value = status.get_mut(name).map(Value::take).unwrap_or_default();
            if value.is_null() {
                return T::default();
            }
            serde_json::from_value(value).unwrap_or_else(|error| {
                tracing::error!(%error, part = name, "a part of the status has another shape");
                T::default()
            })
        }
        Self {
            sources: part(&mut status, "sources"),
            marts: part(&mut status, "marts"),
            folder: [part(&mut status, "folder"), part::<Vec<ProblemView>>(&mut status, "access")].concat(),
            lake: part(&mut status, "lake"),
            topics: part(&mut status, "topics"),
        }
    }
}
