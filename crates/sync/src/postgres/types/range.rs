//! Ranges and multiranges as the text the server prints, from their binary form.
//!
//! Owns: the flags byte, the bounds of the built-in ranges, and the quoting of bounds. Ranges over other types have no
//! binary decoder here; their text is stored as it comes. Never normalises a range.

use postgres_types::Type;

use super::{
    TypeKind, TypeSource,
    number::{write_display, write_numeric},
    scalar::{Raw, exact},
    time::{write_date_iso, write_timestamp_iso},
};
use crate::postgres::error::CellFault;

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;
const MALFORMED: CellFault = CellFault::Malformed("a range");

/// The type of a range's bounds, where its binary form can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Int4,
    Int8,
    Numeric,
    Date,
    Timestamp,
    TimestampTz,
    Text,
}

impl Bound {
    /// Chooses by the range's oid if it is built in, else by the bounds' type.
    pub(crate) fn of_range(range_oid: u32, bound: Option<&TypeSource>) -> Option<Self> {
        match Type::from_oid(range_oid) {
            Some(Type::INT4_RANGE | Type::INT4MULTI_RANGE) => Some(Self::Int4),
            Some(Type::INT8_RANGE | Type::INT8MULTI_RANGE) => Some(Self::Int8),
            Some(Type::NUM_RANGE | Type::NUMMULTI_RANGE) => Some(Self::Numeric),
            Some(Type::DATE_RANGE | Type::DATEMULTI_RANGE) => Some(Self::Date),
            Some(Type::TS_RANGE | Type::TSMULTI_RANGE) => Some(Self::Timestamp),
            Some(Type::TSTZ_RANGE | Type::TSTZMULTI_RANGE) => Some(Self::TimestampTz),
            _ => Self::of_type(bound?),
        }
    }

    fn of_type(source: &TypeSource) -> Option<Self> {
        if let TypeKind::Domain(base) = &source.kind {
            return Self::of_type(base);
        }
        match Type::from_oid(source.oid)? {
            Type::INT4 => Some(Self::Int4),
            Type::INT8 => Some(Self::Int8),
            Type::NUMERIC => Some(Self::Numeric),
            Type::DATE => Some(Self::Date),
            Type::TIMESTAMP => Some(Self::Timestamp),
            Type::TIMESTAMPTZ => Some(Self::TimestampTz),
            Type::TEXT | Type::VARCHAR => Some(Self::Text),
            _ => None,
        }
    }

    fn write(self, bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
        match self {
            Self::Int4 => write_display(i32::from_be_bytes(exact(bytes, "4 bytes")?), out),
            Self::Int8 => write_display(i64::from_be_bytes(exact(bytes, "8 bytes")?), out),
            Self::Numeric => write_numeric(bytes, out)?,
            Self::Date => write_date_iso(i32::from_be_bytes(exact(bytes, "4 bytes")?), out),
            Self::Timestamp => write_timestamp_iso(i64::from_be_bytes(exact(bytes, "8 bytes")?), "", out),
            Self::TimestampTz => write_timestamp_iso(i64::from_be_bytes(exact(bytes, "8 bytes")?), "+00", out),
            Self::Text => out.push_str(Raw::Text(bytes).str()?),
        }
        Ok(())
    }
}

/// Writes a range: flags, then each bound that is not infinite with its length before it.
pub(crate) fn write_range(bound: Bound, bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    let (&flags, mut rest) = bytes.split_first().ok_or(MALFORMED)?;
    if flags & EMPTY != 0 {
        out.push_str("empty");
        return Ok(());
    }
    out.push(if flags & LOWER_INCLUSIVE != 0 { '[' } else { '(' });
    if flags & LOWER_INFINITE == 0 {
        write_bound(bound, sized(&mut rest)?, out)?;
    }
    out.push(',');
    if flags & UPPER_INFINITE == 0 {
        write_bound(bound, sized(&mut rest)?, out)?;
    }
    out.push(if flags & UPPER_INCLUSIVE != 0 { ']' } else { ')' });
    if rest.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

/// Writes a multirange: a count, then each range with its length before it.
pub(crate) fn write_multirange(bound: Bound, bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
    out.push('{');
    for index in 0..u32::from_be_bytes(*count) {
        if index > 0 {
            out.push(',');
        }
        write_range(bound, sized(&mut rest)?, out)?;
    }
    out.push('}');
    if rest.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

/// Takes a four-byte length and that many bytes.
fn sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], CellFault> {
    let (length, tail) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| MALFORMED)?;
    let (value, tail) = tail.split_at_checked(length).ok_or(MALFORMED)?;
    *rest = tail;
    Ok(value)
}

/// Writes a bound, quoted when it is empty or holds a character that a range's text uses.
fn write_bound(bound: Bound, bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    let start = out.len();
    bound.write(bytes, out)?;
    let written = out.get(start..).unwrap_or_default();
    let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | '[' | ']' | ',') || is_space(c);
    if !written.is_empty() && !written.contains(special) {
        return Ok(());
    }
    let plain = out.split_off(start);
    out.push('"');
    for c in plain.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}

/// The characters C's `isspace` knows.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_as_the_server_prints_them() {
        let int4 = |flags: u8, bounds: &[i32]| {
            let mut bytes = vec![flags];
            for bound in bounds {
                bytes.extend(4_u32.to_be_bytes());
                bytes.extend(bound.to_be_bytes());
            }
            bytes
        };
        for (bytes, expected) in [
            (int4(EMPTY, &[]), "empty"),
            (int4(LOWER_INCLUSIVE, &[1, 5]), "[1,5)"),
            (int4(LOWER_INFINITE | UPPER_INCLUSIVE, &[5]), "(,5]"),
            (int4(LOWER_INFINITE | UPPER_INFINITE, &[]), "(,)"),
        ] {
            let mut out = String::new();
            write_range(Bound::Int4, &bytes, &mut out).unwrap();
            assert_eq!(out, expected);
        }
        assert!(write_range(Bound::Int4, &int4(LOWER_INCLUSIVE, &[1]), &mut String::new()).is_err());
    }

    #[test]
    fn a_bound_with_special_characters_is_quoted() {
        let mut out = String::new();
        write_bound(Bound::Text, b"a\"b \\", &mut out).unwrap();
        assert_eq!(out, r#""a""b \\""#);
        let mut out = String::new();
        write_bound(Bound::Timestamp, &0_i64.to_be_bytes(), &mut out).unwrap();
        assert_eq!(out, r#""2000-01-01 00:00:00""#);
    }
}
