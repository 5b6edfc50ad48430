//! Things that wait for their second half for a few minutes: a sign-in for its code, a link for its click.
//!
//! Owns: [`Pending`], bounded in number and time, in memory only: a restart means to begin again.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What waits, by a key that cannot be guessed.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    most: usize,
    patience: Duration,
    waiting: Mutex<HashMap<String, (Instant, T)>>,
}

impl<T: Clone> Pending<T> {
    /// At most `most` at once, each for `patience`.
    pub(crate) fn new(most: usize, patience: Duration) -> Self {
        Self { most, patience, waiting: Mutex::default() }
    }

    /// Lets something wait; `false` when too much waits.
    pub(crate) fn put(&self, key: String, value: T) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, (since, _)| since.elapsed() < self.patience);
        if waiting.len() >= self.most {
            return false;
        }
        waiting.insert(key, (Instant::now(), value));
        true
    }

    /// Takes something away, so that it is used once; `None` when there is nothing, or it waited too long.
    pub(crate) fn take(&self, key: &str) -> Option<T> {
        let (since, value) = self.waiting.lock().remove(key)?;
        (since.elapsed() < self.patience).then_some(value)
    }

    /// Looks at something that goes on waiting.
    pub(crate) fn see(&self, key: &str) -> Option<T> {
        let waiting = self.waiting.lock();
        waiting.get(key).filter(|(since, _)| since.elapsed() < self.patience).map(|(_, value)| value.clone())
    }

    /// Changes something that waits; `None` when there is nothing.
    pub(crate) fn change<R>(&self, key: &str, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut waiting = self.waiting.lock();
        let (since, value) = waiting.get_mut(key)?;
        (since.elapsed() < self.patience).then(|| change(value))
    }
}

/// Attempts that one address may make in a minute.
const ATTEMPTS_A_MINUTE: u32 = 60;

/// Addresses that are counted at once; beyond it counting begins anew.
const ADDRESSES_MAX: usize = 10_000;

/// How often addresses try.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    counted: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Attempts {
    /// Counts an attempt; `false` when it is one too many.
    pub(crate) fn pass(&self, from: IpAddr) -> bool {
        let mut counted = self.counted.lock();
        if counted.len() >= ADDRESSES_MAX {
            counted.clear();
        }
        let (since, count) = counted.entry(from).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= Duration::from_mins(1) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count <= ATTEMPTS_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_taken_once_and_only_so_much_waits() {
        let pending = Pending::new(2, Duration::from_mins(1));
        assert!(pending.put("a".into(), 1) && pending.put("b".into(), 2) && !pending.put("c".into(), 3));
        assert_eq!(pending.change("a", |value| std::mem::replace(value, 9)), Some(1));
        assert_eq!((pending.see("a"), pending.take("a"), pending.take("a")), (Some(9), Some(9), None));
        assert!(pending.put("c".into(), 3));
        let over = Pending::new(2, Duration::ZERO);
        assert!(over.put("a".into(), 1) && over.put("b".into(), 1) && over.put("c".into(), 1));
        assert_eq!((over.see("c"), over.take("c")), (None, None));
    }

    #[test]
    fn an_address_that_tries_without_end_is_stopped_and_others_are_not() {
        let attempts = Attempts::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!((0..ATTEMPTS_A_MINUTE).all(|_| attempts.pass(one)));
        assert!(!attempts.pass(one) && attempts.pass(other));
    }
}
