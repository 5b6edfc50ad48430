//! Publishing an earlier result of a mart again.
//!
//! Owns: which result is meant, and the run that publishes it. A rollback is a run like any other: its query reads the
//! mart itself at the earlier version, so staging, the one commit and settling after a crash are those of every run.
//! Never removes a version. Read next: [`crate::flow`].

use std::{collections::BTreeMap, sync::Arc};

use naru_base::{Problem, RunId, TableId, Version, time};
use naru_store::{
    runs::{self, NewNode, NewRun},
    runs_read::{self, NodeRow, RunRow},
};
use serde::Serialize;

use crate::{
    cut::World,
    error::FlowError,
    executor::Kind,
    flow::{Flow, Plan, RunHandle},
    graph::Graph,
    run::Reason,
    state::NodeState,
};

/// What to go back to, and for whom.
#[derive(Debug, Clone, Default)]
pub struct Rollback {
    /// The run whose result is wanted; none for the one before the result that is live.
    pub to: Option<RunId>,
    /// The person who asks.
    pub by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
}

/// That what is live of a mart was published by a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The run that did it.
    pub run: RunId,
    /// The run whose result is live again.
    pub to: RunId,
    /// The person who asked.
    pub by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

impl RolledBack {
    /// None for a run that is no rollback.
    pub(crate) fn of(row: &RunRow) -> Option<Self> {
        let to = row.rolled_to?;
        Some(Self { run: row.run, to, by: row.asked_by.clone(), why: row.why.clone(), at_us: row.started_us })
    }
}

impl Flow {
    /// The run whose result [`Flow::rollback`] would publish again, and its rows; nothing is changed.
    ///
    /// # Errors
    /// As [`Flow::rollback`], but for [`FlowError::Busy`].
    pub async fn would_roll_back(
        &self,
        graph: &Graph,
        mart: &TableId,
        to: Option<RunId>,
    ) -> Result<(RunId, Option<u64>), FlowError> {
        let id = mart.clone();
        let published = self.inner.store.read(move |tx| runs_read::publications(tx, &id)).await?;
        let (target, _) = target(mart, &published, to).map_err(FlowError::Refused)?;
        if graph.of_earlier_version(mart).is_none() {
            return Err(FlowError::Refused(no_file(mart)));
        }
        Ok((target.run, target.rows))
    }

    /// Starts a run that publishes an earlier result of one mart as a new commit. The next run of the mart, also one by
    /// schedule, publishes anew.
    ///
    /// # Errors
    /// [`FlowError::Busy`] while the mart is built; [`FlowError::Refused`] for a view, for a run that did not publish
    /// the mart, and when there is nothing earlier.
    pub async fn rollback(&self, graph: &Graph, mart: &TableId, asked: Rollback) -> Result<RunHandle, FlowError> {
        let id = mart.clone();
        let published = self.inner.store.read(move |tx| runs_read::publications(tx, &id)).await?;
        let (target, version) = target(mart, &published, asked.to).map_err(FlowError::Refused)?;
        let alone = Arc::new(graph.of_earlier_version(mart).ok_or_else(|| FlowError::Refused(no_file(mart)))?);
        let claim = self.claim([mart.clone()].into(), None)?;
        let new = NewRun {
            reason: Reason::Rollback.word(),
            requested: format!("{mart} to run {}", target.run),
            asked_by: asked.by,
            why: asked.why,
            rolled_to: Some(target.run),
            epoch: self.inner.epoch,
            started_us: time::now_us(),
            first_state: NodeState::Waiting.word(),
            nodes: vec![NewNode {
                mart: mart.clone(),
                kind: Kind::Table.word().to_owned(),
                fingerprint: target.fingerprint.clone(),
            }],
        };
        let run = self.inner.store.write(move |tx| runs::begin(tx, &new)).await?;
        let cancel = claim.belongs_to(run);
        let mut world = World::default();
        world.cut.tables.insert(mart.clone(), version);
        let states = BTreeMap::from([(mart.clone(), NodeState::Waiting)]);
        Ok(self.spawn(run, Plan { graph: alone, states, world }, claim, cancel))
    }
}

/// The result to go back to and its version. `published` has every run that published the mart, the newest publication
/// first.
fn target<'a>(
    mart: &TableId,
    published: &'a [(RunRow, NodeRow)],
    to: Option<RunId>,
) -> Result<(&'a NodeRow, Version), Problem> {
    // What is live may itself be a rollback; then the one before the run that it went back to is meant.
    let live = published.first().map(|(row, _)| row.rolled_to.unwrap_or(row.run));
    let found = if let Some(run) = to {
        published.iter().find(|(row, _)| row.run == run)
    } else {
        let mut earlier = published.iter().skip_while(|(row, _)| Some(row.run) != live).skip(1);
        earlier.find(|(row, _)| row.rolled_to.is_none())
    };
    let Some((_, node)) = found else {
        let problem = match to {
            Some(run) => Problem::new("flow.not_published", format!("run {run} did not publish mart {mart}")),
            None => Problem::new("flow.nothing_earlier", format!("mart {mart} has no earlier result")),
        };
        return Err(problem.hint(format!("`naru runs {mart}` lists its runs.")));
    };
    match node.version {
        Some(version) => Ok((node, Version(version))),
        None => Err(Problem::new("flow.view_has_no_versions", format!("run {} published {mart} as a view", node.run))
            .detail("A view keeps no rows, so there is nothing to publish again.")
            .hint("Put the earlier query back into its file and run it.")),
    }
}

fn no_file(mart: &TableId) -> Problem {
    Problem::new("flow.no_such_mart", format!("no table mart is named {mart}"))
        .detail("Only a mart whose file is there and makes a table can be rolled back.")
        .hint("`naru graph` lists all marts.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(run: i64, version: Option<u64>, rolled_to: Option<i64>) -> (RunRow, NodeRow) {
        let row = RunRow {
            run: RunId(run),
            reason: "manual".into(),
            requested: String::new(),
            asked_by: None,
            why: None,
            rolled_to: rolled_to.map(RunId),
            state: "done".into(),
            epoch: 1,
            cut: None,
            started_us: 0,
            ended_us: None,
        };
        let node = NodeRow {
            run: RunId(run),
            mart: TableId::new("a", "b"),
            kind: "table".into(),
            fingerprint: String::new(),
            state: "done".into(),
            cause: None,
            problem: None,
            attempt: None,
            tries: 1,
            rows: None,
            bytes: None,
            version,
            started_us: None,
            ended_us: None,
        };
        (row, node)
    }

    #[test]
    fn rolling_back_twice_goes_one_result_further_each_time() {
        let mart = TableId::new("a", "b");
        let mut all = vec![published(3, Some(30), None), published(2, Some(20), None), published(1, Some(10), None)];
        let to =
            |all: &[(RunRow, NodeRow)], run| target(&mart, all, run).map(|(node, version)| (node.run.0, version.0));
        assert_eq!(to(&all, None), Ok((2, 20)));
        all.insert(0, published(4, Some(40), Some(2)));
        assert_eq!(to(&all, None), Ok((1, 10)));
        all.insert(0, published(5, Some(50), Some(1)));
        assert_eq!(to(&all, None).map_err(|problem| problem.code), Err("flow.nothing_earlier".into()));
        assert_eq!(to(&all, Some(RunId(3))), Ok((3, 30)));
        // Run 1 was gone on with after run 3 had published.
        let resumed = vec![published(1, Some(40), None), published(3, Some(30), None), published(2, Some(20), None)];
        assert_eq!(to(&resumed, None), Ok((3, 30)));
        assert_eq!(to(&all, Some(RunId(9))).map_err(|problem| problem.code), Err("flow.not_published".into()));
        let views = [published(2, None, None), published(1, None, None)];
        assert_eq!(to(&views, None).map_err(|problem| problem.code), Err("flow.view_has_no_versions".into()));
    }
}
