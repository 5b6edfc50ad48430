//! From an event to what leaves.
//!
//! Owns: taking the named fields out of an event's JSON, the conditions, and the event's stable id. A value goes out as
//! its sender wrote it. Never takes a field that the forward does not name.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::{Timestamp, civil, tz::TimeZone};
use naru_project::{Literal, Topic, forward::Forward};
use serde_json::value::RawValue;

use super::answer::Refusal;
use crate::{log::Event, marks, signature::sha256_hex};

/// Characters of an id that Mixpanel takes.
const SHORT_ID_MAX: usize = 36;

/// How a forward reads events; made once.
#[derive(Debug)]
pub(crate) struct Picker {
    /// Columns that are looked at, with their names in lower case.
    columns: Vec<(String, String)>,
    only: Vec<(usize, Vec<Literal>)>,
    /// The column by which the topic knows an event again.
    id: Option<usize>,
    /// What ids of events begin with that have none of their own: the project's id and the topic's number.
    named: String,
}

/// The values of one event's columns, as JSON texts.
#[derive(Debug)]
pub(crate) struct Picked<'e> {
    values: Vec<Option<&'e RawValue>>,
}

impl Picker {
    /// `extra` are columns that the receiver needs beside the fields; `named` begins the ids of events without one.
    pub(crate) fn new(topic: &Topic, forward: &Forward, extra: &[&str], named: String) -> Self {
        let mut columns: Vec<(String, String)> = Vec::new();
        let mut place = |name: &str| {
            let lower = name.to_lowercase();
            columns.iter().position(|(_, known)| *known == lower).unwrap_or_else(|| {
                columns.push((name.to_owned(), lower));
                columns.len() - 1
            })
        };
        forward.fields.iter().map(String::as_str).chain(extra.iter().copied()).for_each(|name| {
            place(name);
        });
        let only = forward.only.iter().map(|only| (place(&only.field), only.any_of.clone())).collect();
        let id = topic.dedup.as_ref().map(|dedup| place(&dedup.key));
        Self { columns, only, id, named }
    }

    /// Where a column's value stands in what is picked.
    pub(crate) fn place(&self, column: &str) -> Option<usize> {
        let lower = column.to_lowercase();
        self.columns.iter().position(|(_, known)| *known == lower)
    }

    /// The fields of an event; `None` when it does not fulfil the conditions. Of a field that stands twice, the last
    /// one counts.
    pub(crate) fn pick<'e>(&self, event: &'e Event) -> Result<Option<Picked<'e>>, Refusal> {
        let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&event.data).map_err(|_| {
            let got =
                if serde_json::from_slice::<serde::de::IgnoredAny>(&event.data).is_ok() { "JSON" } else { "bytes" };
            Refusal::new("forward.not_an_object", "$", "a JSON object", got)
        })?;
        let mut values = vec![None; self.columns.len()];
        for (name, value) in object {
            let found =
                self.columns.iter().position(|(column, lower)| *column == *name || *lower == name.to_lowercase());
            if let Some(place) = found.and_then(|place| values.get_mut(place)) {
                *place = Some(value);
            }
        }
        let picked = Picked { values };
        let wanted = |(place, any_of): &(usize, Vec<Literal>)| {
            picked.get(*place).is_some_and(|value| any_of.iter().any(|literal| equals(value, literal)))
        };
        let fits = self.only.iter().all(wanted);
        Ok(fits.then_some(picked))
    }

    /// The event's own id where its topic has one, else a name that no other event has. It stays the same however
    /// often the event is sent, mended or not.
    pub(crate) fn id(&self, event: &Event, picked: &Picked<'_>) -> String {
        let own = self.id.and_then(|place| picked.get(place)).and_then(scalar).filter(|id| !id.is_empty());
        own.map_or_else(
            || {
                let first = event.attribute(marks::REPLAY_OF).and_then(|of| of.parse().ok()).unwrap_or(event.offset);
                format!("{}-{first}", self.named)
            },
            Cow::into_owned,
        )
    }
}

impl<'e> Picked<'e> {
    /// A value that is there and not null.
    pub(crate) fn get(&self, place: usize) -> Option<&'e RawValue> {
        self.values.get(place).copied().flatten().filter(|value| value.get() != "null")
    }

    /// Writes `"name":value` pairs of the fields that are there.
    pub(crate) fn write(&self, fields: &[(usize, String)], out: &mut Vec<u8>) {
        let mut first = out.last() == Some(&b'{');
        for (place, key) in fields {
            let Some(value) = self.values.get(*place).copied().flatten() else { continue };
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(value.get().as_bytes());
        }
    }
}

/// A text's content, or a number or truth value as it is written; `None` for lists and objects.
pub(crate) fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        Some(b'{' | b'[') | None => None,
        Some(_) => Some(Cow::Borrowed(raw)),
    }
}

/// What a JSON value is, in words.
pub(crate) fn kind(value: Option<&RawValue>) -> &'static str {
    match value.and_then(|value| value.get().as_bytes().first()) {
        None => "nothing",
        Some(b'"') => "text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) => "a number",
    }
}

fn equals(value: &RawValue, literal: &Literal) -> bool {
    let Some(text) = scalar(value) else { return false };
    match literal {
        Literal::Text(wanted) => value.get().starts_with('"') && *text == **wanted,
        Literal::Number(digits) => text.parse::<i128>().is_ok_and(|number| digits.parse() == Ok(number)),
        Literal::Boolean(wanted) => *text == *wanted.to_string(),
    }
}

/// A timestamp's value as milliseconds since 1970: RFC 3339 or the same with a space, UTC where no zone is said; a
/// number counts seconds, as BigQuery loads it.
pub(crate) fn milliseconds(value: &RawValue) -> Option<i64> {
    let text = scalar(value)?;
    if !value.get().starts_with('"') {
        let seconds: f64 = text.parse().ok()?;
        return Timestamp::from_duration(jiff::SignedDuration::try_from_secs_f64(seconds).ok()?)
            .ok()
            .map(Timestamp::as_millisecond);
    }
    let text = text.trim();
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let instant = text.parse::<Timestamp>().ok();
    let instant = instant.or_else(|| {
        let civil: civil::DateTime = text.parse().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    instant.map(Timestamp::as_millisecond)
}

/// An id of at most 36 letters, digits and dashes: the id itself where it is one, else a hash of it.
pub(crate) fn short_id(id: &str) -> String {
    let fits = id.len() <= SHORT_ID_MAX && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits && !id.is_empty() {
        return id.to_owned();
    }
    sha256_hex(id.as_bytes()).chars().take(32).collect()
}

/// `"name":` as JSON, ready to be written before values.
pub(crate) fn key(name: &str) -> String {
    format!("{}:", serde_json::Value::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn instants_are_read_as_bigquery_reads_them() {
        for (text, wanted) in [
            ("\"2026-11-23T01:02:03.5Z\"", Some(1_795_395_723_500)),
            ("\"2026-11-23 10:02:03.5+09:00\"", Some(1_795_395_723_500)),
            ("\"2026-11-23 01:02:03.5 UTC\"", Some(1_795_395_723_500)),
            ("\"2026-11-23 01:02:03.5\"", Some(1_795_395_723_500)),
            ("1795395723.5", Some(1_795_395_723_500)),
            ("1795395723", Some(1_795_395_723_000)),
            ("1e300", None),
            ("\"yesterday\"", None),
            ("[1]", None),
            ("true", None),
        ] {
            assert_eq!(milliseconds(&raw(text)), wanted, "{text}");
        }
    }

    #[test]
    fn ids_are_short_and_stay_as_they_are_where_they_can() {
        assert_eq!(short_id("29fc2962-6d9c-455d-95ad-95b84f09b9e4"), "29fc2962-6d9c-455d-95ad-95b84f09b9e4");
        for long in ["주문-1", "a_b", "", "29fc2962-6d9c-455d-95ad-95b84f09b9e4x"] {
            let short = short_id(long);
            assert!(short.len() == 32 && short.bytes().all(|byte| byte.is_ascii_hexdigit()), "{long}");
            assert_eq!(short, short_id(long));
        }
    }

    #[test]
    fn conditions_compare_values_and_not_their_spelling() {
        for (value, literal, wanted) in [
            ("\"pro\"", Literal::Text("pro".into()), true),
            ("\"pr\\u006f\"", Literal::Text("pro".into()), true),
            ("7", Literal::Text("7".into()), false),
            ("7", Literal::Number("7".into()), true),
            ("\"7\"", Literal::Number("7".into()), true),
            ("7.5", Literal::Number("7".into()), false),
            ("true", Literal::Boolean(true), true),
            ("[true]", Literal::Boolean(true), false),
        ] {
            assert_eq!(equals(&raw(value), &literal), wanted, "{value} {literal:?}");
        }
    }
}
