//! Things that wait for their second half for a few minutes: a sign-in for its code, a link for its click.
//!
//! Owns: [`Pending`], bounded in number and time, in memory only: a restart means to begin again.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The network that an address counts as: an IPv6 customer has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    network: IpAddr,
    value: T,
}

/// What waits, by a key that cannot be guessed.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    most: usize,
    patience: Duration,
    waiting: Mutex<HashMap<String, Waiting<T>>>,
}

impl<T: Clone> Pending<T> {
    /// At most `most` at once, each for `patience`.
    pub(crate) fn new(most: usize, patience: Duration) -> Self {
        Self { most, patience, waiting: Mutex::default() }
    }

    /// Lets something wait that was begun from an address. When too much waits, the network that has most waiting
    /// loses its oldest: nobody keeps everybody else out.
    pub(crate) fn put(&self, key: String, from: IpAddr, value: T) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, one| one.since.elapsed() < self.patience);
        if waiting.len() >= self.most
            && let Some(oldest) = oldest_of_the_busiest(&waiting)
        {
            waiting.remove(&oldest);
        }
        waiting.insert(key, Waiting { since: Instant::now(), network: network(from), value });
    }

    /// Takes something away, so that it is used once; `None` when there is nothing, or it waited too long.
    pub(crate) fn take(&self, key: &str) -> Option<T> {
        let one = self.waiting.lock().remove(key)?;
        (one.since.elapsed() < self.patience).then_some(one.value)
    }

    /// Looks at something that goes on waiting.
    pub(crate) fn see(&self, key: &str) -> Option<T> {
        let waiting = self.waiting.lock();
        waiting.get(key).filter(|one| one.since.elapsed() < self.patience).map(|one| one.value.clone())
    }

    /// Changes something that waits; `None` when there is nothing.
    pub(crate) fn change<R>(&self, key: &str, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut waiting = self.waiting.lock();
        let one = waiting.get_mut(key)?;
        (one.since.elapsed() < self.patience).then(|| change(&mut one.value))
    }
}

/// The key of what waits longest for the network that has most waiting.
fn oldest_of_the_busiest<T>(waiting: &HashMap<String, Waiting<T>>) -> Option<String> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for one in waiting.values() {
        *counts.entry(one.network).or_default() += 1;
    }
    let count = |one: &Waiting<T>| counts.get(&one.network).copied().unwrap_or_default();
    let last = waiting.iter().min_by_key(|(_, one)| (Reverse(count(one)), one.since));
    last.map(|(key, _)| key.clone())
}

/// Attempts that one network may make in a minute.
const ATTEMPTS_A_MINUTE: u32 = 60;

/// Networks that are counted at once; beyond it the one that was counted longest is forgotten.
const NETWORKS_MAX: usize = 10_000;

/// How often networks try one thing.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    counted: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Attempts {
    /// Counts an attempt; `false` when it is one too many.
    pub(crate) fn pass(&self, from: IpAddr) -> bool {
        let from = network(from);
        let mut counted = self.counted.lock();
        if counted.len() >= NETWORKS_MAX && !counted.contains_key(&from) {
            counted.retain(|_, (since, _)| since.elapsed() < Duration::from_mins(1));
            if counted.len() >= NETWORKS_MAX
                && let Some(oldest) = counted.iter().min_by_key(|(_, (since, _))| *since).map(|(of, _)| *of)
            {
                counted.remove(&oldest);
            }
        }
        let (since, count) = counted.entry(from).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= Duration::from_mins(1) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= ATTEMPTS_A_MINUTE
    }
}

/// What is counted apart: whoever is stopped at one may still do the others.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Sign-ins begun.
    pub start: Attempts,
    /// Programs that ask for a code.
    pub device: Attempts,
    /// Codes that people typed.
    pub code: Attempts,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn what_waits_is_taken_once_and_only_so_much_waits() {
        let pending = Pending::new(2, Duration::from_mins(1));
        pending.put("a".into(), HOME, 1);
        pending.put("b".into(), HOME, 2);
        assert_eq!(pending.change("a", |value| std::mem::replace(value, 9)), Some(1));
        assert_eq!((pending.see("a"), pending.take("a"), pending.take("a")), (Some(9), Some(9), None));
        pending.put("c".into(), HOME, 3);
        pending.put("d".into(), HOME, 4);
        assert_eq!((pending.see("b"), pending.see("c"), pending.see("d")), (None, Some(3), Some(4)));
        let over = Pending::new(2, Duration::ZERO);
        over.put("c".into(), HOME, 1);
        assert_eq!((over.see("c"), over.take("c")), (None, None));
    }

    #[test]
    fn a_network_that_begins_without_end_pushes_out_its_own_and_nobody_elses() {
        let pending = Pending::new(4, Duration::from_mins(1));
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        pending.put("first".into(), other, 0_u16);
        for at in 0..100_u16 {
            let flood: IpAddr = format!("2001:db8::{at:x}").parse().unwrap();
            pending.put(at.to_string(), flood, at);
        }
        pending.put("second".into(), other, 1);
        assert_eq!((pending.see("first"), pending.see("second"), pending.see("99")), (Some(0), Some(1), Some(99)));
    }

    #[test]
    fn a_network_that_tries_without_end_is_stopped_and_others_are_not() {
        let attempts = Attempts::default();
        let one = |at: u32| -> IpAddr { format!("2001:db8::{at:x}").parse().unwrap() };
        assert!((0..ATTEMPTS_A_MINUTE).all(|at| attempts.pass(one(at))));
        assert!(!attempts.pass(one(99)) && attempts.pass("2001:db8:0:1::1".parse().unwrap()));
        assert!(attempts.pass(HOME));
        // Many networks do not let the one that was stopped begin anew.
        let many = (0..u32::try_from(NETWORKS_MAX / 2).unwrap()).map(|at| IpAddr::from(Ipv4Addr::from_bits(at)));
        many.for_each(|from| assert!(attempts.pass(from)));
        assert!(!attempts.pass(one(1)));
    }
}
