//! The rules of `docs/reference/topics.md` once more, slowly and plainly, on serde_json.
//!
//! Owns: the verdict on a row and the values it should have. Shares no code with what it judges.

use std::{fmt, sync::LazyLock};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use regex::Regex;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::plain::{float, text};
use crate::rows::{FaultKind, Unknown};

/// A declared type.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Scalar(&'static str),
    Array(Box<Type>),
    Struct(Vec<(&'static str, Type)>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(name) => f.write_str(name),
            Self::Array(item) => write!(f, "ARRAY<{item}>"),
            Self::Struct(fields) => {
                let fields: Vec<String> = fields.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
                write!(f, "STRUCT<{}>", fields.join(", "))
            }
        }
    }
}

/// The values of a row, `_extra` last (unless refused), or where and why not.
pub(super) type Verdict = Result<Vec<String>, (FaultKind, String)>;

/// Judges one row.
pub(super) fn judge(columns: &[(&'static str, Type, bool)], unknown: Unknown, json: &[u8]) -> Verdict {
    let whole = |kind| (kind, "$".to_owned());
    let source = std::str::from_utf8(json).map_err(|_| whole(FaultKind::NotJson))?;
    // serde_json's own readers stop at a depth of their own, except the one that ignores what it reads.
    serde_json::from_str::<IgnoredAny>(source).map_err(|_| whole(FaultKind::NotJson))?;
    let raw: &RawValue = serde_json::from_str(source).map_err(|_| whole(FaultKind::NotJson))?;
    sound(raw.get(), 0).map_err(whole)?;
    if !raw.get().starts_with('{') {
        return Err(whole(FaultKind::Type));
    }
    let fields: Vec<(&'static str, Type)> = columns.iter().map(|(name, kind, _)| (*name, kind.clone())).collect();
    let (mut values, extra) = object(&fields, unknown, raw.get(), "$")?;
    for ((name, _, required), value) in columns.iter().zip(&values) {
        if *required && value == "NULL" {
            return Err((FaultKind::Missing, format!("$.{name}")));
        }
    }
    if unknown != Unknown::Reject {
        values.push(extra.map_or("NULL".into(), |extra| text(&extra)));
    }
    Ok(values)
}

/// Depth, and the surrogates that serde_json does not look at in what it ignores.
fn sound(json: &str, depth: usize) -> Result<(), FaultKind> {
    match json.as_bytes().first() {
        Some(b'{' | b'[') if depth >= 100 => Err(FaultKind::TooDeep),
        Some(b'{') => members(json).into_iter().try_for_each(|(name, value)| {
            name.ok_or(FaultKind::NotJson)?;
            sound(value, depth + 1)
        }),
        Some(b'[') => items(json).into_iter().try_for_each(|item| sound(item, depth + 1)),
        Some(b'"') => serde_json::from_str::<String>(json).map(|_| ()).map_err(|_| FaultKind::NotJson),
        _ => Ok(()),
    }
}

type Fields = Result<(Vec<String>, Option<String>), (FaultKind, String)>;

fn object(fields: &[(&'static str, Type)], unknown: Unknown, json: &str, path: &str) -> Fields {
    let mut values: Vec<Option<String>> = vec![None; fields.len()];
    let mut extras: Vec<String> = Vec::new();
    for ((name, value), spelled) in members(json).into_iter().zip(names(json)) {
        let name = name.unwrap_or_default();
        let folded = fold(&name);
        let Some(at) = fields.iter().position(|(known, _)| fold(known) == folded) else {
            if unknown == Unknown::Reject {
                return Err((FaultKind::Unknown, join(path, &name)));
            }
            extras.push(format!("{spelled}:{value}"));
            continue;
        };
        let path = join(path, fields[at].0);
        if values[at].is_some() {
            return Err((FaultKind::Duplicate, path));
        }
        let (value, extra) = one(&fields[at].1, unknown, value, &path)?;
        values[at] = Some(value);
        extras.extend(extra.map(|extra| format!("{spelled}:{extra}")));
    }
    let values = values.into_iter().map(|value| value.unwrap_or_else(|| "NULL".into())).collect();
    Ok((values, (!extras.is_empty()).then(|| format!("{{{}}}", extras.join(",")))))
}

fn one(kind: &Type, unknown: Unknown, json: &str, path: &str) -> Result<(String, Option<String>), (FaultKind, String)> {
    if json == "null" {
        return Ok(("NULL".into(), None));
    }
    let wrong = |kind| (kind, path.to_owned());
    match kind {
        Type::Scalar(name) => scalar(name, json).map(|value| (value, None)).map_err(wrong),
        Type::Struct(fields) => {
            if !json.starts_with('{') {
                return Err(wrong(FaultKind::Type));
            }
            let (values, extra) = object(fields, unknown, json, path)?;
            Ok((format!("{{{}}}", values.join(", ")), extra))
        }
        Type::Array(item) => {
            if !json.starts_with('[') {
                return Err(wrong(FaultKind::Type));
            }
            let (mut values, mut extras) = (Vec::new(), Vec::new());
            for (at, element) in items(json).into_iter().enumerate() {
                let path = format!("{path}[{at}]");
                let json_null = element == "null" && matches!(**item, Type::Scalar("JSON"));
                if element == "null" && !json_null {
                    return Err((FaultKind::Type, path));
                }
                let (value, extra) = if json_null { (text("null"), None) } else { one(item, unknown, element, &path)? };
                values.push(value);
                extras.push(extra);
            }
            let last = extras.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            let extra: Vec<String> =
                extras.into_iter().take(last).map(|extra| extra.unwrap_or_else(|| "null".into())).collect();
            Ok((format!("[{}]", values.join(", ")), (last > 0).then(|| format!("[{}]", extra.join(",")))))
        }
    }
}

fn scalar(name: &str, json: &str) -> Result<String, FaultKind> {
    let first = json.as_bytes().first().copied().unwrap_or(0);
    let string: Option<String> = (first == b'"').then(|| serde_json::from_str(json).unwrap());
    let number = (first == b'-' || first.is_ascii_digit()).then(|| json.to_owned());
    let value = FaultKind::Value;
    match name {
        "JSON" => Ok(text(json)),
        "STRING" => string.map(|string| text(&string)).ok_or(FaultKind::Type),
        "BOOL" => match (json, string.map(|string| string.to_ascii_lowercase())) {
            ("true" | "false", _) => Ok(json.to_owned()),
            (_, None) => Err(FaultKind::Type),
            (_, Some(word)) if word == "true" || word == "false" => Ok(word),
            _ => Err(value),
        },
        "BYTES" => bytes(&string.ok_or(FaultKind::Type)?).map(|bytes| format!("{bytes:?}")).ok_or(value),
        "DATE" => instant(&string.ok_or(FaultKind::Type)?, false, true).map(|us| (us / DAY).to_string()).ok_or(value),
        "DATETIME" => instant(&string.ok_or(FaultKind::Type)?, false, false).map(|us| us.to_string()).ok_or(value),
        "TIME" => clock(&string.ok_or(FaultKind::Type)?).map(|clock| text(&clock)).ok_or(value),
        "TIMESTAMP" => match (&number, string) {
            (Some(number), _) => seconds(number).map(|us| us.to_string()).ok_or(value),
            (None, string) => {
                instant(&string.ok_or(FaultKind::Type)?, true, false).map(|us| us.to_string()).ok_or(value)
            }
        },
        "FLOAT64" => {
            let written = number.or(string).ok_or(FaultKind::Type)?;
            floating(&written).map(float).ok_or(value)
        }
        _ => {
            let decimal = Decimal::of(&number.or(string).ok_or(FaultKind::Type)?).ok_or(value)?;
            match name {
                "INT64" if decimal.fraction.is_empty() => {
                    decimal.plain().parse::<i64>().map(|number| number.to_string()).map_err(|_| value)
                }
                "NUMERIC" if decimal.fraction.len() <= 9 && decimal.whole.len() <= 29 => {
                    let digits = format!("{}{:0<9}", decimal.whole, decimal.fraction);
                    let size: i128 = if digits.is_empty() { 0 } else { digits.parse().unwrap() };
                    Ok((if decimal.negative { -size } else { size }).to_string())
                }
                "BIGNUMERIC" if decimal.fraction.len() <= 38 && decimal.whole.len() <= 38 => Ok(text(&decimal.plain())),
                _ => Err(value),
            }
        }
    }
}

/// Whether a value fits a type without parts.
pub(super) fn fits(name: &str, json: &str) -> bool {
    json != "null" && scalar(name, json).is_ok()
}

const DAY: i64 = 86_400_000_000;

/// A number written out, without zeros at its ends.
struct Decimal {
    negative: bool,
    whole: String,
    fraction: String,
}

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?\z").unwrap());

impl Decimal {
    fn of(written: &str) -> Option<Self> {
        let parts = NUMBER.captures(written)?;
        let part = |at| parts.get(at).map_or("", |part| part.as_str());
        let (mut whole, mut fraction) = (part(2).to_owned(), part(3).to_owned());
        // Farther than any text of these tests is long.
        let power: i64 = if part(4).is_empty() {
            0
        } else {
            part(4).parse().unwrap_or(if part(4).starts_with('-') { -500 } else { 500 })
        };
        for _ in 0..power.clamp(-500, 500).abs() {
            if power > 0 {
                whole.push(if fraction.is_empty() { '0' } else { fraction.remove(0) });
            } else {
                fraction.insert(0, whole.pop().unwrap_or('0'));
            }
        }
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let negative = part(1) == "-" && !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole, fraction })
    }

    fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let point = if self.fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{}", self.fraction)
    }
}

fn floating(written: &str) -> Option<f64> {
    if NUMBER.is_match(written) {
        return written.parse::<f64>().ok().filter(|value| value.is_finite());
    }
    match written.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "+inf" | "infinity" | "+infinity" => Some(f64::INFINITY),
        "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn within(us: i128) -> Option<i64> {
    let first = NaiveDate::from_ymd_opt(1, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros();
    let end = NaiveDate::from_ymd_opt(10_000, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros();
    i64::try_from(us).ok().filter(|us| (first..end).contains(us))
}

fn seconds(written: &str) -> Option<i64> {
    let decimal = Decimal::of(written)?;
    if decimal.whole.len() > 15 {
        return None;
    }
    let kept: String = format!("{:0<6}", decimal.fraction).chars().take(6).collect();
    let size: i128 = format!("0{}{kept}", decimal.whole).parse().ok()?;
    let below = i128::from(decimal.fraction.len() > 6);
    within(if decimal.negative { -size - below } else { size })
}

static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    let clock = r"(?:[Tt ]([0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2}(?:\.[0-9]+)?)?))?";
    let zone = r"(Z|z| UTC| ?[+-](?:[0-9]{1,2}(?::[0-9]{2})?|[0-9]{4}))?";
    Regex::new(&format!(r"\A([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}}){clock}{zone}\z")).unwrap()
});

fn instant(written: &str, zoned: bool, only_day: bool) -> Option<i64> {
    let parts = INSTANT.captures(written)?;
    let part = |at| parts.get(at).map(|part| part.as_str());
    let number = |at| part(at)?.parse::<u32>().ok();
    let year = part(1)?.parse::<i32>().ok().filter(|year| *year >= 1)?;
    let day = NaiveDate::from_ymd_opt(year, number(2)?, number(3)?)?;
    if (!zoned && part(5).is_some()) || (only_day && part(4).is_some()) {
        return None;
    }
    let time = part(4).map_or(Some(NaiveTime::MIN), naive_time)?;
    let local = NaiveDateTime::new(day, time).and_utc().timestamp_micros();
    let zone = part(5).unwrap_or("Z").trim_start();
    let offset = match zone {
        "Z" | "z" | "UTC" => 0,
        _ => {
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let (hour, minute) = if digits.len() > 2 { digits.split_at(digits.len() - 2) } else { (&*digits, "0") };
            let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
            if hour > 23 || minute > 59 {
                return None;
            }
            (hour * 60 + minute) * 60_000_000 * if zone.starts_with('-') { -1 } else { 1 }
        }
    };
    within(i128::from(local) - i128::from(offset))
}

fn naive_time(written: &str) -> Option<NaiveTime> {
    let (clock, fraction) = written.split_once('.').unwrap_or((written, ""));
    let parts: Vec<u32> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let micros: String = format!("{fraction:0<6}").chars().take(6).collect();
    NaiveTime::from_hms_micro_opt(
        *parts.first()?,
        *parts.get(1)?,
        parts.get(2).copied().unwrap_or(0),
        micros.parse().ok()?,
    )
}

static CLOCK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2}(?:\.[0-9]+)?)?\z").unwrap());

fn clock(written: &str) -> Option<String> {
    CLOCK.is_match(written).then(|| naive_time(written))?.map(|time| time.format("%H:%M:%S%.6f").to_string())
}

/// Base64, bit by bit.
fn bytes(written: &str) -> Option<Vec<u8>> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let inside = written.trim_end_matches('=');
    let padding = written.len() - inside.len();
    let bits: String =
        inside.chars().map(|letter| LETTERS.find(letter).map(|at| format!("{at:06b}"))).collect::<Option<_>>()?;
    let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
    let needed = (4 - inside.len() % 4) % 4;
    if inside.len() % 4 == 1 || rest.contains('1') || (padding != 0 && padding != needed) {
        return None;
    }
    whole.as_bytes().chunks(8).map(|byte| u8::from_str_radix(std::str::from_utf8(byte).ok()?, 2).ok()).collect()
}

fn fold(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    name.nfc().collect::<String>().to_lowercase()
}

fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    if plain { format!("{path}.{name}") } else { format!("{path}.<quoted>") }
}

/// Members in their order, names without escapes (`None`: half a surrogate), values as they stand.
fn members(json: &str) -> Vec<(Option<String>, &str)> {
    let values = serde_json::from_str::<Values>(json).unwrap().0;
    names(json).into_iter().map(|name| serde_json::from_str(name).ok()).zip(values).collect()
}

fn items(json: &str) -> Vec<&str> {
    serde_json::from_str::<Vec<&RawValue>>(json).unwrap().into_iter().map(RawValue::get).collect()
}

/// The names of an object's members as they stand, with quotes.
fn names(json: &str) -> Vec<&str> {
    serde_json::from_str::<Values>(json).unwrap().1
}

/// Values and names, with nothing lost that stands twice.
struct Values<'j>(Vec<&'j str>, Vec<&'j str>);

impl<'de> Deserialize<'de> for Values<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Values<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<'de>, A::Error> {
                let mut values = Values(Vec::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    values.1.push(name.get());
                    values.0.push(value.get());
                }
                Ok(values)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Values<'de>, A::Error> {
                Err(serde::de::Error::custom("an array"))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
