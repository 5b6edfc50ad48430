//! The company's tables as SQL sees them: sessions, one cut per query, memory and spill, results and their formats.
//!
//! Owns: [`Warehouse`] and its memory pool, [`Session`], the private catalog `project.dataset.table`, running,
//! cancelling and watching a query, [`output`].
//! Never does: parsing (that is `googlesql`), storage (that is `lake`), status codes, terminals.
//! Next: `session` for what a caller does, `catalog` for what a query can see, `run` for how it is executed.

mod audit_table;
mod catalog;
pub mod editor;
mod error;
mod information_schema;
pub mod jobs;
mod lake_tables;
mod limited_pool;
pub mod output;
pub mod postgres_catalog;
mod progress;
mod record;
mod run;
mod session;
mod settings;
mod steps;
mod tables;
mod warehouse;

pub use error::WarehouseError;
pub use information_schema::Described;
pub use lake_tables::{CutSource, LakeTables, PublishedBy, ViewSource};
pub use naru_googlesql::{Params, SqlType};
pub use progress::{Progress, Seen};
pub use run::ResultSet;
pub use session::{Pinned, Session, SessionOptions, Statement, column_type};
pub use settings::WarehouseSettings;
pub use tables::{Cut, Extent, TableSource, View};
pub use warehouse::Warehouse;
