//! Checks on data: what a person promises about a table, as queries that must return no rows.
//!
//! Owns: compiling checks to SQL, judging what the queries return, verdicts as rows.
//! Never does: run SQL itself (the caller does and hands over what came back), store verdicts, publish anything.
//! Read next: [`compile`](mod@compile), [`condition`], [`verdict`].

pub mod compile;
pub mod condition;
mod judge;
pub mod verdict;

pub use compile::{CompiledCheck, compile, compile_file, table_name};
pub use judge::{SAMPLE_ROWS_MAX, judge};
pub use verdict::{FailingRows, Outcome, Severity, Verdict};
