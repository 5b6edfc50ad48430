//! Why a job cannot be taken, seen or read.
//!
//! Owns: [`JobError`] and its one translation to [`Problem`]. Why a query failed is the job's state, not this.

use std::sync::Arc;

use arrow::error::ArrowError;
use naru_base::Problem;

/// A job that cannot be taken, seen or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// There is none of this id, or it is somebody else's.
    #[error("there is no such query")]
    NotFound,
    /// Its rows are no longer kept, or never were.
    #[error("the rows of this query are no longer kept")]
    Gone,
    /// It has not come to its end.
    #[error("the query has not finished")]
    NotFinished,
    /// More jobs wait than may.
    #[error("{waiting} queries are waiting already")]
    QueueFull {
        /// How many.
        waiting: usize,
        /// Whether all of them are the asker's own.
        own: bool,
    },
    /// The folder of results cannot be used.
    #[error("the query's rows cannot be kept or read")]
    Disk(#[source] Arc<ArrowError>),
}

impl JobError {
    /// The error as people see it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::NotFound => {
                Problem::new("query.not_found", self.to_string()).hint("Look at your history, or run it again.")
            }
            Self::Gone => Problem::new("query.result_gone", self.to_string())
                .detail("Rows are kept for a day, fewer when the disk's share for results is full.")
                .hint("Run the query again."),
            Self::NotFinished => Problem::new("query.not_finished", self.to_string())
                .hint("Wait for its end: a file of the rows so far would look like all of them.")
                .later(),
            Self::QueueFull { own: true, .. } => Problem::new("query.queue_full", self.to_string())
                .detail("All of them are yours.")
                .hint("Wait for one to end, or cancel some.")
                .later(),
            Self::QueueFull { own: false, .. } => {
                Problem::new("query.queue_full", self.to_string()).hint("Try again in a moment.").later()
            }
            Self::Disk(error) => Problem::from_error("query.disk", self.to_string(), error.as_ref())
                .hint("Look at the free space and the rights of the .naru folder."),
        }
    }
}

impl From<ArrowError> for JobError {
    fn from(error: ArrowError) -> Self {
        Self::Disk(Arc::new(error))
    }
}
