//! Loading many entries at once, in any order, with bounded memory.
//!
//! Owns: [`BulkLoader`], an external sort. Never sees keys, only their hashes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use naru_base::number::u64_from;

use super::{
    Entry, IndexError, Position, Run,
    layer::fill,
    merge::{self, Keep},
    run::RunWriter,
};

/// Entries sorted in memory at a time: 16 MiB of 32-byte entries.
const CHUNK_ENTRIES: usize = 512 * 1024;

/// Sorts entries into one run: chunks are sorted in memory, written, and merged at the end.
#[derive(Debug)]
pub struct BulkLoader {
    dir: PathBuf,
    chunk: Vec<Arrived>,
    /// Oldest first.
    runs: Vec<Arc<Run>>,
    /// The runs are of rows that are staged and not committed.
    staged: bool,
}

/// An entry and when it came within its chunk; 32 bytes, as an entry alone.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    hash: u128,
    at: Position,
    nth: u32,
}

impl BulkLoader {
    /// A loader that writes below `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), chunk: Vec::new(), runs: Vec::new(), staged: false }
    }

    /// A loader of staged rows: opening the index meanwhile leaves its runs alone.
    pub(crate) fn staged(dir: &Path) -> Self {
        Self { staged: true, ..Self::new(dir) }
    }

    /// Adds one entry. Of two entries with one hash the later is kept.
    ///
    /// # Errors
    /// [`IndexError::Io`] when a full chunk cannot be written.
    pub fn push(&mut self, hash: u128, at: Position) -> Result<(), IndexError> {
        let nth = u32::try_from(self.chunk.len()).unwrap_or(u32::MAX);
        self.chunk.push(Arrived { hash, at, nth });
        if self.chunk.len() >= CHUNK_ENTRIES { self.write_chunk() } else { Ok(()) }
    }

    fn write_chunk(&mut self) -> Result<(), IndexError> {
        // Equal hashes stay in order of arrival; the last of each is kept.
        self.chunk.sort_unstable_by_key(|arrived| (arrived.hash, arrived.nth));
        let create = if self.staged { RunWriter::create_staged } else { RunWriter::create };
        let last = self.chunk.chunk_by(|one, next| one.hash == next.hash).filter_map(|same| same.last());
        let last = last.map(|arrived| Entry { hash: arrived.hash, at: arrived.at });
        let run = fill(create(&self.dir, u64_from(self.chunk.len()))?, last)?;
        self.runs.push(Arc::new(run));
        self.chunk.clear();
        Ok(())
    }

    /// The sorted chunks as they are, newest first.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub(crate) fn finish_chunks(mut self) -> Result<Vec<Arc<Run>>, IndexError> {
        if !self.chunk.is_empty() {
            self.write_chunk()?;
        }
        self.runs.reverse();
        Ok(self.runs)
    }

    /// The run with everything that was pushed; `None` if nothing was.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn finish(self) -> Result<Option<Arc<Run>>, IndexError> {
        let dir = self.dir.clone();
        let mut runs = self.finish_chunks()?;
        match runs.len() {
            0 | 1 => Ok(runs.pop()),
            _ => Ok(Some(Arc::new(merge::merge(&dir, &runs, &Keep::all())?))),
        }
    }
}
