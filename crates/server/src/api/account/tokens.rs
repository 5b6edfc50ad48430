//! One's own tokens.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use naru_access::{Principal, audit::Deed};

use super::{NewToken, TokenList, TokenMade, failed, holder, made, must_be_there, must_use, now, person, scopes, view};
use crate::{
    api::{Api, ApiProblem, permit::noted},
    signin::caller::Caller,
};

/// One's own tokens; the folder's owner sees those of the project.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "account",
    responses((status = 200, body = TokenList), (status = 401), (status = 403)))]
pub async fn list_tokens(State(api): State<Api>, caller: Caller) -> Result<Json<TokenList>, ApiProblem> {
    let items = api.signin.tokens().list_held(holder(&caller)?).await.map_err(failed)?;
    Ok(Json(TokenList { as_of: now(), items: items.into_iter().map(view).collect() }))
}

/// Makes a token of one's own (at most 90 days), whose text is shown this once. The folder's owner makes tokens of the
/// project.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "account", request_body = NewToken,
    responses((status = 201, body = TokenMade), (status = 400), (status = 401), (status = 403), (status = 409)))]
pub async fn make_token(
    State(api): State<Api>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<TokenMade>), ApiProblem> {
    must_be_there(&caller)?;
    let scopes = scopes(&new.scopes)?;
    must_use(&api, &caller.principal, &scopes)?;
    let tokens = api.signin.tokens();
    let what = format!("token \"{}\" made for {}", new.name.trim(), new.scopes.join(", "));
    let issued = noted(&api, &caller, Deed::Token, what, [], async {
        match &caller.principal {
            Principal::Owner => tokens.issue_for_project(&new.name, "owner", new.days, scopes).await,
            _ => tokens.issue_personal(person(&caller)?, &new.name, new.days, scopes).await,
        }
        .map_err(failed)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(made(&api, issued))))
}

/// Takes a token back. Whatever came in with it is cut off within seconds.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "account", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub async fn revoke_token(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiProblem> {
    let holder = holder(&caller)?;
    let revoking = async { api.signin.tokens().revoke_held(holder, id).await.map_err(failed) };
    noted(&api, &caller, Deed::Token, format!("token {id} revoked"), [], revoking).await?;
    Ok(StatusCode::NO_CONTENT)
}
