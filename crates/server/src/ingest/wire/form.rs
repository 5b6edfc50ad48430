//! HTML forms and query strings, as the older clients send their events.
//!
//! Owns: `name=value&…` with percent signs and pluses. Never knows which names mean something.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::percent_decode;

/// The value of a field of a form or query string, decoded; the first, where it is repeated.
pub fn field(form: &[u8], name: &str) -> Option<Bytes> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at_checked(at)?;
        (decoded(key) == name.as_bytes()).then(|| Bytes::from(decoded(value.get(1..).unwrap_or_default()).into_owned()))
    })
}

/// The same as text; `None` too when it is not UTF-8.
pub fn text(form: &[u8], name: &str) -> Option<String> {
    String::from_utf8(field(form, name)?.into()).ok()
}

fn decoded(part: &[u8]) -> Cow<'_, [u8]> {
    if part.contains(&b'+') {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        return Cow::Owned(percent_decode(&spaced).collect());
    }
    percent_decode(part).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_forms_are_decoded() {
        let form = b"verbose=1&data=%7B%22a%22%3A+%22%EA%B0%80%2B%22%7D&flag&data=2&%6bey=x";
        assert_eq!(text(form, "data").as_deref(), Some("{\"a\": \"가+\"}"));
        assert_eq!(text(form, "verbose").as_deref(), Some("1"));
        assert_eq!(text(form, "flag").as_deref(), Some(""));
        assert_eq!(text(form, "key").as_deref(), Some("x"));
        assert_eq!(text(form, "absent"), None);
        assert_eq!((field(b"a=%ff", "a"), text(b"a=%ff", "a")), (Some(Bytes::from_static(b"\xff")), None));
    }
}
