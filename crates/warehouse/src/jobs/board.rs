//! All jobs of this process, those that wait in order.
//!
//! Owns: [`Board`] and [`Entry`]: every change of a job's state goes through them, under one lock that is never held
//! across a wait. Never touches the disk.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use naru_base::time::now_us;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{JobError, JobId, JobState, JobView, Lanes, NewJob, Spool, Stopper, kept::Kept, queue, state::Read, who};
use crate::{Progress, Seen};

/// Jobs that have ended and are still known, at most; the oldest are forgotten first.
const KNOWN_MAX: usize = 10_000;

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// By id, which sorts by time.
    jobs: BTreeMap<JobId, Entry>,
    waiting: VecDeque<JobId>,
    /// Jobs that run, by whose they are.
    running: HashMap<String, usize>,
}

/// One job.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: JobId,
    pub who: String,
    new: Arc<NewJob>,
    state: JobState,
    /// Cancelled when it shall end; `stopper` says why.
    stop: CancellationToken,
    stopper: Option<Stopper>,
    submitted_us: i64,
    started_us: Option<i64>,
    ended_us: Option<i64>,
    expires_us: Option<i64>,
    pub progress: Progress,
    /// What was seen of a job of an earlier process.
    recovered: Option<Seen>,
    pub spool: Option<Arc<Spool>>,
    rows_total: Option<u64>,
    pub time_zone: String,
    pub reads: Vec<Read>,
    looked: Instant,
    pub listeners: usize,
    pub changed: watch::Sender<()>,
}

/// What one run needs.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub id: JobId,
    pub new: Arc<NewJob>,
    pub stop: CancellationToken,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct End {
    pub state: JobState,
    pub rows_total: Option<u64>,
    pub at_us: i64,
    pub expires_us: Option<i64>,
}

impl Entry {
    pub fn new(id: JobId, new: NewJob, parent: &CancellationToken) -> Self {
        Self {
            id,
            who: who(&new.principal),
            new: Arc::new(new),
            state: JobState::Queued,
            stop: parent.child_token(),
            stopper: None,
            submitted_us: now_us(),
            started_us: None,
            ended_us: None,
            expires_us: None,
            progress: Progress::default(),
            recovered: None,
            spool: None,
            rows_total: None,
            time_zone: String::new(),
            reads: Vec::new(),
            looked: Instant::now(),
            listeners: 0,
            changed: watch::Sender::new(()),
        }
    }

    /// Somebody looks at it.
    pub fn look(&mut self) {
        self.looked = Instant::now();
    }

    /// Asks it to end; its run says when it has.
    pub fn end(&mut self, stopper: Stopper) {
        if !self.state.ended() && self.stopper.is_none() {
            self.stopper = Some(stopper);
            self.stop.cancel();
        }
    }

    /// Why it was asked to end.
    pub fn stopper(&self) -> Stopper {
        self.stopper.unwrap_or(Stopper::Naru)
    }

    fn abandoned(&self, after: Duration) -> bool {
        self.new.attended && self.listeners == 0 && !self.state.ended() && self.looked.elapsed() >= after
    }

    fn view(&self, queue_place: Option<usize>) -> JobView {
        let (rows, rows_counted) = self.spool.as_ref().map_or((0, 0), |spool| (spool.rows(), spool.counted()));
        JobView {
            id: self.id.clone(),
            sql: self.new.sql.clone(),
            state: self.state.clone(),
            submitted_us: self.submitted_us,
            started_us: self.started_us,
            ended_us: self.ended_us,
            queue_place,
            seen: self.recovered.unwrap_or_else(|| self.progress.seen()),
            schema: self.spool.as_ref().map(|spool| spool.schema().clone()),
            rows,
            rows_total: self.rows_total,
            rows_counted,
            time_zone: self.time_zone.clone(),
            reads: self.reads.clone(),
            expires_us: self.expires_us.filter(|_| self.spool.is_some()),
        }
    }
}

impl Board {
    /// Takes a result of an earlier process.
    pub fn recovered(&mut self, kept: Kept, spool: Arc<Spool>) {
        let new = NewJob {
            sql: kept.sql,
            // Only whose it is was written down; that is all a result that is done asks for.
            principal: naru_access::Principal::Project,
            origin: None,
            tab: None,
            default_dataset: None,
            rows_max: None,
            attended: true,
        };
        let mut entry = Entry::new(kept.id.clone(), new, &CancellationToken::new());
        entry.who = kept.who;
        entry.state = JobState::Done;
        entry.submitted_us = kept.submitted_us;
        entry.started_us = kept.started_us;
        entry.ended_us = Some(kept.ended_us);
        entry.expires_us = Some(kept.expires_us);
        entry.recovered = Some(Seen { rows_read: kept.rows_read, bytes_read: kept.bytes_read, ..Seen::default() });
        entry.rows_total = Some(spool.counted());
        entry.spool = Some(spool);
        entry.time_zone = kept.time_zone;
        entry.reads = kept.reads;
        self.jobs.insert(kept.id, entry);
    }

    /// Puts a job at the end of the queue.
    pub fn push(&mut self, entry: Entry, room: Lanes) -> Result<JobId, JobError> {
        let own = self.waiting_whose().filter(|who| *who == entry.who).count();
        if self.waiting.len() >= room.all || own >= room.person {
            return Err(JobError::QueueFull { waiting: self.waiting.len(), own: own >= room.person });
        }
        let id = entry.id.clone();
        self.waiting.push_back(id.clone());
        self.jobs.insert(id.clone(), entry);
        Ok(id)
    }

    fn waiting_whose(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().filter_map(|id| self.jobs.get(id)).map(|entry| entry.who.as_str())
    }

    /// Ends what still goes on in the same tab.
    pub fn end_tab(&mut self, entry: &Entry) {
        let Some(tab) = &entry.new.tab else { return };
        let same = |other: &&mut Entry| other.who == entry.who && other.new.tab.as_ref() == Some(tab);
        self.jobs.values_mut().filter(same).for_each(|other| other.end(Stopper::Asker));
    }

    /// The job, for its owner.
    pub fn own(&mut self, id: &JobId, who: &str) -> Result<&mut Entry, JobError> {
        self.jobs.get_mut(id).filter(|entry| entry.who == who).ok_or(JobError::NotFound)
    }

    /// The job, for its own run.
    pub fn entry(&mut self, id: &JobId) -> Option<&mut Entry> {
        self.jobs.get_mut(id)
    }

    pub fn view(&self, id: &JobId, lanes: Lanes) -> Option<JobView> {
        let entry = self.jobs.get(id)?;
        let position = self.waiting.iter().position(|waiting| waiting == id);
        let place = position.map(|position| queue::place(self.waiting_whose(), position, &self.running, lanes));
        Some(entry.view(place))
    }

    /// Takes the next job off the queue: one that was ended while it waited, so that it can say so, else one that has a
    /// lane.
    pub fn start_next(&mut self, lanes: Lanes) -> Option<Work> {
        let ended = self.waiting.iter().position(|id| self.jobs.get(id).is_some_and(|entry| entry.stop.is_cancelled()));
        let position = ended.or_else(|| queue::next(self.waiting_whose(), &self.running, lanes))?;
        let id = self.waiting.remove(position)?;
        let entry = self.jobs.get_mut(&id)?;
        *self.running.entry(entry.who.clone()).or_default() += 1;
        if ended.is_none() {
            entry.state = JobState::Running;
            entry.started_us = Some(now_us());
            entry.changed.send_replace(());
        }
        Some(Work { id, new: entry.new.clone(), stop: entry.stop.clone() })
    }

    /// Sets a job's end and gives its lane back.
    pub fn ended(&mut self, id: &JobId, end: End) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        entry.state = end.state;
        entry.rows_total = end.rows_total;
        entry.ended_us = Some(end.at_us);
        entry.expires_us = end.expires_us;
        if end.expires_us.is_none() {
            entry.spool = None;
        }
        entry.look();
        entry.changed.send_replace(());
        if let Some(count) = self.running.get_mut(&entry.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running.remove(&entry.who);
            }
        }
    }

    /// Ends every job at which nobody has looked for so long.
    pub fn end_abandoned(&mut self, after: Duration) {
        self.jobs.values_mut().filter(|entry| entry.abandoned(after)).for_each(|entry| entry.end(Stopper::Nobody));
    }

    /// Ends every job.
    pub fn end_all(&mut self, stopper: Stopper) {
        self.jobs.values_mut().for_each(|entry| entry.end(stopper));
    }

    /// Hears of the next change of a job that has not ended.
    pub fn going(&self) -> Option<watch::Receiver<()>> {
        self.jobs.values().find(|entry| !entry.state.ended()).map(|entry| entry.changed.subscribe())
    }

    /// Lets go of results that have expired, of the oldest while all together are too large, and of jobs that are too
    /// many to remember. Gives those whose folders are to be removed.
    pub fn expire(&mut self, now_us: i64, bytes_max: u64) -> Vec<JobId> {
        let mut bytes: u64 =
            self.jobs.values().filter_map(|entry| entry.spool.as_ref()).map(|spool| spool.bytes()).sum();
        let mut gone = Vec::new();
        for entry in self.jobs.values_mut().filter(|entry| entry.state == JobState::Done) {
            let Some(spool) = &entry.spool else { continue };
            if entry.expires_us.is_some_and(|at| at <= now_us) || bytes > bytes_max {
                bytes = bytes.saturating_sub(spool.bytes());
                entry.spool = None;
                gone.push(entry.id.clone());
            }
        }
        let excess = self.jobs.len().saturating_sub(KNOWN_MAX);
        let forgettable = self.jobs.values().filter(|entry| entry.state.ended() && entry.spool.is_none());
        let forgotten: Vec<JobId> = forgettable.take(excess).map(|entry| entry.id.clone()).collect();
        for id in forgotten {
            self.jobs.remove(&id);
        }
        gone
    }
}
