//! Events that were seen before.
//!
//! Owns: [`Seen`], the keys of the events that are in the table, each with the offset of its first event, over a window
//! of time. An event is one that was seen before only if an *earlier offset* has its key, so reading events again after
//! a crash finds them new again.
//! Never the truth: that is the table. What is on disk is thrown away when it is torn or stands for something else, and
//! made anew from the table's rows; what it lacks at an opening is read from there.
//!
//! Keys are 128-bit hashes in the lake's key indexes on disk, one index for each eighth of the window, so that old keys
//! go as whole folders. A key takes 24 bytes on disk and 4 bytes for every hundred in memory, filters of small runs
//! aside: 24 hours at 2,000 events a second are 170 million keys, 4.1 GB on disk and 7 MB in memory.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
};
use naru_base::{Version, failpoint};
use naru_lake::index::{IndexError, KeyHasher, KeyIndex, Layer, Position, Stamp};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

/// Parts of the window that are let go together.
const PARTS: i64 = 8;
/// A part is at least so long.
const PART_US_MIN: i64 = 1_000_000;
/// Bytes of new keys in memory, of one part, after which they are written.
const FRESH_BYTES: usize = 16 << 20;

/// What lies in the folder, written after it lies there.
const LIST: &str = "seen.json";

/// Keys of one topic. One writer.
#[derive(Debug)]
pub(super) struct Seen {
    dir: PathBuf,
    owner: String,
    hasher: KeyHasher,
    window_us: i64,
    part_us: i64,
    parts: BTreeMap<i64, Part>,
    /// Every key of a lower offset within the window is on disk.
    saved: u64,
    /// Whether the last rotation took everything.
    rotated: bool,
}

#[derive(Debug)]
struct Part {
    index: KeyIndex,
    /// Put since the last rotation.
    fresh: Layer,
    /// Put before it: in the table once the flush under way has ended well.
    flushing: Layer,
}

#[derive(Debug, Serialize, Deserialize)]
struct List {
    owner: String,
    saved: u64,
    parts: Vec<i64>,
}

impl Seen {
    /// Opens what is on disk below `dir`. `owner` names the topic and its key; another owner's keys are thrown away.
    pub(super) fn open(dir: &Path, owner: &str, key: &DataType, window_us: i64) -> Result<Self, IndexError> {
        let hasher = KeyHasher::new(std::slice::from_ref(key))?;
        let part_us = (window_us / PARTS).max(PART_US_MIN);
        let owner = format!("{owner} {} {part_us}", hasher.fingerprint(&[]));
        std::fs::create_dir_all(dir).map_err(failed("create", dir))?;
        let text = std::fs::read(dir.join(LIST)).unwrap_or_default();
        let list = serde_json::from_slice::<List>(&text).ok().filter(|list| list.owner == owner);
        let mut seen = Self {
            dir: dir.to_path_buf(),
            owner,
            hasher,
            window_us,
            part_us,
            parts: BTreeMap::new(),
            saved: list.as_ref().map_or(0, |list| list.saved),
            rotated: true,
        };
        let listed = list.map(|list| list.parts).unwrap_or_default();
        for entry in std::fs::read_dir(dir).map_err(failed("list", dir))?.flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok());
            if number.is_some_and(|number| !listed.contains(&number)) {
                std::fs::remove_dir_all(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        for number in listed {
            if !seen.part(number)?.1 {
                seen.saved = 0;
            }
        }
        Ok(seen)
    }

    /// Rows of the table with a lower offset are known; the others are to be remembered.
    pub(super) fn saved(&self) -> u64 {
        self.saved
    }

    /// Rows of before do not count.
    pub(super) fn oldest_us(&self, now_us: i64) -> i64 {
        self.first_part(now_us).saturating_mul(self.part_us)
    }

    fn first_part(&self, now_us: i64) -> i64 {
        now_us.saturating_sub(self.window_us).div_euclid(self.part_us)
    }

    /// A part, and whether it was on disk when it was opened.
    fn part(&mut self, number: i64) -> Result<(&mut Part, bool), IndexError> {
        let mut whole = true;
        if !self.parts.contains_key(&number) {
            let (index, stamp) = KeyIndex::open(&self.dir.join(number.to_string()), &self.owner)?;
            whole = stamp.is_some();
            self.parts.insert(number, Part { index, fresh: Layer::default(), flushing: Layer::default() });
        }
        // It was put just above.
        self.parts.get_mut(&number).map(|part| (part, whole)).ok_or(IndexError::Stopped)
    }

    /// Says which rows are new, and remembers those. `keys` are their values, null for none: such a row is always new.
    /// `offsets` and `times_us` are those of their events, in order.
    pub(super) fn sift(&mut self, keys: &ArrayRef, offsets: &[u64], times_us: &[i64]) -> Result<Vec<bool>, IndexError> {
        let hashes = self.hasher.hash(std::slice::from_ref(keys))?;
        let mut wanted: Vec<u128> = hashes.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let mut found: HashMap<u128, Vec<(i64, u64)>> = HashMap::new();
        let oldest = times_us.iter().min().copied().unwrap_or(i64::MAX);
        for (number, part) in self.parts.range(self.first_part(oldest)..) {
            let located = part.index.reader().locate(&[&part.fresh, &part.flushing], &wanted)?;
            for (hash, at) in wanted.iter().zip(located) {
                if let Some(at) = at {
                    found.entry(*hash).or_default().push((*number, offset_of(at)));
                }
            }
        }
        let mut new = Vec::with_capacity(hashes.len());
        for (row, ((hash, offset), at)) in hashes.iter().zip(offsets).zip(times_us).enumerate() {
            let first = self.first_part(*at);
            let earlier = |(part, before): &(i64, u64)| *part >= first && before < offset;
            let is_new = keys.is_null(row) || !found.get(hash).is_some_and(|all| all.iter().any(earlier));
            if is_new && keys.is_valid(row) {
                let number = self.put(*hash, *offset, *at)?;
                found.entry(*hash).or_default().push((number, *offset));
            }
            new.push(is_new);
        }
        Ok(new)
    }

    fn put(&mut self, hash: u128, offset: u64, at_us: i64) -> Result<i64, IndexError> {
        let number = at_us.div_euclid(self.part_us);
        let (part, _) = self.part(number)?;
        part.fresh.put(hash, position_of(offset)?);
        if part.fresh.bytes_in_map() > FRESH_BYTES {
            let dir = part.index.dir().to_path_buf();
            part.fresh.spill(&dir)?;
        }
        Ok(number)
    }

    /// Remembers rows that are in the table already.
    pub(super) fn remember(&mut self, keys: &ArrayRef, offsets: &[u64], times_us: &[i64]) -> Result<(), IndexError> {
        let hashes = self.hasher.hash(std::slice::from_ref(keys))?;
        for (row, ((hash, offset), at)) in hashes.into_iter().zip(offsets).zip(times_us).enumerate() {
            if keys.is_valid(row) {
                self.put(hash, *offset, *at)?;
            }
        }
        Ok(())
    }

    /// A flush begins: what was put until now is in the table when it ends well.
    pub(super) fn rotate(&mut self) {
        self.rotated = true;
        for part in self.parts.values_mut() {
            let fresh = std::mem::take(&mut part.fresh);
            if let Err(fresh) = part.flushing.absorb(fresh) {
                // Spilled runs do not go on top of a map. They wait for the next flush.
                part.fresh = fresh;
                self.rotated = false;
            }
        }
    }

    /// The flush has ended well: writes what it took, which stands for every event before `position`.
    pub(super) fn save(&mut self, position: u64, now_us: i64) -> Result<(), IndexError> {
        for part in self.parts.values_mut().filter(|part| !part.flushing.is_empty()) {
            let run = part.flushing.to_run(part.index.dir())?;
            part.index.install(run);
            part.flushing = Layer::default();
            let stamp = stamp(position);
            part.index.save(&stamp)?;
            if part.index.merge_due() {
                part.index.merge(&|| Some(stamp.clone()))?;
            }
        }
        if failpoint::hit("topics.dedup_saving") {
            return Err(IndexError::Stopped);
        }
        if self.rotated {
            self.saved = position;
        }
        // Parts that no event from now on can ask for go; one more is kept, for events that are read again.
        let kept = self.parts.split_off(&self.first_part(now_us).saturating_sub(1));
        let gone = std::mem::replace(&mut self.parts, kept);
        self.write_list()?;
        for number in gone.into_keys() {
            let dir = self.dir.join(number.to_string());
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("remove", &dir)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write_list(&self) -> Result<(), IndexError> {
        // A part without a manifest has nothing on disk yet.
        let on_disk = |part: &&Part| part.index.reader().runs() > 0;
        let parts = self.parts.iter().filter(|(_, part)| on_disk(part)).map(|(number, _)| *number).collect();
        let list = List { owner: self.owner.clone(), saved: self.saved, parts };
        let (path, partial) = (self.dir.join(LIST), self.dir.join("seen.partial"));
        let text = serde_json::to_vec(&list).unwrap_or_default();
        std::fs::write(&partial, text).map_err(failed("write", &partial))?;
        let synced = std::fs::File::open(&partial).and_then(|file| file.sync_all());
        synced.and_then(|()| std::fs::rename(&partial, &path)).map_err(failed("write", &path))
    }

    /// Keys on disk, and their bytes.
    #[cfg(test)]
    fn on_disk(&self) -> (u64, u64) {
        let readers = self.parts.values().map(|part| part.index.reader());
        readers.fold((0, 0), |(keys, bytes), reader| (keys + reader.entries(), bytes + reader.bytes_on_disk()))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IndexError {
    let path = path.to_path_buf();
    move |source| IndexError::Io { doing, path, source }
}

/// Offsets are kept where the lake keeps a file and a row.
fn position_of(offset: u64) -> Result<Position, IndexError> {
    let file = u32::try_from(offset >> 32).map_err(|_| IndexError::TooManyKeys)?;
    let row = u32::try_from(offset & u64::from(u32::MAX)).map_err(|_| IndexError::TooManyKeys)?;
    Ok(Position { file, row })
}

fn offset_of(at: Position) -> u64 {
    u64::from(at.file) << 32 | u64::from(at.row)
}

/// Every offset before a position counts.
fn stamp(position: u64) -> Stamp {
    let last = u32::try_from(position >> 32).unwrap_or(u32::MAX);
    Stamp { version: Version(position), files: (0..=last).collect::<RoaringBitmap>() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    const SECOND: i64 = 1_000_000;
    const WINDOW: i64 = 80 * SECOND;

    fn open(dir: &Path) -> Seen {
        Seen::open(dir, "clicks id", &DataType::Utf8, WINDOW).unwrap()
    }

    fn keys(keys: &[Option<&str>]) -> ArrayRef {
        Arc::new(keys.iter().copied().collect::<StringArray>())
    }

    /// Whether events `(key, offset, second)` are new.
    fn sift(seen: &mut Seen, events: &[(Option<&str>, u64, i64)]) -> Vec<bool> {
        let of = keys(&events.iter().map(|(key, ..)| *key).collect::<Vec<_>>());
        let offsets: Vec<u64> = events.iter().map(|(_, offset, _)| *offset).collect();
        let times: Vec<i64> = events.iter().map(|(.., second)| second * SECOND).collect();
        seen.sift(&of, &offsets, &times).unwrap()
    }

    #[test]
    fn a_key_counts_once_a_window_and_no_key_is_always_new() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = open(dir.path());
        let events = [(Some("a"), 0, 100), (Some("b"), 1, 100), (Some("a"), 2, 101), (None, 3, 101), (None, 4, 101)];
        assert_eq!(sift(&mut seen, &events), [true, true, false, true, true]);
        assert_eq!(sift(&mut seen, &[(Some("a"), 5, 179), (Some("a"), 6, 300)]), [false, true]);
    }

    #[test]
    fn events_that_are_read_again_are_new_again() {
        let dir = tempfile::tempdir().unwrap();
        let events = [(Some("a"), 7, 100), (Some("a"), 9, 101)];
        let mut seen = open(dir.path());
        assert_eq!(sift(&mut seen, &events), [true, false]);
        assert_eq!(sift(&mut seen, &events), [true, false]);
        seen.rotate();
        seen.save(10, 101 * SECOND).unwrap();
        drop(seen);
        let mut seen = open(dir.path());
        assert_eq!(seen.saved(), 10);
        assert_eq!(sift(&mut seen, &events), [true, false]);
        assert_eq!(sift(&mut seen, &[(Some("a"), 11, 101)]), [false]);
    }

    #[test]
    fn keys_on_disk_stand_for_what_was_flushed_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = open(dir.path());
        sift(&mut seen, &[(Some("a"), 0, 100)]);
        seen.rotate();
        sift(&mut seen, &[(Some("b"), 1, 100)]);
        seen.save(1, 100 * SECOND).unwrap();
        drop(seen);
        let mut seen = open(dir.path());
        assert_eq!(seen.saved(), 1);
        // The second never came into the table: whatever has its key now is the first.
        assert_eq!(sift(&mut seen, &[(Some("a"), 2, 101), (Some("b"), 3, 101)]), [false, true]);
    }

    #[test]
    fn a_lost_part_and_another_owner_make_everything_to_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let fill = || {
            let mut seen = open(dir.path());
            sift(&mut seen, &[(Some("a"), 0, 100), (Some("b"), 1, 115)]);
            seen.rotate();
            seen.save(2, 115 * SECOND).unwrap();
        };
        fill();
        assert_eq!(open(dir.path()).saved(), 2);
        std::fs::remove_dir_all(dir.path().join("11")).unwrap();
        assert_eq!(open(dir.path()).saved(), 0);
        fill();
        assert_eq!(Seen::open(dir.path(), "clicks other", &DataType::Utf8, WINDOW).unwrap().saved(), 0);
    }

    #[test]
    fn old_keys_go_from_the_disk_and_a_key_takes_24_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = open(dir.path());
        for round in 0..100 {
            let names: Vec<String> = (0..1_000).map(|n| format!("{round} {n}")).collect();
            let of: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
            let offsets: Vec<u64> = (0..1_000).map(|n| round * 1_000 + n).collect();
            let at = i64::try_from(round).unwrap() * 5 * SECOND;
            seen.sift(&keys(&of), &offsets, &vec![at; 1_000]).unwrap();
            seen.rotate();
            seen.save((round + 1) * 1_000, at).unwrap();
        }
        let (keys, bytes) = seen.on_disk();
        assert!((16_000..=22_000).contains(&keys), "{keys}");
        assert!(bytes / keys <= 26, "{} bytes a key", bytes / keys);
        let folders = std::fs::read_dir(dir.path()).unwrap().count();
        assert!(folders <= 12, "{folders}");
    }
}
