//! What HTTP/2 is like at the Pub/Sub door.
//!
//! Owns: its windows and streams, and what differs there from other doors. Never accepts anything; see
//! `crate::connections`.

use hyper_util::{rt::TokioExecutor, server::conn::auto::Builder};
use tokio::time::Duration;

use crate::{ConnectionLimits, connections::builder};

/// Client libraries keep a channel open for half an hour after its last call, and open another without a word.
const IDLE: Duration = Duration::from_mins(10);
/// Streams of one connection.
const STREAMS_MAX: u32 = 1000;
/// Bytes that may be on the way to us on one stream and one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Longer silences than elsewhere, and requests that are streams; their waits are those of `stream`.
pub(super) fn limits(limits: ConnectionLimits) -> ConnectionLimits {
    ConnectionLimits { idle: limits.idle.max(IDLE), body_wait: None, ..limits }
}

/// HTTP/1 and HTTP/2 with and without an upgrade on one port.
pub(super) fn http(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = builder(limits);
    builder
        .http2()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}
