//! Accounts: who one is, one's tokens and sessions, service accounts, programs that wait to be let in.
//!
//! Owns: the routes and who may call them. Everybody sees their own; service accounts are made by administrators and
//! looked after by their owners. What there is of others' does not exist. Nothing is decided here about tables.

mod device;
mod me;
mod services;
mod sessions;
mod tokens;

use axum::http::StatusCode;
use jiff::Timestamp;
use naru_access::{AccessError, Account, Holder, IssuedToken, Principal, Scope, SessionOf, Standing, TokenInfo};
use naru_base::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiProblem, permit::permit, topics::no_such_topic, views::time_text};
use crate::signin::caller::{Caller, Via};

/// The routes of these nouns.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(tokens::list_tokens, tokens::make_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::end_session))
        .routes(routes!(services::list_services, services::make_service))
        .routes(routes!(services::end_service))
        .routes(routes!(services::list_service_tokens, services::make_service_token))
        .routes(routes!(services::revoke_service_token))
        .routes(routes!(device::waiting_program, device::answer_program))
}

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Its number.
    pub id: i64,
    /// What its owner knows it by.
    pub name: String,
    /// What it is for: `query`, `api`, `send:TOPIC`, `receive:TOPIC`.
    pub scopes: Vec<String>,
    /// `live`, `expired` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: String,
    /// When it stops working; none where it does not.
    pub expires_at: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<String>,
}

/// Tokens, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// When this was read.
    pub as_of: String,
    /// The tokens, those that ended included.
    pub items: Vec<TokenView>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What its owner knows it by.
    pub name: String,
    /// Days that it lives.
    pub days: u64,
    /// What it is for: `query`, `api`, `send:TOPIC`, `receive:TOPIC`.
    pub scopes: Vec<String>,
}

/// A token just made: the only time that its text is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenMade {
    /// Its number.
    pub id: i64,
    /// What its owner knows it by.
    pub name: String,
    /// The user that goes with it on the Postgres wire.
    pub user: String,
    /// Its text. Nobody can show it again.
    pub token: String,
    /// When it stops working.
    pub expires_at: Option<String>,
    /// Where the Postgres wire listens; none where it is off.
    pub wire: Option<WireView>,
}

/// Where the Postgres wire listens.
#[derive(Debug, Serialize, ToSchema)]
pub struct WireView {
    /// The address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database: the project.
    pub database: String,
}

fn now() -> String {
    Timestamp::now().to_string()
}

fn failed(error: AccessError) -> ApiProblem {
    let status = match &error {
        AccessError::NameTaken { .. } | AccessError::ServiceTaken { .. } => Some(StatusCode::CONFLICT),
        _ => None,
    };
    let problem = error.problem();
    status.map_or_else(|| ApiProblem::from(problem.clone()), |status| ApiProblem(problem.clone(), status))
}

fn view(token: TokenInfo) -> TokenView {
    TokenView {
        id: token.id,
        name: token.name,
        scopes: token.scopes.iter().map(ToString::to_string).collect(),
        state: match token.standing {
            Standing::Live => "live",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
        }
        .to_owned(),
        created_at: time_text(token.created_us),
        expires_at: token.expires_us.map(time_text),
        last_used_at: token.last_used_us.map(time_text),
    }
}

fn made(api: &Api, issued: IssuedToken) -> TokenMade {
    let wire = api.signin.wire().map(|address| WireView {
        host: address.ip().to_string(),
        port: address.port(),
        database: api.warehouse.settings().project.clone(),
    });
    TokenMade {
        id: issued.id,
        name: issued.name,
        user: issued.user,
        token: issued.secret.expose().to_owned(),
        expires_at: issued.expires_us.map(time_text),
        wire,
    }
}

fn scopes(texts: &[String]) -> Result<Vec<Scope>, ApiProblem> {
    texts.iter().map(|text| text.parse().map_err(failed)).collect()
}

/// Refuses words for topics that the holder may not send to or receive from; hidden ones do not exist.
fn must_use(api: &Api, holder: &Principal, scopes: &[Scope]) -> Result<(), ApiProblem> {
    let rights = api.policy.now();
    for scope in scopes {
        if let Scope::Send(topic) | Scope::Receive(topic) = scope {
            permit(rights.decide_scope(holder, scope), || no_such_topic(topic))?;
        }
    }
    Ok(())
}

/// The person who calls.
fn person(caller: &Caller) -> Result<&Account, ApiProblem> {
    if let Principal::Person(account) = &caller.principal {
        return Ok(account);
    }
    let problem = Problem::new("access.people_only", "this is for people who signed in with their own account");
    Err(ApiProblem::forbidden(problem))
}

/// Whose tokens a caller looks after.
fn holder(caller: &Caller) -> Result<Holder, ApiProblem> {
    match &caller.principal {
        Principal::Owner => Ok(Holder::Project),
        _ => Ok(Holder::Person(person(caller)?.id)),
    }
}

/// Whose sessions a caller looks after.
fn session_of(caller: &Caller) -> Result<SessionOf, ApiProblem> {
    match &caller.principal {
        Principal::Owner => Ok(SessionOf::Owner),
        _ => Ok(SessionOf::Person(person(caller)?.id)),
    }
}

/// A token makes no token: whoever finds one could keep himself in for ever.
fn must_be_there(caller: &Caller) -> Result<(), ApiProblem> {
    match caller.via {
        Via::Session { .. } => Ok(()),
        Via::Token { .. } => {
            let problem = Problem::new("access.session_only", "a token cannot do this");
            Err(ApiProblem::forbidden(problem.hint("Sign in to the console.")))
        }
    }
}
