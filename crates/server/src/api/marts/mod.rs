//! Marts and their runs for the console, the CLI and other programs.
//!
//! Owns: the port to what runs marts, the routes, and who may ask for what. What a mart or a run looks like is in
//! [`views`], what an action would do in [`plans`]. Never runs a mart by itself.
//!
//! A mart that the caller may not see is not there: it is left out of lists, graphs and runs, and asking for it gives
//! the answer for a name that does not exist. A run of which the caller may see no mart does not exist either.

mod actions;
mod follow;
mod plans;
mod read;
mod views;

use std::sync::Arc;

use naru_access::{Action, Visible};
use naru_base::{Problem, RunId, TableId};
use naru_flow::{Flow, FlowError, Graph};
use naru_store::Store;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiProblem, permit::permit};
use crate::signin::caller::Caller;

/// What the marts' pages need of the running naru.
pub trait MartsPort: Send + Sync {
    /// Runs of marts.
    fn flow(&self) -> &Flow;
    /// The state database.
    fn store(&self) -> &Store;
    /// The graph as last read.
    fn graph(&self) -> Arc<Graph>;
    /// The graph of the files as they stand now.
    ///
    /// # Errors
    /// The first mistake in a file.
    fn graph_now(&self) -> Result<Arc<Graph>, Problem>;
    /// Why the files as they stand now are not what runs go by; empty when they are.
    fn wrong(&self) -> Vec<Problem>;
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(read::marts))
        .routes(routes!(read::mart))
        .routes(routes!(read::runs))
        .routes(routes!(read::run))
        .routes(routes!(follow::follow_run))
        .routes(routes!(follow::follow_marts))
        .routes(routes!(actions::run_marts))
        .routes(routes!(actions::resume))
        .routes(routes!(actions::cancel))
        .routes(routes!(actions::roll_back))
        .routes(routes!(actions::pause))
}

/// What a caller may do at this moment.
fn visible(api: &Api, caller: &Caller) -> Arc<Visible> {
    api.policy.now().visible(&caller.principal)
}

/// A mart that the caller may act on so.
fn allowed(api: &Api, caller: &Caller, action: Action, mart: &TableId) -> Result<(), ApiProblem> {
    let decision = api.policy.now().decide(&caller.principal, action, mart);
    permit(decision, || no_such_mart(mart))
}

/// The answer for a mart that does not exist, in the words of `naru run`.
fn no_such_mart(mart: impl std::fmt::Display) -> Problem {
    Problem::new("flow.no_such_mart", format!("no mart is named {mart}")).hint("`naru graph` lists all marts.")
}

fn mart_id(text: &str) -> Result<TableId, ApiProblem> {
    text.parse().map_err(|_| ApiProblem::from(no_such_mart(text)))
}

fn flow_problem(error: &FlowError) -> ApiProblem {
    let problem = error.problem();
    match error {
        FlowError::Busy { .. } | FlowError::GoingOn { .. } | FlowError::NothingToResume | FlowError::Older { .. } => {
            ApiProblem::conflict(problem)
        }
        _ => ApiProblem::from(problem),
    }
}

fn no_such_run(run: i64) -> ApiProblem {
    flow_problem(&FlowError::NoSuchRun { run: RunId(run) })
}
