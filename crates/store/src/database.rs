//! Connections to the state database.
//!
//! Owns: [`Store`]: one writer, a few readers, WAL, and the move of blocking work off the async threads.
//! Never holds a transaction across an await: a closure runs whole on a blocking thread.
//! Read next: [`crate::migrate`] for the format; the modules by noun for what is stored.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::{
    error::StoreError,
    migrate::{self, Format},
};

/// How long SQLite waits for another process (a reader's checkpoint, a backup) before it says busy.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Reading connections kept open; more are opened when asked and closed after use.
const READERS_KEPT: usize = 4;

/// The file below `.naru/`.
pub const DATABASE_FILE: &str = "naru.db";

/// The state database of one project. Cheap to clone; all clones share one writer.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// `None` in a store that was opened for reading.
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.inner.path).finish()
    }
}

impl Store {
    /// Opens or makes the database for writing, migrating it after a backup copy. The caller holds the project's
    /// lock ([`crate::Lock`]). Blocks for milliseconds, on a migration for longer.
    ///
    /// # Errors
    /// [`StoreError::FormatNewer`] when newer software wrote it, [`StoreError::Foreign`] when another program did.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(StoreError::io(folder))?;
        }
        let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        // The format is looked at before anything is written into a file that may not be ours.
        migrate::format(&writer, path)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        // What a call returned for survives a power cut, not only a kill.
        writer.pragma_update(None, "synchronous", "full")?;
        writer.pragma_update(None, "foreign_keys", true)?;
        migrate::migrate(&mut writer, path)?;
        Ok(Self::of(path, Some(writer), Vec::new()))
    }

    /// Opens an existing database for reading, without the project's lock and beside a running `naru up`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none, [`StoreError::FormatOlder`] when it has yet to be migrated.
    pub fn open_for_reading(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Missing { path: path.to_path_buf() });
        }
        let reader = connect_reader(path)?;
        let Format { found, known } = migrate::format(&reader, path)?;
        if found < known {
            return Err(StoreError::FormatOlder { found, known });
        }
        Ok(Self::of(path, None, vec![reader]))
    }

    fn of(path: &Path, writer: Option<Connection>, readers: Vec<Connection>) -> Self {
        let inner = Inner { path: path.to_path_buf(), writer: writer.map(Mutex::new), readers: Mutex::new(readers) };
        Self { inner: Arc::new(inner) }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs a closure in one immediate transaction and commits it; an error rolls back. When this returns, the
    /// change is on disk. Closures of all clones run one after another.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.write_blocking(work)).await.map_err(|_| StoreError::Closing)?
    }

    /// As [`Store::write`], on this thread.
    pub fn write_blocking<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(writer) = &self.inner.writer else { return Err(StoreError::Sqlite(read_only())) };
        let mut writer = writer.lock();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Runs a closure over one consistent snapshot; it cannot write.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.read_blocking(work)).await.map_err(|_| StoreError::Closing)?
    }

    /// As [`Store::read`], on this thread.
    pub fn read_blocking<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let kept = self.inner.readers.lock().pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => connect_reader(&self.inner.path)?,
        };
        let value = reader.transaction().map_err(StoreError::from).and_then(|snapshot| work(&snapshot));
        let mut readers = self.inner.readers.lock();
        if readers.len() < READERS_KEPT {
            readers.push(reader);
        }
        value
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    // SQLite's own mutexes are left out: a connection is used by one thread at a time.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    Ok(connection)
}

fn connect_reader(path: &Path) -> Result<Connection, StoreError> {
    // Read-write for the shared memory of WAL, which a reader may have to make; `query_only` keeps it a reader.
    let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

fn read_only() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
    rusqlite::Error::SqliteFailure(code, Some("the store was opened for reading".to_owned()))
}
