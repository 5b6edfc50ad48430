//! Cleaning up after a process that died in the middle of runs.
//!
//! Owns: deciding, from the Delta log, what became of every attempt that was in flight. Never runs a mart again; that is
//! for resume or the next schedule.

use naru_base::{Problem, RunId, TableId, time};
use naru_store::{
    runs::{self, NodeChange},
    runs_read::{self, NodeRow},
};
use tracing::info;

use crate::{
    error::FlowError,
    executor::{Attempt, Kind},
    flow::Flow,
    journal::{Standing, Step},
    run::RunState,
    state::{Event, NodeState, Stage},
};

/// Runs are remembered this long; the latest run of each mart, and the one that is live, for ever.
const HISTORY_KEPT_US: i64 = 90 * 86_400 * 1_000_000;

/// What settling found.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// Runs that had no end and now have one.
    pub runs: Vec<RunId>,
    /// Marts whose commit was in the log although nobody had noted it.
    pub done: Vec<(RunId, TableId)>,
    /// Marts that did not get to their commit.
    pub interrupted: Vec<(RunId, TableId)>,
    /// Why some marts could not be settled. Their runs stay open; the next call tries again.
    pub problems: Vec<Problem>,
}

impl Flow {
    /// Gives every run that a dead process left an end: an attempt whose transaction is in the log is done, any other
    /// loses what it staged and is interrupted. Runs of this process that go on are left alone. Calling it again is
    /// harmless.
    pub async fn settle(&self) -> Result<Settled, FlowError> {
        let mut settled = Settled::default();
        let rows = self.inner.store.read(|tx| runs_read::running(tx)).await?;
        for row in rows {
            let going_on = self.inner.active.lock().runs.contains_key(&row.run);
            if row.epoch == self.inner.epoch && going_on {
                continue;
            }
            self.settle_run(row.run, &mut settled).await?;
        }
        self.inner.store.write(|tx| runs::forget(tx, time::now_us() - HISTORY_KEPT_US)).await?;
        Ok(settled)
    }

    async fn settle_run(&self, run: RunId, settled: &mut Settled) -> Result<(), FlowError> {
        let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
        let mut states = Vec::with_capacity(nodes.len());
        for node in nodes {
            let state = NodeState::from_word(&node.state).ok_or(FlowError::Unreadable { run, what: "state" })?;
            states.push(if state.ended() { state } else { self.settle_node(&node, state, settled).await? });
        }
        let state = RunState::of(states);
        if state == RunState::Running {
            return Ok(());
        }
        info!(%run, state = state.word(), "run of a dead process settled");
        self.inner.store.write(move |tx| runs::end(tx, run, state.word(), time::now_us())).await?;
        settled.runs.push(run);
        Ok(())
    }

    async fn settle_node(
        &self,
        node: &NodeRow,
        state: NodeState,
        settled: &mut Settled,
    ) -> Result<NodeState, FlowError> {
        let mut standing = Standing::new(node.mart.clone(), state);
        standing.rows = node.rows;
        // A view is published by the very step that says so, so an unfinished one is not.
        let attempt = node.attempt.map(Attempt).filter(|_| state.stage() == Stage::Working);
        let committed = match attempt.filter(|_| node.kind == Kind::Table.word()) {
            Some(attempt) => self.inner.executor.committed(&node.mart, attempt).await,
            None => Ok(None),
        };
        let step = match committed {
            Ok(Some(version)) => {
                settled.done.push((node.run, node.mart.clone()));
                let change = NodeChange::PublishedTable { version: version.0 };
                Step::new(Event::Published).because("found in the log after a restart").change(change)
            }
            Ok(None) => {
                if let Some(attempt) = attempt {
                    self.discard(&node.mart, attempt).await;
                }
                settled.interrupted.push((node.run, node.mart.clone()));
                Step::new(Event::ProcessDied).because("the process ended before its commit")
            }
            Err(problem) => {
                settled.problems.push(problem);
                return Ok(state);
            }
        };
        self.journal(node.run).take(&mut standing, vec![step]).await?;
        Ok(standing.state)
    }

    async fn discard(&self, mart: &TableId, attempt: Attempt) {
        if let Err(problem) = self.inner.executor.discard(mart, attempt).await {
            tracing::warn!(%mart, code = %problem.code, "staged files stay until vacuum: {}", problem.summary);
        }
    }
}
