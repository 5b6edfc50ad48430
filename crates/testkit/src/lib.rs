//! Real servers, faults and readers for tests. A dev-dependency only; nothing shipped links it.
//!
//! Owns: a throw-away PostgreSQL, a Python with independent readers, a Node.js with other people's clients, a provider to
//! sign in with, the built `naru` as a process, a TCP proxy that breaks connections, seeds, temporary folders, and a hash
//! that compares rows whatever reader they came from.
//! Never does: knows naru's rooms (it must stay below all of them), sleeps where it could wait on an event.
//! Everything here stops the test with the reason when the test's world cannot be set up.
//! Read next: [`postgres::PostgresServer`], [`process::Naru`].

// A test without its world has nothing to handle: it ends, and says why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
pub mod failpoints;
pub mod hash;
pub mod node;
mod packages;
pub mod port;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod python;
pub mod seed;
pub mod sheets;
pub mod temp;

pub use failpoints::Failpoints;
pub use postgres::{Options, PostgresServer};
pub use process::Naru;
pub use provider::Provider;
pub use proxy::TcpProxy;
pub use temp::Folder;
