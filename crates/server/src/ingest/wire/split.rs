//! Taking a body apart into JSON values without parsing them.
//!
//! Owns: lines, arrays and single objects; each value keeps exactly the bytes it was sent with. Never checks a value:
//! a line that is no JSON is a value like any other here. One pass over the bytes, eight at a time inside strings.

use std::io::BufRead as _;

use bytes::Bytes;

use super::{EVENTS_MAX, WireError};

const WANTED: &str = "lines of JSON, JSON array or JSON object";

/// Takes a body apart: an array into its elements, one object as itself, anything else into its lines.
///
/// `lines` says that the sender calls it lines. Blank lines are no values.
///
/// # Errors
/// An array that does not end, has something after its end, or an empty element.
pub fn values(body: &Bytes, lines: bool) -> Result<Vec<Bytes>, WireError> {
    let start = first(body);
    let found = match body.get(start) {
        None => Vec::new(),
        Some(b'[') if !lines => array(body, start)?,
        Some(b'{') if !lines && is_one(body, start) => vec![trimmed(body, start, body.len())],
        Some(_) => by_line(body, start)?,
    };
    if found.len() > EVENTS_MAX { Err(WireError::TooMany) } else { Ok(found) }
}

/// Where the first byte stands that is neither a byte order mark nor blank.
fn first(body: &[u8]) -> usize {
    let mark = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    skip_blank(body, mark)
}

pub(super) fn skip_blank(body: &[u8], from: usize) -> usize {
    let rest = body.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// Whether one object is all there is.
fn is_one(body: &[u8], start: usize) -> bool {
    end_of_value(body, start).is_some_and(|end| skip_blank(body, end) == body.len())
}

fn by_line(body: &Bytes, start: usize) -> Result<Vec<Bytes>, WireError> {
    let (mut found, mut at) = (Vec::new(), start);
    while at < body.len() {
        let mut rest = body.get(at..).unwrap_or_default();
        // The standard library looks for the byte with vector instructions, and a slice never fails to be read.
        let taken = rest.skip_until(b'\n').unwrap_or(body.len() - at);
        let line = trimmed(body, at, at + taken);
        if !line.is_empty() {
            found.push(line);
        }
        if found.len() > EVENTS_MAX {
            return Err(WireError::TooMany);
        }
        at += taken;
    }
    Ok(found)
}

/// The elements of the array that begins at `start` and ends the body.
fn array(body: &Bytes, start: usize) -> Result<Vec<Bytes>, WireError> {
    let bad = |why: String| WireError::unreadable(WANTED, why);
    let mut found = Vec::new();
    let mut at = skip_blank(body, start + 1);
    let mut open = body.get(at) != Some(&b']');
    if !open {
        at += 1;
    }
    while open {
        let end = end_of_item(body, at, b']').ok_or_else(|| bad(format!("element {} does not end", found.len())))?;
        let element = trimmed(body, at, end);
        if element.is_empty() {
            return Err(bad(format!("element {} is empty", found.len())));
        }
        found.push(element);
        if found.len() > EVENTS_MAX {
            return Err(WireError::TooMany);
        }
        at = end + 1;
        open = body.get(end) == Some(&b',');
    }
    if skip_blank(body, at) == body.len() {
        Ok(found)
    } else {
        Err(bad(format!("something follows the array at byte {at}")))
    }
}

/// Where the comma or closing bracket after an element of an array or a field of an object stands.
pub(super) fn end_of_item(body: &[u8], start: usize, close: u8) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, start);
    loop {
        match *body.get(at)? {
            b'"' => at = end_of_text(body, at + 1)?,
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => return Some(at),
            byte if depth == 0 && byte == close => return Some(at),
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
}

/// Where the object or array that begins at `start` is closed, exclusive.
fn end_of_value(body: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, start);
    loop {
        match *body.get(at)? {
            b'"' => at = end_of_text(body, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Where the quote stands that ends the text whose first byte is at `at`.
pub(super) fn end_of_text(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        while let Some(word) = body.get(at..).and_then(|rest| rest.first_chunk::<8>())
            && !has_special(u64::from_le_bytes(*word))
        {
            at += 8;
        }
        match *body.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Whether one of eight bytes is a quote or a backslash (the zero-byte test of "Bit Twiddling Hacks", S. E. Anderson).
fn has_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) != 0
}

fn trimmed(body: &Bytes, from: usize, to: usize) -> Bytes {
    let slice = body.get(from..to).unwrap_or_default();
    let before = slice.len() - slice.trim_ascii_start().len();
    body.slice(from + before..from + before + slice.trim_ascii().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str, lines: bool) -> Result<Vec<String>, WireError> {
        let found = values(&Bytes::copy_from_slice(body.as_bytes()), lines)?;
        Ok(found.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect())
    }

    #[test]
    fn every_value_keeps_its_bytes() {
        for (body, wanted) in [
            ("{\"a\":1}\n{\"a\": 2}\r\n\n  \nno json\n{\"b\"", vec!["{\"a\":1}", "{\"a\": 2}", "no json", "{\"b\""]),
            ("\u{feff}{\"a\":\n 1}\n", vec!["{\"a\":\n 1}"]),
            (
                " [ {\"a\":[1,{\"b\":\"]\"}]} ,\"x,y\\\"]\" , 7,[] ] ",
                vec!["{\"a\":[1,{\"b\":\"]\"}]}", "\"x,y\\\"]\"", "7", "[]"],
            ),
            (
                "[{\"가나다라마바사\":\"아자차카\\\\\"},{broken}]",
                vec!["{\"가나다라마바사\":\"아자차카\\\\\"}", "{broken}"],
            ),
            ("[]", vec![]),
            ("", vec![]),
            (" \n ", vec![]),
        ] {
            assert_eq!(split(body, false).unwrap(), wanted, "{body}");
        }
        assert_eq!(split("[1]\n[2]\n", true).unwrap(), ["[1]", "[2]"]);
    }

    #[test]
    fn an_array_that_cannot_be_taken_apart_is_refused_whole() {
        for body in ["[", "[1", "[1,", "[1,,2]", "[,]", "[1] 2", "[\"a]", "[{\"a\":1]", "[1]]", "[}]"] {
            assert!(matches!(split(body, false), Err(WireError::Unreadable { .. })), "{body}");
        }
        assert_eq!(split(&"7\n".repeat(EVENTS_MAX + 1), false), Err(WireError::TooMany));
        assert_eq!(split(&format!("[{}7]", "7,".repeat(EVENTS_MAX)), false), Err(WireError::TooMany));
    }

    #[test]
    fn quotes_are_found_at_every_place_of_eight() {
        for length in 0..24 {
            let text = "x".repeat(length);
            let body = format!("[\"{text}\",\"{text}\\\"\",{{\"{text}\":1}}]");
            assert_eq!(split(&body, false).unwrap().len(), 3, "{length}");
        }
    }
}
