//! How one subscription behaves.
//!
//! Owns: [`Settings`] and its limits. Never the words of a protocol: a door translates them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds a lease lasts when nobody says otherwise.
pub const ACK_DEADLINE_DEFAULT_S: u32 = 10;
/// The longest lease.
pub const ACK_DEADLINE_MAX_S: u32 = 600;
/// How long what is not acknowledged is kept, unless said otherwise: 7 days.
pub const RETENTION_DEFAULT_S: u64 = 7 * 24 * 3600;
/// Deliveries before an event goes to the dead-letter topic, unless said otherwise.
pub const ATTEMPTS_DEFAULT: u32 = 5;
/// The first wait of a retry policy that names none.
pub const BACKOFF_MIN_DEFAULT_MS: u64 = 10_000;
/// The longest wait of a retry policy that names none.
pub const BACKOFF_MAX_DEFAULT_MS: u64 = 600_000;

/// Where events go that were delivered too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// Name of the topic that takes a copy.
    pub topic: String,
    /// Deliveries before that, 5 to 100.
    pub attempts_max: u32,
}

/// Waits between deliveries of one event; each is twice the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The first, milliseconds.
    pub min_ms: u64,
    /// The longest, milliseconds.
    pub max_ms: u64,
}

impl Backoff {
    /// The wait after so many failures, from 1.
    pub fn wait(self, failures: u32) -> Duration {
        let doubled = self.min_ms.saturating_mul(1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX));
        Duration::from_millis(doubled.min(self.max_ms.max(self.min_ms)))
    }
}

/// How one subscription behaves. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Seconds of a lease, 10 to 600.
    pub ack_deadline_s: u32,
    /// Keeps acknowledged events on the log for the retention, so that a seek finds them.
    pub retain_acked: bool,
    /// Seconds after which an event that nobody acknowledged is given up.
    pub retention_s: u64,
    /// Events with the same ordering key are delivered in their order.
    pub ordered: bool,
    /// Text of the filter; empty for none.
    pub filter: String,
    /// An acknowledgement that was confirmed holds, and one that cannot hold fails.
    pub exactly_once: bool,
    /// Where events go that were delivered too often.
    pub dead_letters: Option<DeadLetters>,
    /// Waits between deliveries; at once without.
    pub backoff: Option<Backoff>,
    /// It takes no more from its topic, and gives nothing.
    pub detached: bool,
    /// Its topic is gone. One of the same name later is another.
    pub topic_deleted: bool,
}

impl Settings {
    /// Whether it takes nothing from the log any more.
    pub fn takes_nothing(&self) -> bool {
        self.detached || self.topic_deleted
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_deadline_s: ACK_DEADLINE_DEFAULT_S,
            retain_acked: false,
            retention_s: RETENTION_DEFAULT_S,
            ordered: false,
            filter: String::new(),
            exactly_once: false,
            dead_letters: None,
            backoff: None,
            detached: false,
            topic_deleted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { min_ms: 100, max_ms: 1000 };
        let waits: Vec<_> = (1..7).map(|failures| backoff.wait(failures).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.wait(500).as_millis(), 1000);
    }
}
