//! One's own sessions of browsers.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{failed, now, session_of};
use crate::{
    api::{Api, ApiProblem, views::time_text},
    signin::caller::{Caller, Via},
};

/// A browser that is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Its number.
    pub id: i64,
    /// When it signed in.
    pub created_at: String,
    /// When it was last used, to the minute.
    pub used_at: String,
    /// Where it signed in from.
    pub address: String,
    /// The browser, as it calls itself.
    pub client: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Browsers that are signed in, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// When this was read.
    pub as_of: String,
    /// The sessions.
    pub items: Vec<SessionView>,
}

/// One's own sessions.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "account",
    responses((status = 200, body = SessionList), (status = 401), (status = 403)))]
pub async fn list_sessions(State(api): State<Api>, caller: Caller) -> Result<Json<SessionList>, ApiProblem> {
    let sessions = api.signin.sessions().list(session_of(&caller)?).await.map_err(failed)?;
    let items = sessions.into_iter().map(|session| SessionView {
        current: caller.via == Via::Session { id: session.id },
        id: session.id,
        created_at: time_text(session.created_us),
        used_at: time_text(session.used_us),
        address: session.address,
        client: session.client,
    });
    Ok(Json(SessionList { as_of: now(), items: items.collect() }))
}

/// Ends one of one's own sessions.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "account", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub async fn end_session(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiProblem> {
    api.signin.sessions().end(session_of(&caller)?, id).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}
