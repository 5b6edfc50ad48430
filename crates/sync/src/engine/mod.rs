//! One source, from connecting to live tables, for as long as naru runs.
//!
//! Owns: the session loop: stream, publish, flush, acknowledge, copy, commands, reconnecting with backoff.
//! Never decides about single rows (`stream`) or definitions (`definitions`).
//! Read next: [`prepare`] for the start of a session, [`stream`] for messages, [`rounds`] for copies.

mod ahead;
mod boundary;
mod catch_up;
mod change;
mod commands;
pub(crate) mod context;
mod cut;
mod definitions;
mod feedback;
mod flushes;
mod generation;
mod members;
mod names;
mod poll;
pub mod prepare;
mod pump;
pub mod room;
mod rounds;
mod session;
mod shown;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod watch;

use std::{sync::Arc, time::Duration};

pub use commands::{Command, CommandError, Commands, FlushedCut};
pub use context::{Context, Way};
pub use cut::CutShown;
pub use generation::app_id;
use naru_base::{Problem, Retry, retry::Backoff};
use naru_lake::live::LiveSet;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    error::SyncError,
    status::{OwnedProblem, StatusCell},
};

/// First wait after a failed session.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between sessions that waiting can help.
const RETRY_MOST: Duration = Duration::from_secs(30);
/// Wait when somebody must mend something first; naru looks again by itself.
const RETRY_MENDING: Duration = Duration::from_secs(15);

/// Keeps one PostgreSQL source in step until stopped.
#[derive(Debug)]
pub struct SourceEngine {
    context: Arc<Context>,
    live_set: LiveSet,
    status: StatusCell,
    commands: mpsc::Receiver<Command>,
}

impl SourceEngine {
    /// An engine and the handle that commands it. Nothing happens before [`SourceEngine::run`].
    pub fn new(context: Arc<Context>, live_set: LiveSet) -> (Self, Commands, StatusCell) {
        let (sender, commands) = mpsc::channel(64);
        let status = StatusCell::default();
        status.update(|s| {
            s.source.clone_from(&context.source.name);
            s.phase = "connecting".into();
        });
        let engine = Self { context, live_set, status: status.clone(), commands };
        (engine, Commands::new(sender), status)
    }

    /// Runs sessions until `stop`: each begins with the preflight and ends with an error or the stop. What was read is
    /// flushed before a clean stop; tables stay readable between sessions.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut stream = stream::Stream::new(self.live_set.clone(), self.context.clone());
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        let mut faults = generation::Faults::default();
        if let Err(error) = std::fs::create_dir_all(&self.context.spool_dir) {
            tracing::error!(%error, folder = %self.context.spool_dir.display(), "cannot create the spool folder");
        }
        while !stop.is_cancelled() {
            let ended = self.session(&mut stream, &stop, &mut backoff).await;
            stream.disconnected().await;
            stream.reopen_distrusted().await;
            let Err(error) = ended else { break };
            if matches!(error, SyncError::Stopped) {
                break;
            }
            self.context.renew_connect();
            let slot = &self.context.names.slot;
            let faulty = faults.count(&error, stream.published, slot);
            let problem = match faulty.or_else(|| generation::lost_for_good(&error, slot)) {
                Some(lost) => stream.lost.insert(lost).problem(),
                None => error.problem(),
            };
            self.tell(&problem);
            let wait = match problem.retry {
                Retry::Later => backoff.next_wait(),
                Retry::Never => RETRY_MENDING,
            };
            self.status.update(|s| {
                s.phase = "waiting".into();
                s.problem = Some(OwnedProblem::from(&problem));
            });
            self.wait(wait, &stop).await;
        }
        self.status.update(|s| s.phase = "stopped".into());
    }

    /// Says once why a session ended, however often it is tried again for the same reason.
    fn tell(&self, problem: &Problem) {
        let (source, code) = (&self.context.source.name, &problem.code);
        if self.status.get().problem.is_some_and(|before| before.code == *code) {
            tracing::debug!(%source, %code, %problem, "source session ended");
        } else {
            tracing::warn!(%source, %code, %problem, "source session ended");
        }
    }

    /// Waits between two sessions. Whoever asks for something meanwhile is told that the source is not running.
    async fn wait(&mut self, wait: Duration, stop: &CancellationToken) {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                () = stop.cancelled() => return,
                Some(refused) = self.commands.recv() => drop(refused),
            }
        }
    }
}
