//! TOML as a tree of values with positions.
//!
//! Owns: the translation from the `toml` crate; it goes on after a mistake, so that one typing error hides no other.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    mistake::{Mistake, Report},
    node::{Entry, Node, Value},
    text::SourceText,
};

/// Parses a file; every syntax error goes into the report, what could be read comes back.
pub(crate) fn parse(text: &SourceText, report: &mut Report) -> Node {
    let (root, errors) = DeTable::parse_recoverable(text.text());
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        report.add(text, &span, mistake(text, &error, &span));
    }
    let span = root.span();
    Node { span, value: table(root.into_inner()) }
}

/// A duplicate key gets its own code; all else is syntax.
fn mistake(text: &SourceText, error: &toml::de::Error, span: &std::ops::Range<usize>) -> Mistake {
    if error.message().contains("duplicate key") {
        let key = text.text().get(span.clone()).unwrap_or_default().trim().to_owned();
        return Mistake::DuplicateKey { key, section: "this file".to_owned() };
    }
    Mistake::Syntax { format: "TOML", why: error.message().to_owned(), hint: None }
}

/// Entries in the order of the file; the crate keeps them sorted by key.
fn table(table: DeTable<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry { key_span: key.span(), key: owned(key), node: node(value) })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Value::Table(entries)
}

fn owned(text: Spanned<Cow<'_, str>>) -> String {
    text.into_inner().into_owned()
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(decimal(number.as_str(), number.radix())),
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Moment,
        DeValue::Array(items) => Value::List(items.into_iter().map(node).collect()),
        DeValue::Table(inner) => table(inner),
    };
    Node { span, value }
}

/// Decimal text of a number in any base; one too large for 128 bits stays as written and fails later.
fn decimal(digits: &str, radix: u32) -> String {
    i128::from_str_radix(digits, radix).map_or_else(|_| digits.to_owned(), |number| number.to_string())
}
