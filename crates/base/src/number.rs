//! Conversions between integer widths that cannot go wrong on the machines naru runs on, and say so once.
//!
//! Owns: the few places where a width is narrowed by saturation. Never wraps silently.

/// Widens a length or index to 64 bits; `usize` is at most 64 bits wide on every supported target.
pub fn u64_from(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Converts to `usize`, at most `usize::MAX`.
pub fn usize_from(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Converts to a signed 64-bit count, at most `i64::MAX`.
pub fn i64_from(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a signed count that is never negative; a negative one becomes 0.
pub fn u64_from_signed(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Turns a count into a floating-point number for ratios and display; exact up to 2^53.
#[allow(clippy::as_conversions, clippy::cast_precision_loss)]
pub fn f64_from(value: u64) -> f64 {
    value as f64
}
