//! The texts in people's SQL tabs, kept on the server so that nothing is lost with a browser.
//!
//! Owns: the routes below `/api/v1/drafts`. A draft is there for its writer alone. Never runs anything.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use naru_base::{Problem, time::now_us};
use naru_store::drafts::{self, Draft};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiProblem,
    queries::{check_length, who},
    views::time_text,
};
use crate::signin::caller::Caller;

/// Tabs of one person.
const DRAFTS_MAX: usize = 200;
/// Characters of a title.
const TITLE_CHARACTERS_MAX: usize = 200;

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(change, remove))
}

/// A tab.
#[derive(Debug, Serialize, ToSchema)]
struct DraftView {
    id: String,
    title: String,
    sql: String,
    /// Its place among the tabs.
    position: i64,
    /// Counts changes; a change carries the one it was made on.
    revision: i64,
    /// Its last run.
    query: Option<String>,
    /// The saved query it was opened from.
    saved: Option<String>,
    updated_at: String,
}

/// All tabs, in order.
#[derive(Debug, Serialize, ToSchema)]
struct DraftsView {
    items: Vec<DraftView>,
}

/// A new tab.
#[derive(Debug, Deserialize, ToSchema)]
struct NewDraft {
    #[serde(default)]
    title: String,
    #[serde(default)]
    sql: String,
    #[serde(default)]
    position: i64,
    #[serde(default)]
    saved: Option<String>,
}

/// A tab as it shall be. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
struct ChangedDraft {
    /// The revision that was changed.
    revision: i64,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    position: Option<i64>,
    #[serde(default)]
    saved: Option<String>,
}

/// Somebody else, or another window, was faster.
#[derive(Debug, Serialize, ToSchema)]
struct DraftConflict {
    code: &'static str,
    summary: String,
    hint: String,
    retry: &'static str,
    /// As it stands now.
    current: DraftView,
}

fn view(draft: Draft) -> DraftView {
    DraftView {
        id: draft.id.to_string(),
        title: draft.title,
        sql: draft.sql,
        position: draft.position,
        revision: draft.revision,
        query: draft.query,
        saved: draft.saved.map(|saved| saved.to_string()),
        updated_at: time_text(draft.updated_us),
    }
}

fn unknown() -> ApiProblem {
    ApiProblem::not_found(Problem::new("draft.not_found", "there is no such draft"))
}

fn failed(error: naru_store::StoreError) -> ApiProblem {
    error.problem().into()
}

fn title(text: &str) -> String {
    text.chars().take(TITLE_CHARACTERS_MAX).collect()
}

/// The caller's tabs.
#[utoipa::path(get, path = "/api/v1/drafts", tag = "drafts", responses((status = 200, body = DraftsView)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<DraftsView>, ApiProblem> {
    let who = who(&caller.principal);
    let found = api.queries.store.read(move |db| drafts::list(db, &who)).await.map_err(failed)?;
    Ok(Json(DraftsView { items: found.into_iter().map(view).collect() }))
}

/// Opens a tab.
#[utoipa::path(post, path = "/api/v1/drafts", tag = "drafts", request_body = NewDraft,
    responses((status = 201, body = DraftView)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    Json(new): Json<NewDraft>,
) -> Result<(StatusCode, Json<DraftView>), ApiProblem> {
    check_length(&new.sql)?;
    let draft = Draft {
        id: 0,
        who: who(&caller.principal),
        title: title(&new.title),
        sql: new.sql,
        position: new.position,
        revision: 1,
        query: None,
        saved: new.saved.and_then(|saved| saved.parse().ok()),
        updated_us: now_us(),
    };
    let stored = api.queries.store.write(move |tx| {
        let full = drafts::list(tx, &draft.who)?.len() >= DRAFTS_MAX;
        if full { Ok(None) } else { drafts::insert(tx, &draft).map(Some) }
    });
    let stored = stored.await.map_err(failed)?.ok_or_else(|| {
        let problem = Problem::new("draft.too_many", format!("{DRAFTS_MAX} tabs are open"));
        ApiProblem::conflict(problem.hint("Close some, or save what you want to keep."))
    })?;
    Ok((StatusCode::CREATED, Json(view(stored))))
}

/// Changes a tab, unless it was changed elsewhere meanwhile.
#[utoipa::path(put, path = "/api/v1/drafts/{id}", tag = "drafts", params(("id" = String, Path)),
    request_body = ChangedDraft,
    responses((status = 200, body = DraftView), (status = 404, body = super::ProblemBody), (status = 409, body = DraftConflict)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Json(changed): Json<ChangedDraft>,
) -> Result<Response, ApiProblem> {
    check_length(changed.sql.as_deref().unwrap_or_default())?;
    let (id, who) = (id.parse::<i64>().map_err(|_| unknown())?, who(&caller.principal));
    let outcome = api.queries.store.write(move |tx| {
        let Some(now) = drafts::find(tx, &who, id)? else { return Ok(None) };
        let wanted = Draft {
            title: changed.title.as_deref().map_or_else(|| now.title.clone(), title),
            sql: changed.sql.unwrap_or_else(|| now.sql.clone()),
            position: changed.position.unwrap_or(now.position),
            saved: changed.saved.map_or(now.saved, |saved| saved.parse().ok()),
            revision: changed.revision,
            updated_us: now_us(),
            ..now.clone()
        };
        Ok(Some(drafts::update(tx, &wanted)?.ok_or(now)))
    });
    match outcome.await.map_err(failed)?.ok_or_else(unknown)? {
        Ok(stored) => Ok(Json(view(stored)).into_response()),
        Err(current) => Ok((StatusCode::CONFLICT, Json(conflict(current))).into_response()),
    }
}

fn conflict(current: Draft) -> DraftConflict {
    DraftConflict {
        code: "draft.changed",
        summary: "this draft was changed in another window".to_owned(),
        hint: "Take that text, or write yours over it.".to_owned(),
        retry: "never",
        current: view(current),
    }
}

/// Closes a tab.
#[utoipa::path(delete, path = "/api/v1/drafts/{id}", tag = "drafts", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = super::ProblemBody)))]
async fn remove(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, ApiProblem> {
    let (id, who) = (id.parse::<i64>().map_err(|_| unknown())?, who(&caller.principal));
    let removed = api.queries.store.write(move |tx| drafts::delete(tx, &who, id)).await.map_err(failed)?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}
