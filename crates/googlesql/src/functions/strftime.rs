//! FORMAT_DATE and its kin: GoogleSQL's format elements.

use chrono::{Datelike as _, Timelike as _, Weekday};

use super::{
    Table,
    cell::{Date, Datetime, Fail, Instant, Out, Text, Time},
    civil::{self, DAY, SECOND, Zone},
    date::midnight,
};

/// What an element may be asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Datetime,
    Time,
    Instant,
}

pub(super) fn register(t: &mut Table) {
    t.f2::<Text, Date, Text>("FORMAT_DATE", |f, a| format(f, midnight(a), Zone::Fixed(0), Kind::Date));
    t.f2::<Text, Datetime, Text>("FORMAT_DATE", |f, a| format(f, a, Zone::Fixed(0), Kind::Datetime));
    t.f2::<Text, Datetime, Text>("FORMAT_DATETIME", |f, a| format(f, a, Zone::Fixed(0), Kind::Datetime));
    t.f2::<Text, Time, Text>("FORMAT_TIME", |f, a| format(f, a, Zone::Fixed(0), Kind::Time));
    t.f3::<Text, Instant, Text, Text>("FORMAT_TIMESTAMP", |f, a, zone| format(f, a, Zone::parse(zone)?, Kind::Instant));
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// Months in English, as `%B` writes them.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Writes a value by a format. `value` is local microseconds, or an instant's with its zone.
fn format(format: &str, value: i64, zone: Zone, kind: Kind) -> Out<String> {
    let moment = Moment { local: if kind == Kind::Instant { zone.local(value)? } else { value }, value, zone, kind };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let element = chars.next().ok_or("a format ends in %")?;
        let longer = match element {
            'E' => {
                let rest = chars.as_str();
                let known = ["*S", "4Y", "z", "1S", "2S", "3S", "4S", "5S", "6S", "0S"]
                    .into_iter()
                    .find(|known| rest.starts_with(known));
                let known = known.ok_or("a format has an element %E that is not known")?;
                chars = rest.get(known.len()..).unwrap_or_default().chars();
                format!("E{known}")
            }
            other => other.to_string(),
        };
        moment.write(&longer, &mut out)?;
    }
    Ok(Some(out))
}

struct Moment {
    local: i64,
    value: i64,
    zone: Zone,
    kind: Kind,
}

impl Moment {
    fn write(&self, element: &str, out: &mut String) -> Result<(), Fail> {
        // Nested formats, as strftime defines them.
        let nested = match element {
            "F" => Some("%Y-%m-%d"),
            "T" | "X" => Some("%H:%M:%S"),
            "R" => Some("%H:%M"),
            "D" | "x" => Some("%m/%d/%y"),
            "r" => Some("%I:%M:%S %p"),
            "c" => Some("%a %b %e %H:%M:%S %Y"),
            _ => None,
        };
        if let Some(nested) = nested {
            if let Some(text) = format(nested, self.value, self.zone, self.kind)? {
                out.push_str(&text);
            }
            return Ok(());
        }
        let text = match element {
            "%" => "%".to_owned(),
            "n" => "\n".to_owned(),
            "t" => "\t".to_owned(),
            _ => match self.clock(element)? {
                Some(text) => text,
                None => match self.calendar(element)? {
                    Some(text) => text,
                    None => self.zoned(element)?,
                },
            },
        };
        out.push_str(&text);
        Ok(())
    }

    fn clock(&self, element: &str) -> Result<Option<String>, Fail> {
        let time = civil::datetime(self.local)?.time();
        let fraction = self.local.rem_euclid(SECOND);
        let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
        let text = match element {
            "H" => format!("{:02}", time.hour()),
            "I" => format!("{hour12:02}"),
            "k" => format!("{:2}", time.hour()),
            "l" => format!("{hour12:2}"),
            "M" => format!("{:02}", time.minute()),
            "S" | "E0S" => format!("{:02}", time.second()),
            "p" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            "P" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
            "E*S" => {
                let digits = format!("{fraction:06}");
                let digits = digits.trim_end_matches('0');
                if digits.is_empty() {
                    format!("{:02}", time.second())
                } else {
                    format!("{:02}.{digits}", time.second())
                }
            }
            _ => match element
                .strip_prefix('E')
                .and_then(|rest| rest.strip_suffix('S'))
                .and_then(|digits| digits.parse::<usize>().ok())
            {
                Some(digits) => {
                    format!("{:02}.{}", time.second(), format!("{fraction:06}").get(..digits).unwrap_or_default())
                }
                None => return Ok(None),
            },
        };
        if self.kind == Kind::Date && self.local.rem_euclid(DAY) == 0 && element != "S" && element.starts_with('E') {
            return Err("a DATE has no fraction of a second".into());
        }
        Ok(Some(text))
    }

    fn calendar(&self, element: &str) -> Result<Option<String>, Fail> {
        if self.kind == Kind::Time {
            return Err("a TIME has no date to format, or the element is not built".into());
        }
        let day = civil::datetime(self.local)?.date();
        let sunday = usize::try_from(day.weekday().num_days_from_sunday()).unwrap_or(0);
        let month = usize::try_from(day.month0()).unwrap_or(0);
        let name = |names: &[&str], at: usize| names.get(at).copied().unwrap_or_default().to_owned();
        let short =
            |names: &[&str], at: usize| names.get(at).and_then(|name| name.get(..3)).unwrap_or_default().to_owned();
        Ok(Some(match element {
            "Y" => day.year().to_string(),
            "E4Y" => format!("{:04}", day.year()),
            "y" => format!("{:02}", day.year().rem_euclid(100)),
            "C" => format!("{:02}", day.year().div_euclid(100)),
            "m" => format!("{:02}", day.month()),
            "d" => format!("{:02}", day.day()),
            "e" => format!("{:2}", day.day()),
            "j" => format!("{:03}", day.ordinal()),
            "A" => name(&DAYS, sunday),
            "a" => short(&DAYS, sunday),
            "B" => name(&MONTHS, month),
            "b" | "h" => short(&MONTHS, month),
            "u" => day.weekday().number_from_monday().to_string(),
            "w" => sunday.to_string(),
            "G" => day.iso_week().year().to_string(),
            "g" => format!("{:02}", day.iso_week().year().rem_euclid(100)),
            "V" => format!("{:02}", day.iso_week().week()),
            "U" => format!("{:02}", civil::week_of_year(day, Weekday::Sun)),
            "W" => format!("{:02}", civil::week_of_year(day, Weekday::Mon)),
            "Q" => (day.month0() / 3 + 1).to_string(),
            _ => return Ok(None),
        }))
    }

    fn zoned(&self, element: &str) -> Result<String, Fail> {
        if self.kind != Kind::Instant {
            return Err("a format has an element that its type does not have, or that is not built".into());
        }
        let offset = self.zone.offset_seconds(self.value)?;
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
        Ok(match element {
            "z" => format!("{sign}{hours:02}{minutes:02}"),
            "Ez" => format!("{sign}{hours:02}:{minutes:02}"),
            "Z" => self.zone.short_name(self.value)?,
            "s" => self.value.div_euclid(SECOND).to_string(),
            _ => return Err("a format has an element that is not built".into()),
        })
    }
}
