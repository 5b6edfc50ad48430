//! The keys of a file that is being staged, indexed while its rows are encoded.
//!
//! Owns: [`KeySink`] and what it gives, [`StagedKeys`]: sorted runs that become part of the index once the file is
//! committed. So a copy's commit reads no file again.
//! Never is needed: without them the file's key columns are read.

use std::{path::Path, sync::Arc};

use arrow::array::ArrayRef;

use super::{BulkLoader, IndexError, KeyHasher, Position, Run};

/// Takes the rows of one file in order.
#[derive(Debug)]
pub(crate) struct KeySink {
    hasher: KeyHasher,
    /// Where the key's columns are among the file's, in key order.
    columns: Vec<usize>,
    fingerprint: String,
    loader: BulkLoader,
    next: Position,
}

/// Where the keys of a staged file are.
#[derive(Debug)]
pub(crate) struct StagedKeys {
    fingerprint: String,
    runs: Vec<Arc<Run>>,
}

impl KeySink {
    /// Begins with the first row of file number `file`. `names` are the key's, in key order.
    ///
    /// # Errors
    /// [`IndexError::Io`] if the folder cannot be made.
    pub(crate) fn new(
        dir: &Path,
        file: u32,
        hasher: KeyHasher,
        names: &[String],
        columns: Vec<usize>,
    ) -> Result<Self, IndexError> {
        std::fs::create_dir_all(dir).map_err(IndexError::io("create", dir))?;
        let fingerprint = hasher.fingerprint(names);
        Ok(Self { hasher, columns, fingerprint, loader: BulkLoader::staged(dir), next: Position { file, row: 0 } })
    }

    /// Takes the next rows.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(crate) fn push(&mut self, arrays: &[ArrayRef]) -> Result<(), IndexError> {
        let keys: Vec<_> = self.columns.iter().filter_map(|at| arrays.get(*at)).cloned().collect();
        for hash in self.hasher.hash(&keys)? {
            self.loader.push(hash, self.next)?;
            self.next.row = self.next.row.checked_add(1).ok_or(IndexError::TooManyKeys)?;
        }
        Ok(())
    }

    /// The file is complete.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub(crate) fn finish(self) -> Result<StagedKeys, IndexError> {
        Ok(StagedKeys { fingerprint: self.fingerprint, runs: self.loader.finish_chunks()? })
    }
}

impl StagedKeys {
    /// The runs, now the index's own. `None` when they were made for another key or are gone.
    pub(crate) fn adopt(&self, fingerprint: &str) -> Option<Vec<Arc<Run>>> {
        if self.fingerprint != fingerprint {
            return None;
        }
        self.runs.iter().map(|run| run.adopt().ok().map(Arc::new)).collect()
    }
}
