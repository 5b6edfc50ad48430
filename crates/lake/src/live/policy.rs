//! When a tail is flushed.
//!
//! Owns: a pure decision on size, age and files touched. Never looks at a clock.

use std::time::Duration;

use naru_base::number::u64_from;

/// What is known of a tail when the decision is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TailFacts {
    /// Unflushed changes: new rows and dead rows.
    pub changes: u64,
    /// Bytes of it in memory.
    pub bytes: usize,
    /// Bytes of it in Parquet files that wait for a commit.
    pub staged_bytes: u64,
    /// How many such files there are.
    pub staged: usize,
    /// Committed files that get a new deletion vector with the flush, and days beyond the first that get a file of their
    /// own.
    pub files_touched: usize,
    /// About how many bytes those vectors take; each holds all dead rows of its file, not only the new ones.
    pub vector_bytes: u64,
    /// How long ago the oldest unflushed change was applied.
    pub age: Duration,
}

/// The bounds that make a flush due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushPolicy {
    /// A change waits this long when few files are touched.
    pub interval: Duration,
    /// No change waits longer than this, however many files are touched.
    pub interval_max: Duration,
    /// Added to the wait for each touched file: a touched file costs about 0.7 KB of log, so this bounds the log to
    /// about 11 KB a second, 1 GB a day.
    pub per_file: Duration,
    /// A flush waits until its vectors come to no more than this a second: they are kept as long as old versions are.
    pub vector_bytes_per_second: u64,
    /// More changes are flushed at once, so that a large transaction is durable, and acknowledged, soon after it is seen.
    pub changes_max: u64,
    /// More bytes, in memory and in files that wait for a commit, are flushed at once.
    pub bytes_max: u64,
    /// More staged segments are committed at once.
    pub staged_max: usize,
}

impl Default for FlushPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            interval_max: Duration::from_mins(5),
            per_file: Duration::from_millis(64),
            vector_bytes_per_second: 200_000,
            changes_max: 1_000_000,
            bytes_max: 64_000_000,
            staged_max: 16,
        }
    }
}

impl FlushPolicy {
    /// How long changes wait with so many committed files touched and so many bytes of vectors to write.
    pub fn wait(&self, files_touched: usize, vector_bytes: u64) -> Duration {
        let files = u32::try_from(files_touched).unwrap_or(u32::MAX);
        let vectors = vector_bytes.saturating_mul(1_000) / self.vector_bytes_per_second.max(1);
        let wait = self.per_file.saturating_mul(files).max(Duration::from_millis(vectors));
        wait.clamp(self.interval, self.interval_max.max(self.interval))
    }

    /// Whether a tail like this is to be flushed now.
    pub fn due(&self, facts: &TailFacts) -> bool {
        facts.changes > 0
            && (facts.changes > self.changes_max
                || u64_from(facts.bytes) + facts.staged_bytes > self.bytes_max
                || facts.staged > self.staged_max
                || facts.age >= self.wait(facts.files_touched, facts.vector_bytes))
    }

    /// Whether a flush of a tail like this is one of a backlog: a good part of what is flushed at once whatever its age.
    pub(crate) fn is_large(&self, facts: &TailFacts) -> bool {
        facts.changes > self.changes_max / LARGE || u64_from(facts.bytes) + facts.staged_bytes > self.bytes_max / LARGE
    }
}

/// The part of the bounds that makes a flush a large one, as a divisor. A slow machine flushes by age meanwhile.
const LARGE: u64 = 4;
/// A large flush says that more is to come for so long; so does a table that was just opened, for nobody knows yet.
const RUSH_LASTS_MS: i64 = 10_000;
/// After so many large flushes a table is looked after all the same. Each leaves a file or so of at most
/// [`FlushPolicy::bytes_max`] before it is encoded.
const RUSH_FLUSHES_MAX: u32 = 64;

/// Whether a table's source is catching up: then files are not rewritten, because the rest of the backlog needs the
/// processor, the memory and the flushes that would wait, and because many of the rows are about to die.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rush {
    flushes: u32,
    last_ms: i64,
}

impl Rush {
    /// A table that is opened at this time.
    pub(crate) fn opened(now_ms: i64) -> Self {
        Self { flushes: 1, last_ms: now_ms }
    }

    /// Notes a flush.
    pub(crate) fn flushed(&mut self, large: bool, now_ms: i64) {
        if large {
            self.flushes = if self.is_over(now_ms) { 1 } else { self.flushes.saturating_add(1) };
            self.last_ms = now_ms;
        }
    }

    /// Notes that files were rewritten: the next ones can wait again.
    pub(crate) fn compacted(&mut self) {
        self.flushes = self.flushes.min(1);
    }

    /// Whether rewriting files is put off.
    pub(crate) fn is_on(&self, now_ms: i64) -> bool {
        (1..RUSH_FLUSHES_MAX).contains(&self.flushes) && !self.is_over(now_ms)
    }

    fn is_over(&self, now_ms: i64) -> bool {
        now_ms >= self.last_ms.saturating_add(RUSH_LASTS_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(files_touched: usize, age_s: u64) -> TailFacts {
        TailFacts { changes: 1, files_touched, age: Duration::from_secs(age_s), ..TailFacts::default() }
    }

    #[test]
    fn the_wait_grows_with_the_files_touched_between_its_bounds() {
        let policy = FlushPolicy::default();
        for (files, wait_ms) in [(0, 5_000), (50, 5_000), (200, 12_800), (1_000, 64_000), (1_000_000, 300_000)] {
            assert_eq!(policy.wait(files, 0), Duration::from_millis(wait_ms), "{files} files");
        }
    }

    #[test]
    fn the_wait_grows_with_the_bytes_of_vectors() {
        let policy = FlushPolicy::default();
        assert_eq!(policy.wait(1, 900_000), Duration::from_secs(5));
        assert_eq!(policy.wait(1, 2_000_000), Duration::from_secs(10));
        assert_eq!(policy.wait(1, u64::MAX), Duration::from_mins(5));
    }

    #[test]
    fn size_and_age_make_a_flush_due_and_an_empty_tail_never_is() {
        let policy = FlushPolicy::default();
        assert!(!policy.due(&facts(1, 4)));
        assert!(policy.due(&facts(1, 5)));
        assert!(!policy.due(&facts(1_000, 60)));
        assert!(policy.due(&facts(1_000, 64)));
        assert!(policy.due(&TailFacts { bytes: 1, staged_bytes: policy.bytes_max, ..facts(1_000, 0) }));
        assert!(policy.due(&TailFacts { staged: policy.staged_max + 1, ..facts(1_000, 0) }));
        assert!(policy.due(&TailFacts { changes: policy.changes_max + 1, ..facts(1_000, 0) }));
        assert!(!policy.due(&TailFacts { changes: 0, ..facts(0, 1_000) }));
    }

    #[test]
    fn a_day_of_flushes_over_many_files_stays_below_a_gigabyte_of_log() {
        let policy = FlushPolicy::default();
        for files in [1_u64, 50, 200, 1_000, 4_000] {
            let wait = policy.wait(usize::try_from(files).unwrap(), 0).as_millis();
            let flushes = 86_400_000 / wait;
            assert!(flushes * u128::from(files) * 700 <= 1_000_000_000, "{files} files");
        }
    }

    #[test]
    fn a_backlog_puts_rewriting_files_off_but_not_for_ever() {
        let policy = FlushPolicy::default();
        assert!(policy.is_large(&TailFacts { changes: 300_000, ..facts(1, 0) }));
        assert!(policy.is_large(&TailFacts { staged_bytes: 20_000_000, ..facts(1, 0) }));
        assert!(!policy.is_large(&TailFacts { changes: 10_000, bytes: 1_000_000, ..facts(1, 0) }));
        let mut rush = Rush::default();
        rush.flushed(false, 1_000);
        assert!(!rush.is_on(1_000));
        rush.flushed(true, 1_000);
        assert!(rush.is_on(10_999) && !rush.is_on(11_000), "over when nothing large has come for a while");
        assert!(Rush::opened(1_000).is_on(10_999) && !Rush::opened(1_000).is_on(11_000), "just opened");
        for flush in 0..62 {
            rush.flushed(true, 2_000 + flush * 1_000);
        }
        assert!(rush.is_on(63_000));
        rush.flushed(true, 64_000);
        assert!(!rush.is_on(64_000), "the files have become many");
        rush.compacted();
        assert!(rush.is_on(64_000), "one piece, and the backlog goes on");
    }
}
