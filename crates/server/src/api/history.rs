//! What the caller ran.
//!
//! Owns: `/api/v1/history`. Everybody sees their own; what others did stands in the audit, for those who may read it.

use axum::{
    Json,
    extract::{Query, State},
};
use naru_store::query_history::{self, Ran};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiProblem, queries::who, views::time_text};
use crate::signin::caller::Caller;

/// Runs of one page.
const PAGE_RUNS: u32 = 100;

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
struct Find {
    /// Text that stands in the SQL, in any case.
    #[serde(default)]
    find: String,
    /// The `next` of the page before.
    #[serde(default)]
    cursor: Option<i64>,
}

/// One run.
#[derive(Debug, Serialize, ToSchema)]
struct RanView {
    /// The query's id; its rows are there while they are kept.
    id: String,
    sql: String,
    state: String,
    created_at: String,
    /// How long it ran.
    elapsed_ms: u64,
    rows: Option<u64>,
    bytes_read: u64,
    problem_code: Option<String>,
}

/// Runs, the latest first.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryView {
    items: Vec<RanView>,
    /// Where the next page begins.
    next: Option<i64>,
}

fn view(ran: Ran) -> RanView {
    let us = ran.ended_us.saturating_sub(ran.started_us.unwrap_or(ran.ended_us));
    RanView {
        id: ran.id,
        sql: ran.sql,
        state: ran.state,
        created_at: time_text(ran.submitted_us),
        elapsed_ms: u64::try_from(us / 1000).unwrap_or(0),
        rows: ran.rows,
        bytes_read: ran.bytes_read,
        problem_code: ran.problem,
    }
}

/// The caller's runs.
#[utoipa::path(get, path = "/api/v1/history", tag = "queries", params(Find),
    responses((status = 200, body = HistoryView)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(Find { find, cursor }): Query<Find>,
) -> Result<Json<HistoryView>, ApiProblem> {
    let (who, before) = (who(&caller.principal), cursor.unwrap_or(i64::MAX));
    let found = api.queries.store.read(move |db| query_history::list(db, &who, &find, before, PAGE_RUNS + 1)).await;
    let mut found = found.map_err(|error| error.problem())?;
    let page = usize::try_from(PAGE_RUNS).unwrap_or(usize::MAX);
    let more = found.len() > page;
    found.truncate(page);
    let next = found.last().filter(|_| more).map(|last| last.submitted_us);
    Ok(Json(HistoryView { items: found.into_iter().map(view).collect(), next }))
}
