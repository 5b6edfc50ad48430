//! The life of a subscription's events between the log and an acknowledgement.
//!
//! Owns: [`Deliveries`], a state machine over offsets: what is acknowledged, leased, waiting, and who may have what
//! now. Pure: the clock and the events are handed in, nothing is read, written or awaited here.
//!
//! An event above the floor is in one stand ([`Stand`]). With ordering, the leased events of a key are its chain: no
//! other of that key is given out before the chain ends; when one of the chain fails, those behind it in the chain
//! are taken back and delivered again after it.

mod acks;
mod held;
mod keys;
#[cfg(test)]
mod model;
mod saved;
mod take;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Acknowledged, Filter, Settings};
use crate::log::{Chunk, Event};

pub use acks::{AckId, Outcome};
pub use held::Forward;
use held::{Held, Lease, Stand};
use keys::Key;
pub use saved::Saved;
use take::Outstanding;
pub use take::{Delivered, Limits, Receiver};

/// Bytes of events that are held in memory, leased ones included; more stay on the log.
pub const HELD_BYTES_MAX: usize = 128 << 20;
/// Events that are held in memory.
pub const HELD_MAX: usize = 200_000;

/// Marks of events that only the sink which they name looks at: replays, and notes about dead letters.
const MARKS: [&str; 2] = ["naru.replay.of", "naru.dead.of"];

/// The state of one subscription. Times are microseconds since 1970.
#[derive(Debug)]
pub struct Deliveries {
    settings: Settings,
    filter: Option<Filter>,
    acked: Acknowledged,
    /// Everything before it is held or acknowledged.
    next: u64,
    /// Events accepted before it are given up unseen.
    discard_before_us: i64,
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    /// What anybody may have now; of a key only its first.
    ready: BTreeSet<u64>,
    /// What may be had from a time on.
    later: BTreeSet<(i64, u64)>,
    /// When leases end.
    leases: BTreeSet<(i64, u64)>,
    keys: HashMap<Arc<str>, Key>,
    receivers: HashMap<Receiver, Outstanding>,
    receivers_given: u64,
    /// Failures of events that are not held yet, from before a restart.
    failed_before: BTreeMap<u64, u32>,
    forwards: BTreeSet<u64>,
    nonce: u64,
    acks_from: u64,
    /// Grows with every change that must become durable.
    revision: u64,
    /// Grows with every seek: what was read from the log before it is not taken in.
    era: u64,
}

impl Deliveries {
    /// Goes on from what was saved. `filter` is the settings' filter, understood.
    pub fn new(settings: Settings, filter: Option<Filter>, saved: Saved, now_us: i64) -> Self {
        Self {
            settings,
            filter,
            next: saved.acknowledged.floor(),
            acked: saved.acknowledged,
            discard_before_us: saved.discard_before_us,
            held: BTreeMap::new(),
            held_bytes: 0,
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            leases: BTreeSet::new(),
            keys: HashMap::new(),
            receivers: HashMap::new(),
            receivers_given: 0,
            failed_before: saved.failures,
            forwards: BTreeSet::new(),
            nonce: naru_base::number::u64_from_signed(now_us).max(saved.acks_from),
            acks_from: saved.acks_from,
            revision: 0,
            era: 0,
        }
    }

    /// How it behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Behaves otherwise from now on. Leases go on; ordering and the filter are not changed after the beginning.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The first offset that is not acknowledged.
    pub fn floor(&self) -> u64 {
        self.acked.floor()
    }

    /// Events before `end` that nobody acknowledged.
    pub fn backlog(&self, end: u64) -> u64 {
        self.acked.missing_before(end)
    }

    /// Counts changes that must become durable.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Where to read on, and what to hand back with it; `None` while somebody could have more of what is held, or
    /// when enough is held.
    pub fn wants(&self) -> Option<(u64, u64)> {
        let room = self.held_bytes < HELD_BYTES_MAX && self.held.len() < HELD_MAX;
        (room && self.ready.is_empty() && !self.settings.takes_nothing()).then_some((self.next, self.era))
    }

    /// Whether there is something that a receiver may have whose limits allow it.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes in what was read for [`Self::wants`]. What is missing on the log counts as acknowledged.
    pub fn load(&mut self, chunk: Chunk, era: u64, now_us: i64) {
        if era != self.era {
            return;
        }
        for gap in chunk.gaps {
            self.acked.add(gap.offsets);
            self.revision += 1;
        }
        let oldest = self.oldest_us(now_us).max(self.discard_before_us);
        for event in chunk.events {
            let offset = event.offset;
            if offset < self.next || self.acked.has(offset) {
                continue;
            }
            if event.time_us < oldest || !self.is_for_us(&event) {
                self.acked.insert(offset);
                self.failed_before.remove(&offset);
                self.revision += 1;
                continue;
            }
            self.hold(event);
        }
        self.next = self.next.max(chunk.next);
    }

    fn oldest_us(&self, now_us: i64) -> i64 {
        let kept = i64::try_from(self.settings.retention_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        now_us.saturating_sub(kept)
    }

    fn is_for_us(&self, event: &Event) -> bool {
        MARKS.iter().all(|mark| event.attribute(mark).is_none())
            && self.filter.as_ref().is_none_or(|filter| filter.lets_through(&|key| event.attribute(key)))
    }

    fn hold(&mut self, event: Event) {
        let offset = event.offset;
        let key = event.ordering_key();
        let key = (self.settings.ordered && !key.is_empty()).then(|| Arc::<str>::from(key));
        let failures = self.failed_before.remove(&offset).unwrap_or(0);
        self.held_bytes += event.bytes();
        let stand = if key.is_some() { Stand::Behind } else { Stand::Ready };
        self.held.insert(offset, Held { event: event.unshared(), key: key.clone(), failures, stand });
        match key {
            None => {
                self.ready.insert(offset);
            }
            Some(key) => {
                self.keys.entry(key.clone()).or_default().waiting.insert(offset);
                self.release(&key);
            }
        }
    }

    /// Takes an event out for good, and those of its chain that were only waiting for it.
    fn settle(&mut self, offset: u64) {
        let key = self.held.get(&offset).and_then(|held| held.key.clone());
        self.settle_one(offset);
        let Some(key) = key else { return };
        while let Some(next) = self.next_early(&key) {
            self.settle_one(next);
        }
    }

    fn settle_one(&mut self, offset: u64) {
        self.end_lease(offset);
        let Some(held) = self.held.remove(&offset) else { return };
        self.held_bytes = self.held_bytes.saturating_sub(held.event.bytes());
        match held.stand {
            Stand::Ready => {
                self.ready.remove(&offset);
            }
            Stand::Later { at_us } => {
                self.later.remove(&(at_us, offset));
            }
            Stand::Forwarding => {
                self.forwards.remove(&offset);
            }
            Stand::Behind | Stand::Leased(_) | Stand::Early => {}
        }
        if let Some(key) = held.key {
            if let Some(chain) = self.keys.get_mut(&key) {
                chain.waiting.remove(&offset);
                chain.out.remove(&offset);
            }
            self.release(&key);
        }
        self.acked.insert(offset);
        self.revision += 1;
    }

    /// What is due: leases that ended, waits that are over, events past their retention. Whether somebody may have
    /// something now that could not before.
    pub fn tick(&mut self, now_us: i64) -> bool {
        let before = self.ready.len();
        let mut changed = false;
        while let Some((at_us, offset)) = self.leases.first().copied().filter(|(at_us, _)| *at_us <= now_us) {
            self.leases.remove(&(at_us, offset));
            self.fail(offset, now_us);
            changed = true;
        }
        while let Some((at_us, offset)) = self.later.first().copied().filter(|(at_us, _)| *at_us <= now_us) {
            self.later.remove(&(at_us, offset));
            let Some(held) = self.held.get_mut(&offset) else { continue };
            held.stand = Stand::Ready;
            self.ready.insert(offset);
            if let Some(chain) = held.key.as_ref().and_then(|key| self.keys.get_mut(key)) {
                chain.not_before_us = 0;
            }
        }
        let oldest = self.oldest_us(now_us);
        while let Some((offset, held)) = self.held.first_key_value() {
            let waits = matches!(held.stand, Stand::Ready | Stand::Behind | Stand::Later { .. });
            if held.event.time_us >= oldest || !waits {
                break;
            }
            let offset = *offset;
            self.settle(offset);
            changed = true;
        }
        changed || self.ready.len() > before
    }

    /// Gives up what is before an offset and was never acknowledged, held or not; what is leased, on its way to the
    /// dead letters, or behind such an event stays.
    pub fn give_up_before(&mut self, offset: u64) {
        let mut end = offset;
        while let Some((first, held)) = self.held.first_key_value().filter(|(first, _)| **first < offset) {
            let first = *first;
            if !matches!(held.stand, Stand::Ready | Stand::Behind | Stand::Later { .. }) {
                end = first;
                break;
            }
            self.settle(first);
        }
        if self.acked.missing_before(end) == 0 {
            return;
        }
        self.acked.add(0..end);
        self.failed_before = self.failed_before.split_off(&end);
        self.next = self.next.max(end);
        self.revision += 1;
    }

    /// When [`Self::tick`] is due next.
    pub fn due_us(&self) -> Option<i64> {
        let lease = self.leases.first().map(|(at_us, _)| *at_us);
        let later = self.later.first().map(|(at_us, _)| *at_us);
        lease.into_iter().chain(later).min()
    }

    /// Stands as if exactly this were acknowledged; leases end. Events accepted before `discard_before_us` will be
    /// given up unseen.
    pub fn seek(&mut self, acknowledged: Acknowledged, discard_before_us: i64) {
        let offsets: Vec<u64> = self.held.keys().copied().collect();
        for offset in offsets {
            self.end_lease(offset);
        }
        self.held.clear();
        self.held_bytes = 0;
        self.ready.clear();
        self.later.clear();
        self.leases.clear();
        self.keys.clear();
        self.forwards.clear();
        self.failed_before.clear();
        self.next = acknowledged.floor();
        self.acked = acknowledged;
        self.discard_before_us = discard_before_us;
        self.acks_from = self.nonce.saturating_add(1);
        self.revision += 1;
        self.era += 1;
    }
}
