//! A log that is made when the first event comes.
//!
//! Owns: [`LazyLog`], so that a project without topics reserves no space on its disk.
//! Never differs otherwise from the log on this machine's disk.

use std::{ops::Range, path::PathBuf, sync::Arc};

use naru_store::Store;
use tokio::sync::{Notify, OnceCell};

use super::{Batch, Chunk, LocalLog, LogError, LogSettings, LogStatus, TopicLog, TopicNo};

/// A [`LocalLog`] that may not be there yet.
#[derive(Debug)]
pub(crate) struct LazyLog {
    folder: PathBuf,
    settings: LogSettings,
    store: Store,
    log: Arc<OnceCell<LocalLog>>,
    made: Notify,
}

impl LazyLog {
    /// Nothing is touched before [`LazyLog::open`] or the first append.
    pub(crate) fn new(folder: PathBuf, settings: LogSettings, store: Store) -> Self {
        Self { folder, settings, store, log: Arc::default(), made: Notify::new() }
    }

    /// Whether a log lies in the folder.
    pub(crate) fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// Opens or makes the log, once.
    ///
    /// # Errors
    /// Those of [`LocalLog::open`]; the next call tries again.
    pub(crate) async fn open(&self) -> Result<&LocalLog, LogError> {
        if let Some(log) = self.log.get() {
            return Ok(log);
        }
        let (folder, settings, store) = (self.folder.clone(), self.settings.clone(), self.store.clone());
        let cell = Arc::clone(&self.log);
        // A caller that goes away leaves no second log being opened over the same folder.
        let opening = tokio::spawn(async move {
            let open = || async {
                let opening = tokio::task::spawn_blocking(move || LocalLog::open(&folder, settings, store));
                opening.await.map_err(|_| LogError::Closing)?
            };
            cell.get_or_try_init(open).await.map(|_| ())
        });
        opening.await.map_err(|_| LogError::Closing)??;
        self.made.notify_waiters();
        self.log.get().ok_or(LogError::Closing)
    }

    /// None before it was made.
    pub(crate) fn status(&self) -> Option<LogStatus> {
        self.log.get().map(LocalLog::status)
    }

    /// What an answer to an append means.
    pub(crate) fn sync(&self) -> super::Sync {
        self.settings.sync
    }

    /// See [`LocalLog::close`].
    pub(crate) async fn close(&self) {
        if let Some(log) = self.log.get() {
            log.close().await;
        }
    }
}

#[async_trait::async_trait]
impl TopicLog for LazyLog {
    async fn append(&self, topic: TopicNo, batch: Batch) -> Result<u64, LogError> {
        self.open().await?.append(topic, batch).await
    }

    async fn read(&self, topic: TopicNo, from: u64, bytes_max: usize) -> Result<Chunk, LogError> {
        match self.log.get() {
            Some(log) => log.read(topic, from, bytes_max).await,
            None => Ok(Chunk { next: from, ..Chunk::default() }),
        }
    }

    fn bounds(&self, topic: TopicNo) -> Range<u64> {
        self.log.get().map_or(0..0, |log| log.bounds(topic))
    }

    async fn grown(&self, topic: TopicNo, offset: u64) {
        loop {
            let made = self.made.notified();
            tokio::pin!(made);
            made.as_mut().enable();
            if let Some(log) = self.log.get() {
                return log.grown(topic, offset).await;
            }
            made.await;
        }
    }

    async fn cursor(&self, topic: TopicNo, reader: &str) -> Result<Option<u64>, LogError> {
        self.open().await?.cursor(topic, reader).await
    }

    async fn set_cursor(&self, topic: TopicNo, reader: &str, offset: u64) -> Result<(), LogError> {
        self.open().await?.set_cursor(topic, reader, offset).await
    }

    async fn trim(&self, topic: TopicNo, before: u64) -> Result<(), LogError> {
        match self.log.get() {
            Some(log) => log.trim(topic, before).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_lies_on_the_disk_before_the_first_event_and_who_waits_for_it_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("naru.db")).unwrap();
        let settings = LogSettings { segment_bytes: 128 << 10, free_min: 0, ..LogSettings::default() };
        let log = std::sync::Arc::new(LazyLog::new(folder.path().join("log"), settings, store));
        let topic = TopicNo(1);
        assert_eq!(log.read(topic, 0, 1_000).await.unwrap().events.len(), 0);
        assert!(!log.exists() && log.status().is_none());
        let waiting = tokio::spawn({
            let log = std::sync::Arc::clone(&log);
            async move { log.grown(topic, 0).await }
        });
        let mut batch = Batch::new();
        batch.push(b"one", "", []);
        assert_eq!(log.append(topic, batch).await.unwrap(), 0);
        waiting.await.unwrap();
        assert_eq!(log.bounds(topic), 0..1);
        log.close().await;
    }
}
