//! Tells the source what is durable, whatever else the engine is busy with.
//!
//! Owns: the writing half of the stream, in a thread of its own: PostgreSQL ends a connection that is silent for
//! `wal_sender_timeout`, and a large transaction or an index can keep the engine longer than that. A task beside the
//! engine's would not do: a busy task can be the one whose thread watches the clock for all others (seen: no status was
//! sent while one transaction was worked on).
//! Never decides what is durable.

use std::time::Duration;

use naru_base::Lsn;
use tokio::sync::{oneshot, watch};

use crate::{
    error::SyncError,
    postgres::{PostgresError, ReplicationWriter},
};

/// A status is said again after this long without news, or after this part of the server's patience if that is less.
const SAID_AGAIN_MAX: Duration = Duration::from_secs(5);
const SAID_AGAIN_MIN: Duration = Duration::from_millis(100);
const PART_OF_PATIENCE: u32 = 4;
/// How long the last word may take to be sent.
const LAST_WORD_MAX: Duration = Duration::from_secs(5);

/// What the source was last told.
#[derive(Debug, Clone, Copy)]
struct Told {
    received: Lsn,
    durable: Lsn,
    /// How many times an answer was asked for.
    asked: u64,
}

/// The way to the thread, and its end.
#[derive(Debug)]
pub(super) struct Feedback {
    told: Option<watch::Sender<Told>>,
    ended: oneshot::Receiver<Result<(), PostgresError>>,
}

impl Feedback {
    /// Starts telling: received and durable up to `first`. `patience` is the server's `wal_sender_timeout`; `None` when
    /// it waits for ever.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(writer: ReplicationWriter, first: Lsn, patience: Option<Duration>) -> Result<Self, SyncError> {
        let again = patience
            .map_or(SAID_AGAIN_MAX, |patience| patience / PART_OF_PATIENCE)
            .clamp(SAID_AGAIN_MIN, SAID_AGAIN_MAX);
        let (told, news) = watch::channel(Told { received: first, durable: first, asked: 0 });
        let (end, ended) = oneshot::channel();
        let no_thread = |error: std::io::Error| SyncError::Protocol(format!("no thread for acknowledging: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(no_thread)?;
        let work = move || {
            let result = runtime.block_on(say_all(writer, news, again));
            // A session that ended first does not listen any more.
            let _unheard = end.send(result);
        };
        std::thread::Builder::new().name("naru-feedback".into()).spawn(work).map_err(no_thread)?;
        Ok(Self { told: Some(told), ended })
    }

    /// Hands over what is true now.
    ///
    /// # Errors
    /// The connection's, if the thread has ended on one.
    pub(super) async fn tell(&mut self, received: Lsn, durable: Lsn) -> Result<(), SyncError> {
        self.say(|told| (told.received, told.durable) = (received, durable)).await
    }

    /// Asks the server for a sign of life: a keep-alive with the position up to which it has sent everything.
    ///
    /// # Errors
    /// As [`Feedback::tell`].
    pub(super) async fn ask(&mut self) -> Result<(), SyncError> {
        self.say(|told| told.asked += 1).await
    }

    async fn say(&mut self, change: impl FnOnce(&mut Told)) -> Result<(), SyncError> {
        if let Some(way) = self.told.as_ref().filter(|way| !way.is_closed()) {
            way.send_modify(change);
            return Ok(());
        }
        match (&mut self.ended).await {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(())) | Err(_) => Err(SyncError::Protocol("the thread that acknowledges ended".into())),
        }
    }

    /// Waits until the last word is sent. A server that takes none any more hears it again from the next start.
    pub(super) async fn finish(mut self) -> Result<(), SyncError> {
        self.told = None;
        match tokio::time::timeout(LAST_WORD_MAX, &mut self.ended).await {
            Ok(Ok(sent)) => Ok(sent?),
            Ok(Err(_)) => Err(SyncError::Protocol("the thread that acknowledges ended".into())),
            Err(_) => Ok(()),
        }
    }
}

/// Says what is handed over, and says it again, until nobody hands over any more.
async fn say_all(
    mut writer: ReplicationWriter,
    mut news: watch::Receiver<Told>,
    again: Duration,
) -> Result<(), PostgresError> {
    let mut asked = 0;
    loop {
        let told = *news.borrow_and_update();
        writer.send_status(told.received, told.durable, told.durable, told.asked != asked).await?;
        asked = told.asked;
        if let Ok(Err(_ended)) = tokio::time::timeout(again, news.changed()).await {
            return Ok(());
        }
    }
}
