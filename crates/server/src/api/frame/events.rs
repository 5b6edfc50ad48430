//! States of long work as server-sent events.
//!
//! Owns: the form of the stream. A stream is a view of work that goes on without it; who joins again gets the whole
//! state first. The way in ends every stream after a while, so that who was signed out loses it.

use std::{convert::Infallible, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use serde::Serialize;

/// How often a stream without news says that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How soon a browser shall join again.
const REJOIN_AFTER: Duration = Duration::from_millis(300);

/// Sends every state as event `state`, in JSON.
pub fn states<T, S>(states: S) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    T: Serialize + Send + 'static,
    S: Stream<Item = T> + Send + 'static,
{
    let events = states.filter_map(async |state| {
        let event = Event::default().event("state").retry(REJOIN_AFTER).json_data(state);
        event.inspect_err(|error| tracing::warn!(%error, "a state has no JSON form")).ok().map(Ok)
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY))
}
