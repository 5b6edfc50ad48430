//! The doors of a running naru: HTTP for health, metrics and events, the control socket, the Postgres wire.
//!
//! Owns: listeners, protocols, status codes, SQLSTATEs, JSON views, and the client half of the control socket.
//! Never does: deciding what a status means, running marts or syncs; those come through ports that `cli` wires.
//! Next: `listen` for addresses, then one folder a door.

pub mod api;
mod connections;
pub mod console;
pub mod control;
mod error;
pub mod generated;
pub mod http;
pub mod ingest;
mod listen;
pub mod postgres;
pub mod pubsub;
pub mod signin;
mod timely;
mod tls;

/// Paths of one door; `cli` joins those of the console, the API and sign-in.
pub use axum::Router;
pub use connections::{ConnectionLimits, Doorway, raise_file_limit};
pub use error::ServerError;
pub use listen::{Door, Listen};
pub use tls::Tls;
