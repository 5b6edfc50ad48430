//! Amazon SQS as an input, for a log server that cannot move yet.
//!
//! Owns: [`SqsInputs`]: reading the queues that topics' files name. A message is deleted only once its event is durable
//! on the log, so a crash between the two gives it again, and it is known by its id then.
//! Never looks into a body except for SNS's envelope: what was sent is appended, and the checks are the table's.
//! Read next: [`envelope`] for what a message becomes, [`seen`] for messages that come twice.

mod envelope;
mod queue;
mod seen;
mod sign;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use envelope::{MESSAGE_ID, Message, QUEUE_ID, messages};
use naru_base::{Problem, failpoint, number::u64_from, retry::Backoff};
use naru_project::sqs::SqsInput;
use parking_lot::Mutex;
use reqwest::{Client, redirect::Policy};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    queue::{ANSWER, Queue, Refused},
    seen::{Claim, REMEMBERED, Seen},
};
use crate::{
    forward::ForwardError,
    handle::TopicHandle,
    log::LogError,
    topics::{Incoming, Topics},
};

/// Waits after failures.
const FIRST: Duration = Duration::from_secs(1);
/// See `FIRST`.
const MOST: Duration = Duration::from_mins(1);
/// Bytes of the log read at once when it is looked through for messages.
const READ_BYTES: usize = 8 << 20;

/// The queues that are read. Clones are the same.
#[derive(Debug, Clone)]
pub struct SqsInputs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    inputs: Vec<Arc<Input>>,
    tasks: Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

/// One queue and what is known of it.
#[derive(Debug)]
struct Input {
    topics: Topics,
    topic: TopicHandle,
    name: String,
    queue: Queue,
    seen: Seen,
    appended: AtomicU64,
    again: AtomicU64,
    deleted: AtomicU64,
    problem: Mutex<Option<Problem>>,
}

/// One queue at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct SqsStatus {
    /// The topic that its messages go to.
    pub topic: String,
    /// The queue's name.
    pub queue: String,
    /// Messages that became events since the start.
    pub appended: u64,
    /// Messages that the queue gave again, and that were on the log already.
    pub again: u64,
    /// Messages deleted from the queue since the start.
    pub deleted: u64,
    /// What is wrong, if something is.
    pub problem: Option<Problem>,
}

impl SqsInputs {
    /// Begins to read the queues of all declared topics.
    ///
    /// # Errors
    /// [`ForwardError`] when encrypted connections cannot be made or the log cannot be read.
    pub async fn open(topics: &Topics) -> Result<Self, ForwardError> {
        let stop = CancellationToken::new();
        let (mut inputs, mut tasks) = (Vec::new(), JoinSet::new());
        for topic in topics.list() {
            let Some(wanted) = topic.declared().and_then(|declared| declared.from_sqs.clone()) else { continue };
            let input = Arc::new(Input::open(topics, topic, &wanted).await?);
            for _ in 0..wanted.parallel {
                tasks.spawn(read(input.clone(), stop.clone()));
            }
            inputs.push(input);
        }
        Ok(Self { inner: Arc::new(Inner { inputs, tasks: Mutex::new(tasks), stop }) })
    }

    /// Every queue at this moment.
    pub fn status(&self) -> Vec<SqsStatus> {
        let status = |input: &Arc<Input>| SqsStatus {
            topic: input.topic.name().to_owned(),
            queue: input.name.clone(),
            appended: input.appended.load(Ordering::Relaxed),
            again: input.again.load(Ordering::Relaxed),
            deleted: input.deleted.load(Ordering::Relaxed),
            problem: input.problem.lock().clone(),
        };
        self.inner.inputs.iter().map(status).collect()
    }

    /// Reads nothing more; messages that were received are appended and deleted first. Called before the log is closed.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

impl Input {
    async fn open(topics: &Topics, topic: TopicHandle, wanted: &SqsInput) -> Result<Self, ForwardError> {
        // A redirect would take messages from where no file says.
        let client =
            Client::builder().redirect(Policy::none()).timeout(ANSWER).build().map_err(ForwardError::Client)?;
        let seen = Seen::default();
        remember(topics, &topic, &seen).await?;
        Ok(Self {
            topics: topics.clone(),
            topic,
            name: wanted.queue.rsplit('/').next().unwrap_or_default().to_owned(),
            queue: Queue::new(client, wanted),
            seen,
            appended: AtomicU64::new(0),
            again: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            problem: Mutex::new(None),
        })
    }

    /// Appends what is new of some messages, then deletes all that are on the log.
    ///
    /// While the log takes nothing these messages wait here: asking for more, or for the same again, would only count
    /// them as received too often.
    async fn take(&self, messages: Vec<Message>, stop: &CancellationToken) -> Result<(), Refused> {
        let (mut receipts, mut ids, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            let receipt = message.receipt_handle.clone();
            let (id, event) = message.event();
            match self.seen.claim(&id) {
                // It is deleted by whoever appends it, or comes again.
                Claim::Others => {}
                Claim::Durable => {
                    self.again.fetch_add(1, Ordering::Relaxed);
                    receipts.push(receipt);
                }
                Claim::Yours => {
                    receipts.push(receipt);
                    ids.push(id);
                    events.push(event);
                }
            }
        }
        let mut backoff = Backoff::new(FIRST, MOST);
        while let Err(problem) = self.append(&ids, &events).await {
            self.complain(problem);
            if stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.is_none() {
                return Ok(());
            }
        }
        failpoint::hit("sqs.appended");
        if receipts.is_empty() {
            return Ok(());
        }
        let kept = self.queue.delete(&receipts).await?;
        self.deleted.fetch_add(u64_from(receipts.len().saturating_sub(kept)), Ordering::Relaxed);
        Ok(())
    }

    async fn append(&self, ids: &[String], events: &[Incoming]) -> Result<(), Problem> {
        if events.is_empty() {
            return Ok(());
        }
        self.topics.publish(&self.topic, events).await.map_err(|error| error.problem())?;
        for id in ids {
            self.seen.appended(id);
        }
        self.appended.fetch_add(u64_from(events.len()), Ordering::Relaxed);
        Ok(())
    }

    fn complain(&self, problem: Problem) {
        tracing::warn!(topic = self.topic.name(), queue = self.name, problem = %problem.summary, "a queue is not read");
        *self.problem.lock() = Some(problem);
    }
}

/// One of a queue's readers.
async fn read(input: Arc<Input>, stop: CancellationToken) {
    let mut backoff = Backoff::new(FIRST, MOST);
    // A call that waits may be given up: what it was about to bring is given again.
    while let Some(received) = stop.run_until_cancelled(input.queue.receive()).await {
        let done = match received {
            Ok(messages) => input.take(messages, &stop).await,
            Err(refused) => Err(refused),
        };
        match done {
            Ok(()) => {
                backoff.succeeded();
                *input.problem.lock() = None;
            }
            Err(refused) => {
                input.complain(refused.problem);
                let wait = if refused.lasting { MOST } else { backoff.next_wait() };
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
        }
    }
}

/// Reads the ids of the last messages out of the log: those that were appended before a crash and not deleted come
/// again.
async fn remember(topics: &Topics, topic: &TopicHandle, seen: &Seen) -> Result<(), LogError> {
    let log = topics.log();
    let bounds = log.bounds(topic.number());
    let mut next = bounds.start.max(bounds.end.saturating_sub(u64_from(REMEMBERED)));
    while next < bounds.end {
        let chunk = log.read(topic.number(), next, READ_BYTES).await?;
        let came = chunk.events.iter().filter(|event| event.attribute(QUEUE_ID).is_some());
        came.filter_map(|event| event.attribute(MESSAGE_ID)).for_each(|id| seen.appended(id));
        if chunk.next <= next {
            break;
        }
        next = chunk.next;
    }
    Ok(())
}
