//! Topics: events in, durable before they are acknowledged, and handed on.
//!
//! Owns: the log that every event is appended to first, the registry of topics, and what stands on the log: each
//! declared topic's table and dead letters.
//! Never does: wire formats, status codes, the layout of the lake.
//! Read next: [`Topics`], then [`log`].

mod error;
mod handle;
mod keep;
pub mod log;
mod status;
mod topics;

pub use error::{PublishError, TopicError};
pub use handle::TopicHandle;
pub use status::{LogFacts, ReaderStatus, TopicStatus, TopicsStatus};
pub use topics::{Incoming, Topics, TopicsSettings};
