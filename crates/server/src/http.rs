//! The HTTP door: health, readiness, metrics, and the paths of the intake.
//!
//! Owns: `/healthz`, `/readyz`, `/metrics`, and which paths the door has beside them. What ready means is the caller's
//! [`Readiness`]; events are [`crate::ingest`]'s, connections [`crate::connections`]'s.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{
    Door, Doorway, ServerError,
    connections::builder,
    ingest::{self, Intake},
    signin::request::{forwarded, host, is_loopback},
};

/// Says whether naru serves what its folder promises.
pub trait Readiness: Send + Sync {
    /// Why it is not ready, one line a reason (a table that still copies); empty when it is.
    fn reasons(&self) -> Vec<String>;
}

impl<F: Fn() -> Vec<String> + Send + Sync> Readiness for F {
    fn reasons(&self) -> Vec<String> {
        self()
    }
}

/// Metrics that all rooms register with.
pub type Metrics = Arc<Mutex<Registry>>;

/// Where a request comes from; every request carries it as [`ConnectInfo`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

#[derive(Clone)]
struct Answers {
    readiness: Arc<dyn Readiness>,
    metrics: Metrics,
}

/// Opens the door; `None` when it is off. With a certificate it may listen beyond loopback, and then it shows health to
/// everybody but readiness and metrics, which name tables, to this machine only. Without an `intake` it
/// takes no events. `more` are further paths (sign-in, the console's API, its pages), whose fallback answers what nobody
/// else does.
///
/// # Errors
/// [`ServerError`] when the address or the certificate cannot be used.
pub async fn serve(
    doorway: Doorway,
    readiness: Arc<dyn Readiness>,
    metrics: Metrics,
    intake: Option<Intake>,
    more: Option<Router>,
) -> Result<Option<Door>, ServerError> {
    let builder = builder(&doorway.limits);
    let Some(entrance) = doorway.bind("http", &[b"http/1.1"]).await? else { return Ok(None) };
    let said = "Connections that the HTTP door closed at once because there were too many";
    metrics.lock().register("naru_http_refused_connections", said, entrance.refused.clone());
    let router = Router::new()
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route_layer(from_fn(this_machine_only))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Answers { readiness, metrics })
        .merge(intake.map(ingest::router).unwrap_or_default())
        .merge(more.unwrap_or_default());
    Ok(Some(entrance.serve(router, builder)))
}

async fn this_machine_only(ConnectInfo(Peer(peer)): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // A proxy on this machine may ask for somebody elsewhere, and pass on the name that they asked for.
    let elsewhere = forwarded(&parts.headers) || host(&parts).is_some_and(|host| !is_loopback(host));
    if peer.ip().to_canonical().is_loopback() && !elsewhere {
        return next.run(Request::from_parts(parts, body)).await;
    }
    (StatusCode::FORBIDDEN, "only for this machine\n").into_response()
}

async fn ready(State(answers): State<Answers>) -> Response {
    let reasons = answers.readiness.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))).into_response()
}

async fn metrics_text(State(answers): State<Answers>) -> Response {
    let mut text = String::new();
    let encoded = encode(&mut text, &answers.metrics.lock());
    match encoded {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
