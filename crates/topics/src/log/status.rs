//! What a log says of itself.
//!
//! Owns: [`LogStatus`]. Never touches a file.

use std::ops::Range;

use super::{LogError, Sync, TopicNo};

/// A damaged range of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The segment's number, also its file's name.
    pub segment: u64,
    /// Where in the file.
    pub bytes: Range<u64>,
}

/// A log at one moment.
#[derive(Debug, Clone)]
pub struct LogStatus {
    /// What an answer to an append means.
    pub sync: Sync,
    /// Files with events, and the bytes they take on disk.
    pub segments: usize,
    /// Bytes of those files.
    pub bytes: u64,
    /// Damage found since the start.
    pub quarantined: Vec<Quarantined>,
    /// Bytes of an unfinished write that the start cut off; nobody was answered for them.
    pub cut_bytes: u64,
    /// Why the log takes nothing, if it takes nothing.
    pub stopped: Option<LogError>,
    /// Kept offsets of every topic, by number.
    pub topics: Vec<(TopicNo, Range<u64>)>,
}
