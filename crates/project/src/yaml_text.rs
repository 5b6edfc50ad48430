//! YAML as a tree of values with positions.
//!
//! Owns: the translation from `serde-saphyr`, whose budgets bound aliases and depth. Repeated keys are kept, so that
//! they are reported beside everything else.

use std::{fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use crate::{
    mistake::{Mistake, Report},
    node::{Entry, Node, Value},
    text::SourceText,
};

/// Depth of nesting that options may have; real ones have four.
const DEPTH_MAX: usize = 32;

/// Parses a piece of a file that begins at byte `start`. A syntax error goes into the report and gives `None`;
/// `hint` is shown with it.
pub(crate) fn parse(
    text: &SourceText,
    yaml: &str,
    start: usize,
    hint: Option<String>,
    report: &mut Report,
) -> Option<Node> {
    let whole = start..start + yaml.len();
    if yaml.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        return Some(Node { span: whole, value: Value::Table(Vec::new()) });
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Any>>(yaml, options) {
        Ok(any) => Some(node(any, start, yaml.len(), 0)),
        Err(error) => {
            let at = error.location().map_or(0, |location| error_offset(yaml, &location));
            let why = reason(&error.to_string());
            report.add(text, &(start + at..start + at), Mistake::Syntax { format: "YAML", why, hint });
            None
        }
    }
}

/// A value of any kind, as the YAML says it.
enum Any {
    Null,
    Text(String),
    Integer(String),
    Float(String),
    Boolean(bool),
    List(Vec<Spanned<Any>>),
    Table(Vec<(Spanned<String>, Spanned<Any>)>),
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::Null)
    }

    fn visit_none<E>(self) -> Result<Any, E> {
        Ok(Any::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Any, D::Error> {
        Any::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
        Ok(Any::Integer(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
        Ok(Any::Integer(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Any, E> {
        Ok(Any::Integer(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Any, E> {
        Ok(Any::Integer(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Any, E> {
        Ok(Any::Float(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Any::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Any, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Any::Table(table))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Any, E> {
        Err(E::custom("binary values are not settings"))
    }
}

/// Shifts positions from the piece to the file. What is nested too deeply becomes nothing, which no setting takes.
fn node(any: Spanned<Any>, start: usize, length: usize, depth: usize) -> Node {
    let span = span(&any.referenced, start, length);
    let inner = |any| node(any, start, length, depth + 1);
    let value = match any.value {
        _ if depth > DEPTH_MAX => Value::Null,
        Any::Null => Value::Null,
        Any::Text(text) => Value::Text(text),
        Any::Integer(number) => Value::Integer(number),
        Any::Float(number) => Value::Float(number),
        Any::Boolean(value) => Value::Boolean(value),
        Any::List(items) => Value::List(items.into_iter().map(inner).collect()),
        Any::Table(entries) => Value::Table(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_span: self::span(&key.referenced, start, length),
                    key: key.value,
                    node: inner(value),
                })
                .collect(),
        ),
    };
    Node { span, value }
}

fn span(location: &serde_saphyr::Location, start: usize, length: usize) -> Range<usize> {
    let at = byte_offset(location).unwrap_or(0).min(length);
    let bytes = location.span().byte_len().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    start + at..start + at.saturating_add(bytes).min(length)
}

fn byte_offset(location: &serde_saphyr::Location) -> Option<usize> {
    location.span().byte_offset().and_then(|at| usize::try_from(at).ok())
}

/// Syntax errors carry characters only.
fn error_offset(yaml: &str, location: &serde_saphyr::Location) -> usize {
    let characters = usize::try_from(location.span().offset()).unwrap_or(usize::MAX);
    byte_offset(location).or_else(|| yaml.char_indices().nth(characters).map(|(at, _)| at)).unwrap_or(yaml.len())
}

/// The first line of the parser's message without its own line and column, which are relative to the comment.
fn reason(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let without = line.split(" at line ").next().unwrap_or(line);
    let without = match without.strip_prefix("error: line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => without.strip_prefix("error: ").unwrap_or(without),
    };
    without.trim().to_owned()
}
