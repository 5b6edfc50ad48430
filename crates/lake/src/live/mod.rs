//! A table under change: committed files, the key index and the unflushed tail, as one thing with one writer.
//!
//! Owns: applying row changes, what readers see of them and when, moving them into Delta commits, and keeping the key
//! index in step with copies, flushes and compactions.
//! Never does: talking to a source, deciding when a source is acknowledged, SQL.
//!
//! The way of a change: [`LiveTable::apply`] puts it into the tail, where nobody sees it; [`LiveSet::publish`] shows
//! the tails of any number of tables in one step, as one cut of their source; [`LiveTable::flush`] writes what was
//! published, and never anything else, into one commit with the source position it covers.
//!
//! Rows are never searched by value: the index gives a row's file and number. A tail segment reserves its file number
//! when it is opened, so a position stays right when the segment becomes a Parquet file.
//! Read next: [`table`] for the state, [`apply`], [`flush`].

mod apply;
mod base_rows;
mod budget;
mod collapse;
mod compact;
mod error;
mod flush;
mod in_progress;
mod load;
mod policy;
mod segment;
mod set;
mod staging;
mod table;
mod tail;

pub use apply::ApplyCounts;
pub use budget::Budget;
pub use compact::Compacted;
pub use error::ApplyError;
pub use flush::Flushed;
pub use in_progress::InProgress;
pub use policy::{FlushPolicy, TailFacts};
pub use set::{Cut, LiveSet};
pub(crate) use table::Weakly;
pub use table::{LiveSettings, LiveTable};
