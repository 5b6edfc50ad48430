//! Topics: events in, durable before they are acknowledged, and handed on.
//!
//! Owns: the log that every event is appended to first, and what stands on it.
//! Never does: wire formats, status codes, the layout of the lake.
//! Read next: [`log`].

pub mod log;
