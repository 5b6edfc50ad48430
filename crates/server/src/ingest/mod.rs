//! Events over HTTP: our own intake, and the protocols of the log servers that companies already have.
//!
//! Owns: the paths under which events come in, and which parser and which answer belong to each. What is accepted is
//! on the log before it is answered, whether or not the topic's table will take it; an answer names the rows it will
//! not. Never checks a row itself.
//! Read next: [`intake`] for the way of a request, [`wire`] for the protocols.

mod body;
mod counters;
mod intake;
mod memory;
mod pages;
mod refusal;
mod replies;
mod sender;
pub mod wire;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Request as HttpRequest, State},
    http::{HeaderMap, request::Parts},
    middleware::from_fn_with_state,
    response::Response,
    routing::{any, post},
};
use bytes::Bytes;
pub use intake::Intake;
use intake::{Aim, Taken};
use naru_project::Protocol;
use refusal::Refusal;
pub use sender::KeyBook;
pub(crate) use sender::{Senders, key_of};
use wire::{Request, Sent, WireError, cloudevents, form, mixpanel, otlp, otlp_json, segment, split};

/// The paths of all protocols.
pub(crate) fn router(intake: Intake) -> Router {
    let origins = intake.origins();
    Router::new()
        .route("/v1/ingest/{topic}", post(ingest))
        .route("/track", any(mixpanel_track))
        .route("/engage", any(mixpanel_engage))
        .route("/groups", any(mixpanel_groups))
        .route("/import", post(mixpanel_import))
        // As the library for browsers writes them.
        .route("/track/", any(mixpanel_track))
        .route("/engage/", any(mixpanel_engage))
        .route("/groups/", any(mixpanel_groups))
        .route("/v1/batch", post(segment_batch))
        .route("/v1/import", post(segment_batch))
        .route("/v1/track", post(async |state, request| segment_single(state, request, "track").await))
        .route("/v1/identify", post(async |state, request| segment_single(state, request, "identify").await))
        .route("/v1/page", post(async |state, request| segment_single(state, request, "page").await))
        .route("/v1/screen", post(async |state, request| segment_single(state, request, "screen").await))
        .route("/v1/group", post(async |state, request| segment_single(state, request, "group").await))
        .route("/v1/alias", post(async |state, request| segment_single(state, request, "alias").await))
        // As Segment's library for browsers writes them.
        .route("/v1/t", post(async |state, request| segment_single(state, request, "track").await))
        .route("/v1/i", post(async |state, request| segment_single(state, request, "identify").await))
        .route("/v1/p", post(async |state, request| segment_single(state, request, "page").await))
        .route("/v1/s", post(async |state, request| segment_single(state, request, "screen").await))
        .route("/v1/g", post(async |state, request| segment_single(state, request, "group").await))
        .route("/v1/a", post(async |state, request| segment_single(state, request, "alias").await))
        .route("/v1/logs", post(otlp_logs))
        .route("/v1/cloudevents", post(cloudevents))
        // Bodies are bounded by `body`, whose limit is a setting.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(origins, pages::pass))
        .with_state(intake)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn ingest(State(intake): State<Intake>, Path(topic): Path<String>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    replies::own(&events(&intake, &parts, body, Aim::Topic(topic)).await)
}

async fn cloudevents(State(intake): State<Intake>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    replies::own(&events(&intake, &parts, body, Aim::From(Protocol::CloudEvents)).await)
}

/// CloudEvents in any mode where the headers say so, else JSON.
async fn events(intake: &Intake, parts: &Parts, body: Body, aim: Aim) -> Result<Taken, Refusal> {
    let kind = content_type(&parts.headers).to_owned();
    match cloudevents::mode(&kind, parts.headers.contains_key("ce-specversion")) {
        Some(cloudevents::Mode::Binary) => {
            let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers: Vec<(String, String)> =
                parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
            let parse = move |body: Bytes| {
                let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                Ok(cloudevents::binary(headers, Some(kind.as_str()).filter(|kind| !kind.is_empty()), &body))
            };
            intake.take(parts, body, aim, parse).await
        }
        Some(mode) => intake.take(parts, body, aim, move |body| cloudevents::structured(&body, mode)).await,
        None => intake.take(parts, body, aim, move |body| json_events(&body, &kind)).await,
    }
}

fn json_events(body: &Bytes, content_type: &str) -> Result<Request, WireError> {
    let lines = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"];
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let values = split::values(body, lines.contains(&kind.as_str()))?;
    Ok(Request { events: values.into_iter().map(Sent::plain).collect(), key: None })
}

async fn mixpanel_track(State(intake): State<Intake>, request: HttpRequest) -> Response {
    mixpanel_form(&intake, request, Protocol::MixpanelTrack, track_now).await
}

/// The events of `/track`, which arrive now.
fn track_now(data: &Bytes) -> Result<Request, WireError> {
    mixpanel::track(data, &now())
}

/// The time of arrival, as RFC 3339.
fn now() -> String {
    jiff::Timestamp::from_microsecond(naru_base::time::now_us()).unwrap_or_default().to_string()
}

async fn mixpanel_engage(State(intake): State<Intake>, request: HttpRequest) -> Response {
    mixpanel_form(&intake, request, Protocol::MixpanelEngage, mixpanel::changes).await
}

async fn mixpanel_groups(State(intake): State<Intake>, request: HttpRequest) -> Response {
    mixpanel_form(&intake, request, Protocol::MixpanelGroups, mixpanel::changes).await
}

type MixpanelParser = fn(&Bytes) -> Result<Request, WireError>;

/// A call whose `data` stands in a form, in the query, or is the body itself.
async fn mixpanel_form(intake: &Intake, request: HttpRequest, protocol: Protocol, parse: MixpanelParser) -> Response {
    let (parts, body) = request.into_parts();
    let query = Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes());
    let verbose = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(is_set(&query, "verbose")));
    let heard = std::sync::Arc::clone(&verbose);
    let read = move |body: Bytes| {
        if is_set(&body, "verbose") {
            heard.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        parse(&mixpanel_data(&body, &query))
    };
    let taken = intake.take(&parts, body, Aim::From(protocol), read).await;
    replies::mixpanel(&taken, verbose.load(std::sync::atomic::Ordering::Relaxed))
}

fn mixpanel_data(body: &Bytes, query: &[u8]) -> Bytes {
    if body.trim_ascii_start().starts_with(b"{") || body.trim_ascii_start().starts_with(b"[") {
        return body.clone();
    }
    form::field(body, "data").or_else(|| form::field(query, "data")).unwrap_or_else(|| body.clone())
}

/// Whether a flag of a form is `1`. A body of JSON has no flags.
fn is_set(form: &[u8], name: &str) -> bool {
    !form.trim_ascii_start().starts_with(b"{")
        && !form.trim_ascii_start().starts_with(b"[")
        && form::field(form, name).is_some_and(|value| value == b"1".as_slice())
}

/// Lines or an array as the documentation says; a form with `data` as Mixpanel's Python library sends it, which reads
/// the answer of `/track`.
async fn mixpanel_import(State(intake): State<Intake>, request: HttpRequest) -> Response {
    let kind = content_type(request.headers()).to_ascii_lowercase();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return mixpanel_form(&intake, request, Protocol::MixpanelTrack, track_now).await;
    }
    let (parts, body) = request.into_parts();
    let strict = form::text(parts.uri.query().unwrap_or_default().as_bytes(), "strict").is_none_or(|flag| flag != "0");
    let taken = intake.take(&parts, body, Aim::From(Protocol::MixpanelTrack), |body| mixpanel::import(&body)).await;
    replies::import(&taken, strict)
}

async fn segment_batch(State(intake): State<Intake>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    replies::segment(
        &intake.take(&parts, body, Aim::From(Protocol::Segment), |body| segment::batch(&body, &now())).await,
    )
}

async fn segment_single(State(intake): State<Intake>, request: HttpRequest, kind: &'static str) -> Response {
    let (parts, body) = request.into_parts();
    let parse = move |body: Bytes| segment::single(&body, kind, &now());
    replies::segment(&intake.take(&parts, body, Aim::From(Protocol::Segment), parse).await)
}

async fn otlp_logs(State(intake): State<Intake>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let json = content_type(&parts.headers).to_ascii_lowercase().starts_with("application/json");
    let parse = move |body: Bytes| if json { otlp_json::json(&body) } else { otlp::protobuf(&body) };
    replies::otlp(&intake.take(&parts, body, Aim::From(Protocol::OtlpLogs), parse).await, !json)
}
