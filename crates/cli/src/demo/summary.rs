//! What the demo says at its end, and whether it went well.
//!
//! Owns: the verdict and its text. Never measures.

use std::time::Duration;

use naru_flow::run::{RunReport, RunState};
use serde_json::Value;

use crate::words::compare as compare_text;

/// Runs of marts during the demo.
#[derive(Debug, Default)]
pub struct Marts {
    published: usize,
    bad: Vec<String>,
}

impl Marts {
    /// Adds a run.
    pub fn add(&mut self, report: RunReport) {
        for mart in &report.marts {
            match &mart.cause {
                None => self.published += 1,
                Some(cause) => self.bad.push(format!("{}: {cause}", mart.mart)),
            }
        }
        if report.state != RunState::Done && self.bad.is_empty() {
            self.bad.push(format!("run {} ended {}", report.run, report.state.word()));
        }
    }
}

/// Everything the demo found.
#[derive(Debug)]
pub struct Summary {
    /// Time until every table was live.
    pub copied: Duration,
    /// Rows the workload changed.
    pub changes: u64,
    /// Source commit to visible in SQL, sorted.
    pub freshness: Vec<Duration>,
    /// Runs of marts.
    pub marts: Marts,
    /// Source against lake.
    pub compared: Value,
}

impl Summary {
    /// Whether nothing differs, nothing failed and something was measured.
    pub fn good(&self) -> bool {
        compare_text::equal(&self.compared) && self.marts.bad.is_empty() && !self.freshness.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::from("\nsource and lake at one commit\n");
        text.push_str(&compare_text::text(&self.compared));
        text += &format!(
            "\nlive after {:.1} s; {} rows changed by the workload\nfreshness, commit to visible in SQL: p50 {} ms, p99 {} ms ({} heartbeats)\nmarts published: {}\n",
            self.copied.as_secs_f64(),
            self.changes,
            percentile(&self.freshness, 50).as_millis(),
            percentile(&self.freshness, 99).as_millis(),
            self.freshness.len(),
            self.marts.published
        );
        for bad in &self.marts.bad {
            text += &format!("mart not published: {bad}\n");
        }
        text.push_str(if self.good() { "\neverything is equal\n" } else { "\nSOMETHING IS WRONG\n" });
        text
    }
}

/// The value below which `percent` of a sorted list lie.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(50));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(99));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn a_difference_or_a_failed_mart_is_never_good() {
        let equal = serde_json::json!([{"tables": [{"equal": true}]}]);
        let differs = serde_json::json!([{"tables": [{"equal": true}, {"equal": false}]}]);
        let of = |compared, bad: &[&str]| Summary {
            copied: Duration::ZERO,
            changes: 1,
            freshness: vec![Duration::from_millis(1)],
            marts: Marts { published: 1, bad: bad.iter().map(|b| (*b).to_owned()).collect() },
            compared,
        };
        assert!(of(equal.clone(), &[]).good());
        assert!(!of(differs, &[]).good());
        assert!(!of(equal, &["finance.daily_sales"]).good());
    }
}
