//! One file of the log.
//!
//! Owns: names, making files ahead so that a sync has no file size to write, sealing, and what is known of a segment.
//! Never decides what goes into it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use parking_lot::{Mutex, RwLock};

use super::{error::LogError, index::Index};

/// A file made ahead, or one whose events are all forgotten.
const SPARE: &str = "spare.log";

/// The log's folder, held open so that making a name durable needs no new handle.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    file: File,
    /// The spare once it is open. Locked while its file is made, taken or put there.
    spare: Mutex<Option<File>>,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), file: File::open(path)?, spare: Mutex::new(None) })
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

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

    /// Turns the spare, which is open already, into the segment of this number. It opens no file: too many of them
    /// may be open, and an error here ends the log.
    pub(crate) fn begin(folder: &Folder, number: u64) -> io::Result<Self> {
        let spare = folder.spare.lock().take().ok_or_else(|| io::Error::other("there is no next file"))?;
        let path = segment_path(&folder.path, number);
        fs::rename(folder.path.join(SPARE), &path)?;
        folder.sync()?;
        // What is written must be in the file that has the name.
        let (named, open) = (fs::metadata(&path)?, spare.metadata()?);
        if (named.dev(), named.ino()) != (open.dev(), open.ino()) {
            return Err(io::Error::other("the next file of the log was changed by somebody else"));
        }
        Ok(Self { number, path, file: spare, known: RwLock::default() })
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

/// Makes the spare, if there is none, and opens it: its blocks are reserved, so that later writes find room and syncs no new length.
/// Writing zeros too was measured: no more events a second, and twice the longest waits while a file was made.
///
/// # Errors
/// When the disk has no room for it, or not `free_min` bytes beside it.
pub(crate) fn make_spare(folder: &Folder, bytes: u64, free_min: u64) -> io::Result<()> {
    let mut open = folder.spare.lock();
    let spare = folder.path.join(SPARE);
    let free = free_bytes(&folder.path)?;
    let have = fs::metadata(&spare).map_or(0, |meta| meta.len());
    if have == bytes {
        if free < free_min {
            return Err(too_little(free, free_min));
        }
        if open.is_none() {
            *open = Some(OpenOptions::new().read(true).write(true).open(&spare)?);
        }
        return Ok(());
    }
    if free < free_min.saturating_add(bytes) {
        return Err(too_little(free, free_min.saturating_add(bytes)));
    }
    let partial = folder.path.join("spare.partial");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&partial)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()?;
    fs::rename(&partial, &spare)?;
    folder.sync()?;
    *open = Some(file);
    Ok(())
}

fn too_little(free: u64, wanted: u64) -> io::Error {
    let text = format!("{free} bytes are free on its disk, {wanted} are needed");
    io::Error::new(io::ErrorKind::StorageFull, text)
}

/// Removes a segment that nobody reads any more, or keeps its file as the spare.
pub(crate) fn retire(folder: &Folder, segment: Segment, bytes: u64) -> io::Result<()> {
    let Segment { path, file, .. } = segment;
    absent(fs::remove_file(index_path(&path)))?;
    // A spare that is open must stay the one that has the name.
    let _alone = folder.spare.lock();
    let spare = folder.path.join(SPARE);
    let fits = file.metadata()?.len() == bytes && !spare.exists();
    drop(file);
    if fits {
        fs::rename(&path, &spare)?;
    } else {
        fs::remove_file(&path)?;
    }
    folder.sync()
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

#[cfg(test)]
mod tests {
    use naru_store::Store;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;
    use crate::log::{Batch, LocalLog, LogError, LogSettings, TopicLog as _, TopicNo};

    /// The lowest number that a file opened now would have: the limit below which no more is opened.
    fn next_file() -> u64 {
        use std::os::fd::AsRawFd as _;
        File::open("/proc/self/stat").unwrap().as_raw_fd().try_into().unwrap()
    }

    fn batch() -> Batch {
        let mut batch = Batch::new();
        batch.push(&[7; 4_000], "", []);
        batch
    }

    // The limit is the whole process's; every test runs in a process of its own.
    #[tokio::test(flavor = "multi_thread")]
    async fn too_many_open_files_end_no_log_and_what_was_answered_is_there() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("naru.db")).unwrap();
        let settings = LogSettings { segment_bytes: 64 << 10, free_min: 0, ..LogSettings::default() };
        let log = LocalLog::open(&root.path().join("log"), settings, store).unwrap();
        let topic = TopicNo(1);
        // The second segment has begun and the spare of the third is there.
        for _ in 0..20 {
            log.append(topic, batch()).await.unwrap();
        }
        while !root.path().join("log").join(SPARE).exists() {
            tokio::task::yield_now().await;
        }
        let limit = getrlimit(Resource::Nofile);
        let files = |most| setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).unwrap();
        files(next_file());
        assert!(File::open("/proc/self/stat").is_err(), "no file can be opened any more");
        let mut answered = 20;
        let error = loop {
            match log.append(topic, batch()).await {
                Ok(_) => answered += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LogError::Full { .. }), "{error:?}");
        assert!(answered > 32, "the next segment needed no new file: {answered}");
        files(limit.current.unwrap_or(1024));
        while let Err(error) = log.append(topic, batch()).await {
            assert!(matches!(error, LogError::Full { .. }), "{error:?}");
        }
        assert_eq!(log.read(topic, 0, 1 << 30).await.unwrap().events.len(), answered + 1);
        log.close().await;
    }
}
