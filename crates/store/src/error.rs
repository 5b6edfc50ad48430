//! What can go wrong with the state database and its lock.
//!
//! Owns: [`StoreError`] and its one translation into [`Problem`].

use std::path::PathBuf;

use naru_base::Problem;

/// An error of the state database or its lock.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused; the file, its rights, the disk, or a broken promise of a caller.
    #[error("the state database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system refused.
    #[error("cannot use {}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The file was written by newer software.
    #[error("the state database has format {found}, newer than {known}")]
    FormatNewer {
        /// The file's format.
        found: u32,
        /// The newest this software knows.
        known: u32,
    },
    /// The file must be migrated, which a reader does not do.
    #[error("the state database has format {found}, older than {known}")]
    FormatOlder {
        /// The file's format.
        found: u32,
        /// What a reader of this software needs.
        known: u32,
    },
    /// A database of some other program.
    #[error("{} is not a state database of naru", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There is no state yet.
    #[error("there is no state database at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A stored value that this software cannot read.
    #[error("the state database holds an unreadable {what}")]
    Unreadable {
        /// Which column of which table.
        what: &'static str,
    },
    /// Another process holds the project.
    #[error("this project is in use by {holder}")]
    Locked {
        /// What stands in the lock file, for example `naru up (pid 4711)`.
        holder: String,
    },
    /// The work was cancelled because the process is stopping.
    #[error("the state database is closing")]
    Closing,
}

impl StoreError {
    /// The error as every surface prints it.
    pub fn problem(&self) -> Problem {
        let summary = self.to_string();
        match self {
            Self::Sqlite(error) if is_passing(error) => Problem::from_error("store.busy", summary, self).later(),
            Self::Sqlite(_) => Problem::from_error("store.failed", summary, self)
                .hint("Look at the rights and the free space of the .naru folder."),
            Self::Io { .. } => Problem::from_error("store.io", summary, self)
                .hint("Look at the rights and the free space of the .naru folder."),
            Self::FormatNewer { .. } => Problem::new("store.format_newer", summary)
                .detail("A newer naru has used this project.")
                .hint("Run that version, or put back the backup beside naru.db."),
            Self::FormatOlder { .. } => {
                Problem::new("store.format_older", summary).hint("Run `naru up` once: it migrates after a backup copy.")
            }
            Self::Foreign { .. } => {
                Problem::new("store.foreign", summary).hint("Move that file away; naru makes its own.")
            }
            Self::Missing { .. } => Problem::new("store.missing", summary).hint("Run `naru up` once."),
            Self::Unreadable { .. } => Problem::new("store.unreadable", summary)
                .detail("The file was changed by hand or is damaged.")
                .hint("Put back the backup beside naru.db, or report this."),
            Self::Locked { .. } => {
                Problem::new("store.locked", summary).hint("Wait for it, or stop it, then try again.").later()
            }
            Self::Closing => Problem::new("store.closing", summary).later(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Busy and locked pass by themselves; a full disk passes when someone frees it.
fn is_passing(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | DiskFull))
}
