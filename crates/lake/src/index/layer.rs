//! Entries that are not yet in a committed run.
//!
//! Owns: [`Layer`]: a hash map in memory, spilled into sorted runs when it grows, all of one generation of the tail.
//! Never is part of the index on disk: a spilled run becomes one only through [`super::KeyIndex::install`].

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    path::Path,
    sync::Arc,
};

use naru_base::number::u64_from;

use super::{
    Entry, IndexError, Position, Run,
    merge::{self, Keep},
    plan,
    run::RunWriter,
};

/// Takes the low half of a 128-bit hash as it is: it is uniform already.
#[derive(Debug, Default, Clone)]
pub struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are u128, which arrive through `write_u128`; anything else is folded so that it stays correct.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
    }
}

/// A map keyed by key hashes.
pub type HashedMap<V> = HashMap<u128, V, BuildHasherDefault<Uniform>>;

/// Bytes of memory for one entry of the map: 32 for the pair, one of control, a load between 7/16 and 7/8.
const ENTRY_MEMORY: usize = 50;

/// The newest positions of keys since some moment.
#[derive(Debug, Default, Clone)]
pub struct Layer {
    map: HashedMap<Position>,
    /// Newest first; all older than `map`.
    runs: Vec<Arc<Run>>,
}

impl Layer {
    /// Sets the newest position of a key.
    pub fn put(&mut self, hash: u128, at: Position) {
        self.map.insert(hash, at);
    }

    /// The position in memory; the spilled runs are not looked at.
    pub fn get(&self, hash: u128) -> Option<Position> {
        self.map.get(&hash).copied()
    }

    /// Spilled runs, newest first.
    pub fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.map.capacity() * ENTRY_MEMORY + self.runs.iter().map(|run| run.bytes_in_memory()).sum::<usize>()
    }

    /// Bytes of memory that [`Layer::spill`] would free.
    pub fn bytes_in_map(&self) -> usize {
        self.map.capacity() * ENTRY_MEMORY
    }

    /// Entries in memory.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nothing was put.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty() && self.runs.is_empty()
    }

    /// Puts the entries of `newer` on top, if they are all in memory; gives `newer` back otherwise.
    ///
    /// # Errors
    /// `newer`, untouched, when it has spilled runs.
    pub fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        if newer.runs.is_empty() {
            self.map.extend(newer.map);
            return Ok(());
        }
        if self.map.is_empty() {
            let older = std::mem::replace(&mut self.runs, newer.runs);
            self.runs.extend(older);
            self.map = newer.map;
            return Ok(());
        }
        Err(newer)
    }

    /// Writes the map as a run below `dir` and empties it; merges its runs when they become many.
    ///
    /// # Errors
    /// [`IndexError::Io`]; the map is then unchanged.
    pub fn spill(&mut self, dir: &Path) -> Result<(), IndexError> {
        if self.map.is_empty() {
            return Ok(());
        }
        let run = write_sorted(dir, sorted(&self.map))?;
        self.map = HashedMap::default();
        self.runs.insert(0, Arc::new(run));
        let sizes: Vec<_> = self.runs.iter().map(|run| run.len()).collect();
        if let Some(width) = plan::runs_to_merge(&sizes) {
            let merged = merge::merge(dir, self.runs.get(..width).unwrap_or_default(), &Keep::all())?;
            self.runs.splice(..width, [Arc::new(merged)]);
        }
        Ok(())
    }

    /// One run below `dir` with everything in this layer, or `None` for an empty layer. The layer is unchanged.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn to_run(&self, dir: &Path) -> Result<Option<Arc<Run>>, IndexError> {
        let top = if self.map.is_empty() { None } else { Some(Arc::new(write_sorted(dir, sorted(&self.map))?)) };
        let mut all: Vec<_> = top.into_iter().chain(self.runs.iter().cloned()).collect();
        match all.len() {
            0 | 1 => Ok(all.pop()),
            _ => Ok(Some(Arc::new(merge::merge(dir, &all, &Keep::all())?))),
        }
    }
}

fn sorted(map: &HashedMap<Position>) -> Vec<Entry> {
    let mut entries: Vec<_> = map.iter().map(|(hash, at)| Entry { hash: *hash, at: *at }).collect();
    entries.sort_unstable_by_key(|entry| entry.hash);
    entries
}

/// Writes sorted entries with distinct hashes as one run.
fn write_sorted(dir: &Path, entries: Vec<Entry>) -> Result<Run, IndexError> {
    fill(RunWriter::create(dir, u64_from(entries.len()))?, entries)
}

/// Writes sorted entries with distinct hashes, and ends the run.
pub(crate) fn fill(mut writer: RunWriter, entries: impl IntoIterator<Item = Entry>) -> Result<Run, IndexError> {
    for entry in entries {
        writer.push(entry)?;
    }
    writer.finish()
}
