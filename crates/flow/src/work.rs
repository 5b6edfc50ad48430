//! One mart of a run, from its place in the queue to its end.
//!
//! Owns: attempts: stage, audit, publish; retries, timeouts and cancelling. Never looks at other marts.
//! Every state is stored before what it announces is done, so that a dead process can be settled.
//! Read next: [`crate::drive`], which starts workers; [`crate::settle`], which cleans up after dead ones.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_base::{Problem, Retry, Version, failpoint, retry::Backoff};
use naru_quality::{Outcome, SAMPLE_ROWS_MAX, Verdict, judge};
use naru_store::{
    runs::{self, NodeChange},
    runs_read::VerdictRow,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    cut::{Made, PinnedView},
    error::FlowError,
    executor::{Attempt, CheckWork, Executor, Inputs, Kind, StageWork, Staged},
    graph::Mart,
    journal::{Journal, Standing, Step},
    state::{Event, NodeState},
};

/// First and longest wait between two attempts at a mart.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// How often the log is asked what became of a commit whose answer was lost.
const LEARN_TRIES_MAX: u32 = 5;

/// Everything that one mart needs to be built.
pub(crate) struct Worker {
    pub(crate) journal: Journal,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) cancel: CancellationToken,
    pub(crate) retry_waits: Option<(Duration, Duration)>,
    pub(crate) mart: Mart,
    /// What the mart's SQL reads.
    pub(crate) inputs: Inputs,
    /// What its checks read, the staged rows apart.
    pub(crate) check_inputs: Inputs,
    pub(crate) standing: Standing,
}

/// Where a mart ended.
pub(crate) struct Ended {
    pub(crate) state: NodeState,
    /// What it has published.
    pub(crate) made: Option<Made>,
}

/// Why an attempt did not get to its commit.
enum Stop {
    Cancelled,
    OutOfTime,
    Problem(Problem),
    /// The commit failed and may yet appear; nothing staged may be removed.
    PublishFailed(Problem),
    /// A check blocks; the node is blocked already.
    Blocked,
    /// Nobody could say whether the commit is in the log.
    Unknown(Problem),
    Journal(FlowError),
}

impl From<FlowError> for Stop {
    fn from(error: FlowError) -> Self {
        Self::Journal(error)
    }
}

impl Worker {
    /// Builds the mart, trying again where that can help. The mart is queued before and has ended after.
    pub(crate) async fn work(mut self) -> Result<Ended, FlowError> {
        let (first, most) = self.retry_waits.unwrap_or(RETRY_WAITS);
        let mut backoff = Backoff::new(first, most);
        loop {
            let made = self.one_attempt(&mut backoff).await?;
            if self.standing.state != NodeState::RetryWait {
                return Ok(Ended { state: self.standing.state, made });
            }
            let wait = tokio::time::sleep(backoff.next_wait());
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    self.take(Step::new(Event::CancelAsked)).await?;
                    return Ok(Ended { state: self.standing.state, made: None });
                }
                () = wait => self.take(Step::new(Event::RetryDue)).await?,
            };
        }
    }

    async fn one_attempt(&mut self, backoff: &mut Backoff) -> Result<Option<Made>, FlowError> {
        let slots = self.slots.clone();
        let permit = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            permit = slots.acquire_owned() => permit.ok(),
        };
        if permit.is_none() {
            self.take(Step::new(Event::CancelAsked)).await?;
            return Ok(None);
        }
        let started = Step::new(Event::Started).change(NodeChange::NewAttempt);
        let Some(attempt) = self.take(started).await? else {
            return Err(FlowError::Unreadable { run: self.journal.run, what: "attempt" });
        };
        failpoint::hit("flow.after_started");
        match self.stage_audit_publish(attempt).await {
            Ok(made) => Ok(Some(made)),
            Err(stop) => self.stopped(attempt, stop, backoff.tries()).await.map(|()| None),
        }
    }

    async fn stage_audit_publish(&mut self, attempt: Attempt) -> Result<Made, Stop> {
        let deadline = self.mart.limits.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let work = self.stage_work(attempt);
        let staged = self.bounded(deadline, self.executor.stage(work)).await?;
        failpoint::hit("flow.after_stage");
        let change = NodeChange::Staged { rows: staged.rows, bytes: staged.bytes };
        let steps = vec![Step::new(Event::RowsStaged).change(change), Step::new(Event::AuditBegan)];
        self.journal.take(&mut self.standing, steps).await?;
        self.audit(deadline, &staged).await?;
        failpoint::hit("flow.after_audit");
        if self.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        self.take(Step::new(Event::AuditPassed)).await?;
        failpoint::hit("flow.before_publish");
        let made = match staged.kind {
            Kind::Table => self.publish_table(&staged).await?,
            Kind::View => self.publish_view(&staged).await?,
        };
        failpoint::hit("flow.after_published");
        Ok(made)
    }

    fn stage_work(&self, attempt: Attempt) -> StageWork {
        StageWork {
            run: self.journal.run,
            attempt,
            mart: self.mart.id.clone(),
            kind: self.mart.kind,
            sql: self.mart.sql.clone(),
            place: self.mart.body.clone(),
            inputs: self.inputs.clone(),
            memory_bytes: self.mart.limits.memory_bytes,
            column_comments: self.mart.column_comments.clone(),
            description: self.mart.description.clone(),
        }
    }

    /// Runs every check, stores all verdicts, and stops if one of them blocks.
    async fn audit(&mut self, deadline: Option<Instant>, staged: &Staged) -> Result<(), Stop> {
        let mut verdicts = Vec::with_capacity(self.mart.checks.len());
        for check in self.mart.checks.clone() {
            let work = CheckWork {
                staged: staged.clone(),
                sql: check.sql.clone(),
                inputs: self.check_inputs.clone(),
                sample_rows_max: SAMPLE_ROWS_MAX,
            };
            let began = Instant::now();
            let found = match self.bounded(deadline, self.executor.failing_rows(work)).await {
                Ok(rows) => Ok(rows),
                // What may pass is worth another attempt; what may not is a verdict.
                Err(Stop::Problem(problem)) if problem.retry == Retry::Never => Err(problem),
                Err(stop) => return Err(stop),
            };
            verdicts.push(judge(&check, found, began.elapsed()));
        }
        self.store_verdicts(staged, &verdicts).await?;
        let blocking: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.blocks()).collect();
        if blocking.is_empty() {
            return Ok(());
        }
        let problem = blocked_problem(&self.mart, &blocking);
        let step = Step::new(Event::AuditBlocked).because(blocked_cause(&blocking)).with_problem(problem);
        self.take(step).await?;
        Err(Stop::Blocked)
    }

    async fn store_verdicts(&self, staged: &Staged, verdicts: &[Verdict]) -> Result<(), FlowError> {
        if verdicts.is_empty() {
            return Ok(());
        }
        let run = self.journal.run;
        let rows: Vec<VerdictRow> = verdicts.iter().map(|verdict| verdict_row(staged, verdict)).collect();
        self.journal.store.write(move |tx| runs::add_verdicts(tx, run, &rows)).await?;
        Ok(())
    }

    async fn publish_table(&mut self, staged: &Staged) -> Result<Made, Stop> {
        let version = match self.executor.publish(staged).await {
            Ok(version) => version,
            Err(problem) => match self.learn(staged.attempt).await {
                Ok(Some(version)) => version,
                Ok(None) => return Err(Stop::PublishFailed(problem)),
                Err(unknown) => return Err(Stop::Unknown(unknown)),
            },
        };
        failpoint::hit("flow.after_publish");
        self.take(Step::new(Event::Published).change(NodeChange::PublishedTable { version: version.0 })).await?;
        Ok(Made::Table(version))
    }

    /// A view is published by the very step that says so.
    async fn publish_view(&mut self, staged: &Staged) -> Result<Made, Stop> {
        let reads: Vec<String> = self.mart.reads.iter().map(ToString::to_string).collect();
        let change = NodeChange::PublishedView {
            sql: self.mart.sql.clone(),
            columns: serde_json::to_string(&staged.columns).unwrap_or_default(),
            reads: serde_json::to_string(&reads).unwrap_or_default(),
        };
        self.take(Step::new(Event::Published).change(change)).await?;
        Ok(Made::View(PinnedView { sql: self.mart.sql.clone(), reads }))
    }

    /// Asks the log whether an attempt's commit is in it.
    async fn learn(&self, attempt: Attempt) -> Result<Option<Version>, Problem> {
        let (first, most) = self.retry_waits.unwrap_or(RETRY_WAITS);
        let mut backoff = Backoff::new(first, most);
        loop {
            match self.executor.committed(&self.mart.id, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(problem) if backoff.tries() >= LEARN_TRIES_MAX => return Err(problem),
                Err(_) => tokio::time::sleep(backoff.next_wait()).await,
            }
        }
    }

    /// Stores why an attempt stopped, and removes what it staged.
    async fn stopped(&mut self, attempt: Attempt, stop: Stop, failures: u32) -> Result<(), FlowError> {
        let tries_left = failures < self.mart.limits.retries;
        let (step, discard) = match stop {
            Stop::Cancelled => (Some(Step::new(Event::CancelAsked)), true),
            Stop::OutOfTime => {
                let event = if tries_left { Event::FailedForNow } else { Event::RanOutOfTime };
                (Some(Step::new(event).with_problem(out_of_time(&self.mart))), true)
            }
            Stop::Problem(problem) => (Some(failed(placed(problem, &self.mart), tries_left)), true),
            Stop::PublishFailed(problem) => {
                let never = problem.retry == Retry::Never;
                (Some(failed(problem, tries_left)), never)
            }
            Stop::Blocked => (None, true),
            Stop::Unknown(problem) => {
                let cause = "nobody could say whether its commit is in the log";
                (Some(Step::new(Event::ProcessDied).because(cause).with_problem(problem)), false)
            }
            Stop::Journal(error) => return Err(error),
        };
        if discard && let Err(problem) = self.executor.discard(&self.mart.id, attempt).await {
            tracing::warn!(mart = %self.mart.id, code = %problem.code, "staged files stay until vacuum: {}", problem.summary);
        }
        if let Some(step) = step {
            self.take(step).await?;
        }
        Ok(())
    }

    /// Awaits the engine, but no longer than the deadline and not past a cancel.
    async fn bounded<T>(
        &self,
        deadline: Option<Instant>,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Stop> {
        let out_of_time = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
            () = out_of_time => Err(Stop::OutOfTime),
            done = work => done.map_err(Stop::Problem),
        }
    }

    async fn take(&mut self, step: Step) -> Result<Option<Attempt>, FlowError> {
        self.journal.take(&mut self.standing, vec![step]).await
    }
}

/// A problem says at least in which file it is.
fn placed(problem: Problem, mart: &Mart) -> Problem {
    if problem.place.is_some() { problem } else { problem.at(mart.place.clone()) }
}

fn failed(problem: Problem, tries_left: bool) -> Step {
    let passing = match problem.retry {
        Retry::Later => tries_left,
        Retry::Never => false,
    };
    let event = if passing { Event::FailedForNow } else { Event::FailedForGood };
    Step::new(event).with_problem(problem)
}

fn out_of_time(mart: &Mart) -> Problem {
    let limit = mart.limits.timeout.unwrap_or_default();
    Problem::new("flow.timed_out", format!("mart {} took longer than its limit of {} s", mart.id, limit.as_secs()))
        .hint("Raise `limits: {timeout: …}` in its file, or make its query read less.")
        .at(mart.place.clone())
}

fn blocked_cause(blocking: &[&Verdict]) -> String {
    let one = |verdict: &Verdict| match verdict.outcome {
        Outcome::Error => format!("check {} could not run", verdict.check),
        Outcome::Block | Outcome::Warn | Outcome::Pass => {
            format!("check {} found {} rows", verdict.check, verdict.failing)
        }
    };
    blocking.iter().map(|verdict| one(verdict)).collect::<Vec<_>>().join("; ")
}

fn blocked_problem(mart: &Mart, blocking: &[&Verdict]) -> Problem {
    let mut lines = BTreeMap::new();
    for verdict in blocking {
        lines.insert(&verdict.check, verdict.detail.as_deref().unwrap_or_default());
    }
    let detail: Vec<String> = lines.iter().map(|(check, detail)| format!("{check}: {detail}")).collect();
    Problem::new("flow.check_failed", format!("mart {} was not published: its checks failed", mart.id))
        .detail(format!("{} The earlier table stays as it was.", detail.join(" ")))
        .hint("Mend the data or the mart, then `naru resume`.")
        .at(mart.place.clone())
}

fn verdict_row(staged: &Staged, verdict: &Verdict) -> VerdictRow {
    VerdictRow {
        mart: staged.mart.clone(),
        attempt: staged.attempt.0,
        check: verdict.check.clone(),
        severity: verdict.severity.word().to_owned(),
        outcome: verdict.outcome.word().to_owned(),
        failing: verdict.failing,
        detail: verdict.detail.clone(),
        sql: verdict.sql.clone(),
        sample: serde_json::to_string(&verdict.sample).unwrap_or_else(|_| "[]".to_owned()),
        elapsed_ms: verdict.elapsed_ms,
    }
}
