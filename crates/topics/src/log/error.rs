//! What can go wrong with the log.
//!
//! Owns: [`LogError`] and its one translation into [`Problem`].

use std::path::PathBuf;

use naru_base::{Problem, Retry};

/// An error of the topic log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// There is no room for more; nothing was appended.
    #[error("the topic log takes no more events: {reason}")]
    Full {
        /// What there is too little of.
        reason: String,
    },
    /// One batch is larger than the log can hold together.
    #[error("a batch of {bytes} bytes is larger than the {most} bytes that are appended together")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        most: usize,
    },
    /// The disk refused a write or a sync; nobody knows what is durable until the log is opened again.
    #[error("the topic log stopped after an error of its disk: {reason}")]
    Poisoned {
        /// What the disk said.
        reason: String,
    },
    /// A file or folder of the log cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file was written by newer software.
    #[error("{} has format {found}, newer than {known}", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest this software knows.
        known: u32,
    },
    /// Cursors are kept in the state database, and it failed.
    #[error("a cursor could not be stored: {0}")]
    Cursor(String),
    /// The log is being closed.
    #[error("the topic log is closing")]
    Closing,
}

impl LogError {
    /// An I/O error of one path.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::File { path, reason: error.to_string() }
    }

    /// For people.
    pub fn problem(&self) -> Problem {
        let problem = |code: &'static str, hint: &str| Problem::new(code, self.to_string()).hint(hint);
        match self {
            Self::Full { .. } => {
                let mut full = problem(
                    "topics.log_full",
                    "Free space on the disk of .naru, or look in `naru status` for the reader that holds the log. Senders are told to wait.",
                );
                full.retry = Retry::Later;
                full
            }
            Self::TooLarge { .. } => problem("topics.batch_too_large", "Send fewer events at once."),
            Self::Poisoned { .. } => problem(
                "topics.log_poisoned",
                "Look at the disk of .naru, then restart naru. Everything that was acknowledged is on the log.",
            ),
            Self::File { .. } => problem("topics.log_file", "Make the file usable for naru, then start again."),
            Self::Newer { .. } => problem("topics.log_newer", "Start the naru that wrote it, or a newer one."),
            Self::Cursor(_) => problem("topics.cursor", "Look at .naru/naru.db and the space on its disk."),
            Self::Closing => problem("topics.closing", "Send it again when naru is up."),
        }
    }
}
