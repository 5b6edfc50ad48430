//! Who a request comes from.
//!
//! Owns: [`Caller`], and the way to it by a session's cookie or a bearer token. Never decides what they may do; that is
//! `naru_access::Rights`.

use std::net::IpAddr;

use axum::http::{StatusCode, request::Parts};
use naru_access::{Principal, Scope};
use naru_base::Problem;

use super::{
    SignIn,
    request::{self, Foreign},
};
use crate::api::ApiProblem;

/// Paths that a token for SQL alone opens; a token for the whole API opens all.
const QUERY_PATHS: [&str; 3] = ["/api/v1/queries", "/api/v1/me", "/api/v1/catalog"];

/// Who asks, and how they came in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who they are.
    pub principal: Principal,
    /// What they showed.
    pub via: Via,
    /// Their address; that of whom a declared proxy asks for.
    pub peer: IpAddr,
    /// Their program, shortened.
    pub client: String,
}

/// What a caller showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The cookie of a session.
    Session {
        /// Its number.
        id: i64,
    },
    /// A bearer token.
    Token {
        /// Its number.
        id: i64,
    },
}

impl SignIn {
    /// Who a request comes from. A session's request that changes something must come from our own page; tokens need
    /// not, for no browser sends them by itself.
    ///
    /// # Errors
    /// 401 when it is nobody, 403 when it is somebody who may not ask in this way.
    pub async fn caller(&self, parts: &Parts) -> Result<Caller, ApiProblem> {
        let peer = request::peer(parts, &self.options().proxies);
        let client = request::client(&parts.headers);
        if let Some(token) = request::bearer(&parts.headers) {
            let (principal, id) = self.by_token(token, peer, parts.uri.path()).await?;
            return Ok(Caller { principal, via: Via::Token { id }, peer, client });
        }
        let Some(cookie) = request::cookie(&parts.headers, &self.cookie_name()) else { return Err(self.nobody()) };
        self.check_host(parts)?;
        let entered = self.sessions().enter(&cookie).await.map_err(|error| ApiProblem::from(error.problem()))?;
        // A session of the way of signing in that is not in force any more is nobody's.
        let entered = entered.filter(|(_, principal)| (*principal == Principal::Owner) != self.has_provider());
        let (id, principal) = entered.ok_or_else(|| self.nobody())?;
        request::check_ours(parts).map_err(foreign)?;
        Ok(Caller { principal, via: Via::Session { id }, peer, client })
    }

    async fn by_token(&self, token: &str, peer: IpAddr, path: &str) -> Result<(Principal, i64), ApiProblem> {
        let entered = self.tokens().enter(None, token, Some(peer)).await;
        let entry = entered.map_err(|error| ApiProblem::from(error.problem()))?.ok_or_else(|| self.nobody())?;
        let below = |open: &str| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let for_query = entry.is_for(&Scope::Query) && QUERY_PATHS.into_iter().any(below);
        if entry.is_for(&Scope::Api) || for_query {
            return Ok((entry.principal, entry.token));
        }
        let problem = Problem::new("signin.scope", "this token is for something else")
            .hint("Make one for the API, or for SQL, in the console's settings.");
        Err(ApiProblem(problem, StatusCode::FORBIDDEN))
    }

    /// A page of another site whose name was made to point here must not act with the cookie.
    pub(super) fn check_host(&self, parts: &Parts) -> Result<(), ApiProblem> {
        let host = request::host(parts).unwrap_or_default();
        if self.knows_host(host) {
            return Ok(());
        }
        let problem = Problem::new("signin.host", "this naru is not called by that name")
            .detail("The address in the browser is neither this machine's nor the `url` under [sign_in] in naru.toml.");
        Err(ApiProblem(problem, StatusCode::MISDIRECTED_REQUEST))
    }

    /// The answer to nobody in particular.
    fn nobody(&self) -> ApiProblem {
        let hint = if self.has_provider() {
            "Sign in, or send a token: `Authorization: Bearer naru_pat_…`."
        } else {
            "`naru console` in the project folder prints a link that opens it."
        };
        ApiProblem(Problem::new("signin.needed", "nobody is signed in").hint(hint), StatusCode::UNAUTHORIZED)
    }
}

/// The answer to a request that our own page did not send.
pub(super) fn foreign(foreign: Foreign) -> ApiProblem {
    let detail = match foreign {
        Foreign::Site => "Another site may have made the browser send it.",
        Foreign::Unmarked => "It lacks the header `x-naru: 1`, which the console's own pages send.",
        Foreign::Body => "Its body is a form's, which pages of other sites can send.",
    };
    let problem = Problem::new("signin.cross_site", "this request did not come from the console").detail(detail);
    ApiProblem(problem.hint("Programs send a token instead of a cookie."), StatusCode::FORBIDDEN)
}
