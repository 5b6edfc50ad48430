//! Queries with a name, shared with whom their owner names.
//!
//! Owns: the routes below `/api/v1/saved`, and who may see, change or own a saved query. Its SQL runs with the rights of
//! whoever runs it: sharing a query shares a text, never a table.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use naru_access::{Policy, Principal};
use naru_base::{Problem, time::now_us};
use naru_store::saved::{self, Saved};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiProblem,
    queries::{check_length, who},
    views::time_text,
};
use crate::signin::caller::Caller;

/// Characters of a name and of a description.
const NAME_CHARACTERS_MAX: usize = 200;
const DESCRIPTION_CHARACTERS_MAX: usize = 4_000;
/// To how many a query is shared by name.
const GRANTS_MAX: usize = 100;

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change, remove))
}

/// What someone may do with a saved query; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Can {
    /// See and run it.
    View,
    /// Change it too.
    Edit,
    /// Delete it, and say who else may.
    Own,
}

/// Somebody who may.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct SharedWith {
    /// As in access.toml: `domain:acme.kr`, `group:analysts`, `person:kim@acme.kr`, `service:bi`.
    to: String,
    can: Can,
}

/// A saved query.
#[derive(Debug, Serialize, ToSchema)]
struct SavedView {
    id: String,
    name: String,
    description: String,
    sql: String,
    /// Whose it is.
    owner: String,
    /// Whether it is the caller's.
    mine: bool,
    /// What the caller may do with it.
    can: Can,
    /// Who else may.
    shared: Vec<SharedWith>,
    /// Counts changes; a change carries the one it was made on.
    revision: i64,
    created_at: String,
    updated_at: String,
}

/// Saved queries, by name.
#[derive(Debug, Serialize, ToSchema)]
struct SavedList {
    items: Vec<SavedView>,
}

/// A new one.
#[derive(Debug, Deserialize, ToSchema)]
struct NewSaved {
    name: String,
    sql: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    shared: Vec<SharedWith>,
}

/// One as it shall be. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
struct ChangedSaved {
    /// The revision that was changed.
    revision: i64,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    description: Option<String>,
    /// Only its owner changes this.
    #[serde(default)]
    shared: Option<Vec<SharedWith>>,
}

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
struct Find {
    /// Text in the name, the description or the SQL, in any case.
    #[serde(default)]
    find: String,
}

/// Somebody else was faster.
#[derive(Debug, Serialize, ToSchema)]
struct SavedConflict {
    code: &'static str,
    summary: String,
    hint: String,
    retry: &'static str,
    /// As it stands now.
    current: SavedView,
}

pub(super) fn unknown() -> ApiProblem {
    ApiProblem::not_found(Problem::new("saved.not_found", "there is no such saved query"))
}

fn failed(error: naru_store::StoreError) -> ApiProblem {
    error.problem().into()
}

/// What someone may do with a saved query; `None` when it is not there for them.
pub(super) fn can(policy: &Policy, principal: &Principal, saved: &Saved) -> Option<Can> {
    if saved.who == who(principal) {
        return Some(Can::Own);
    }
    let names: Vec<String> = policy.now().names(principal).iter().map(ToString::to_string).collect();
    let granted = saved.grants.iter().filter(|(to, _)| names.contains(to));
    granted.map(|(_, edit)| if *edit { Can::Edit } else { Can::View }).max()
}

/// One saved query, if the caller may at least do that much with it.
pub(super) async fn find(api: &Api, caller: &Caller, id: &str, least: Can) -> Result<(Saved, Can), ApiProblem> {
    let id: i64 = id.parse().map_err(|_| unknown())?;
    let found = api.queries.store.read(move |db| saved::find(db, id)).await.map_err(failed)?.ok_or_else(unknown)?;
    let can = can(&api.policy, &caller.principal, &found).ok_or_else(unknown)?;
    if can >= least {
        return Ok((found, can));
    }
    let problem = Problem::new("saved.not_yours", format!("\"{}\" belongs to {}", found.name, found.owner));
    Err(ApiProblem::forbidden(problem.hint("Ask them, or save a copy of your own.")))
}

fn view(saved: Saved, can: Can, caller: &Caller) -> SavedView {
    let shared = |(to, edit): (String, bool)| SharedWith { to, can: if edit { Can::Edit } else { Can::View } };
    SavedView {
        id: saved.id.to_string(),
        name: saved.name,
        description: saved.description,
        sql: saved.sql,
        mine: saved.who == who(&caller.principal),
        owner: saved.owner,
        can,
        shared: saved.grants.into_iter().map(shared).collect(),
        revision: saved.revision,
        created_at: time_text(saved.created_us),
        updated_at: time_text(saved.updated_us),
    }
}

fn checked_name(name: &str) -> Result<String, ApiProblem> {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect();
    if name.is_empty() {
        return Err(Problem::new("saved.no_name", "a saved query needs a name").into());
    }
    Ok(name)
}

fn checked_grants(shared: Vec<SharedWith>) -> Result<Vec<(String, bool)>, ApiProblem> {
    const KINDS: [&str; 5] = ["domain:", "group:", "person:", "service:", "token:"];
    let wrong = shared
        .iter()
        .find(|grant| !KINDS.iter().any(|kind| grant.to.strip_prefix(kind).is_some_and(|name| !name.is_empty())));
    if let Some(grant) = wrong {
        let problem = Problem::new("saved.shared_with", format!("\"{}\" is nobody to share with", grant.to));
        return Err(problem.hint("Write `person:kim@acme.kr`, `group:analysts` or `domain:acme.kr`.").into());
    }
    if shared.len() > GRANTS_MAX {
        return Err(Problem::new("saved.shared_with", "it is shared with too many").hint("Use a group.").into());
    }
    Ok(shared.into_iter().map(|grant| (grant.to, grant.can >= Can::Edit)).collect())
}

/// Saved queries that the caller may see.
#[utoipa::path(get, path = "/api/v1/saved", tag = "saved", params(Find), responses((status = 200, body = SavedList)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(Find { find }): Query<Find>,
) -> Result<Json<SavedList>, ApiProblem> {
    let all = api.queries.store.read(|db| saved::list(db)).await.map_err(failed)?;
    let find = find.to_lowercase();
    let fits = |saved: &Saved| {
        [&saved.name, &saved.description, &saved.sql].iter().any(|text| text.to_lowercase().contains(&find))
    };
    let seen = all.into_iter().filter(fits).filter_map(|saved| {
        let can = can(&api.policy, &caller.principal, &saved)?;
        Some(view(saved, can, &caller))
    });
    Ok(Json(SavedList { items: seen.collect() }))
}

/// Saves a query.
#[utoipa::path(post, path = "/api/v1/saved", tag = "saved", request_body = NewSaved,
    responses((status = 201, body = SavedView)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    Json(new): Json<NewSaved>,
) -> Result<(StatusCode, Json<SavedView>), ApiProblem> {
    check_length(&new.sql)?;
    let at_us = now_us();
    let saved = Saved {
        id: 0,
        name: checked_name(&new.name)?,
        description: new.description.chars().take(DESCRIPTION_CHARACTERS_MAX).collect(),
        sql: new.sql,
        who: who(&caller.principal),
        owner: caller.principal.name().to_owned(),
        revision: 1,
        created_us: at_us,
        updated_us: at_us,
        grants: checked_grants(new.shared)?,
    };
    let stored = api.queries.store.write(move |tx| {
        let id = saved::insert(tx, &saved)?;
        Ok(Saved { id, ..saved })
    });
    Ok((StatusCode::CREATED, Json(view(stored.await.map_err(failed)?, Can::Own, &caller))))
}

/// One saved query.
#[utoipa::path(get, path = "/api/v1/saved/{id}", tag = "saved", params(("id" = String, Path)),
    responses((status = 200, body = SavedView), (status = 404, body = super::ProblemBody)))]
async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<SavedView>, ApiProblem> {
    let (saved, can) = find(&api, &caller, &id, Can::View).await?;
    Ok(Json(view(saved, can, &caller)))
}

/// Changes a saved query, unless somebody else changed it meanwhile.
#[utoipa::path(put, path = "/api/v1/saved/{id}", tag = "saved", params(("id" = String, Path)),
    request_body = ChangedSaved,
    responses((status = 200, body = SavedView), (status = 404, body = super::ProblemBody), (status = 409, body = SavedConflict)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Json(changed): Json<ChangedSaved>,
) -> Result<Response, ApiProblem> {
    check_length(changed.sql.as_deref().unwrap_or_default())?;
    let least = if changed.shared.is_some() { Can::Own } else { Can::Edit };
    let (now, can) = find(&api, &caller, &id, least).await?;
    let wanted = Saved {
        name: changed.name.as_deref().map_or_else(|| Ok(now.name.clone()), checked_name)?,
        description: changed
            .description
            .map_or_else(|| now.description.clone(), |text| text.chars().take(DESCRIPTION_CHARACTERS_MAX).collect()),
        sql: changed.sql.unwrap_or_else(|| now.sql.clone()),
        grants: changed.shared.map_or_else(|| Ok(now.grants.clone()), checked_grants)?,
        revision: changed.revision,
        updated_us: now_us(),
        ..now
    };
    let stored = api.queries.store.write(move |tx| {
        let changed = saved::update(tx, &wanted)?;
        Ok((changed, saved::find(tx, wanted.id)?))
    });
    match stored.await.map_err(failed)? {
        (true, Some(stored)) => Ok(Json(view(stored, can, &caller)).into_response()),
        (false, Some(current)) => {
            let conflict = SavedConflict {
                code: "saved.changed",
                summary: "somebody has changed this query meanwhile".to_owned(),
                hint: "Take their text, or write yours over it.".to_owned(),
                retry: "never",
                current: view(current, can, &caller),
            };
            Ok((StatusCode::CONFLICT, Json(conflict)).into_response())
        }
        (_, None) => Err(unknown()),
    }
}

/// Deletes a saved query; its shares stop with it.
#[utoipa::path(delete, path = "/api/v1/saved/{id}", tag = "saved", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = super::ProblemBody)))]
async fn remove(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, ApiProblem> {
    let (found, _) = find(&api, &caller, &id, Can::Own).await?;
    api.queries.store.write(move |tx| saved::delete(tx, found.id)).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}
