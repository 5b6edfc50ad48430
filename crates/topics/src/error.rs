//! What can go wrong with topics.
//!
//! Owns: [`TopicError`] and [`PublishError`] and their one translation into [`Problem`]. Never quotes an event.

use naru_base::Problem;
use naru_lake::{LakeError, index::IndexError, live::ApplyError};
use naru_store::StoreError;

use crate::log::LogError;

/// An error of the registry or of what stands on the log.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// No topic has this name.
    #[error("there is no topic \"{0}\"")]
    Missing(String),
    /// A topic has this name already.
    #[error("there is a topic \"{0}\" already")]
    Exists(String),
    /// The topic has a file, so only the file makes and removes it.
    #[error("topic \"{0}\" is declared by its file")]
    Declared(String),
    /// The columns of a file cannot follow those that the table has. Boxed: it is large and seldom.
    #[error("{}", .0.summary)]
    Columns(Box<Problem>),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Rows were not taken by a table.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The keys of events that were seen before could not be read or written.
    #[error(transparent)]
    Seen(#[from] IndexError),
}

impl TopicError {
    /// For people.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Missing(_) => {
                Problem::new("topics.missing", self.to_string()).hint("`naru status` lists the topics.")
            }
            Self::Exists(_) => Problem::new("topics.exists", self.to_string()).hint("Use it, or choose another name."),
            Self::Declared(name) => Problem::new("topics.declared", self.to_string())
                .hint(format!("Delete topics/{name}.toml and start naru again; its table stays.")),
            Self::Columns(problem) => (**problem).clone(),
            Self::Log(error) => error.problem(),
            Self::Store(error) => error.problem(),
            Self::Lake(error) => error.problem(),
            Self::Apply(error) => error.problem(),
            Self::Seen(error) => Problem::from_error("topics.seen", "the keys of earlier events cannot be used", error)
                .hint("Look at the space on the disk of .naru. They are made anew from the table where they are lost.")
                .later(),
        }
    }
}

/// Why events were not accepted. Nothing of the call is on the log, except where [`PublishError::Stopped`] says
/// otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The disk, or the share of it that the log may use, is full: wait and send again.
    #[error(transparent)]
    Full(LogError),
    /// More waits for the disk than is held in memory: wait and send again.
    #[error("too many events wait for the disk")]
    Busy,
    /// One batch is larger than the log appends together.
    #[error("a batch of {bytes} bytes is larger than the {most} bytes that are appended together")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        most: usize,
    },
    /// The log takes nothing until naru is started again. The events may or may not be on it.
    #[error(transparent)]
    Stopped(LogError),
    /// There is no such topic, or no longer.
    #[error("there is no topic \"{topic}\"")]
    Unknown {
        /// The name.
        topic: String,
    },
}

impl PublishError {
    /// For people.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Full(error) | Self::Stopped(error) => error.problem(),
            Self::Busy => Problem::new("topics.busy", self.to_string())
                .hint("Send again after a moment; senders are told to wait when the disk is slower than they are.")
                .later(),
            Self::TooLarge { .. } => {
                Problem::new("topics.batch_too_large", self.to_string()).hint("Send fewer events at once.")
            }
            Self::Unknown { topic } => Problem::new("topics.missing", self.to_string())
                .hint(format!("Declare it in topics/{topic}.toml, or look at the names in `naru status`.")),
        }
    }

    pub(crate) fn of(error: LogError) -> Self {
        match error {
            LogError::Full { .. } => Self::Full(error),
            LogError::TooLarge { bytes, most } => Self::TooLarge { bytes, most },
            LogError::Poisoned { .. }
            | LogError::File { .. }
            | LogError::Newer { .. }
            | LogError::Cursor(_)
            | LogError::Closing => Self::Stopped(error),
        }
    }
}
