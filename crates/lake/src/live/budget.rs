//! Memory that all live tables share.
//!
//! Owns: [`Budget`], a counter with a bound. Never frees anything itself: a table that applies changes while the
//! budget is exceeded stages its own tail.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes in memory that tails may use together, unless told otherwise.
pub const BUDGET_BYTES: usize = 128 << 20;

/// A shared bound on bytes in memory. Clones are the same budget.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    used: AtomicUsize,
    most: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(BUDGET_BYTES)
    }
}

impl Budget {
    /// A budget of `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { shared: Arc::new(Shared { used: AtomicUsize::new(0), most }) }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Whether more is in use than allowed.
    pub fn exceeded(&self) -> bool {
        self.used() > self.shared.most
    }

    /// A share of this budget that starts at 0 bytes and is given back when dropped.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), held: AtomicUsize::new(0) }
    }
}

/// One table's part of a budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    held: AtomicUsize,
}

impl Share {
    /// Says how much this table holds now.
    pub(crate) fn set(&self, bytes: usize) {
        let before = self.held.swap(bytes, Ordering::Relaxed);
        let used = &self.budget.shared.used;
        if bytes >= before {
            used.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            used.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }

    /// What this table holds.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether all tables together hold too much.
    pub(crate) fn exceeded(&self) -> bool {
        self.budget.exceeded()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let budget = Budget::new(100);
        let (one, two) = (budget.share(), budget.share());
        one.set(70);
        two.set(40);
        assert!(budget.exceeded());
        two.set(10);
        assert_eq!((budget.used(), budget.exceeded()), (80, false));
        drop(one);
        assert_eq!(budget.used(), 10);
    }
}
