//! Errors in Google's words: codes, messages, details.
//!
//! Owns: the one translation from errors of topics and subscriptions to gRPC statuses.

use std::collections::HashMap;

use naru_topics::{PublishError, TopicError, subscribe::SubscribeError};
use prost::Message as _;
use tonic::{Code, Status};

/// The reason that client libraries look for when an exactly-once acknowledgement failed.
const ACK_REASON: &str = "EXACTLY_ONCE_ACKID_FAILURE";
/// The acknowledgement id is no longer valid: the event will be, or was, delivered again.
pub(super) const ACK_STALE: &str = "PERMANENT_FAILURE_INVALID_ACK_ID";
/// The acknowledgement could not be stored; the same id may be tried again.
pub(super) const ACK_NOT_STORED: &str = "TRANSIENT_FAILURE_NOT_STORED";

/// One before it of its ordering key is not acknowledged yet; the same id may be tried again.
pub(super) const ACK_UNORDERED: &str = "TRANSIENT_FAILURE_UNORDERED_ACK_ID";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

/// A resource that is not there.
pub(super) fn missing(id: &str) -> Status {
    Status::not_found(format!("Resource not found (resource={id})."))
}

/// A resource that is there already.
pub(super) fn exists(id: &str) -> Status {
    Status::already_exists(format!("Resource already exists in the project (resource={id})."))
}

/// An error of the registry of topics.
pub(super) fn topic(error: &TopicError) -> Status {
    match error {
        TopicError::Missing(id) => missing(id),
        TopicError::Exists(id) => exists(id),
        TopicError::Declared(_) => Status::failed_precondition(error.problem().to_string()),
        // The disk, the state database or the lake; none of it is the caller's doing.
        _ => Status::unavailable(error.problem().to_string()),
    }
}

/// Events that were not accepted.
pub(super) fn publish(error: &PublishError) -> Status {
    match error {
        PublishError::Full(_) | PublishError::Busy => Status::resource_exhausted(error.problem().to_string()),
        PublishError::TooLarge { .. } => Status::invalid_argument(error.problem().to_string()),
        PublishError::Stopped(_) => Status::unavailable(error.problem().to_string()),
        PublishError::Unknown { topic } => missing(topic),
    }
}

/// An error of subscriptions.
pub(super) fn subscription(error: &SubscribeError) -> Status {
    match error {
        SubscribeError::Missing(id) | SubscribeError::SnapshotMissing(id) => missing(id),
        SubscribeError::Exists(id) | SubscribeError::SnapshotExists(id) => exists(id),
        SubscribeError::OtherTopic { .. } | SubscribeError::Filter(_) => {
            Status::invalid_argument(error.problem().to_string())
        }
        SubscribeError::TooOld(_) | SubscribeError::Detached(_) => {
            Status::failed_precondition(error.problem().to_string())
        }
        SubscribeError::Ended(_)
        | SubscribeError::Log(_)
        | SubscribeError::Store(_)
        | SubscribeError::Unreadable(_) => Status::unavailable(error.problem().to_string()),
    }
}

/// The state database refused.
pub(super) fn store(error: &naru_store::StoreError) -> Status {
    Status::unavailable(error.problem().to_string())
}

/// The details of a status as JSON, for REST; `None` without any that are known here.
pub(super) fn details(details: &[u8]) -> Option<serde_json::Value> {
    let status = RpcStatus::decode(details).ok()?;
    let known = status.details.iter().filter(|detail| detail.type_url.ends_with("/google.rpc.ErrorInfo"));
    let shown: Vec<serde_json::Value> = known
        .filter_map(|detail| {
            let info = ErrorInfo::decode(detail.value.as_slice()).ok()?;
            Some(serde_json::json!({
                "@type": detail.type_url,
                "reason": info.reason,
                "domain": info.domain,
                "metadata": info.metadata,
            }))
        })
        .collect();
    (!shown.is_empty()).then(|| shown.into())
}

/// Acknowledgements that failed under exactly-once, each with why; client libraries read them from the details.
pub(super) fn acknowledgements(failed: HashMap<String, String>) -> Status {
    let message = "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement \
                   ids have expired or the acknowledgement ids were malformed.";
    let transient = failed.values().all(|why| why.starts_with("TRANSIENT_"));
    let code = if transient { Code::Unavailable } else { Code::InvalidArgument };
    let info =
        ErrorInfo { reason: ACK_REASON.to_owned(), domain: "pubsub.googleapis.com".to_owned(), metadata: failed };
    let detail = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let status = RpcStatus { code: i32::from(code), message: message.to_owned(), details: vec![detail] };
    Status::with_details(code, message, status.encode_to_vec().into())
}
