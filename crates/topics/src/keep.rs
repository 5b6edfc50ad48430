//! What of the log is still needed.
//!
//! Owns: the decision up to where a topic's events may be forgotten, and the samples of time and offset that rates go
//! by. Never trims.

use std::{collections::VecDeque, time::Duration};

use naru_base::time::now_us;
use tokio::time::Instant;

use crate::{
    log::{LogError, TopicLog, TopicNo},
    subscribe::offset_at,
};

/// How long events stay on the log at least, whoever has read them, unless their topic's file says otherwise: so that a
/// subscription can go back and a mended table can be filled again.
pub(crate) const LOG_RETENTION: Duration = Duration::from_hours(24);
/// Rates are over at least so long.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Where the end of a topic was at which moment lately, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    recent: VecDeque<(Instant, u64)>,
}

impl Samples {
    /// Notes where the end is now.
    pub(crate) fn note(&mut self, now: Instant, end: u64) {
        self.recent.push_back((now, end));
        while self.recent.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER) {
            self.recent.pop_front();
        }
    }

    /// Events a second lately.
    pub(crate) fn rate(&self) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.recent.front(), self.recent.back()) else { return 0.0 };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds <= 0.0 { 0.0 } else { naru_base::number::f64_from(last.saturating_sub(*first)) / seconds }
    }
}

/// The first offset of a topic that the retention keeps.
pub(crate) async fn past(log: &dyn TopicLog, topic: TopicNo, retention: Duration) -> Result<u64, LogError> {
    let start = log.bounds(topic).start;
    let kept = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    let since = now_us().saturating_sub(kept);
    let first = log.read(topic, start, 1).await?;
    // Mostly nothing is due, and one look says so.
    if first.events.first().is_none_or(|event| event.time_us >= since) {
        return Ok(start);
    }
    offset_at(log, topic, since).await
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
