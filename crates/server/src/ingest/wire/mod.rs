//! What senders put on the wire, as events: pure functions from bytes to bytes.
//!
//! Owns: one file a protocol, each with its parser and its replies, and [`Sent`], what all of them give. Never reads a
//! socket, never checks a row against a table: what is one event on the wire becomes one event here, also when it is
//! not JSON at all, because the topic's table keeps that as a dead letter.
//! Read next: [`split`] for bodies of JSON, then the protocol at hand.

pub mod cloudevents;
pub mod fields;
pub mod form;
pub mod mixpanel;
pub mod otlp;
pub mod otlp_json;
pub mod scrub;
pub mod segment;
pub mod split;

use bytes::Bytes;

/// Events of one request, at most: answers name rows by number, and every row costs memory beyond its bytes.
pub const EVENTS_MAX: usize = 100_000;

/// One event of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What the log keeps and the table checks: the sender's JSON, or the bytes that should have been JSON.
    pub data: Bytes,
    /// The sender's own id of the event, where its protocol has one.
    pub id: Option<String>,
}

impl Sent {
    /// An event whose protocol has no id of its own.
    pub fn plain(data: Bytes) -> Self {
        Self { data, id: None }
    }
}

/// Events of one request, and the key that stood among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// In the order of the request.
    pub events: Vec<Sent>,
    /// The sender's key, where the protocol puts it into the body. Never part of an event.
    pub key: Option<String>,
}

/// A body that cannot be taken apart into events; nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is not what the protocol says.
    #[error("the body is no {wanted}: {why}")]
    Unreadable {
        /// What it should be.
        wanted: &'static str,
        /// Why it is not, without any of its text.
        why: String,
    },
    /// It has more events than one request may have.
    #[error("the request has more than {EVENTS_MAX} events")]
    TooMany,
    /// Its events carry different keys.
    #[error("the events of one request carry different keys")]
    Keys,
}

impl WireError {
    /// What the body should be and why it is not.
    pub(crate) fn unreadable(wanted: &'static str, why: impl Into<String>) -> Self {
        Self::Unreadable { wanted, why: why.into() }
    }
}
