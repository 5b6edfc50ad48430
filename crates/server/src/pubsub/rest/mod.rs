//! Pub/Sub's REST on the same port.
//!
//! Owns: one generic way from a REST request to the gRPC call that Google's annotations name, and back. Never knows a
//! single method: routes and fields come from the descriptors.
//! Read next: [`routes`] for paths, [`transcode`] for JSON.

mod routes;
mod transcode;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Limited};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{Code, Status, service::Routes};

pub use routes::RouteTable;

use super::{caller::Caller, fault, gate::is_grpc, push::PushKey};

/// Bytes of a request: ten megabytes of messages in base64, and what is around them.
const BODY_BYTES_MAX: usize = 20 << 20;
/// The frame that gRPC puts before every message.
const FRAME_HEAD: usize = 5;

/// Answers REST requests through the gRPC services. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    table: Arc<RouteTable>,
    services: Routes,
    key: PushKey,
}

impl Rest {
    pub(super) fn new(pool: &DescriptorPool, services: Routes, key: PushKey) -> Self {
        Self { table: Arc::new(RouteTable::of(pool)), services, key }
    }

    /// Answers one request.
    pub(super) async fn answer(self, request: Request) -> Response {
        if is_grpc(request.headers()) {
            return Status::unimplemented("naru does not serve this method.").into_http::<Body>().into_response();
        }
        if let Some(known) = self.key.well_known(request.uri().path()) {
            return axum::Json(known).into_response();
        }
        match self.answered(request).await {
            Ok(value) => axum::Json(value).into_response(),
            Err(status) => failed(&status),
        }
    }

    async fn answered(self, request: Request) -> Result<Value, Status> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(broken)?.to_bytes();
        let (method, message) = self.table.call(parts.method.as_str(), parts.uri.path(), parts.uri.query(), &body)?;
        let answer = call(self.services, method, &message, parts.extensions.get()).await?;
        transcode::answer(&method.output(), &answer)
    }
}

/// A body that did not come whole; the door may have said why.
fn broken(error: axum::BoxError) -> Status {
    let known = Status::from_error(error);
    match known.code() {
        Code::ResourceExhausted | Code::DeadlineExceeded => known,
        _ => Status::invalid_argument("The request is too large or broke off."),
    }
}

/// Calls a unary method in this process.
async fn call(
    mut services: Routes,
    method: &MethodDescriptor,
    message: &[u8],
    caller: Option<&Caller>,
) -> Result<Bytes, Status> {
    let mut frame = BytesMut::with_capacity(FRAME_HEAD + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).map_err(|_| Status::invalid_argument("The request is too large."))?);
    frame.put_slice(message);
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut request = axum::http::Request::new(tonic::body::Body::new(http_body_util::Full::new(frame.freeze())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().map_err(|_| Status::internal("a method without a path"))?;
    let made = request.headers_mut();
    made.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/grpc"));
    made.insert(header::TE, header::HeaderValue::from_static("trailers"));
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller.clone());
    }
    let Ok(response) = tonic::codegen::Service::call(&mut services, request).await;
    if let Some(status) = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let collected = response.into_body().collect().await?;
    let status = collected.trailers().and_then(Status::from_header_map);
    if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let bytes = collected.to_bytes();
    if bytes.len() < FRAME_HEAD {
        return Err(Status::internal("a call without an answer"));
    }
    Ok(bytes.slice(FRAME_HEAD..))
}

/// An error in the shape that Google's REST has.
pub(super) fn failed(status: &Status) -> Response {
    let (code, word) = words(status.code());
    let mut error = json!({"code": code.as_u16(), "message": status.message(), "status": word});
    if let Some(details) = fault::details(status.details()) {
        error["details"] = details;
    }
    (code, axum::Json(json!({"error": error}))).into_response()
}

/// The HTTP status and the name of a code, as Google maps them.
fn words(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::Ok => (StatusCode::OK, "OK"),
        Code::Cancelled => (StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST), "CANCELLED"),
        Code::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Code::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        Code::FailedPrecondition => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
        Code::Aborted => (StatusCode::CONFLICT, "ABORTED"),
        Code::OutOfRange => (StatusCode::BAD_REQUEST, "OUT_OF_RANGE"),
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Code::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, "DATA_LOSS"),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
    }
}
