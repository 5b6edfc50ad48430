//! Loading many entries at once, in any order, with bounded memory.
//!
//! Owns: [`BulkLoader`], an external sort. Never sees keys, only their hashes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Entry, IndexError, Position, Run,
    layer::write_sorted,
    merge::{self, Keep},
};

/// Entries sorted in memory at a time: 16 MiB of 32-byte entries.
const CHUNK_ENTRIES: usize = 512 * 1024;

/// Sorts entries into one run: chunks are sorted in memory, written, and merged at the end.
#[derive(Debug)]
pub struct BulkLoader {
    dir: PathBuf,
    chunk: Vec<Entry>,
    /// Oldest first.
    runs: Vec<Arc<Run>>,
}

impl BulkLoader {
    /// A loader that writes below `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), chunk: Vec::new(), runs: Vec::new() }
    }

    /// Adds one entry. Of two entries with one hash the later is kept.
    ///
    /// # Errors
    /// [`IndexError::Io`] when a full chunk cannot be written.
    pub fn push(&mut self, hash: u128, at: Position) -> Result<(), IndexError> {
        self.chunk.push(Entry { hash, at });
        if self.chunk.len() >= CHUNK_ENTRIES { self.write_chunk() } else { Ok(()) }
    }

    fn write_chunk(&mut self) -> Result<(), IndexError> {
        // A stable sort keeps equal hashes in order of arrival; the last of each is kept.
        self.chunk.sort_by_key(|entry| entry.hash);
        let mut distinct: Vec<Entry> = Vec::with_capacity(self.chunk.len());
        for entry in self.chunk.drain(..) {
            match distinct.last_mut() {
                Some(last) if last.hash == entry.hash => *last = entry,
                _ => distinct.push(entry),
            }
        }
        self.runs.push(Arc::new(write_sorted(&self.dir, distinct)?));
        Ok(())
    }

    /// The run with everything that was pushed; `None` if nothing was.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn finish(mut self) -> Result<Option<Arc<Run>>, IndexError> {
        if !self.chunk.is_empty() {
            self.write_chunk()?;
        }
        self.runs.reverse();
        match self.runs.len() {
            0 | 1 => Ok(self.runs.pop()),
            _ => Ok(Some(Arc::new(merge::merge(&self.dir, &self.runs, &Keep::all())?))),
        }
    }
}
