//! Dates and times by their text.
//!
//! Owns: the forms that DATE, DATETIME, TIME and TIMESTAMP take, within 0001-01-01 … 9999-12-31. Microseconds are kept
//! and finer digits are cut, as every column of the lake keeps time. Never guesses a form: no slashes, no names of months
//! or zones. `None` always means that the text is not of the type.

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// 0001-01-01T00:00:00Z.
pub(super) const INSTANT_US_MIN: i64 = -719_162 * DAY_US;
/// 9999-12-31T23:59:59.999999Z.
pub(super) const INSTANT_US_MAX: i64 = 2_932_897 * DAY_US - 1;

/// `YYYY-[M]M-[D]D` as days since 1970-01-01.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let mut cursor = Cursor(text);
    let days = cursor.date()?;
    cursor.end()?;
    i32::try_from(days).ok()
}

/// `[H]H:[M]M[:[S]S[.f]]` in microseconds.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(text);
    let micros = cursor.clock()?;
    cursor.end()?;
    Some(micros)
}

/// A date, alone or with `T` or a space and a time, and no zone: microseconds as if it were UTC.
pub(super) fn datetime(text: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(text);
    let micros = cursor.date_and_clock()?;
    cursor.end()?;
    Some(micros)
}

/// As [`datetime`] with a zone behind it: `Z`, `±HH[:MM]`, ` UTC`; without one it is UTC.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(text);
    let micros = cursor.date_and_clock()?;
    let offset = cursor.zone()?;
    cursor.end()?;
    let micros = micros - offset * SECOND_US;
    (INSTANT_US_MIN..=INSTANT_US_MAX).contains(&micros).then_some(micros)
}

/// Writes `HH:MM:SS.ffffff` behind `out`, as the lake stores a TIME.
pub(super) fn write_clock(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / SECOND_US;
    let two = |value: i64, out: &mut Vec<u8>| write_digits(value, 10, out);
    two(seconds / 3600, out);
    out.push(b':');
    two(seconds / 60 % 60, out);
    out.push(b':');
    two(seconds % 60, out);
    out.push(b'.');
    write_digits(micros % SECOND_US, 100_000, out);
}

fn write_digits(value: i64, mut place: i64, out: &mut Vec<u8>) {
    while place > 0 {
        out.push(b'0' + u8::try_from(value / place % 10).unwrap_or(0));
        place /= 10;
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in 400-year eras from March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// What is left of the text.
struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// Between `least` and `most` digits, as many as there are.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let length = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if length < least {
            return None;
        }
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.number(4, 4)?;
        let month = self.take(b'-').then(|| self.number(1, 2))??;
        let day = self.take(b'-').then(|| self.number(1, 2))??;
        let sound = year >= 1 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
        sound.then(|| days_from_civil(year, month, day))
    }

    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(1, 2)?;
        let minute = self.take(b':').then(|| self.number(1, 2))??;
        let mut second = 0;
        let mut micros = 0;
        if self.take(b':') {
            second = self.number(1, 2)?;
            if self.take(b'.') {
                micros = self.fraction()?;
            }
        }
        (hour < 24 && minute < 60 && second < 60).then(|| ((hour * 60 + minute) * 60 + second) * SECOND_US + micros)
    }

    /// At least one digit; the first six count.
    fn fraction(&mut self) -> Option<i64> {
        let before = self.0.len();
        let mut micros = self.number(1, 6)?;
        for _ in before - self.0.len()..6 {
            micros *= 10;
        }
        while self.0.first().is_some_and(u8::is_ascii_digit) {
            self.number(1, 6)?;
        }
        Some(micros)
    }

    fn date_and_clock(&mut self) -> Option<i64> {
        let days = self.date()?;
        let clock = match self.0 {
            [b'T' | b't' | b' ', b'0'..=b'9', ..] => {
                self.0 = self.0.get(1..)?;
                self.clock()?
            }
            _ => 0,
        };
        Some(days * DAY_US + clock)
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        match self.0 {
            [] => return Some(0),
            [b'Z' | b'z'] | [b' ', b'U', b'T', b'C'] => {
                self.0 = &[];
                return Some(0);
            }
            [b' ', b'+' | b'-', ..] => self.0 = self.0.get(1..)?,
            _ => {}
        }
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return None,
        };
        self.0 = self.0.get(1..)?;
        let hour = self.number(1, 2)?;
        let colon = self.take(b':');
        let minute = if colon || !self.0.is_empty() { self.number(2, 2)? } else { 0 };
        (hour <= 23 && minute < 60).then_some(sign * (hour * 60 + minute) * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike as _, Duration, NaiveDate, SecondsFormat};
    use proptest::prelude::*;

    #[test]
    fn the_forms_of_a_timestamp() {
        let noon = 1_700_000_000_123_456;
        for text in [
            "2023-11-14T22:13:20.123456Z",
            "2023-11-14t22:13:20.123456789z",
            "2023-11-14 22:13:20.123456 UTC",
            "2023-11-14 22:13:20.123456",
            "2023-11-15T07:13:20.123456+09:00",
            "2023-11-15T07:13:20.123456+09",
            "2023-11-15 07:13:20.123456 +0900",
            "2023-11-14T17:43:20.123456-04:30",
        ] {
            assert_eq!(timestamp(text.as_bytes()), Some(noon), "{text}");
        }
        assert_eq!(timestamp(b"1970-1-2"), Some(DAY_US));
        for text in [
            "",
            "2023",
            "2023-02-30",
            "2023-13-01",
            "0000-01-01",
            "10000-01-01",
            "2023-11-14T24:00:00Z",
            "2023-11-14T23:60:00Z",
            "2023-11-14T23:59:60Z",
            "2023-11-14T23:59:59.Z",
            "2023-11-14T23:59:59Zx",
            "2023-11-14T23:59:59+9:0",
            "2023-11-14T23:59:59+24:00",
            "2023-11-14T23:59:59 Asia/Seoul",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "23/11/14",
        ] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
        assert_eq!(datetime(b"2023-11-14T22:13:20.123456Z"), None);
        assert_eq!(datetime(b"2023-11-14T22:13:20.123456"), Some(noon));
        assert_eq!(timestamp(b"0001-01-01T00:00:00Z"), Some(INSTANT_US_MIN));
        assert_eq!(timestamp(b"9999-12-31T23:59:59.999999Z"), Some(INSTANT_US_MAX));
    }

    #[test]
    fn a_time_is_written_with_six_digits() {
        for (text, written) in
            [("1:2:3", "01:02:03.000000"), ("23:59:59.9", "23:59:59.900000"), ("07:30", "07:30:00.000000")]
        {
            let mut out = Vec::new();
            write_clock(time(text.as_bytes()).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
        assert_eq!(time(b"24:00:00"), None);
    }

    proptest! {
        #[test]
        fn dates_and_instants_agree_with_chrono(micros in INSTANT_US_MIN..=INSTANT_US_MAX) {
            let known = DateTime::from_timestamp_micros(micros).unwrap();
            let text = known.to_rfc3339_opts(SecondsFormat::Micros, true);
            prop_assert_eq!(timestamp(text.as_bytes()), Some(micros), "{}", text);
            let day = known.date_naive();
            let text = format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day());
            let days = (day - NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()).num_days();
            prop_assert_eq!(date(text.as_bytes()).map(i64::from), Some(days));
            prop_assert_eq!(Duration::days(days).num_microseconds(), Some(days * DAY_US));
        }
    }
}
