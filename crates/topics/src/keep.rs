//! What of the log is still needed.
//!
//! Owns: the pure decision up to where a topic's events may be forgotten, and the samples of time and offset that it
//! and the rates go by. Never trims.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How long events stay on the log at least, whoever has read them, so that a subscription can go back and a mended
/// table can be filled again.
pub(crate) const LOG_RETENTION: Duration = Duration::from_hours(24);
/// Samples kept a topic: one every few minutes over the retention.
const SAMPLES_MAX: usize = 512;
/// Rates are over at least so long.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Where the end of a topic was at which moment of this process, oldest first. What was there before the start counts
/// from the start, which keeps it longer and never shorter.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    seen: VecDeque<(Instant, u64)>,
    /// The newest ones, for the rate.
    recent: VecDeque<(Instant, u64)>,
}

impl Samples {
    /// Notes where the end is now.
    pub(crate) fn note(&mut self, now: Instant, end: u64) {
        self.recent.push_back((now, end));
        while self.recent.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER) {
            self.recent.pop_front();
        }
        let apart = LOG_RETENTION / u32::try_from(SAMPLES_MAX).unwrap_or(u32::MAX);
        if self.seen.back().is_none_or(|(at, _)| now.duration_since(*at) >= apart) {
            self.seen.push_back((now, end));
        }
    }

    /// Events a second lately.
    pub(crate) fn rate(&self) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.recent.front(), self.recent.back()) else { return 0.0 };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds <= 0.0 { 0.0 } else { naru_base::number::f64_from(last.saturating_sub(*first)) / seconds }
    }

    /// The end as it was one retention ago; older samples are forgotten.
    pub(crate) fn past(&mut self, now: Instant) -> u64 {
        let old = |at: &(Instant, u64)| now.duration_since(at.0) >= LOG_RETENTION;
        while self.seen.get(1).is_some_and(old) {
            self.seen.pop_front();
        }
        self.seen.front().filter(|at| old(at)).map_or(0, |(_, end)| *end)
    }
}

/// The offset before which events of a topic may be forgotten: before what every reader needs, and past the retention.
pub(crate) fn floor(past: u64, holds: impl IntoIterator<Item = u64>) -> u64 {
    holds.into_iter().fold(past, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_for_every_reader_and_for_the_retention() {
        let start = Instant::now();
        let mut samples = Samples::default();
        samples.note(start, 100);
        samples.note(start + Duration::from_hours(1), 200);
        samples.note(start + Duration::from_hours(25), 300);
        assert_eq!(samples.past(start + Duration::from_hours(23)), 0);
        assert_eq!(samples.past(start + Duration::from_hours(24)), 100);
        assert_eq!(samples.past(start + Duration::from_hours(26)), 200);
        assert_eq!(floor(200, [150, 180]), 150);
        assert_eq!(floor(200, []), 200);
        assert_eq!(floor(200, [1_000]), 200);
    }

    #[test]
    fn the_rate_is_of_the_last_seconds() {
        let start = Instant::now();
        let mut samples = Samples::default();
        assert!(samples.rate() < f64::EPSILON);
        for second in 0..60 {
            samples.note(start + Duration::from_secs(second), second * 10);
        }
        assert!((samples.rate() - 10.0).abs() < 0.01);
        samples.note(start + Duration::from_secs(75), 590);
        assert!(samples.rate() < 1.0);
    }
}
