//! `/s/<secret>.csv` and `/s/<secret>.xlsx`: rows for whoever knows the secret.
//!
//! Owns: the one route that asks for no caller, because the secret is one. An unknown secret, one that was taken back and
//! one that expired get the same answer. Headers say whose moment the rows are and whether they are all; where rows are
//! missing, the first line of the file says so too, because a spreadsheet shows no headers.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use naru_access::audit::{Deed, Door, Entry, Origin};
use naru_base::{Problem, time::now_us};
use naru_store::shares::{self, Link};
use naru_warehouse::{jobs::Finished, output::SheetFormat};

use super::{Shares, links::hash};
use crate::{
    api::queries::body::{self, Kind},
    signin::request,
};

/// What one secret may be asked, and how often one address may guess, in a minute.
const ASKED_MAX: u32 = 30;
const GUESSED_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Hexadecimal digits of a secret.
const SECRET_DIGITS: usize = 64;
const US_A_SECOND: i64 = 1_000_000;

/// The route, for a router beside the API's.
pub fn router(shares: Shares) -> Router {
    Router::new().route("/s/{file}", get(give)).with_state(shares)
}

/// A refusal in words: spreadsheets show nothing else.
fn refusal(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

fn unknown() -> Response {
    refusal(StatusCode::NOT_FOUND, "there is no such share, or it has ended")
}

fn too_often(wait: Duration) -> Response {
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "asked too often; try again in a minute");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    response
}

async fn give(State(shares): State<Shares>, Path(file): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let origin = Origin {
        door: Door::Share,
        address: Some(request::peer(&parts, &[])),
        client: request::client(&parts.headers),
    };
    let (secret, format) = match file.rsplit_once('.') {
        Some((secret, "csv")) => (secret, SheetFormat::Csv { bom: true }),
        Some((secret, "xlsx")) => (secret, SheetFormat::Xlsx),
        _ => return unknown(),
    };
    match shares.given(secret, format, origin).await {
        Ok(response) | Err(response) => response,
    }
}

impl Shares {
    async fn given(&self, secret: &str, format: SheetFormat, origin: Origin) -> Result<Response, Response> {
        let link = self.link(secret, &origin).await?;
        let said = |problem: &Problem| {
            tracing::warn!(link = link.id, %problem, "a share could not be given");
            // The text of a mistake can name what only the sharer may know of.
            match problem.code.as_ref() {
                "share.ended" => unknown(),
                "output.sheet_rows" | "output.sheet_columns" | "output.sheet_text" => {
                    refusal(StatusCode::CONFLICT, "the rows do not fit into a workbook; take the .csv of this share")
                }
                _ => refusal(StatusCode::SERVICE_UNAVAILABLE, "the shared query failed; whoever shared it sees why"),
            }
        };
        let (rows, at_us) = self.rows(&link, origin.clone()).await.map_err(|problem| said(&problem))?;
        let (id, principal) = (link.id, self.sharer(&link.who).await.map_err(|problem| said(&problem))?);
        let place = self.inner.audit.place(&principal).await.map_err(|problem| said(&problem))?;
        let touched = self.inner.queries.store.write(move |tx| shares::touch_link(tx, id, now_us())).await;
        touched.map_err(|error| said(&error.problem()))?;
        let mut entry = Entry::new(&principal, origin, Deed::Download)
            .tables(rows.view.reads.iter().map(|read| read.table.clone()));
        (entry.detail, entry.rows) = (Some(format!("link {id} ({})", link.name)), Some(rows.view.rows));
        let sent = move |outcome: Result<u64, Problem>| {
            entry.bytes = outcome.as_ref().ok().copied();
            place.fill(entry.outcome(&outcome));
        };
        let (note, headers) = (self.note(&link, &rows, at_us), headers(&link, &rows, at_us, format));
        let body = body::file(rows, Kind::Sheet(format), note, sent).await.map_err(|problem| said(&problem))?;
        Ok((headers, body).into_response())
    }

    /// The link of a secret.
    async fn link(&self, secret: &str, origin: &Origin) -> Result<Link, Response> {
        let peer = origin.address.map_or_else(String::new, |address| address.to_string());
        let well_formed = secret.len() == SECRET_DIGITS && secret.bytes().all(|digit| digit.is_ascii_hexdigit());
        let hash = hash(secret);
        let found = self.inner.queries.store.read(move |db| shares::link_of_hash(db, &hash, now_us())).await;
        let found = found.map_err(|_| refusal(StatusCode::SERVICE_UNAVAILABLE, "naru cannot read its state now"))?;
        let now = Instant::now();
        let Some(link) = found.filter(|_| well_formed) else {
            self.inner.limiter.count(&format!("guess {peer}"), GUESSED_MAX, WINDOW, now).map_err(too_often)?;
            return Err(unknown());
        };
        self.inner.limiter.count(&format!("link {}", link.id), ASKED_MAX, WINDOW, now).map_err(too_often)?;
        Ok(link)
    }

    /// The rows of a link and whose moment they are: those of its last run while they are fresh, else of a new one.
    async fn rows(&self, link: &Link, origin: Origin) -> Result<(Finished, i64), Problem> {
        let turn = self.turn(format!("link {}", link.id)).lock_owned().await;
        let (shares, id) = (self.clone(), link.id);
        // Whoever asked may leave; the rows are then there for the next one.
        let running = tokio::spawn(async move {
            let _turn = turn;
            shares.fresh_or_new(id, origin).await
        });
        running.await.map_err(|_| crate::api::queries::stopped())?
    }

    async fn fresh_or_new(&self, id: i64, origin: Origin) -> Result<(Finished, i64), Problem> {
        let store = &self.inner.queries.store;
        let failed = |error: naru_store::StoreError| error.problem();
        let link = store.read(move |db| shares::find_link(db, id)).await.map_err(failed)?;
        let link = link.ok_or_else(|| Problem::new("share.ended", "this share has ended"))?;
        let principal = self.sharer(&link.who).await?;
        let saved = self.shared(&principal, link.saved, &link.who, link.created_us).await?;
        if let Some((query, at_us)) = &link.query
            && now_us().saturating_sub(*at_us) < fresh_us(&link)
            && saved.updated_us < *at_us
            && let Ok(query) = query.parse()
            && let Ok(rows) = self.inner.queries.jobs.finished(&principal, &query)
        {
            return Ok((rows, *at_us));
        }
        let at_us = now_us();
        match self.run(principal, saved.sql, link.rows_max, origin).await {
            Ok(rows) => {
                let query = rows.view.id.to_string();
                store.write(move |tx| shares::set_link_query(tx, id, &query, at_us)).await.map_err(failed)?;
                Ok((rows, at_us))
            }
            Err(problem) => {
                let code = problem.code.to_string();
                store.write(move |tx| shares::set_link_problem(tx, id, &code)).await.map_err(failed)?;
                Err(problem)
            }
        }
    }

    /// The line above the header, where one is wanted or rows are missing.
    fn note(&self, link: &Link, rows: &Finished, at_us: i64) -> Option<String> {
        let complete = rows.view.complete();
        (link.note || !complete).then(|| self.as_of(rows, at_us))
    }

    /// How old and how complete rows are, in words.
    pub(super) fn as_of(&self, rows: &Finished, at_us: i64) -> String {
        let at = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH);
        let at = at.to_zoned(self.inner.zone.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
        let (kept, total) = (rows.view.rows, rows.view.rows_total.unwrap_or(rows.view.rows));
        if kept == total {
            format!("as of {at}, all {kept} rows")
        } else {
            format!("as of {at}, THE FIRST {kept} OF {total} ROWS")
        }
    }
}

fn fresh_us(link: &Link) -> i64 {
    i64::try_from(link.fresh_s).unwrap_or(i64::MAX).saturating_mul(US_A_SECOND)
}

type Headers = [(HeaderName, HeaderValue); 9];

fn headers(link: &Link, rows: &Finished, at_us: i64, format: SheetFormat) -> Headers {
    let (ending, media) = Kind::Sheet(format).words();
    let text = |text: String| HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    let at = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH);
    let left_s = (at_us.saturating_add(fresh_us(link)).saturating_sub(now_us()) / US_A_SECOND).max(0);
    let total = rows.view.rows_total.unwrap_or(rows.view.rows);
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CONTENT_DISPOSITION, body::attachment(&body::file_name(&link.name, ending))),
        (header::CACHE_CONTROL, text(format!("private, max-age={left_s}"))),
        (header::LAST_MODIFIED, text(at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())),
        (HeaderName::from_static("x-naru-as-of"), text(at.to_string())),
        (
            HeaderName::from_static("x-naru-complete"),
            HeaderValue::from_static(if rows.view.complete() { "true" } else { "false" }),
        ),
        (HeaderName::from_static("x-naru-rows"), HeaderValue::from(rows.view.rows)),
        (HeaderName::from_static("x-naru-rows-total"), HeaderValue::from(total)),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ]
}
