//! Tells the source what is durable, whatever else the engine is busy with.
//!
//! Owns: the writing half of the stream, in a task of its own: PostgreSQL ends a connection that is silent for a
//! minute, and a large transaction or an index can keep the engine longer than that.
//! Never decides what is durable.

use std::time::Duration;

use naru_base::Lsn;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    error::SyncError,
    postgres::{PostgresError, ReplicationWriter},
};

/// A status is said again after this long without news; half of the shortest usual `wal_sender_timeout`.
const SAID_AGAIN: Duration = Duration::from_secs(5);

/// What the source was last told: received, durable.
type Told = (Lsn, Lsn);

/// The task and the way to it.
#[derive(Debug)]
pub(super) struct Feedback {
    told: Option<watch::Sender<Told>>,
    task: JoinHandle<Result<(), PostgresError>>,
}

impl Feedback {
    /// Starts telling.
    pub(super) fn start(mut writer: ReplicationWriter, first: Told) -> Self {
        let (told, mut news) = watch::channel(first);
        let task = tokio::spawn(async move {
            loop {
                let (received, durable) = *news.borrow_and_update();
                writer.send_status(received, durable, durable, false).await?;
                if let Ok(Err(_ended)) = tokio::time::timeout(SAID_AGAIN, news.changed()).await {
                    return Ok(());
                }
            }
        });
        Self { told: Some(told), task }
    }

    /// Hands over what is true now.
    ///
    /// # Errors
    /// The connection's, if the task has ended on one.
    pub(super) async fn tell(&mut self, told: Told) -> Result<(), SyncError> {
        if self.told.as_ref().is_some_and(|way| way.send(told).is_ok()) {
            return Ok(());
        }
        match (&mut self.task).await {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(())) | Err(_) => Err(SyncError::Protocol("the task that acknowledges ended".into())),
        }
    }

    /// Waits until the last word is sent.
    pub(super) async fn finish(mut self) -> Result<(), SyncError> {
        self.told = None;
        match (&mut self.task).await {
            Ok(sent) => Ok(sent?),
            Err(error) => Err(SyncError::Protocol(error.to_string())),
        }
    }
}

impl Drop for Feedback {
    fn drop(&mut self) {
        self.task.abort();
    }
}
