//! JSON text read in place: numbers keep the digits they were written with.
//!
//! Owns: following a path in a text, and a found part as a scalar or as compact JSON. Never builds a tree of values.

use std::collections::HashMap;

use serde_json::{Value, value::RawValue};

use super::json::Step;

/// The part of a JSON text that a path leads to; `None` if there is none, or if the text is not JSON.
pub(super) fn at<'a>(text: &'a str, steps: &[Step]) -> Option<&'a str> {
    let whole: &'a RawValue = serde_json::from_str(text).ok()?;
    let found = steps.iter().try_fold(whole, |value, step| match step {
        Step::Member(name) => {
            let members: HashMap<String, &'a RawValue> = serde_json::from_str(value.get()).ok()?;
            members.get(name).copied()
        }
        Step::Element(at) => {
            let elements: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
            elements.get(*at).copied()
        }
    });
    found.map(RawValue::get)
}

/// The text of a scalar; NULL of objects, arrays and null.
pub(super) fn scalar(part: &str) -> Option<String> {
    match part.trim_start().as_bytes().first()? {
        b'"' => serde_json::from_str(part).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(part.trim().to_owned()),
    }
}

/// A part without white space between its tokens, its texts escaped in one way.
pub(super) fn compact(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(c) = rest.chars().next() {
        let length = if c == '"' { text_length(rest) } else { c.len_utf8() };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match serde_json::from_str::<String>(token) {
            Ok(text) if c == '"' => out.push_str(&Value::String(text).to_string()),
            _ if c.is_ascii_whitespace() => {}
            _ => out.push_str(token),
        }
        rest = after;
    }
    out
}

/// The bytes of the text in quotes at the head.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether every number of a JSON text is held by an INT64, UINT64 or FLOAT64 without losing digits.
pub(super) fn holds_every_number(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => text_length(rest),
            '-' | '0'..='9' => rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if (c == '-' || c.is_ascii_digit()) && !is_held(token) {
            return false;
        }
        rest = after;
    }
    true
}

fn is_held(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    number.parse::<f64>().is_ok_and(|value| value.is_finite() && digits(&format!("{value:e}")) == digits(number))
}

/// The digits that count and the power of ten of the first: `1.50` and `15e-1` alike.
fn digits(number: &str) -> (String, i64) {
    let unsigned = number.trim_start_matches(['-', '+']);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    let zeros = all.len() - all.trim_start_matches('0').len();
    let counted = all.trim_matches('0').to_owned();
    let first = i64::try_from(whole.len()).unwrap_or(0) - i64::try_from(zeros).unwrap_or(0) + exponent;
    if counted.is_empty() { (counted, 0) } else { (counted, first) }
}
