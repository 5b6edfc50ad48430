//! What every route of the API has in common: who asks, what goes wrong, ids, limits, streams.
//!
//! Owns: [`ApiProblem`], the way in ([`door`]), [`events`]. Never knows a noun.

mod caller;
pub(super) mod door;
pub mod events;
mod problem;

pub use problem::{ApiProblem, ProblemBody};
