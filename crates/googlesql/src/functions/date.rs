//! Functions of DATE, DATETIME and TIME, and INTERVAL arithmetic. Those of TIMESTAMP are in `timestamp.rs`.

use super::{
    Form, Table,
    cell::{
        Array1, Bool, Cell, Date, Datetime, Fail, Instant, Int, Interval, Kernel, Out, Text, Time, kernel1, kernel2, ok,
    },
    civil::{self, DAY, Part, Zone},
};
use crate::types::SqlType;
use arrow::datatypes::IntervalMonthDayNano;

/// A generated array never has more elements.
const ARRAY_ELEMENTS_MAX: i64 = 1_000_000;

pub(super) fn register(t: &mut Table) {
    dates(t);
    datetimes(t);
    times(t);
    intervals(t);
}

fn dates(t: &mut Table) {
    t.f3::<Int, Int, Int, Date>("DATE", |y, m, d| civil::from_ymd(y, m, d).map(Some));
    t.f1::<Datetime, Date>("DATE", |a| civil::day_of(a).map(Some));
    t.f1::<Date, Date>("DATE", ok);
    t.f2::<Instant, Text, Date>("DATE", |a, zone| civil::day_of(Zone::parse(zone)?.local(a)?).map(Some));
    t.f1::<Date, Int>("UNIX_DATE", |a| ok(i64::from(a)));
    t.f1::<Int, Date>("DATE_FROM_UNIX_DATE", |a| civil::days(a).map(Some));
}

fn datetimes(t: &mut Table) {
    t.all::<Int, Datetime>("_datetime6", 6, |parts| {
        let [year, month, day, hour, minute, second] = parts else { return Err("DATETIME takes six numbers".into()) };
        ok(midnight(civil::from_ymd(*year, *month, *day)?) + civil::from_hms(*hour, *minute, *second)?)
    });
    t.f1::<Date, Datetime>("DATETIME", |a| ok(midnight(a)));
    t.f1::<Datetime, Datetime>("DATETIME", ok);
    t.f2::<Date, Time, Datetime>("DATETIME", |d, clock| ok(midnight(d) + clock));
    t.f2::<Instant, Text, Datetime>("DATETIME", |a, zone| Zone::parse(zone)?.local(a).map(Some));
}

fn times(t: &mut Table) {
    t.f3::<Int, Int, Int, Time>("TIME", |h, m, s| civil::from_hms(h, m, s).map(Some));
    t.f1::<Datetime, Time>("TIME", |a| ok(a.rem_euclid(DAY)));
    t.f1::<Time, Time>("TIME", ok);
    t.f2::<Instant, Text, Time>("TIME", |a, zone| ok(Zone::parse(zone)?.local(a)?.rem_euclid(DAY)));
}

fn intervals(t: &mut Table) {
    t.f1::<Interval, Interval>("JUSTIFY_DAYS", |a| ok(justify_days(a)));
    t.f1::<Interval, Interval>("JUSTIFY_HOURS", justify_hours);
    t.f1::<Interval, Interval>("JUSTIFY_INTERVAL", |a| Ok(justify_hours(a)?.map(justify_days)));
    t.all::<Int, Interval>("_interval6", 6, |parts| {
        let [year, month, day, hour, minute, second] = parts else {
            return Err("MAKE_INTERVAL takes six numbers".into());
        };
        let seconds = hour
            .checked_mul(3600)
            .and_then(|hours| m_plus(hours, *minute, 60))
            .and_then(|sum| sum.checked_add(*second))
            .ok_or("INTERVAL overflow")?;
        let months = m_plus(*month, *year, 12).ok_or("INTERVAL overflow")?;
        interval(months, *day, seconds.checked_mul(1_000_000_000).ok_or("INTERVAL overflow")?).map(Some)
    });
    t.f2::<Interval, Interval, Bool>("_interval_eq", |a, b| ok(interval_size(a) == interval_size(b)));
}

fn m_plus(base: i64, count: i64, each: i64) -> Option<i64> {
    count.checked_mul(each)?.checked_add(base)
}

/// An INTERVAL, checked.
pub(crate) fn interval(months: i64, days: i64, nanos: i64) -> Result<IntervalMonthDayNano, Fail> {
    let fail = |_| Fail::from("INTERVAL overflow");
    Ok(IntervalMonthDayNano::new(i32::try_from(months).map_err(fail)?, i32::try_from(days).map_err(fail)?, nanos))
}

fn interval_size(a: IntervalMonthDayNano) -> i128 {
    (i128::from(a.months) * 30 + i128::from(a.days)) * i128::from(DAY) * 1_000 + i128::from(a.nanoseconds)
}

fn justify_days(a: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let days = i64::from(a.months) * 30 + i64::from(a.days);
    let part = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    IntervalMonthDayNano::new(part(days / 30), part(days % 30), a.nanoseconds)
}

fn justify_hours(a: IntervalMonthDayNano) -> Out<IntervalMonthDayNano> {
    let nanos = i128::from(a.days) * i128::from(DAY) * 1_000 + i128::from(a.nanoseconds);
    let day = i128::from(DAY) * 1_000;
    let fail = |_| Fail::from("INTERVAL overflow");
    let days = i64::try_from(nanos / day).map_err(fail)?;
    interval(i64::from(a.months), days, i64::try_from(nanos % day).map_err(fail)?).map(Some)
}

/// The start of a day.
pub(crate) fn midnight(day: i32) -> i64 {
    i64::from(day) * DAY
}

pub(crate) fn add_days(day: i32, count: i64) -> Out<i32> {
    civil::add_date(day, count, Part::Day).map(Some)
}

pub(crate) fn negate(a: IntervalMonthDayNano) -> Out<IntervalMonthDayNano> {
    let parts = (a.months.checked_neg(), a.days.checked_neg(), a.nanoseconds.checked_neg());
    match parts {
        (Some(months), Some(days), Some(nanos)) => ok(IntervalMonthDayNano::new(months, days, nanos)),
        _ => Err("INTERVAL overflow".into()),
    }
}

pub(crate) fn add_interval(value: i64, a: IntervalMonthDayNano) -> Out<i64> {
    let moved = civil::add(value, i64::from(a.months), Part::Month)?;
    let moved = civil::add(moved, i64::from(a.days), Part::Day)?;
    if a.nanoseconds % 1_000 != 0 {
        return Err("an INTERVAL finer than a microsecond".into());
    }
    civil::add(moved, a.nanoseconds / 1_000, Part::Microsecond).map(Some)
}

pub(crate) fn sub_interval(value: i64, a: IntervalMonthDayNano) -> Out<i64> {
    match negate(a)? {
        Some(a) => add_interval(value, a),
        None => Ok(None),
    }
}

/// Instants know no months: their length depends on a zone.
pub(crate) fn add_exact_interval(value: i64, a: IntervalMonthDayNano) -> Out<i64> {
    if a.months != 0 {
        return Err("months and years cannot be added to a TIMESTAMP".into());
    }
    add_interval(value, a)
}

pub(crate) fn days_interval(a: i32, b: i32) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(0, a - b, 0)
}

pub(crate) fn micros_interval(a: i64, b: i64) -> Out<IntervalMonthDayNano> {
    interval(0, 0, (a - b).checked_mul(1_000).ok_or("INTERVAL overflow")?).map(Some)
}

fn form(params: Vec<SqlType>, returns: SqlType, kernel: Kernel) -> Form {
    Form { params, rest: None, returns, kernel, volatile: false }
}

fn form1<A: Cell, R: Cell>(f: impl for<'a> Fn(A::Get<'a>) -> Out<R::Own> + Send + Sync + 'static) -> Form {
    form(vec![A::sql()], R::sql(), kernel1::<A, R>(f))
}

fn form2<A: Cell, B: Cell, R: Cell>(
    f: impl for<'a> Fn(A::Get<'a>, B::Get<'a>) -> Out<R::Own> + Send + Sync + 'static,
) -> Form {
    form(vec![A::sql(), B::sql()], R::sql(), kernel2::<A, B, R>(f))
}

/// Forms of `DATE_ADD` and its kin for one part: the value and a count. `sign` is -1 for the `_SUB` functions.
pub(crate) fn add_forms(function: &str, part: Part, sign: i64) -> Vec<Form> {
    let signed = move |count: i64| count.checked_mul(sign).ok_or_else(|| Fail::from("INT64 overflow"));
    let on_date = || form2::<Date, Int, Date>(move |a, n| civil::add_date(a, signed(n)?, part).map(Some));
    let on_datetime = || form2::<Datetime, Int, Datetime>(move |a, n| civil::add(a, signed(n)?, part).map(Some));
    let on_instant = || form2::<Instant, Int, Instant>(move |a, n| civil::add(a, signed(n)?, part).map(Some));
    let on_time = || {
        form2::<Time, Int, Time>(move |a, n| {
            let unit = part.clock_unit().ok_or("not a part of a TIME")?;
            let by = i128::from(signed(n)?) * i128::from(unit) + i128::from(a);
            i64::try_from(by.rem_euclid(i128::from(DAY))).map(Some).map_err(|_| Fail::from("TIME overflow"))
        })
    };
    let clock = part.clock_unit().is_some();
    let calendar =
        matches!(part, Part::Day | Part::Week(chrono::Weekday::Sun) | Part::Month | Part::Quarter | Part::Year);
    match function {
        "DATE" if calendar => vec![on_date(), on_datetime()],
        "DATE" if clock => vec![on_datetime()],
        "DATETIME" if calendar || clock => vec![on_datetime()],
        "TIMESTAMP" if clock || part == Part::Day => vec![on_instant()],
        "TIME" if clock => vec![on_time()],
        _ => Vec::new(),
    }
}

/// Forms of `DATE_DIFF` and its kin for one part.
pub(crate) fn diff_forms(function: &str, part: Part) -> Vec<Form> {
    let on_date = || form2::<Date, Date, Int>(move |a, b| civil::diff_date(a, b, part).map(Some));
    let on_datetime = || form2::<Datetime, Datetime, Int>(move |a, b| civil::diff(a, b, part).map(Some));
    let on_instant = || form2::<Instant, Instant, Int>(move |a, b| civil::diff_exact(a, b, part).map(Some));
    let on_time = || form2::<Time, Time, Int>(move |a, b| civil::diff(a, b, part).map(Some));
    let clock = part.clock_unit().is_some();
    let calendar = is_calendar(part);
    match function {
        "DATE" if calendar => vec![on_date(), on_datetime()],
        "DATETIME" if calendar || clock => vec![on_datetime()],
        "TIMESTAMP" if clock || part == Part::Day => vec![on_instant()],
        "TIME" if clock => vec![on_time()],
        _ => Vec::new(),
    }
}

fn is_calendar(part: Part) -> bool {
    matches!(part, Part::Day | Part::Week(_) | Part::IsoWeek | Part::Month | Part::Quarter | Part::Year | Part::IsoYear)
}

/// Forms of `DATE_TRUNC` and its kin for one part. Instants take the zone as a second argument.
pub(crate) fn trunc_forms(function: &str, part: Part) -> Vec<Form> {
    let on_date = || form1::<Date, Date>(move |a| civil::truncate_date(a, part).map(Some));
    let on_datetime = || form1::<Datetime, Datetime>(move |a| civil::truncate(a, part).map(Some));
    let on_instant = || form2::<Instant, Text, Instant>(move |a, zone| super::timestamp::truncate(a, zone, part));
    let on_time = || form1::<Time, Time>(move |a| civil::truncate(a, part).map(Some));
    let clock = part.clock_unit().is_some();
    let calendar = is_calendar(part);
    match function {
        "DATE" if calendar => vec![on_date(), on_datetime(), on_instant()],
        "DATE" if clock => vec![on_datetime(), on_instant()],
        "DATETIME" if calendar || clock => vec![on_datetime()],
        "TIMESTAMP" if calendar || clock => vec![on_instant(), on_datetime()],
        "TIME" if clock => vec![on_time()],
        _ => Vec::new(),
    }
}

/// Forms of `LAST_DAY` for one part.
pub(crate) fn last_day_forms(part: Part) -> Vec<Form> {
    if !is_calendar(part) || part == Part::Day {
        return Vec::new();
    }
    vec![
        form1::<Date, Date>(move |a| civil::last_day(a, part).map(Some)),
        form1::<Datetime, Date>(move |a| civil::last_day(civil::day_of(a)?, part).map(Some)),
    ]
}

/// Forms of `EXTRACT` for one part. Instants take the zone as a second argument.
pub(crate) fn extract_forms(part: Part) -> Vec<Form> {
    match part {
        Part::Date => vec![
            form1::<Datetime, Date>(|a| civil::day_of(a).map(Some)),
            form2::<Instant, Text, Date>(|a, zone| civil::day_of(Zone::parse(zone)?.local(a)?).map(Some)),
        ],
        Part::Time => vec![
            form1::<Datetime, Time>(|a| ok(a.rem_euclid(DAY))),
            form2::<Instant, Text, Time>(|a, zone| ok(Zone::parse(zone)?.local(a)?.rem_euclid(DAY))),
        ],
        Part::Datetime => vec![form2::<Instant, Text, Datetime>(|a, zone| Zone::parse(zone)?.local(a).map(Some))],
        _ => {
            let mut forms = Vec::new();
            if part.clock_unit().is_none() {
                forms.push(form1::<Date, Int>(move |a| civil::extract(midnight(a), part).map(Some)));
            } else {
                forms.push(form1::<Time, Int>(move |a| civil::extract(a, part).map(Some)));
            }
            forms.push(form1::<Datetime, Int>(move |a| civil::extract(a, part).map(Some)));
            forms.push(form2::<Instant, Text, Int>(move |a, zone| {
                civil::extract(Zone::parse(zone)?.local(a)?, part).map(Some)
            }));
            forms.extend(interval_extract(part));
            forms
        }
    }
}

fn interval_extract(part: Part) -> Option<Form> {
    let read: fn(IntervalMonthDayNano) -> i64 = match part {
        Part::Year => |a| i64::from(a.months / 12),
        Part::Month => |a| i64::from(a.months % 12),
        Part::Day => |a| i64::from(a.days),
        Part::Hour => |a| a.nanoseconds / 3_600_000_000_000,
        Part::Minute => |a| a.nanoseconds / 60_000_000_000 % 60,
        Part::Second => |a| a.nanoseconds / 1_000_000_000 % 60,
        Part::Millisecond => |a| a.nanoseconds / 1_000_000 % 1_000,
        Part::Microsecond => |a| a.nanoseconds / 1_000 % 1_000_000,
        _ => return None,
    };
    Some(form1::<Interval, Int>(move |a| ok(read(a))))
}

/// Forms of `GENERATE_DATE_ARRAY` for one part: first, last, step.
pub(crate) fn generate_forms(part: Part) -> Vec<Form> {
    let by_date = super::cell::kernel3::<Date, Date, Int, Array1<Date>>(move |first, last, step| {
        generate(i64::from(first), i64::from(last), step, |n| civil::add_date(first, n, part).map(i64::from)).and_then(
            |all| all.into_iter().map(|day| civil::days(day).map(Some)).collect::<Result<Vec<_>, _>>().map(Some),
        )
    });
    vec![form(vec![SqlType::Date, SqlType::Date, SqlType::Int64], Array1::<Date>::sql(), by_date)]
}

/// Forms of `GENERATE_TIMESTAMP_ARRAY` for one part.
pub(crate) fn generate_instant_forms(part: Part) -> Vec<Form> {
    let by_instant = super::cell::kernel3::<Instant, Instant, Int, Array1<Instant>>(move |first, last, step| {
        generate(first, last, step, |n| civil::add(first, n, part)).map(|all| Some(all.into_iter().map(Some).collect()))
    });
    vec![form(vec![SqlType::Timestamp, SqlType::Timestamp, SqlType::Int64], Array1::<Instant>::sql(), by_instant)]
}

fn generate(first: i64, last: i64, step: i64, at: impl Fn(i64) -> Result<i64, Fail>) -> Result<Vec<i64>, Fail> {
    if step == 0 {
        return Err("the step of a generated array cannot be 0".into());
    }
    let mut out = Vec::new();
    if (step > 0 && first > last) || (step < 0 && first < last) {
        return Ok(out);
    }
    for n in 0..=ARRAY_ELEMENTS_MAX {
        let Ok(next) = at(n.checked_mul(step).ok_or("INT64 overflow")?) else { return Ok(out) };
        if (step > 0 && next > last) || (step < 0 && next < last) {
            return Ok(out);
        }
        out.push(next);
    }
    Err("the generated array has more than 1,000,000 elements".into())
}

/// `Y-M D H:M:S.f`, each of the three groups with its own sign.
pub(crate) fn interval_text(a: IntervalMonthDayNano) -> String {
    let sign = |negative: bool| if negative { "-" } else { "" };
    let months = i64::from(a.months).unsigned_abs();
    let nanos = a.nanoseconds.unsigned_abs();
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let mut text = format!(
        "{}{}-{} {} {}{}:{}:{}",
        sign(a.months < 0),
        months / 12,
        months % 12,
        a.days,
        sign(a.nanoseconds < 0),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        let short = digits.strip_suffix("000").map_or(digits.as_str(), |rest| rest.strip_suffix("000").unwrap_or(rest));
        text.push('.');
        text.push_str(short);
    }
    text
}

/// Reads `Y-M D H:M:S.f`.
pub(crate) fn parse_interval(text: &str) -> Result<IntervalMonthDayNano, Fail> {
    let fail = || Fail::from("text is not an INTERVAL");
    let mut groups = text.split_whitespace();
    let (Some(years), Some(days), Some(clock), None) = (groups.next(), groups.next(), groups.next(), groups.next())
    else {
        return Err(fail());
    };
    let signed = |group: &'_ str| -> (i64, String) {
        match group.strip_prefix('-') {
            Some(rest) => (-1, rest.to_owned()),
            None => (1, group.to_owned()),
        }
    };
    let number = |digits: &str| digits.parse::<i64>().map_err(|_| fail());
    let (month_sign, years) = signed(years);
    let (years, months) = years.split_once('-').ok_or_else(fail)?;
    let months = number(years)?.checked_mul(12).and_then(|y| y.checked_add(number(months).ok()?)).ok_or_else(fail)?;
    let (clock_sign, clock) = signed(clock);
    let (clock, fraction) = clock.split_once('.').unwrap_or((&clock, ""));
    if fraction.len() > 9 {
        return Err(fail());
    }
    let mut seconds = 0_i64;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60).and_then(|s| s.checked_add(number(part).ok()?)).ok_or_else(fail)?;
    }
    let nanos = seconds
        .checked_mul(1_000_000_000)
        .and_then(|s| s.checked_add(number(&format!("{fraction:0<9}")).ok()?))
        .ok_or_else(fail)?;
    interval(month_sign * months, number(days)?, clock_sign * nanos)
}
