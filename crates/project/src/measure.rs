//! Durations, sizes and hours as people write them.
//!
//! Owns: the text forms `5s`, `1h30m`, `400d`, `512MB`, `22:00-06:00` and [`HoursWindow`].
//! Never knows which setting it reads; messages do not quote the value.

use std::{fmt, time::Duration};

use jiff::civil::Time;

/// Parses `500ms`, `5s`, `90m`, `24h`, `2d`, `1w` and sums such as `1h30m`. A day is 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut total_ms: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !rest.is_empty() {
        let (count, after) = leading_number(rest)?;
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "" => return Err("a number has no unit".to_owned()),
            _ => return Err("units are ms, s, m, h, d, w".to_owned()),
        };
        total_ms = count
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(|| "it is too long".to_owned())?;
        rest = next.trim_start();
    }
    Ok(Duration::from_millis(total_ms))
}

/// Parses `64MB` (10^6) or `64MiB` (2^20); units B, KB, MB, GB, TB and KiB, MiB, GiB, TiB.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (count, unit) = leading_number(text.trim())?;
    let unit: u64 = match unit.trim() {
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "" => return Err("the number has no unit".to_owned()),
        _ => return Err("units are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned()),
    };
    count.checked_mul(unit).ok_or_else(|| "it is too large".to_owned())
}

/// A whole number at the start of a text, and what follows it.
fn leading_number(text: &str) -> Result<(u64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits.parse() {
        Ok(number) => Ok((number, rest)),
        Err(_) if digits.is_empty() => Err("a whole number and its unit are expected".to_owned()),
        Err(_) => Err("the number is too large".to_owned()),
    }
}

/// Hours of the day in the project's time zone, half-open; may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoursWindow {
    /// First minute that belongs to it.
    pub from: Time,
    /// First minute that does not.
    pub until: Time,
}

impl HoursWindow {
    /// Parses `22:00-06:00`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (from, until) = text.split_once('-').ok_or("two times are expected")?;
        let window = Self { from: clock(from)?, until: clock(until)? };
        if window.from == window.until {
            return Err("both times are the same, which leaves no hours".to_owned());
        }
        Ok(window)
    }

    /// Whether a time of day lies inside.
    pub fn contains(&self, time: Time) -> bool {
        if self.from < self.until {
            self.from <= time && time < self.until
        } else {
            time >= self.from || time < self.until
        }
    }
}

impl fmt::Display for HoursWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            self.from.hour(),
            self.from.minute(),
            self.until.hour(),
            self.until.minute()
        )
    }
}

/// `HH:MM`.
fn clock(text: &str) -> Result<Time, String> {
    let wrong = || "a time is written HH:MM, from 00:00 to 23:59".to_owned();
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    let part = |digits: &str| match digits.len() {
        1 | 2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i8>().ok(),
        _ => None,
    };
    let (hour, minute) = part(hour).zip(part(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_units_and_never_overflow() {
        for (text, ms) in
            [("5s", 5_000), ("500ms", 500), ("1h30m", 5_400_000), ("400d", 34_560_000_000), ("2w 1d", 1_296_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "5 parsecs", "-5s", "99999999999999999999s", "9999999999999999w", "5s5"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_know_decimal_and_binary_units() {
        assert_eq!(bytes("64MB"), Ok(64_000_000));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        for text in ["", "64", "64M", "MB", "99999999999TB", "1.5GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_may_pass_midnight() {
        let at = |hour, minute| Time::new(hour, minute, 0, 0).unwrap();
        let night = HoursWindow::parse("22:00-06:00").unwrap();
        assert!(night.contains(at(23, 0)) && night.contains(at(0, 0)) && night.contains(at(5, 59)));
        assert!(!night.contains(at(6, 0)) && !night.contains(at(12, 0)));
        let day = HoursWindow::parse("9:00 - 18:30").unwrap();
        assert!(day.contains(at(9, 0)) && !day.contains(at(18, 30)));
        assert_eq!(night.to_string(), "22:00-06:00");
        for text in ["", "22:00", "22-06", "24:00-06:00", "22:60-06:00", "05:00-05:00", "+2:00-06:00"] {
            assert!(HoursWindow::parse(text).is_err(), "{text}");
        }
    }
}
