//! Who the caller is.

use axum::{Json, extract::State};
use naru_access::Principal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::Api,
    signin::caller::{Caller, Via},
};

/// Who the caller is, and where.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// `owner`, `person`, `service` or `token`.
    pub kind: String,
    /// E-mail, a service's name, a token's name, or "owner".
    pub name: String,
    /// How to call them on screen.
    pub shown: String,
    /// Whether they administer the project.
    pub admin: bool,
    /// `session` or `token`.
    pub via: String,
    /// The project.
    pub project: String,
    /// The version of this naru.
    pub version: String,
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/me", tag = "account", responses((status = 200, body = Me), (status = 401)))]
pub async fn me(State(api): State<Api>, caller: Caller) -> Json<Me> {
    let (kind, name, shown) = match &caller.principal {
        Principal::Owner | Principal::Project => ("owner", "owner".to_owned(), "owner".to_owned()),
        Principal::Person(account) => ("person", account.name.clone(), account.shown.clone()),
        Principal::Service(account) => ("service", account.name.clone(), account.shown.clone()),
        Principal::Token { name, .. } => ("token", name.clone(), name.clone()),
    };
    let via = match caller.via {
        Via::Session { .. } => "session",
        Via::Token { .. } => "token",
    };
    Json(Me {
        kind: kind.to_owned(),
        name,
        shown,
        admin: api.policy.admin(&caller.principal),
        via: via.to_owned(),
        project: api.warehouse.settings().project.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
