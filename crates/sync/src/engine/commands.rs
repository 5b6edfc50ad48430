//! What people and other rooms ask of a running engine.
//!
//! Owns: [`Command`], its handle [`Commands`], and what each does to the stream.
//! Never talks to people; the caller turns answers into words.

use std::collections::BTreeMap;

use naru_base::{Lsn, Problem, TableId, Version};
use tokio::sync::{mpsc, oneshot};

use super::{
    cut::{CutAnswer, CutShown},
    prepare::Prepared,
    stream::Stream,
};
use crate::{
    catalog,
    error::SyncError,
    preflight::Verdict,
    state::{TableEvent, TableState},
};

/// One request, with the channel that takes its answer.
#[derive(Debug)]
pub enum Command {
    /// Copy a table again.
    Resync(TableId, oneshot::Sender<Result<(), CommandError>>),
    /// Stop a table; its changes wait.
    Pause(TableId, oneshot::Sender<Result<(), CommandError>>),
    /// Let a paused or quarantined table go on.
    Resume(TableId, oneshot::Sender<Result<(), CommandError>>),
    /// Stop taking transactions until `release` is dropped or answered with a position; then show exactly the commits
    /// before that position once.
    CutAt {
        /// Answered when the stream stands still.
        held: oneshot::Sender<()>,
        /// The position to show.
        position: oneshot::Receiver<Lsn>,
        /// Takes the views, or why there are none.
        cut: CutAnswer,
    },
    /// Put everything visible now into the lake, all tables at one commit of the source, and say where that is.
    Flush(oneshot::Sender<Result<FlushedCut, CommandError>>),
}

/// All live tables of a source, flushed at one of its commits.
#[derive(Debug, Clone, Default)]
pub struct FlushedCut {
    /// End of the last transaction that is in every table.
    pub position: Lsn,
    /// The version of each live table that holds exactly that.
    pub versions: BTreeMap<TableId, Version>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such table.
    #[error("the source has no table \"{0}\"")]
    NoTable(TableId),
    /// The table's state does not allow it.
    #[error("table \"{0}\" is {1}")]
    WrongState(TableId, TableState),
    /// The table cannot be copied as it stands at the source.
    #[error("{}", .0.summary)]
    Refused(Box<Problem>),
    /// The engine has ended.
    #[error("the source is not connected, or was disconnected meanwhile")]
    NotRunning,
    /// The engine failed on the way.
    #[error("{0}")]
    Failed(String),
}

/// Handle to a running engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Commands {
    sender: mpsc::Sender<Command>,
}

impl Commands {
    pub(super) fn new(sender: mpsc::Sender<Command>) -> Self {
        Self { sender }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(command(answer)).await.map_err(|_| CommandError::NotRunning)?;
        answered.await.map_err(|_| CommandError::NotRunning)
    }

    /// Copies a table again; its old rows stay readable meanwhile.
    pub async fn resync(&self, table: TableId) -> Result<(), CommandError> {
        self.ask(|answer| Command::Resync(table, answer)).await?
    }

    /// Stops a table.
    pub async fn pause(&self, table: TableId) -> Result<(), CommandError> {
        self.ask(|answer| Command::Pause(table, answer)).await?
    }

    /// Lets a table go on.
    pub async fn resume(&self, table: TableId) -> Result<(), CommandError> {
        self.ask(|answer| Command::Resume(table, answer)).await?
    }

    /// Flushes all live tables at one commit.
    pub async fn flush(&self) -> Result<FlushedCut, CommandError> {
        self.ask(Command::Flush).await?
    }

    /// Holds the stream, runs `position` to learn a position, and gives the views that hold exactly the commits before it.
    pub async fn cut_at<E>(
        &self,
        position: impl Future<Output = Result<Lsn, E>>,
    ) -> Result<Result<CutShown, E>, CommandError> {
        let (held, is_held) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let (cut, have_cut) = oneshot::channel();
        let command = Command::CutAt { held, position: told, cut };
        self.sender.send(command).await.map_err(|_| CommandError::NotRunning)?;
        is_held.await.map_err(|_| CommandError::NotRunning)?;
        match position.await {
            Ok(lsn) => {
                // The engine may have given up or stopped meanwhile; then the next line says so.
                let _unheard = tell.send(lsn);
                have_cut.await.map_err(|_| CommandError::NotRunning)?.map(Ok)
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Stream {
    /// The table of this name, whether or not it can be synced as it stands; of two, the one that holds the name.
    fn find(&self, id: &TableId) -> Option<u32> {
        self.tables
            .values()
            .filter(|table| table.state != TableState::Dropped && table.id == *id)
            .max_by_key(|table| table.holds_name)
            .map(|table| table.oid)
    }

    /// Copies a table again because somebody asked.
    pub(super) async fn command_resync(&mut self, id: &TableId, prepared: &Prepared) -> Result<(), CommandError> {
        let oid = self.find(id).ok_or_else(|| CommandError::NoTable(id.clone()))?;
        let image = catalog::table(&prepared.client, oid).await.map_err(failed)?;
        let image = image.ok_or_else(|| CommandError::NoTable(id.clone()))?;
        let refused = match self.context.verdict(&image, &prepared.facts) {
            Verdict::Sync(..) => self.tables.get(&oid).filter(|table| !table.holds_name).map(|table| {
                let problem = Problem::new("sync.table.set_aside", format!("table {id} is {}", table.state));
                let problem = problem.detail(table.note.reason.clone().unwrap_or_default());
                problem.hint(table.note.fix.clone().unwrap_or_default())
            }),
            Verdict::Quarantine(problem) => Some(problem),
            Verdict::NotSynced(reason) => {
                Some(Problem::new("sync.table.not_synced", format!("table {id} is not synced: {reason}")))
            }
        };
        match refused {
            Some(problem) => Err(CommandError::Refused(Box::new(problem))),
            None => self.rebuild(oid, "somebody asked for it".into()).map_err(failed),
        }
    }

    /// Stops a table; its changes go to the spool.
    pub(super) async fn command_pause(&mut self, id: &TableId) -> Result<(), CommandError> {
        let oid = self.find(id).ok_or_else(|| CommandError::NoTable(id.clone()))?;
        let state = self.tables.get(&oid).map_or(TableState::Dropped, |t| t.state);
        if state != TableState::Live {
            return Err(CommandError::WrongState(id.clone(), state));
        }
        self.publish().await.map_err(failed)?;
        // Nothing may be missing before what the spool holds: after a kill, what is at or before its last transaction
        // is taken to be there or in the lake.
        self.flush_now(oid).await.map_err(|problem| {
            CommandError::Failed(format!(
                "table \"{id}\" is not paused, because it cannot be flushed: {}",
                problem.summary
            ))
        })?;
        let path = self.context.spool_path(oid);
        let Some(table) = self.tables.get_mut(&oid) else { return Err(CommandError::NoTable(id.clone())) };
        table.step(TableEvent::Pause).map_err(failed)?;
        table.builder = None;
        if table.spool.is_none() {
            let spool = match table.spent_spool.take() {
                Some(spool) => spool,
                None => crate::spool::TableSpool::create(&path).map_err(failed)?,
            };
            table.spool = Some(spool);
        }
        table.note.reason = Some("paused by a person; changes wait on disk".into());
        table.note.fix = Some(format!("Run `naru sync resume {id}`."));
        self.todo.store.insert(oid);
        Ok(())
    }

    /// Lets a paused table catch up; a quarantined one is copied again.
    pub(super) async fn command_resume(&mut self, id: &TableId, prepared: &Prepared) -> Result<(), CommandError> {
        let oid = self.find(id).ok_or_else(|| CommandError::NoTable(id.clone()))?;
        let Some(table) = self.tables.get_mut(&oid) else { return Err(CommandError::NoTable(id.clone())) };
        match table.state {
            TableState::Paused if table.live.is_some() => self.catch_up_again(oid),
            TableState::Paused | TableState::Quarantined => self.command_resync(id, prepared).await,
            state => Err(CommandError::WrongState(id.clone(), state)),
        }
    }
}

impl Stream {
    /// Lets a paused table catch up from its spool.
    pub(super) fn catch_up_again(&mut self, oid: u32) -> Result<(), CommandError> {
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        table.step(TableEvent::Resume).map_err(failed)?;
        table.step(TableEvent::Positioned).map_err(failed)?;
        self.todo.store.insert(oid);
        Ok(())
    }
}

fn failed(error: SyncError) -> CommandError {
    CommandError::Failed(error.problem().summary)
}
