//! The one-time link that opens the console on this machine where nobody signs in.
//!
//! Owns: `/signin/open`. The link is made over the control socket, which only the folder's owner can open; it is good for
//! one click within a few minutes. The part after `#` is never sent to anybody: a page of ours reads it.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    Json,
    extract::{Request, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use naru_access::{Principal, SessionOf};
use naru_base::{Problem, Secret};
use serde::Deserialize;

use super::{SignIn, provider::random, request};
use crate::api::ApiProblem;

/// Bytes of the one request that a link makes.
const BODY_BYTES_MAX: usize = 1_000;

const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content=\"light dark\">\
<meta name=viewport content=\"width=device-width\"><title>naru</title><style>body{font:16px system-ui;margin:20vh auto;\
max-width:30em;padding:0 1em}</style><p id=said role=status>Opening naru… / 나루를 여는 중…</p>\
<script src=/signin/open.js></script></html>";

const SCRIPT: &str = r#"(async () => {
  const code = location.hash.slice(1);
  history.replaceState(null, "", "/signin/open");
  const answer = await fetch("/signin/open", {
    method: "POST",
    headers: { "content-type": "application/json", "x-naru": "1" },
    body: JSON.stringify({ code }),
  }).catch(() => null);
  if (answer && answer.ok) {
    location.replace("/");
    return;
  }
  document.getElementById("said").textContent =
    "This link was used already, or is too old. `naru console` in the project folder prints another. / " +
    "이미 쓴 링크이거나 너무 오래되었습니다. 프로젝트 폴더에서 `naru console`을 실행하면 새 링크가 나옵니다.";
})();
"#;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

impl SignIn {
    /// Makes a one-time link's path for the folder's owner.
    ///
    /// # Errors
    /// People sign in here.
    pub fn link(&self) -> Result<Secret, Problem> {
        if self.has_provider() {
            let problem = Problem::new("signin.provider", "people sign in here with their own account");
            return Err(problem.hint("Open the console's address in a browser."));
        }
        let code = random();
        self.links().put(code.clone(), IpAddr::V4(Ipv4Addr::LOCALHOST), ());
        Ok(Secret::new(format!("/signin/open#{code}")))
    }
}

/// The page that the link opens.
pub(super) async fn page() -> Response {
    let headers =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")];
    (headers, PAGE).into_response()
}

/// Its script.
pub(super) async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-store")], SCRIPT).into_response()
}

#[derive(Debug, Deserialize)]
struct Open {
    code: String,
}

/// Opens the owner's session for a link's code.
pub(super) async fn open(State(signin): State<SignIn>, request: Request) -> Response {
    match opened(&signin, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn opened(signin: &SignIn, request: Request) -> Result<Response, ApiProblem> {
    let (parts, body) = request.into_parts();
    signin.check_ours(&parts)?;
    let peer = request::peer(&parts, &[]);
    let unknown = || {
        let problem = Problem::new("signin.unknown", "this link was used already, or is too old");
        ApiProblem(problem.hint("`naru console` in the project folder prints another."), StatusCode::UNAUTHORIZED)
    };
    // A proxy would make the whole world this machine.
    if signin.has_provider() || !peer.is_loopback() || request::forwarded(&parts.headers) {
        return Err(unknown());
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| unknown())?;
    let Open { code } = serde_json::from_slice(&body).map_err(|_| unknown())?;
    signin.links().take(&code).ok_or_else(unknown)?;
    let cookie = signin.open_session(&parts, SessionOf::Owner, &Principal::Owner).await;
    let cookie = cookie.map_err(|refusal| ApiProblem::from(refusal.problem()))?;
    Ok((StatusCode::OK, [(SET_COOKIE, cookie)], Json(serde_json::json!({}))).into_response())
}
