//! Ordering keys: who is next of each key.
//!
//! Owns: [`Key`] and the rule that a key has one chain out at a time.

use std::{collections::BTreeSet, sync::Arc};

use super::{Deliveries, Stand};

/// The events of one ordering key that are held.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// Not given out.
    pub(super) waiting: BTreeSet<u64>,
    /// The chain: given out or on the way to the dead letters.
    pub(super) out: BTreeSet<u64>,
    /// A retry policy makes the whole key wait; 0 for not.
    pub(super) not_before_us: i64,
}

impl Deliveries {
    /// Makes the first waiting event of a key available if no chain is out, and forgets a key with nothing.
    pub(super) fn release(&mut self, key: &Arc<str>) {
        let Some(chain) = self.keys.get(key) else { return };
        let (first, not_before_us) = (chain.waiting.first().copied(), chain.not_before_us);
        if !chain.out.is_empty() {
            return;
        }
        let Some(first) = first else {
            self.keys.remove(key);
            return;
        };
        let Some(held) = self.held.get_mut(&first) else { return };
        match held.stand {
            Stand::Ready | Stand::Later { .. } => {}
            Stand::Behind | Stand::Leased(_) | Stand::Early | Stand::Forwarding => {
                if not_before_us > 0 {
                    held.stand = Stand::Later { at_us: not_before_us };
                    self.later.insert((not_before_us, first));
                } else {
                    held.stand = Stand::Ready;
                    self.ready.insert(first);
                }
            }
        }
    }

    /// Whether one before an event of its chain is not acknowledged.
    pub(super) fn is_behind_another(&self, offset: u64) -> bool {
        let key = self.held.get(&offset).and_then(|held| held.key.as_ref());
        let Some(chain) = key.and_then(|key| self.keys.get(key)) else { return false };
        chain.out.range(..offset).any(|before| self.lease_of(*before).is_none_or(|lease| !lease.acking))
    }

    /// Notes an acknowledgement that counts only after those before it. Its receiver may have more already.
    pub(super) fn acknowledge_early(&mut self, offset: u64) {
        self.end_lease(offset);
        if let Some(held) = self.held.get_mut(&offset) {
            held.stand = Stand::Early;
        }
    }

    /// The next of a chain whose turn it is to count, when it was acknowledged early.
    pub(super) fn next_early(&self, key: &Arc<str>) -> Option<u64> {
        let first = self.keys.get(key)?.out.first().copied()?;
        self.held.get(&first).is_some_and(|held| held.stand == Stand::Early).then_some(first)
    }

    /// Takes back what was given out of a key behind an event that failed. Those are no failures of theirs.
    pub(super) fn take_back_behind(&mut self, key: &Arc<str>, offset: u64) {
        let Some(chain) = self.keys.get_mut(key) else { return };
        let behind: Vec<u64> = chain.out.range(offset.saturating_add(1)..).copied().collect();
        for offset in behind {
            let stand = self.held.get(&offset).map(|held| held.stand);
            match stand {
                Some(Stand::Leased(lease)) if !lease.acking => self.end_lease(offset),
                Some(Stand::Early) => {}
                // One whose acknowledgement is on the way to the disk stays acknowledged.
                _ => continue,
            }
            if let Some(held) = self.held.get_mut(&offset) {
                held.stand = Stand::Behind;
            }
            if let Some(chain) = self.keys.get_mut(key) {
                chain.out.remove(&offset);
                chain.waiting.insert(offset);
            }
        }
    }
}
