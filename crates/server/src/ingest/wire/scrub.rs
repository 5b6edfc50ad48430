//! Keys in events that nobody can read.
//!
//! Owns: finding a sender's key in bytes that are no object, and taking it out, so that neither a dead letter nor
//! anybody who mends it sees the key. Never touches an event that can be read: there the key is a field.

use bytes::Bytes;
use naru_access::TOKEN_PREFIX;

use super::{Sent, split};

/// Letters of a key of naru's behind its prefix, at least; none of its kinds is shorter.
const KEY_LETTERS_MIN: usize = 40;

/// An event as it came but for its key, which stands under `name` or has naru's own form.
pub fn unreadable(value: &Bytes, name: &str) -> (Sent, Option<String>) {
    let (bytes, named) = without_named(value, &format!("\"{name}\""));
    let (bytes, formed) = without_formed(&bytes);
    (Sent::plain(bytes.into()), named.or(formed))
}

/// Takes out every field of a name (in its quotes) with the comma that is too many then; answers the first text.
fn without_named(bytes: &[u8], quoted: &str) -> (Vec<u8>, Option<String>) {
    let (mut out, mut found, mut at) = (Vec::with_capacity(bytes.len()), None, 0);
    while let Some(begin) = position(bytes, at, |some| some.starts_with(quoted.as_bytes())) {
        out.extend_from_slice(bytes.get(at..begin).unwrap_or_default());
        at = begin + quoted.len();
        let colon = split::skip_blank(bytes, at);
        if bytes.get(colon) != Some(&b':') {
            out.extend_from_slice(quoted.as_bytes());
            continue;
        }
        let first = split::skip_blank(bytes, colon + 1);
        let end = end_of_value(bytes, first);
        let text = bytes.get(first..end).and_then(|text| serde_json::from_slice(text).ok());
        found = found.or(text);
        let behind = split::skip_blank(bytes, end);
        at = end;
        if bytes.get(behind) == Some(&b',') {
            at = split::skip_blank(bytes, behind + 1);
        } else if out.trim_ascii_end().ends_with(b",") {
            out.truncate(out.trim_ascii_end().len() - 1);
        }
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    (out, found)
}

/// Where the text ends that begins at `first`, or whatever stands there; the end of all where a text does not end.
fn end_of_value(bytes: &[u8], first: usize) -> usize {
    if bytes.get(first) == Some(&b'"') {
        return split::end_of_text(bytes, first + 1).map_or(bytes.len(), |quote| quote + 1);
    }
    position(bytes, first, |some| some.first().is_some_and(|byte| b",}]".contains(byte))).unwrap_or(bytes.len())
}

/// Takes out every key of naru's form, wherever it stands; answers the first.
fn without_formed(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let letters = |some: &[u8]| some.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let begins = |some: &[u8]| {
        some.starts_with(TOKEN_PREFIX.as_bytes()) && letters(some) >= TOKEN_PREFIX.len() + KEY_LETTERS_MIN
    };
    let (mut out, mut found, mut at) = (Vec::with_capacity(bytes.len()), None, 0);
    while let Some(begin) = position(bytes, at, begins) {
        out.extend_from_slice(bytes.get(at..begin).unwrap_or_default());
        let key = bytes.get(begin..).map_or(0, letters);
        let text = bytes.get(begin..begin + key).and_then(|text| String::from_utf8(text.to_vec()).ok());
        found = found.or(text);
        at = begin + key;
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    (out, found)
}

/// The first place from `at` on whose bytes are so.
fn position(bytes: &[u8], at: usize, is: impl Fn(&[u8]) -> bool) -> Option<usize> {
    (at..bytes.len()).find(|place| bytes.get(*place..).is_some_and(&is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_what_cannot_be_read_and_does_not_stay_in_it() {
        let key = format!("naru_{}", "a1".repeat(25)).chars().take(54).collect::<String>();
        for (bytes, left, found) in [
            ("{\"a\":1, \"token\" : \"k\\u0061\"".to_owned(), "{\"a\":1", Some("ka")),
            ("{\"token\":\"k\", \"a\":".to_owned(), "{\"a\":", Some("k")),
            ("[\"token\", {\"token\":\"never ends".to_owned(), "[\"token\", {", None),
            ("{\"token\":7,\"token\":\"k\"".to_owned(), "{", Some("k")),
            (format!("token={key}&x"), "token=&x", Some(key.as_str())),
            (format!("{{\"a\":\"{key}\",\"token\":\"k\","), "{\"a\":\"\",", Some("k")),
            ("no key, naru_short".to_owned(), "no key, naru_short", None),
        ] {
            let (sent, text) = unreadable(&Bytes::copy_from_slice(bytes.as_bytes()), "token");
            assert_eq!((std::str::from_utf8(&sent.data).unwrap(), text.as_deref()), (left, found), "{bytes}");
        }
    }
}
