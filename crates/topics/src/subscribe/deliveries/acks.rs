//! Answers of receivers: acknowledgements and new deadlines.
//!
//! Owns: [`AckId`] and what an answer means. With exactly-once an answer counts only while its lease lasts; without,
//! a late acknowledgement still counts as long as it cannot break an order.

use super::{Deliveries, Stand};

/// Names one delivery of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckId {
    /// The event.
    pub offset: u64,
    /// The delivery; grows over restarts.
    pub nonce: u64,
}

/// What an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Done,
    /// Nobody has that event under this delivery any more. An error only with exactly-once.
    Stale,
    /// One before it of its ordering key is not acknowledged yet. Only with exactly-once, which confirms nothing that
    /// may come again.
    Unordered,
}

impl Deliveries {
    /// Acknowledges without waiting for the disk. `end` is the end of the log.
    pub fn acknowledge(&mut self, id: AckId, end: u64) -> Outcome {
        if self.lease_of(id.offset).is_some_and(|lease| lease.nonce == id.nonce) {
            if self.is_behind_another(id.offset) {
                self.acknowledge_early(id.offset);
            } else {
                self.settle(id.offset);
            }
            return Outcome::Done;
        }
        let known = id.nonce >= self.acks_from && id.nonce <= self.nonce && id.offset < end;
        if self.settings.exactly_once || !known || self.acked.has(id.offset) {
            return Outcome::Stale;
        }
        match self.held.get(&id.offset) {
            // Its place in the order is still ahead of its successors: it comes again, and they behind it.
            Some(held) if held.key.is_some() => return Outcome::Stale,
            Some(_) => self.settle(id.offset),
            None if self.settings.ordered || id.offset < self.next => return Outcome::Stale,
            None => {
                self.acked.insert(id.offset);
                self.revision += 1;
            }
        }
        Outcome::Done
    }

    /// Begins an acknowledgement that is confirmed only when it is durable: the lease does not end meanwhile. `Done`
    /// is to be followed by [`Self::finish_ack`].
    pub fn begin_ack(&mut self, id: AckId) -> Outcome {
        let Some(lease) = self.lease_of(id.offset).filter(|lease| lease.nonce == id.nonce) else {
            return Outcome::Stale;
        };
        if self.is_behind_another(id.offset) {
            return Outcome::Unordered;
        }
        self.leases.remove(&(lease.deadline_us, id.offset));
        if let Some(held) = self.held.get_mut(&id.offset) {
            held.stand = Stand::Leased(super::Lease { acking: true, ..lease });
            self.revision += 1;
        }
        Outcome::Done
    }

    /// Ends what [`Self::begin_ack`] began: it is durable, or the lease goes on.
    pub fn finish_ack(&mut self, id: AckId, durable: bool) {
        let Some(lease) = self.lease_of(id.offset).filter(|lease| lease.nonce == id.nonce && lease.acking) else {
            return;
        };
        if durable {
            self.settle(id.offset);
        } else if let Some(held) = self.held.get_mut(&id.offset) {
            held.stand = Stand::Leased(super::Lease { acking: false, ..lease });
            self.leases.insert((lease.deadline_us, id.offset));
        }
    }

    /// Sets a lease's end to so many seconds from now; 0 ends it, and the event is delivered again.
    pub fn modify(&mut self, id: AckId, seconds: u32, now_us: i64) -> Outcome {
        let Some(lease) = self.lease_of(id.offset).filter(|lease| lease.nonce == id.nonce) else {
            return Outcome::Stale;
        };
        if lease.acking {
            return Outcome::Done;
        }
        if seconds == 0 {
            self.fail(id.offset, now_us);
            return Outcome::Done;
        }
        let deadline_us = now_us.saturating_add(i64::from(seconds).saturating_mul(1_000_000));
        self.leases.remove(&(lease.deadline_us, id.offset));
        self.leases.insert((deadline_us, id.offset));
        if let Some(held) = self.held.get_mut(&id.offset) {
            held.stand = Stand::Leased(super::Lease { deadline_us, ..lease });
        }
        Outcome::Done
    }
}
