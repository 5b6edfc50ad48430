//! Promises of sign-in: with an issuer that forges, with a real one, with a link, with tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod forged;
mod issuer;
mod ways;
mod world;
