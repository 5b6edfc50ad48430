//! The Pub/Sub door as clients see it: the generated client for what libraries hide, and the released libraries for
//! Python and Node.js, unchanged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

/// What only tests call.
mod generated {
    pub mod clients;
}
mod grpc;
mod libraries;
mod push;
mod rest;
mod secure;
mod world;
