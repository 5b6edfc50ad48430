//! The durable log of all topics, behind one port.
//!
//! Owns: [`TopicLog`], what every log promises, and [`LocalLog`], the one on this machine's disk.
//! Never looks into an event: what is accepted is kept as it came; checks belong to whoever reads.
//!
//! The promises of a [`TopicLog`]:
//! - `append` answers only when the batch is durable; then it is read by everyone from then on, at the same offsets.
//! - Offsets of a topic only grow, and are never given twice, whatever was trimmed, killed or damaged.
//! - What was appended and not answered may or may not be there after a crash; never half of a batch.
//! - Damage is said: a reader gets a [`Gap`], never a shorter log that looks whole.
//!
//! Read next: [`frame`] for the bytes, [`writer`] for the way of an append, [`recover`] for a start after a crash.

mod error;
mod event;
mod frame;
mod index;
mod lazy;
mod local;
mod read;
mod recover;
mod segment;
mod status;
mod writer;

use std::ops::Range;

pub use error::LogError;
#[cfg(test)]
pub(crate) use event::records;
pub use event::{Batch, Event};
pub(crate) use lazy::LazyLog;
pub use local::{LocalLog, LogSettings, Sync};
pub use status::{LogStatus, Quarantined};

/// A topic's number on the log, from the state database; given once and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicNo(pub u32);

/// Events of a topic that were there once and cannot be read: damaged, or trimmed away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Offsets that are missing.
    pub offsets: Range<u64>,
    /// Whether they were removed on purpose.
    pub trimmed: bool,
}

/// What one read gives.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// Events in order of their offsets.
    pub events: Vec<Event>,
    /// Where to go on.
    pub next: u64,
    /// What is missing between the asked offset and `next`.
    pub gaps: Vec<Gap>,
}

/// A durable, ordered log per topic. Implementations differ in where it lies, never in what they promise.
#[async_trait::async_trait]
pub trait TopicLog: Send + std::marker::Sync + std::fmt::Debug {
    /// Adds a batch and answers the offset of its first event once all of it is durable.
    ///
    /// Dropping the future does not take an append back.
    ///
    /// # Errors
    /// [`LogError::Full`] and [`LogError::TooLarge`]: nothing was appended. [`LogError::Poisoned`]: the batch may or
    /// may not be there after the next start.
    async fn append(&self, topic: TopicNo, batch: Batch) -> Result<u64, LogError>;

    /// Durable events of a topic from an offset on, about `bytes_max` of them, at least one if there is one.
    async fn read(&self, topic: TopicNo, from: u64, bytes_max: usize) -> Result<Chunk, LogError>;

    /// The kept, durable offsets of a topic.
    fn bounds(&self, topic: TopicNo) -> Range<u64>;

    /// Waits until the topic has a durable event at or after `offset`, or the log is poisoned.
    async fn grown(&self, topic: TopicNo, offset: u64);

    /// The offset that a named reader stored last.
    async fn cursor(&self, topic: TopicNo, reader: &str) -> Result<Option<u64>, LogError>;

    /// Stores the offset that a named reader goes on from; durable when it returns.
    async fn set_cursor(&self, topic: TopicNo, reader: &str, offset: u64) -> Result<(), LogError>;

    /// Forgets events of a topic before an offset; their space comes back when everything beside them is forgotten.
    async fn trim(&self, topic: TopicNo, before: u64) -> Result<(), LogError>;
}
