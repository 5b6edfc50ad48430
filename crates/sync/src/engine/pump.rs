//! Reads the stream ahead of the engine, so that the server never waits for an index or a file.
//!
//! Owns: a task that cuts messages off the connection and hands them over in batches; at most [`AHEAD`] batches wait.
//! Never looks into a message, and never acknowledges one: what waits here is sent again after a crash.

use std::collections::VecDeque;

use futures::FutureExt as _;
use naru_base::number::u64_from;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    error::SyncError,
    postgres::{Event, PostgresError, ReplicationReader},
};

/// Batches that may wait; with [`BATCH_BYTES`] about 16 MB.
const AHEAD: usize = 32;
/// A batch is handed over once it holds this much, or when the connection has nothing more.
const BATCH_BYTES: u64 = 512 << 10;

type Batch = Result<VecDeque<Event>, PostgresError>;

/// The reading half of a stream, read ahead.
#[derive(Debug)]
pub(super) struct Pump {
    ready: VecDeque<Event>,
    batches: mpsc::Receiver<Batch>,
    task: JoinHandle<()>,
}

impl Pump {
    /// Starts to read.
    pub(super) fn start(mut reader: ReplicationReader) -> Self {
        let (sender, batches) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            loop {
                let (batch, failed) = read(&mut reader).await;
                if !batch.is_empty() && sender.send(Ok(batch)).await.is_err() {
                    return;
                }
                if let Some(error) = failed {
                    drop(sender.send(Err(error)).await);
                    return;
                }
            }
        });
        Self { ready: VecDeque::new(), batches, task }
    }

    /// The next event. Giving up while waiting loses nothing.
    ///
    /// # Errors
    /// The connection's, once everything before it was given.
    pub(super) async fn next(&mut self) -> Result<Event, SyncError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match self.batches.recv().await {
                Some(Ok(batch)) => self.ready = batch,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(SyncError::Protocol("the task that reads the stream ended".into())),
            }
        }
    }

    /// The next event, if one has arrived.
    ///
    /// # Errors
    /// As [`Pump::next`].
    pub(super) fn arrived(&mut self) -> Option<Result<Event, SyncError>> {
        match self.ready.pop_front() {
            Some(event) => Some(Ok(event)),
            None => self.next().now_or_never(),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for an event and takes what has arrived behind it.
async fn read(reader: &mut ReplicationReader) -> (VecDeque<Event>, Option<PostgresError>) {
    let mut batch = VecDeque::new();
    let mut bytes = 0;
    let mut next = Some(reader.next().await);
    while let Some(event) = next {
        match event {
            Ok(event) => {
                if let Event::XLogData { data, .. } = &event {
                    bytes += u64_from(data.len());
                }
                batch.push_back(event);
            }
            Err(error) => return (batch, Some(error)),
        }
        next = if bytes < BATCH_BYTES { reader.next().now_or_never() } else { None };
    }
    (batch, None)
}
