//! Rows of JSON, each checked wholly and exactly, into columns.
//!
//! Owns: what a row must look like ([`RowShape`]), the check and the building ([`RowBuilder`]), and why a row does not
//! fit ([`Fault`]). The rules stand in `docs/reference/topics.md`; `docs/decisions/0010-rows.md` says why they are not
//! left to a JSON reader of Arrow. Never keeps a row that does not fit, never changes a value to make it fit.
//! Read next: [`tape`] for JSON, then [`build`] and [`scalar`].

mod build;
mod cells;
mod extra;
mod fault;
mod number;
mod scalar;
mod shape;
mod tape;
#[cfg(test)]
mod tests;
mod time;

pub use build::{Pushed, RowBuilder, Sighting};
pub use fault::{Fault, FaultKind};
pub use shape::{EXTRA, RowColumn, RowShape, ShapeError, Unknown};
