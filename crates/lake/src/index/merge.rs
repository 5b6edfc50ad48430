//! Merging runs: newest position wins, entries of vanished files go.
//!
//! Owns: the streaming k-way merge. Memory: one read buffer per run. Never decides which runs to merge.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use roaring::RoaringBitmap;

use super::{Entry, IndexError, Run, run::RunWriter};

/// Entries read at a time from each run.
const READ_ENTRIES: u64 = 2_048;
/// Entries between two looks at the stop flag.
const STOP_EVERY: u64 = 65_536;

/// What a merge keeps, and when it stops.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keep {
    /// Live files; entries of others are dropped. `None` keeps all.
    ///
    /// Dropping the newest entry of a hash brings no older one back to life: whoever wrote the newer entry had deleted
    /// the row that the older one names.
    pub(crate) files: Option<RoaringBitmap>,
    /// Set by another thread to end the merge early.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Keep {
    /// Keeps every newest entry.
    pub(crate) fn all() -> Self {
        Self::default()
    }
}

struct Cursor<'a> {
    run: &'a Run,
    /// The range to read next.
    range: usize,
    buffer: Vec<u8>,
    entries: std::vec::IntoIter<Entry>,
}

impl<'a> Cursor<'a> {
    fn new(run: &'a Run) -> Self {
        Self { run, range: 0, buffer: Vec::new(), entries: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Result<Option<Entry>, IndexError> {
        if let Some(entry) = self.entries.next() {
            return Ok(Some(entry));
        }
        let (batch, after) = self.run.scan(self.range, READ_ENTRIES, &mut self.buffer)?;
        self.range = after;
        self.entries = batch.into_iter();
        Ok(self.entries.next())
    }
}

/// Merges `runs`, newest first, into a new run below `dir`.
///
/// # Errors
/// [`IndexError::Io`], [`IndexError::Damaged`]; [`IndexError::Stopped`] when told to stop. Nothing is left behind then.
pub(crate) fn merge(dir: &Path, runs: &[Arc<Run>], keep: &Keep) -> Result<Run, IndexError> {
    let mut writer = RunWriter::create(dir, runs.iter().map(|run| run.len()).sum())?;
    let mut cursors: Vec<_> = runs.iter().map(|run| Cursor::new(run)).collect();
    let mut heap = BinaryHeap::with_capacity(cursors.len());
    for (age, cursor) in cursors.iter_mut().enumerate() {
        if let Some(entry) = cursor.next()? {
            heap.push(Reverse((entry.hash, age, entry.at)));
        }
    }
    let (mut last, mut seen) = (None, 0_u64);
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((hash, age, at)) = *top;
        match cursors.get_mut(age).map(Cursor::next).transpose()?.flatten() {
            Some(entry) => *top = Reverse((entry.hash, age, entry.at)),
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        let live = keep.files.as_ref().is_none_or(|files| files.contains(at.file));
        if last != Some(hash) && live {
            writer.push(Entry { hash, at })?;
        }
        last = Some(hash);
        seen += 1;
        if seen.is_multiple_of(STOP_EVERY) && keep.stop.load(Ordering::Relaxed) {
            return Err(IndexError::Stopped);
        }
    }
    writer.finish()
}
