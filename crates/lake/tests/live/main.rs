//! The live table against a map: random changes, flushes, compactions, crashes, readers and kills.
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

mod behaviour;
mod concurrent;
mod in_progress;
mod kill;
mod model;
mod partitions;
mod world;
