//! Feeds mutated input to every parser of what comes from outside: replication messages, `COPY` streams, the
//! folder, events of every protocol.
//!
//! Owns: the targets, their seeds, the mutation, and the search that keeps an input when it shows behaviour not seen
//! before. Never uses a sanitizer: cargo-fuzz would build DataFusion once more, on a nightly toolchain; shipped code
//! has no unsafe blocks, so what can go wrong is a panic, a hang or a claim of memory, and those show here too.
//! Read next: [`targets`], then [`search`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod intake;
pub mod messages;
pub mod mutation;
pub mod pubsub;
pub mod rows;
pub mod search;
pub mod sqs;
pub mod targets;

pub use search::search;
pub use targets::Target;
