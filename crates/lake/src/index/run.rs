//! One immutable sorted run of entries on disk.
//!
//! Owns: the run file's format, writing it in one pass, and reading it by `pread` (never by mapping it, so that the
//! page cache and not this process carries it).
//! Never knows which run is newer or which files are live.
//!
//! ```text
//! entries      24 bytes each, sorted by hash, hashes distinct
//! directory    (2^bits + 1) u32: number of entries below each of 2^bits equal ranges of the hash space
//! checks       2^bits u32: checksum of each range's entries, looked at whenever they are read
//! filter       see `filter.rs`; empty for large runs
//! footer       40 bytes: bits, filter bytes, entries, checksum of directory, checks and filter, magic
//! ```
//! Hashes are uniform, so a range holds about [`PER_BUCKET`] entries and one read answers a probe.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use naru_base::number::{u64_from, usize_from};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    Entry, IndexError, Position,
    entry::{ENTRY_BYTES, bucket, entries},
    filter::Filter,
};

const MAGIC: [u8; 8] = *b"naruidx2";
const FOOTER_BYTES: usize = 40;
/// How the name of a staged run ends.
const STAGED: &str = "staged";
/// Entries per directory range: about 2 KiB, half a page, so that most probes touch one page.
const PER_BUCKET: u64 = 96;
/// Larger runs have no filter: they are few, hold most keys anyway, and the filter would be the largest thing in memory.
const FILTERED_MAX: u64 = 4_000_000;
/// Probes whose ranges lie closer than this are answered by one read.
const GAP_BYTES: u64 = 16 * 1024;
/// Bytes written between two syncs of a run: a file of gigabytes that is synced only at its end keeps the disk busy for
/// so long that the commits of that moment wait for it.
const SYNC_BYTES: usize = 16 << 20;
/// Most bytes of one read.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// An open run. Its file is removed when the last user drops a run that was marked superseded.
#[derive(Debug)]
pub struct Run {
    file: File,
    path: PathBuf,
    entries: u64,
    bits: u32,
    directory: Vec<u32>,
    checks: Vec<u32>,
    filter: Option<Filter>,
    keep: AtomicBool,
}

impl Run {
    /// Opens a run that a manifest names. Its file stays when the run is dropped, unless [`Run::supersede`] is called.
    ///
    /// # Errors
    /// [`IndexError::Io`], or [`IndexError::Damaged`] when directory, filter or length contradict the footer.
    pub fn open(path: PathBuf) -> Result<Self, IndexError> {
        let file = File::open(&path).map_err(IndexError::io("open", &path))?;
        let run = Self::read(file, path)?;
        run.retain();
        Ok(run)
    }

    fn read(file: File, path: PathBuf) -> Result<Self, IndexError> {
        let damaged = |why| IndexError::Damaged { path: path.clone(), why };
        let length = file.metadata().map_err(IndexError::io("read the length of", &path))?.len();
        let footer_at = length.checked_sub(u64_from(FOOTER_BYTES)).ok_or_else(|| damaged("it is too short"))?;
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at).map_err(IndexError::io("read", &path))?;
        let footer = Footer::decode(&footer).ok_or_else(|| damaged("its footer is not one of this format"))?;
        if footer.length() != Some(length) {
            return Err(damaged("its length does not match its footer"));
        }
        let mut tail = vec![0; usize_from(footer_at - footer.entries_bytes())];
        file.read_exact_at(&mut tail, footer.entries_bytes()).map_err(IndexError::io("read", &path))?;
        if checksum(&tail, footer.entries) != footer.checksum {
            return Err(damaged("its directory does not match its checksum"));
        }
        let (words, filter) = tail.split_at(tail.len() - usize_from(footer.filter_bytes));
        let mut directory: Vec<u32> = words.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let checks = directory.split_off(directory.len().div_ceil(2));
        let filter = (!filter.is_empty()).then(|| Filter::from_bytes(filter)).flatten();
        let (entries, bits) = (footer.entries, footer.bits);
        Ok(Self { entries, bits, directory, checks, filter, file, path, keep: false.into() })
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether the run has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The file's name within the index folder.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Bytes of the file.
    pub fn bytes_on_disk(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Bytes of memory held: directory, checks and filter.
    pub fn bytes_in_memory(&self) -> usize {
        (self.directory.len() + self.checks.len()) * 4 + self.filter.as_ref().map_or(0, Filter::bytes)
    }

    /// Makes a staged run (see [`RunWriter::create_staged`]) one of the index's own.
    ///
    /// # Errors
    /// [`IndexError::Io`] when its file is gone.
    pub fn adopt(&self) -> Result<Self, IndexError> {
        let path = self.path.with_file_name(run_name());
        std::fs::rename(&self.path, &path).map_err(IndexError::io("rename", &self.path))?;
        let file = self.file.try_clone().map_err(IndexError::io("open", &path))?;
        Self::read(file, path)
    }

    /// The file stays on disk after this run is dropped: a manifest names it.
    pub fn retain(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// The file goes when the last reader drops this run.
    pub fn supersede(&self) {
        self.keep.store(false, Ordering::Relaxed);
    }

    /// Looks up hashes that are sorted and not yet found: `out[i]` is set where the run has `wanted[i]`.
    ///
    /// Reads the run once from front to back; probes that lie close together share a read.
    ///
    /// # Errors
    /// [`IndexError::Io`]; [`IndexError::Damaged`] when entries do not match their checksum.
    pub fn locate(&self, wanted: &[u128], out: &mut [Option<Position>]) -> Result<(), IndexError> {
        let mut probes = wanted.iter().zip(out.iter_mut()).filter(|(hash, found)| {
            found.is_none() && self.filter.as_ref().is_none_or(|filter| filter.may_contain(**hash))
        });
        let mut buffer = Vec::new();
        let mut next = probes.next();
        while let Some((hash, found)) = next {
            let (start, mut end) = self.range(*hash);
            let mut group = vec![(*hash, found)];
            next = probes.next();
            while let Some((hash, found)) = next.take() {
                let (from, to) = self.range(*hash);
                if from > end + GAP_BYTES || to.saturating_sub(start) > READ_BYTES_MAX {
                    next = Some((hash, found));
                    break;
                }
                end = end.max(to);
                group.push((*hash, found));
                next = probes.next();
            }
            buffer.resize(usize_from(end - start), 0);
            self.file.read_exact_at(&mut buffer, start).map_err(IndexError::io("read", &self.path))?;
            self.answer(&buffer, start, group)?;
        }
        Ok(())
    }

    /// Answers probes from the bytes that start at `start` of the file.
    fn answer(&self, buffer: &[u8], start: u64, group: Vec<(u128, &mut Option<Position>)>) -> Result<(), IndexError> {
        let mut checked = None;
        for (hash, found) in group {
            let (from, to) = self.range(hash);
            let bytes = buffer.get(usize_from(from - start)..usize_from(to - start)).unwrap_or_default();
            let range = bucket(hash, self.bits);
            if checked != Some(range) {
                self.check(range, bytes)?;
                checked = Some(range);
            }
            let slots = bytes.as_chunks::<ENTRY_BYTES>().0;
            let key = hash.to_be_bytes();
            if let Ok(at) = slots.binary_search_by(|slot| slot[..16].cmp(&key[..])) {
                *found = slots.get(at).map(|slot| Entry::decode(slot).at);
            }
        }
        Ok(())
    }

    /// Whether the bytes of one range are those that were written.
    fn check(&self, range: usize, bytes: &[u8]) -> Result<(), IndexError> {
        if self.checks.get(range) == Some(&check_of(bytes)) {
            return Ok(());
        }
        Err(IndexError::Damaged { path: self.path.clone(), why: "entries do not match their checksum" })
    }

    /// Byte range of the entries that share the hash's directory range.
    fn range(&self, hash: u128) -> (u64, u64) {
        let index = bucket(hash, self.bits);
        let at = |index: usize| u64::from(self.directory.get(index).copied().unwrap_or(0)) * u64_from(ENTRY_BYTES);
        (at(index), at(index + 1))
    }

    /// The entries of whole ranges from `range` on, at least `count` of them, in hash order, and the range after them.
    /// Empty at the end.
    pub(crate) fn scan(
        &self,
        range: usize,
        count: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(Vec<Entry>, usize), IndexError> {
        let below = |range: usize| self.directory.get(range).copied().unwrap_or(0);
        let first = below(range);
        let wanted = u64::from(first).saturating_add(count.max(1));
        let after = self.directory.partition_point(|entries| u64::from(*entries) < wanted).min(self.checks.len());
        if after <= range {
            return Ok((Vec::new(), range));
        }
        buffer.resize(usize_from(u64::from(below(after).saturating_sub(first))) * ENTRY_BYTES, 0);
        let at = u64::from(first) * u64_from(ENTRY_BYTES);
        self.file.read_exact_at(buffer, at).map_err(IndexError::io("read", &self.path))?;
        let mut rest = buffer.as_slice();
        for one in range..after {
            let bytes = usize_from(u64::from(below(one + 1).saturating_sub(below(one)))) * ENTRY_BYTES;
            let (own, others) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            self.check(one, own)?;
            rest = others;
        }
        Ok((entries(buffer).collect(), after))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.keep.load(Ordering::Relaxed)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "an index run stays behind until the next start");
        }
    }
}

fn run_name() -> String {
    format!("{}.run", uuid::Uuid::now_v7().simple())
}

/// Distinguishes this process's staged runs from those that a killed one left behind.
fn process() -> &'static str {
    static PROCESS: OnceLock<String> = OnceLock::new();
    PROCESS.get_or_init(|| uuid::Uuid::new_v4().simple().to_string())
}

/// Whether a file is a staged run of another process, which nobody will adopt.
pub(crate) fn staged_elsewhere(path: &Path) -> bool {
    let ours = || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(process()));
    path.extension().is_some_and(|extension| extension == STAGED) && !ours()
}

struct Footer {
    bits: u32,
    filter_bytes: u64,
    entries: u64,
    checksum: u64,
}

impl Footer {
    fn entries_bytes(&self) -> u64 {
        self.entries * u64_from(ENTRY_BYTES)
    }

    /// The file's length by this footer; `None` if the footer is absurd.
    fn length(&self) -> Option<u64> {
        let words = (2 * 1_u64.checked_shl(self.bits)? + 1) * 4;
        let entries = self.entries.checked_mul(u64_from(ENTRY_BYTES))?;
        entries.checked_add(words)?.checked_add(self.filter_bytes)?.checked_add(u64_from(FOOTER_BYTES))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend(u64::from(self.bits).to_le_bytes());
        bytes.extend(self.filter_bytes.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(MAGIC);
        bytes
    }

    fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        let words = bytes.as_chunks::<8>().0;
        let word = |index: usize| words.get(index).map(|bytes| u64::from_le_bytes(*bytes));
        let bits = u32::try_from(word(0)?).ok().filter(|bits| *bits <= 32)?;
        let entries = word(2)?;
        (words.get(4) == Some(&MAGIC) && u32::try_from(entries).is_ok()).then_some(Self {
            bits,
            filter_bytes: word(1)?,
            entries,
            checksum: word(3)?,
        })
    }
}

/// The checksum of one range's entries.
fn check_of(bytes: &[u8]) -> u32 {
    u32::try_from(xxh3_64(bytes) & u64::from(u32::MAX)).unwrap_or(0)
}

fn checksum(tail: &[u8], entries: u64) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(tail);
    hasher.update(&entries.to_le_bytes());
    hasher.digest()
}

/// Writes one run: entries in strictly rising hash order, then [`RunWriter::finish`]. An unfinished file is removed.
#[derive(Debug)]
pub(crate) struct RunWriter {
    out: Option<BufWriter<File>>,
    path: PathBuf,
    bits: u32,
    directory: Vec<u32>,
    checks: Vec<u32>,
    filter: Option<Filter>,
    entries: u32,
    /// The range being written, and its entries.
    bucket: usize,
    open: Vec<u8>,
    unsynced: usize,
}

impl RunWriter {
    /// Begins a run below `dir` that will have at most `expected` entries (more only makes lookups slower).
    pub(crate) fn create(dir: &Path, expected: u64) -> Result<Self, IndexError> {
        Self::create_at(dir.join(run_name()), expected)
    }

    /// Begins a run that opening the index leaves alone: rows that are staged and not committed.
    pub(crate) fn create_staged(dir: &Path, expected: u64) -> Result<Self, IndexError> {
        let name = format!("{}-{}.{STAGED}", process(), uuid::Uuid::now_v7().simple());
        Self::create_at(dir.join(name), expected)
    }

    fn create_at(path: PathBuf, expected: u64) -> Result<Self, IndexError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(IndexError::io("create", &path))?;
        let bits = (expected / PER_BUCKET).max(1).ilog2();
        let ranges = usize_from(1_u64 << bits);
        Ok(Self {
            out: Some(BufWriter::with_capacity(256 * 1024, file)),
            path,
            bits,
            directory: Vec::with_capacity(ranges + 1),
            checks: Vec::with_capacity(ranges),
            filter: (expected <= FILTERED_MAX).then(|| Filter::new(usize_from(expected))),
            entries: 0,
            bucket: 0,
            open: Vec::new(),
            unsynced: 0,
        })
    }

    /// Adds the next entry.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), IndexError> {
        if self.directory.is_empty() {
            self.directory.push(0);
        }
        self.close_before(bucket(entry.hash, self.bits))?;
        self.entries = self.entries.checked_add(1).ok_or(IndexError::TooManyKeys)?;
        if let Some(filter) = &mut self.filter {
            filter.add(entry.hash);
        }
        self.open.extend(entry.encode());
        Ok(())
    }

    /// Writes the open range, and empty ones up to `bucket`.
    fn close_before(&mut self, bucket: usize) -> Result<(), IndexError> {
        while self.bucket < bucket {
            self.checks.push(check_of(&self.open));
            self.directory.push(self.entries);
            self.bucket += 1;
            if let Some(out) = self.out.as_mut().filter(|_| !self.open.is_empty()) {
                out.write_all(&self.open).map_err(IndexError::io("write", &self.path))?;
                self.unsynced += self.open.len();
                self.open.clear();
                if self.unsynced >= SYNC_BYTES {
                    self.unsynced = 0;
                    let synced = out.flush().and_then(|()| out.get_ref().sync_data());
                    synced.map_err(IndexError::io("sync", &self.path))?;
                }
            }
        }
        Ok(())
    }

    /// Writes directory, filter and footer, syncs the data, and opens the run. It is removed when dropped, unless
    /// [`Run::retain`] is called.
    pub(crate) fn finish(mut self) -> Result<Run, IndexError> {
        if self.directory.is_empty() {
            self.directory.push(0);
        }
        self.close_before(usize_from(1_u64 << self.bits))?;
        let filter = self.filter.take().map(|filter| filter.to_bytes()).unwrap_or_default();
        let words = self.directory.iter().chain(&self.checks);
        let mut tail: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        tail.extend(&filter);
        let entries = u64::from(self.entries);
        let footer = Footer {
            bits: self.bits,
            filter_bytes: u64_from(filter.len()),
            entries,
            checksum: checksum(&tail, entries),
        };
        let Some(mut out) = self.out.take() else { return Err(IndexError::Stopped) };
        out.write_all(&tail)
            .and_then(|()| out.write_all(&footer.encode()))
            .map_err(IndexError::io("write", &self.path))?;
        let file = out.into_inner().map_err(|error| IndexError::io("write", &self.path)(error.into_error()))?;
        file.sync_data().map_err(IndexError::io("sync", &self.path))?;
        Run::read(file, std::mem::take(&mut self.path))
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Best effort: what stays behind is removed at the next start, because no manifest names it.
            drop(std::fs::remove_file(&self.path));
        }
    }
}
