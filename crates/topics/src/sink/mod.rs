//! From the log into a topic's table: one task a declared topic.
//!
//! Owns: [`Context`] (what a sink needs), [`SinkCell`] (what it says of itself), and keeping it alive: an error opens
//! the table again and goes on from what it has, a defect of ours stops nothing but its own round.
//! Never acknowledges anything, and never loses an event: what is not in the table, in the dead letters or a duplicate
//! is on the log, because the table's own position says so.
//!
//! The position is Delta's `txn` action of the table, in the same commit as the rows. Dead letters are written before
//! it, so a crash between the two writes them again, under the same key.
//! Read next: [`run`] for the loop, [`process`] for an event's way, [`dedup`].

mod build;
mod dedup;
mod marked;
mod open;
mod process;
mod run;

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use futures::FutureExt as _;
use naru_base::{Problem, Version};
use naru_lake::{
    Lake,
    live::{LiveSet, LiveSettings},
};
use naru_project::Topic;
use naru_store::Store;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use open::table_of;
pub(crate) use process::event_id;
pub use process::{CLOCK_AHEAD, CLOCK_LATE};

use crate::{error::TopicError, handle::TopicHandle, log::TopicLog};

/// The app id under which a topic's table keeps its position: the offset of the next event to read. The table is one
/// topic's, so the id names none: it holds for a state database that was made anew, too.
pub(crate) const APP: &str = "naru/topic";
/// The reader's name in holds of the log.
pub(crate) const READER: &str = crate::dead::TABLE_SINK;
/// First and longest pause after an error.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Questions that wait for a sink.
pub(crate) const ASKED_MAX: usize = 64;

/// What one sink needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) topic: TopicHandle,
    pub(crate) declared: Topic,
    pub(crate) log: Arc<dyn TopicLog>,
    pub(crate) lake: Lake,
    pub(crate) store: Store,
    pub(crate) live: LiveSettings,
    pub(crate) set: LiveSet,
    /// The project's time zone, by its name.
    pub(crate) zone: String,
    /// For keys of events that were seen before; can be made anew.
    pub(crate) cache: PathBuf,
    pub(crate) cell: SinkCell,
}

/// A topic's file as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) topic: Topic,
    pub(crate) live: LiveSettings,
}

/// Somebody waits for the handle of a topic that goes by another text of its file.
type Redeclared = oneshot::Sender<Result<TopicHandle, Problem>>;

/// What somebody wants of a sink.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Everything on the log of this moment into the table and its files.
    Flush(oneshot::Sender<Result<SinkCut, Problem>>),
    /// Everything on the log of this moment is visible.
    Settle(oneshot::Sender<Result<(), Problem>>),
    /// Go by another text of the topic's file.
    Declare(Box<Declared>, Redeclared),
}

/// How a round of a sink ended well.
#[derive(Debug)]
enum Ended {
    /// It is to stop.
    Stopped,
    /// It is to be opened again by another text of the file; everything before is in the files of the table.
    Declared(Box<Declared>, Redeclared),
}

impl Asked {
    fn refuse(self, problem: Problem) {
        // Whoever asked may be gone.
        match self {
            Self::Flush(answer) => drop(answer.send(Err(problem))),
            Self::Settle(answer) => drop(answer.send(Err(problem))),
            Self::Declare(_, answer) => drop(answer.send(Err(problem))),
        }
    }
}

/// A topic's tables at one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkCut {
    /// Everything before it is in the table, in the dead letters, or a duplicate.
    pub offset: u64,
    /// The table's version.
    pub table: Version,
    /// That of its dead letters.
    pub dead: Version,
}

/// A topic's table at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SinkStatus {
    /// `starting`, `running`, `retrying` or `stopped`.
    pub state: &'static str,
    /// Offset of the next event to look at; everything before it is visible.
    pub next: u64,
    /// Offset that the table's files cover.
    pub flushed: u64,
    /// Rows in the table, unflushed ones included.
    pub rows: u64,
    /// Dead letters that wait to be mended.
    pub dead_letters: u64,
    /// Rows written, dead letters and duplicates since the start.
    pub written: u64,
    /// See `written`.
    pub dead: u64,
    /// See `written`.
    pub duplicates: u64,
    /// Offsets that the log had lost when the table came to them, since the start: at most so many events.
    pub lost: u64,
    /// The revision of the file's columns.
    pub revision: u32,
    /// Why it does not go on, or goes on slowly.
    pub problem: Option<Problem>,
}

/// A sink's status, shared. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct SinkCell(Arc<Mutex<SinkStatus>>);

impl SinkCell {
    pub(crate) fn get(&self) -> SinkStatus {
        self.0.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.0.lock());
    }
}

/// The tables of a topic: its own, and that of its dead letters.
pub fn tables(topic: &str) -> [naru_base::TableId; 2] {
    [table_of(topic), crate::dead::table_of(topic)]
}

/// Runs a sink until `stop`, whatever goes wrong.
pub(crate) async fn keep(context: Context, mut asked: mpsc::Receiver<Asked>, stop: CancellationToken) {
    let mut context = Arc::new(context);
    let (mut pause, mut waits) = (PAUSES.0, None);
    loop {
        let before = context.cell.get().next;
        context.cell.change(|status| status.state = "starting");
        let ended = AssertUnwindSafe(run::run(&context, waits.take(), &mut asked, &stop)).catch_unwind().await;
        let problem = match ended {
            Ok(Ok(Ended::Stopped)) => break,
            Ok(Ok(Ended::Declared(declared, answer))) => {
                (context, waits) = (by(&context, *declared), Some(answer));
                continue;
            }
            Ok(Err(error)) => error.problem(),
            Err(_) => defect(&context),
        };
        if context.cell.get().next > before {
            pause = PAUSES.0;
        }
        tracing::warn!(topic = context.topic.name(), %problem, "a topic's table is opened again");
        context.cell.change(|status| {
            status.state = "retrying";
            status.problem = Some(problem.clone());
        });
        match wait(&mut asked, &stop, pause, &problem).await {
            Some(Ended::Stopped) => break,
            Some(Ended::Declared(declared, answer)) => (context, waits) = (by(&context, *declared), Some(answer)),
            None => pause = (pause * 2).min(PAUSES.1),
        }
    }
    context.cell.change(|status| status.state = "stopped");
}

/// The same sink by another text of the file.
fn by(context: &Context, declared: Declared) -> Arc<Context> {
    let Declared { topic, live } = declared;
    Arc::new(Context {
        topic: context.topic.redeclared(&topic),
        declared: topic,
        live,
        log: Arc::clone(&context.log),
        lake: context.lake.clone(),
        store: context.store.clone(),
        set: context.set.clone(),
        zone: context.zone.clone(),
        cache: context.cache.clone(),
        cell: context.cell.clone(),
    })
}

/// Waits, and refuses what is asked meanwhile; a mended file ends the waiting, and so does the end of everything.
async fn wait(
    asked: &mut mpsc::Receiver<Asked>,
    stop: &CancellationToken,
    pause: Duration,
    problem: &Problem,
) -> Option<Ended> {
    let until = tokio::time::sleep(pause);
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Some(Ended::Stopped),
            () = &mut until => return None,
            Some(one) = asked.recv() => match one {
                Asked::Declare(declared, answer) => return Some(Ended::Declared(declared, answer)),
                other => other.refuse(problem.clone()),
            },
        }
    }
}

fn defect(context: &Context) -> Problem {
    let summary = format!("the table of topic \"{}\" met a defect of naru and is opened again", context.topic.name());
    Problem::new("topics.defect", summary)
        .detail("Events go on being accepted and wait on the log.")
        .hint("Look in the log of naru for the panic, and report it.")
        .later()
}

/// Runs work that blocks away from the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TopicError> {
    let failed = |error: tokio::task::JoinError| TopicError::Lake(naru_lake::LakeError::Task(error.to_string()));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}
