//! What topics say of themselves.
//!
//! Owns: the shape of topics in `naru status --json`. Never reads a file.

use serde::Serialize;

use crate::sink::SinkStatus;

/// All topics and their log at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct TopicsStatus {
    /// The log below them.
    pub log: LogFacts,
    /// By name.
    pub topics: Vec<TopicStatus>,
}

/// The log at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct LogFacts {
    /// What an acknowledgement means: `fsync` (it survives a power cut) or `os` (it survives a kill).
    pub mode: &'static str,
    /// Files and their bytes on disk.
    pub segments: u64,
    /// See `segments`.
    pub bytes: u64,
    /// Damaged ranges that were met since the start.
    pub damaged: u64,
    /// Bytes of an unfinished write that the start cut off; nobody was answered for them.
    pub cut_bytes: u64,
    /// Why it takes nothing, if it takes nothing.
    pub problem: Option<naru_base::Problem>,
}

/// One topic at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct TopicStatus {
    /// Its name.
    pub topic: String,
    /// Whether it has a file; others are on the log only.
    pub declared: bool,
    /// First offset that is still on the log.
    pub first: u64,
    /// Offset of the next event.
    pub next: u64,
    /// Events accepted since the start.
    pub published: u64,
    /// Events refused since the start because the log took nothing, and their bytes.
    pub refused: u64,
    /// See `refused`.
    pub refused_bytes: u64,
    /// Events a second lately.
    pub rate: f64,
    /// Its table; none without a file.
    pub table: Option<SinkStatus>,
    /// Who keeps events on the log.
    pub readers: Vec<ReaderStatus>,
}

/// Somebody who has yet to read events.
#[derive(Debug, Clone, Serialize)]
pub struct ReaderStatus {
    /// `table`, or what it calls itself.
    pub reader: String,
    /// First offset that it still needs.
    pub next: u64,
    /// Events that it has yet to finish with.
    pub backlog: u64,
}
