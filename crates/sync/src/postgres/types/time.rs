//! Dates, timestamps and times of day, from both forms.
//!
//! Owns: PostgreSQL's epoch, its ISO text, and the rule for what the lake cannot hold: infinities, BC and years after
//! 9999 become null and are counted. Never guesses a time zone: sessions run in UTC and the text's offset is obeyed.

use std::fmt::Write;

use super::scalar::{Fit, Raw, exact};
use crate::postgres::{error::CellFault, pgoutput::EPOCH_2000_US};

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_2000_DAYS: i64 = 10_957;
/// 0001-01-01.
const DAYS_MIN: i64 = -719_162;
/// 9999-12-31.
const DAYS_MAX: i64 = 2_932_896;
const DAY_US: i64 = 86_400_000_000;
const SECOND_US: i64 = 1_000_000;

const DATE_MALFORMED: CellFault = CellFault::Malformed("a date in ISO style");
const TIMESTAMP_MALFORMED: CellFault = CellFault::Malformed("a timestamp in ISO style");
const TIME_MALFORMED: CellFault = CellFault::Malformed("a time of day");

/// Reads the binary date: days since 2000-01-01, the ends of the range being the infinities.
pub(crate) fn date_binary(days: i32) -> Fit<i32> {
    match days {
        i32::MIN | i32::MAX => Fit::Infinite,
        days => day_in_range(i64::from(days) + EPOCH_2000_DAYS),
    }
}

fn day_in_range(days: i64) -> Fit<i32> {
    match i32::try_from(days) {
        Ok(day) if (DAYS_MIN..=DAYS_MAX).contains(&days) => Fit::Value(day),
        _ => Fit::OutOfRange,
    }
}

/// Reads the binary timestamp: microseconds since 2000-01-01, the ends of the range being the infinities.
pub(crate) fn timestamp_binary(micros: i64) -> Fit<i64> {
    match micros {
        i64::MIN | i64::MAX => Fit::Infinite,
        micros => micros.checked_add(EPOCH_2000_US).map_or(Fit::OutOfRange, micros_in_range),
    }
}

fn micros_in_range(micros: i64) -> Fit<i64> {
    if (DAYS_MIN..=DAYS_MAX).contains(&micros.div_euclid(DAY_US)) { Fit::Value(micros) } else { Fit::OutOfRange }
}

/// Reads `2024-02-29`, `infinity`, `0044-03-15 BC`.
pub(crate) fn date_text(text: &[u8]) -> Result<Fit<i32>, CellFault> {
    if is_infinity(text) {
        return Ok(Fit::Infinite);
    }
    let mut cursor = Cursor { rest: text, malformed: DATE_MALFORMED };
    let (days, four_digit_year) = cursor.date()?;
    if cursor.ends_before_christ()? || !four_digit_year {
        return Ok(Fit::OutOfRange);
    }
    Ok(day_in_range(days))
}

/// Reads `2024-02-29 12:34:56.789`, with or without an offset such as `+00` or `-03:30`.
pub(crate) fn timestamp_text(text: &[u8]) -> Result<Fit<i64>, CellFault> {
    if is_infinity(text) {
        return Ok(Fit::Infinite);
    }
    let mut cursor = Cursor { rest: text, malformed: TIMESTAMP_MALFORMED };
    let (days, _) = cursor.date()?;
    if !cursor.eat(b' ') && !cursor.eat(b'T') {
        return Err(TIMESTAMP_MALFORMED);
    }
    let time = cursor.time_of_day()?;
    let offset = cursor.offset()?.unwrap_or(0);
    if cursor.ends_before_christ()? {
        return Ok(Fit::OutOfRange);
    }
    let micros = days.checked_mul(DAY_US).and_then(|start| start.checked_add(time - offset * SECOND_US));
    Ok(micros.map_or(Fit::OutOfRange, micros_in_range))
}

fn is_infinity(text: &[u8]) -> bool {
    matches!(text, b"infinity" | b"-infinity")
}

/// Writes a time of day as `HH:MM:SS.ffffff`; 24:00:00 does not fit.
pub(crate) fn write_time(raw: Raw<'_>, out: &mut String) -> Result<Fit<()>, CellFault> {
    let micros = match raw {
        Raw::Binary(bytes) => i64::from_be_bytes(exact(bytes, "8 bytes")?),
        Raw::Text(text) => {
            let mut cursor = Cursor { rest: text, malformed: TIME_MALFORMED };
            let micros = cursor.time_of_day()?;
            cursor.end()?;
            micros
        }
    };
    write_clock(micros, out)
}

/// Writes a time with zone as the time of day in UTC.
pub(crate) fn write_timetz(raw: Raw<'_>, out: &mut String) -> Result<Fit<()>, CellFault> {
    let (micros, offset) = match raw {
        Raw::Binary(bytes) => {
            let (time, west) = bytes.split_first_chunk::<8>().ok_or(TIME_MALFORMED)?;
            let west = i32::from_be_bytes(exact(west, "12 bytes")?);
            (i64::from_be_bytes(*time), -i64::from(west))
        }
        Raw::Text(text) => {
            let mut cursor = Cursor { rest: text, malformed: TIME_MALFORMED };
            let micros = cursor.time_of_day()?;
            let offset = cursor.offset()?.ok_or(TIME_MALFORMED)?;
            cursor.end()?;
            (micros, offset)
        }
    };
    if micros == DAY_US {
        return Ok(Fit::OutOfRange);
    }
    if !(0..DAY_US).contains(&micros) {
        return Err(TIME_MALFORMED);
    }
    write_clock((micros - offset * SECOND_US).rem_euclid(DAY_US), out)
}

fn write_clock(micros: i64, out: &mut String) -> Result<Fit<()>, CellFault> {
    match micros {
        DAY_US => Ok(Fit::OutOfRange),
        0..DAY_US => {
            let seconds = micros / SECOND_US;
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let _ = write!(out, "{hour:02}:{minute:02}:{second:02}.{:06}", micros % SECOND_US);
            Ok(Fit::Value(()))
        }
        _ => Err(TIME_MALFORMED),
    }
}

/// Writes a binary date as the server prints it in ISO style.
pub(crate) fn write_date_iso(days: i32, out: &mut String) {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        days => {
            let (year, month, day) = civil_from_days(i64::from(days) + EPOCH_2000_DAYS);
            let (shown, before_christ) = if year > 0 { (year, false) } else { (1 - year, true) };
            let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
            if before_christ {
                out.push_str(" BC");
            }
        }
    }
}

/// Writes a binary timestamp as the server prints it in ISO style; `offset` is `+00` for one with zone, else empty.
pub(crate) fn write_timestamp_iso(micros: i64, offset: &str, out: &mut String) {
    match micros {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        micros => {
            let (year, month, day) = civil_from_days(micros.div_euclid(DAY_US) + EPOCH_2000_DAYS);
            let clock = micros.rem_euclid(DAY_US);
            let (shown, before_christ) = if year > 0 { (year, false) } else { (1 - year, true) };
            let seconds = clock / SECOND_US;
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let _ = write!(out, "{shown:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            write_fraction(clock % SECOND_US, out);
            out.push_str(offset);
            if before_christ {
                out.push_str(" BC");
            }
        }
    }
}

/// Writes days since 1970-01-01 as `YYYY-MM-DD`.
pub(crate) fn write_date(days: i32, out: &mut String) {
    let (year, month, day) = civil_from_days(i64::from(days));
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// Writes microseconds since 1970-01-01 UTC in RFC 3339 form, with `zone` behind it.
pub(crate) fn write_timestamp(micros: i64, zone: &str, out: &mut String) {
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY_US));
    let clock = micros.rem_euclid(DAY_US);
    let seconds = clock / SECOND_US;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    write_fraction(clock % SECOND_US, out);
    out.push_str(zone);
}

/// Writes microseconds as a fraction without zeros at its end; nothing for 0.
fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in 400-year eras from March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Walks ISO text.
struct Cursor<'a> {
    rest: &'a [u8],
    malformed: CellFault,
}

impl Cursor<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn need(&mut self, byte: u8) -> Result<(), CellFault> {
        if self.eat(byte) { Ok(()) } else { Err(self.malformed) }
    }

    /// Reads one to seven digits; gives their number too.
    fn number(&mut self) -> Result<(i64, usize), CellFault> {
        let mut value = 0;
        let mut count = 0;
        while let Some((&digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            if count == 7 {
                return Err(self.malformed);
            }
            value = value * 10 + i64::from(digit - b'0');
            count += 1;
            self.rest = rest;
        }
        if count == 0 { Err(self.malformed) } else { Ok((value, count)) }
    }

    fn two_digits(&mut self, max: i64) -> Result<i64, CellFault> {
        match self.number()? {
            (value, 2) if value <= max => Ok(value),
            _ => Err(self.malformed),
        }
    }

    /// Reads year, month and day; the flag says whether the year had exactly four digits.
    fn date(&mut self) -> Result<(i64, bool), CellFault> {
        let (year, digits) = self.number()?;
        self.need(b'-')?;
        let month = self.two_digits(12)?;
        self.need(b'-')?;
        let day = self.two_digits(31)?;
        if month == 0 || day == 0 {
            return Err(self.malformed);
        }
        Ok((days_from_civil(year, month, day), digits == 4))
    }

    /// Reads `HH:MM:SS[.f]` as microseconds.
    fn time_of_day(&mut self) -> Result<i64, CellFault> {
        let hour = self.two_digits(24)?;
        self.need(b':')?;
        let minute = self.two_digits(59)?;
        self.need(b':')?;
        let second = self.two_digits(60)?;
        let mut micros = ((hour * 60 + minute) * 60 + second) * SECOND_US;
        if self.eat(b'.') {
            let (fraction, digits) = self.number()?;
            let mut unit = fraction;
            for _ in digits..6 {
                unit *= 10;
            }
            if digits > 6 {
                return Err(self.malformed);
            }
            micros += unit;
        }
        Ok(micros)
    }

    /// Reads `+HH[:MM[:SS]]` as seconds east of UTC.
    fn offset(&mut self) -> Result<Option<i64>, CellFault> {
        let east = match (self.eat(b'+'), self.eat(b'-')) {
            (true, _) => 1,
            (_, true) => -1,
            _ => return Ok(None),
        };
        let mut seconds = self.two_digits(24)? * 3600;
        if self.eat(b':') {
            seconds += self.two_digits(59)? * 60;
        }
        if self.eat(b':') {
            seconds += self.two_digits(59)?;
        }
        Ok(Some(east * seconds))
    }

    fn ends_before_christ(&mut self) -> Result<bool, CellFault> {
        match self.rest {
            b"" => Ok(false),
            b" BC" => Ok(true),
            _ => Err(self.malformed),
        }
    }

    fn end(&self) -> Result<(), CellFault> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed) }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, date};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_the_calendar_are_where_they_should_be() {
        let days = |date: Date| (date - jiff::civil::date(1970, 1, 1)).get_days();
        assert_eq!(i64::from(days(date(1, 1, 1))), DAYS_MIN);
        assert_eq!(i64::from(days(date(9999, 12, 31))), DAYS_MAX);
        assert_eq!(i64::from(days(date(2000, 1, 1))), EPOCH_2000_DAYS);
    }

    #[test]
    fn what_the_lake_cannot_hold_is_named_not_bent() {
        for (text, expected) in [
            ("infinity", Fit::Infinite),
            ("-infinity", Fit::Infinite),
            ("0044-03-15 BC", Fit::OutOfRange),
            ("10000-01-01", Fit::OutOfRange),
            ("9999-12-31", Fit::Value(2_932_896)),
            ("0001-01-01", Fit::Value(-719_162)),
        ] {
            assert_eq!(date_text(text.as_bytes()), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("infinity", Fit::Infinite),
            ("0044-03-15 12:00:00 BC", Fit::OutOfRange),
            ("0044-03-15 12:00:00+00 BC", Fit::OutOfRange),
            ("10000-01-01 00:00:00", Fit::OutOfRange),
            ("1970-01-01 00:00:01.5", Fit::Value(1_500_000)),
            ("1970-01-01 09:00:00+09", Fit::Value(0)),
            ("1969-12-31 20:29:59.999999-03:30", Fit::Value(-1)),
        ] {
            assert_eq!(timestamp_text(text.as_bytes()), Ok(expected), "{text}");
        }
        for wrong in ["", "2024", "2024-13-01", "2024-00-01", "01/02/2024", "2024-01-01 x"] {
            assert!(date_text(wrong.as_bytes()).is_err(), "{wrong}");
            assert!(timestamp_text(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_of_day_have_six_decimals_and_24_does_not_fit() {
        for (text, expected) in [("01:02:03", "01:02:03.000000"), ("23:59:59.5", "23:59:59.500000")] {
            let mut out = String::new();
            assert_eq!(write_time(Raw::Text(text.as_bytes()), &mut out), Ok(Fit::Value(())));
            assert_eq!(out, expected);
        }
        assert_eq!(write_time(Raw::Text(b"24:00:00"), &mut String::new()), Ok(Fit::OutOfRange));
        let mut out = String::new();
        write_timetz(Raw::Text(b"01:00:00.25+09"), &mut out).unwrap();
        assert_eq!(out, "16:00:00.250000");
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse_and_agree_with_jiff(days in -719_162_i64..=2_932_896) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
            let known = date(1970, 1, 1).checked_add(jiff::Span::new().days(i32::try_from(days).unwrap())).unwrap();
            let ours = (i64::from(known.year()), i64::from(known.month()), i64::from(known.day()));
            prop_assert_eq!((year, month, day), ours);
        }

        #[test]
        fn printed_timestamps_read_back(micros in -60_000_000_000_000_000_i64..200_000_000_000_000_000) {
            let mut text = String::new();
            write_timestamp_iso(micros, "+00", &mut text);
            prop_assert_eq!(timestamp_text(text.as_bytes()), Ok(timestamp_binary(micros)));
        }
    }
}
