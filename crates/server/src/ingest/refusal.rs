//! Why a request was not accepted.
//!
//! Owns: [`Refusal`], its status code, its waiting time and its one translation into [`Problem`]. How a protocol words
//! it is `replies`. Never quotes a body or a key.

use axum::http::StatusCode;
use naru_access::AccessError;
use naru_base::Problem;
use naru_topics::PublishError;

use super::wire::WireError;

/// Why nothing of a request was kept. [`PublishError::Stopped`] alone leaves open whether it was.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The path names a topic that is not there.
    #[error("there is no topic \"{name}\"")]
    NoTopic {
        /// The name.
        name: String,
        /// The topic that may be meant.
        nearest: Option<String>,
    },
    /// The sender names no topic, and no file takes its protocol's events.
    #[error("no topic takes events from {0}")]
    NoClaim(&'static str),
    /// The sender names no topic, and several take its protocol's events.
    #[error("topics {} all take events from {protocol}", topics.join(", "))]
    Claims {
        /// The word in `from`.
        protocol: &'static str,
        /// Their names.
        topics: Vec<String>,
    },
    /// Keys are required.
    #[error("the request has no key")]
    KeyMissing,
    /// The key is not one of this project's senders.
    #[error("the key is not a sender's key of this project")]
    KeyWrong,
    /// The key is good for other topics.
    #[error("\"{sender}\" may not send to topic \"{topic}\"")]
    KeyForbids {
        /// The key's name.
        sender: String,
        /// The topic.
        topic: String,
    },
    /// A page of a browser sends without a key.
    #[error("a page of a browser sends without a key")]
    Page,
    /// The body cannot be taken apart.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The body is compressed in a way that is not known.
    #[error("the content encoding is none of gzip, deflate, zstd, identity")]
    Encoding,
    /// The body is not compressed as it says.
    #[error("the body is no {0}")]
    Compressed(&'static str),
    /// The body is too large, as it is or decompressed.
    #[error("the request is larger than {most} bytes")]
    TooLarge {
        /// The most, decompressed.
        most: u64,
    },
    /// The body did not come in time.
    #[error("the request's body did not come within {seconds} s")]
    Slow {
        /// The patience.
        seconds: u64,
    },
    /// The sender went away in the middle.
    #[error("the request's body broke off")]
    Broken,
    /// naru failed while it took the body apart.
    #[error("naru could not read the request's body")]
    Unread,
    /// Other requests fill the memory for bodies.
    #[error("too many requests are held in memory")]
    Busy,
    /// The sender is too fast.
    #[error("\"{sender}\" sends more than {rate} events a second to topic \"{topic}\"")]
    Rate {
        /// The key's name; empty for senders without one.
        sender: String,
        /// The topic.
        topic: String,
        /// The limit.
        rate: u64,
        /// Seconds until it may send again.
        wait: u64,
    },
    /// The log did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Keys cannot be looked up.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoTopic { .. } | Self::NoClaim(_) | Self::Publish(PublishError::Unknown { .. }) => {
                StatusCode::NOT_FOUND
            }
            Self::Claims { .. } => StatusCode::CONFLICT,
            Self::KeyMissing | Self::KeyWrong => StatusCode::UNAUTHORIZED,
            Self::KeyForbids { .. } | Self::Page => StatusCode::FORBIDDEN,
            Self::Wire(WireError::TooMany) | Self::TooLarge { .. } | Self::Publish(PublishError::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Wire(WireError::Unreadable { .. } | WireError::Keys) | Self::Compressed(_) | Self::Broken => {
                StatusCode::BAD_REQUEST
            }
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy | Self::Rate { .. } | Self::Publish(PublishError::Full(_) | PublishError::Busy) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            // Not 408, which senders of OTLP do not repeat.
            Self::Slow { .. } | Self::Unread | Self::Publish(PublishError::Stopped(_)) | Self::Access(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Seconds that the sender shall wait before it sends the same again; `None` when waiting does not help.
    pub fn wait(&self) -> Option<u64> {
        match self {
            Self::Rate { wait, .. } => Some(*wait),
            Self::Busy | Self::Slow { .. } | Self::Unread | Self::Publish(PublishError::Busy) => Some(1),
            Self::Publish(PublishError::Full(_)) => Some(10),
            Self::Publish(PublishError::Stopped(_)) | Self::Access(_) => Some(30),
            _ => None,
        }
    }

    /// One word for the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoTopic { .. }
            | Self::NoClaim(_)
            | Self::Claims { .. }
            | Self::Publish(PublishError::Unknown { .. }) => "topic",
            Self::KeyMissing | Self::KeyWrong | Self::KeyForbids { .. } | Self::Page => "key",
            Self::Wire(_) | Self::Encoding | Self::Compressed(_) => "unreadable",
            Self::TooLarge { .. } | Self::Publish(PublishError::TooLarge { .. }) => "too_large",
            Self::Slow { .. } | Self::Broken => "broken_off",
            Self::Busy | Self::Publish(PublishError::Busy) => "busy",
            Self::Rate { .. } => "rate",
            Self::Publish(PublishError::Full(_)) => "full",
            Self::Unread | Self::Publish(PublishError::Stopped(_)) | Self::Access(_) => "stopped",
        }
    }

    /// The refusal as people see it.
    pub fn problem(&self) -> Problem {
        let problem = |code: &'static str| Problem::new(code, self.to_string());
        match self {
            Self::NoTopic { nearest, .. } => problem("intake.no_topic").hint(match nearest {
                Some(name) => format!("Did you mean \"{name}\"?"),
                None => "Topics are the files of topics/; `naru status` lists them.".to_owned(),
            }),
            Self::NoClaim(protocol) => problem("intake.no_claim").hint(format!(
                "Write `from = [\"{protocol}\"]` in the topic's file, or give the sender a key for one topic: `naru token new NAME --send TOPIC`."
            )),
            Self::Claims { .. } => problem("intake.claims")
                .hint("Give the sender a key for one of them: `naru token new NAME --send TOPIC`."),
            Self::KeyMissing => problem("intake.key_missing")
                .hint("`naru token new NAME --send TOPIC` makes one and says where it goes."),
            Self::KeyWrong => problem("intake.key_wrong")
                .detail("It is mistyped, revoked, expired, or a token that only views tables.")
                .hint("`naru token new NAME --send TOPIC` makes another."),
            Self::KeyForbids { topic, .. } => {
                problem("intake.key_forbids").hint(format!("`naru token new NAME --send {topic}` makes one for it."))
            }
            Self::Page => problem("intake.page")
                .detail("Any page that is open on this machine could send so; the request has an `Origin` header.")
                .hint("`naru token new NAME --send TOPIC` makes a key."),
            Self::Wire(WireError::Unreadable { .. }) => {
                problem("intake.unreadable").hint("Nothing of it was kept. Mend the sender, then send it again.")
            }
            Self::Wire(WireError::TooMany) => problem("intake.too_many").hint("Send fewer events at once."),
            Self::Wire(WireError::Keys) => problem("intake.keys").hint("Send one request for each key."),
            Self::Encoding => problem("intake.encoding").hint("Send it without a content encoding, or with gzip."),
            Self::Compressed(_) => problem("intake.compressed").hint("Leave the content encoding out if there is none."),
            Self::TooLarge { .. } => problem("intake.too_large")
                .hint("Send fewer events at once, or raise `body_max` under [intake] in naru.toml."),
            Self::Slow { .. } | Self::Broken | Self::Unread => problem("intake.broken_off").hint("Nothing was kept; send it again.").later(),
            Self::Busy => problem("intake.busy").hint("Send it again after a moment.").later(),
            Self::Rate { .. } => problem("intake.rate")
                .hint("Wait as Retry-After says, or raise `rate` under [intake] in naru.toml.")
                .later(),
            Self::Publish(error) => error.problem(),
            Self::Access(error) => error.problem(),
        }
    }
}
