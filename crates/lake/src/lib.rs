//! Open tables: every read and write of the lake goes through here.
//!
//! Owns: Delta tables on an object store: creation, staging, one commit call, deletion vectors, the scan, the key
//! index, the unflushed tail, compaction, checkpoints, vacuum.
//! Never does: SQL text, permissions, sources, schedules.
//! Read next: [`Lake`], then [`Table`], then [`TableView`].

mod change;
mod checkpoint;
mod clock;
mod column;
mod commit;
mod compact;
mod digest;
mod error;
mod faults;
pub mod index;
mod lake;
pub mod leftovers;
pub mod live;
mod log;
mod maintain;
mod object;
mod partition;
mod read;
mod retention;
pub mod rows;
mod sample;
mod scan;
mod schema;
mod stage;
mod stats;
mod table;
mod vacuum;
mod vectors;
mod view;

pub use change::{ChangeBatch, Op};
pub use clock::{Clock, MachineClock, SimulatedClock};
pub use column::{Column, Grain, NaruType, PartitionOf};
pub use commit::{Change, Committed, Operation, Remove};
pub use compact::{CLUSTER_PROPERTY, CompactionLimits, Rewritten, RowMap, plan_compaction};
pub use digest::RowDigest;
pub use error::LakeError;
pub use lake::{Lake, LakeSettings, TableSpec};
pub use maintain::{Done, Maintainer, MaintenanceStatus, Piece, Upkeep};
pub use read::{Only, Rows};
pub use retention::{Cleaned, Retention};
pub use scan::ScanOptions;
pub use stage::{Placed, StagedFile, Stager, StagerOptions, TARGET_FILE_BYTES};
pub use table::Table;
pub use vacuum::{VacuumOptions, Vacuumed};
pub use view::{ColumnBounds, FileId, FileStats, FileView, TableView, TailBatch};
