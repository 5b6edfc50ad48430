//! The loop of one run: starts what may start, hears what ended, until nothing is left.
//!
//! Owns: [`Drive`]. Decides with [`crate::board`], acts through [`crate::work`]; never touches an attempt itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use naru_base::{Problem, TableId};
use tokio::{
    sync::Semaphore,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::{Board, Move},
    cut::World,
    error::FlowError,
    executor::{Executor, Input, Inputs, Kind},
    graph::{Graph, Mart},
    journal::{Journal, Standing, Step},
    run::{RunState, UPSTREAM},
    state::{Event, NodeState},
    work::{Ended, Worker},
};

/// One run, from its cut to its end.
pub(crate) struct Drive {
    pub(crate) journal: Journal,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) cancel: CancellationToken,
    pub(crate) retry_waits: Option<(Duration, Duration)>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) board: Board,
    pub(crate) world: World,
}

type Workers = JoinSet<Result<Ended, FlowError>>;

impl Drive {
    /// Brings every mart of the run to an end. An error leaves marts where they are, for settling.
    pub(crate) async fn finish(mut self) -> Result<RunState, FlowError> {
        let mut workers = Workers::new();
        let ended = self.run_all(&mut workers).await;
        if ended.is_err() {
            // A commit under way is never dropped: workers end by themselves before the run does.
            self.cancel.cancel();
            while workers.join_next().await.is_some() {}
        }
        ended.map(|()| RunState::of(self.board.states()))
    }

    async fn run_all(&mut self, workers: &mut Workers) -> Result<(), FlowError> {
        let mut working: HashMap<Id, TableId> = HashMap::new();
        loop {
            self.take_moves(workers, &mut working).await?;
            let Some(ended) = self.next_ended(workers).await? else { return Ok(()) };
            match ended {
                Ok((id, outcome)) => {
                    if let Some(mart) = working.remove(&id) {
                        self.worker_ended(&mart, outcome?);
                    }
                }
                Err(error) => return Err(worker_lost(working.remove(&error.id()), &error)),
            }
        }
    }

    /// The next worker that ends; a cancel first ends everything that has not begun.
    async fn next_ended(
        &mut self,
        workers: &mut Workers,
    ) -> Result<Option<Result<(Id, Result<Ended, FlowError>), JoinError>>, FlowError> {
        if !self.cancel.is_cancelled() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {}
                ended = workers.join_next_with_id() => return Ok(ended),
            }
        }
        self.cancel_waiting().await?;
        Ok(workers.join_next_with_id().await)
    }

    async fn cancel_waiting(&mut self) -> Result<(), FlowError> {
        for mart in self.board.in_state(NodeState::Waiting) {
            self.step(&mart, vec![Step::new(Event::CancelAsked)]).await?;
        }
        Ok(())
    }

    /// Takes moves until none is left; a block makes the next one possible.
    async fn take_moves(&mut self, workers: &mut Workers, working: &mut HashMap<Id, TableId>) -> Result<(), FlowError> {
        loop {
            let moves = if self.cancel.is_cancelled() { Vec::new() } else { self.board.moves() };
            if moves.is_empty() {
                return Ok(());
            }
            for next in moves {
                match next {
                    Move::Go(mart) => self.start(&mart, workers, working).await?,
                    Move::Block { mart, root: (root, state) } => {
                        let cause = format!("{UPSTREAM}{root} is {state}");
                        self.board.set_root(&mart, root);
                        self.step(&mart, vec![Step::new(Event::UpstreamLost).because(cause)]).await?;
                    }
                }
            }
        }
    }

    async fn start(
        &mut self,
        id: &TableId,
        workers: &mut Workers,
        working: &mut HashMap<Id, TableId>,
    ) -> Result<(), FlowError> {
        let ready = Step::new(Event::UpstreamDone);
        let Some(mart) = self.graph.mart(id).cloned() else {
            // The plan is made from this graph, so the mart is there; if not, its file has just gone.
            return self.step(id, vec![Step::new(Event::SkipAsked).because("its file is gone")]).await;
        };
        let unfit = self.world.unfit(mart.reads.iter().chain(&mart.check_reads));
        if let Some(problem) = unfit.filter(|_| mart.broken.is_none()) {
            let problem = unfit_input(&mart, problem);
            let cause = problem.summary.clone();
            return self.step(id, vec![Step::new(Event::UpstreamLost).because(cause).with_problem(problem)]).await;
        }
        let inputs = self.world.inputs(&mart.reads);
        if let Some(problem) = mart.broken.clone().or_else(|| missing_input(&mart, &inputs)) {
            return self.step(id, vec![ready, Step::new(Event::FailedForGood).with_problem(problem)]).await;
        }
        let mut standing = self.standing(id);
        self.journal.take(&mut standing, vec![ready, Step::new(Event::Admitted)]).await?;
        self.board.set_state(id, standing.state);
        let worker = Worker {
            journal: self.journal.clone(),
            executor: self.executor.clone(),
            slots: self.slots.clone(),
            cancel: self.cancel.clone(),
            retry_waits: self.retry_waits,
            check_inputs: self.check_inputs(&mart),
            mart,
            inputs,
            standing,
        };
        let task = workers.spawn(worker.work());
        working.insert(task.id(), id.clone());
        Ok(())
    }

    /// What a mart's checks read. Its own name means its staged rows, which the engine knows; for a view, its query.
    fn check_inputs(&self, mart: &Mart) -> Inputs {
        match mart.kind {
            Kind::Table => self.world.inputs(&mart.check_reads),
            Kind::View => {
                let mut inputs = self.world.inputs(mart.check_reads.iter().chain(&mart.reads));
                inputs.insert(mart.id.clone(), Input::View(mart.sql.clone()));
                inputs
            }
        }
    }

    fn worker_ended(&mut self, mart: &TableId, ended: Ended) {
        self.board.set_state(mart, ended.state);
        if let Some(made) = ended.made {
            self.world.made.insert(mart.clone(), made);
        }
    }

    fn standing(&self, mart: &TableId) -> Standing {
        Standing::new(mart.clone(), self.board.state(mart).unwrap_or(NodeState::Waiting))
    }

    /// Stores steps of a mart that no worker has, and moves it on the board.
    async fn step(&mut self, mart: &TableId, steps: Vec<Step>) -> Result<(), FlowError> {
        let events: Vec<Event> = steps.iter().map(|step| step.event).collect();
        let mut standing = self.standing(mart);
        self.journal.take(&mut standing, steps).await?;
        for event in events {
            self.board.apply(mart, event);
        }
        Ok(())
    }
}

/// A worker that panicked leaves its mart where it stands. Nothing below it may go on, and only settling can say what
/// became of the attempt, so the whole run stops.
fn worker_lost(mart: Option<TableId>, error: &JoinError) -> FlowError {
    let name = mart.map_or_else(|| "a mart".to_owned(), |mart| format!("mart {mart}"));
    let problem = Problem::new("flow.worker_lost", format!("the worker of {name} stopped without an answer"))
        .detail(if error.is_panic() { "It panicked; the log has its message." } else { "It was aborted." })
        .hint("Report this, then `naru resume`.");
    FlowError::Refused(problem)
}

/// Why a mart is blocked by a table that does not stand at the cut, with the mart's place.
fn unfit_input(mart: &Mart, problem: &Problem) -> Problem {
    let kept = "What the mart published last stays as it was.";
    let detail = problem.detail.as_ref().map_or_else(|| kept.to_owned(), |detail| format!("{detail} {kept}"));
    let again = format!("Then `naru run {}+`.", mart.id);
    let hint = problem.hint.as_ref().map_or_else(|| again.clone(), |hint| format!("{hint} {again}"));
    problem.clone().detail(detail).hint(hint).at(mart.place.clone())
}

fn missing_input(mart: &Mart, inputs: &Inputs) -> Option<Problem> {
    let missing = mart.reads.iter().find(|read| !inputs.contains_key(*read))?;
    let problem =
        Problem::new("flow.input_missing", format!("mart {} reads {missing}, which does not exist yet", mart.id))
            .hint(format!(
                "If it is a mart, run `naru run +{}`; if it is a source's table, wait for its copy.",
                mart.id
            ))
            .at(mart.place.clone());
    Some(problem)
}
