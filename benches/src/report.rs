//! Prints results as lines that can be read by eye and by `grep`.
//!
//! Owns: the form. Never rounds a ratio in favour of anyone.

use std::time::Duration;

/// One measured line: what, how long, and per second where `count` says of how many.
pub fn line(what: &str, took: Duration, count: Option<u64>) {
    let seconds = took.as_secs_f64();
    match count {
        Some(count) => println!("{what:<44} {seconds:>9.3} s {:>12.0} rows/s", decimal(count) / seconds),
        None => println!("{what:<44} {seconds:>9.3} s"),
    }
}

/// A ratio beside what it should reach.
pub fn ratio(what: &str, value: f64, reach: &str) {
    println!("{what:<44} {value:>9.3}   (reach {reach})");
}

/// Any other fact.
pub fn fact(what: &str, value: impl std::fmt::Display) {
    println!("{what:<44} {value:>9}");
}

/// The value below which `percent` of the sorted values lie; zero when there are none.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// A count as a floating-point number, exact up to 2^53.
#[allow(clippy::as_conversions, clippy::cast_precision_loss)]
pub fn decimal(count: u64) -> f64 {
    count as f64
}
