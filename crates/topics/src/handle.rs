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
use parking_lot::Mutex;

use crate::{keep::Samples, log::TopicNo};

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
    pub(crate) removed: AtomicBool,
    /// Events accepted since the start.
    pub(crate) published: AtomicU64,
    /// Events refused since the start, and their bytes.
    pub(crate) refused: AtomicU64,
    pub(crate) refused_bytes: AtomicU64,
    /// First offset that each reader still needs, by its name.
    pub(crate) holds: Mutex<BTreeMap<String, u64>>,
    pub(crate) samples: Mutex<Samples>,
}

impl TopicHandle {
    pub(crate) fn new(name: String, number: TopicNo, declared: Option<Topic>) -> Self {
        let inner = Inner {
            name,
            number,
            declared,
            removed: AtomicBool::new(false),
            published: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            refused_bytes: AtomicU64::new(0),
            holds: Mutex::default(),
            samples: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its number on the log.
    pub fn number(&self) -> TopicNo {
        self.inner.number
    }

    /// What its file says; none for a topic that was made over a door.
    pub fn declared(&self) -> Option<&Topic> {
        self.inner.declared.as_ref()
    }

    /// Whether it was removed; it takes nothing then.
    pub fn is_removed(&self) -> bool {
        self.inner.removed.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused(&self, events: u64, bytes: u64) {
        self.inner.refused.fetch_add(events, Ordering::Relaxed);
        self.inner.refused_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
