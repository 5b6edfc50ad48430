//! What may be written at the cursor.
//!
//! Owns: the wire form of the warehouse's completions.

use axum::{Json, extract::State};
use naru_warehouse::editor::{CompletionKind, Place};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{check_length, views::PlaceInText};
use crate::{
    api::{Api, ApiProblem},
    signin::caller::Caller,
};

/// A text and the cursor in it, from 1.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Complete {
    sql: String,
    line: usize,
    column: usize,
}

/// One completion.
#[derive(Debug, Serialize, ToSchema)]
struct CompletionView {
    label: String,
    /// What replaces the text from `from` to the cursor.
    insert: String,
    /// `dataset`, `table`, `column`, `alias`, `cte`, `function` or `keyword`.
    kind: &'static str,
    /// A column's type, a function's signature.
    detail: Option<String>,
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CompletionsView {
    from: PlaceInText,
    items: Vec<CompletionView>,
    /// Whether there are more than these.
    more: bool,
}

fn word(kind: CompletionKind) -> &'static str {
    match kind {
        CompletionKind::Dataset => "dataset",
        CompletionKind::Table => "table",
        CompletionKind::Column => "column",
        CompletionKind::Alias => "alias",
        CompletionKind::Cte => "cte",
        CompletionKind::Function => "function",
        CompletionKind::Keyword => "keyword",
    }
}

/// What may stand at the cursor, among what the caller may see.
#[utoipa::path(post, path = "/api/v1/queries/complete", tag = "queries", request_body = Complete,
    responses((status = 200, body = CompletionsView)))]
pub(super) async fn complete(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<Complete>,
) -> Result<Json<CompletionsView>, ApiProblem> {
    check_length(&asked.sql)?;
    let cursor = Place { line: asked.line, column: asked.column };
    let found = api.queries.completer.complete(&caller.principal, &asked.sql, cursor).await;
    let found = found.map_err(|error| error.problem())?;
    let items = found.items.into_iter().map(|item| CompletionView {
        label: item.label,
        insert: item.insert,
        kind: word(item.kind),
        detail: item.detail,
    });
    Ok(Json(CompletionsView { from: found.from.into(), items: items.collect(), more: found.more }))
}
