//! Intervals as BigQuery's text, from both forms.
//!
//! Owns: reading months, days and microseconds, and writing `Y-M D H:M:S[.f]`. Sessions run with
//! `IntervalStyle = iso_8601`, whose text has one reading. Never folds days into months or hours into days.

use std::fmt::Write;

use super::scalar::{Fit, Raw, exact};
use crate::postgres::error::CellFault;

const MALFORMED: CellFault = CellFault::Malformed("an interval in iso_8601 style");
const SECOND_US: i64 = 1_000_000;

/// The three parts that PostgreSQL keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Parts {
    months: i64,
    days: i64,
    micros: i64,
}

/// Writes an interval; the infinite ones of PostgreSQL 17 do not fit.
pub(crate) fn write_interval(raw: Raw<'_>, out: &mut String) -> Result<Fit<()>, CellFault> {
    let parts = match raw {
        Raw::Text(b"infinity" | b"-infinity") => return Ok(Fit::Infinite),
        Raw::Text(text) => parse(text)?,
        Raw::Binary(bytes) => {
            let [micros @ .., d0, d1, d2, d3, m0, m1, m2, m3] = exact::<16>(bytes, "16 bytes")?;
            let (micros, days, months) = (
                i64::from_be_bytes(micros),
                i32::from_be_bytes([d0, d1, d2, d3]),
                i32::from_be_bytes([m0, m1, m2, m3]),
            );
            if matches!((micros, days, months), (i64::MAX, i32::MAX, i32::MAX) | (i64::MIN, i32::MIN, i32::MIN)) {
                return Ok(Fit::Infinite);
            }
            Parts { months: i64::from(months), days: i64::from(days), micros }
        }
    };
    write_parts(parts, out);
    Ok(Fit::Value(()))
}

fn write_parts(parts: Parts, out: &mut String) {
    let months = parts.months.unsigned_abs();
    let sign = |negative: bool| if negative { "-" } else { "" };
    let _ = write!(out, "{}{}-{} {} ", sign(parts.months < 0), months / 12, months % 12, parts.days);
    let micros = parts.micros.unsigned_abs();
    let seconds = micros / SECOND_US.unsigned_abs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{}{hours}:{minutes}:{rest}", sign(parts.micros < 0));
    let fraction = micros % SECOND_US.unsigned_abs();
    if !fraction.is_multiple_of(1000) {
        let _ = write!(out, ".{fraction:06}");
    } else if fraction != 0 {
        let _ = write!(out, ".{:03}", fraction / 1000);
    }
}

/// Reads `P1Y-2M3DT4H-5M6.7S`; every part may have its own sign.
fn parse(text: &[u8]) -> Result<Parts, CellFault> {
    let mut rest = text.strip_prefix(b"P").ok_or(MALFORMED)?;
    let mut parts = Parts::default();
    let mut in_time = false;
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'T' {
            in_time = true;
            rest = tail;
            continue;
        }
        let (micros, unit, tail) = quantity(rest)?;
        rest = tail;
        let whole = micros / i128::from(SECOND_US);
        let exact = micros % i128::from(SECOND_US) == 0;
        let (field, factor, value) = match (in_time, unit, exact) {
            (false, b'Y', true) => (&mut parts.months, 12, whole),
            (false, b'M', true) => (&mut parts.months, 1, whole),
            (false, b'W', true) => (&mut parts.days, 7, whole),
            (false, b'D', true) => (&mut parts.days, 1, whole),
            (true, b'H', true) => (&mut parts.micros, 3_600_000_000, whole),
            (true, b'M', true) => (&mut parts.micros, 60_000_000, whole),
            (true, b'S', _) => (&mut parts.micros, 1, micros),
            _ => return Err(MALFORMED),
        };
        let added = value.checked_mul(factor).and_then(|value| i64::try_from(value).ok()).ok_or(MALFORMED)?;
        *field = field.checked_add(added).ok_or(MALFORMED)?;
    }
    Ok(parts)
}

/// Reads a signed number in millionths, and its unit.
fn quantity(text: &[u8]) -> Result<(i128, u8, &[u8]), CellFault> {
    let (negative, mut rest) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value: i128 = 0;
    let mut decimals: Option<u32> = None;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, decimals) {
            (b'0'..=b'9', Some(6)) => return Err(MALFORMED),
            (b'0'..=b'9', _) => {
                value = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(i128::from(byte - b'0')))
                    .ok_or(MALFORMED)?;
                decimals = decimals.map(|count| count + 1);
            }
            (b'.', None) => decimals = Some(0),
            (unit, _) => {
                let scale = 10_i128.pow(6 - decimals.unwrap_or(0).min(6));
                let micros = value.checked_mul(scale).ok_or(MALFORMED)?;
                return Ok((if negative { -micros } else { micros }, unit, rest));
            }
        }
    }
    Err(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(micros: i64, days: i32, months: i32) -> Vec<u8> {
        [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
    }

    #[test]
    fn both_forms_of_an_interval_give_bigquerys_text() {
        for (text, bytes, expected) in [
            ("PT0S", binary(0, 0, 0), "0-0 0 0:0:0"),
            ("P1Y2M3DT4H5M6.789S", binary(14_706_789_000, 3, 14), "1-2 3 4:5:6.789"),
            ("P-1Y-2M3DT-4H-5M-6.7S", binary(-14_706_700_000, 3, -14), "-1-2 3 -4:5:6.700"),
            ("PT-0.000001S", binary(-1, 0, 0), "0-0 0 -0:0:0.000001"),
            ("P-40D", binary(0, -40, 0), "0-0 -40 0:0:0"),
            ("PT2562047788H54.775807S", binary(i64::MAX, 0, 0), "0-0 0 2562047788:0:54.775807"),
        ] {
            for raw in [Raw::Text(text.as_bytes()), Raw::Binary(&bytes)] {
                let mut out = String::new();
                assert_eq!(write_interval(raw, &mut out), Ok(Fit::Value(())), "{text}");
                assert_eq!(out, expected, "{text}");
            }
        }
    }

    #[test]
    fn an_infinite_interval_does_not_fit() {
        let bytes = binary(i64::MAX, i32::MAX, i32::MAX);
        assert_eq!(write_interval(Raw::Binary(&bytes), &mut String::new()), Ok(Fit::Infinite));
        assert_eq!(write_interval(Raw::Text(b"-infinity"), &mut String::new()), Ok(Fit::Infinite));
    }

    #[test]
    fn another_style_is_refused_not_misread() {
        for wrong in ["1 day", "P", "P1.5D", "1 year 2 mons", "P1X", "PT1", "P1H"] {
            let result = write_interval(Raw::Text(wrong.as_bytes()), &mut String::new());
            assert!(result.is_err() || wrong == "P", "{wrong}");
        }
    }
}
