//! The way into the API: an id for every request, nobody unknown beyond it, problems as JSON, safe headers.
//!
//! Owns: the order of these. Everything is closed unless [`OPEN`] names it.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use naru_base::Problem;

use super::problem::{ApiProblem, REQUEST};
use crate::api::Api;

/// Paths that answer everybody. The golden list: a test compares it with what really answers without a caller.
pub(crate) const OPEN: &[&str] = &[];

/// Bytes of a body beyond which a request is refused, where a noun does not allow more.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a stream of events lasts. Browsers join again by themselves and are asked who they are again, so a session
/// that was ended is out within this time.
const STREAM_FOR: Duration = Duration::from_secs(50);

/// Bytes of a library's own refusal that are passed on.
const REASON_BYTES_MAX: usize = 8 << 10;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets in who is known, and marks the request with them.
pub(crate) async fn enter(State(api): State<Api>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match api.signin.caller(&parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Gives the request its id, its answer the headers, and refusals of libraries the form of a problem.
pub(crate) async fn frame(request: Request, next: Next) -> Response {
    let id = format!("{:016x}", rand::random::<u64>());
    let answered = REQUEST.scope(id.clone(), async move { as_problem(next.run(request).await).await });
    let mut response = bounded(answered.await);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Headers that every answer of the console, its API and sign-in has, where it has not its own.
pub(crate) async fn safe_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Answers a path that does not exist.
pub(crate) async fn no_such_path(request: Request) -> ApiProblem {
    let problem = Problem::new("api.no_such_path", format!("the API has no path {}", request.uri().path()));
    ApiProblem::not_found(problem.hint("`/api/v1/openapi.json` lists all paths."))
}

fn is(response: &Response, kind: &str) -> bool {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|is| is.starts_with(kind))
}

/// What a library refuses (a body that is no JSON, a path that is no number, a method) in the form of a problem.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is(&response, "application/json") {
        return response;
    }
    let reason = to_bytes(response.into_body(), REASON_BYTES_MAX).await.unwrap_or_default();
    let reason = String::from_utf8_lossy(&reason);
    let (code, summary) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("api.method", "this path does not take this method"),
        StatusCode::PAYLOAD_TOO_LARGE => ("api.too_large", "the request is too large"),
        _ if status.is_server_error() => ("api.defect", "the request could not be answered"),
        _ => ("api.request", "the request was not understood"),
    };
    let problem = Problem::new(code, summary);
    let problem = if reason.trim().is_empty() { problem } else { problem.detail(reason.trim().to_owned()) };
    ApiProblem(problem, status).into_response()
}

/// Ends a stream of events after a while.
fn bounded(response: Response) -> Response {
    if !is(&response, "text/event-stream") {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(tokio::time::sleep(STREAM_FOR)).boxed()))
}
