//! Storing every step of a run and telling whoever watches.
//!
//! Owns: [`Journal`], the one way in which a mart changes its state. A step is on disk before anyone hears of it.
//! Never decides a step; it refuses one that the state machine does not know.

use std::time::Duration;

use naru_base::{Problem, RunId, TableId, time};
use naru_store::{
    Store,
    runs::{self, NodeChange, Recorded, Transition},
};
use tokio::sync::broadcast;

use crate::{
    error::FlowError,
    executor::Attempt,
    run::Progress,
    state::{Event, NodeState, Stage, step},
};

/// Steps that a slow watcher may lag behind before it misses some; it can always read the stored state.
pub(crate) const WATCHER_LAG_MAX: usize = 1024;

/// Writes steps for one run.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    pub(crate) store: Store,
    pub(crate) run: RunId,
    pub(crate) watchers: broadcast::Sender<Progress>,
}

/// One step to store.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) event: Event,
    pub(crate) cause: Option<String>,
    pub(crate) problem: Option<Problem>,
    pub(crate) change: NodeChange,
}

impl Step {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, cause: None, problem: None, change: NodeChange::None }
    }

    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn with_problem(mut self, problem: Problem) -> Self {
        self.cause.get_or_insert_with(|| problem.summary.clone());
        self.problem = Some(problem);
        self
    }

    pub(crate) fn change(mut self, change: NodeChange) -> Self {
        self.change = change;
        self
    }
}

/// Where one mart stands, as its owner (a worker, or the run) keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) mart: TableId,
    pub(crate) state: NodeState,
    pub(crate) rows: Option<u64>,
    pub(crate) began: Option<std::time::Instant>,
}

impl Standing {
    pub(crate) fn new(mart: TableId, state: NodeState) -> Self {
        Self { mart, state, rows: None, began: None }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.map(|began| began.elapsed()).unwrap_or_default()
    }
}

impl Journal {
    /// Stores steps of one mart in one transaction, moves its standing, and tells the watchers. Returns the mart's
    /// latest attempt.
    pub(crate) async fn take(&self, standing: &mut Standing, steps: Vec<Step>) -> Result<Option<Attempt>, FlowError> {
        let mut state = standing.state;
        let mut transitions = Vec::with_capacity(steps.len());
        for taken in steps {
            let (transition, next) = self.transition(&standing.mart, state, taken)?;
            transitions.push(transition);
            state = next;
        }
        let attempt = self.store_steps(&standing.mart, transitions.clone()).await?;
        standing.state = state;
        for transition in &transitions {
            match &transition.change {
                NodeChange::NewAttempt => {
                    standing.began = Some(std::time::Instant::now());
                    standing.rows = None;
                }
                NodeChange::Staged { rows, .. } => standing.rows = *rows,
                NodeChange::None
                | NodeChange::PublishedTable { .. }
                | NodeChange::PublishedView { .. }
                | NodeChange::Ended
                | NodeChange::Again { .. } => {}
            }
        }
        self.tell(standing, transitions.last().and_then(|last| last.cause.clone()));
        Ok(attempt.map(Attempt))
    }

    fn transition(&self, mart: &TableId, from: NodeState, taken: Step) -> Result<(Transition, NodeState), FlowError> {
        let Some(to) = step(from, taken.event) else { return Err(self.stale(mart)) };
        let ends = to.stage() == Stage::EndedBadly || to.stage() == Stage::EndedWell;
        let change = match taken.change {
            NodeChange::None if ends => NodeChange::Ended,
            change => change,
        };
        let transition = Transition {
            run: self.run,
            mart: mart.clone(),
            at_us: time::now_us(),
            event: taken.event.word(),
            from: from.word(),
            to: to.word(),
            cause: taken.cause,
            problem: taken.problem.as_ref().and_then(|problem| serde_json::to_string(problem).ok()),
            change,
        };
        Ok((transition, to))
    }

    async fn store_steps(&self, mart: &TableId, transitions: Vec<Transition>) -> Result<Option<i64>, FlowError> {
        match self.store.write(move |tx| runs::record(tx, &transitions)).await? {
            Recorded::Stored(attempt) => Ok(attempt),
            Recorded::Stale => Err(self.stale(mart)),
        }
    }

    fn tell(&self, standing: &Standing, cause: Option<String>) {
        let progress = Progress {
            run: self.run,
            mart: standing.mart.clone(),
            state: standing.state,
            cause,
            rows: standing.rows,
            elapsed_ms: u64::try_from(standing.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        tracing::debug!(run = %self.run, mart = %progress.mart, state = %progress.state, "mart moved");
        // Nobody watching is fine.
        drop(self.watchers.send(progress));
    }

    fn stale(&self, mart: &TableId) -> FlowError {
        FlowError::Stale { mart: mart.clone(), run: self.run }
    }
}
