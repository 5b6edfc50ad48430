//! One job from its lane to its end.
//!
//! Owns: the task that runs a query and the thread that writes its rows. A job ends once: with its rows sealed, or
//! with what went wrong. The rows of a query that did not come to its end are removed.

use std::sync::Arc;

use arrow::error::ArrowError;
use naru_base::time::now_us;
use tokio::runtime::Handle;

use super::{
    Failure, Inner, JobError, JobRecord, JobState, Keep, Spool,
    board::{End, Work},
    kept::{self, Kept},
    spool::Writer,
    state::Read,
};
use crate::{ResultSet, SessionOptions, WarehouseError};

/// Why there are no rows.
enum Broken {
    /// Somebody ended it.
    Stopped,
    Query(WarehouseError),
    Disk(ArrowError),
}

impl From<WarehouseError> for Broken {
    fn from(error: WarehouseError) -> Self {
        match error {
            WarehouseError::Cancelled => Self::Stopped,
            error => Self::Query(error),
        }
    }
}

impl From<ArrowError> for Broken {
    fn from(error: ArrowError) -> Self {
        Self::Disk(error)
    }
}

/// Runs a job to its end, then lets the next ones begin.
pub(super) async fn run(inner: Arc<Inner>, work: Work) {
    let outcome = match Box::pin(answer(&inner, &work)).await {
        Ok(rows) => sealed(&inner, &work, rows).await,
        Err(broken) => Err(broken),
    };
    let end = ended(&inner, &work, outcome).await;
    if let Some(heard) = &inner.heard
        && let Some(record) = record(&inner, &work, &end)
    {
        heard.ended(record).await;
    }
    inner.board.lock().ended(&work.id, end);
    inner.start_ready();
}

/// The query's rows, all of them written.
async fn answer(inner: &Arc<Inner>, work: &Work) -> Result<Arc<Spool>, Broken> {
    let options = SessionOptions {
        origin: work.new.origin.clone(),
        default_dataset: work.new.default_dataset.clone(),
        ..SessionOptions::of(work.new.principal.clone())
    };
    let session = inner.warehouse.session(options)?;
    let running = work.stop.run_until_cancelled(Box::pin(session.run(&work.new.sql))).await;
    let result = running.ok_or(Broken::Stopped)??;
    let bound = inner.settings.keep;
    let keep = Keep { rows: work.new.rows_max.map_or(bound.rows, |rows| rows.min(bound.rows)), ..bound };
    let writer = {
        let (folder, schema) = (inner.folder(&work.id), result.schema.clone());
        blocking(move || Writer::create(&folder, &schema, keep)).await?
    };
    if let Some(entry) = inner.board.lock().entry(&work.id) {
        entry.progress = result.progress.clone();
        entry.spool = Some(writer.spool().clone());
        entry.time_zone.clone_from(&result.time_zone);
        entry.reads =
            result.versions.iter().map(|(table, version)| Read { table: table.clone(), version: *version }).collect();
        entry.changed.send_replace(());
    }
    let (stop, handle) = (work.stop.clone(), Handle::current());
    let drained = tokio::task::spawn_blocking(move || handle.block_on(stop.run_until_cancelled(drain(result, writer))));
    drained.await.map_err(|_| Broken::Stopped)?.unwrap_or(Err(Broken::Stopped))
}

/// Writes all rows. On a thread that may block, as it writes to the disk between two batches.
async fn drain(mut result: ResultSet, mut writer: Writer) -> Result<Arc<Spool>, Broken> {
    while let Some(batch) = result.next().await {
        writer.write(&batch?)?;
    }
    Ok(writer.finish()?)
}

async fn blocking<T, F>(work: F) -> Result<T, Broken>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ArrowError> + Send + 'static,
{
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| Broken::Stopped)??)
}

/// Writes down that the rows are whole, so that they are found again after a restart.
async fn sealed(inner: &Arc<Inner>, work: &Work, rows: Arc<Spool>) -> Result<End, Broken> {
    let at_us = now_us();
    let keep_us = i64::try_from(inner.settings.keep_for.as_micros()).unwrap_or(i64::MAX);
    let view = inner.board.lock().view(&work.id, inner.settings.lanes);
    let Some(view) = view else { return Err(Broken::Stopped) };
    let rows_total = rows.counted();
    let kept = Kept {
        id: work.id.clone(),
        who: super::who(&work.new.principal),
        sql: view.sql,
        submitted_us: view.submitted_us,
        started_us: view.started_us,
        ended_us: at_us,
        expires_us: at_us.saturating_add(keep_us),
        time_zone: view.time_zone,
        rows_read: view.seen.rows_read,
        bytes_read: view.seen.bytes_read,
        reads: view.reads,
        index: rows.index(),
    };
    let expires_us = kept.expires_us;
    let folder = inner.folder(&work.id);
    blocking(move || Ok(kept::seal(&folder, &kept)?)).await?;
    Ok(End { state: JobState::Done, rows_total: Some(rows_total), at_us, expires_us: Some(expires_us) })
}

async fn ended(inner: &Arc<Inner>, work: &Work, outcome: Result<End, Broken>) -> End {
    let broken = match outcome {
        Ok(end) => return end,
        Err(broken) => broken,
    };
    let folder = inner.folder(&work.id);
    if tokio::task::spawn_blocking(move || kept::remove(&folder)).await.is_err() {
        tracing::debug!("the rest of a query is removed at the next start");
    }
    let state = match broken {
        Broken::Stopped => {
            let stopper = inner.board.lock().entry(&work.id).map(|entry| entry.stopper());
            JobState::Cancelled(stopper.unwrap_or(super::Stopper::Naru))
        }
        Broken::Query(error) => {
            let failure = Failure { problem: error.problem(), place: error.place() };
            match error {
                WarehouseError::TimedOut(_) => JobState::TimedOut(failure),
                _ => JobState::Failed(failure),
            }
        }
        Broken::Disk(error) => JobState::Failed(Failure { problem: JobError::from(error).problem(), place: None }),
    };
    End { state, rows_total: None, at_us: now_us(), expires_us: None }
}

/// The job as it will be seen; `None` only for one that nobody knows any more.
fn record(inner: &Arc<Inner>, work: &Work, end: &End) -> Option<JobRecord> {
    let mut view = inner.board.lock().view(&work.id, inner.settings.lanes)?;
    view.state = end.state.clone();
    view.ended_us = Some(end.at_us);
    view.rows_total = end.rows_total;
    Some(JobRecord { view, principal: work.new.principal.clone(), attended: work.new.attended })
}
