//! A JSON object as its fields, each value still the sender's bytes.
//!
//! Owns: [`Fields`], and writing a new object out of them. Never changes a value, so numbers of any size survive, and
//! so does what is no JSON: some libraries write `NaN`, and an event of theirs still has a key, an id and a time.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::split;

/// The fields of an object, in order, repeated ones too.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a [u8])>);

impl<'a> Fields<'a> {
    /// Reads an object, also one whose values are no JSON; `None` when the bytes are no object at all.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().or_else(|| Self::read_leniently(bytes))
    }

    /// Finds names and values by their quotes, brackets and commas.
    fn read_leniently(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        let mut at = split::skip_blank(bytes, 0);
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        at = split::skip_blank(bytes, at + 1);
        let mut open = bytes.get(at) != Some(&b'}');
        if !open {
            at += 1;
        }
        while open {
            let begin = split::skip_blank(bytes, at);
            let end =
                bytes.get(begin).filter(|byte| **byte == b'"').and_then(|_| split::end_of_text(bytes, begin + 1))?;
            let Key(name) = serde_json::from_slice(bytes.get(begin..=end)?).ok()?;
            let colon = split::skip_blank(bytes, end + 1);
            bytes.get(colon).filter(|byte| **byte == b':')?;
            let end = split::end_of_item(bytes, colon + 1, b'}')?;
            let value = bytes.get(colon + 1..end)?.trim_ascii();
            if value.is_empty() {
                return None;
            }
            fields.push((name, value));
            open = bytes.get(end) == Some(&b',');
            at = end + 1;
        }
        (split::skip_blank(bytes, at) == bytes.len()).then_some(Self(fields))
    }

    /// The value of a field: the last, where it is repeated, as parsers of JSON do.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a field if it is text.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_slice(self.get(name)?).ok()
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

/// A key as it stands in the body, copied only when it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(16));
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &RawValue>()? {
            fields.push((key, value.get().as_bytes()));
        }
        Ok(Fields(fields))
    }
}

/// Writes an object field by field.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An object without fields yet, with room for about so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A field whose value is JSON already, or what its sender wrote in the place of it.
    pub fn raw(&mut self, name: &str, json: &[u8]) {
        self.name(name);
        self.0.extend_from_slice(json);
    }

    /// A field of text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.quoted(text);
    }

    /// A field that is there only when its value is.
    pub fn optional(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.raw(name, value);
        }
    }

    /// A field that is an object.
    pub fn object(&mut self, name: &str, inner: Writer) {
        self.name(name);
        self.0.extend(inner.finish());
    }

    /// The object.
    pub fn finish(mut self) -> Bytes {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0.into()
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.quoted(name);
        self.0.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        // Text always has a JSON form, and memory takes every byte.
        if serde_json::to_writer(&mut self.0, text).is_err() {
            self.0.extend_from_slice(b"\"\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_and_the_last_of_a_repeated_field_counts() {
        let fields = Fields::read(br#"{"a": 123456789012345678901234567890, "b\n": "x", "a":1.50}"#).unwrap();
        assert_eq!(fields.get("a").unwrap(), b"1.50");
        assert_eq!(fields.text("b\n").as_deref(), Some("x"));
        let mut writer = Writer::default();
        fields.iter().for_each(|(name, value)| writer.raw(name, value));
        writer.object("empty", Writer::default());
        assert_eq!(
            writer.finish(),
            br#"{"a":123456789012345678901234567890,"b\n":"x","a":1.50,"empty":{}}"#.as_slice()
        );
        for bytes in
            [b"[]".as_slice(), b"{", b"{\"a\":}", b"{\"a\" 1}", b"{\"a\":1]", b"{\"a\":1}x", b"7", b"", b"\xff"]
        {
            assert!(Fields::read(bytes).is_none());
        }
    }

    #[test]
    fn an_object_with_values_that_are_no_json_still_has_its_fields() {
        let deep = format!("{{\"a\":\"b\",\"deep\":{}{}}}", "[".repeat(500), "]".repeat(500));
        for (bytes, names) in [
            (&b" {\"a\": \"b\", \"n\": NaN, \"list\": [-Infinity, {\"x\": \"}\"}] } "[..], "a n list"),
            (b"{\"a\":\"b\",\"bytes\":\"\xff\"}", "a bytes"),
            (b"{\"a\":\"b\",\"python\":None}", "a python"),
            (deep.as_bytes(), "a deep"),
        ] {
            let fields = Fields::read(bytes).unwrap();
            assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "), names);
            assert_eq!(fields.text("a").as_deref(), Some("b"));
        }
        assert_eq!(Fields::read(b"{\"n\" :\tNaN\n}").unwrap().get("n"), Some(&b"NaN"[..]));
    }
}
