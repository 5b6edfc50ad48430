//! Starting, cancelling and stopping runs.
//!
//! Owns: [`Flow`], the one object that runs marts in a process; which marts are being built right now; slots.
//! Never runs two attempts at one mart at the same time.
//! Read next: `drive.rs` for the loop of a run, [`crate::resume`] for going on with one, [`crate::settle`] for what a
//! dead process left.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use naru_base::{Problem, RunId, TableId, time};
use naru_store::{
    Store,
    runs::{self, NewNode, NewRun},
    runs_read,
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
    drive::Drive,
    error::FlowError,
    executor::{Executor, Pins},
    graph::Graph,
    journal::{Journal, Standing, Step, WATCHER_LAG_MAX},
    run::{Progress, Request, RunReport, RunState},
    state::{Event, NodeState},
};

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
        self.forget_views_without_files(&graph).await?;
        let new = NewRun {
            reason: request.reason.word(),
            requested: request.words,
            asked_by: request.by,
            why: request.why,
            rolled_to: None,
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

    /// A view whose file is gone is gone; a table stays until someone drops it.
    pub(crate) async fn forget_views_without_files(&self, graph: &Graph) -> Result<(), FlowError> {
        let keep: Vec<TableId> = graph.marts().iter().map(|mart| mart.id.clone()).collect();
        let forgotten = self.inner.store.write(move |tx| runs::keep_views(tx, &keep)).await?;
        if forgotten > 0 {
            tracing::info!(forgotten, "views without a file forgotten");
        }
        Ok(())
    }

    pub(crate) async fn published_views(&self) -> Result<BTreeMap<TableId, PinnedView>, FlowError> {
        let rows = self.inner.store.read(|tx| runs_read::views(tx)).await?;
        Ok(rows.iter().map(|row| (row.mart.clone(), PinnedView::from(row))).collect())
    }

    pub(crate) fn journal(&self, run: RunId) -> Journal {
        Journal { store: self.inner.store.clone(), run, watchers: self.inner.watchers.clone() }
    }

    pub(crate) fn claim(&self, marts: BTreeSet<TableId>, run: Option<RunId>) -> Result<Claim, FlowError> {
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

    pub(crate) fn spawn(&self, run: RunId, plan: Plan, claim: Claim, cancel: CancellationToken) -> RunHandle {
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
        // A run that is cancelled while a source is waited for has nothing to read, and nothing to do either.
        let taken = tokio::select! {
            taken = self.take_cut(run, &mut plan) => taken?,
            () = cancel.cancelled() => Ok(()),
        };
        if let Err(problem) = taken {
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

    /// Pins what the waiting marts read. What a resumed run has read before stays at its version.
    async fn take_cut(&self, run: RunId, plan: &mut Plan) -> Result<Result<(), Problem>, FlowError> {
        let waiting = plan.states.iter().filter(|(_, state)| **state == NodeState::Waiting);
        let marts = waiting.filter_map(|(id, _)| plan.graph.mart(id));
        let names = marts.flat_map(|mart| mart.reads.iter().chain(&mart.check_reads)).cloned().collect();
        let mut views = self.published_views().await?;
        views.extend(plan.world.cut.views.clone());
        let tables: Vec<TableId> = Cut::tables_behind(names, &views).into_iter().collect();
        let cut = &mut plan.world.cut;
        let held = Pins { tables: cut.tables.clone(), positions: cut.positions.clone(), ..Pins::default() };
        match self.inner.executor.pin(run, &tables, &held).await {
            Ok(mut pins) => {
                plan.world.unfit = std::mem::take(&mut pins.unfit);
                cut.add(pins);
            }
            Err(problem) => return Ok(Err(problem)),
        }
        let read = views.into_iter().filter(|(id, _)| tables.contains(id));
        cut.views.extend(read);
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
pub(crate) struct Plan {
    pub(crate) graph: Arc<Graph>,
    pub(crate) states: BTreeMap<TableId, NodeState>,
    pub(crate) world: World,
}

/// Marts that belong to one run until this is dropped.
pub(crate) struct Claim {
    inner: Arc<Inner>,
    marts: BTreeSet<TableId>,
    run: Mutex<Option<RunId>>,
}

impl Claim {
    /// Names the run, and gives the token that cancels it.
    pub(crate) fn belongs_to(&self, run: RunId) -> CancellationToken {
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
