//! Change capture: keeps lake tables in step with a source database.
//!
//! Owns: connections to sources, their protocols, types and positions, and the engine that copies and streams.
//! Never does: SQL for people, the layout of tables on disk (that is the lake's), schedules.
//! Read next: [`engine`] for how a source runs, [`postgres`] for the protocol, [`preflight`] for what it refuses.

pub mod catalog;
pub mod compare;
pub mod copy;
pub mod definition;
pub mod engine;
pub mod error;
pub mod image;
pub mod plan;
pub mod postgres;
pub mod preflight;
pub mod publication;
pub mod spool;
pub mod state;
pub mod status;
pub mod trigger;

pub use engine::{Command, CommandError, Commands, Context, SourceEngine, Way, app_id, room::DiskMarks};
pub use error::SyncError;
pub use status::{SourceStatus, StatusCell, TableStatus};
