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
    pause,
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
        let now = (self.clock)();
        let last = self.last_started(&schedules, now).await?;
        let paused = pause::paused(&self.flow.inner.store).await?;
        let due: BTreeMap<TableId, Due> = due(schedules.iter().map(|(id, schedule)| (id, *schedule)), &last, now)
            .into_iter()
            .filter(|(mart, _)| self.flow.builder_of(mart).is_none() && !paused.contains_key(&mart.to_string()))
            .collect();
        let marts: BTreeSet<TableId> = due.keys().cloned().collect();
        if marts.is_empty() {
            return Ok(marts);
        }
        let request = Request {
            reason: if due.values().all(|due| due.late) { Reason::CatchUp } else { Reason::Schedule },
            words: marts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            by: None,
            why: None,
            marts: graph.asked_for_by(&marts),
        };
        let started = schedules.iter().filter(|(mart, _)| marts.contains(mart)).map(fired_now).collect();
        match self.flow.start(graph.clone(), request).await {
            Ok(handle) => {
                tracing::info!(run = %handle.run, marts = marts.len(), "scheduled marts started");
                self.remember(started, now).await?;
                Ok(marts)
            }
            // Something above is being built by another run: all of them stay due.
            Err(FlowError::Busy { .. }) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }

    /// When each scheduled mart was last started; a mart seen for the first time, or with another schedule than before,
    /// counts as started now. A mart that has lost its schedule is forgotten, so that a later one is new.
    async fn last_started(
        &self,
        schedules: &[(TableId, &Schedule)],
        now: Timestamp,
    ) -> Result<BTreeMap<TableId, Timestamp>, FlowError> {
        let rows = self.flow.inner.store.read(|tx| runs_read::fired(tx)).await?;
        let texts: BTreeMap<&TableId, &str> = schedules.iter().map(|(id, schedule)| (id, schedule.text())).collect();
        let mut last = BTreeMap::new();
        for row in rows {
            let Some(text) = texts.get(&row.mart) else {
                self.flow.inner.store.write(move |tx| runs::forget_fired(tx, &row.mart)).await?;
                continue;
            };
            // Rows of an older format do not say by which schedule.
            let same = row.schedule == *text || row.schedule.is_empty();
            if let Some(at) = Timestamp::from_microsecond(row.at_us).ok().filter(|_| same) {
                last.insert(row.mart, at);
            }
        }
        let new: Vec<(TableId, String)> =
            schedules.iter().filter(|(mart, _)| !last.contains_key(mart)).map(fired_now).collect();
        if !new.is_empty() {
            self.remember(new.clone(), now).await?;
            last.extend(new.into_iter().map(|(mart, _)| (mart, now)));
        }
        Ok(last)
    }

    async fn remember(&self, marts: Vec<(TableId, String)>, at: Timestamp) -> Result<(), FlowError> {
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

/// A mart and its schedule as they are remembered.
fn fired_now((mart, schedule): &(TableId, &Schedule)) -> (TableId, String) {
    (mart.clone(), schedule.text().to_owned())
}

/// Marts with a schedule that can run at all.
fn schedules(graph: &Graph) -> Vec<(TableId, &Schedule)> {
    graph.marts().iter().filter_map(|mart| Some((mart.id.clone(), mart.schedule.as_ref()?))).collect()
}
