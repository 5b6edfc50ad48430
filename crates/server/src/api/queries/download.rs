//! A whole result as a file.
//!
//! Owns: which files there are, and the refusals before the first byte: a result that is not the whole answer, a sheet
//! that would be too short, a reason that the project asks for.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use naru_access::audit::{Deed, Entry};
use naru_base::Problem;
use naru_warehouse::{
    jobs::Finished,
    output::{Format, OutputError, SHEET_ROWS_MAX, SheetFormat},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    body::{self, Kind},
    failed, job_id, stopped,
};
use crate::{
    api::{Api, ApiProblem},
    signin::caller::Caller,
};

/// Characters of a reason.
const REASON_CHARACTERS_MAX: usize = 500;

/// Which file.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Download {
    /// `csv`, `xlsx`, `parquet`, `json` or `ndjson`.
    format: String,
    /// For programs: CSV without a byte-order mark, and with text that begins like a formula left as it is.
    #[serde(default)]
    plain: bool,
    /// What the file is called.
    #[serde(default)]
    name: Option<String>,
    /// `kept`: the rows that are kept, where they are not all. The file's name says so.
    #[serde(default)]
    part: Option<String>,
    /// Why, where the project asks for it.
    #[serde(default)]
    reason: Option<String>,
}

impl Download {
    fn kind(&self) -> Result<Kind, Problem> {
        Ok(match self.format.parse::<Format>()? {
            Format::Csv if !self.plain => Kind::Sheet(SheetFormat::Csv { bom: true }),
            Format::Xlsx => Kind::Sheet(SheetFormat::Xlsx),
            format => Kind::Plain(format),
        })
    }
}

/// The whole result as a file. A file is whole or the connection breaks.
#[utoipa::path(get, path = "/api/v1/queries/{id}/download", tag = "queries", params(("id" = String, Path), Download),
    responses((status = 200, content_type = "application/octet-stream"), (status = 409, body = crate::api::ProblemBody)))]
pub(super) async fn download(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<Download>,
) -> Result<Response, ApiProblem> {
    let kind = asked.kind()?;
    let reason = reason(&api, &asked)?;
    let (jobs, principal, id) = (api.queries.jobs.clone(), caller.principal.clone(), job_id(&id)?);
    let found = tokio::task::spawn_blocking(move || jobs.finished(&principal, &id));
    let rows = found.await.map_err(|_| stopped())?.map_err(failed)?;
    let name = name(&rows, &asked)?;
    check_sheet(&rows, kind)?;
    let place = api.audit.place(&caller.principal).await?;
    let tables: Vec<_> = rows.view.reads.iter().map(|read| read.table.clone()).collect();
    let mut entry = Entry::new(&caller.principal, caller.origin(), Deed::Download).tables(tables);
    entry.detail = Some(format!("query {} as {}", rows.view.id, asked.format));
    (entry.sql, entry.rows, entry.reason) = (Some(rows.view.sql.clone()), Some(rows.view.rows), reason);
    let (count, complete) = (rows.view.rows, rows.view.complete());
    let sent = move |outcome: Result<u64, Problem>| {
        entry.bytes = outcome.as_ref().ok().copied();
        place.fill(entry.outcome(&outcome));
    };
    let body = body::file(rows, kind, None, sent).await?;
    let (ending, media) = kind.words();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CONTENT_DISPOSITION, body::attachment(&body::file_name(&name, ending))),
        (HeaderName::from_static("x-naru-rows"), HeaderValue::from(count)),
        (HeaderName::from_static("x-naru-complete"), HeaderValue::from_static(if complete { "true" } else { "false" })),
    ];
    Ok((headers, body).into_response())
}

fn reason(api: &Api, asked: &Download) -> Result<Option<String>, ApiProblem> {
    let reason = asked.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_none() && api.queries.ask_why {
        let problem = Problem::new("query.reason_needed", "this project asks why a result is downloaded")
            .hint("Say it in a sentence; it stands in the audit.");
        return Err(ApiProblem(problem, StatusCode::UNPROCESSABLE_ENTITY));
    }
    Ok(reason.map(|reason| reason.chars().take(REASON_CHARACTERS_MAX).collect()))
}

/// What the file is called; says so when it is a part.
fn name(rows: &Finished, asked: &Download) -> Result<String, ApiProblem> {
    let day: String = crate::api::views::time_text(rows.view.submitted_us).chars().take(10).collect();
    let name = asked.name.clone().unwrap_or_else(|| format!("naru {day}"));
    let (kept, total) = (rows.view.rows, rows.view.rows_total.unwrap_or(rows.view.rows));
    if kept == total {
        return Ok(name);
    }
    if asked.part.as_deref() == Some("kept") {
        return Ok(format!("{name} (first {kept} of {total})"));
    }
    let problem = Problem::new("query.incomplete", format!("{kept} of {total} rows are kept"))
        .detail("A file of them would look like all of them.")
        .hint("Ask for fewer rows, raise `[sql] result_rows` in naru.toml, or take the part that is kept by its name.");
    Err(ApiProblem::conflict(problem))
}

fn check_sheet(rows: &Finished, kind: Kind) -> Result<(), ApiProblem> {
    let lines = rows.view.rows.saturating_add(1);
    if kind == Kind::Sheet(SheetFormat::Xlsx) && lines > SHEET_ROWS_MAX {
        return Err(ApiProblem(OutputError::SheetRows.problem(), StatusCode::CONFLICT));
    }
    Ok(())
}
