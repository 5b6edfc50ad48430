//! What can go wrong with a run as a whole. What goes wrong with one mart is a problem on that mart.
//!
//! Owns: [`FlowError`] and its one translation into [`Problem`].

use naru_base::{Problem, RunId, TableId};
use naru_store::StoreError;

/// An error of the flow.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The state database failed; what was being recorded may be lost, and the run stops.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A selection that means nothing, or an engine that refused.
    #[error("{}", .0.summary)]
    Refused(Problem),
    /// A mart is already being built.
    #[error("mart {mart} is being built by run {run}")]
    Busy {
        /// The mart.
        mart: TableId,
        /// By whom.
        run: RunId,
    },
    /// There is no such run.
    #[error("there is no run {run}")]
    NoSuchRun {
        /// As asked for.
        run: RunId,
    },
    /// The mart has no part in the run.
    #[error("mart {mart} has no part in run {run}")]
    NotInRun {
        /// The mart.
        mart: TableId,
        /// The run.
        run: RunId,
    },
    /// Nothing is left to do.
    #[error("there is nothing to resume")]
    NothingToResume,
    /// What the run would publish is older than what is published.
    #[error("run {run} is older than what is published of mart {mart}")]
    Older {
        /// The run.
        run: RunId,
        /// The first of its marts that a newer run has published.
        mart: TableId,
        /// That newer run.
        newer: RunId,
        /// How many more of its marts newer runs have published.
        more: usize,
        /// What it has left to do, as words of `naru run`.
        left: String,
    },
    /// The run has not ended.
    #[error("run {run} is going on")]
    GoingOn {
        /// The run.
        run: RunId,
    },
    /// No marts were selected.
    #[error("there is no mart to run")]
    NoMarts,
    /// A stored value that this software cannot read.
    #[error("run {run} holds an unreadable {what}")]
    Unreadable {
        /// The run.
        run: RunId,
        /// Which value.
        what: &'static str,
    },
    /// A mart is not where this process left it: another process writes the same state database.
    #[error("mart {mart} of run {run} was moved by someone else")]
    Stale {
        /// The mart.
        mart: TableId,
        /// The run.
        run: RunId,
    },
    /// The process is stopping.
    #[error("naru is stopping")]
    Stopping,
}

impl FlowError {
    /// The error as every surface prints it.
    pub fn problem(&self) -> Problem {
        let summary = self.to_string();
        match self {
            Self::Store(error) => error.problem(),
            Self::Refused(problem) => problem.clone(),
            Self::Busy { .. } => {
                Problem::new("flow.busy", summary).hint("Wait for it, or stop it where it was started.").later()
            }
            Self::NoSuchRun { .. } | Self::NotInRun { .. } => {
                Problem::new("flow.no_such_run", summary).hint("`naru status` shows the latest runs.")
            }
            Self::NothingToResume => Problem::new("flow.nothing_to_resume", summary)
                .detail("The latest run went well and no mart of it was edited since.")
                .hint("`naru run` starts a new one."),
            Self::Older { run, newer, more, left, .. } => Problem::new("flow.older_run", summary)
                .detail(format!(
                    "It reads its inputs as they were when it began, and run {newer} began later{}.",
                    match more {
                        0 => String::new(),
                        more => format!("; so it is with {more} more of its marts"),
                    }
                ))
                .hint(format!(
                    "`naru run {left}` builds what it left undone as of now. `naru resume {run} --older` publishes the older results all the same."
                )),
            Self::GoingOn { .. } => Problem::new("flow.going_on", summary).hint("Wait for it, or cancel it.").later(),
            Self::NoMarts => {
                Problem::new("flow.no_marts", summary).hint("Write a SELECT into marts/<dataset>/<table>.sql.")
            }
            Self::Unreadable { .. } => Problem::new("flow.unreadable", summary)
                .detail("The state database was changed by hand or is damaged.")
                .hint("`naru run` starts a new run."),
            Self::Stale { .. } => Problem::new("flow.stale", summary)
                .detail("Two processes run marts of one project folder.")
                .hint("Stop one of them; the project's lock should have kept it out."),
            Self::Stopping => Problem::new("flow.stopping", summary).later(),
        }
    }
}
