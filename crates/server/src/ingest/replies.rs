//! Answers in the words of each protocol.
//!
//! Owns: status, headers and body of every answer. Never decides whether a request is accepted.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    intake::{Failed, Taken},
    refusal::Refusal,
};
use crate::generated::opentelemetry::proto::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// Our own: how many events are on the log, and which of them their table will not take.
pub fn own(taken: &Result<Taken, Refusal>) -> Response {
    match taken {
        Ok(taken) => answer(StatusCode::OK, &json!({"accepted": taken.accepted, "failed": taken.failed})),
        Err(refusal) => refused(refusal, &json!({"error": refusal.problem()})),
    }
}

/// Mixpanel's `/track`, `/engage`, `/groups`: `1` or `0`, or an object when the sender asks for one.
pub fn mixpanel(taken: &Result<Taken, Refusal>, verbose: bool) -> Response {
    match (taken, verbose) {
        (Ok(_), false) => "1".into_response(),
        (Ok(taken), true) => answer(StatusCode::OK, &json!({"status": 1, "error": null, "failed": taken.failed})),
        (Err(refusal), false) => dressed(refusal, "0".into_response()),
        (Err(refusal), true) => refused(refusal, &json!({"status": 0, "error": said(refusal)})),
    }
}

/// Mixpanel's `/import`: with `strict`, failed events make the whole answer a 400 although the others, and they too,
/// are kept.
pub fn import(taken: &Result<Taken, Refusal>, strict: bool) -> Response {
    let taken = match taken {
        Ok(taken) => taken,
        Err(refusal) => {
            let status = refusal.status();
            let name = status.canonical_reason().unwrap_or_default();
            return refused(refusal, &json!({"code": status.as_u16(), "error": said(refusal), "status": name}));
        }
    };
    if taken.failed.is_empty() || !strict {
        return answer(StatusCode::OK, &json!({"code": 200, "num_records_imported": taken.accepted, "status": "OK"}));
    }
    let record = |failed: &Failed| {
        json!({"index": failed.index, "insert_id": failed.event_id, "field": failed.path,
               "message": format!("expected {}, got {}", failed.expected, failed.got), "kept": true})
    };
    let imported = taken.accepted - taken.failed.len();
    answer(
        StatusCode::BAD_REQUEST,
        &json!({"code": 400, "error": "some data points in the request failed validation", "status": "Bad Request",
                "num_records_imported": imported, "failed_records": taken.failed.iter().map(record).collect::<Value>()}),
    )
}

/// Segment's and RudderStack's calls.
pub fn segment(taken: &Result<Taken, Refusal>) -> Response {
    match taken {
        Ok(taken) if taken.failed.is_empty() => answer(StatusCode::OK, &json!({"success": true})),
        Ok(taken) => answer(StatusCode::OK, &json!({"success": true, "failed": taken.failed})),
        Err(refusal) => refused(refusal, &json!({"success": false, "message": said(refusal)})),
    }
}

/// `google.rpc.Status`, which OTLP answers errors with.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// OTLP's, in the form of the request. Kept records are not rejected: a warning tells of them.
pub fn otlp(taken: &Result<Taken, Refusal>, protobuf: bool) -> Response {
    match taken {
        Ok(taken) => {
            let warning = warning(taken);
            if protobuf {
                let partial =
                    warning.map(|error_message| ExportLogsPartialSuccess { rejected_log_records: 0, error_message });
                let message = ExportLogsServiceResponse { partial_success: partial };
                return body(StatusCode::OK, PROTOBUF, message.encode_to_vec());
            }
            let empty = json!({});
            let said = |text| json!({"partialSuccess": {"errorMessage": text}});
            answer(StatusCode::OK, &warning.map_or(empty, said))
        }
        Err(refusal) if protobuf => {
            let status = RpcStatus { code: rpc_code(refusal.status()), message: said(refusal) };
            dressed(refusal, body(refusal.status(), PROTOBUF, status.encode_to_vec()))
        }
        Err(refusal) => refused(refusal, &json!({"code": rpc_code(refusal.status()), "message": said(refusal)})),
    }
}

fn warning(taken: &Taken) -> Option<String> {
    let first = taken.failed.first()?;
    let (count, all, topic) = (taken.failed.len(), taken.accepted, &taken.topic);
    Some(format!(
        "{count} of {all} records do not fit topic {topic} and are kept in topics.{topic}__dead; the first: {} takes {}, got {}",
        first.path, first.expected, first.got
    ))
}

/// The code of `google.rpc.Code` for a status.
fn rpc_code(status: StatusCode) -> i32 {
    match status {
        StatusCode::NOT_FOUND => 5,
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        _ => 3,
    }
}

fn said(refusal: &Refusal) -> String {
    let problem = refusal.problem();
    match problem.hint {
        Some(hint) => format!("{}. {hint}", problem.summary),
        None => problem.summary,
    }
}

fn refused(refusal: &Refusal, value: &Value) -> Response {
    dressed(refusal, answer(refusal.status(), value))
}

/// Status and headers of a refusal on an answer's body.
fn dressed(refusal: &Refusal, mut response: Response) -> Response {
    *response.status_mut() = refusal.status();
    if let Some(seconds) = refusal.wait() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn answer(status: StatusCode, value: &Value) -> Response {
    body(status, JSON, value.to_string().into_bytes())
}

fn body(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, kind)], Body::from(bytes)).into_response()
}
