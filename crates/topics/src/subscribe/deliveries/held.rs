//! One event that was read and not acknowledged.
//!
//! Owns: the stands of an event, leases, failures, and the way to the dead-letter topic.

use std::sync::Arc;

use super::{Deliveries, Receiver};
use crate::log::Event;

/// An event above the floor.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) event: Event,
    /// Its ordering key, when the subscription keeps order.
    pub(super) key: Option<Arc<str>>,
    /// Leases that ended without an acknowledgement.
    pub(super) failures: u32,
    pub(super) stand: Stand,
}

/// Where a held event is. A restart makes every one of them `Ready` or `Behind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Anybody may have it.
    Ready,
    /// Others of its key go first.
    Behind,
    /// A retry policy makes it wait.
    Later { at_us: i64 },
    /// Somebody has it.
    Leased(Lease),
    /// Acknowledged, and one before it of its key is not: it counts when that one is, and comes again if that one does.
    Early,
    /// It failed too often; its copy is on the way to the dead-letter topic.
    Forwarding,
}

/// Somebody's right to acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) nonce: u64,
    pub(super) deadline_us: i64,
    pub(super) receiver: Receiver,
    /// Its acknowledgement is on the way to the disk: it does not end meanwhile.
    pub(super) acking: bool,
}

/// An event that goes to the dead-letter topic.
#[derive(Debug, Clone)]
pub struct Forward {
    /// What was delivered too often.
    pub event: Event,
    /// How often.
    pub deliveries: u32,
}

impl Deliveries {
    pub(super) fn lease_of(&self, offset: u64) -> Option<Lease> {
        match self.held.get(&offset)?.stand {
            Stand::Leased(lease) => Some(lease),
            Stand::Ready | Stand::Behind | Stand::Later { .. } | Stand::Early | Stand::Forwarding => None,
        }
    }

    /// Forgets the lease of an event, which is `Behind` then; its receiver may have more.
    pub(super) fn end_lease(&mut self, offset: u64) {
        let Some(lease) = self.lease_of(offset) else { return };
        self.leases.remove(&(lease.deadline_us, offset));
        let Some(held) = self.held.get_mut(&offset) else { return };
        held.stand = Stand::Behind;
        if let Some(outstanding) = self.receivers.get_mut(&lease.receiver) {
            outstanding.messages = outstanding.messages.saturating_sub(1);
            outstanding.bytes = outstanding.bytes.saturating_sub(held.event.bytes());
        }
    }

    /// A lease ended without an acknowledgement: the event waits again, or goes to the dead letters.
    pub(super) fn fail(&mut self, offset: u64, now_us: i64) {
        self.end_lease(offset);
        let Some(held) = self.held.get_mut(&offset) else { return };
        held.failures = held.failures.saturating_add(1);
        let (failures, key) = (held.failures, held.key.clone());
        self.revision += 1;
        if let Some(key) = &key {
            self.take_back_behind(key, offset);
        }
        let letters = self.settings.dead_letters.as_ref();
        if letters.is_some_and(|letters| failures >= letters.attempts_max) {
            if let Some(held) = self.held.get_mut(&offset) {
                held.stand = Stand::Forwarding;
            }
            self.forwards.insert(offset);
            return;
        }
        let wait = self
            .settings
            .backoff
            .map_or(0, |backoff| i64::try_from(backoff.wait(failures).as_micros()).unwrap_or(i64::MAX));
        self.again(offset, key.as_ref(), now_us, wait);
    }

    /// Makes an event wait `wait_us`, with its key if it has one.
    fn again(&mut self, offset: u64, key: Option<&Arc<str>>, now_us: i64, wait_us: i64) {
        let at_us = now_us.saturating_add(wait_us);
        if let Some(key) = key {
            if let Some(held) = self.held.get_mut(&offset) {
                held.stand = Stand::Behind;
            }
            if let Some(chain) = self.keys.get_mut(key) {
                chain.out.remove(&offset);
                chain.waiting.insert(offset);
                chain.not_before_us = if wait_us > 0 { at_us } else { 0 };
            }
            self.release(key);
            return;
        }
        let Some(held) = self.held.get_mut(&offset) else { return };
        if wait_us > 0 {
            held.stand = Stand::Later { at_us };
            self.later.insert((at_us, offset));
        } else {
            held.stand = Stand::Ready;
            self.ready.insert(offset);
        }
    }

    /// What goes to the dead-letter topic now; each is to be answered by [`Self::forwarded`] or
    /// [`Self::not_forwarded`].
    pub fn take_forwards(&mut self) -> Vec<Forward> {
        let offsets = std::mem::take(&mut self.forwards);
        let held = offsets.iter().filter_map(|offset| self.held.get(offset));
        held.map(|held| Forward { event: held.event.clone(), deliveries: held.failures }).collect()
    }

    /// The copy is on the dead-letter topic.
    pub fn forwarded(&mut self, offset: u64) {
        if self.held.get(&offset).is_some_and(|held| held.stand == Stand::Forwarding) {
            self.settle(offset);
        }
    }

    /// The dead-letter topic did not take it: it is delivered again after a wait, and tried again then.
    pub fn not_forwarded(&mut self, offset: u64, now_us: i64, wait_us: i64) {
        if self.held.get(&offset).is_some_and(|held| held.stand == Stand::Forwarding) {
            let key = self.held.get(&offset).and_then(|held| held.key.clone());
            self.again(offset, key.as_ref(), now_us, wait_us);
        }
    }
}
