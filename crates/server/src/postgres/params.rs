//! Parameters of prepared statements.
//!
//! Values are written into the statement as GoogleSQL literals, so that they take part in its rules of coercion as
//! if they had been typed there. Owns: reading a bound value, writing a literal that cannot end early, and the
//! stand-ins with which a statement is described before it has values.

use std::fmt::Write as _;

use chrono::{Duration, NaiveDate};
use pgwire::api::Type;

use super::command::{Placed, Token, tokens};

/// A bound value that does not fit its type.
#[derive(Debug, PartialEq, Eq)]
pub struct BadParameter {
    /// Counted from 1.
    pub number: usize,
    /// Its type's name.
    pub of: String,
}

/// How many parameters a statement has.
pub fn count(sql: &str) -> usize {
    let numbers = tokens(sql).into_iter().filter_map(|placed| match placed.token {
        Token::Parameter(number) => Some(number),
        _ => None,
    });
    numbers.max().unwrap_or(0)
}

/// Writes `literal(n)` for every `$n`; missing ones stay as they are. A cast of PostgreSQL's right behind a parameter
/// (`$1::BIGINT`, as SQLAlchemy writes it) says the parameter's type again and is left out.
pub fn substitute(sql: &str, literal: impl Fn(usize) -> Option<String>) -> String {
    let (mut out, mut copied) = (String::with_capacity(sql.len()), 0);
    let all = tokens(sql);
    for (position, Placed { token, start, end }) in all.iter().enumerate() {
        let Token::Parameter(number) = token else { continue };
        let Some(text) = literal(*number) else { continue };
        out.push_str(sql.get(copied..*start).unwrap_or_default());
        out.push_str(&text);
        copied = cast_behind(all.get(position + 1..).unwrap_or_default()).unwrap_or(*end);
    }
    out.push_str(sql.get(copied..).unwrap_or_default());
    out
}

/// Where a cast at the head of these tokens ends; `None` when there is none.
fn cast_behind(rest: &[Placed<'_>]) -> Option<usize> {
    let [first, second, name, rest @ ..] = rest else { return None };
    if first.token != Token::Symbol(':') || second.token != Token::Symbol(':') {
        return None;
    }
    let Token::Word(word) = name.token else { return None };
    let longer = |words: &[&str]| {
        let end = rest.get(words.len().checked_sub(1)?)?.end;
        let same = rest
            .iter()
            .zip(words)
            .all(|(placed, word)| matches!(placed.token, Token::Word(found) if found.eq_ignore_ascii_case(word)));
        same.then_some(end)
    };
    let end = match word.to_ascii_lowercase().as_str() {
        "double" => longer(&["precision"]),
        "character" => longer(&["varying"]),
        "timestamp" | "time" => longer(&["with", "time", "zone"]).or_else(|| longer(&["without", "time", "zone"])),
        _ => None,
    };
    Some(end.unwrap_or(name.end))
}

/// Parameters that stand after LIMIT or OFFSET, where NULL has no meaning.
pub fn counts_rows(sql: &str, number: usize) -> bool {
    let all = tokens(sql);
    all.windows(2).any(|pair| match pair {
        [before, after] => {
            matches!(before.token, Token::Word(word) if word.eq_ignore_ascii_case("limit") || word.eq_ignore_ascii_case("offset"))
                && after.token == Token::Parameter(number)
        }
        _ => false,
    })
}

/// The GoogleSQL name of a wire type; `None` for what is left to the literal's own rules.
pub fn google_name(of: &Type) -> Option<&'static str> {
    Some(match *of {
        Type::BOOL => "BOOL",
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => "INT64",
        Type::FLOAT4 | Type::FLOAT8 => "FLOAT64",
        Type::NUMERIC => "NUMERIC",
        Type::BYTEA => "BYTES",
        Type::DATE => "DATE",
        Type::TIME => "TIME",
        Type::TIMESTAMP => "DATETIME",
        Type::TIMESTAMPTZ => "TIMESTAMP",
        _ => return None,
    })
}

/// What stands for a parameter while its statement is described.
pub fn stand_in(of: &Type) -> String {
    google_name(of).map_or_else(|| "NULL".to_owned(), |name| format!("CAST(NULL AS {name})"))
}

/// Types that an undeclared parameter is tried as, in order.
pub const GUESSES: [(Type, &str); 7] = [
    (Type::TEXT, "STRING"),
    (Type::INT8, "INT64"),
    (Type::FLOAT8, "FLOAT64"),
    (Type::TIMESTAMPTZ, "TIMESTAMP"),
    (Type::DATE, "DATE"),
    (Type::BOOL, "BOOL"),
    (Type::BYTEA, "BYTES"),
];

/// The literal of a bound value; `None` bytes are NULL.
pub fn literal(number: usize, of: &Type, binary: bool, bytes: Option<&[u8]>) -> Result<String, BadParameter> {
    let Some(bytes) = bytes else { return Ok(stand_in(of)) };
    let read = if binary { from_binary(of, bytes) } else { from_text(of, bytes) };
    read.ok_or_else(|| BadParameter { number, of: of.name().to_owned() })
}

/// The literal of a bound value in PostgreSQL's dialect, for catalog queries; they compare names and numbers only.
pub fn postgres_literal(number: usize, of: &Type, binary: bool, bytes: Option<&[u8]>) -> Result<String, BadParameter> {
    let Some(bytes) = bytes else { return Ok("NULL".to_owned()) };
    let bad = || BadParameter { number, of: of.name().to_owned() };
    match *of {
        Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::FLOAT4 | Type::FLOAT8 => {
            literal(number, of, binary, Some(bytes))
        }
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
            Ok(format!("'{}'", text.replace('\'', "''")))
        }
    }
}

fn from_text(of: &Type, bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(match *of {
        Type::BOOL => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "yes" | "y" => "TRUE".to_owned(),
            "f" | "false" | "0" | "off" | "no" | "n" => "FALSE".to_owned(),
            _ => return None,
        },
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => integer(text.trim().parse().ok()?),
        Type::FLOAT4 | Type::FLOAT8 => float(text.trim().parse().ok()?),
        Type::BYTEA => bytes_literal(&hex::decode(text.strip_prefix("\\x")?).ok()?),
        Type::NUMERIC | Type::DATE | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            format!("CAST({} AS {})", string(text), google_name(of)?)
        }
        _ => string(text),
    })
}

fn from_binary(of: &Type, bytes: &[u8]) -> Option<String> {
    Some(match *of {
        Type::BOOL => if bytes == [0] { "FALSE" } else { "TRUE" }.to_owned(),
        Type::INT2 => integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::INT4 => integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::INT8 => integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::OID => integer(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::FLOAT4 => float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::FLOAT8 => float(f64::from_be_bytes(bytes.try_into().ok()?)),
        Type::BYTEA => bytes_literal(bytes),
        Type::NUMERIC => format!("NUMERIC '{}'", numeric(bytes)?),
        Type::DATE => format!("DATE '{}'", date(i32::from_be_bytes(bytes.try_into().ok()?))?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            let at = epoch()?.and_time(chrono::NaiveTime::MIN).checked_add_signed(Duration::microseconds(micros))?;
            let zone = if *of == Type::TIMESTAMPTZ { "+00" } else { "" };
            format!("{} '{}{zone}'", google_name(of)?, at.format("%Y-%m-%d %H:%M:%S%.6f"))
        }
        Type::TIME => {
            let micros = u64::from_be_bytes(bytes.try_into().ok()?);
            let at = chrono::NaiveTime::MIN + Duration::microseconds(i64::try_from(micros).ok()?);
            format!("TIME '{}'", at.format("%H:%M:%S%.6f"))
        }
        Type::UUID => {
            let digits = hex::encode(<[u8; 16]>::try_from(bytes).ok()?);
            let parts =
                [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default().to_owned());
            string(&parts.join("-"))
        }
        Type::JSONB => string(std::str::from_utf8(bytes.get(1..)?).ok()?),
        _ => string(std::str::from_utf8(bytes).ok()?),
    })
}

fn epoch() -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(2000, 1, 1)
}

fn date(days: i32) -> Option<String> {
    Some(epoch()?.checked_add_signed(Duration::days(days.into()))?.format("%Y-%m-%d").to_string())
}

/// Parentheses keep `a - $1` from becoming a comment when the value is negative.
fn integer(value: i64) -> String {
    if value < 0 { format!("({value})") } else { value.to_string() }
}

fn float(value: f64) -> String {
    if value.is_finite() { format!("({value:?})") } else { format!("CAST('{value}' AS FLOAT64)") }
}

/// A string literal; nothing in it can end it.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

fn bytes_literal(bytes: &[u8]) -> String {
    let mut out = String::from("b'");
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02x}");
    }
    out.push('\'');
    out
}

/// The text of a binary numeric; `None` for NaN and infinities, which NUMERIC does not hold.
fn numeric(bytes: &[u8]) -> Option<String> {
    let words: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, byte| (sum << 8) | u16::from(*byte))).collect();
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else { return None };
    if usize::from(*count) != digits.len() || !matches!(sign, 0 | 0x4000) {
        return None;
    }
    let weight = i32::from(i16::from_be_bytes(weight.to_be_bytes()));
    let scale = i32::from(*scale);
    let digit = |position: i32| usize::try_from(position).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut whole = String::new();
    for position in 0..=weight.max(0) {
        let _ = write!(whole, "{:04}", if weight < 0 { 0 } else { digit(position) });
    }
    let mut part = String::new();
    let mut position = weight + 1;
    while i32::try_from(part.len()).ok()? < scale {
        let _ = write!(part, "{:04}", digit(position));
        position += 1;
    }
    part.truncate(usize::try_from(scale).ok()?);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{}{whole}{point}{part}", if *sign == 0 { "" } else { "-" }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_literal() {
        let nasty = "'; SELECT 1 -- \\' \n '''";
        let sql = substitute("SELECT $1, '$2'", |_| literal(1, &Type::TEXT, false, Some(nasty.as_bytes())).ok());
        let found = tokens(&sql);
        assert!(matches!(found.get(1).map(|placed| placed.token), Some(Token::Quoted(_))));
        assert_eq!(found.len(), 4, "{sql}");
    }

    #[test]
    fn a_cast_behind_a_parameter_is_left_out() {
        let sql = "SELECT $1::BIGINT + $2::timestamp without time zone, x::y";
        assert_eq!(substitute(sql, |number| Some(number.to_string())), "SELECT 1 + 2, x::y");
    }

    #[test]
    fn values_become_literals_of_their_type() {
        let cases: [(Type, &[u8], &str); 7] = [
            (Type::INT4, &[0xff, 0xff, 0xff, 0xff], "(-1)"),
            (Type::INT8, &[0, 0, 0, 0, 0, 0, 0, 7], "7"),
            (Type::BOOL, &[1], "TRUE"),
            (Type::DATE, &[0, 0, 0, 1], "DATE '2000-01-02'"),
            (Type::NUMERIC, &[0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 9, 41, 26, 124], "NUMERIC '12345.678'"),
            (Type::BYTEA, &[0, 255], "b'\\x00\\xff'"),
            (Type::TIMESTAMPTZ, &[0; 8], "TIMESTAMP '2000-01-01 00:00:00.000000+00'"),
        ];
        for (of, bytes, expected) in cases {
            assert_eq!(literal(1, &of, true, Some(bytes)).unwrap(), expected);
        }
        assert!(literal(1, &Type::INT4, true, Some(&[1])).is_err());
    }
}
