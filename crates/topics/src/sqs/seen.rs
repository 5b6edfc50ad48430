//! Which messages are on the log already.
//!
//! Owns: the ids of messages that were appended lately or are being appended. A queue gives a message again when it was
//! not deleted in time, and sometimes for no reason. Bounded: beyond it, the topic's own dedup decides.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

/// Messages that are remembered.
pub(crate) const REMEMBERED: usize = 200_000;

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody had it: whoever asked appends it, and says when it is durable.
    Yours,
    /// Somebody is appending it: leave it alone.
    Others,
    /// It is on the log: only delete it.
    Durable,
}

/// Ids of messages, by their hash.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    durable: HashMap<u128, bool>,
    order: VecDeque<u128>,
}

impl Seen {
    /// Asks for a message.
    pub(crate) fn claim(&self, id: &str) -> Claim {
        let mut inner = self.inner.lock();
        match inner.durable.get(&xxh3_128(id.as_bytes())) {
            Some(true) => Claim::Durable,
            Some(false) => Claim::Others,
            None => {
                inner.durable.insert(xxh3_128(id.as_bytes()), false);
                Claim::Yours
            }
        }
    }

    /// Says that a message is on the log.
    pub(crate) fn appended(&self, id: &str) {
        let hash = xxh3_128(id.as_bytes());
        let mut inner = self.inner.lock();
        if inner.durable.insert(hash, true) == Some(true) {
            return;
        }
        inner.order.push_back(hash);
        if inner.order.len() > REMEMBERED
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.durable.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_appended_by_one_and_known_afterwards() {
        let seen = Seen::default();
        assert_eq!(seen.claim("a"), Claim::Yours);
        assert_eq!(seen.claim("a"), Claim::Others);
        seen.appended("a");
        assert_eq!(seen.claim("a"), Claim::Durable);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let seen = Seen::default();
        for id in 0..=REMEMBERED {
            seen.appended(&id.to_string());
        }
        assert_eq!((seen.claim("0"), seen.claim("1")), (Claim::Yours, Claim::Durable));
        assert!(seen.inner.lock().durable.len() <= REMEMBERED + 1);
    }
}
