//! Promises of the lake's Delta layer: commits, vectors, scans, schema changes, compaction, vacuum, and what other
//! people's readers see of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    missing_docs
)]

mod commits;
mod compaction;
mod faults;
mod kills;
mod maintenance;
mod readers;
mod scans;
mod schemas;
mod shop;
mod vacuum;
