//! The calendar and the clock: date parts, truncation, differences, time zones. Pure functions on days and microseconds.
//!
//! A date is days since 1970-01-01, a datetime microseconds since then without a zone, an instant the same in UTC.
//! All lie between the years 1 and 9999.

use std::str::FromStr as _;

use chrono::{
    DateTime, Datelike as _, Days, Months, NaiveDate, NaiveDateTime, Offset as _, TimeZone as _, Timelike as _, Weekday,
};
use chrono_tz::Tz;

use super::cell::Fail;

/// Microseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub(crate) const DAY: i64 = 24 * HOUR;

/// 0001-01-01 in days.
const FIRST_DAY: i64 = -719_162;
/// 9999-12-31 in days.
const LAST_DAY: i64 = 2_932_896;

/// A unit or an element of a date or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    /// Weeks that begin on a day; plain WEEK begins on Sunday.
    Week(Weekday),
    IsoWeek,
    Month,
    Quarter,
    Year,
    IsoYear,
    DayOfWeek,
    DayOfYear,
    Date,
    Time,
    Datetime,
}

impl Part {
    /// Reads a part's name: `MONTH`, `WEEK`, `WEEK(MONDAY)`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase().replace(' ', "");
        Some(match upper.as_str() {
            "MICROSECOND" => Self::Microsecond,
            "MILLISECOND" => Self::Millisecond,
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" => Self::Day,
            "WEEK" | "WEEK(SUNDAY)" => Self::Week(Weekday::Sun),
            "WEEK(MONDAY)" => Self::Week(Weekday::Mon),
            "WEEK(TUESDAY)" => Self::Week(Weekday::Tue),
            "WEEK(WEDNESDAY)" => Self::Week(Weekday::Wed),
            "WEEK(THURSDAY)" => Self::Week(Weekday::Thu),
            "WEEK(FRIDAY)" => Self::Week(Weekday::Fri),
            "WEEK(SATURDAY)" => Self::Week(Weekday::Sat),
            "ISOWEEK" => Self::IsoWeek,
            "MONTH" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" => Self::Year,
            "ISOYEAR" => Self::IsoYear,
            "DAYOFWEEK" => Self::DayOfWeek,
            "DAYOFYEAR" => Self::DayOfYear,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "DATETIME" => Self::Datetime,
            _ => return None,
        })
    }

    /// Microseconds of a unit of fixed length below a day.
    pub(crate) fn clock_unit(self) -> Option<i64> {
        Some(match self {
            Self::Microsecond => 1,
            Self::Millisecond => 1_000,
            Self::Second => SECOND,
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            _ => return None,
        })
    }
}

fn out_of_range() -> Fail {
    Fail::from("date or time is out of the range of years 1 to 9999")
}

/// Checks a number of days and makes it a DATE.
pub(crate) fn days(value: i64) -> Result<i32, Fail> {
    if (FIRST_DAY..=LAST_DAY).contains(&value) {
        i32::try_from(value).map_err(|_| out_of_range())
    } else {
        Err(out_of_range())
    }
}

/// Checks microseconds of a datetime or an instant.
pub(crate) fn micros(value: i64) -> Result<i64, Fail> {
    if (FIRST_DAY * DAY..(LAST_DAY + 1) * DAY).contains(&value) { Ok(value) } else { Err(out_of_range()) }
}

pub(crate) fn date(days: i32) -> Result<NaiveDate, Fail> {
    NaiveDate::from_epoch_days(days).ok_or_else(out_of_range)
}

pub(crate) fn date_days(date: NaiveDate) -> Result<i32, Fail> {
    days(i64::from(date.to_epoch_days()))
}

pub(crate) fn datetime(micros: i64) -> Result<NaiveDateTime, Fail> {
    DateTime::from_timestamp_micros(micros).map(|utc| utc.naive_utc()).ok_or_else(out_of_range)
}

/// The day that a datetime lies in.
pub(crate) fn day_of(micros: i64) -> Result<i32, Fail> {
    days(micros.div_euclid(DAY))
}

/// A calendar date, checked.
pub(crate) fn from_ymd(year: i64, month: i64, day: i64) -> Result<i32, Fail> {
    let fail = || Fail::from("not a date of the calendar");
    let year = i32::try_from(year).map_err(|_| fail())?;
    let month = u32::try_from(month).map_err(|_| fail())?;
    let day = u32::try_from(day).map_err(|_| fail())?;
    date_days(NaiveDate::from_ymd_opt(year, month, day).ok_or_else(fail)?)
}

/// A time of day, checked.
pub(crate) fn from_hms(hour: i64, minute: i64, second: i64) -> Result<i64, Fail> {
    if (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second) {
        return Ok(hour * HOUR + minute * MINUTE + second * SECOND);
    }
    Err("not a time of day".into())
}

/// Cuts a date down to the first day of a part.
pub(crate) fn truncate_date(value: i32, part: Part) -> Result<i32, Fail> {
    let day = date(value)?;
    let back = |from: Weekday| day.weekday().days_since(from);
    let first = match part {
        Part::Day => Some(day),
        Part::Week(start) => day.checked_sub_days(Days::new(back(start).into())),
        Part::IsoWeek => day.checked_sub_days(Days::new(back(Weekday::Mon).into())),
        Part::Month => day.with_day(1),
        Part::Quarter => NaiveDate::from_ymd_opt(day.year(), (day.month() - 1) / 3 * 3 + 1, 1),
        Part::Year => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        Part::IsoYear => NaiveDate::from_isoywd_opt(day.iso_week().year(), 1, Weekday::Mon),
        _ => return Err("not a part of a date".into()),
    };
    date_days(first.ok_or_else(out_of_range)?)
}

/// Cuts a datetime down to the start of a part.
pub(crate) fn truncate(value: i64, part: Part) -> Result<i64, Fail> {
    match part.clock_unit() {
        Some(unit) => Ok(value.div_euclid(unit) * unit),
        None => Ok(i64::from(truncate_date(day_of(value)?, part)?) * DAY),
    }
}

/// The last day of the part that a date lies in.
pub(crate) fn last_day(value: i32, part: Part) -> Result<i32, Fail> {
    let first = truncate_date(value, part)?;
    let next = match part {
        Part::Week(_) | Part::IsoWeek => i64::from(first) + 7,
        Part::IsoYear => i64::from(truncate_date(days(i64::from(first) + 371)?, Part::IsoYear)?),
        Part::Month | Part::Quarter | Part::Year => i64::from(add_months(first, months_of(part, 1)?)?),
        _ => return Err("LAST_DAY takes WEEK, ISOWEEK, MONTH, QUARTER, YEAR or ISOYEAR".into()),
    };
    days(next - 1)
}

fn months_of(part: Part, count: i64) -> Result<i64, Fail> {
    let each = match part {
        Part::Month => 1,
        Part::Quarter => 3,
        Part::Year => 12,
        _ => return Err("not a part that can be added to a date".into()),
    };
    count.checked_mul(each).ok_or_else(out_of_range)
}

/// Adds months; a day that the month does not have becomes its last.
pub(crate) fn add_months(value: i32, months: i64) -> Result<i32, Fail> {
    let day = date(value)?;
    let count = Months::new(u32::try_from(months.unsigned_abs()).map_err(|_| out_of_range())?);
    let moved = if months < 0 { day.checked_sub_months(count) } else { day.checked_add_months(count) };
    date_days(moved.ok_or_else(out_of_range)?)
}

/// Adds a number of parts to a date.
pub(crate) fn add_date(value: i32, count: i64, part: Part) -> Result<i32, Fail> {
    let by_days = |each: i64| {
        let by = count.checked_mul(each).and_then(|by| by.checked_add(i64::from(value))).ok_or_else(out_of_range)?;
        days(by)
    };
    match part {
        Part::Day => by_days(1),
        Part::Week(_) | Part::IsoWeek => by_days(7),
        other => add_months(value, months_of(other, count)?),
    }
}

/// Adds a number of parts to a datetime.
pub(crate) fn add(value: i64, count: i64, part: Part) -> Result<i64, Fail> {
    if let Some(unit) = part.clock_unit() {
        let moved = count.checked_mul(unit).and_then(|by| value.checked_add(by));
        return micros(moved.ok_or_else(out_of_range)?);
    }
    let day = add_date(day_of(value)?, count, part)?;
    micros(i64::from(day) * DAY + value.rem_euclid(DAY))
}

/// How many boundaries of a part lie between two dates, from `b` to `a`.
pub(crate) fn diff_date(a: i32, b: i32, part: Part) -> Result<i64, Fail> {
    let (first, second) = (date(a)?, date(b)?);
    let months = |d: NaiveDate| i64::from(d.year()) * 12 + i64::from(d.month0());
    Ok(match part {
        Part::Day => i64::from(a) - i64::from(b),
        Part::Week(_) | Part::IsoWeek => (i64::from(truncate_date(a, part)?) - i64::from(truncate_date(b, part)?)) / 7,
        Part::Month => months(first) - months(second),
        Part::Quarter => months(first).div_euclid(3) - months(second).div_euclid(3),
        Part::Year => i64::from(first.year()) - i64::from(second.year()),
        Part::IsoYear => i64::from(first.iso_week().year()) - i64::from(second.iso_week().year()),
        _ => return Err("not a part of which dates have a difference".into()),
    })
}

/// How many boundaries of a part lie between two datetimes, from `b` to `a`.
pub(crate) fn diff(a: i64, b: i64, part: Part) -> Result<i64, Fail> {
    match part.clock_unit() {
        Some(unit) => Ok(a.div_euclid(unit) - b.div_euclid(unit)),
        None => diff_date(day_of(a)?, day_of(b)?, part),
    }
}

/// The whole units between two instants, fractions dropped.
pub(crate) fn diff_exact(a: i64, b: i64, part: Part) -> Result<i64, Fail> {
    let unit = match part {
        Part::Day => DAY,
        other => other.clock_unit().ok_or("TIMESTAMP_DIFF takes MICROSECOND to DAY")?,
    };
    Ok((a - b) / unit)
}

/// One element of a datetime as a number.
pub(crate) fn extract(value: i64, part: Part) -> Result<i64, Fail> {
    let moment = datetime(value)?;
    let day = moment.date();
    let clock = value.rem_euclid(DAY);
    Ok(match part {
        Part::Microsecond => clock % SECOND,
        Part::Millisecond => clock % SECOND / 1_000,
        Part::Second => i64::from(moment.second()),
        Part::Minute => i64::from(moment.minute()),
        Part::Hour => i64::from(moment.hour()),
        Part::Day => i64::from(day.day()),
        Part::DayOfWeek => i64::from(day.weekday().num_days_from_sunday()) + 1,
        Part::DayOfYear => i64::from(day.ordinal()),
        Part::Week(start) => week_of_year(day, start),
        Part::IsoWeek => i64::from(day.iso_week().week()),
        Part::Month => i64::from(day.month()),
        Part::Quarter => i64::from(day.month0() / 3 + 1),
        Part::Year => i64::from(day.year()),
        Part::IsoYear => i64::from(day.iso_week().year()),
        Part::Date | Part::Time | Part::Datetime => return Err("not a part that is a number".into()),
    })
}

/// The week of the year, 0 before the first day that begins one.
pub(crate) fn week_of_year(day: NaiveDate, start: Weekday) -> i64 {
    i64::from((day.ordinal0() + 7 - day.weekday().days_since(start)) / 7)
}

/// A time zone: a name of the IANA database, or a fixed offset such as `+09:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Named(Tz),
    Fixed(i64),
}

impl Zone {
    /// Reads a zone's name or offset.
    pub(crate) fn parse(name: &str) -> Result<Self, Fail> {
        if let Ok(tz) = Tz::from_str(name) {
            return Ok(Self::Named(tz));
        }
        let offset = name.strip_prefix("UTC").unwrap_or(name);
        parse_offset(offset).map(Self::Fixed).ok_or_else(|| Fail::from("no such time zone"))
    }

    /// The offset from UTC in microseconds at an instant.
    fn offset(self, instant: i64) -> Result<i64, Fail> {
        Ok(match self {
            Self::Fixed(offset) => offset,
            Self::Named(tz) => {
                i64::from(tz.offset_from_utc_datetime(&datetime(instant)?).fix().local_minus_utc()) * SECOND
            }
        })
    }

    /// What clocks in this zone show at an instant.
    pub(crate) fn local(self, instant: i64) -> Result<i64, Fail> {
        micros(instant + self.offset(instant)?)
    }

    /// The instant at which clocks in this zone show a datetime; the earlier one where clocks were set back, and
    /// where they were set forward the one that the old offset gives.
    pub(crate) fn instant(self, local: i64) -> Result<i64, Fail> {
        let Self::Named(tz) = self else { return micros(local - self.offset(local)?) };
        let offset = match tz.offset_from_local_datetime(&datetime(local)?) {
            chrono::LocalResult::Single(offset) | chrono::LocalResult::Ambiguous(offset, _) => {
                i64::from(offset.fix().local_minus_utc()) * SECOND
            }
            chrono::LocalResult::None => self.offset(local - DAY)?,
        };
        micros(local - offset)
    }

    /// The offset as text, `+09:00` or `+09`, and the seconds behind it.
    pub(crate) fn offset_seconds(self, instant: i64) -> Result<i64, Fail> {
        Ok(self.offset(instant)? / SECOND)
    }

    /// The zone's short name at an instant, as `%Z` shows it.
    pub(crate) fn short_name(self, instant: i64) -> Result<String, Fail> {
        let seconds = self.offset_seconds(instant)?;
        if seconds == 0 {
            return Ok("UTC".into());
        }
        let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
        let sign = if seconds < 0 { '-' } else { '+' };
        Ok(if minutes == 0 { format!("UTC{sign}{hours}") } else { format!("UTC{sign}{hours}:{minutes:02}") })
    }
}

/// Reads `+09`, `+9`, `+09:00`, `-0330`; microseconds.
pub(crate) fn parse_offset(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let body = text.get(1..)?;
    let (hours, minutes) = match body.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if body.len() > 2 => body.split_at_checked(body.len() - 2)?,
        None => (body, "0"),
    };
    if hours.is_empty() || hours.len() > 2 || !hours.bytes().chain(minutes.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
}

/// `2024-03-15`.
pub(crate) fn date_text(value: i32) -> Result<String, Fail> {
    let day = date(value)?;
    Ok(format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()))
}

/// `12:30:45`, with three or six digits after the point where they are not zero.
pub(crate) fn time_text(micros: i64) -> String {
    let clock = micros.rem_euclid(DAY);
    let whole = clock / SECOND;
    let fraction = clock % SECOND;
    let base = format!("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    if fraction == 0 {
        base
    } else if fraction % 1_000 == 0 {
        format!("{base}.{:03}", fraction / 1_000)
    } else {
        format!("{base}.{fraction:06}")
    }
}

/// `2024-03-15 12:30:45`, or with another sign between date and time.
pub(crate) fn datetime_text(value: i64, between: char) -> Result<String, Fail> {
    Ok(format!("{}{between}{}", date_text(day_of(value)?)?, time_text(value)))
}

/// `2024-03-15 12:30:45+09` of an instant in a zone.
pub(crate) fn instant_text(value: i64, zone: Zone) -> Result<String, Fail> {
    let seconds = zone.offset_seconds(value)?;
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    let offset = if minutes == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}:{minutes:02}") };
    Ok(format!("{}{offset}", datetime_text(zone.local(value)?, ' ')?))
}

/// Reads `2024-3-5`.
pub(crate) fn parse_date(text: &str) -> Result<i32, Fail> {
    let fail = || Fail::from("text is not a DATE");
    let mut parts = text.trim().splitn(3, '-');
    let mut number = |longest: usize| {
        let digits = parts
            .next()
            .filter(|part| !part.is_empty() && part.len() <= longest && part.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or_else(fail)
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    from_ymd(year, month, day)
}

/// Reads `12:30:45.123456`; the seconds may be absent only where `short` says so.
pub(crate) fn parse_time(text: &str) -> Result<i64, Fail> {
    let fail = || Fail::from("text is not a TIME");
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = clock.splitn(3, ':');
    let mut number = || {
        let digits =
            parts.next().filter(|part| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or_else(fail)
    };
    let (hour, minute, second) = (number()?, number()?, number()?);
    if fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fail());
    }
    let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| fail())?;
    Ok(from_hms(hour, minute, second)? + micros)
}

/// Reads `2024-03-15`, `2024-03-15 12:30:45` or with a `T` between.
pub(crate) fn parse_datetime(text: &str) -> Result<i64, Fail> {
    let trimmed = text.trim();
    let (day, clock) = trimmed.split_once([' ', 'T', 't']).unwrap_or((trimmed, ""));
    let clock = if clock.is_empty() { 0 } else { parse_time(clock)? };
    micros(i64::from(parse_date(day)?) * DAY + clock)
}

/// Reads a datetime with an optional zone behind it: `Z`, `+09:00`, ` Asia/Seoul`; without one, `zone` holds.
pub(crate) fn parse_instant(text: &str, zone: Zone) -> Result<i64, Fail> {
    let trimmed = text.trim();
    let (body, zone) = if let Some(body) = trimmed.strip_suffix(['Z', 'z']) {
        (body, Zone::Fixed(0))
    } else if let Some((body, name)) = trimmed
        .rsplit_once(' ')
        .filter(|(_, name)| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '+' || c == '-'))
    {
        (body, Zone::parse(name)?)
    } else {
        // A sign after the date's own two hyphens begins an offset.
        let after_date = trimmed.char_indices().filter(|(_, c)| *c == '-').nth(1).map_or(0, |(at, _)| at + 1);
        let sign = trimmed.get(after_date..).and_then(|rest| rest.find(['+', '-'])).map(|at| at + after_date);
        match sign.and_then(|at| trimmed.split_at_checked(at)) {
            Some((body, offset)) => (body, Zone::Fixed(parse_offset(offset).ok_or("text is not a TIMESTAMP")?)),
            None => (trimmed, zone),
        }
    };
    zone.instant(parse_datetime(body.trim_end()).map_err(|_| Fail::from("text is not a TIMESTAMP"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        parse_instant(text, Zone::Fixed(0)).unwrap()
    }

    #[test]
    fn seoul_days_begin_at_midnight_in_seoul() {
        let seoul = Zone::parse("Asia/Seoul").unwrap();
        let late = at("2024-03-01 20:00:00Z");
        assert_eq!(date_text(day_of(seoul.local(late).unwrap()).unwrap()).unwrap(), "2024-03-02");
        assert_eq!(instant_text(late, seoul).unwrap(), "2024-03-02 05:00:00+09");
        assert_eq!(at("2024-03-02 05:00:00 Asia/Seoul"), late);
        assert_eq!(at("2024-03-02T05:00:00+09:00"), late);
        assert_eq!(at("2024-03-02 05:00:00+9"), late);
    }

    #[test]
    fn weeks_begin_on_sunday_unless_told() {
        let friday = parse_date("2024-03-15").unwrap();
        let text = |part| date_text(truncate_date(friday, part).unwrap()).unwrap();
        assert_eq!(text(Part::Week(Weekday::Sun)), "2024-03-10");
        assert_eq!(text(Part::Week(Weekday::Mon)), "2024-03-11");
        assert_eq!(text(Part::IsoYear), "2024-01-01");
        assert_eq!(extract(i64::from(friday) * DAY, Part::DayOfWeek), Ok(6));
    }

    #[test]
    fn months_end_where_they_end() {
        let day = parse_date("2024-01-31").unwrap();
        assert_eq!(date_text(add_date(day, 1, Part::Month).unwrap()).unwrap(), "2024-02-29");
        assert_eq!(date_text(last_day(day, Part::Quarter).unwrap()).unwrap(), "2024-03-31");
        assert!(add_date(parse_date("9999-12-31").unwrap(), 1, Part::Day).is_err());
    }

    #[test]
    fn clocks_set_forward_and_back_have_one_answer() {
        let zone = Zone::parse("America/New_York").unwrap();
        assert_eq!(zone.instant(parse_datetime("2024-11-03 01:30:00").unwrap()).unwrap(), at("2024-11-03 05:30:00Z"));
        assert_eq!(zone.instant(parse_datetime("2024-03-10 02:30:00").unwrap()).unwrap(), at("2024-03-10 07:30:00Z"));
    }
}
