//! Who may change a project.
//!
//! Owns: `.naru/lock`, an exclusive flock held by `naru up` and by short writers. Readers never take it.
//! Never deletes the file: a lock on a deleted file would be a second lock.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::error::StoreError;

/// The file below `.naru/`.
pub const LOCK_FILE: &str = "lock";

/// Time between two attempts; also bounds how long a probe of [`Lock::holder`] can disturb an attempt.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Attempts that are made even when there is no time to wait, because a probe holds the lock for an instant.
const ATTEMPTS_MIN: u32 = 3;

/// Bytes of the holder's text that are shown.
const HOLDER_BYTES_MAX: u64 = 200;

/// The project's lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, waiting up to `wait`; blocks this thread. `purpose` is what others are told, for example
    /// `naru up`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the holder.
    pub fn acquire(path: &Path, purpose: &str, wait: Duration) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(StoreError::io(folder))?;
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = opened.map_err(StoreError::io(path))?;
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Self::sign(file, path, purpose),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(StoreError::io(path)(errno.into())),
            }
            if started.elapsed() >= wait && attempts >= ATTEMPTS_MIN {
                return Err(StoreError::Locked { holder: signature(&file) });
            }
            std::thread::sleep(RETRY_EVERY);
        }
    }

    /// Writes down who holds it, for people.
    fn sign(mut file: File, path: &Path, purpose: &str) -> Result<Self, StoreError> {
        let text = format!("{purpose} (pid {})\n", std::process::id());
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .and_then(|()| file.flush());
        written.map_err(StoreError::io(path))?;
        Ok(Self { file })
    }

    /// Who holds the lock now, for example `naru up (pid 4711)`; `None` when nobody does.
    pub fn holder(path: &Path) -> Result<Option<String>, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(path)(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(signature(&file))),
            Err(errno) => Err(StoreError::io(path)(errno.into())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that inherited the file would keep the lock past our close; unlocking ends it for all.
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "the project's lock could not be released early");
        }
    }
}

/// What the holder wrote, or a general word when it has not yet.
fn signature(file: &File) -> String {
    let mut text = String::new();
    let mut file = file;
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    let text = text.trim();
    if read.is_err() || text.is_empty() { "another naru".to_owned() } else { text.to_owned() }
}
