//! Blocks in Google Sheets: made, refreshed, forgotten.
//!
//! Owns: the routes for whoever shares, and one refresh from the query to the cells. For a naru that the internet cannot
//! reach: nothing comes in, naru alone calls out.

mod block;
mod google;
mod push;
mod schedule;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use naru_access::audit::{Deed, Door, Entry, Origin};
use naru_base::{Problem, time::now_us};
use naru_project::Schedule;
use naru_store::shares::{self, Sheet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Shares,
    links::{may_end, may_share},
};
use crate::{
    api::{
        Api, ApiProblem,
        permit::noted,
        queries::who,
        saved::{Can, find},
        views::{ProblemView, time_text},
    },
    signin::caller::Caller,
};

pub use google::{Google, GoogleSettings};

/// Rows of a block that says nothing of them, and of any block.
const ROWS: u64 = 10_000;
const ROWS_MAX: u64 = 200_000;
/// Characters of a tab's title, and of a spreadsheet's id.
const TITLE_CHARACTERS_MAX: usize = 100;
const ID_CHARACTERS_MAX: usize = 120;

/// A new block.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewSheet {
    /// The spreadsheet's address, or its id.
    spreadsheet: String,
    /// The title of the tab.
    sheet: String,
    /// Where the block begins; `A1` when absent.
    #[serde(default)]
    cell: Option<String>,
    /// Rows that it holds at most; 10,000 when absent.
    #[serde(default)]
    rows_max: Option<u64>,
    /// Cron in the project's zone; absent: only when asked.
    #[serde(default)]
    schedule: Option<String>,
}

/// A block.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SheetView {
    id: String,
    /// With whose rights it runs.
    sharer: String,
    spreadsheet: String,
    sheet: String,
    /// Row and column of its first cell, from 0.
    row: u64,
    column: u64,
    rows_max: u64,
    schedule: Option<String>,
    created_at: String,
    refreshed_at: Option<String>,
    rows: Option<u64>,
    rows_total: Option<u64>,
    /// Why the last refresh failed.
    problem: Option<ProblemView>,
}

/// Blocks of a saved query, and the address with which a spreadsheet is shared for naru to write into it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SheetsView {
    items: Vec<SheetView>,
    /// None where no account is set up.
    account: Option<String>,
}

fn view(sheet: Sheet) -> SheetView {
    SheetView {
        id: sheet.id.to_string(),
        sharer: sheet.sharer,
        spreadsheet: sheet.spreadsheet,
        sheet: sheet.sheet,
        row: sheet.at.0,
        column: sheet.at.1,
        rows_max: sheet.rows_max,
        schedule: Some(sheet.schedule).filter(|schedule| !schedule.is_empty()),
        created_at: time_text(sheet.created_us),
        refreshed_at: sheet.refreshed_us.map(time_text),
        rows: sheet.rows,
        rows_total: sheet.rows_total,
        problem: sheet.problem.as_deref().and_then(ProblemView::of_json),
    }
}

fn no_account() -> Problem {
    Problem::new("sheets.no_account", "naru has no account at Google").hint(
        "Make a service account in Google Cloud, switch on the Sheets API, and name its key file: `key` under [sheets] in naru.toml.",
    )
}

/// The id in a spreadsheet's address, or the id itself. It becomes a part of a path, so it is nothing but letters.
fn spreadsheet_id(text: &str) -> Option<String> {
    let id = match text.split_once("/spreadsheets/d/") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        None => text.trim(),
    };
    let letters = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    (letters && (1..=ID_CHARACTERS_MAX).contains(&id.len())).then(|| id.to_owned())
}

impl NewSheet {
    fn checked(self, shares: &Shares, saved: i64, caller: &Caller) -> Result<Sheet, Problem> {
        let spreadsheet = spreadsheet_id(&self.spreadsheet).ok_or_else(|| {
            Problem::new("sheets.address", "that is no address of a spreadsheet")
                .hint("It looks like https://docs.google.com/spreadsheets/d/…/edit.")
        })?;
        let at = self.cell.as_deref().map_or(Some((0, 0)), |cell| block::cell_at(cell.trim()));
        let at = at.ok_or_else(|| Problem::new("sheets.cell", "that is no cell").hint("Write B2, for example."))?;
        let schedule = self.schedule.unwrap_or_default().trim().to_owned();
        if !schedule.is_empty() {
            Schedule::parse(&schedule, &shares.inner.zone).map_err(|reason| {
                Problem::new("sheets.schedule", "that is no schedule")
                    .detail(reason)
                    .hint("`0 9 * * 1-5` is every workday at nine.")
            })?;
        }
        let title: String = self.sheet.chars().take(TITLE_CHARACTERS_MAX).collect();
        if title.trim().is_empty() {
            return Err(Problem::new("sheets.tab", "the tab's title is missing")
                .hint("It stands at the foot of the spreadsheet."));
        }
        let created_us = now_us();
        Ok(Sheet {
            id: 0,
            saved,
            who: who(&caller.principal),
            sharer: caller.principal.name().to_owned(),
            spreadsheet,
            sheet: title,
            at,
            rows_max: self.rows_max.unwrap_or(ROWS).clamp(1, ROWS_MAX),
            schedule,
            block: (0, 0),
            created_us,
            fired_us: created_us,
            refreshed_us: None,
            rows: None,
            rows_total: None,
            problem: None,
        })
    }
}

/// Shares a saved query into a block of a Google Sheet. Nothing is written until its first refresh.
#[utoipa::path(post, path = "/api/v1/saved/{id}/sheets", tag = "shares", params(("id" = String, Path)),
    request_body = NewSheet, responses((status = 201, body = SheetView), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<NewSheet>,
) -> Result<(StatusCode, Json<SheetView>), ApiProblem> {
    may_share(&caller)?;
    let (saved, _) = find(&api, &caller, &id, Can::View).await?;
    if api.shares.inner.google.is_none() {
        return Err(ApiProblem::conflict(no_account()));
    }
    let sheet = new.checked(&api.shares, saved.id, &caller)?;
    let what = format!("saved query {} ({}) into Google Sheet {}", saved.id, saved.name, sheet.spreadsheet);
    let doing = async {
        let stored =
            api.queries.store.write(move |tx| Ok(Sheet { id: shares::insert_sheet(tx, &sheet)?, ..sheet })).await;
        stored.map_err(|error| ApiProblem::from(error.problem()))
    };
    let sheet = noted(&api, &caller, Deed::Share, what, [], doing).await?;
    Ok((StatusCode::CREATED, Json(view(sheet))))
}

/// The blocks of a saved query: all for its owner, one's own for others.
#[utoipa::path(get, path = "/api/v1/saved/{id}/sheets", tag = "shares", params(("id" = String, Path)),
    responses((status = 200, body = SheetsView), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SheetsView>, ApiProblem> {
    let (saved, can) = find(&api, &caller, &id, Can::View).await?;
    let found = api.queries.store.read(move |db| shares::sheets(db, Some(saved.id))).await;
    let own = who(&caller.principal);
    let found = found.map_err(|error| error.problem())?.into_iter();
    let seen = found.filter(|sheet| can == Can::Own || sheet.who == own);
    let account = api.shares.inner.google.as_ref().map(|google| google.email().to_owned());
    Ok(Json(SheetsView { items: seen.map(view).collect(), account }))
}

fn unknown() -> ApiProblem {
    ApiProblem::not_found(Problem::new("share.not_found", "there is no such share"))
}

async fn own(api: &Api, caller: &Caller, id: &str) -> Result<Sheet, ApiProblem> {
    let number = id.parse::<i64>().map_err(|_| unknown())?;
    let found = api.queries.store.read(move |db| shares::find_sheet(db, number)).await;
    let sheet = found.map_err(|error| error.problem())?.ok_or_else(unknown)?;
    may_end(api, caller, &sheet.who, sheet.saved).await?;
    Ok(sheet)
}

/// Writes a block now, and answers when it is written.
#[utoipa::path(post, path = "/api/v1/sheets/{id}/refresh", tag = "shares", params(("id" = String, Path)),
    responses((status = 200, body = SheetView), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn refresh(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SheetView>, ApiProblem> {
    let sheet = own(&api, &caller, &id).await?;
    let shares = api.shares.clone();
    // Whoever asked may leave; the block is written to its end.
    let written = tokio::spawn(async move { shares.refresh(sheet.id).await }).await;
    written.map_err(|_| crate::api::queries::stopped())??;
    let found = api.queries.store.read(move |db| shares::find_sheet(db, sheet.id)).await;
    Ok(Json(view(found.map_err(|error| error.problem())?.ok_or_else(unknown)?)))
}

/// Forgets a block; its cells stay as they are.
#[utoipa::path(delete, path = "/api/v1/sheets/{id}", tag = "shares", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let sheet = own(&api, &caller, &id).await?;
    let doing = async {
        let done = api.queries.store.write(move |tx| shares::delete_sheet(tx, sheet.id)).await;
        done.map_err(|error| ApiProblem::from(error.problem()))
    };
    noted(&api, &caller, Deed::Share, format!("block {} forgotten", sheet.id), [], doing).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Shares {
    /// Runs a block's query as its sharer and writes the rows; one refresh of a block at a time.
    async fn refresh(&self, id: i64) -> Result<(), Problem> {
        let turn = self.turn(format!("sheet {id}"));
        let _turn = turn.lock().await;
        let store = &self.inner.queries.store;
        let found = store.read(move |db| shares::find_sheet(db, id)).await.map_err(|error| error.problem())?;
        let Some(sheet) = found else { return Ok(()) };
        let outcome = self.written(&sheet).await;
        if let Err(problem) = &outcome {
            let text = serde_json::to_string(problem).unwrap_or_default();
            let told = store.write(move |tx| shares::set_sheet_problem(tx, id, &text)).await;
            told.map_err(|error| error.problem())?;
        }
        outcome
    }

    async fn written(&self, sheet: &Sheet) -> Result<(), Problem> {
        let google = self.inner.google.as_ref().ok_or_else(no_account)?;
        let principal = self.sharer(&sheet.who).await?;
        let saved = self.shared(&principal, sheet.saved, &sheet.who, sheet.created_us).await?;
        let origin = Origin { door: Door::Share, address: None, client: "Google Sheets".to_owned() };
        let at_us = now_us();
        let place = self.inner.audit.place(&principal).await?;
        let mut entry = Entry::new(&principal, origin.clone(), Deed::Download);
        entry.detail = Some(format!("Google Sheet {}", sheet.spreadsheet));
        let pushed = async {
            let rows = self.run(principal.clone(), saved.sql, sheet.rows_max, origin).await?;
            let note = format!("refreshed {}", self.as_of(&rows, at_us));
            push::push(google, &self.inner.queries.store, sheet, &rows, note).await?;
            Ok(rows)
        };
        let outcome: Result<_, Problem> = pushed.await;
        if let Ok(rows) = &outcome {
            entry.rows = Some(rows.view.rows);
            entry.tables = rows.view.reads.iter().map(|read| read.table.clone()).collect();
        }
        place.fill(entry.outcome(&outcome));
        let rows = outcome?;
        let (id, kept, total) = (sheet.id, rows.view.rows, rows.view.rows_total.unwrap_or(rows.view.rows));
        let noted = self.inner.queries.store.write(move |tx| shares::set_refreshed(tx, id, at_us, kept, total)).await;
        noted.map_err(|error| error.problem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_is_named_by_its_address_or_its_id_and_nothing_else() {
        let address = "https://docs.google.com/spreadsheets/d/1AbC-d_9/edit?gid=0#gid=0";
        assert_eq!(spreadsheet_id(address).as_deref(), Some("1AbC-d_9"));
        assert_eq!(spreadsheet_id(" 1AbC ").as_deref(), Some("1AbC"));
        for text in ["", "../x", "a/b", "a?b", "https://docs.google.com/spreadsheets/d/"] {
            assert_eq!(spreadsheet_id(text), None, "{text}");
        }
    }
}
