//! Topics: events in, durable before they are acknowledged, and handed on.
//!
//! Owns: the log that every event is appended to first, the registry of topics, and what stands on the log: each
//! declared topic's table and dead letters.
//! Never does: wire formats, status codes, the layout of the lake.
//! Read next: [`Topics`], then [`log`].

mod dead;
mod error;
pub mod forward;
mod handle;
pub mod import;
mod keep;
pub mod log;
pub mod marks;
pub mod mend;
pub mod replay;
mod schema;
mod signature;
mod sink;
pub mod sqs;
mod status;
pub mod subscribe;
mod text;
mod topics;

pub use dead::{DeadStatus, TABLE_SINK};
pub use error::{PublishError, TopicError};
pub use handle::TopicHandle;
pub use schema::refused;
pub use sink::{CLOCK_AHEAD, CLOCK_LATE, SinkCut, SinkStatus, tables};
pub use status::{LogFacts, ReaderStatus, TopicStatus, TopicsStatus};
pub use topics::{Incoming, Judged, Topics, TopicsSettings};
