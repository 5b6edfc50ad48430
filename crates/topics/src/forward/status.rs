//! What a forward says of itself.
//!
//! Owns: [`ForwardStatus`], the state of a forward, and how a person or the receiver changes it.

use naru_base::{Problem, number::u64_from_signed, time::now_us};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{sync::Notify, time::Instant};

/// One forward at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct ForwardStatus {
    /// Its topic.
    pub topic: String,
    /// Its name in the topic's file.
    pub forward: String,
    /// `mixpanel`, `webhook` or `pubsub`.
    pub kind: &'static str,
    /// The receiver's host.
    pub to: String,
    /// `running`, `waiting` (to send again), `refused` (the receiver does not know us) or `paused`.
    pub state: &'static str,
    /// First offset that is not settled.
    pub next: u64,
    /// Events that are not settled.
    pub backlog: u64,
    /// How long the oldest of them waits, milliseconds; 0 without any.
    pub behind_ms: u64,
    /// Events that the receiver took since the start.
    pub sent: u64,
    /// Events that went to the dead letters since the start.
    pub dead: u64,
    /// Events that were not for this forward, or did not fulfil its conditions, since the start.
    pub passed: u64,
    /// Events that were no longer on the log, since the start.
    pub lost: u64,
    /// Status of the last answer; none when there was no answer.
    pub last_status: Option<u16>,
    /// When that was, microseconds since 1970; none before the first request.
    pub last_answer_us: Option<i64>,
    /// Until it is tried again, milliseconds.
    pub retry_in_ms: Option<u64>,
    /// What happens next, in words.
    pub next_step: String,
    /// What is wrong, if something is.
    pub problem: Option<Problem>,
}

/// What a forward is doing. A person's or the receiver's pause is kept in the state database; the others begin anew
/// with a restart.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// It sends as events come.
    Running,
    /// The last request came to nothing; set by the runner.
    Waiting { until: Instant, problem: Problem },
    /// The receiver does not know us; set by the runner.
    Refused { until: Instant, problem: Problem },
    /// By a person, or with a problem by the receiver.
    Paused { problem: Option<Problem> },
}

/// What the runner and everybody who asks share.
#[derive(Debug)]
pub(crate) struct Shared {
    facts: Mutex<Facts>,
    /// Told when a person changed something.
    pub(crate) nudge: Notify,
}

#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) state: State,
    pub(crate) next: u64,
    pub(crate) oldest_us: Option<i64>,
    pub(crate) sent: u64,
    pub(crate) dead: u64,
    pub(crate) passed: u64,
    pub(crate) lost: u64,
    pub(crate) last: Option<(Option<u16>, i64)>,
}

impl Shared {
    pub(crate) fn new(next: u64, state: State) -> Self {
        let facts = Facts { state, next, oldest_us: None, sent: 0, dead: 0, passed: 0, lost: 0, last: None };
        Self { facts: Mutex::new(facts), nudge: Notify::new() }
    }

    /// Changes what is known.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock());
    }

    /// Goes on, unless it is paused.
    pub(crate) fn runs(&self) {
        let mut facts = self.facts.lock();
        match facts.state {
            State::Waiting { .. } | State::Refused { .. } => facts.state = State::Running,
            State::Running | State::Paused { .. } => {}
        }
    }

    /// Waits, unless it is paused.
    pub(crate) fn waits(&self, state: State) {
        let mut facts = self.facts.lock();
        if !matches!(facts.state, State::Paused { .. }) {
            facts.state = state;
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.facts.lock().state, State::Paused { .. })
    }

    /// The facts as the outside sees them; `end` is the topic's.
    pub(crate) fn status(&self, topic: &str, forward: &str, kind: &'static str, to: &str, end: u64) -> ForwardStatus {
        let facts = self.facts.lock();
        let backlog = end.saturating_sub(facts.next);
        let (state, next_step, until, problem) = match &facts.state {
            State::Running if backlog == 0 => ("running", "sends events as they come".to_owned(), None, None),
            State::Running => ("running", "sends what waits".to_owned(), None, None),
            State::Waiting { until, problem } => {
                ("waiting", "sends the same events again".to_owned(), Some(*until), Some(problem.clone()))
            }
            State::Refused { until, problem } => {
                ("refused", "tries again now and then".to_owned(), Some(*until), Some(problem.clone()))
            }
            State::Paused { problem } => {
                let step = format!("naru topic resume {topic} --forward {forward}");
                ("paused", step, None, problem.clone())
            }
        };
        let behind_us = facts.oldest_us.filter(|_| backlog > 0).map_or(0, |oldest| now_us().saturating_sub(oldest));
        let left = until.map(|until| until.saturating_duration_since(Instant::now()).as_millis());
        ForwardStatus {
            topic: topic.to_owned(),
            forward: forward.to_owned(),
            kind,
            to: to.to_owned(),
            state,
            next: facts.next,
            backlog,
            behind_ms: u64_from_signed(behind_us) / 1_000,
            sent: facts.sent,
            dead: facts.dead,
            passed: facts.passed,
            lost: facts.lost,
            last_status: facts.last.and_then(|(status, _)| status),
            last_answer_us: facts.last.map(|(_, at)| at),
            retry_in_ms: left.map(|left| u64::try_from(left).unwrap_or(u64::MAX)),
            next_step,
            problem,
        }
    }
}
