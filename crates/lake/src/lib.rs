//! Open tables: every read and write of the lake goes through here.
//!
//! Owns: Delta tables on an object store: creation, staging, one commit call, deletion vectors, the scan, the key
//! index, the unflushed tail, compaction, checkpoints, vacuum.
//! Never does: SQL text, permissions, sources, schedules.

mod change;
mod column;

pub use change::{ChangeBatch, Op};
pub use column::{Column, NaruType};
