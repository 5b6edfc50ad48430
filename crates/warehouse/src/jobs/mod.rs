//! Queries as jobs: they run by themselves, are watched from anywhere, and leave a result that can be paged.
//!
//! Owns: [`Jobs`]: who may run how many at once, what is cancelled because nobody looks any more, what whoever asked
//! may see and read. A job belongs to whoever asked; for everybody else there is none.
//! Never does: status codes, the text of a history. Next: [`state`] for what becomes of a job, `board` for which runs,
//! `run` for one of them, [`spool`] for the rows on disk.

mod board;
mod error;
mod kept;
mod queue;
mod run;
mod spool;
mod state;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use async_trait::async_trait;
use naru_access::{Action, Decision, Principal, audit::Origin};
use naru_base::time::now_us;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::Warehouse;
use board::{Board, Entry};

pub use error::JobError;
pub use queue::Lanes;
pub use spool::{Keep, Spool};
pub use state::{Failure, JobId, JobRecord, JobState, JobView, NotAJobId, Read, Stopper};

/// How jobs run and what is kept of them.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Where results are, one folder each.
    pub folder: PathBuf,
    /// How many run at once; the others wait in order.
    pub lanes: Lanes,
    /// How many may wait.
    pub waiting: Lanes,
    /// How much of one result is kept.
    pub keep: Keep,
    /// Bytes that all results together may take; the oldest go first.
    pub bytes_max: u64,
    /// How long a result is kept.
    pub keep_for: Duration,
    /// A job at which nobody has looked for so long is cancelled.
    pub abandoned_after: Duration,
    /// How often it is seen to that results and jobs end in time.
    pub look_every: Duration,
}

impl JobSettings {
    /// Settings for a folder: eight at once, three of one person, results of up to five million rows for a day.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            lanes: Lanes { all: 8, person: 3 },
            waiting: Lanes { all: 200, person: 50 },
            keep: Keep { rows: 5_000_000, bytes: 2 << 30 },
            bytes_max: 20 << 30,
            keep_for: Duration::from_hours(24),
            abandoned_after: Duration::from_mins(5),
            look_every: Duration::from_secs(5),
        }
    }
}

/// Hears of every job that ends, before anybody sees its end.
#[async_trait]
pub trait JobsEnd: Send + Sync {
    /// A job has ended.
    async fn ended(&self, record: JobRecord);
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// One or more statements; the last one with rows is the answer.
    pub sql: String,
    /// Who asks, and with whose rights it runs.
    pub principal: Principal,
    /// Where they ask from, for the audit.
    pub origin: Option<Origin>,
    /// A run in the same tab of the same person ends the one before it.
    pub tab: Option<String>,
    /// Dataset of names without one.
    pub default_dataset: Option<String>,
    /// Fewer rows than are kept anyway.
    pub rows_max: Option<u64>,
    /// Whether it ends when nobody looks at it any more.
    pub attended: bool,
}

/// The jobs of a project. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    warehouse: Warehouse,
    settings: JobSettings,
    board: Mutex<Board>,
    heard: Option<Arc<dyn JobsEnd>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// A part of a result.
#[derive(Debug)]
pub struct Page {
    /// Columns.
    pub schema: SchemaRef,
    /// The rows, in order.
    pub batches: Vec<RecordBatch>,
    /// Rows of the whole answer; `None` while more come.
    pub rows_total: Option<u64>,
    /// Whether what is kept is the whole answer.
    pub complete: bool,
}

/// A finished result, for reading all of it.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The job.
    pub view: JobView,
    /// Its rows.
    pub rows: Arc<Spool>,
}

impl Jobs {
    /// Finds the results of earlier runs again, removes those that have expired, and takes jobs from then on. Must be
    /// called within a runtime; jobs run on it, their queries on the warehouse's threads.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(
        warehouse: Warehouse,
        settings: JobSettings,
        heard: Option<Arc<dyn JobsEnd>>,
    ) -> Result<Self, JobError> {
        let found = kept::recover(&settings.folder, now_us()).map_err(arrow::error::ArrowError::from)?;
        let mut board = Board::default();
        for kept in found {
            let folder = settings.folder.join(kept.id.to_string());
            match Spool::open(&folder, kept.index.clone()) {
                Ok(spool) => board.recovered(kept, Arc::new(spool)),
                Err(error) => {
                    tracing::warn!(%error, id = %kept.id, "a result could not be read again and is removed");
                    kept::remove(&folder);
                }
            }
        }
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner { warehouse, settings, board: Mutex::new(board), heard, stop });
        tokio::spawn(look_after(Arc::downgrade(&inner), inner.stop.clone(), inner.settings.look_every));
        Ok(Self { inner })
    }

    /// Takes a job; it runs from now on without anybody's help.
    ///
    /// # Errors
    /// [`JobError::QueueFull`] when more wait than may.
    pub fn submit(&self, new: NewJob) -> Result<JobView, JobError> {
        let id = {
            let mut board = self.inner.board.lock();
            let entry = Entry::new(JobId::new(), new, &self.inner.stop);
            board.end_tab(&entry);
            board.push(entry, self.inner.settings.waiting)?
        };
        tracing::debug!(job = %id, "a query was taken");
        self.inner.start_ready();
        let board = self.inner.board.lock();
        board.view(&id, self.inner.settings.lanes).ok_or(JobError::NotFound)
    }

    /// A job as it stands; asking counts as looking at it.
    ///
    /// # Errors
    /// [`JobError::NotFound`] also for somebody else's.
    pub fn view(&self, principal: &Principal, id: &JobId) -> Result<JobView, JobError> {
        let mut board = self.inner.board.lock();
        board.own(id, &who(principal))?.look();
        board.view(id, self.inner.settings.lanes).ok_or(JobError::NotFound)
    }

    /// Ends a job that waits or runs; one that has ended stays as it is. The engine lets go of memory and threads as
    /// soon as it comes to its next step.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn cancel(&self, principal: &Principal, id: &JobId) -> Result<(), JobError> {
        self.inner.board.lock().own(id, &who(principal))?.end(Stopper::Asker);
        // One that waits says so now, not when its turn comes.
        self.inner.start_ready();
        Ok(())
    }

    /// A place from which changes of a job are heard; while it is held, the job is looked at.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn listen(&self, principal: &Principal, id: &JobId) -> Result<Listener, JobError> {
        let mut board = self.inner.board.lock();
        let entry = board.own(id, &who(principal))?;
        entry.listeners += 1;
        let changed = entry.changed.subscribe();
        Ok(Listener { jobs: self.clone(), principal: principal.clone(), id: id.clone(), changed })
    }

    /// Rows of a job, also while it runs. Blocks for milliseconds.
    ///
    /// # Errors
    /// [`JobError::Gone`] when there are none (any more), or when what they were made from is no longer theirs to see.
    pub fn page(&self, principal: &Principal, id: &JobId, from: u64, count: u64) -> Result<Page, JobError> {
        let (view, rows) = self.readable(principal, id)?;
        Ok(Page {
            schema: rows.schema().clone(),
            batches: rows.page(from, count)?,
            rows_total: view.rows_total,
            complete: view.complete(),
        })
    }

    /// The whole kept result of a job that is done.
    ///
    /// # Errors
    /// [`JobError::NotFinished`] before its end; as [`Self::page`].
    pub fn finished(&self, principal: &Principal, id: &JobId) -> Result<Finished, JobError> {
        let (view, rows) = self.readable(principal, id)?;
        if view.state != JobState::Done {
            return Err(JobError::NotFinished);
        }
        Ok(Finished { view, rows })
    }

    fn readable(&self, principal: &Principal, id: &JobId) -> Result<(JobView, Arc<Spool>), JobError> {
        let view = self.view(principal, id)?;
        let rows = self.inner.board.lock().own(id, &who(principal))?.spool.clone().ok_or(JobError::Gone)?;
        // Rights may have been taken away since the query ran.
        let rights = self.inner.warehouse.settings().policy.now();
        let may = |read: &Read| rights.decide(principal, Action::View, &read.table) == Decision::Allow;
        if view.reads.iter().all(may) { Ok((view, rows)) } else { Err(JobError::Gone) }
    }

    /// Ends all jobs and takes no more. Comes back when they have ended.
    pub async fn close(&self) {
        self.inner.board.lock().end_all(Stopper::Naru);
        self.inner.start_ready();
        self.inner.stop.cancel();
        loop {
            let next = self.inner.board.lock().going();
            match next {
                Some(mut changed) => {
                    // Fails when the job is forgotten, which is an end too.
                    let _ = changed.changed().await;
                }
                None => return,
            }
        }
    }
}

impl Inner {
    /// Starts every job that has a lane.
    fn start_ready(self: &Arc<Self>) {
        loop {
            let Some(work) = self.board.lock().start_next(self.settings.lanes) else { return };
            tokio::spawn(run::run(self.clone(), work));
        }
    }

    /// Gives up what has expired, what exceeds the disk's share, and what nobody looks at.
    fn look(self: &Arc<Self>) {
        let gone = {
            let mut board = self.board.lock();
            board.end_abandoned(self.settings.abandoned_after);
            board.expire(now_us(), self.settings.bytes_max)
        };
        for id in gone {
            kept::remove(&self.folder(&id));
        }
        self.start_ready();
    }

    fn folder(&self, id: &JobId) -> PathBuf {
        self.settings.folder.join(id.to_string())
    }
}

async fn look_after(inner: Weak<Inner>, stop: CancellationToken, every: Duration) {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let Some(inner) = inner.upgrade() else { return };
        if tokio::task::spawn_blocking(move || inner.look()).await.is_err() {
            tracing::warn!("looking after results stopped unexpectedly");
        }
    }
}

/// Whose a job is, in a word: the same for all sessions of a person, different for two people of one name.
pub fn who(principal: &Principal) -> String {
    match principal {
        Principal::Owner => "owner".to_owned(),
        Principal::Project => "project".to_owned(),
        Principal::Person(account) => format!("person:{}", account.id),
        Principal::Service(account) => format!("service:{}", account.id),
        Principal::Token { id, .. } => format!("token:{id}"),
    }
}

/// Hears changes of one job.
#[derive(Debug)]
pub struct Listener {
    jobs: Jobs,
    principal: Principal,
    id: JobId,
    changed: tokio::sync::watch::Receiver<()>,
}

impl Listener {
    /// The job as it stands.
    ///
    /// # Errors
    /// [`JobError::NotFound`] when it was forgotten.
    pub fn view(&self) -> Result<JobView, JobError> {
        self.jobs.view(&self.principal, &self.id)
    }

    /// Comes back when the job has changed its state since this was last called, or was forgotten.
    pub async fn changed(&mut self) {
        let _ = self.changed.changed().await;
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub async fn ended(mut self) -> Result<JobView, JobError> {
        loop {
            let view = self.view()?;
            if view.state.ended() {
                return Ok(view);
            }
            self.changed().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut board = self.jobs.inner.board.lock();
        if let Ok(entry) = board.own(&self.id, &who(&self.principal)) {
            entry.listeners = entry.listeners.saturating_sub(1);
            entry.look();
        }
    }
}
