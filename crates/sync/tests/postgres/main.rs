//! The PostgreSQL module against a real server: connecting, streaming, copying, and every type in every form.
//!
//! Owns: the promises of `naru_sync::postgres` that only a server can confirm. Never tests the engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::as_conversions, clippy::indexing_slicing)]
#![allow(missing_docs)]

mod connect;
mod copying;
mod members;
mod source;
mod streaming;
mod types;
