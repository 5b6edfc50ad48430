//! PARSE_DATE and its kin: reading text by GoogleSQL's format elements. Missing parts are those of 1970-01-01 00:00:00.

use super::{
    Table,
    cell::{Date, Datetime, Fail, Instant, Text, Time},
    civil::{self, HOUR, MINUTE, SECOND, Zone},
    date::midnight,
    strftime::MONTHS,
};

pub(super) fn register(t: &mut Table) {
    t.f2::<Text, Text, Date>("PARSE_DATE", |f, a| Parsed::read(f, a)?.date().map(Some));
    t.f2::<Text, Text, Datetime>("PARSE_DATETIME", |f, a| Parsed::read(f, a)?.datetime().map(Some));
    t.f2::<Text, Text, Time>("PARSE_TIME", |f, a| Parsed::read(f, a)?.time().map(Some));
    t.f3::<Text, Text, Text, Instant>("PARSE_TIMESTAMP", |f, a, zone| {
        Parsed::read(f, a)?.instant(Zone::parse(zone)?).map(Some)
    });
}

/// What was read so far.
#[derive(Default)]
struct Parsed {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    ordinal: Option<i64>,
    hour: Option<i64>,
    hour12: Option<i64>,
    afternoon: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    micros: i64,
    epoch: Option<i64>,
    offset: Option<i64>,
    zone: Option<Zone>,
}

fn mismatch() -> Fail {
    Fail::from("text does not match the format")
}

/// The text not yet read.
struct Input<'a>(&'a str);

impl Input<'_> {
    fn blanks(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn number(&mut self, longest: usize) -> Result<i64, Fail> {
        let digits = self.0.bytes().take(longest).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at_checked(digits).filter(|_| digits > 0).ok_or_else(mismatch)?;
        self.0 = rest;
        number.parse().map_err(|_| mismatch())
    }

    fn expect(&mut self, c: char) -> Result<(), Fail> {
        self.0 = self.0.strip_prefix(c).ok_or_else(mismatch)?;
        Ok(())
    }

    /// Reads one of some words, in full or by its first three letters; gives its place.
    fn word(&mut self, words: &[&str]) -> Result<i64, Fail> {
        for (at, word) in words.iter().enumerate() {
            for form in [*word, word.get(..3).unwrap_or(word)] {
                if self.0.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form)) {
                    self.0 = self.0.get(form.len()..).unwrap_or_default();
                    return Ok(super::number::count(at));
                }
            }
        }
        Err(mismatch())
    }
}

impl Parsed {
    fn read(format: &str, text: &str) -> Result<Self, Fail> {
        let mut parsed = Self::default();
        let mut input = Input(text);
        input.blanks();
        parsed.format(format, &mut input)?;
        input.blanks();
        if input.0.is_empty() { Ok(parsed) } else { Err(mismatch()) }
    }

    fn format(&mut self, format: &str, input: &mut Input<'_>) -> Result<(), Fail> {
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c.is_whitespace() {
                input.blanks();
                continue;
            }
            if c != '%' {
                input.expect(c)?;
                continue;
            }
            let element = chars.next().ok_or("a format ends in %")?;
            if element == 'E' {
                let rest = chars.as_str();
                let known = ["*S", "4Y", "z", "1S", "2S", "3S", "4S", "5S", "6S"]
                    .into_iter()
                    .find(|known| rest.starts_with(known));
                let known = known.ok_or("a format has an element %E that is not built")?;
                chars = rest.get(known.len()..).unwrap_or_default().chars();
                match known {
                    "4Y" => self.year = Some(input.number(4)?),
                    "z" => self.offset(input)?,
                    seconds => self.fraction(seconds, input)?,
                }
                continue;
            }
            self.element(element, input)?;
        }
        Ok(())
    }

    fn element(&mut self, element: char, input: &mut Input<'_>) -> Result<(), Fail> {
        match element {
            'Y' => self.year = Some(input.number(4)?),
            'y' => {
                let year = input.number(2)?;
                self.year = Some(if year < 69 { 2000 + year } else { 1900 + year });
            }
            'm' => self.month = Some(input.number(2)?),
            'd' | 'e' => {
                input.blanks();
                self.day = Some(input.number(2)?);
            }
            'j' => self.ordinal = Some(input.number(3)?),
            'b' | 'B' | 'h' => self.month = Some(input.word(&MONTHS)? + 1),
            'a' | 'A' => {
                // The weekday is checked to be one, and otherwise says nothing.
                input.word(&["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"])?;
            }
            'H' | 'k' => {
                input.blanks();
                self.hour = Some(input.number(2)?);
            }
            'I' | 'l' => {
                input.blanks();
                self.hour12 = Some(input.number(2)?);
            }
            'p' | 'P' => {
                let half = input.0.get(..2).ok_or_else(mismatch)?.to_ascii_uppercase();
                self.afternoon = Some(match half.as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return Err(mismatch()),
                });
                input.0 = input.0.get(2..).unwrap_or_default();
            }
            'M' => self.minute = Some(input.number(2)?),
            'S' => self.second = Some(input.number(2)?),
            's' => self.epoch = Some(input.number(12)?),
            'F' => self.format("%Y-%m-%d", input)?,
            'T' | 'X' => self.format("%H:%M:%S", input)?,
            'R' => self.format("%H:%M", input)?,
            'D' | 'x' => self.format("%m/%d/%y", input)?,
            'c' => self.format("%a %b %e %H:%M:%S %Y", input)?,
            'r' => self.format("%I:%M:%S %p", input)?,
            'z' => self.offset(input)?,
            'Z' => {
                let end = input.0.find(char::is_whitespace).unwrap_or(input.0.len());
                let (name, rest) = input.0.split_at(end);
                self.zone = Some(Zone::parse(name)?);
                input.0 = rest;
            }
            'n' | 't' => input.blanks(),
            '%' => input.expect('%')?,
            _ => return Err("a format has an element that is not built".into()),
        }
        Ok(())
    }

    fn fraction(&mut self, element: &str, input: &mut Input<'_>) -> Result<(), Fail> {
        self.second = Some(input.number(2)?);
        let Some(rest) = input.0.strip_prefix('.') else { return Ok(()) };
        let most = element
            .chars()
            .next()
            .and_then(|c| c.to_digit(10))
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(6);
        let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let text = rest.get(..digits).unwrap_or_default();
        self.micros = format!("{text:0<6}").parse().map_err(|_| mismatch())?;
        let rest = rest.get(digits..).unwrap_or_default();
        // Digits finer than a microsecond are dropped.
        input.0 = if element == "*S" { rest.trim_start_matches(|c: char| c.is_ascii_digit()) } else { rest };
        Ok(())
    }

    fn offset(&mut self, input: &mut Input<'_>) -> Result<(), Fail> {
        if let Some(rest) = input.0.strip_prefix(['Z', 'z']) {
            self.offset = Some(0);
            input.0 = rest;
            return Ok(());
        }
        let end = input
            .0
            .char_indices()
            .skip(1)
            .find(|(_, c)| !c.is_ascii_digit() && *c != ':')
            .map_or(input.0.len(), |(at, _)| at);
        let (text, rest) = input.0.split_at(end);
        self.offset = Some(civil::parse_offset(text).ok_or_else(mismatch)?);
        input.0 = rest;
        Ok(())
    }

    fn date(&self) -> Result<i32, Fail> {
        if let Some(epoch) = self.epoch {
            return civil::day_of(epoch.checked_mul(SECOND).ok_or_else(mismatch)?);
        }
        let year = self.year.unwrap_or(1970);
        match self.ordinal {
            Some(ordinal) if self.month.is_none() && self.day.is_none() => {
                let day = civil::add_date(civil::from_ymd(year, 1, 1)?, ordinal - 1, civil::Part::Day)?;
                if ordinal >= 1 && civil::truncate_date(day, civil::Part::Year)? == civil::from_ymd(year, 1, 1)? {
                    Ok(day)
                } else {
                    Err(mismatch())
                }
            }
            Some(_) => Err("%j beside a month or a day is not built".into()),
            None => civil::from_ymd(year, self.month.unwrap_or(1), self.day.unwrap_or(1)),
        }
    }

    fn time(&self) -> Result<i64, Fail> {
        let hour = match (self.hour, self.hour12, self.afternoon) {
            (Some(hour), _, _) => hour,
            (None, Some(hour), half) if (1..=12).contains(&hour) => hour % 12 + if half == Some(true) { 12 } else { 0 },
            (None, None, _) => 0,
            _ => return Err(mismatch()),
        };
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        // A leap second is the first second of the next minute.
        if second == 60 && minute < 60 && hour < 24 {
            return Ok(hour * HOUR + (minute + 1) * MINUTE);
        }
        Ok(civil::from_hms(hour, minute, second).map_err(|_| mismatch())? + self.micros)
    }

    fn datetime(&self) -> Result<i64, Fail> {
        if let Some(epoch) = self.epoch {
            return civil::micros(epoch.checked_mul(SECOND).ok_or_else(mismatch)?);
        }
        civil::micros(midnight(self.date()?) + self.time()?)
    }

    fn instant(&self, zone: Zone) -> Result<i64, Fail> {
        let local = self.datetime()?;
        if self.epoch.is_some() {
            return Ok(local);
        }
        match self.offset {
            Some(offset) => civil::micros(local - offset),
            None => self.zone.unwrap_or(zone).instant(local),
        }
    }
}
