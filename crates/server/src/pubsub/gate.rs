//! The way of a request to its call.
//!
//! Owns: refusing pages of browsers, asking for a token before anything of the body is read, and bounding what all
//! bodies hold together and how long each may take. Never knows a method.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hyper::body::Frame;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tonic::Status;

use super::{caller::Caller, rest};
use crate::ingest::{Senders, key_of};

/// KiB of requests that are being received and answered, all together.
const MEMORY_KIB: usize = 256 << 10;
/// How long a request may take to come, other than a stream.
const BODY_WAIT_MAX: Duration = Duration::from_mins(1);
/// Everybody may see the public key that pushes are signed with.
const OPEN_PATHS: &str = "/.well-known/";

/// What all requests pass. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    senders: Arc<Senders>,
    memory: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new(senders: Senders) -> Self {
        Self { senders: Arc::new(senders), memory: Arc::new(Semaphore::new(MEMORY_KIB)) }
    }

    /// The keys and rates behind it.
    pub(super) fn senders(&self) -> &Senders {
        &self.senders
    }

    /// Who calls with a token, or without one.
    async fn caller(&self, parts: &Parts) -> Result<Caller, Status> {
        let token = key_of(&parts.headers, "");
        let from = self.senders.origin(parts);
        let admitted = self.senders.admit(token.as_deref(), from).await;
        let admitted = admitted.map_err(|refusal| {
            let text = refusal.problem().to_string();
            match refusal.status() {
                StatusCode::UNAUTHORIZED => Status::unauthenticated(text),
                StatusCode::FORBIDDEN => Status::permission_denied(text),
                _ => Status::unavailable(text),
            }
        })?;
        Ok(match (admitted, token) {
            (Some(sender), Some(token)) => Caller::Bearer { sender, token: token.into(), from },
            _ => Caller::Anybody,
        })
    }

    /// Whether a caller may go on with what it began: its token stands, and still opens what it opened.
    pub(super) async fn stands(&self, caller: &Caller) -> bool {
        match caller {
            Caller::Anybody => true,
            // The state database may be away for a moment; only a clear no ends a stream.
            Caller::Bearer { token, from, .. } => {
                let again = self.senders.admit(Some(token), *from).await;
                again.map_or_else(
                    |refusal| refusal.status() != StatusCode::UNAUTHORIZED,
                    |found| found.is_some_and(|now| caller.is_still(&now)),
                )
            }
        }
    }
}

/// Passes a request on, or answers in its place.
pub(super) async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "not for pages of a browser\n").into_response();
    }
    if !request.uri().path().starts_with(OPEN_PATHS) {
        let (mut parts, body) = request.into_parts();
        match gate.caller(&parts).await {
            Ok(caller) => drop(parts.extensions.insert(caller)),
            Err(status) if is_grpc(&parts.headers) => return status.into_http::<Body>(),
            Err(status) => return rest::failed(&status),
        }
        request = Request::from_parts(parts, body);
    }
    let held = Arc::new(Held { memory: Arc::clone(&gate.memory), now: Mutex::new(Some(Vec::new())) });
    let received = Arc::clone(&held);
    let request = request.map(|body| Body::new(Counted { body, held: received, late: None }));
    let answer = next.run(request).await;
    // From here on a stream is bounded by the size of its single messages.
    held.release();
    answer
}

/// Whether a request is gRPC's.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// What one request holds of the memory, until it is answered.
#[derive(Debug)]
struct Held {
    memory: Arc<Semaphore>,
    now: Mutex<Option<Vec<OwnedSemaphorePermit>>>,
}

impl Held {
    /// Counts bytes that came; false when there is no room for them.
    fn take(&self, bytes: usize) -> bool {
        let mut now = self.now.lock();
        let Some(held) = now.as_mut() else { return true };
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        match Arc::clone(&self.memory).try_acquire_many_owned(kib) {
            Ok(permit) => {
                match held.first_mut() {
                    Some(first) => first.merge(permit),
                    None => held.push(permit),
                }
                true
            }
            Err(_) => false,
        }
    }

    fn is_counted(&self) -> bool {
        self.now.lock().is_some()
    }

    fn release(&self) {
        *self.now.lock() = None;
    }
}

/// A request's body, counted and timed until the request is answered.
#[derive(Debug)]
struct Counted {
    body: Body,
    held: Arc<Held>,
    late: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let frame = frame.map(|frame| {
                let frame = frame.map_err(axum::BoxError::from)?;
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if bytes == 0 || self.held.take(bytes) {
                    return Ok(frame);
                }
                Err(Status::resource_exhausted("Too many requests are held in memory; send it again.").into())
            });
            return Poll::Ready(frame);
        }
        if !self.held.is_counted() {
            return Poll::Pending;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(BODY_WAIT_MAX)));
        if late.as_mut().poll(context).is_pending() || !self.held.is_counted() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Status::deadline_exceeded("The request did not come in time.").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::post};
    use http_body_util::BodyExt as _;
    use naru_access::{Policy, Tokens};
    use naru_store::Store;
    use tonic::Code;

    use super::*;
    use crate::ingest::KeyBook;

    /// Sends a body of so many bytes through a gate; the code of what the call saw of it.
    async fn sent(gate: &Gate, bytes: usize) -> Code {
        let handler = async |body: Body| {
            let code = body.collect().await.err().map_or(Code::Ok, |error| Status::from_error(error.into()).code());
            i32::from(code).to_string()
        };
        let mut router =
            Router::new().route("/", post(handler)).layer(from_fn_with_state(gate.clone(), pass)).into_service();
        let mut request = Request::new(Body::from(vec![0; bytes]));
        *request.method_mut() = axum::http::Method::POST;
        let Ok(answer) = tonic::codegen::Service::call(&mut router, request).await;
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        Code::from_i32(std::str::from_utf8(&text).unwrap().parse().unwrap())
    }

    #[tokio::test]
    async fn requests_together_hold_no_more_than_the_memory_and_it_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("naru.db")).unwrap();
        let mut gate = Gate::new(Senders::new(
            KeyBook { tokens: Tokens::new(store), policy: Policy::default(), proxies: Vec::new() },
            false,
            None,
        ));
        gate.memory = Arc::new(Semaphore::new(8));
        assert_eq!(sent(&gate, 8 << 10).await, Code::Ok);
        let others = Arc::clone(&gate.memory).try_acquire_many_owned(4).unwrap();
        assert_eq!(sent(&gate, 5 << 10).await, Code::ResourceExhausted);
        assert_eq!(sent(&gate, 4 << 10).await, Code::Ok);
        drop(others);
        assert_eq!(gate.memory.available_permits(), 8);
    }
}
