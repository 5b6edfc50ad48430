//! One topic as everybody who uses it holds it.
//!
//! Owns: [`TopicHandle`]: name, number, file, counters, and which readers still need which events.
//! Never appends or reads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use naru_project::Topic;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::{
    keep::Samples,
    log::TopicNo,
    schema::Shape,
    sink::{Asked, SinkCell},
};

/// A topic. Clones are the same.
#[derive(Debug, Clone)]
pub struct TopicHandle {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    name: String,
    number: TopicNo,
    declared: Option<Topic>,
    pub(crate) facts: Arc<Facts>,
}

/// What stays the same when the topic's file is edited.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) removed: AtomicBool,
    /// Events accepted since the start.
    pub(crate) published: AtomicU64,
    /// Events refused since the start, and their bytes.
    pub(crate) refused: AtomicU64,
    pub(crate) refused_bytes: AtomicU64,
    /// First offset that each reader still needs, by its name.
    pub(crate) holds: Mutex<BTreeMap<String, u64>>,
    pub(crate) samples: Mutex<Samples>,
    /// What its rows are checked against; none without a file.
    shape: RwLock<Option<Arc<Shape>>>,
    /// Its table's sink; none without a file.
    pub(crate) sink: Option<SinkHandle>,
}

/// The way to a topic's sink.
#[derive(Debug)]
pub(crate) struct SinkHandle {
    pub(crate) cell: SinkCell,
    pub(crate) asked: mpsc::Sender<Asked>,
}

impl TopicHandle {
    /// A topic that was made over a door.
    pub(crate) fn made(name: String, number: TopicNo) -> Self {
        Self { inner: Arc::new(Inner { name, number, declared: None, facts: Arc::default() }) }
    }

    /// A topic with a file; its sink listens behind `asked`.
    pub(crate) fn of_file(topic: &Topic, number: TopicNo, shape: Arc<Shape>, sink: SinkHandle) -> Self {
        let facts = Arc::new(Facts { sink: Some(sink), ..Facts::default() });
        let (name, declared) = (topic.name.clone(), Some(topic.clone()));
        let handle = Self { inner: Arc::new(Inner { name, number, declared, facts }) };
        handle.set_shape(shape);
        handle
    }

    /// The same topic by another text of its file. Who holds the earlier handle goes on with the same topic.
    pub(crate) fn redeclared(&self, topic: &Topic) -> Self {
        let (name, facts) = (self.inner.name.clone(), Arc::clone(&self.inner.facts));
        Self { inner: Arc::new(Inner { name, number: self.inner.number, declared: Some(topic.clone()), facts }) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its number on the log.
    pub fn number(&self) -> TopicNo {
        self.inner.number
    }

    /// What its file said when this handle was asked for; none for a topic that was made over a door.
    pub fn declared(&self) -> Option<&Topic> {
        self.inner.declared.as_ref()
    }

    /// Whether it was removed; it takes nothing then.
    pub fn is_removed(&self) -> bool {
        self.inner.facts.removed.load(Ordering::Relaxed)
    }

    /// How often the file's columns have changed, from 1; 0 without a file.
    pub fn schema_revision(&self) -> u32 {
        self.shape().map_or(0, |shape| shape.revision)
    }

    pub(crate) fn shape(&self) -> Option<Arc<Shape>> {
        self.inner.facts.shape.read().clone()
    }

    pub(crate) fn set_shape(&self, shape: Arc<Shape>) {
        *self.inner.facts.shape.write() = Some(shape);
    }

    pub(crate) fn hold(&self, reader: &str, from: u64) {
        self.inner.facts.holds.lock().insert(reader.to_owned(), from);
    }

    pub(crate) fn count_refused(&self, events: u64, bytes: u64) {
        self.inner.facts.refused.fetch_add(events, Ordering::Relaxed);
        self.inner.facts.refused_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
