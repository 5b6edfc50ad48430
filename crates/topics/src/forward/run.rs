//! The life of one forward.
//!
//! Owns: the loop that reads, sends, buries what was refused and then moves the cursor, in this order: what is not
//! settled when naru dies is sent again under the same ids. Never looks into an event.

use std::{sync::Arc, time::Duration};

use naru_base::{Problem, failpoint, number::u64_from, retry::Backoff, time::now_us};
use naru_project::forward::Forward;
use naru_store::kv;
use reqwest::Client;
use tokio::{
    sync::futures::Notified,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    GONE, Pace,
    answer::{Answer, Refusal},
    pause_key,
    queue::{Looked, Queue, What},
    receiver::{Limits, Receiver},
    record::Picker,
    status::{Shared, State},
};
use crate::{
    handle::TopicHandle,
    log::LogError,
    marks,
    topics::{Incoming, Topics},
};

/// Bytes of events read at once.
const READ_BYTES: usize = 4 << 20;
/// Bytes of dead letters appended together.
const BURIED_BYTES: usize = 4 << 20;
/// How long a request that is on its way may take when naru stops; without its answer it is sent again.
const GRACE: Duration = Duration::from_secs(3);
/// Between two tries of something of our own: the log or the state database.
const OWN_RETRY: Duration = Duration::from_secs(1);

/// One forward and everything it needs.
pub(crate) struct Runner {
    pub(crate) topics: Topics,
    pub(crate) topic: TopicHandle,
    pub(crate) forward: Forward,
    pub(crate) reader: String,
    pub(crate) picker: Picker,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) client: Client,
    pub(crate) pace: Pace,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: CancellationToken,
}

/// What changes while it runs.
struct Course {
    queue: Queue,
    /// Events that one request may hold: fewer after one was too large.
    most: usize,
    /// The limit on events a second allows the next request then.
    not_before: Instant,
    backoff: Backoff,
}

impl Runner {
    /// Runs until it is stopped. `next` is where the cursor stands.
    pub(crate) async fn run(self, next: u64) {
        let mut course = Course {
            queue: Queue::new(next),
            most: self.receiver.limits().events,
            not_before: Instant::now(),
            backoff: Backoff::new(self.pace.first, self.pace.most),
        };
        let stop = self.stop.clone();
        while stop.run_until_cancelled(self.ready(&mut course)).await.is_some() {
            self.step(&mut course).await;
        }
    }

    fn limits(&self, course: &Course) -> Limits {
        let limits = self.receiver.limits();
        let rate = self.forward.rate.map_or(usize::MAX, |rate| usize::try_from(rate).unwrap_or(usize::MAX));
        Limits { events: limits.events.min(course.most).min(rate).max(1), ..limits }
    }

    /// Waits until there is something to do and it may be done.
    async fn ready(&self, course: &mut Course) {
        while course.queue.is_empty() {
            self.read(course, None).await;
        }
        while self.shared.is_paused() {
            self.shared.nudge.notified().await;
        }
        let gathered = Instant::now() + self.pace.gather;
        while !course.queue.is_full(self.limits(course)) && Instant::now() < gathered {
            self.read(course, Some(gathered)).await;
        }
        sleep_until(course.not_before).await;
    }

    /// Reads on, waiting for events until a moment.
    async fn read(&self, course: &mut Course, until: Option<Instant>) {
        let (log, number, from) = (self.topics.log(), self.topic.number(), course.queue.next());
        let chunk = match log.read(number, from, READ_BYTES).await {
            Ok(chunk) => chunk,
            Err(error) => return self.own_trouble(&error.problem()).await,
        };
        if chunk.next > from {
            let lost = course.queue.take(chunk, &self.forward.name, &self.picker, &self.receiver);
            let oldest = course.queue.oldest_us();
            self.shared.note(|facts| {
                facts.lost += lost;
                facts.oldest_us = oldest;
            });
            return;
        }
        let grown = async {
            log.grown(number, from).await;
            if log.bounds(number).end <= from {
                // The log takes nothing any more and says so at once.
                sleep(OWN_RETRY).await;
            }
        };
        match until {
            None => grown.await,
            Some(until) => drop(tokio::time::timeout_at(until, grown).await),
        }
    }

    /// Sends one request, or passes over what need not be sent, and settles it.
    async fn step(&self, course: &mut Course) {
        if self.shared.is_paused() {
            return;
        }
        let taken = course.queue.cut(self.limits(course));
        let records = course.queue.records(taken);
        let count = records.len();
        if count == 0 {
            return self.settle(course, taken, Vec::new()).await;
        }
        let sending = self.receiver.send(&self.client, &records);
        let patience = async {
            self.stop.cancelled().await;
            sleep(GRACE).await;
        };
        let (status, answer) = tokio::select! {
            answered = sending => answered,
            () = patience => return,
        };
        self.shared.note(|facts| facts.last = Some((status, now_us())));
        self.act(course, taken, count, answer).await;
    }

    async fn act(&self, course: &mut Course, taken: usize, count: usize, answer: Answer) {
        match answer {
            Answer::Taken(refused) => {
                course.backoff.succeeded();
                course.most = course.most.saturating_mul(2).min(self.receiver.limits().events);
                if let Some(rate) = self.forward.rate {
                    let events = u32::try_from(count).unwrap_or(u32::MAX);
                    course.not_before = course.not_before.max(Instant::now()) + Duration::from_secs(1) * events / rate;
                }
                self.shared.runs();
                self.settle(course, taken, refused).await;
            }
            Answer::TooLarge(refusal) if count == 1 => self.settle(course, taken, vec![(0, refusal)]).await,
            Answer::TooLarge(_) => course.most = (count / 2).max(1),
            Answer::Again(problem, after) => {
                let wait = course.backoff.next_wait().max(after.unwrap_or_default());
                self.complain(&problem);
                self.wait(wait, |until| State::Waiting { until, problem: *problem }).await;
            }
            Answer::Unknown(problem) => {
                self.complain(&problem);
                self.wait(self.pace.refused, |until| State::Refused { until, problem: *problem }).await;
            }
            Answer::Gone(problem) => {
                self.complain(&problem);
                let key = pause_key(self.topic.number(), &self.forward.name);
                let stored = self.topics.store().write(move |db| kv::set(db, &key, GONE)).await;
                if let Err(error) = stored {
                    tracing::warn!(problem = %error.problem(), "a pause is not kept over a restart");
                }
                self.shared.note(|facts| facts.state = State::Paused { problem: Some(*problem) });
            }
        }
    }

    fn complain(&self, problem: &Problem) {
        tracing::warn!(topic = self.topic.name(), forward = self.forward.name, problem = %problem.summary, "a forward waits");
    }

    /// Waits, until a person changes something or naru stops.
    async fn wait(&self, wait: Duration, state: impl FnOnce(Instant) -> State) {
        let until = Instant::now() + wait;
        self.shared.waits(state(until));
        let nudged: Notified<'_> = self.shared.nudge.notified();
        tokio::select! {
            () = sleep_until(until) => {}
            () = nudged => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Something of naru's own does not work: the log or the state database.
    async fn own_trouble(&self, problem: &Problem) {
        self.complain(problem);
        self.wait(OWN_RETRY, |until| State::Waiting { until, problem: problem.clone() }).await;
    }

    /// Appends what died, then moves the cursor. Nothing moves when naru stops before all of it is durable.
    async fn settle(&self, course: &mut Course, taken: usize, refused: Vec<(usize, Refusal)>) {
        let tale = tell(course.queue.front(taken), &self.forward.name, refused);
        for some in pieces(&tale.events) {
            while let Err(error) = self.topics.publish(&self.topic, some).await {
                if self.stop.is_cancelled() {
                    return;
                }
                self.own_trouble(&error.problem()).await;
            }
        }
        failpoint::hit("forward.answered");
        let next = course.queue.after(taken);
        while let Err(error) = self.move_to(next).await {
            if self.stop.is_cancelled() {
                return;
            }
            self.own_trouble(&error.problem()).await;
        }
        self.shared.runs();
        self.topics.hold(&self.topic, &self.reader, next);
        course.queue.settle(taken);
        let oldest = course.queue.oldest_us();
        self.shared.note(|facts| {
            facts.next = next;
            facts.oldest_us = oldest;
            facts.sent += tale.sent;
            facts.dead += tale.dead;
            facts.passed += tale.passed;
        });
    }

    async fn move_to(&self, next: u64) -> Result<(), LogError> {
        self.topics.log().set_cursor(self.topic.number(), &self.reader, next).await
    }
}

/// What is appended to the topic's log of events that were settled, and how many of them went which way.
struct Tale {
    events: Vec<Incoming>,
    sent: u64,
    dead: u64,
    passed: u64,
}

fn tell<'a>(settled: impl Iterator<Item = &'a Looked>, name: &str, refused: Vec<(usize, Refusal)>) -> Tale {
    let mut tale = Tale { events: Vec::new(), sent: 0, dead: 0, passed: 0 };
    let mut refused: std::collections::HashMap<usize, Refusal> = refused.into_iter().collect();
    let mut record = 0;
    for looked in settled {
        let refusal = match &looked.what {
            What::Pass => {
                tale.passed += 1;
                None
            }
            What::Bury(refusal) => Some(refusal.clone()),
            What::Send(_) => {
                record += 1;
                refused.remove(&(record - 1))
            }
        };
        let mended = looked.event.attribute(marks::REPLAY_SINK) == Some(name);
        if let Some(refusal) = refusal {
            tale.dead += 1;
            tale.events.push(dead(looked, name, &refusal));
        } else {
            tale.sent += u64::from(matches!(looked.what, What::Send(_)));
            tale.events.extend(mended.then(|| replayed(looked, name)));
        }
    }
    tale
}

/// Naru's own attributes of what tells of an event; a mended event is the one that it was made of.
fn of(looked: &Looked, name: &str, status: &str) -> Vec<(String, String)> {
    let first = looked.event.attribute(marks::REPLAY_OF);
    let first = first.map_or_else(|| looked.event.offset.to_string(), str::to_owned);
    let mut attributes = vec![
        (marks::DEAD_OF.to_owned(), first),
        (marks::DEAD_SINK.to_owned(), name.to_owned()),
        (marks::DEAD_STATUS.to_owned(), status.to_owned()),
    ];
    if let Some(attempt) = looked.event.attribute(marks::ATTEMPT) {
        attributes.push((marks::ATTEMPT.to_owned(), attempt.to_owned()));
    }
    attributes
}

fn dead(looked: &Looked, name: &str, refusal: &Refusal) -> Incoming {
    let event = &looked.event;
    let mut attributes = of(looked, name, "dead");
    let said = [
        (marks::DEAD_REASON, refusal.reason),
        (marks::DEAD_PATH, refusal.path.as_str()),
        (marks::DEAD_EXPECTED, refusal.expected.as_str()),
        (marks::DEAD_GOT, &refusal.got),
    ];
    attributes.extend(said.map(|(name, value)| (name.to_owned(), value.to_owned())));
    attributes.push((marks::DEAD_FIRST_US.to_owned(), marks::arrived_us(event).to_string()));
    let theirs = event.attributes().filter(|(name, _)| !name.starts_with(marks::OWN));
    attributes.extend(theirs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Incoming { data: event.data.clone(), ordering_key: event.ordering_key().to_owned(), attributes }
}

fn replayed(looked: &Looked, name: &str) -> Incoming {
    Incoming { attributes: of(looked, name, "replayed"), ..Incoming::default() }
}

/// Events in pieces that are appended together.
fn pieces(events: &[Incoming]) -> impl Iterator<Item = &[Incoming]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |event: &&Incoming| {
            bytes += event.bytes();
            bytes <= BURIED_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (some, left) = rest.split_at(count);
        rest = left;
        (u64_from(count) > 0).then_some(some)
    })
}
