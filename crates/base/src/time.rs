//! Now, as the numbers that naru stores.
//!
//! Owns: the wall clock in the units of Delta (ms) and of timestamps (µs). Never knows a time zone.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC; 0 when the clock stands before it.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// Milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> i64 {
    now_us() / 1000
}
