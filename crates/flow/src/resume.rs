//! Going on with a run that did not go well.
//!
//! Owns: which run is resumed, which marts of it run again, and what a person may decide about a mart by hand.
//! Never takes a new cut for what a run has read before. Read next: [`crate::flow`] for starting runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use naru_base::{Problem, RunId, TableId, Version, time};
use naru_store::{
    runs::{self, NodeChange},
    runs_read::{self, NodeRow, RunRow},
};

use crate::{
    cut::{Cut, Made, PinnedView, World},
    error::FlowError,
    flow::{Flow, Plan, RunHandle},
    graph::Graph,
    journal::{Standing, Step},
    run::{NodeReport, Reason, RunState},
    state::{Event, NodeState, Stage, step},
};

/// Runs that resume looks through for one that did not go well.
const RESUME_LOOK_BACK_RUNS: u32 = 50;

/// Deaths of the process in one mart after which a start no longer goes on with its run by itself: the mart may be
/// what kills the process.
const DEATHS_MAX: usize = 2;

/// Age of a run with which a start still goes on by itself: as long as every version of a mirrored table is kept.
const AGE_MAX_US: i64 = 24 * 3_600 * 1_000_000;

impl Flow {
    /// Goes on with a run (the latest that did not go well, unless one is named): the marts that did not get done or
    /// were edited since, and within the run everything below them. What was read stays at the run's cut.
    ///
    /// # Errors
    /// [`FlowError::NothingToResume`], [`FlowError::GoingOn`], [`FlowError::NoSuchRun`], [`FlowError::Busy`], and
    /// [`FlowError::Older`], where a newer run has published one of these marts.
    pub async fn resume(&self, graph: Arc<Graph>, run: Option<RunId>) -> Result<RunHandle, FlowError> {
        self.go_on(graph, run, false).await
    }

    /// As [`Flow::resume`], also where that replaces newer results with older ones.
    pub async fn resume_over_newer(&self, graph: Arc<Graph>, run: Option<RunId>) -> Result<RunHandle, FlowError> {
        self.go_on(graph, run, true).await
    }

    /// The run that [`Flow::resume`] would go on with and the marts that it would build, in no order; nothing is changed.
    ///
    /// # Errors
    /// As [`Flow::resume`], but for [`FlowError::Busy`].
    pub async fn would_resume(
        &self,
        graph: &Graph,
        run: Option<RunId>,
        over_newer: bool,
    ) -> Result<(RunId, BTreeSet<TableId>), FlowError> {
        let run = self.run_to_resume(graph, run).await?.run;
        let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
        let again = to_run_again(graph, &nodes);
        if again.is_empty() {
            return Err(FlowError::NothingToResume);
        }
        if !over_newer {
            self.nothing_newer(run, &again).await?;
        }
        Ok((run, again))
    }

    async fn go_on(&self, graph: Arc<Graph>, run: Option<RunId>, over_newer: bool) -> Result<RunHandle, FlowError> {
        let row = self.run_to_resume(&graph, run).await?;
        let (run, again) = self.would_resume(&graph, Some(row.run), over_newer).await?;
        let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
        let claim = self.claim(nodes.iter().map(|node| node.mart.clone()).collect(), Some(run))?;
        let cancel = claim.belongs_to(run);
        let epoch = self.inner.epoch;
        self.inner.store.write(move |tx| runs::reopen(tx, run, epoch)).await?;
        let states = self.set_waiting(run, &graph, &nodes, &again).await?;
        let world = self.world_of(&row, &nodes, &states).await?;
        Ok(self.spawn(run, Plan { graph, states, world }, claim, cancel))
    }

    /// Goes on with scheduled runs that a dead process has interrupted, except where a later run has one of their marts,
    /// the run is more than a day old, or one of its marts has seen the process die twice.
    pub async fn resume_interrupted(&self, graph: Arc<Graph>) -> Result<Vec<RunHandle>, FlowError> {
        let rows = self.inner.store.read(|tx| runs_read::latest(tx, RESUME_LOOK_BACK_RUNS)).await?;
        let mut later = BTreeSet::new();
        let mut handles = Vec::new();
        for row in rows {
            let run = row.run;
            let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
            let superseded = nodes.iter().any(|node| later.contains(&node.mart));
            later.extend(nodes.into_iter().map(|node| node.mart));
            if superseded || !self.may_go_on_alone(&row).await? {
                continue;
            }
            match self.resume(graph.clone(), Some(run)).await {
                Ok(handle) => handles.push(handle),
                Err(FlowError::NothingToResume | FlowError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(handles)
    }

    /// Makes sure that no newer run has published one of the marts that run again.
    async fn nothing_newer(&self, run: RunId, again: &BTreeSet<TableId>) -> Result<(), FlowError> {
        let marts = again.clone();
        let published = self.inner.store.read(move |tx| {
            marts.into_iter().map(|mart| Ok((runs_read::publications(tx, &mart)?, mart))).collect::<Result<Vec<_>, _>>()
        });
        // A rollback has a newer number and older rows.
        let newer = |row: &RunRow| row.run > run && row.rolled_to.is_none();
        let mut over = published.await?.into_iter().filter_map(|(published, mart)| {
            let (row, _) = published.into_iter().find(|(row, _)| newer(row))?;
            Some((mart, row.run))
        });
        let Some((mart, newer)) = over.next() else { return Ok(()) };
        let left = again.iter().map(TableId::to_string).collect::<Vec<_>>().join(" ");
        Err(FlowError::Older { run, mart, newer, more: over.count(), left })
    }

    async fn may_go_on_alone(&self, row: &RunRow) -> Result<bool, FlowError> {
        let young = time::now_us().saturating_sub(row.started_us) < AGE_MAX_US;
        let scheduled = row.reason == Reason::Schedule.word() || row.reason == Reason::CatchUp.word();
        if row.state != RunState::Interrupted.word() || !scheduled || !young {
            return Ok(false);
        }
        let run = row.run;
        let events = self.inner.store.read(move |tx| runs_read::events(tx, run)).await?;
        let mut deaths: BTreeMap<TableId, usize> = BTreeMap::new();
        // A mart that only waited cannot have been what killed the process.
        let working = |word: &str| NodeState::from_word(word).is_some_and(|state| state.stage() == Stage::Working);
        for event in events.into_iter().filter(|event| event.event == Event::ProcessDied.word() && working(&event.from))
        {
            *deaths.entry(event.mart).or_default() += 1;
        }
        Ok(deaths.values().all(|count| *count < DEATHS_MAX))
    }

    /// Takes a mart out of an ended run, or takes it as done, so that resuming goes on below it with its earlier rows.
    pub async fn set_by_hand(&self, run: RunId, mart: &TableId, hand: ByHand) -> Result<NodeReport, FlowError> {
        if self.inner.active.lock().runs.contains_key(&run) {
            return Err(FlowError::GoingOn { run });
        }
        let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
        let missing = || FlowError::NotInRun { mart: mart.clone(), run };
        let node = nodes.iter().find(|node| node.mart == *mart).ok_or_else(missing)?;
        let state = NodeState::from_word(&node.state).ok_or(FlowError::Unreadable { run, what: "state" })?;
        let event = match hand {
            ByHand::Skip => Event::SkipAsked,
            ByHand::MarkDone => Event::MarkAsked,
        };
        if step(state, event).is_none() {
            let problem = Problem::new("flow.not_by_hand", format!("mart {mart} is {state} in run {run}"));
            return Err(FlowError::Refused(problem.detail("Only a mart that did not get done can be set by hand.")));
        }
        let mut standing = Standing::new(mart.clone(), state);
        self.journal(run).take(&mut standing, vec![Step::new(event).because("by hand")]).await?;
        let report = self.report(run).await?;
        report.marts.into_iter().find(|node| node.mart == *mart).ok_or_else(missing)
    }

    async fn run_to_resume(&self, graph: &Graph, run: Option<RunId>) -> Result<RunRow, FlowError> {
        let row = match run {
            Some(run) => {
                let row = self.inner.store.read(move |tx| runs_read::run(tx, run)).await?;
                row.ok_or(FlowError::NoSuchRun { run })?
            }
            None => self.latest_to_resume(graph).await?,
        };
        if row.reason == Reason::Rollback.word() {
            let problem = Problem::new("flow.rollback_not_resumed", format!("run {} is a rollback", row.run));
            return Err(FlowError::Refused(problem.hint("Ask for it again with `naru rollback`.")));
        }
        let going_on = row.state == RunState::Running.word();
        if going_on && self.inner.active.lock().runs.contains_key(&row.run) {
            return Err(FlowError::GoingOn { run: row.run });
        }
        if going_on {
            self.settle().await?;
        }
        Ok(row)
    }

    /// The newest run with marts that did not get done and that no later run has published; the very latest run also
    /// counts if a mart of it was edited since.
    async fn latest_to_resume(&self, graph: &Graph) -> Result<RunRow, FlowError> {
        let rows = self.inner.store.read(|tx| runs_read::latest(tx, RESUME_LOOK_BACK_RUNS)).await?;
        let mut done_later = BTreeSet::new();
        // A rollback is asked for again, never gone on with, and makes nothing done.
        let rows = rows.into_iter().filter(|row| row.reason != Reason::Rollback.word());
        for (age, row) in rows.enumerate() {
            let run = row.run;
            let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
            let done = |node: &&NodeRow| node.state == NodeState::Done.word();
            let left = match age {
                0 => !to_run_again(graph, &nodes).is_empty(),
                _ => nodes
                    .iter()
                    .any(|node| lost(node) && !done_later.contains(&node.mart) && graph.mart(&node.mart).is_some()),
            };
            if left || row.state == RunState::Running.word() {
                return Ok(row);
            }
            done_later.extend(nodes.iter().filter(done).map(|node| node.mart.clone()));
        }
        Err(FlowError::NothingToResume)
    }

    /// Sends marts back to waiting. Those whose file is gone leave the run. Returns where every mart now stands.
    async fn set_waiting(
        &self,
        run: RunId,
        graph: &Graph,
        nodes: &[NodeRow],
        again: &BTreeSet<TableId>,
    ) -> Result<BTreeMap<TableId, NodeState>, FlowError> {
        let journal = self.journal(run);
        let mut states = BTreeMap::new();
        for node in nodes {
            let state = NodeState::from_word(&node.state).ok_or(FlowError::Unreadable { run, what: "state" })?;
            let mut standing = Standing::new(node.mart.clone(), state);
            match graph.mart(&node.mart) {
                Some(mart) if again.contains(&node.mart) => {
                    let kind = mart.kind.word().to_owned();
                    let change = NodeChange::Again { kind, fingerprint: mart.fingerprint.clone() };
                    journal.take(&mut standing, vec![Step::new(Event::Resumed).change(change)]).await?;
                }
                None if state.stage() == Stage::EndedBadly => {
                    journal.take(&mut standing, vec![Step::new(Event::SkipAsked).because("its file is gone")]).await?;
                }
                Some(_) | None => {}
            }
            states.insert(node.mart.clone(), standing.state);
        }
        Ok(states)
    }

    /// The run's cut, and what the marts that stay done have published.
    async fn world_of(
        &self,
        row: &RunRow,
        nodes: &[NodeRow],
        states: &BTreeMap<TableId, NodeState>,
    ) -> Result<World, FlowError> {
        let cut = match &row.cut {
            Some(json) => {
                serde_json::from_str(json).map_err(|_| FlowError::Unreadable { run: row.run, what: "cut" })?
            }
            None => Cut::default(),
        };
        let views = self.published_views().await?;
        let done = nodes.iter().filter(|node| states.get(&node.mart) == Some(&NodeState::Done));
        let made = done
            .filter_map(|node| Some((node.mart.clone(), made_before(node.version, views.get(&node.mart).cloned())?)))
            .collect();
        Ok(World { cut, made, ..World::default() })
    }
}

/// Marts of a run that did not get done or were edited, and what lies below them in the run. What a person has taken out
/// or taken as done stays so.
fn to_run_again(graph: &Graph, nodes: &[NodeRow]) -> BTreeSet<TableId> {
    let state_of = |node: &NodeRow| NodeState::from_word(&node.state);
    let in_graph = |node: &&NodeRow| graph.mart(&node.mart).is_some();
    let set_by_hand = |node: &&NodeRow| matches!(state_of(node), Some(NodeState::Skipped | NodeState::MarkedDone));
    let edited = |node: &NodeRow| graph.mart(&node.mart).is_some_and(|mart| mart.fingerprint != node.fingerprint);
    let first: BTreeSet<TableId> = nodes
        .iter()
        .filter(in_graph)
        .filter(|node| !set_by_hand(node) && (lost(node) || edited(node)))
        .map(|node| node.mart.clone())
        .collect();
    let below = graph.all_below(&first);
    let also = nodes.iter().filter(|node| below.contains(&node.mart) && !set_by_hand(node));
    let also: BTreeSet<TableId> = also.map(|node| node.mart.clone()).collect();
    first.into_iter().chain(also).collect()
}

fn lost(node: &NodeRow) -> bool {
    NodeState::from_word(&node.state).is_none_or(|state| state.stage() != Stage::EndedWell)
}

/// What the earlier part of a resumed run has published.
fn made_before(version: Option<u64>, view: Option<PinnedView>) -> Option<Made> {
    match (version, view) {
        (Some(version), _) => Some(Made::Table(Version(version))),
        (None, Some(view)) => Some(Made::View(view)),
        (None, None) => None,
    }
}

/// What a person decides about a mart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Leave it out.
    Skip,
    /// Take it as done.
    MarkDone,
}
