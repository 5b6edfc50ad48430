//! How marts and runs stand, for `naru status`, the console and the API.
//!
//! Owns: questions to the stored runs, answered as values with typed states. Works on a store opened for reading, beside
//! a running `naru up`. Never changes anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use naru_base::{RunId, TableId};
use naru_store::{
    Store,
    runs_read::{self, MartRow, NodeRow, RunRow},
};
use serde::Serialize;

use crate::{
    error::FlowError,
    graph::Graph,
    pause::{self, Pause},
    rollback::RolledBack,
    run::{NodeReport, RunReport, RunState},
};

/// One line of `naru status`.
#[derive(Debug, Clone, Serialize)]
pub struct MartStatus {
    /// The mart.
    pub mart: TableId,
    /// `table` or `view`; none if its file is gone.
    pub kind: Option<&'static str>,
    /// The latest run that it took part in, and how it stands there; none if it never ran.
    pub latest: Option<(RunId, NodeReport)>,
    /// The latest run that published it; what SQL reads.
    pub published: Option<(RunId, NodeReport)>,
    /// Checks of the latest attempt that did not pass.
    pub failing_checks: Vec<FailingCheck>,
    /// When its schedule starts it next; none while that is paused.
    pub next: Option<Timestamp>,
    /// Set while its schedule is paused.
    pub paused: Option<Pause>,
    /// Whether its file was edited since it was published.
    pub edited: bool,
    /// Whom to ask about it, as its file says.
    pub owner: Option<String>,
    /// Set while what is live was published by a rollback.
    pub rolled_back: Option<RolledBack>,
}

/// One line of `naru runs`.
#[derive(Debug, Clone, Serialize)]
pub struct RunLine {
    /// The run.
    pub run: RunId,
    /// `manual`, `schedule`, `catch_up` or `rollback`.
    pub reason: String,
    /// What was asked for, in the asker's words.
    pub requested: String,
    /// The person who asked; none for schedules.
    pub asked_by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// Where it stands: `running`, `done`, `failed`, `cancelled` or `interrupted`.
    pub state: String,
    /// When it began, in microseconds since 1970 UTC.
    pub started_us: i64,
    /// When it ended, in microseconds since 1970 UTC.
    pub ended_us: Option<i64>,
    /// How many of its marts stand in each state.
    pub marts: BTreeMap<String, usize>,
}

/// Everything about one run.
#[derive(Debug, Clone, Serialize)]
pub struct RunDetail {
    /// Its line.
    #[serde(flatten)]
    pub line: RunLine,
    /// What it reads: pinned versions and the positions of the sources.
    pub cut: Option<serde_json::Value>,
    /// Its marts, by name.
    pub nodes: Vec<NodeReport>,
    /// What checks found that did not pass, by mart.
    pub failing_checks: BTreeMap<String, Vec<FailingCheck>>,
}

/// A check that did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailingCheck {
    /// Its name.
    pub check: String,
    /// `warn`, `block` or `error`.
    pub outcome: String,
    /// Rows that its query returned.
    pub failing: u64,
}

/// Every mart of the graph and every other that ever ran, by name.
pub async fn status(store: &Store, graph: &Graph, now: Timestamp) -> Result<Vec<MartStatus>, FlowError> {
    let (rows, paused) = store.read(|tx| Ok((runs_read::marts(tx)?, pause::stored(tx)?))).await?;
    let mut rows: BTreeMap<TableId, MartRow> = rows.into_iter().map(|row| (row.latest.mart.clone(), row)).collect();
    let mut lines: Vec<MartStatus> = graph
        .marts()
        .iter()
        .map(|mart| {
            let row = rows.remove(&mart.id);
            let published = row.as_ref().and_then(|row| row.published.as_ref());
            let edited = published.is_some_and(|published| published.fingerprint != mart.fingerprint);
            let paused = paused.get(&mart.id.to_string()).filter(|_| mart.schedule.is_some()).cloned();
            let next = mart.schedule.as_ref().filter(|_| paused.is_none());
            let next = next.and_then(|schedule| schedule.next_after(now));
            let owner = mart.owner.clone();
            MartStatus { kind: Some(mart.kind.word()), next, paused, edited, owner, ..line(mart.id.clone(), row) }
        })
        .collect();
    lines.extend(rows.into_iter().map(|(id, row)| line(id, Some(row))));
    lines.sort_by(|a, b| a.mart.cmp(&b.mart));
    Ok(lines)
}

/// How a run stands.
///
/// # Errors
/// [`FlowError::NoSuchRun`].
pub async fn report(store: &Store, run: RunId) -> Result<RunReport, FlowError> {
    let (row, nodes) = store.read(move |tx| Ok((runs_read::run(tx, run)?, runs_read::nodes(tx, run)?))).await?;
    let row = row.ok_or(FlowError::NoSuchRun { run })?;
    let state = RunState::from_word(&row.state).ok_or(FlowError::Unreadable { run, what: "state" })?;
    let marts = nodes.iter().map(|node| NodeReport::of(node).ok_or(FlowError::Unreadable { run, what: "state" }));
    Ok(RunReport { run, state, marts: marts.collect::<Result<_, _>>()? })
}

/// The latest runs, newest first; those of one mart if it is named.
pub async fn runs(store: &Store, mart: Option<TableId>, most: u32) -> Result<Vec<RunLine>, FlowError> {
    let found = store.read(move |tx| {
        let rows = match &mart {
            Some(mart) => runs_read::latest_of(tx, mart, most)?,
            None => runs_read::latest(tx, most)?,
        };
        rows.into_iter().map(|row| Ok((runs_read::nodes(tx, row.run)?, row))).collect::<Result<Vec<_>, _>>()
    });
    Ok(found.await?.into_iter().map(|(nodes, row)| run_line(row, &nodes)).collect())
}

/// One run with its marts, its cut and the checks that did not pass.
///
/// # Errors
/// [`FlowError::NoSuchRun`].
pub async fn detail(store: &Store, run: RunId) -> Result<RunDetail, FlowError> {
    let (row, nodes, verdicts) = store
        .read(move |tx| Ok((runs_read::run(tx, run)?, runs_read::nodes(tx, run)?, runs_read::verdicts(tx, run)?)))
        .await?;
    let row = row.ok_or(FlowError::NoSuchRun { run })?;
    let cut = row.cut.as_deref().and_then(|json| serde_json::from_str(json).ok());
    let mut failing_checks: BTreeMap<String, Vec<FailingCheck>> = BTreeMap::new();
    for verdict in verdicts.into_iter().filter(|verdict| verdict.outcome != "pass") {
        let latest = nodes.iter().any(|node| node.mart == verdict.mart && node.attempt == Some(verdict.attempt));
        if latest {
            let check = FailingCheck { check: verdict.check, outcome: verdict.outcome, failing: verdict.failing };
            failing_checks.entry(verdict.mart.to_string()).or_default().push(check);
        }
    }
    let line = run_line(row, &nodes);
    Ok(RunDetail { line, cut, nodes: nodes.iter().filter_map(NodeReport::of).collect(), failing_checks })
}

fn run_line(row: RunRow, nodes: &[NodeRow]) -> RunLine {
    let mut marts = BTreeMap::new();
    for node in nodes {
        *marts.entry(node.state.clone()).or_default() += 1;
    }
    RunLine {
        run: row.run,
        reason: row.reason,
        requested: row.requested,
        asked_by: row.asked_by,
        why: row.why,
        state: row.state,
        started_us: row.started_us,
        ended_us: row.ended_us,
        marts,
    }
}

fn line(mart: TableId, row: Option<MartRow>) -> MartStatus {
    let rolled_back = row.as_ref().and_then(|row| row.rollback.as_ref()).and_then(RolledBack::of);
    let (latest, published, failing) = match row {
        Some(row) => (Some(row.latest), row.published, row.failing),
        None => (None, None, Vec::new()),
    };
    let reported = |node: naru_store::runs_read::NodeRow| Some((node.run, NodeReport::of(&node)?));
    MartStatus {
        mart,
        kind: None,
        latest: latest.and_then(reported),
        published: published.and_then(reported),
        failing_checks: failing
            .into_iter()
            .map(|(check, outcome, failing)| FailingCheck { check, outcome, failing })
            .collect(),
        next: None,
        paused: None,
        edited: false,
        owner: None,
        rolled_back,
    }
}
