//! What the first page gets.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::views::ProblemView;

/// How everything is.
#[derive(Debug, Serialize, ToSchema)]
pub struct HomeView {
    /// When these figures were taken, RFC 3339.
    pub as_of: String,
    /// Whether every source was read since the start, so that all tables are counted.
    pub complete: bool,
    /// Tables that sources write.
    pub tables: TableCounts,
    /// Marts.
    pub marts: MartCounts,
    /// Topics.
    pub topics: TopicCounts,
    /// Sources by name.
    pub sources: Vec<SourceLine>,
    /// The fullest disk; only for administrators.
    pub disk: Option<DiskView>,
    /// What is wrong, the worst first.
    pub problems: Vec<HomeProblem>,
}

/// How many tables stand how. Those that left their source are not counted.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct TableCounts {
    /// All.
    pub all: usize,
    /// Followed, and not late.
    pub fresh: usize,
    /// Behind, or not followed because their source is not.
    pub late: usize,
    /// Being copied for the first time or again.
    pub copying: usize,
    /// Paused by a person.
    pub paused: usize,
    /// Stopped by an error.
    pub stopped: usize,
}

/// How many marts stand how.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct MartCounts {
    /// All that have a file.
    pub all: usize,
    /// The latest run went well.
    pub done: usize,
    /// The latest run did not; the earlier result stays.
    pub failed: usize,
    /// In a run now.
    pub running: usize,
    /// Never ran.
    pub never: usize,
}

/// Topics together.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TopicCounts {
    /// Topics with a file.
    pub all: usize,
    /// Events a second lately.
    pub events_per_s: f64,
    /// Events that wait to be mended.
    pub dead_letters: u64,
}

/// One source.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceLine {
    /// Its name.
    pub source: String,
    /// `connecting`, `preflight`, `streaming`, `waiting`, `stopped` or `vanished`.
    pub phase: String,
    /// Its tables, and those of them that are late or stopped.
    pub tables: usize,
    /// See `tables`.
    pub late: usize,
    /// The largest lag of its tables, milliseconds.
    pub lag_ms: Option<u64>,
    /// Bytes of its log that it keeps for naru.
    pub retained_bytes: Option<i64>,
    /// Bytes until it throws them away; none when it never does.
    pub safe_bytes: Option<i64>,
}

/// Room on a disk, bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskView {
    /// Free.
    pub free_bytes: u64,
    /// Below so many free bytes copies wait.
    pub least_bytes: u64,
    /// Files of all tables.
    pub lake_bytes: u64,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A source is not followed.
    Source,
    /// A source will stop being followed if nobody does anything.
    SourceWarning,
    /// A table stopped.
    Table,
    /// A table is behind.
    Late,
    /// The latest run of a mart did not go well.
    Mart,
    /// A check of a mart warns.
    Check,
    /// A file of the project has a mistake.
    Definition,
    /// A topic's table does not take events.
    Topic,
    /// Events wait to be mended.
    DeadLetters,
    /// A forward does not get through.
    Forward,
    /// The log takes no events.
    Log,
    /// Maintenance of a table fails.
    Upkeep,
    /// A disk is nearly full.
    Disk,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct HomeProblem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// `bad` (something stands still or is wrong) or `warn`.
    pub severity: String,
    /// Which one: a source, a table, a mart, a topic, a file.
    pub object: String,
    /// The source of a table; the forward of a topic.
    pub within: Option<String>,
    /// The run in which a mart failed.
    pub run: Option<i64>,
    /// How many: dead letters; milliseconds of a lag; free bytes of a disk.
    pub count: Option<u64>,
    /// Since when, where that is known.
    pub since: Option<String>,
    /// People who read it, or what is made of it, in the last thirty days.
    pub readers: usize,
    /// Marts that are made of it.
    pub marts: usize,
    /// What it says itself.
    pub problem: Option<ProblemView>,
}
