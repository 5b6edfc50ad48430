//! What an editor asks while somebody writes SQL: mistakes, costs, completions.
//!
//! Owns: [`Session::check`] and [`Completer`]. Nothing here runs a query or reads a row, and nobody learns a name that
//! they may not see. Never knows the wire form.

mod check;
mod complete;

pub use check::{Checked, Estimate, Mistake, StatementPlace};
pub use complete::{Completer, Completion, CompletionKind, Completions};
pub use naru_googlesql::editor::Place;
