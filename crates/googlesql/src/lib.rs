//! GoogleSQL (BigQuery's SQL) on DataFusion: its dialect, types, planner and functions.
//!
//! Owns: parsing, name and type resolution, and every function's meaning. A statement is answered as GoogleSQL
//! says, or refused with its line and column; nothing that DataFusion would read differently passes through,
//! because plans are built here, not by DataFusion's SQL planner.
//! Never stores tables, never runs a statement that writes, and knows nothing of naru.
//! Read next: `statement.rs` (text to statement), `plan/` (statement to plan), `functions/` (kernels by family).

mod dialect;
pub mod editor;
mod error;
mod functions;
mod literal;
mod options;
mod plan;
mod reads;
mod statement;
mod types;

pub use error::{SqlError, SqlErrorKind};
pub use options::{GoogleSql, Options, Params};
pub use reads::{TableName, tables, writes};
pub use statement::{Parsed, StatementKind, kind, parse, parse_with_postgres_casts};
pub use types::{SqlType, sql_type};
