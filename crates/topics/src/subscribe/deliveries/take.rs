//! Giving events out.
//!
//! Owns: receivers, their flow control, and leases at their beginning.

use std::sync::Arc;

use super::{AckId, Deliveries, Lease, Stand};
use crate::log::Event;

/// One stream or one request that takes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receiver(pub(super) u64);

/// What a receiver has and has not answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outstanding {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// How much a receiver may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events at once.
    pub messages_max: usize,
    /// Bytes of them at once; one larger event is given by itself.
    pub bytes_max: usize,
    /// Events it may have unanswered, over all calls.
    pub outstanding_messages_max: usize,
    /// Bytes it may have unanswered; one larger event is given by itself.
    pub outstanding_bytes_max: usize,
    /// Seconds of a lease.
    pub deadline_s: u32,
}

/// An event with the right to acknowledge it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Names this delivery.
    pub ack_id: AckId,
    /// The event.
    pub event: Event,
    /// Which delivery of it this is, from 1; counted only with a dead-letter topic.
    pub attempt: Option<u32>,
}

impl Deliveries {
    /// A new receiver.
    pub fn open_receiver(&mut self) -> Receiver {
        self.receivers_given += 1;
        let receiver = Receiver(self.receivers_given);
        self.receivers.insert(receiver, Outstanding::default());
        receiver
    }

    /// The receiver takes no more. What it has stays leased until its deadline: its answers may still come.
    pub fn close_receiver(&mut self, receiver: Receiver) {
        self.receivers.remove(&receiver);
    }

    /// Gives out what may be had now, oldest first; of an ordering key as long a chain as fits. Leases begin now.
    pub fn take(&mut self, receiver: Receiver, limits: Limits, now_us: i64) -> Vec<Delivered> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        if self.settings.takes_nothing() {
            return taken;
        }
        while let Some(offset) = self.ready.first().copied() {
            if !self.fits(offset, receiver, &limits, taken.len(), bytes) {
                break;
            }
            let key = self.held.get(&offset).and_then(|held| held.key.clone());
            bytes += self.give(offset, receiver, &limits, now_us, &mut taken);
            let Some(key) = key else { continue };
            while let Some(next) = self.keys.get(&key).and_then(|chain| chain.waiting.first().copied()) {
                if !self.fits(next, receiver, &limits, taken.len(), bytes) {
                    return taken;
                }
                bytes += self.give(next, receiver, &limits, now_us, &mut taken);
            }
        }
        taken
    }

    fn fits(&self, offset: u64, receiver: Receiver, limits: &Limits, count: usize, bytes: usize) -> bool {
        let Some(held) = self.held.get(&offset) else { return false };
        let Some(outstanding) = self.receivers.get(&receiver) else { return false };
        let size = held.event.bytes();
        let at_once = count < limits.messages_max && (count == 0 || bytes + size <= limits.bytes_max);
        let alone = outstanding.messages == 0;
        at_once
            && outstanding.messages < limits.outstanding_messages_max
            && (alone || outstanding.bytes + size <= limits.outstanding_bytes_max)
    }

    /// Leases one event; answers its size.
    fn give(
        &mut self,
        offset: u64,
        receiver: Receiver,
        limits: &Limits,
        now_us: i64,
        taken: &mut Vec<Delivered>,
    ) -> usize {
        let Some(held) = self.held.get_mut(&offset) else { return 0 };
        self.nonce = self.nonce.saturating_add(1);
        let nonce = self.nonce;
        let deadline_us = now_us.saturating_add(i64::from(limits.deadline_s).saturating_mul(1_000_000));
        self.ready.remove(&offset);
        held.stand = Stand::Leased(Lease { nonce, deadline_us, receiver, acking: false });
        self.leases.insert((deadline_us, offset));
        let size = held.event.bytes();
        let attempt = self.settings.dead_letters.is_some().then(|| held.failures.saturating_add(1));
        taken.push(Delivered { ack_id: AckId { offset, nonce }, event: held.event.clone(), attempt });
        let key: Option<Arc<str>> = held.key.clone();
        if let Some(chain) = key.and_then(|key| self.keys.get_mut(&key)) {
            chain.waiting.remove(&offset);
            chain.out.insert(offset);
            chain.not_before_us = 0;
        }
        if let Some(outstanding) = self.receivers.get_mut(&receiver) {
            outstanding.messages += 1;
            outstanding.bytes += size;
        }
        size
    }
}
