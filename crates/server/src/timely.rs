//! Bodies on their way in and out of a connection.
//!
//! Owns: [`Timely`], a request's body that must end in time, and [`Answering`], an answer's body that knows when it is
//! gone. Never reads what is in them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connections::OpenRequest;

/// A request's body that did not come in time.
#[derive(Debug)]
struct Late(Duration);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body did not come within {} s", self.0.as_secs())
    }
}

impl std::error::Error for Late {}

/// A request's body, whose bytes must all have come after a while, if anybody cares.
#[derive(Debug)]
pub(crate) struct Timely {
    body: Incoming,
    began: Instant,
    wait: Option<Duration>,
    /// Made when it is first waited for: most bodies are there at once.
    late: Option<Pin<Box<Sleep>>>,
}

impl Timely {
    pub(crate) fn new(body: Incoming, wait: Option<Duration>) -> Self {
        Self { body, began: Instant::now(), wait, late: None }
    }
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::BoxError::from)));
        }
        let Some(wait) = self.wait else { return Poll::Pending };
        let ends = self.began + wait;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(ends)));
        late.as_mut().poll(context).map(|()| Some(Err(Late(wait).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, whose request is over when it is sent or given up.
#[derive(Debug)]
pub(crate) struct Answering {
    body: Body,
    _request: OpenRequest,
}

impl Answering {
    pub(crate) fn new(body: Body, request: OpenRequest) -> Self {
        Self { body, _request: request }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
