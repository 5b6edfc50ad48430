//! The key index: which row of which file holds a key.
//!
//! Owns: 128-bit hashes of keys and their newest position, as a log-structured merge tree of immutable sorted runs on
//! the local disk, read by `pread`, stamped with the Delta version it stands for. Memory is bounded: per run a
//! directory of 4 bytes per ~100 keys and, for small runs, a filter of one byte per key.
//! Never does: truth. It is a cache. An entry is a hint that counts only if the file is live and the row is not
//! deleted; the newest entry of a hash wins, so there are no tombstones. Anything torn, foreign or of another format
//! is thrown away and rebuilt from the key columns of the files.
//! Read next: [`store`] for the whole, [`run`] for the file format, [`plan`] for when runs are merged.

mod bulk;
mod entry;
mod filter;
mod hash;
mod layer;
mod merge;
mod plan;
mod run;
mod staged;
mod store;
#[cfg(test)]
mod tests;

pub use bulk::BulkLoader;
pub use entry::{Entry, Position};
pub use hash::KeyHasher;
pub use layer::{HashedMap, Layer};
pub use run::Run;
pub(crate) use staged::{KeySink, StagedKeys};
pub use store::{IndexReader, KeyIndex, Stamp};

use std::path::PathBuf;

use arrow::error::ArrowError;

/// What can go wrong with the index. Nothing of it loses data: the caller may always rebuild.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The operating system refused a read or write.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file's content contradicts itself.
    #[error("index file {} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
    /// The key columns cannot be hashed.
    #[error("key columns cannot be indexed")]
    Key(#[from] ArrowError),
    /// A run would exceed what a 32-bit entry count can say.
    #[error("a table of more than 4294967295 keys cannot be indexed")]
    TooManyKeys,
    /// A long merge was told to stop because its table was closed.
    #[error("the merge was stopped")]
    Stopped,
}

impl IndexError {
    /// For `map_err`: an I/O error at `path` while `doing`.
    pub(crate) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}
