//! Running, resuming, cancelling, rolling back and pausing marts.
//!
//! Owns: the routes that change something. Each says what it would do with `dry_run`, and does only what the caller may
//! do: running needs the right to edit every mart that is built, pausing a schedule the right to own it.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use naru_access::{Action, audit::Deed};
use naru_base::{RunId, TableId, time::now_us};
use naru_flow::{
    Graph, grid,
    pause::Pause,
    rollback::Rollback,
    run::{Reason, Request},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{allowed, flow_problem, mart_id, no_such_mart, no_such_run, plans::Plan, read::look, visible};
use crate::{
    api::{Api, ApiProblem, permit::noted},
    signin::caller::Caller,
};

/// Which marts shall be built.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AskRun)]
pub struct RunAsked {
    /// `dataset.table`, `+dataset.table` (and what it reads), `dataset.table+` (and what reads it), `dataset.*`; all
    /// when empty.
    #[serde(default)]
    pub marts: Vec<String>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the history.
    #[serde(default)]
    pub why: Option<String>,
}

/// How a run shall be gone on with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = AskResume)]
pub struct ResumeAsked {
    /// Publish its results although newer runs have published newer ones.
    #[serde(default)]
    pub older: bool,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a mart shall be rolled back to.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AskRollback)]
pub struct RollbackAsked {
    /// The run whose result is wanted; the one before what is live when missing.
    #[serde(default)]
    pub to: Option<i64>,
    /// Why, for the history.
    #[serde(default)]
    pub why: Option<String>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// Whether a mart's schedule shall wait.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AskPause)]
pub struct PauseAsked {
    /// True to stop it, false to let it go on with its next time.
    pub paused: bool,
    /// Why, for those who find it stopped.
    #[serde(default)]
    pub why: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunCancelled)]
pub struct Cancelled {
    /// Whether the run was going on; what is being committed is finished first.
    pub cancelled: bool,
}

/// A schedule after the change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleState)]
pub struct Paused {
    /// Whether it waits.
    pub paused: bool,
}

/// Every one of these marts may be run by the caller.
fn may_run(api: &Api, caller: &Caller, marts: &BTreeSet<TableId>) -> Result<(), ApiProblem> {
    marts.iter().try_for_each(|mart| allowed(api, caller, Action::Run, mart))
}

async fn plan(api: &Api, caller: &Caller, graph: &Arc<Graph>, marts: &BTreeSet<TableId>) -> Result<Plan, ApiProblem> {
    let (port, visible) = (api.ports.marts(), visible(api, caller));
    let lines = grid::lines(port.store(), graph, |id| marts.contains(id), grid::MEDIAN_OF, Timestamp::now()).await;
    let lines = lines.map_err(|error| flow_problem(&error))?;
    Ok(Plan::of(port.flow(), graph, marts, &lines, |id| visible.table(id)))
}

/// The marts that the words mean for this caller: those that are not there for them are in no pattern.
fn select(api: &Api, caller: &Caller, graph: &Graph, words: &[String]) -> Result<BTreeSet<TableId>, ApiProblem> {
    let visible = visible(api, caller);
    let mut selected = BTreeSet::new();
    let all = [String::from("*")];
    for word in if words.is_empty() { &all } else { words } {
        let meant = graph.select_seen(std::slice::from_ref(word), |id| visible.table(id));
        selected.extend(meant.map_err(ApiProblem::from)?);
    }
    Ok(selected)
}

fn by(caller: &Caller) -> String {
    caller.principal.name().to_owned()
}

/// Builds marts now, in order; or says what that would be.
#[utoipa::path(post, path = "/api/v1/marts/run", operation_id = "post_marts_run", tag = "marts", request_body = RunAsked,
    responses((status = 200, body = Plan), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn run_marts(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<RunAsked>,
) -> Result<Json<Plan>, ApiProblem> {
    let port = api.ports.marts();
    let graph = port.graph_now().map_err(ApiProblem::from)?;
    let marts = select(&api, &caller, &graph, &asked.marts)?;
    may_run(&api, &caller, &marts)?;
    let mut plan = plan(&api, &caller, &graph, &marts).await?;
    if !asked.dry_run {
        let words = asked.marts.join(" ");
        let what = format!("mart.run {words}");
        let request =
            Request { reason: Reason::Manual, words, by: Some(by(&caller)), why: asked.why, marts: marts.clone() };
        let start = async { port.flow().start(graph, request).await.map_err(|error| flow_problem(&error)) };
        let handle = noted(&api, &caller, Deed::Run, what, marts, start).await?;
        plan.run = Some(handle.run.0);
        plan.begun = true;
    }
    Ok(Json(plan))
}

/// Goes on with a run: what did not get done or was edited since, and below it; or says what that would be.
#[utoipa::path(post, path = "/api/v1/runs/{run}/resume", operation_id = "post_runs_run_resume", tag = "marts", params(("run" = i64, Path)),
    request_body = ResumeAsked, responses((status = 200, body = Plan), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Path(run): Path<i64>,
    Json(asked): Json<ResumeAsked>,
) -> Result<Json<Plan>, ApiProblem> {
    let visible = visible(&api, &caller);
    look(&api, &visible, run).await?;
    let (port, number) = (api.ports.marts(), RunId(run));
    let graph = port.graph_now().map_err(ApiProblem::from)?;
    let would = port.flow().would_resume(&graph, Some(number), asked.older).await;
    let (_, marts) = would.map_err(|error| flow_problem(&error))?;
    if marts.iter().any(|mart| !visible.table(mart)) {
        // Which of them is not there for the caller would tell that it is there.
        return Err(no_such_run(run));
    }
    may_run(&api, &caller, &marts)?;
    let mut plan = plan(&api, &caller, &graph, &marts).await?;
    plan.run = Some(run);
    if !asked.dry_run {
        let flow = port.flow();
        let resume = async {
            let begun = if asked.older {
                flow.resume_over_newer(graph, Some(number)).await
            } else {
                flow.resume(graph, Some(number)).await
            };
            begun.map_err(|error| flow_problem(&error))
        };
        noted(&api, &caller, Deed::Run, format!("run.resume {run}"), marts, resume).await?;
        plan.begun = true;
    }
    Ok(Json(plan))
}

/// Asks a run to stop; `resume` goes on with it.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", operation_id = "post_runs_run_cancel", tag = "marts", params(("run" = i64, Path)),
    responses((status = 200, body = Cancelled), (status = 403), (status = 404)))]
pub(super) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Path(run): Path<i64>,
) -> Result<Json<Cancelled>, ApiProblem> {
    let seen = look(&api, &visible(&api, &caller), run).await?;
    if !seen.may_run {
        for node in &seen.nodes {
            allowed(&api, &caller, Action::Run, &mart_id(&node.mart)?)?;
        }
        // Something of the run is not there for the caller, who cannot decide about it.
        return Err(no_such_run(run));
    }
    let marts: Vec<TableId> = seen.nodes.iter().filter_map(|node| node.mart.parse().ok()).collect();
    let cancel = async { Ok(api.ports.marts().flow().cancel(RunId(run))) };
    let cancelled = noted(&api, &caller, Deed::Run, format!("run.cancel {run}"), marts, cancel).await?;
    Ok(Json(Cancelled { cancelled }))
}

/// Publishes an earlier result of a mart again; or says what that would be.
#[utoipa::path(post, path = "/api/v1/marts/{mart}/rollback", operation_id = "post_marts_mart_rollback", tag = "marts", params(("mart" = String, Path)),
    request_body = RollbackAsked,
    responses((status = 200, body = Plan), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn roll_back(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Json(asked): Json<RollbackAsked>,
) -> Result<Json<Plan>, ApiProblem> {
    let mart = mart_id(&name)?;
    allowed(&api, &caller, Action::Run, &mart)?;
    let port = api.ports.marts();
    let graph = port.graph_now().map_err(ApiProblem::from)?;
    let to = asked.to.map(RunId);
    let would = port.flow().would_roll_back(&graph, &mart, to).await;
    let (target, rows) = would.map_err(|error| flow_problem(&error))?;
    let mut plan = plan(&api, &caller, &graph, &BTreeSet::from([mart.clone()])).await?;
    (plan.rolled_to, plan.rows) = (Some(target.0), rows);
    if !asked.dry_run {
        let rollback = Rollback { to: Some(target), by: Some(by(&caller)), why: asked.why };
        let begin = async { port.flow().rollback(&graph, &mart, rollback).await.map_err(|error| flow_problem(&error)) };
        let what = format!("mart.rollback {mart} to run {target}");
        plan.run = Some(noted(&api, &caller, Deed::Run, what, [mart.clone()], begin).await?.run.0);
        plan.begun = true;
    }
    Ok(Json(plan))
}

/// Stops a mart's schedule, or lets it go on with its next time.
#[utoipa::path(post, path = "/api/v1/marts/{mart}/pause", operation_id = "post_marts_mart_pause", tag = "marts", params(("mart" = String, Path)),
    request_body = PauseAsked, responses((status = 200, body = Paused), (status = 403), (status = 404)))]
pub(super) async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Json(asked): Json<PauseAsked>,
) -> Result<Json<Paused>, ApiProblem> {
    let mart = mart_id(&name)?;
    allowed(&api, &caller, Action::Operate, &mart)?;
    let port = api.ports.marts();
    let graph = port.graph();
    graph.mart(&mart).ok_or_else(|| ApiProblem::from(no_such_mart(&mart)))?;
    let what = format!("mart.{} {mart}", if asked.paused { "pause" } else { "unpause" });
    let change = async {
        let done = if asked.paused {
            let pause = Pause { by: Some(by(&caller)), why: asked.why, at_us: now_us() };
            port.flow().pause(&graph, &mart, pause).await
        } else {
            port.flow().unpause(&graph, &mart, Timestamp::now()).await
        };
        done.map_err(|error| flow_problem(&error))
    };
    noted(&api, &caller, Deed::Operate, what, [mart.clone()], change).await?;
    Ok(Json(Paused { paused: asked.paused }))
}
