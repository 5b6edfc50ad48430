//! Changing rights, and letting people go.
//!
//! Owns: the routes that change something. All are for administrators of the project, and all are in the audit.

use axum::{Json, extract::State};
use naru_access::{Policy, audit::Deed};
use naru_base::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    AccessPort, Desk, read,
    views::{OffboardedView, PlanView},
};
use crate::{
    api::{
        Api, ApiProblem,
        permit::{in_person, noted},
    },
    signin::caller::Caller,
};

/// A text to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Draft {
    /// The whole of `access.toml` as it would be.
    text: String,
}

/// A text to be put in force.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Applied {
    /// The whole of `access.toml` as it shall be.
    text: String,
    /// The text that the change was made from; empty when there was no file.
    base: String,
}

/// Someone who leaves.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Leaving {
    /// Their e-mail address.
    who: String,
    /// Who answers for their service accounts, shares and schedules from now on.
    to: Option<String>,
}

/// Who would gain and lose what; changes nothing.
#[utoipa::path(post, path = "/api/v1/access/plan", tag = "access", request_body = Draft,
    responses((status = 200, body = PlanView)))]
pub async fn access_plan(
    State(api): State<Api>,
    caller: Caller,
    Json(draft): Json<Draft>,
) -> Result<Json<PlanView>, ApiProblem> {
    api.must_admin(&caller)?;
    in_person(&caller)?;
    let desk = Desk::of(&api);
    let doing =
        async { read::plan(desk.policy, desk.warehouse, desk.port, &draft.text).await.map_err(ApiProblem::from) };
    noted(&api, &caller, Deed::Access, "access.plan".to_owned(), [], doing).await.map(Json)
}

/// Writes `access.toml` and puts it in force; answers with what that changed.
#[utoipa::path(put, path = "/api/v1/access", tag = "access", request_body = Applied,
    responses((status = 200, body = PlanView)))]
pub async fn access_apply(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<Applied>,
) -> Result<Json<PlanView>, ApiProblem> {
    api.must_admin(&caller)?;
    in_person(&caller)?;
    let desk = Desk::of(&api);
    let plan = read::plan(desk.policy, desk.warehouse, desk.port, &asked.text).await?;
    let told = plan.changes.iter().map(line).collect::<Vec<_>>().join("; ");
    let what = format!("access.apply {told}");
    let doing = async {
        let outcome = desk.port.apply(&asked.text, &asked.base).await;
        outcome.map_err(|problem| match &*problem.code {
            "access.changed_meanwhile" => ApiProblem::conflict(problem),
            _ => ApiProblem::from(problem),
        })
    };
    noted(&api, &caller, Deed::Access, what, [], doing).await?;
    Ok(Json(plan))
}

fn line(change: &super::views::ChangeView) -> String {
    let role = |role: &Option<String>| role.clone().unwrap_or_else(|| "nothing".to_owned());
    let on = if change.all { change.dataset.clone() } else { format!("{} of {}", change.tables, change.dataset) };
    format!("{} {on}: {} to {}", change.who, role(&change.before), role(&change.after))
}

/// Lets someone go: ends their sessions and tokens, and hands over what others need.
#[utoipa::path(post, path = "/api/v1/access/offboard", tag = "access", request_body = Leaving,
    responses((status = 200, body = OffboardedView)))]
pub async fn access_offboard(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<Leaving>,
) -> Result<Json<OffboardedView>, ApiProblem> {
    api.must_admin(&caller)?;
    in_person(&caller)?;
    let port = Desk::of(&api).port;
    let heir = asked.to.as_deref();
    let what = format!("access.offboard {} to {}", asked.who, heir.unwrap_or("nobody"));
    let doing = async { offboard(&api.policy, port, &asked.who, heir).await.map_err(ApiProblem::from) };
    noted(&api, &caller, Deed::Access, what, [], doing).await.map(Json)
}

/// Lets someone go, and says where `access.toml` still names them.
///
/// # Errors
/// Nobody of that address, or the state database.
pub async fn offboard(
    policy: &Policy,
    port: &dyn AccessPort,
    who: &str,
    heir: Option<&str>,
) -> Result<OffboardedView, Problem> {
    let done = port.offboard(who, heir).await?;
    let still_named = read::names(&policy.now(), who);
    Ok(OffboardedView { sessions: done.sessions, tokens: done.tokens, services: done.services, still_named })
}
