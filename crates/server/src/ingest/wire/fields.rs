//! A JSON object as its fields, each value still the sender's bytes.
//!
//! Owns: [`Fields`], and writing a new object out of them. Never changes a value, so numbers of any size survive.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of an object, in order, repeated ones too.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads an object; `None` when the bytes are none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The value of a field: the last, where it is repeated, as parsers of JSON do.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a field if it is text.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
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
            fields.push((key, value));
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

    /// A field whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    /// A field of text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.quoted(text);
    }

    /// A field that is there only when its value is.
    pub fn optional(&mut self, name: &str, value: Option<&RawValue>) {
        if let Some(value) = value {
            self.raw(name, value.get());
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
        assert_eq!(fields.get("a").unwrap().get(), "1.50");
        assert_eq!(fields.text("b\n").as_deref(), Some("x"));
        let mut writer = Writer::default();
        fields.iter().for_each(|(name, value)| writer.raw(name, value.get()));
        writer.object("empty", Writer::default());
        assert_eq!(
            writer.finish(),
            br#"{"a":123456789012345678901234567890,"b\n":"x","a":1.50,"empty":{}}"#.as_slice()
        );
        for bytes in [b"[]".as_slice(), b"{", b"{\"a\":}", b"7", b"", b"\xff"] {
            assert!(Fields::read(bytes).is_none());
        }
    }
}
