//! What a job is and what becomes of it.
//!
//! Owns: [`JobState`] and its transitions, [`JobView`] (what whoever asked sees), [`JobRecord`] (what remains of it).
//! Never runs anything.

use std::{fmt, str::FromStr};

use arrow::datatypes::SchemaRef;
use naru_access::Principal;
use naru_base::{Problem, TableId, Version};
use serde::{Deserialize, Serialize};

use crate::Seen;

/// A job's number: 32 hexadecimal digits that nobody can guess, safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// A new one; later ones sort behind.
    pub(super) fn new() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no job's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a query")]
pub struct NotAJobId;

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| Self(text.to_owned())).ok_or(NotAJobId)
    }
}

impl TryFrom<String> for JobId {
    type Error = NotAJobId;

    fn try_from(text: String) -> Result<Self, NotAJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

/// Who ended a job before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopper {
    /// Whoever asked, or their next run in the same tab.
    Asker,
    /// Nobody looked at it any more.
    Nobody,
    /// naru, because it ends.
    Naru,
}

/// A mistake, and where it stands in the text that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What a person is told.
    pub problem: Problem,
    /// Line and column from 1, where the mistake has a place.
    pub place: Option<(usize, usize)>,
}

/// Where a job stands. Only `Done` outlives the process, as a file; jobs that wait or run end with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Set when it is taken: all lanes are taken, or its person's.
    Queued,
    /// Set when it has a lane.
    Running,
    /// Set when the last row was given.
    Done,
    /// Set when the query or the disk failed.
    Failed(Failure),
    /// Set when it took longer than a statement may.
    TimedOut(Failure),
    /// Set when somebody ended it.
    Cancelled(Stopper),
}

impl JobState {
    /// Its stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Whether nothing comes after it.
    pub fn ended(&self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Done | Self::Failed(_) | Self::TimedOut(_) | Self::Cancelled(_) => true,
        }
    }

    /// What went wrong.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Queued | Self::Running | Self::Done => None,
            Self::Failed(failure) | Self::TimedOut(failure) => Some(failure.clone()),
            Self::Cancelled(stopper) => Some(Failure { problem: cancelled(*stopper), place: None }),
        }
    }
}

fn cancelled(stopper: Stopper) -> Problem {
    let problem = Problem::new("sql.cancelled", "the query was cancelled");
    match stopper {
        Stopper::Asker => problem,
        Stopper::Nobody => problem
            .detail("Nobody looked at it any more: the page was closed, or the connection was lost.")
            .hint("Run it again; it goes on while its page is open."),
        Stopper::Naru => problem.detail("naru stopped or was restarted.").hint("Run it again."),
    }
}

/// A table that a result was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The table.
    pub table: TableId,
    /// Its Delta version, where it has one.
    pub version: Option<Version>,
}

/// A job as whoever asked for it sees it.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// What was sent.
    pub sql: String,
    /// Where it stands.
    pub state: JobState,
    /// When it was taken, microseconds since 1970.
    pub submitted_us: i64,
    /// When it got a lane.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Its place in the queue, from 1, while it waits.
    pub queue_place: Option<usize>,
    /// How far it is.
    pub seen: Seen,
    /// Columns, once they are known.
    pub schema: Option<SchemaRef>,
    /// Rows that can be read now.
    pub rows: u64,
    /// Rows of the whole answer; `None` until its end.
    pub rows_total: Option<u64>,
    /// Rows counted so far, those beyond the bound included.
    pub rows_counted: u64,
    /// Zone in which TIMESTAMP met DATE.
    pub time_zone: String,
    /// What it read.
    pub reads: Vec<Read>,
    /// When the rows are given up; `None` while there are none, or none any more.
    pub expires_us: Option<i64>,
}

impl JobView {
    /// Whether what can be read is the whole answer.
    pub fn complete(&self) -> bool {
        self.state == JobState::Done && self.rows_total == Some(self.rows)
    }
}

/// What remains of a job that has ended, for history and audit.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// The job as it ended.
    pub view: JobView,
    /// Who asked.
    pub principal: Principal,
    /// Whether a person looked on; what runs for a share is not in their history.
    pub attended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_file_name_and_nothing_else() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        for text in
            ["", "..", "../../etc/passwd", "0123456789abcdef0123456789abcde/", "0123456789ABCDEF0123456789abcdef"]
        {
            assert_eq!(text.parse::<JobId>(), Err(NotAJobId), "{text}");
        }
    }
}
