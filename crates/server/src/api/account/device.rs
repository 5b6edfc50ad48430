//! Programs that wait to be let in: `naru login` on another machine.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use naru_access::audit::Deed;
use naru_base::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{must_be_there, person};
use crate::{
    api::{Api, ApiProblem, permit::noted, views::time_text},
    signin::caller::Caller,
};

/// A program that waits to be let in as the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingProgram {
    /// What it calls itself and its machine.
    pub client: String,
    /// Where it asks from.
    pub address: String,
    /// Whether that is the caller's own address.
    pub same_address: bool,
    /// When it asked.
    pub asked_at: String,
}

/// What to do with it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LetIn {
    /// Whether it is let in: it can then do what the caller can, for 30 days.
    pub let_in: bool,
}

fn unknown() -> ApiProblem {
    let problem = Problem::new("signin.no_such_code", "no program waits with this code");
    ApiProblem::not_found(problem.hint("Codes are good for ten minutes; `naru login URL` asks for another."))
}

/// The program that waits with a code.
#[utoipa::path(get, path = "/api/v1/device/{code}", tag = "account", params(("code" = String, Path)),
    responses((status = 200, body = WaitingProgram), (status = 401), (status = 403), (status = 404)))]
pub async fn waiting_program(
    State(api): State<Api>,
    caller: Caller,
    Path(code): Path<String>,
) -> Result<Json<WaitingProgram>, ApiProblem> {
    person(&caller)?;
    must_be_there(&caller)?;
    if !api.signin.may_try(caller.peer) {
        return Err(Problem::new("signin.too_many", "too many codes were tried").later().into());
    }
    let waiting = api.signin.requested(&code).ok_or_else(unknown)?;
    Ok(Json(WaitingProgram {
        same_address: waiting.peer == caller.peer,
        address: waiting.peer.to_string(),
        client: waiting.client,
        asked_at: time_text(waiting.at_us),
    }))
}

/// Lets the program in, or turns it away.
#[utoipa::path(post, path = "/api/v1/device/{code}", tag = "account", params(("code" = String, Path)),
    request_body = LetIn, responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub async fn answer_program(
    State(api): State<Api>,
    caller: Caller,
    Path(code): Path<String>,
    Json(answer): Json<LetIn>,
) -> Result<StatusCode, ApiProblem> {
    let account = person(&caller)?;
    must_be_there(&caller)?;
    if !api.signin.may_try(caller.peer) {
        return Err(Problem::new("signin.too_many", "too many codes were tried").later().into());
    }
    let waiting = api.signin.requested(&code).ok_or_else(unknown)?;
    let verb = if answer.let_in { "let in" } else { "turned away" };
    let what = format!("program \"{}\" at {} {verb}", waiting.client, waiting.peer);
    let done = noted(&api, &caller, Deed::Token, what, [], async {
        if answer.let_in { Ok(api.signin.let_in(&code, account).await?) } else { Ok(api.signin.turn_away(&code)) }
    });
    if done.await? { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}
