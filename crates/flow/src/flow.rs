//! Starting, resuming and cancelling runs.
//!
//! Owns: [`Flow`], the one object that runs marts in a process; which marts are being built right now; slots.
//! Never runs two attempts at one mart at the same time.
//! Read next: `drive.rs` for the loop of a run, [`crate::settle`] for what a dead process left.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use naru_base::{Problem, RunId, TableId, time};
use naru_store::{
    Store,
    runs::{self, NewNode, NewRun, NodeChange},
    runs_read::{self, NodeRow, RunRow},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore, broadcast},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    cut::{Cut, PinnedView, World},
    drive::{Drive, made_before},
    error::FlowError,
    executor::Executor,
    graph::Graph,
    journal::{Journal, Standing, Step, WATCHER_LAG_MAX},
    run::{NodeReport, Progress, Request, RunReport, RunState},
    state::{Event, NodeState, Stage, step},
};

/// Runs that resume looks through for one that did not go well.
const RESUME_LOOK_BACK_RUNS: u32 = 50;

/// How marts run in this process.
#[derive(Debug, Clone, Copy)]
pub struct FlowOptions {
    /// Marts that are built at once, over all runs; at least 1.
    pub parallelism: usize,
    /// First and longest wait between two attempts; none for 2 s and 5 min.
    pub retry_waits: Option<(Duration, Duration)>,
}

/// Runs marts. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Flow {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) executor: Arc<dyn Executor>,
    /// The number of this process among all that ran marts.
    pub(crate) epoch: i64,
    slots: Arc<Semaphore>,
    retry_waits: Option<(Duration, Duration)>,
    watchers: broadcast::Sender<Progress>,
    pub(crate) active: Mutex<Active>,
    /// Told whenever a run ends.
    ended: Notify,
}

/// What is going on right now.
#[derive(Default)]
pub(crate) struct Active {
    /// Marts that no other run may take. Run 0 stands for one that is being stored.
    pub(crate) marts: HashMap<TableId, RunId>,
    pub(crate) runs: HashMap<RunId, CancellationToken>,
    stopping: bool,
}

/// A run that was started. Dropping it changes nothing; the run goes on.
#[derive(Debug)]
pub struct RunHandle {
    /// The run.
    pub run: RunId,
    task: JoinHandle<Result<RunReport, FlowError>>,
}

impl RunHandle {
    /// Waits for the end.
    pub async fn ended(self) -> Result<RunReport, FlowError> {
        self.task.await.map_err(|_| FlowError::Stopping)?
    }
}

impl Flow {
    /// Takes the next epoch. The caller holds the project's lock, and calls [`Flow::settle`] before anything else.
    pub async fn open(store: Store, executor: Arc<dyn Executor>, options: FlowOptions) -> Result<Self, FlowError> {
        let epoch = store.write(|tx| runs::next_epoch(tx)).await?;
        let inner = Inner {
            store,
            executor,
            epoch,
            slots: Arc::new(Semaphore::new(options.parallelism.max(1))),
            retry_waits: options.retry_waits,
            watchers: broadcast::Sender::new(WATCHER_LAG_MAX),
            active: Mutex::default(),
            ended: Notify::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Every step of every mart from now on. A watcher that lags far behind misses some.
    pub fn watch(&self) -> broadcast::Receiver<Progress> {
        self.inner.watchers.subscribe()
    }

    /// The run that is building a mart right now.
    pub fn builder_of(&self, mart: &TableId) -> Option<RunId> {
        self.inner.active.lock().marts.get(mart).copied()
    }

    /// Starts a run of the selected marts: pins one cut of everything they read, then builds them in order.
    ///
    /// # Errors
    /// [`FlowError::Busy`] if another run has one of the marts; nothing is stored then.
    pub async fn start(&self, graph: Arc<Graph>, request: Request) -> Result<RunHandle, FlowError> {
        let nodes: Vec<NewNode> = request
            .marts
            .iter()
            .filter_map(|id| graph.mart(id))
            .map(|mart| NewNode {
                mart: mart.id.clone(),
                kind: mart.kind.word().to_owned(),
                fingerprint: mart.fingerprint.clone(),
            })
            .collect();
        if nodes.is_empty() {
            return Err(FlowError::NoMarts);
        }
        let states = nodes.iter().map(|node| (node.mart.clone(), NodeState::Waiting)).collect();
        let claim = self.claim(request.marts, None)?;
        let new = NewRun {
            reason: request.reason.word(),
            requested: request.words,
            epoch: self.inner.epoch,
            started_us: time::now_us(),
            first_state: NodeState::Waiting.word(),
            nodes,
        };
        let run = self.inner.store.write(move |tx| runs::begin(tx, &new)).await?;
        let cancel = claim.belongs_to(run);
        Ok(self.spawn(run, Plan { graph, states, world: World::default() }, claim, cancel))
    }

    /// Runs and waits for the end.
    pub async fn run(&self, graph: Arc<Graph>, request: Request) -> Result<RunReport, FlowError> {
        self.start(graph, request).await?.ended().await
    }

    /// Goes on with a run (the latest that did not go well, unless one is named): the marts that did not get done or
    /// were edited since, and within the run everything below them. What was read stays at the run's cut.
    ///
    /// # Errors
    /// [`FlowError::NothingToResume`], [`FlowError::GoingOn`], [`FlowError::NoSuchRun`], [`FlowError::Busy`].
    pub async fn resume(&self, graph: Arc<Graph>, run: Option<RunId>) -> Result<RunHandle, FlowError> {
        let row = self.run_to_resume(&graph, run).await?;
        let run = row.run;
        let nodes = self.inner.store.read(move |tx| runs_read::nodes(tx, run)).await?;
        let again = to_run_again(&graph, &nodes);
        if again.is_empty() {
            return Err(FlowError::NothingToResume);
        }
        let claim = self.claim(nodes.iter().map(|node| node.mart.clone()).collect(), Some(run))?;
        let cancel = claim.belongs_to(run);
        let epoch = self.inner.epoch;
        self.inner.store.write(move |tx| runs::reopen(tx, run, epoch)).await?;
        let states = self.set_waiting(run, &graph, &nodes, &again).await?;
        let world = self.world_of(&row, &nodes, &states).await?;
        Ok(self.spawn(run, Plan { graph, states, world }, claim, cancel))
    }

    /// Asks a run to stop: what is being committed is finished, everything else ends as cancelled. False if it is not
    /// going on in this process.
    pub fn cancel(&self, run: RunId) -> bool {
        let token = self.inner.active.lock().runs.get(&run).cloned();
        token.is_some_and(|token| {
            token.cancel();
            true
        })
    }

    /// Cancels every run, lets none start, and waits until all have ended.
    pub async fn stop(&self) {
        {
            let mut active = self.inner.active.lock();
            active.stopping = true;
            active.runs.values().for_each(CancellationToken::cancel);
        }
        self.all_ended().await;
    }

    /// Waits until no run is going on.
    pub async fn all_ended(&self) {
        loop {
            let ended = self.inner.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.inner.active.lock().marts.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// How a run stands.
    pub async fn report(&self, run: RunId) -> Result<RunReport, FlowError> {
        crate::history::report(&self.inner.store, run).await
    }

    async fn run_to_resume(&self, graph: &Graph, run: Option<RunId>) -> Result<RunRow, FlowError> {
        let row = match run {
            Some(run) => {
                let row = self.inner.store.read(move |tx| runs_read::run(tx, run)).await?;
                row.ok_or(FlowError::NoSuchRun { run })?
            }
            None => self.latest_to_resume(graph).await?,
        };
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
        for (age, row) in rows.into_iter().enumerate() {
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
        Ok(World { cut, made })
    }

    async fn published_views(&self) -> Result<BTreeMap<TableId, PinnedView>, FlowError> {
        let rows = self.inner.store.read(|tx| runs_read::views(tx)).await?;
        Ok(rows.iter().map(|row| (row.mart.clone(), PinnedView::from(row))).collect())
    }

    pub(crate) fn journal(&self, run: RunId) -> Journal {
        Journal { store: self.inner.store.clone(), run, watchers: self.inner.watchers.clone() }
    }

    fn claim(&self, marts: BTreeSet<TableId>, run: Option<RunId>) -> Result<Claim, FlowError> {
        let mut active = self.inner.active.lock();
        if active.stopping {
            return Err(FlowError::Stopping);
        }
        let taken = marts.iter().find_map(|mart| Some((mart.clone(), *active.marts.get(mart)?)));
        if let Some((mart, run)) = taken {
            return Err(FlowError::Busy { mart, run });
        }
        let holder = run.unwrap_or(RunId(0));
        active.marts.extend(marts.iter().map(|mart| (mart.clone(), holder)));
        drop(active);
        Ok(Claim { inner: self.inner.clone(), marts, run: Mutex::new(run) })
    }

    fn spawn(&self, run: RunId, plan: Plan, claim: Claim, cancel: CancellationToken) -> RunHandle {
        let flow = self.clone();
        let task = tokio::spawn(async move {
            let ended = flow.drive(run, plan, cancel).await;
            if let Err(problem) = flow.inner.executor.release(run).await {
                tracing::warn!(%run, code = %problem.code, "pins are held until the process ends: {}", problem.summary);
            }
            drop(claim);
            ended?;
            flow.report(run).await
        });
        RunHandle { run, task }
    }

    async fn drive(&self, run: RunId, mut plan: Plan, cancel: CancellationToken) -> Result<(), FlowError> {
        let journal = self.journal(run);
        if let Err(problem) = self.take_cut(run, &mut plan).await? {
            return self.end_without_cut(&journal, plan, problem).await;
        }
        let board = Board::new(&plan.graph, plan.states);
        let drive = Drive {
            journal,
            executor: self.inner.executor.clone(),
            slots: self.inner.slots.clone(),
            cancel,
            retry_waits: self.inner.retry_waits,
            graph: plan.graph,
            board,
            world: plan.world,
        };
        let state = drive.finish().await?;
        self.inner.store.write(move |tx| runs::end(tx, run, state.word(), time::now_us())).await?;
        Ok(())
    }

    /// Pins what the marts read, and what they did not read before when the run is resumed.
    async fn take_cut(&self, run: RunId, plan: &mut Plan) -> Result<Result<(), Problem>, FlowError> {
        let mut names = BTreeSet::new();
        for mart in plan.states.keys().filter_map(|id| plan.graph.mart(id)) {
            names.extend(mart.reads.iter().chain(&mart.check_reads).cloned());
        }
        let mut views = self.published_views().await?;
        views.extend(plan.world.cut.views.clone());
        let tables: Vec<TableId> = Cut::tables_behind(names, &views).into_iter().collect();
        let cut = &mut plan.world.cut;
        match self.inner.executor.pin(run, &tables, &cut.tables).await {
            Ok(pins) => cut.add(pins),
            Err(problem) => return Ok(Err(problem)),
        }
        cut.views = views.into_iter().filter(|(id, _)| tables.contains(id)).collect();
        let json = serde_json::to_string(&cut).map_err(|_| FlowError::Unreadable { run, what: "cut" })?;
        self.inner.store.write(move |tx| runs::set_cut(tx, run, &json)).await?;
        Ok(Ok(()))
    }

    async fn end_without_cut(&self, journal: &Journal, plan: Plan, problem: Problem) -> Result<(), FlowError> {
        for (mart, state) in plan.states.into_iter().filter(|(_, state)| *state == NodeState::Waiting) {
            let step = Step::new(Event::UpstreamLost)
                .because(format!("its inputs could not be pinned: {}", problem.summary))
                .with_problem(problem.clone());
            journal.take(&mut Standing::new(mart, state), vec![step]).await?;
        }
        let run = journal.run;
        self.inner.store.write(move |tx| runs::end(tx, run, RunState::Failed.word(), time::now_us())).await?;
        Ok(())
    }
}

/// What a run begins with.
struct Plan {
    graph: Arc<Graph>,
    states: BTreeMap<TableId, NodeState>,
    world: World,
}

/// Marts that belong to one run until this is dropped.
struct Claim {
    inner: Arc<Inner>,
    marts: BTreeSet<TableId>,
    run: Mutex<Option<RunId>>,
}

impl Claim {
    /// Names the run, and gives the token that cancels it.
    fn belongs_to(&self, run: RunId) -> CancellationToken {
        let cancel = CancellationToken::new();
        *self.run.lock() = Some(run);
        let mut active = self.inner.active.lock();
        for mart in &self.marts {
            active.marts.insert(mart.clone(), run);
        }
        if active.stopping {
            cancel.cancel();
        }
        active.runs.insert(run, cancel.clone());
        cancel
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut active = self.inner.active.lock();
        for mart in &self.marts {
            active.marts.remove(mart);
        }
        if let Some(run) = *self.run.lock() {
            active.runs.remove(&run);
        }
        drop(active);
        self.inner.ended.notify_waiters();
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

impl Flow {
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
}

/// What a person decides about a mart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Leave it out.
    Skip,
    /// Take it as done.
    MarkDone,
}
