//! Connections of the Pub/Sub door.
//!
//! Owns: accepting, HTTP/1 and HTTP/2 with and without an upgrade on one port, keeping connections alive, and their
//! end.

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Door, ServerError};

/// How long requests that are being answered may take to end when the door closes.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that says nothing is asked whether it is alive.
const ALIVE_EVERY: Duration = Duration::from_mins(1);
/// Streams of one connection.
const STREAMS_MAX: u32 = 1000;
/// Bytes that may be on the way to us on one stream and one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Serves a bound listener.
pub(super) fn serve(listener: TcpListener, router: Router) -> Result<Door, ServerError> {
    let address =
        listener.local_addr().map_err(|error| ServerError::Lost(format!("the listener has no address: {error}")))?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (ended, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(async move {
        while let Some(accepted) = ended.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), ended.clone()));
                }
                Err(error) => {
                    // Too many open files, as a rule: others may end meanwhile.
                    tracing::warn!(%error, "the Pub/Sub door could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(Door { address, stop, tasks })
}

async fn connection(stream: TcpStream, router: Router, ended: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with Nagle's algorithm");
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(ALIVE_EVERY))
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(error, "a Pub/Sub connection broke");
            }
            return;
        }
        () = ended.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    if tokio::time::timeout(PATIENCE, serving).await.is_err() {
        tracing::debug!("a Pub/Sub connection was cut");
    }
}
