//! How marts and runs stand, for `naru status`, the console and the API.
//!
//! Owns: questions to the stored runs, answered as values with typed states. Works on a store opened for reading, beside
//! a running `naru up`. Never changes anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use naru_base::{RunId, TableId};
use naru_store::{
    Store,
    runs_read::{self, MartRow},
};
use serde::Serialize;

use crate::{
    error::FlowError,
    graph::Graph,
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
    /// When its schedule starts it next.
    pub next: Option<Timestamp>,
    /// Whether its file was edited since it was published.
    pub edited: bool,
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
    let rows = store.read(|tx| runs_read::marts(tx)).await?;
    let mut rows: BTreeMap<TableId, MartRow> = rows.into_iter().map(|row| (row.latest.mart.clone(), row)).collect();
    let mut lines: Vec<MartStatus> = graph
        .marts()
        .iter()
        .map(|mart| {
            let row = rows.remove(&mart.id);
            let published = row.as_ref().and_then(|row| row.published.as_ref());
            let edited = published.is_some_and(|published| published.fingerprint != mart.fingerprint);
            let next = mart.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
            MartStatus { kind: Some(mart.kind.word()), next, edited, ..line(mart.id.clone(), row) }
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

fn line(mart: TableId, row: Option<MartRow>) -> MartStatus {
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
        edited: false,
    }
}
