//! The process-wide log.
//!
//! Owns: the log's format and level (`NARU_LOG`, default `info` for naru and `warn` for libraries).
//! Never writes to standard output, which carries data.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard error: text on a terminal, one JSON object a line otherwise. Later calls do nothing.
pub fn init(default_filter: &str) {
    let filter = EnvFilter::try_from_env("NARU_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.compact().with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    // A second start in one process (tests) keeps the first writer.
    drop(started);
}
