//! One file of the log.
//!
//! Owns: names, making files ahead so that a sync has no file size to write, sealing, and what is known of a segment.
//! Never decides what goes into it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use parking_lot::RwLock;

use super::{error::LogError, index::Index};

/// A file made ahead, or one whose events are all forgotten.
const SPARE: &str = "spare.log";

/// A file with frames, open for as long as anyone reads it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) known: RwLock<Known>,
}

/// What is durable in a segment.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) index: Index,
    /// Where the durable frames end.
    pub(crate) end: u64,
}

impl Segment {
    pub(crate) fn open(folder: &Path, number: u64, known: Known) -> Result<Self, LogError> {
        let path = segment_path(folder, number);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(LogError::file(&path))?;
        Ok(Self { number, path, file, known: RwLock::new(known) })
    }

    /// Turns the spare into the segment of this number.
    pub(crate) fn begin(folder: &Path, number: u64) -> io::Result<Self> {
        let path = segment_path(folder, number);
        fs::rename(folder.join(SPARE), &path)?;
        sync_folder(folder)?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { number, path, file, known: RwLock::default() })
    }

    /// Writes the index beside a segment that gets no more frames. The index is a cache: failing costs a scan.
    pub(crate) fn seal(&self) {
        let bytes = {
            let known = self.known.read();
            known.index.encode(known.end)
        };
        let (partial, whole) = (self.path.with_extension("idx.partial"), index_path(&self.path));
        let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &whole));
        if let Err(error) = written {
            tracing::warn!(segment = self.number, %error, "the index of a log segment was not written");
        }
    }

    /// Up to `length` bytes from `at`; fewer at the end of the file.
    pub(crate) fn bytes(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + naru_base::number::u64_from(read)) {
                Ok(0) => break,
                Ok(some) => read += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// Numbers of the segments in a folder, ascending.
pub(crate) fn numbers(folder: &Path) -> Result<Vec<u64>, LogError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(LogError::file(folder))? {
        let name = entry.map_err(LogError::file(folder))?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|stem| stem.parse().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

pub(crate) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

pub(crate) fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

/// Makes the spare, if there is none: its blocks are reserved, so that later writes find room and syncs no new length.
/// Writing zeros too was measured: no more events a second, and twice the longest waits while a file was made.
///
/// # Errors
/// When the disk has no room for it, or not `free_min` bytes beside it.
pub(crate) fn make_spare(folder: &Path, bytes: u64, free_min: u64) -> io::Result<()> {
    let spare = folder.join(SPARE);
    let free = free_bytes(folder)?;
    let have = fs::metadata(&spare).map_or(0, |meta| meta.len());
    if have == bytes {
        return if free >= free_min { Ok(()) } else { Err(too_little(free, free_min)) };
    }
    if free < free_min.saturating_add(bytes) {
        return Err(too_little(free, free_min.saturating_add(bytes)));
    }
    let partial = folder.join("spare.partial");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&partial)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()?;
    fs::rename(&partial, &spare)?;
    sync_folder(folder)
}

fn too_little(free: u64, wanted: u64) -> io::Error {
    let text = format!("{free} bytes are free on its disk, {wanted} are needed");
    io::Error::new(io::ErrorKind::StorageFull, text)
}

/// Removes a segment that nobody reads any more, or keeps its file as the spare.
pub(crate) fn retire(folder: &Path, segment: Segment, bytes: u64) -> io::Result<()> {
    let Segment { path, file, .. } = segment;
    absent(fs::remove_file(index_path(&path)))?;
    let spare = folder.join(SPARE);
    let fits = file.metadata()?.len() == bytes && !spare.exists();
    drop(file);
    if fits {
        fs::rename(&path, &spare)?;
    } else {
        fs::remove_file(&path)?;
    }
    sync_folder(folder)
}

/// Removes a segment that somebody still reads: its file stays for them, its name goes.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    absent(fs::remove_file(index_path(path)))?;
    fs::remove_file(path)
}

/// Removes the index beside a segment that will get more frames.
pub(crate) fn forget_index(folder: &Path, number: u64) -> Result<(), LogError> {
    let path = index_path(&segment_path(folder, number));
    absent(fs::remove_file(&path)).map_err(LogError::file(&path))
}

/// What is not there need not be removed.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Bytes that this process may still write on the folder's disk.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
