//! Mistakes while somebody writes, and what the statement at the cursor would read.
//!
//! Owns: the wire form of the warehouse's check.

use axum::{Json, extract::State};
use naru_warehouse::{
    SessionOptions,
    editor::{Mistake, Place},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ColumnView, check_length, views::PlaceInText};
use crate::{
    api::{Api, ApiProblem},
    signin::caller::Caller,
};

impl From<Place> for PlaceInText {
    fn from(place: Place) -> Self {
        Self { line: place.line, column: place.column }
    }
}

impl From<PlaceInText> for Place {
    fn from(place: PlaceInText) -> Self {
        Self { line: place.line, column: place.column }
    }
}

/// A text to be checked.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Check {
    /// The whole text.
    sql: String,
    /// Where the cursor is; the end when absent.
    #[serde(default)]
    cursor: Option<PlaceInText>,
}

/// A statement's place; its end is behind its last character.
#[derive(Debug, Serialize, ToSchema)]
struct StatementView {
    start: PlaceInText,
    end: PlaceInText,
}

/// One mistake.
#[derive(Debug, Serialize, ToSchema)]
struct MistakeView {
    code: String,
    summary: String,
    detail: Option<String>,
    hint: Option<String>,
    /// Where it begins.
    start: Option<PlaceInText>,
    /// Where the word at fault ends.
    end: Option<PlaceInText>,
    /// What may have been meant instead of the word.
    instead: Option<String>,
}

/// What the statement at the cursor would read at most.
#[derive(Debug, Serialize, ToSchema)]
struct EstimateView {
    bytes: Option<u64>,
    rows: Option<u64>,
    tables: Vec<String>,
}

/// What a text looks like.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckedView {
    statements: Vec<StatementView>,
    /// Position of the statement at the cursor.
    at_cursor: Option<usize>,
    problems: Vec<MistakeView>,
    estimate: Option<EstimateView>,
    columns: Option<Vec<ColumnView>>,
}

fn mistake(mistake: Mistake) -> MistakeView {
    let problem = mistake.problem;
    MistakeView {
        code: problem.code.into_owned(),
        summary: problem.summary,
        detail: problem.detail,
        hint: problem.hint,
        start: mistake.start.map(PlaceInText::from),
        end: mistake.end.map(PlaceInText::from),
        instead: mistake.instead,
    }
}

/// Plans a text without running it: mistakes with their places, the columns and the cost of the statement at the cursor.
#[utoipa::path(post, path = "/api/v1/queries/check", tag = "queries", request_body = Check,
    responses((status = 200, body = CheckedView)))]
pub(super) async fn check(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<Check>,
) -> Result<Json<CheckedView>, ApiProblem> {
    check_length(&asked.sql)?;
    let session = api.warehouse.session(SessionOptions::of(caller.principal)).map_err(|error| error.problem())?;
    let checked = session.check(&asked.sql, asked.cursor.map(Place::from)).await;
    Ok(Json(CheckedView {
        statements: checked
            .statements
            .iter()
            .map(|statement| StatementView { start: statement.start.into(), end: statement.end.into() })
            .collect(),
        at_cursor: checked.at_cursor,
        problems: checked.mistakes.into_iter().map(mistake).collect(),
        estimate: checked.estimate.map(|estimate| EstimateView {
            bytes: estimate.bytes,
            rows: estimate.rows,
            tables: estimate.tables.iter().map(ToString::to_string).collect(),
        }),
        columns: checked.columns.as_ref().map(ColumnView::all),
    }))
}
