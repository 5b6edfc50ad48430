//! Events that were read and not settled yet.
//!
//! Owns: what becomes of each event (sent, buried, passed over), and how many of them one request takes. The front of
//! the queue is where the forward's cursor stands. Never reads the log or the network.

use std::collections::VecDeque;

use super::{
    answer::Refusal,
    receiver::{Limits, Receiver, Record},
    record::Picker,
};
use crate::{
    log::{Chunk, Event},
    marks,
};

/// What becomes of an event.
#[derive(Debug)]
pub(crate) enum What {
    /// It is not for this forward, or does not fulfil its conditions.
    Pass,
    /// It is sent.
    Send(Record),
    /// It cannot be sent.
    Bury(Refusal),
}

/// One event that was looked at.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) event: Event,
    pub(crate) what: What,
}

/// Events in order, from the cursor on.
#[derive(Debug)]
pub(crate) struct Queue {
    looked: VecDeque<Looked>,
    /// The cursor, and where to read on.
    at: u64,
    next: u64,
    bytes: usize,
    records: usize,
}

impl Queue {
    pub(crate) fn new(at: u64) -> Self {
        Self { looked: VecDeque::new(), at, next: at, bytes: 0, records: 0 }
    }

    /// Where to read on.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// When the first event was accepted.
    pub(crate) fn oldest_us(&self) -> Option<i64> {
        self.looked.front().map(|looked| looked.event.time_us)
    }

    /// Whether there is nothing to settle, neither events nor a range without any.
    pub(crate) fn is_empty(&self) -> bool {
        self.looked.is_empty() && self.at == self.next
    }

    /// Whether it holds as much as one request takes.
    pub(crate) fn is_full(&self, limits: Limits) -> bool {
        self.records >= limits.events || self.bytes >= limits.bytes
    }

    /// Looks at what was read; answers how many events were no longer there.
    pub(crate) fn take(&mut self, chunk: Chunk, name: &str, picker: &Picker, receiver: &Receiver) -> u64 {
        let lost = chunk.gaps.iter().map(|gap| gap.offsets.end.saturating_sub(gap.offsets.start)).sum();
        for event in chunk.events {
            let what = look(&event, name, picker, receiver);
            if let What::Send(record) = &what {
                self.bytes += record.bytes.len() + 1;
                self.records += 1;
            }
            self.looked.push_back(Looked { event, what });
        }
        self.next = self.next.max(chunk.next);
        lost
    }

    /// How many events from the front one request settles.
    pub(crate) fn cut(&self, limits: Limits) -> usize {
        let (mut events, mut bytes, mut key) = (0, 2, None);
        let mut taken = 0;
        for looked in &self.looked {
            if let What::Send(record) = &looked.what {
                bytes += record.bytes.len() + 1;
                events += 1;
                let same = *key.get_or_insert(&record.ordering_key) == &record.ordering_key || !limits.one_key;
                // One alone always goes.
                if events > 1 && (!same || events > limits.events || bytes > limits.bytes) {
                    break;
                }
            }
            taken += 1;
        }
        taken
    }

    /// The first events.
    pub(crate) fn front(&self, taken: usize) -> impl Iterator<Item = &Looked> {
        self.looked.iter().take(taken)
    }

    /// The records among the first events.
    pub(crate) fn records(&self, taken: usize) -> Vec<&Record> {
        self.front(taken)
            .filter_map(|looked| match &looked.what {
                What::Send(record) => Some(record),
                What::Pass | What::Bury(_) => None,
            })
            .collect()
    }

    /// Where the cursor stands once the first events are settled.
    pub(crate) fn after(&self, taken: usize) -> u64 {
        self.looked.get(taken).map_or(self.next, |looked| looked.event.offset)
    }

    /// Lets go of the first events.
    pub(crate) fn settle(&mut self, taken: usize) {
        self.at = self.after(taken);
        for looked in self.looked.drain(..taken.min(self.looked.len())) {
            if let What::Send(record) = looked.what {
                self.bytes = self.bytes.saturating_sub(record.bytes.len() + 1);
                self.records = self.records.saturating_sub(1);
            }
        }
    }
}

fn look(event: &Event, name: &str, picker: &Picker, receiver: &Receiver) -> What {
    if !marks::is_for(event, Some(name)) {
        return What::Pass;
    }
    let picked = match picker.pick(event) {
        Ok(Some(picked)) => picked,
        Ok(None) => return What::Pass,
        Err(refusal) => return What::Bury(refusal),
    };
    let id = picker.id(event, &picked);
    match receiver.record(event, &picked, &id) {
        Ok(record) => What::Send(record),
        Err(refusal) => What::Bury(refusal),
    }
}
