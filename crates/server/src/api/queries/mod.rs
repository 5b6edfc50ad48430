//! Queries as jobs: submit, watch, page, cancel, download; and what an editor asks while SQL is written.
//!
//! Owns: [`Queries`] (what these routes and those of drafts, saved queries, history and shares have in common), the
//! routes below `/api/v1/queries`. A job is there for whoever asked for it; for everybody else there is none. Never
//! decides who may see a table: that is the warehouse's, for every statement.

pub(super) mod body;
mod check;
mod complete;
mod download;
mod ended;
mod tree;
mod views;

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::sse::{Event, Sse},
};
use futures::{Stream, stream};
use naru_access::Principal;
use naru_base::Problem;
use naru_store::{Store, drafts};
use naru_warehouse::{
    Warehouse,
    editor::Completer,
    jobs::{JobError, JobId, JobSettings, Jobs, Listener, NewJob},
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use views::{ColumnView, QueryView, RowsView};

use super::{Api, ApiProblem, frame::events};
use crate::signin::caller::Caller;

/// Rows of one page, at most.
const PAGE_ROWS_MAX: u64 = 5_000;
/// Rows of a page that says nothing of its size.
const PAGE_ROWS: u64 = 500;
/// How often whoever watches a job hears how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(400);
/// Bytes of a text of SQL.
const SQL_BYTES_MAX: usize = 512 << 10;

/// What queries, drafts, saved queries, history and shares have in common. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    /// The jobs.
    pub jobs: Jobs,
    /// Names for completion.
    pub completer: Completer,
    /// Where drafts, saved queries, history and shares are kept.
    pub store: Store,
    /// Whether whoever downloads a result has to say why.
    pub ask_why: bool,
}

impl Queries {
    /// Finds earlier results again and takes queries from now on.
    ///
    /// # Errors
    /// The folder of results cannot be used.
    pub fn open(warehouse: Warehouse, store: Store, settings: JobSettings, ask_why: bool) -> Result<Self, Problem> {
        let heard = Arc::new(ended::History::new(store.clone()));
        let jobs = Jobs::open(warehouse.clone(), settings, Some(heard)).map_err(|error| error.problem())?;
        Ok(Self { jobs, completer: Completer::new(warehouse), store, ask_why })
    }
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(submit))
        .routes(routes!(check::check))
        .routes(routes!(complete::complete))
        .routes(routes!(tree::tree))
        .routes(routes!(tree::table))
        .routes(routes!(show))
        .routes(routes!(rows))
        .routes(routes!(watch))
        .routes(routes!(cancel))
        .routes(routes!(download::download))
}

/// An error of a job with its status.
pub(super) fn failed(error: JobError) -> ApiProblem {
    let status = match &error {
        JobError::NotFound => StatusCode::NOT_FOUND,
        JobError::Gone => StatusCode::GONE,
        JobError::NotFinished => StatusCode::CONFLICT,
        JobError::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        JobError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiProblem(error.problem(), status)
}

/// Reads an id; one that is none is as unknown as one that is nobody's.
pub(super) fn job_id(text: &str) -> Result<JobId, ApiProblem> {
    text.parse().map_err(|_| failed(JobError::NotFound))
}

/// Whose a draft, a saved query or a run is: the word under which the store knows them.
pub(super) fn who(principal: &Principal) -> String {
    naru_warehouse::jobs::who(principal)
}

pub(super) fn check_length(sql: &str) -> Result<(), ApiProblem> {
    if sql.len() <= SQL_BYTES_MAX {
        return Ok(());
    }
    let problem =
        Problem::new("query.too_long", "the text is longer than 512 KiB").hint("Put the values into a table.");
    Err(ApiProblem(problem, StatusCode::PAYLOAD_TOO_LARGE))
}

/// What is to be run.
#[derive(Debug, Deserialize, ToSchema)]
struct Submit {
    /// One or more statements; the last one with rows is the answer.
    sql: String,
    /// The tab it is run in: a run of the same tab that still goes on is cancelled first. The draft's id, or any word.
    #[serde(default)]
    draft: Option<String>,
    /// Dataset of table names without one.
    #[serde(default)]
    dataset: Option<String>,
    /// Keep at most so many rows.
    #[serde(default)]
    rows_max: Option<u64>,
}

/// Runs SQL as the caller.
#[utoipa::path(post, path = "/api/v1/queries", tag = "queries", request_body = Submit,
    responses((status = 202, body = QueryView), (status = 429, body = super::ProblemBody)))]
async fn submit(
    State(api): State<Api>,
    caller: Caller,
    Json(submit): Json<Submit>,
) -> Result<(StatusCode, Json<QueryView>), ApiProblem> {
    check_length(&submit.sql)?;
    let new = NewJob {
        sql: submit.sql,
        principal: caller.principal.clone(),
        origin: Some(caller.origin()),
        tab: submit.draft.clone(),
        default_dataset: submit.dataset,
        rows_max: submit.rows_max,
        attended: true,
    };
    let view = api.queries.jobs.submit(new).map_err(failed)?;
    if let Some(draft) = submit.draft.and_then(|draft| draft.parse::<i64>().ok()) {
        let (who, query) = (who(&caller.principal), view.id.to_string());
        let kept = api.queries.store.write(move |tx| drafts::set_query(tx, &who, draft, &query)).await;
        kept.map_err(|error| error.problem())?;
    }
    Ok((StatusCode::ACCEPTED, Json(QueryView::of(&view))))
}

/// A query as it stands. Asking counts as looking at it: one at which nobody looks for five minutes is cancelled.
#[utoipa::path(get, path = "/api/v1/queries/{id}", tag = "queries", params(("id" = String, Path)),
    responses((status = 200, body = QueryView), (status = 404, body = super::ProblemBody)))]
async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<QueryView>, ApiProblem> {
    let view = api.queries.jobs.view(&caller.principal, &job_id(&id)?).map_err(failed)?;
    Ok(Json(QueryView::of(&view)))
}

/// Where a page begins and how long it is.
#[derive(Debug, Deserialize, IntoParams)]
struct PageOf {
    /// The first row, from 0.
    #[serde(default)]
    from: u64,
    /// How many rows; 500 when absent, at most 5000.
    #[serde(default)]
    count: Option<u64>,
}

/// Rows of a query, also while it runs: the whole result is addressable.
#[utoipa::path(get, path = "/api/v1/queries/{id}/rows", tag = "queries", params(("id" = String, Path), PageOf),
    responses((status = 200, body = RowsView), (status = 404, body = super::ProblemBody), (status = 410, body = super::ProblemBody)))]
async fn rows(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<PageOf>,
) -> Result<Json<RowsView>, ApiProblem> {
    let id = job_id(&id)?;
    let count = page.count.unwrap_or(PAGE_ROWS).min(PAGE_ROWS_MAX);
    let (jobs, principal) = (api.queries.jobs.clone(), caller.principal);
    let read = tokio::task::spawn_blocking(move || {
        let found = jobs.page(&principal, &id, page.from, count).map_err(failed)?;
        RowsView::of(page.from, &found)
    });
    read.await.map_err(|_| ApiProblem::from(stopped()))?.map(Json)
}

pub(super) fn stopped() -> Problem {
    Problem::new("query.stopped", "the request was broken off because naru stops").later()
}

/// States of a query until its end; who joins again hears the present one first.
#[utoipa::path(get, path = "/api/v1/queries/{id}/events", tag = "queries", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = QueryView), (status = 404, body = super::ProblemBody)))]
async fn watch(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiProblem> {
    let listener = api.queries.jobs.listen(&caller.principal, &job_id(&id)?).map_err(failed)?;
    Ok(events::states(states(listener)))
}

/// The present state at once, then whenever it changes or time has passed; ends behind the last one.
fn states(listener: Listener) -> impl Stream<Item = QueryView> + Send + 'static {
    stream::unfold(Some((listener, false)), async |state| {
        let (mut listener, told) = state?;
        if told {
            tokio::select! {
                () = listener.changed() => {}
                () = tokio::time::sleep(PROGRESS_EVERY) => {}
            }
        }
        let view = listener.view().ok()?;
        let next = (!view.state.ended()).then_some((listener, true));
        Some((QueryView::of(&view), next))
    })
}

/// Cancels a query, down to the engine. One that has ended stays as it is.
#[utoipa::path(post, path = "/api/v1/queries/{id}/cancel", tag = "queries", params(("id" = String, Path)),
    responses((status = 200, body = QueryView), (status = 404, body = super::ProblemBody)))]
async fn cancel(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<QueryView>, ApiProblem> {
    let id = job_id(&id)?;
    api.queries.jobs.cancel(&caller.principal, &id).map_err(failed)?;
    let view = api.queries.jobs.view(&caller.principal, &id).map_err(failed)?;
    Ok(Json(QueryView::of(&view)))
}
