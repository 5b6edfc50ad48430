//! Promises of the SQL page and of shares, through the real door: jobs, pages, files, drafts, links, Google Sheets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

mod jobs;
mod kept;
mod shares;
mod world;
