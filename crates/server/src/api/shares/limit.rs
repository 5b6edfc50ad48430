//! How often somebody may ask.
//!
//! Owns: [`Limiter`]: a count for each key and window of time. Bounded: when it knows too many keys it forgets those
//! whose window has passed, then all.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Keys that are remembered.
const KEYS_MAX: usize = 10_000;

/// Counts by key.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    windows: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Limiter {
    /// Counts one more for a key.
    ///
    /// # Errors
    /// After `most` within `window`: how long to wait.
    pub(super) fn count(&self, key: &str, most: u32, window: Duration, now: Instant) -> Result<(), Duration> {
        let mut windows = self.windows.lock();
        if windows.len() >= KEYS_MAX {
            windows.retain(|_, (began, _)| now.saturating_duration_since(*began) < window);
            if windows.len() >= KEYS_MAX {
                windows.clear();
            }
        }
        let (began, count) = windows.entry(key.to_owned()).or_insert((now, 0));
        if now.saturating_duration_since(*began) >= window {
            (*began, *count) = (now, 0);
        }
        if *count >= most {
            return Err(window.saturating_sub(now.saturating_duration_since(*began)));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_wait_for_the_next_window_and_others_do_not() {
        let (limiter, now, minute) = (Limiter::default(), Instant::now(), Duration::from_mins(1));
        for _ in 0..3 {
            assert_eq!(limiter.count("a", 3, minute, now), Ok(()));
        }
        assert_eq!(limiter.count("a", 3, minute, now + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(limiter.count("b", 3, minute, now), Ok(()));
        assert_eq!(limiter.count("a", 3, minute, now + minute), Ok(()));
        for n in 0..KEYS_MAX * 2 {
            assert_eq!(limiter.count(&n.to_string(), 3, minute, now), Ok(()));
        }
        assert!(limiter.windows.lock().len() <= KEYS_MAX);
    }
}
