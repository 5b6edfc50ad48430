//! How long to wait before trying again.
//!
//! Owns: exponential backoff with jitter. Never sleeps; the caller does.

use std::time::Duration;

use rand::Rng as _;

/// Exponential backoff between `first` and `most`, with up to a quarter of jitter.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits `first` after the first failure and doubles up to `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// Failures since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.tries.min(20)));
        self.tries = self.tries.saturating_add(1);
        let wait = doubled.min(self.most);
        wait.mul_f64(1.0 - rand::rng().random_range(0.0..0.25))
    }

    /// Starts again from the shortest wait.
    pub fn succeeded(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(75));
        assert!(waits[5] <= Duration::from_secs(1) && waits[5] >= Duration::from_millis(750));
        backoff.succeeded();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
