//! Parameters of prepared statements.
//!
//! Values are written into the statement as GoogleSQL literals, so that they take part in its rules of coercion as
//! if they had been typed there. Owns: reading a bound value, and writing a literal that cannot end early. Next:
//! `placeholders.rs` for the text around a parameter.

use std::fmt::Write as _;

use chrono::{Duration, NaiveDate};
use naru_warehouse::{SqlType, postgres_catalog};
use pgwire::api::Type;

/// A bound value that does not fit its type.
#[derive(Debug, PartialEq, Eq)]
pub struct BadParameter {
    /// Counted from 1.
    pub number: usize,
    /// Its type's name.
    pub of: String,
}

/// The type of an array type's elements.
fn element(of: &Type) -> Option<Type> {
    Type::from_oid(postgres_catalog::element_oid(of.oid())?)
}

/// The GoogleSQL type of a wire type; `None` for texts, which are left to the literal's own rules.
pub fn google_type(of: &Type) -> Option<SqlType> {
    if let Some(element) = element(of) {
        return Some(SqlType::Array(Box::new(google_type(&element).unwrap_or(SqlType::String))));
    }
    Some(match *of {
        Type::BOOL => SqlType::Bool,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => SqlType::Int64,
        Type::FLOAT4 | Type::FLOAT8 => SqlType::Float64,
        Type::NUMERIC => SqlType::Numeric,
        Type::BYTEA => SqlType::Bytes,
        Type::DATE => SqlType::Date,
        Type::TIME => SqlType::Time,
        Type::TIMESTAMP => SqlType::Datetime,
        Type::TIMESTAMPTZ => SqlType::Timestamp,
        Type::INTERVAL => SqlType::Interval,
        _ => return None,
    })
}

/// The wire type of a parameter that takes a GoogleSQL type.
pub fn wire_type(of: &SqlType) -> Type {
    match of {
        SqlType::Bool => Type::BOOL,
        SqlType::Int64 => Type::INT8,
        SqlType::Float64 => Type::FLOAT8,
        SqlType::Numeric | SqlType::BigNumeric => Type::NUMERIC,
        SqlType::Bytes => Type::BYTEA,
        SqlType::Date => Type::DATE,
        SqlType::Time => Type::TIME,
        SqlType::Datetime => Type::TIMESTAMP,
        SqlType::Timestamp => Type::TIMESTAMPTZ,
        SqlType::Interval => Type::INTERVAL,
        SqlType::Array(element) => match wire_type(element) {
            Type::BOOL => Type::BOOL_ARRAY,
            Type::INT8 => Type::INT8_ARRAY,
            Type::FLOAT8 => Type::FLOAT8_ARRAY,
            Type::NUMERIC => Type::NUMERIC_ARRAY,
            Type::BYTEA => Type::BYTEA_ARRAY,
            Type::DATE => Type::DATE_ARRAY,
            Type::TIME => Type::TIME_ARRAY,
            Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
            Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
            Type::INTERVAL => Type::INTERVAL_ARRAY,
            _ => Type::TEXT_ARRAY,
        },
        SqlType::String | SqlType::Json | SqlType::Struct(_) => Type::TEXT,
    }
}

/// NULL of a wire type.
fn null_of(of: &Type) -> String {
    google_type(of).map_or_else(|| "NULL".to_owned(), |name| format!("CAST(NULL AS {name})"))
}

/// The literal of a bound value; `None` bytes are NULL.
pub fn literal(number: usize, of: &Type, binary: bool, bytes: Option<&[u8]>) -> Result<String, BadParameter> {
    let Some(bytes) = bytes else { return Ok(null_of(of)) };
    let read = if binary { from_binary(of, bytes) } else { from_text(of, bytes) };
    read.ok_or_else(|| BadParameter { number, of: of.name().to_owned() })
}

/// The literal of a bound value in PostgreSQL's dialect, for catalog queries; they compare names and numbers only.
pub fn postgres_literal(number: usize, of: &Type, binary: bool, bytes: Option<&[u8]>) -> Result<String, BadParameter> {
    let Some(bytes) = bytes else { return Ok("NULL".to_owned()) };
    let bad = || BadParameter { number, of: of.name().to_owned() };
    if let Some(element) = element(of) {
        let items = if binary { binary_items(bytes) } else { text_items(bytes) }.ok_or_else(bad)?;
        let items = items.iter().map(|item| postgres_literal(number, &element, binary, item.as_deref()));
        let items: Vec<String> = items.collect::<Result<_, _>>()?;
        // The engine needs an element to know the type.
        return Ok(format!("ARRAY[{}]", if items.is_empty() { "NULL".to_owned() } else { items.join(", ") }));
    }
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

/// An array literal of GoogleSQL.
fn array(of: &Type, element: &Type, items: &[Option<Vec<u8>>], binary: bool) -> Option<String> {
    let items = items.iter().map(|item| literal(0, element, binary, item.as_deref()).ok());
    let items: Vec<String> = items.collect::<Option<_>>()?;
    let wide = items.iter().any(|item| item.starts_with("BIGNUMERIC "));
    let of = if wide { SqlType::Array(Box::new(SqlType::BigNumeric)) } else { google_type(of)? };
    Some(format!("{of}[{}]", items.join(", ")))
}

/// Items of a binary array of one dimension: dimensions, NULL flag, item type, length, lower bound, items.
fn binary_items(bytes: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let word = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if word(0)? == 0 {
        return Some(Vec::new());
    }
    let (dimensions, length) = (word(0)?, usize::try_from(word(12)?).ok()?);
    let (mut items, mut at) = (Vec::new(), 20);
    for _ in 0..length {
        let size = word(at)?;
        at += 4;
        items.push(match usize::try_from(size) {
            Ok(size) => {
                let item = bytes.get(at..at + size)?.to_vec();
                at += size;
                Some(item)
            }
            Err(_) => None,
        });
    }
    (dimensions == 1 && at == bytes.len()).then_some(items)
}

/// Items of `{a,"b c",NULL}`, one dimension.
fn text_items(bytes: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let inner = std::str::from_utf8(bytes).ok()?.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (mut items, mut item, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    let mut close = |item: &mut String, quoted: &mut bool| {
        let text = if *quoted { std::mem::take(item) } else { std::mem::take(item).trim().to_owned() };
        let null = !*quoted && text.eq_ignore_ascii_case("null");
        *quoted = false;
        items.push((!null).then(|| text.into_bytes()));
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                open = !open;
                quoted = true;
            }
            '\\' => item.push(chars.next()?),
            ',' if !open => close(&mut item, &mut quoted),
            '{' | '}' if !open => return None,
            c if quoted && !open && c.is_whitespace() => {}
            c => item.push(c),
        }
    }
    if !inner.trim().is_empty() {
        close(&mut item, &mut quoted);
    }
    (!open).then_some(items)
}

fn from_text(of: &Type, bytes: &[u8]) -> Option<String> {
    if let Some(element) = element(of) {
        return array(of, &element, &text_items(bytes)?, false);
    }
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
        Type::NUMERIC => exact(text.trim())?,
        Type::INTERVAL => interval_of_text(text)?,
        Type::DATE | Type::TIMESTAMP => format!("CAST({} AS {})", string(without_zone(text)), google_type(of)?),
        Type::UUID => string(&uuid_of_text(text.trim())?),
        Type::TIME | Type::TIMESTAMPTZ => format!("CAST({} AS {})", string(text), google_type(of)?),
        _ => string(text),
    })
}

fn from_binary(of: &Type, bytes: &[u8]) -> Option<String> {
    if let Some(element) = element(of) {
        return array(of, &element, &binary_items(bytes)?, true);
    }
    Some(match *of {
        Type::BOOL => if bytes == [0] { "FALSE" } else { "TRUE" }.to_owned(),
        Type::INT2 => integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::INT4 => integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::INT8 => integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::OID => integer(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::FLOAT4 => float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::FLOAT8 => float(f64::from_be_bytes(bytes.try_into().ok()?)),
        Type::BYTEA => bytes_literal(bytes),
        Type::NUMERIC => exact(&numeric(bytes)?)?,
        Type::INTERVAL => {
            let micros = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
            let days = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
            let months = i32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
            interval(months.into(), days.into(), micros)
        }
        Type::DATE => format!("DATE '{}'", date(i32::from_be_bytes(bytes.try_into().ok()?))?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            let at = epoch()?.and_time(chrono::NaiveTime::MIN).checked_add_signed(Duration::microseconds(micros))?;
            let zone = if *of == Type::TIMESTAMPTZ { "+00" } else { "" };
            format!("{} '{}{zone}'", google_type(of)?, at.format("%Y-%m-%d %H:%M:%S%.6f"))
        }
        Type::TIME => {
            let micros = u64::from_be_bytes(bytes.try_into().ok()?);
            let at = chrono::NaiveTime::MIN + Duration::microseconds(i64::try_from(micros).ok()?);
            format!("TIME '{}'", at.format("%H:%M:%S%.6f"))
        }
        Type::UUID => string(&uuid(<[u8; 16]>::try_from(bytes).ok()?)),
        Type::JSONB => string(std::str::from_utf8(bytes.get(1..)?).ok()?),
        _ => string(std::str::from_utf8(bytes).ok()?),
    })
}

/// A day or a clock's time without the zone behind it, which PostgreSQL reads over: JDBC sends `2026-01-31 +09`.
fn without_zone(text: &str) -> &str {
    let plain = text.trim();
    let zone = plain.rfind(['+', '-', 'Z']).filter(|at| {
        let before = plain.get(..*at).unwrap_or_default();
        before.contains(':') || before.ends_with(' ')
    });
    zone.and_then(|at| plain.get(..at)).unwrap_or(plain).trim_end()
}

/// A UUID as it stands in tables: lowercase, with dashes.
fn uuid(bytes: [u8; 16]) -> String {
    let digits = hex::encode(bytes);
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default().to_owned()).join("-")
}

/// The same of any way in which PostgreSQL reads one.
fn uuid_of_text(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: String = inner.chars().filter(|c| *c != '-').collect();
    Some(uuid(hex::decode(digits).ok()?.try_into().ok()?))
}

/// A decimal in the smallest type that holds it exactly; `None` for what neither holds, NaN and infinities among it.
fn exact(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(['-', '+']);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.') && !digits.is_empty();
    let scientific = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let of = if plain && whole.len() <= 29 && part.len() <= 9 {
        "NUMERIC"
    } else if (plain && whole.len() <= 38 && part.len() <= 38) || (!plain && scientific) {
        "BIGNUMERIC"
    } else {
        return None;
    };
    Some(format!("{of} '{text}'"))
}

/// An INTERVAL of PostgreSQL's three parts.
fn interval(months: i64, days: i64, micros: i64) -> String {
    let sign = |value: i64| if value < 0 { "-" } else { "" };
    let (month, micro) = (months.unsigned_abs(), micros.unsigned_abs());
    let seconds = micro / 1_000_000;
    format!(
        "CAST('{}{}-{} {days} {}{}:{}:{}.{:06}' AS INTERVAL)",
        sign(months),
        month / 12,
        month % 12,
        sign(micros),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        micro % 1_000_000
    )
}

/// Numbers with units, as clients write intervals: `2 days 3600 seconds`.
fn interval_of_text(text: &str) -> Option<String> {
    let (mut months, mut days, mut micros) = (0_i64, 0_i64, 0_i64);
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.chunks(2) {
        let [number, unit] = pair else { return None };
        let number: i64 = number.parse().ok()?;
        match unit.to_ascii_lowercase().trim_end_matches('s') {
            "year" => months = months.checked_add(number.checked_mul(12)?)?,
            "month" | "mon" => months = months.checked_add(number)?,
            "week" => days = days.checked_add(number.checked_mul(7)?)?,
            "day" => days = days.checked_add(number)?,
            "hour" => micros = micros.checked_add(number.checked_mul(3_600_000_000)?)?,
            "minute" | "min" => micros = micros.checked_add(number.checked_mul(60_000_000)?)?,
            "second" | "sec" => micros = micros.checked_add(number.checked_mul(1_000_000)?)?,
            "millisecond" => micros = micros.checked_add(number.checked_mul(1_000)?)?,
            "microsecond" | "u" => micros = micros.checked_add(number)?,
            _ => return None,
        }
    }
    (!words.is_empty()).then(|| interval(months, days, micros))
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
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_exact_numbers_become_literals() {
        let text = |of: &Type, value: &str| literal(1, of, false, Some(value.as_bytes()));
        assert_eq!(text(&Type::INT4_ARRAY, "{1,NULL,-3}").unwrap(), "ARRAY<INT64>[1, CAST(NULL AS INT64), (-3)]");
        assert_eq!(
            text(&Type::TEXT_ARRAY, r#"{a,"b, \"c\"","NULL",null}"#).unwrap(),
            r#"ARRAY<STRING>['a', 'b, "c"', 'NULL', NULL]"#
        );
        assert_eq!(text(&Type::INT8_ARRAY, "{}").unwrap(), "ARRAY<INT64>[]");
        let mixed = text(&Type::NUMERIC_ARRAY, "{1.5,0.0000000001}").unwrap();
        assert_eq!(mixed, "ARRAY<BIGNUMERIC>[NUMERIC '1.5', BIGNUMERIC '0.0000000001']");
        assert!(text(&Type::INT8_ARRAY, "{{1},{2}}").is_err() && text(&Type::INT8_ARRAY, "1").is_err());
        let binary =
            [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255];
        let items = literal(1, &Type::INT4_ARRAY, true, Some(&binary)).unwrap();
        assert_eq!(items, "ARRAY<INT64>[7, CAST(NULL AS INT64)]");
        assert!(literal(1, &Type::INT4_ARRAY, true, Some(&binary[..20])).is_err());
        assert_eq!(text(&Type::NUMERIC, "0.0000000001").unwrap(), "BIGNUMERIC '0.0000000001'");
        assert!(text(&Type::NUMERIC, "NaN").is_err());
        assert_eq!(text(&Type::INTERVAL, "1 day -90 seconds").unwrap(), "CAST('0-0 1 -0:1:30.000000' AS INTERVAL)");
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

    #[test]
    fn a_zone_behind_a_day_or_a_clocks_time_is_read_over() {
        for (text, plain) in [
            ("2026-01-31 +09", "2026-01-31"),
            ("2026-01-31", "2026-01-31"),
            ("2026-01-31 12:00:00+09", "2026-01-31 12:00:00"),
            ("2026-01-31 12:00:00.5-03:30", "2026-01-31 12:00:00.5"),
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00"),
        ] {
            assert_eq!(without_zone(text), plain, "{text}");
        }
    }
}
