//! What a table needs next.
//!
//! Owns: [`Piece`], [`Upkeep`] (what was done of it), and the pure decision between them. Never does any of it.

use std::time::Duration;

use serde::Serialize;

use crate::retention::ms;

/// A commit is not older than this without a checkpoint: restore points are checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_hours(1);
/// How often the log is cleaned, and garbage removed, while a table changes.
const CLEAN_EVERY: Duration = Duration::from_hours(1);
const VACUUM_EVERY: Duration = Duration::from_hours(6);
/// The same for a table that has not changed since.
const IDLE_EVERY: Duration = Duration::from_hours(24);
/// A process that was just started has better things to do than to look for garbage.
const FIRST_AFTER: Duration = Duration::from_mins(5);
/// Wait after something failed.
const RETRY_AFTER: Duration = Duration::from_mins(5);

/// One piece of maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Defaults of new columns are written into old files.
    Fill,
    /// Files are joined, dead rows left out.
    Compact,
    /// The log gets a checkpoint.
    Checkpoint,
    /// Entries and checkpoints past the retention go.
    CleanLog,
    /// Objects that no readable version needs go.
    Vacuum,
}

/// What maintenance has done for a table since this process began. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Upkeep {
    /// When the table was first seen.
    pub seen_ms: i64,
    /// Compactions.
    pub compactions: u64,
    /// Files that they replaced, and files that they wrote.
    pub files_replaced: u64,
    /// See `files_replaced`.
    pub files_written: u64,
    /// Rows that they wrote.
    pub rows_written: u64,
    /// When the last one ended.
    pub compacted_ms: Option<i64>,
    /// When the last checkpoint was written here.
    pub checkpoint_ms: Option<i64>,
    /// When the log was last cleaned, at which version, and what was left of it.
    pub cleaned_ms: Option<i64>,
    /// See `cleaned_ms`.
    pub cleaned_version: Option<u64>,
    /// See `cleaned_ms`.
    pub log_files: u64,
    /// See `cleaned_ms`.
    pub log_bytes: u64,
    /// When garbage was last removed, at which version, and how much since the start.
    pub vacuumed_ms: Option<i64>,
    /// See `vacuumed_ms`.
    pub vacuumed_version: Option<u64>,
    /// See `vacuumed_ms`.
    pub vacuumed_files: u64,
    /// See `vacuumed_ms`.
    pub vacuumed_bytes: u64,
    /// Why the last piece failed; gone after one that did not.
    pub problem: Option<String>,
    /// When it failed.
    pub failed_ms: Option<i64>,
}

/// What is known of a table when the decision is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    pub(crate) now_ms: i64,
    pub(crate) version: u64,
    /// A live table is open over it.
    pub(crate) live: bool,
    pub(crate) fill_due: bool,
    pub(crate) compact_due: bool,
    pub(crate) commits_since_checkpoint: u64,
}

/// The next piece, if one is due. Pure.
pub(crate) fn due(facts: &Facts, upkeep: &Upkeep) -> Option<Piece> {
    let now = facts.now_ms;
    let past = |since: i64, wait: Duration| now >= since.saturating_add(ms(wait));
    if upkeep.failed_ms.is_some_and(|at| !past(at, RETRY_AFTER)) {
        return None;
    }
    let again = |last: Option<i64>, version: Option<u64>, every: Duration| match last {
        None => past(upkeep.seen_ms, FIRST_AFTER),
        Some(last) if version == Some(facts.version) => past(last, IDLE_EVERY),
        Some(last) => past(last, every),
    };
    if facts.fill_due {
        Some(Piece::Fill)
    } else if facts.compact_due && (facts.live || past(upkeep.seen_ms, FIRST_AFTER)) {
        // Right after the start a mirrored table is not live yet, and its key index would not learn where rows went.
        Some(Piece::Compact)
    } else if facts.commits_since_checkpoint > 0
        && past(upkeep.checkpoint_ms.unwrap_or(upkeep.seen_ms), CHECKPOINT_EVERY)
    {
        Some(Piece::Checkpoint)
    } else if again(upkeep.cleaned_ms, upkeep.cleaned_version, CLEAN_EVERY) {
        Some(Piece::CleanLog)
    } else if again(upkeep.vacuumed_ms, upkeep.vacuumed_version, VACUUM_EVERY) {
        Some(Piece::Vacuum)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_table_gets_what_it_needs_and_an_idle_one_hardly_anything() {
        let upkeep = Upkeep { cleaned_ms: Some(0), vacuumed_ms: Some(0), ..Upkeep::default() };
        let idle = Upkeep { cleaned_version: Some(7), vacuumed_version: Some(7), ..upkeep.clone() };
        let failed = Upkeep { failed_ms: Some(HOUR), ..upkeep.clone() };
        let facts = Facts { now_ms: HOUR + 1, version: 7, ..Facts::default() };
        let cases = [
            ("a filled column first", Facts { fill_due: true, compact_due: true, ..facts }, &upkeep, Some(Piece::Fill)),
            ("just started, not live yet", Facts { now_ms: 1, compact_due: true, ..facts }, &Upkeep::default(), None),
            ("many files", Facts { compact_due: true, ..facts }, &upkeep, Some(Piece::Compact)),
            ("an hour without", Facts { commits_since_checkpoint: 1, ..facts }, &upkeep, Some(Piece::Checkpoint)),
            ("an hour", facts, &upkeep, Some(Piece::CleanLog)),
            ("an hour of nothing", facts, &idle, None),
            ("a day of nothing", Facts { now_ms: 24 * HOUR, ..facts }, &idle, Some(Piece::CleanLog)),
            ("just failed", Facts { compact_due: true, ..facts }, &failed, None),
            ("just started", Facts { now_ms: 1, ..facts }, &Upkeep::default(), None),
            (
                "six hours",
                Facts { now_ms: 6 * HOUR, ..facts },
                &Upkeep { cleaned_ms: Some(6 * HOUR), ..upkeep.clone() },
                Some(Piece::Vacuum),
            ),
        ];
        for (what, facts, upkeep, piece) in cases {
            assert_eq!(due(&facts, upkeep), piece, "{what}");
        }
    }
}
