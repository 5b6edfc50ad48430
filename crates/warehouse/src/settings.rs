//! What the warehouse may use of the machine.
//!
//! Owns: [`WarehouseSettings`] and its defaults. Reads nothing but the machine's memory size.

use std::{path::PathBuf, time::Duration};

use naru_access::{Policy, audit::Audit};
use naru_base::number::{u64_from, usize_from};

use crate::lake_tables::PublishedBy;

/// Least memory a warehouse works with; below it even small sorts cannot start.
const MEMORY_LEAST: u64 = 64 << 20;
/// A default above this would starve the operating system's file cache, which scans live on.
const MEMORY_DEFAULT_MOST: u64 = 16 << 30;
/// Assumed when the machine does not say.
const MEMORY_UNKNOWN: u64 = 2 << 30;

/// How queries run.
#[derive(Debug, Clone)]
pub struct WarehouseSettings {
    /// The project's name: the first part of a full table name.
    pub project: String,
    /// Zone of dates and times in SQL, an IANA name; `UTC` as in BigQuery unless the project says otherwise.
    pub time_zone: String,
    /// Memory that all queries together may hold; beyond it they spill. Bytes.
    pub memory_bytes: usize,
    /// Where queries spill. Emptied of older runs' files by whoever owns the folder.
    pub spill_dir: PathBuf,
    /// Bytes that may be spilled at once.
    pub spill_bytes_max: u64,
    /// How many parts of one query run at the same time.
    pub target_partitions: usize,
    /// A statement of a person is stopped after this; `None`: never. Marts have limits of their own.
    pub timeout: Option<Duration>,
    /// Who may see which table. Asked once for every statement of every session, whatever door it came through.
    pub policy: Policy,
    /// Where statements are written down; none in what has no state database.
    pub audit: Audit,
    /// Tables that are there for nobody until an application of this id has committed to them: marts, whose first
    /// run stages into a table that has no rows yet.
    pub published_by: PublishedBy,
}

impl WarehouseSettings {
    /// Settings that fit this machine: half of its memory, one partition per core.
    pub fn new(project: impl Into<String>, spill_dir: impl Into<PathBuf>) -> Self {
        Self {
            project: project.into(),
            time_zone: "UTC".to_owned(),
            memory_bytes: usize_from((machine_memory() / 2).clamp(MEMORY_LEAST, MEMORY_DEFAULT_MOST)),
            spill_dir: spill_dir.into(),
            spill_bytes_max: 100 << 30,
            target_partitions: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            timeout: None,
            policy: Policy::default(),
            audit: Audit::none(),
            published_by: PublishedBy::default(),
        }
    }
}

/// Bytes of main memory, or what a control group allows if that is less.
fn machine_memory() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let limit =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    match (total, limit) {
        (Some(total), Some(limit)) => total.min(limit),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => MEMORY_UNKNOWN,
    }
}

impl WarehouseSettings {
    /// Memory as a plain count of bytes, for status pages.
    pub fn memory_shown(&self) -> u64 {
        u64_from(self.memory_bytes)
    }
}
