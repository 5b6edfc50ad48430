//! The HTTP door: health, readiness, metrics, and the paths of the intake.
//!
//! Owns: `/healthz`, `/readyz`, `/metrics`, and the listener below them all, with TLS or without. What ready means is
//! the caller's [`Readiness`]; events are [`crate::ingest`]'s.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Door, Listen, ServerError,
    ingest::{self, Intake},
    tls::{Tls, TlsListener},
};

/// How long requests that are being answered may take to end when the door closes.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Opens the door; `None` when it is off. With `tls` it may listen beyond loopback, and then it shows health to
/// everybody but readiness and metrics, which name tables, to this machine only. Without an `intake` it
/// takes no events. `more` are further paths (sign-in, the console's API, its pages), whose fallback answers what nobody
/// else does.
///
/// # Errors
/// [`ServerError`] when the address or the certificate cannot be used.
pub async fn serve(
    listen: Listen,
    tls: Option<Tls>,
    readiness: Arc<dyn Readiness>,
    metrics: Metrics,
    intake: Option<Intake>,
    more: Option<Router>,
) -> Result<Option<Door>, ServerError> {
    let acceptor = tls.map(Tls::acceptor).transpose()?;
    let Some(listener) = listen.bind("http", acceptor.is_some()).await? else { return Ok(None) };
    let address =
        listener.local_addr().map_err(|error| ServerError::Lost(format!("the listener has no address: {error}")))?;
    let router = Router::new()
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route_layer(from_fn(this_machine_only))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Answers { readiness, metrics })
        .merge(intake.map(ingest::router).unwrap_or_default())
        .merge(more.unwrap_or_default());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    match acceptor {
        None => run(listener, router, &stop, &tasks),
        Some(acceptor) => {
            let listener = TlsListener::new(listener, address, acceptor, stop.clone());
            run(listener, router, &stop, &tasks);
        }
    }
    Ok(Some(Door { address, stop, tasks }))
}

fn run<L>(mut listener: L, router: Router, stop: &CancellationToken, tasks: &TaskTracker)
where
    L: Listener<Addr = SocketAddr>,
{
    let (ended, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(async move {
        while let Some((stream, peer)) = ended.run_until_cancelled(listener.accept()).await {
            connections.spawn(connection::<L>(stream, Peer(peer), router.clone(), ended.clone()));
        }
    });
}

async fn connection<L: Listener>(stream: L::Io, peer: Peer, router: Router, ended: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        tonic::codegen::Service::call(&mut router.clone(), request)
    });
    let builder = Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(error, "an HTTP connection broke");
            }
            return;
        }
        () = ended.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    if tokio::time::timeout(PATIENCE, serving).await.is_err() {
        tracing::debug!("an HTTP connection was cut");
    }
}

async fn this_machine_only(ConnectInfo(Peer(peer)): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if peer.ip().to_canonical().is_loopback() {
        return next.run(request).await;
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
