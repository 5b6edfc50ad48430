//! Starting marts when their time has come, inside `naru up`.
//!
//! Owns: [`Scheduler`]: the wait between times, and remembering what was started. Never decides what is due; that is
//! [`crate::schedule`]. A mart that is still being built is not started again: it stays due, and starts once when the
//! run ends, however many times have passed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use naru_base::TableId;
use naru_project::Schedule;
use naru_store::{runs, runs_read};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    error::FlowError,
    flow::Flow,
    graph::Graph,
    run::{Reason, Request},
    schedule::{Due, due, next_wake},
};

/// The longest sleep: the wall clock may jump, the machine may have slept, a run may have ended.
const SLEEP_MAX: Duration = Duration::from_secs(15);

/// The clock, handed in so that tests own it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Starts scheduled marts.
pub struct Scheduler {
    flow: Flow,
    graph: watch::Receiver<Arc<Graph>>,
    clock: Clock,
}

impl Scheduler {
    /// Follows the schedules of the graph, also when another graph comes.
    pub fn new(flow: Flow, graph: watch::Receiver<Arc<Graph>>) -> Self {
        Self { flow, graph, clock: Arc::new(Timestamp::now) }
    }

    /// Reads the time from elsewhere.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Goes on with scheduled runs that a dead process has interrupted, then starts what is due, again and again, until
    /// `shutdown`. Runs that were started go on; [`Flow::stop`] ends them.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let graph = self.graph.borrow().clone();
        match self.flow.resume_interrupted(graph).await {
            Ok(handles) => {
                for handle in handles {
                    tracing::info!(run = %handle.run, "interrupted run goes on");
                }
            }
            Err(error) => {
                let problem = error.problem();
                tracing::error!(code = %problem.code, "interrupted runs wait for `naru resume`: {problem}");
            }
        }
        while !shutdown.is_cancelled() {
            if let Err(error) = self.tick().await {
                let problem = error.problem();
                tracing::error!(code = %problem.code, "schedules wait: {problem}");
            }
            let sleep = tokio::time::sleep(self.until_next());
            tokio::pin!(sleep);
            tokio::select! {
                () = shutdown.cancelled() => {}
                changed = self.graph.changed() => {
                    // A sender that is gone will not bring another graph; the timer goes on alone.
                    if changed.is_err() {
                        tokio::select! { () = shutdown.cancelled() => {}, () = &mut sleep => {} }
                    }
                }
                () = &mut sleep => {}
            }
        }
    }

    /// Starts one run of everything that is due now. Returns the marts that it was started for.
    pub async fn tick(&mut self) -> Result<BTreeSet<TableId>, FlowError> {
        let graph = self.graph.borrow_and_update().clone();
        let schedules = schedules(&graph);
        if schedules.is_empty() {
            return Ok(BTreeSet::new());
        }
        let now = (self.clock)();
        let last = self.last_started(&schedules, now).await?;
        let due: BTreeMap<TableId, Due> = due(schedules.iter().map(|(id, schedule)| (id, *schedule)), &last, now)
            .into_iter()
            .filter(|(mart, _)| self.flow.builder_of(mart).is_none())
            .collect();
        let marts: BTreeSet<TableId> = due.keys().cloned().collect();
        if marts.is_empty() {
            return Ok(marts);
        }
        let request = Request {
            reason: if due.values().all(|due| due.late) { Reason::CatchUp } else { Reason::Schedule },
            words: marts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            marts: graph.asked_for_by(&marts),
        };
        match self.flow.start(graph, request).await {
            Ok(handle) => {
                tracing::info!(run = %handle.run, marts = marts.len(), "scheduled marts started");
                self.remember(marts.iter().cloned().collect(), now).await?;
                Ok(marts)
            }
            // Something above is being built by another run: all of them stay due.
            Err(FlowError::Busy { .. }) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }

    /// When each scheduled mart was last started; a mart seen for the first time counts as started now.
    async fn last_started(
        &self,
        schedules: &[(TableId, &Schedule)],
        now: Timestamp,
    ) -> Result<BTreeMap<TableId, Timestamp>, FlowError> {
        let rows = self.flow.inner.store.read(|tx| runs_read::fired(tx)).await?;
        let mut last: BTreeMap<TableId, Timestamp> = rows
            .into_iter()
            .filter_map(|(mart, at_us)| Some((mart, Timestamp::from_microsecond(at_us).ok()?)))
            .collect();
        let new: Vec<TableId> =
            schedules.iter().map(|(mart, _)| mart).filter(|mart| !last.contains_key(mart)).cloned().collect();
        if !new.is_empty() {
            self.remember(new.clone(), now).await?;
            last.extend(new.into_iter().map(|mart| (mart, now)));
        }
        Ok(last)
    }

    async fn remember(&self, marts: Vec<TableId>, at: Timestamp) -> Result<(), FlowError> {
        self.flow.inner.store.write(move |tx| runs::set_fired(tx, &marts, at.as_microsecond())).await?;
        Ok(())
    }

    fn until_next(&self) -> Duration {
        let now = (self.clock)();
        let graph = self.graph.borrow().clone();
        let schedules = schedules(&graph);
        let next = next_wake(schedules.iter().map(|(_, schedule)| *schedule), now);
        let wait = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        wait.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }
}

/// Marts with a schedule that can run at all.
fn schedules(graph: &Graph) -> Vec<(TableId, &Schedule)> {
    graph.marts().iter().filter_map(|mart| Some((mart.id.clone(), mart.schedule.as_ref()?))).collect()
}
