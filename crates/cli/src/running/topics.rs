//! Topics of a process: opening them from the folder, publishing for `naru publish`, and what `naru status` shows.
//!
//! Owns: turning the folder's settings into topics. Never looks into an event.

use std::sync::OnceLock;

use naru_base::{Problem, number::u64_from};
use naru_lake::{
    Lake,
    live::{Budget, FlushPolicy, LiveSettings},
};
use naru_store::Store;
use naru_topics::{Incoming, TopicHandle, Topics, TopicsSettings, log::LogSettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::{edges::Edges, topic_files::TopicFiles};
use crate::home::Home;

/// Bytes of unflushed rows that the tables of all topics together keep in memory.
const TAIL_BYTES: usize = 128 << 20;
/// Folder of the log, in `.naru`.
const LOG_FOLDER: &str = "topics";

/// Topics that are open, and their files as they were read.
#[derive(Debug)]
pub struct RunningTopics {
    /// The topics.
    pub topics: Topics,
    /// Where events leave and come in by naru's own doing; only under `naru up`.
    pub edges: OnceLock<Edges>,
    /// Their files.
    pub files: TopicFiles,
}

/// What became of published lines.
#[derive(Debug, Default, Serialize)]
pub struct Published {
    /// Offset of the first event; the others follow it.
    pub first: Option<u64>,
    /// Events that are on the log.
    pub accepted: u64,
    /// Those of them that the table does not take; they are kept in its dead letters.
    pub unfit: Vec<Unfit>,
}

/// An event that does not fit.
#[derive(Debug, Serialize)]
pub struct Unfit {
    /// Its place among those published together, from 0.
    pub index: usize,
    /// Where in the event.
    pub path: String,
    /// What the column takes.
    pub expected: String,
    /// The type that came.
    pub got: String,
    /// The revision of the columns that it was judged by.
    pub schema_revision: u32,
}

impl RunningTopics {
    /// Opens the topics of a folder; the caller holds the project's lock.
    pub async fn open(home: &Home, lake: &Lake, store: &Store) -> Result<Self, Problem> {
        let project = &home.project;
        let flush = FlushPolicy { bytes_max: project.settings.lake.flush_bytes, ..FlushPolicy::default() };
        let settings = TopicsSettings {
            project: project.settings.name.clone(),
            zone: project.settings.timezone.zone.clone(),
            folder: project.state_folder().join(LOG_FOLDER),
            declared: project.topics.clone(),
            store: store.clone(),
            lake: lake.clone(),
            live: LiveSettings { budget: Budget::new(TAIL_BYTES), flush, ..LiveSettings::default() },
            log: LogSettings { free_min: project.settings.limits.intake_free_min, ..LogSettings::default() },
        };
        let files = TopicFiles::new(project);
        let topics = Topics::open(settings).await.map_err(|error| error.problem())?;
        Ok(Self { topics, edges: OnceLock::new(), files })
    }

    /// Starts forwards and queues; a second call changes nothing.
    ///
    /// # Errors
    /// The log or the state database cannot be used.
    pub async fn begin(&self) -> Result<(), Problem> {
        if self.edges.get().is_none() {
            let edges = Edges::open(&self.topics).await?;
            self.edges.get_or_init(|| edges);
        }
        Ok(())
    }

    /// Stops forwards and queues, then the topics.
    pub async fn stop(&self) {
        if let Some(edges) = self.edges.get() {
            edges.stop().await;
        }
        self.topics.stop().await;
    }

    /// Pauses a forward, or lets it go on.
    ///
    /// # Errors
    /// There is no such forward, or the state database cannot be used.
    pub async fn pause(&self, topic: &str, forward: &str, paused: bool) -> Result<(), Problem> {
        let edges = self.edges.get().ok_or_else(|| Problem::new("topics.closed", "forwards are not open here"))?;
        let forwards = &edges.forwards;
        let done = if paused { forwards.pause(topic, forward).await } else { forwards.resume(topic, forward).await };
        done.map_err(|error| error.problem())
    }

    /// A topic by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn topic(&self, name: &str) -> Result<TopicHandle, Problem> {
        self.topics.get(name).ok_or_else(|| {
            let known: Vec<String> = self.topics.list().iter().map(|topic| topic.name().to_owned()).collect();
            let hint = if known.is_empty() {
                "The project has no topics.".to_owned()
            } else {
                format!("Topics are {}.", known.join(", "))
            };
            Problem::new("topics.missing", format!("there is no topic \"{name}\"")).hint(hint)
        })
    }

    /// Publishes lines as events of one topic.
    ///
    /// # Errors
    /// The topic does not exist, or the log takes nothing.
    pub async fn publish(&self, topic: &str, lines: Vec<String>) -> Result<Published, Problem> {
        let handle = self.topic(topic)?;
        let event = |line: String| Incoming { data: line.into(), ..Incoming::default() };
        let events: Vec<Incoming> = lines.into_iter().map(event).collect();
        if events.is_empty() {
            return Ok(Published::default());
        }
        let first = self.topics.publish(&handle, &events).await.map_err(|error| error.problem())?;
        let unfit = self.topics.judge(&handle, &events).into_iter().map(|judged| Unfit {
            index: judged.index,
            path: judged.fault.path,
            expected: judged.fault.expected,
            got: judged.fault.got,
            schema_revision: judged.schema_revision,
        });
        Ok(Published { first: Some(first), accepted: u64_from(events.len()), unfit: unfit.collect() })
    }

    /// Waits until what was published is visible.
    ///
    /// # Errors
    /// Why the table does not take events; they are on the log.
    pub async fn settle(&self, topic: &str) -> Result<(), Problem> {
        match self.topics.get(topic) {
            Some(topic) => self.topics.settle(&topic).await,
            None => Ok(()),
        }
    }

    /// What `naru status --json` shows under `topics`.
    pub fn status(&self) -> Value {
        let mut status = json!(self.topics.status());
        status["edited"] = json!(self.files.for_the_next_start());
        status["wrong"] = json!(self.files.wrong());
        if let Some((forwards, queues)) = self.edges.get().map(Edges::status) {
            status["forwards"] = json!(forwards);
            status["queues"] = json!(queues);
        }
        status
    }
}
