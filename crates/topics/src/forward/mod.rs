//! Events on their way out: to Mixpanel, to somebody's HTTP server, to another Pub/Sub topic.
//!
//! Owns: [`Forwards`]: which forwards there are, where each begins, pausing and resuming. Each is a cursor over the log
//! of its own, so that one that is paused, slow or refused never holds another. At least once: the cursor moves only
//! after the receiver's answer, and what is sent again carries the same id.
//! Never sends a field that the topic's file does not name, never drops an event: what a receiver refuses is a dead
//! letter.
//! Read next: [`run`] for the loop, [`answer`] for what answers mean, [`record`] for what leaves.

mod answer;
mod error;
mod mixpanel;
mod pubsub;
mod queue;
mod receiver;
mod record;
mod run;
mod status;
mod webhook;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use error::ForwardError;
use naru_base::Problem;
use naru_project::forward::{Forward, Start};
use naru_store::{kv, topics as stored};
use parking_lot::Mutex;
use reqwest::{Client, redirect::Policy};
pub use status::ForwardStatus;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    receiver::Receiver,
    record::Picker,
    run::Runner,
    status::{Shared, State},
};
use crate::{
    handle::TopicHandle,
    log::{LogError, TopicNo},
    topics::Topics,
};

/// What the readers of forwards are called begins so.
const READER: &str = "forward/";
/// A pause that a person made, in the state database.
const PERSON: &str = "person";
/// A pause that the receiver asked for.
const GONE: &str = "gone";
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(10);

/// How forwards wait.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// After the first failure; it doubles up to `most`.
    pub first: Duration,
    /// The longest wait between two tries.
    pub most: Duration,
    /// Between two tries when the receiver does not know us.
    pub refused: Duration,
    /// For an answer.
    pub answer: Duration,
    /// For more events, so that a request is worth its while.
    pub gather: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            most: Duration::from_mins(1),
            refused: Duration::from_mins(5),
            answer: Duration::from_mins(1),
            gather: Duration::from_millis(500),
        }
    }
}

/// The forwards of all topics. Clones are the same.
#[derive(Debug, Clone)]
pub struct Forwards {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    topics: Topics,
    running: Vec<Running>,
    tasks: Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Running {
    topic: TopicHandle,
    name: String,
    receiver: Arc<Receiver>,
    shared: Arc<Shared>,
}

/// What the state database says before the start.
struct Known {
    project: String,
    paused: HashMap<String, String>,
}

impl Forwards {
    /// Starts the forwards of all declared topics. Called before the log is trimmed.
    ///
    /// # Errors
    /// [`ForwardError`] when the log or the state database cannot be used.
    pub async fn open(topics: &Topics, pace: Pace) -> Result<Self, ForwardError> {
        let mut wanted: Vec<(TopicHandle, Forward)> = Vec::new();
        for topic in topics.list() {
            let forwards = topic.declared().map(|declared| declared.forwards.clone()).unwrap_or_default();
            wanted.extend(forwards.into_iter().map(|forward| (topic.clone(), forward)));
        }
        let known = known(topics, &wanted).await?;
        let stop = CancellationToken::new();
        let (mut running, mut tasks) = (Vec::new(), JoinSet::new());
        // Connections are only prepared for where something leaves.
        let client = if wanted.is_empty() { None } else { Some(client(pace)?) };
        for ((topic, forward), client) in wanted.into_iter().zip(std::iter::repeat(client).flatten()) {
            let reader = format!("{READER}{}", forward.name);
            let next = begin(topics, &topic, &reader, forward.start).await?;
            topics.hold(&topic, &reader, next);
            let Some(declared) = topic.declared() else { continue };
            let named = format!("{}-{}", known.project, topic.number().0);
            let picker = Picker::new(declared, &forward, &Receiver::columns(&forward.target), named);
            let receiver = Arc::new(Receiver::new(topic.name(), &forward, &picker));
            let paused = known.paused.get(&pause_key(topic.number(), &forward.name)).map(String::as_str);
            let shared = Arc::new(Shared::new(next, state(paused, &receiver.to)));
            running.push(Running {
                topic: topic.clone(),
                name: forward.name.clone(),
                receiver: receiver.clone(),
                shared: shared.clone(),
            });
            let (topics, stop) = (topics.clone(), stop.clone());
            let runner = Runner { topics, topic, forward, reader, picker, receiver, client, pace, shared, stop };
            tasks.spawn(runner.run(next));
        }
        let inner = Inner { topics: topics.clone(), running, tasks: Mutex::new(tasks), stop };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Every forward at this moment.
    pub fn status(&self) -> Vec<ForwardStatus> {
        let log = self.inner.topics.log();
        let status = |one: &Running| {
            let end = log.bounds(one.topic.number()).end;
            one.shared.status(one.topic.name(), &one.name, one.receiver.word(), &one.receiver.to, end)
        };
        self.inner.running.iter().map(status).collect()
    }

    /// Sends nothing more, also after a restart; what comes meanwhile is kept on the log.
    ///
    /// # Errors
    /// [`ForwardError::Missing`], [`ForwardError::Store`].
    pub async fn pause(&self, topic: &str, forward: &str) -> Result<(), ForwardError> {
        let one = self.find(topic, forward)?;
        let key = pause_key(one.topic.number(), forward);
        self.inner.topics.store().write(move |db| kv::set(db, &key, PERSON)).await?;
        one.shared.note(|facts| facts.state = State::Paused { problem: None });
        one.shared.nudge.notify_one();
        Ok(())
    }

    /// Sends again, from where it stopped; also at once where it waits to try again.
    ///
    /// # Errors
    /// [`ForwardError::Missing`], [`ForwardError::Store`].
    pub async fn resume(&self, topic: &str, forward: &str) -> Result<(), ForwardError> {
        let one = self.find(topic, forward)?;
        let key = pause_key(one.topic.number(), forward);
        self.inner.topics.store().write(move |db| kv::remove(db, &key)).await?;
        one.shared.note(|facts| facts.state = State::Running);
        one.shared.nudge.notify_one();
        Ok(())
    }

    fn find(&self, topic: &str, forward: &str) -> Result<&Running, ForwardError> {
        let found = self.inner.running.iter().find(|one| one.topic.name() == topic && one.name == forward);
        found.ok_or_else(|| ForwardError::Missing { topic: topic.to_owned(), forward: forward.to_owned() })
    }

    /// Stops sending; what is on its way may take a few seconds. Called before the log is closed.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

/// Where a pause is kept.
fn pause_key(topic: TopicNo, forward: &str) -> String {
    format!("forward.paused/{}/{forward}", topic.0)
}

/// Reads what is kept, and forgets where forwards were that no file names any more: one of the same name that comes
/// later begins anew.
async fn known(topics: &Topics, wanted: &[(TopicHandle, Forward)]) -> Result<Known, ForwardError> {
    let named: Vec<(u32, String)> =
        wanted.iter().map(|(topic, forward)| (topic.number().0, forward.name.clone())).collect();
    let known = topics.store().write(move |db| {
        for (topic, _) in stored::all(db)? {
            for reader in stored::readers(db, topic)? {
                let Some(name) = reader.strip_prefix(READER) else { continue };
                if !named.iter().any(|(known, forward)| *known == topic && forward == name) {
                    stored::forget(db, topic, &reader)?;
                    kv::remove(db, &pause_key(TopicNo(topic), name))?;
                }
            }
        }
        let mut paused = HashMap::new();
        for (topic, forward) in &named {
            let key = pause_key(TopicNo(*topic), forward);
            if let Some(by) = kv::get(db, &key)? {
                paused.insert(key, by);
            }
        }
        Ok(Known { project: kv::project_id(db)?, paused })
    });
    Ok(known.await?)
}

/// Where a forward goes on; a new one's beginning is durable from here on.
async fn begin(topics: &Topics, topic: &TopicHandle, reader: &str, start: Start) -> Result<u64, LogError> {
    let log = topics.log();
    let bounds = log.bounds(topic.number());
    let next = match (log.cursor(topic.number(), reader).await?, start) {
        (Some(next), _) if next <= bounds.end => return Ok(next),
        // The log was lost; its offsets begin again below the cursor.
        (Some(_), _) | (None, Start::Beginning) => bounds.start,
        (None, Start::Now) => bounds.end,
    };
    log.set_cursor(topic.number(), reader, next).await?;
    Ok(next)
}

fn state(paused: Option<&str>, to: &str) -> State {
    match paused {
        None => State::Running,
        Some(GONE) => {
            let problem = Problem::new("topics.forward_gone", format!("{to} answered 410: it wants no more events"));
            State::Paused { problem: Some(problem.hint("Resume it, or take it out of the topic's file.")) }
        }
        Some(_) => State::Paused { problem: None },
    }
}

fn client(pace: Pace) -> Result<Client, ForwardError> {
    // A redirect would take fields and keys to where no file says.
    let builder = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT).timeout(pace.answer);
    builder.user_agent(concat!("naru/", env!("CARGO_PKG_VERSION"))).build().map_err(ForwardError::Client)
}
