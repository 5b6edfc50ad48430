//! Events on their way to and from the log.
//!
//! Owns: [`Batch`], the body of one frame, and [`Event`], one record of it. Attributes stay encoded until asked for.
//! Never judges a payload.
//!
//! A record: `u32` bytes of data, `u32` bytes of attributes, attributes, data. Attributes: the ordering key, then pairs
//! of name and value, each with its `u32` length before it. All numbers little-endian.

use bytes::{BufMut as _, Bytes};
use naru_base::number::usize_from;

const RECORD_HEAD: usize = 8;

/// Events that are appended together: all of them become durable, or none.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    body: Vec<u8>,
    count: u32,
    own: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { body: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Adds an event; `ordering_key` is empty for none. Lengths beyond 4 GiB do not occur: doors limit requests.
    pub fn push<'a>(
        &mut self,
        data: &[u8],
        ordering_key: &str,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let head = self.body.len();
        self.body.put_u32_le(length(data.len()));
        self.body.put_u32_le(0);
        self.text(ordering_key);
        for (name, value) in attributes {
            self.text(name);
            self.text(value);
        }
        let encoded = length(self.body.len() - head - RECORD_HEAD);
        if let Some(place) = self.body.get_mut(head + 4..head + RECORD_HEAD) {
            place.copy_from_slice(&encoded.to_le_bytes());
        }
        self.body.put_slice(data);
        self.count += 1;
    }

    fn text(&mut self, text: &str) {
        self.body.put_u32_le(length(text.len()));
        self.body.put_slice(text.as_bytes());
    }

    /// Events in it.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Says that naru itself tells something by it that lets a reader go on: the log has room for such a batch when it
    /// has none for others.
    #[must_use]
    pub fn own(mut self) -> Self {
        self.own = true;
        self
    }

    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Bytes it takes on the log, the frame's head not counted.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// One durable event. Cheap to clone: it shares the bytes that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the topic, from 0.
    pub offset: u64,
    /// When it was accepted, microseconds since 1970.
    pub time_us: i64,
    /// What the sender sent.
    pub data: Bytes,
    attributes: Bytes,
}

impl Event {
    /// The ordering key; empty for none.
    pub fn ordering_key(&self) -> &str {
        Texts(&self.attributes).next().unwrap_or_default()
    }

    /// Names and values, in the sender's order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = Texts(&self.attributes);
        texts.next();
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// The value of one attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The same event in memory of its own: it no longer keeps alive what was read together with it.
    #[must_use]
    pub fn unshared(&self) -> Self {
        let mut all = Vec::with_capacity(self.bytes());
        all.put_slice(&self.attributes);
        all.put_slice(&self.data);
        let mut attributes = Bytes::from(all);
        let data = attributes.split_off(self.attributes.len());
        Self { offset: self.offset, time_us: self.time_us, data, attributes }
    }

    /// Bytes of its data and attributes.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.attributes.len()
    }
}

/// Texts with their lengths before them.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (head, rest) = self.0.split_at_checked(4)?;
        let bytes = u32::from_le_bytes(head.try_into().ok()?);
        let (text, rest) = rest.split_at_checked(usize_from(u64::from(bytes)))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

/// Splits a frame's body whose checksum was right. `None` if it is no list of `count` records all the same.
pub(crate) fn records(body: &Bytes, first: u64, count: u32, time_us: i64) -> Option<Vec<Event>> {
    let mut events = Vec::with_capacity(usize_from(u64::from(count.min(65_536))));
    let mut at: usize = 0;
    for offset in first..first.checked_add(u64::from(count))? {
        let head = body.get(at..at.checked_add(RECORD_HEAD)?)?;
        let (data, attributes) = head.split_at_checked(4)?;
        let data = usize_from(u64::from(u32::from_le_bytes(data.try_into().ok()?)));
        let attributes = usize_from(u64::from(u32::from_le_bytes(attributes.try_into().ok()?)));
        let begin = at + RECORD_HEAD;
        let middle = begin.checked_add(attributes)?;
        let end = middle.checked_add(data)?;
        if end > body.len() {
            return None;
        }
        events.push(Event { offset, time_us, data: body.slice(middle..end), attributes: body.slice(begin..middle) });
        at = end;
    }
    (at == body.len()).then_some(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_with_its_attributes() {
        let mut batch = Batch::new();
        batch.push(b"one", "", []);
        batch.push("둘".as_bytes(), "key", [("a", "1"), ("", "빈 이름")]);
        batch.push(b"", "", [("a", "")]);
        let body = Bytes::copy_from_slice(batch.body());
        let events = records(&body, 7, batch.len(), 42).unwrap();
        assert_eq!(events.iter().map(|e| e.offset).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(events[1].data, "둘".as_bytes());
        assert_eq!((events[1].ordering_key(), events[1].attribute("")), ("key", Some("빈 이름")));
        assert_eq!(events[2].attributes().collect::<Vec<_>>(), [("a", "")]);
        assert_eq!(events[0].attributes().count(), 0);
    }

    #[test]
    fn bytes_that_are_no_records_are_refused() {
        let mut batch = Batch::new();
        batch.push(b"one", "k", [("a", "1")]);
        for cut in 0..batch.bytes() {
            assert!(records(&Bytes::copy_from_slice(&batch.body()[..cut]), 0, 1, 0).is_none(), "{cut}");
        }
        let whole = Bytes::copy_from_slice(batch.body());
        assert!(records(&whole, 0, 2, 0).is_none() && records(&whole, u64::MAX, 1, 0).is_none());
    }
}
