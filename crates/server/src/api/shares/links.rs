//! Secret addresses: made, listed, taken back.
//!
//! Owns: the routes for whoever shares. A secret is shown once and kept as its hash.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use naru_access::{Principal, audit::Deed};
use naru_base::{Problem, time::now_us};
use naru_store::shares::{self, Link};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::{
    api::{
        Api, ApiProblem,
        permit::noted,
        queries::who,
        saved::{Can, find},
        views::time_text,
    },
    signin::caller::Caller,
};

/// Rows of a link that says nothing of them, and of any link.
const ROWS: u64 = 50_000;
const ROWS_MAX: u64 = 1_000_000;
/// Days until a link expires.
const DAYS: u64 = 90;
const DAYS_MAX: u64 = 366;
/// Minutes for which rows are given again.
const FRESH_MINUTES: u64 = 15;
const FRESH_MINUTES_MAX: u64 = 24 * 60;
const US_A_DAY: i64 = 86_400_000_000;

/// A new link.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewLink {
    /// What it is for.
    #[serde(default)]
    name: String,
    /// Rows that it gives at most; 50,000 when absent.
    #[serde(default)]
    rows_max: Option<u64>,
    /// Days until it expires; 90 when absent, at most 366.
    #[serde(default)]
    days: Option<u64>,
    /// For how many minutes the same rows are given; 15 when absent.
    #[serde(default)]
    fresh_minutes: Option<u64>,
    /// Whether a line above the header says how old and how complete the rows are. There is one anyway when rows are
    /// missing.
    #[serde(default)]
    note: bool,
}

/// A link.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinkView {
    id: String,
    name: String,
    /// With whose rights it runs.
    sharer: String,
    rows_max: u64,
    fresh_minutes: u64,
    note: bool,
    created_at: String,
    expires_at: String,
    revoked_at: Option<String>,
    /// When it was last used, and how often.
    used_at: Option<String>,
    uses: u64,
    /// Whose moment its rows are.
    as_of: Option<String>,
    /// Code of the last failure.
    problem_code: Option<String>,
}

/// Links of a saved query, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinksView {
    items: Vec<LinkView>,
}

/// A link that was just made. The address is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeLink {
    link: LinkView,
    /// Path of the CSV, below the address of this naru.
    csv: String,
    /// Path of the workbook.
    xlsx: String,
}

pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn view(link: Link) -> LinkView {
    LinkView {
        id: link.id.to_string(),
        name: link.name,
        sharer: link.sharer,
        rows_max: link.rows_max,
        fresh_minutes: link.fresh_s / 60,
        note: link.note,
        created_at: time_text(link.created_us),
        expires_at: time_text(link.expires_us),
        revoked_at: link.revoked_us.map(time_text),
        used_at: link.used_us.map(time_text),
        uses: link.uses,
        as_of: link.query.map(|(_, at_us)| time_text(at_us)),
        problem_code: link.problem,
    }
}

/// A token of the project stands for nobody who could be asked or could leave.
pub(super) fn may_share(caller: &Caller) -> Result<(), ApiProblem> {
    match &caller.principal {
        Principal::Owner | Principal::Person(_) | Principal::Service(_) => Ok(()),
        Principal::Project | Principal::Token { .. } => {
            let problem = Problem::new("share.no_sharer", "a token of the project cannot share");
            Err(ApiProblem::forbidden(problem.hint("Sign in, or use a service account's token.")))
        }
    }
}

/// Makes a secret address that gives the rows of a saved query to whoever knows it.
#[utoipa::path(post, path = "/api/v1/saved/{id}/links", tag = "shares", params(("id" = String, Path)),
    request_body = NewLink, responses((status = 201, body = MadeLink), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<NewLink>,
) -> Result<(StatusCode, Json<MadeLink>), ApiProblem> {
    may_share(&caller)?;
    let (saved, _) = find(&api, &caller, &id, Can::View).await?;
    let mut random = [0; 32];
    rand::rng().fill_bytes(&mut random);
    let (secret, created_us) = (hex::encode(random), now_us());
    let days = new.days.unwrap_or(DAYS).clamp(1, DAYS_MAX);
    let link = Link {
        id: 0,
        saved: saved.id,
        who: who(&caller.principal),
        sharer: caller.principal.name().to_owned(),
        name: new.name.chars().filter(|c| !c.is_control()).take(200).collect(),
        hash: hash(&secret),
        rows_max: new.rows_max.unwrap_or(ROWS).clamp(1, ROWS_MAX),
        fresh_s: new.fresh_minutes.unwrap_or(FRESH_MINUTES).min(FRESH_MINUTES_MAX) * 60,
        note: new.note,
        created_us,
        expires_us: created_us.saturating_add(i64::try_from(days).unwrap_or(1).saturating_mul(US_A_DAY)),
        revoked_us: None,
        query: None,
        problem: None,
        used_us: None,
        uses: 0,
    };
    let doing = async {
        let store = &api.queries.store;
        let stored = store.write(move |tx| Ok(Link { id: shares::insert_link(tx, &link)?, ..link })).await;
        stored.map_err(|error| ApiProblem::from(error.problem()))
    };
    let what = format!("link to saved query {} ({})", saved.id, saved.name);
    let link = noted(&api, &caller, Deed::Share, what, [], doing).await?;
    let made = MadeLink { link: view(link), csv: format!("/s/{secret}.csv"), xlsx: format!("/s/{secret}.xlsx") };
    Ok((StatusCode::CREATED, Json(made)))
}

/// The links of a saved query: all for its owner, one's own for others.
#[utoipa::path(get, path = "/api/v1/saved/{id}/links", tag = "shares", params(("id" = String, Path)),
    responses((status = 200, body = LinksView), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<LinksView>, ApiProblem> {
    let (saved, can) = find(&api, &caller, &id, Can::View).await?;
    let found = api.queries.store.read(move |db| shares::links(db, saved.id)).await;
    let own = who(&caller.principal);
    let found = found.map_err(|error| error.problem())?.into_iter();
    let seen = found.filter(|link| can == Can::Own || link.who == own);
    Ok(Json(LinksView { items: seen.map(view).collect() }))
}

/// Takes a link back. Whoever made it may, whoever owns the query, and administrators.
#[utoipa::path(delete, path = "/api/v1/links/{id}", tag = "shares", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = crate::api::ProblemBody)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let number = id.parse::<i64>().map_err(|_| unknown())?;
    let found = api.queries.store.read(move |db| shares::find_link(db, number)).await;
    let link = found.map_err(|error| error.problem())?.ok_or_else(unknown)?;
    may_end(&api, &caller, &link.who, link.saved).await?;
    let doing = async {
        let done = api.queries.store.write(move |tx| shares::revoke_link(tx, number, now_us())).await;
        done.map_err(|error| ApiProblem::from(error.problem()))
    };
    noted(&api, &caller, Deed::Share, format!("link {number} taken back"), [], doing).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown() -> ApiProblem {
    ApiProblem::not_found(Problem::new("share.not_found", "there is no such share"))
}

/// Whether the caller may end a share of a query.
pub(super) async fn may_end(api: &Api, caller: &Caller, sharer: &str, saved: i64) -> Result<(), ApiProblem> {
    let owns = async || find(api, caller, &saved.to_string(), Can::Own).await.is_ok();
    if sharer == who(&caller.principal) || api.policy.admin(&caller.principal) || owns().await {
        return Ok(());
    }
    Err(unknown())
}
