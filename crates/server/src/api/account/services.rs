//! Service accounts and their tokens.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use naru_access::{AccessError, Account, Holder, NewService, Principal, ServiceInfo, audit::Deed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NewToken, TokenList, TokenMade, failed, made, must_be_there, must_use, now, person, scopes, view};
use crate::{
    api::{Api, ApiProblem, permit::noted, views::time_text},
    signin::caller::Caller,
};

/// A service account.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceView {
    /// Its name, which `access.toml` grants to as `service:NAME`.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Whoever answers for it.
    pub owner: String,
    /// Addresses and networks it may come from; empty means anywhere.
    pub networks: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it stops working.
    pub expires_at: String,
    /// Whether it works: its time is not over and its owner is here.
    pub active: bool,
}

/// Service accounts, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceList {
    /// When this was read.
    pub as_of: String,
    /// The accounts: one's own; for administrators all.
    pub items: Vec<ServiceView>,
}

/// A service account to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccount {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Whoever answers for it, by e-mail; without it the caller.
    #[serde(default)]
    pub owner: Option<String>,
    /// Addresses and networks it may come from; empty means anywhere.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Days that it lives, at most 366.
    pub days: u64,
}

fn shown(service: ServiceInfo) -> ServiceView {
    ServiceView {
        name: service.name,
        purpose: service.purpose,
        owner: service.owner_name,
        networks: service.networks,
        created_at: time_text(service.created_us),
        expires_at: time_text(service.expires_us),
        active: service.active,
    }
}

fn owns(caller: &Caller, service: &ServiceInfo) -> bool {
    matches!(&caller.principal, Principal::Person(account) if account.id == service.owner)
}

/// A service account that the caller looks after; others' do not exist.
async fn mine(api: &Api, caller: &Caller, name: &str) -> Result<ServiceInfo, ApiProblem> {
    let service = api.signin.services().find(name).await.map_err(failed)?;
    if owns(caller, &service) || api.policy.admin(&caller.principal) {
        return Ok(service);
    }
    Err(failed(AccessError::NoSuchService { name: name.to_owned() }))
}

/// Service accounts: one's own; for administrators all.
#[utoipa::path(get, path = "/api/v1/services", tag = "account",
    responses((status = 200, body = ServiceList), (status = 401)))]
pub async fn list_services(State(api): State<Api>, caller: Caller) -> Result<Json<ServiceList>, ApiProblem> {
    let admin = api.policy.admin(&caller.principal);
    let services = api.signin.services().list().await.map_err(failed)?;
    let items = services.into_iter().filter(|service| admin || owns(&caller, service)).map(shown).collect();
    Ok(Json(ServiceList { as_of: now(), items }))
}

/// Makes a service account. It sees nothing until `access.toml` grants something to it.
#[utoipa::path(post, path = "/api/v1/services", tag = "account", request_body = NewServiceAccount,
    responses((status = 201, body = ServiceView), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub async fn make_service(
    State(api): State<Api>,
    caller: Caller,
    Json(new): Json<NewServiceAccount>,
) -> Result<(StatusCode, Json<ServiceView>), ApiProblem> {
    api.must_admin(&caller)?;
    must_be_there(&caller)?;
    let owner = match &new.owner {
        Some(email) => {
            let people = api.signin.people().list().await.map_err(failed)?;
            let email = email.trim().to_lowercase();
            let found = people.into_iter().find(|person| person.active && person.account.name == email);
            found.ok_or_else(|| failed(AccessError::NoSuchPerson))?.account.id
        }
        None => person(&caller)?.id,
    };
    let what = format!("service account {} made", new.name);
    let wanted = NewService { name: new.name, purpose: new.purpose, owner, networks: new.networks, days: new.days };
    let making = async { api.signin.services().make(wanted).await.map_err(failed) };
    let service = noted(&api, &caller, Deed::Token, what, [], making).await?;
    Ok((StatusCode::CREATED, Json(shown(service))))
}

/// Ends a service account and its tokens.
#[utoipa::path(delete, path = "/api/v1/services/{name}", tag = "account", params(("name" = String, Path)),
    responses((status = 204), (status = 401), (status = 404)))]
pub async fn end_service(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let service = mine(&api, &caller, &name).await?;
    let ending = async { api.signin.services().end(&service).await.map_err(failed) };
    noted(&api, &caller, Deed::Token, format!("service account {name} ended"), [], ending).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tokens of a service account.
#[utoipa::path(get, path = "/api/v1/services/{name}/tokens", tag = "account", params(("name" = String, Path)),
    responses((status = 200, body = TokenList), (status = 401), (status = 404)))]
pub async fn list_service_tokens(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<TokenList>, ApiProblem> {
    let service = mine(&api, &caller, &name).await?;
    let items = api.signin.tokens().list_held(Holder::Service(service.id)).await.map_err(failed)?;
    Ok(Json(TokenList { as_of: now(), items: items.into_iter().map(view).collect() }))
}

/// Makes a token of a service account, whose text is shown this once.
#[utoipa::path(post, path = "/api/v1/services/{name}/tokens", tag = "account", params(("name" = String, Path)),
    request_body = NewToken,
    responses((status = 201, body = TokenMade), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub async fn make_service_token(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<TokenMade>), ApiProblem> {
    must_be_there(&caller)?;
    let service = mine(&api, &caller, &name).await?;
    let scopes = scopes(&new.scopes)?;
    let account = Account { id: service.id, name: service.name.clone(), shown: service.name.clone(), domain: None };
    must_use(&api, &Principal::Service(Arc::new(account)), &scopes)?;
    let what = format!("token \"{}\" of service account {name} made for {}", new.name.trim(), new.scopes.join(", "));
    let issuing =
        async { api.signin.services().issue_token(&service, &new.name, new.days, scopes).await.map_err(failed) };
    let issued = noted(&api, &caller, Deed::Token, what, [], issuing).await?;
    Ok((StatusCode::CREATED, Json(made(&api, issued))))
}

/// Takes back a token of a service account.
#[utoipa::path(delete, path = "/api/v1/services/{name}/tokens/{id}", tag = "account",
    params(("name" = String, Path), ("id" = i64, Path)), responses((status = 204), (status = 401), (status = 404)))]
pub async fn revoke_service_token(
    State(api): State<Api>,
    caller: Caller,
    Path((name, id)): Path<(String, i64)>,
) -> Result<StatusCode, ApiProblem> {
    let service = mine(&api, &caller, &name).await?;
    let holder = Holder::Service(service.id);
    let revoking = async { api.signin.tokens().revoke_held(holder, id).await.map_err(failed) };
    let what = format!("token {id} of service account {name} revoked");
    noted(&api, &caller, Deed::Token, what, [], revoking).await?;
    Ok(StatusCode::NO_CONTENT)
}
