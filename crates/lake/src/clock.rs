//! What time it is for the lake.
//!
//! Owns: [`Clock`], which every age in the lake is measured by: retention, restore points, maintenance. A simulated day
//! lends its own. Never sleeps.

use std::{fmt, sync::Arc, time::Duration};

use naru_base::number::i64_from;
use parking_lot::Mutex;

use crate::retention::ms;

/// Tells the time in milliseconds since 1970.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now_ms(&self) -> i64;

    /// When an object was written that the store says was last modified then.
    fn written_ms(&self, last_modified_ms: i64) -> i64 {
        last_modified_ms
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64_from(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that is moved by hand, for a day that passes in minutes. Clones are the same clock.
///
/// An object counts as written at the simulated time that it was when the machine wrote it.
#[derive(Debug, Clone)]
pub struct SimulatedClock {
    /// Machine time at which each simulated time began, in order.
    steps: Arc<Mutex<Vec<(i64, i64)>>>,
}

impl Default for SimulatedClock {
    fn default() -> Self {
        let now = MachineClock.now_ms();
        Self { steps: Arc::new(Mutex::new(vec![(now, now)])) }
    }
}

impl SimulatedClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let machine = MachineClock.now_ms();
        let mut steps = self.steps.lock();
        let now = steps.last().map_or(machine, |(_, simulated)| *simulated).saturating_add(ms(by));
        match steps.last_mut() {
            Some(last) if last.0 == machine => last.1 = now,
            _ => steps.push((machine, now)),
        }
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        self.steps.lock().last().map_or(0, |(_, simulated)| *simulated)
    }

    fn written_ms(&self, last_modified_ms: i64) -> i64 {
        let steps = self.steps.lock();
        let after = steps.partition_point(|(machine, _)| *machine <= last_modified_ms);
        steps.get(after.saturating_sub(1)).map_or(last_modified_ms, |(_, simulated)| *simulated)
    }
}
