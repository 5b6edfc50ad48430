//! The HTTP door: health, readiness, metrics.
//!
//! Owns: `/healthz`, `/readyz`, `/metrics`. What ready means is the caller's [`Readiness`].

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Door, Listen, ServerError};

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

#[derive(Clone)]
struct Answers {
    readiness: Arc<dyn Readiness>,
    metrics: Metrics,
}

/// Opens the door; `None` when it is off.
pub async fn serve(
    listen: Listen,
    readiness: Arc<dyn Readiness>,
    metrics: Metrics,
) -> Result<Option<Door>, ServerError> {
    let Some(listener) = listen.bind("http").await? else { return Ok(None) };
    let address =
        listener.local_addr().map_err(|error| ServerError::Lost(format!("the listener has no address: {error}")))?;
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(Answers { readiness, metrics });
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let ended = stop.clone();
    tasks.spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(ended.cancelled_owned());
        if let Err(error) = serving.into_future().await {
            tracing::warn!(%error, "the HTTP door closed");
        }
    });
    Ok(Some(Door { address, stop, tasks }))
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
