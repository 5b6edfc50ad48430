//! Where the frames of each topic stand in one segment.
//!
//! Owns: [`Index`], sparse for busy topics and whole for rare ones, and its file beside a finished segment.
//! Never the truth: without its file it is built again from the frames.

use std::collections::HashMap;

use super::{TopicNo, frame::Head};

/// Frames that begin less than this behind an indexed one of their topic are found by walking from it.
pub(crate) const SPAN: u64 = 64 << 10;
const FORMAT: u32 = 1;

/// One topic's part of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) first: u64,
    /// One past the last offset.
    pub(crate) end: u64,
    pub(crate) last_us: i64,
    /// Offset of a frame's first event, and where the frame begins; both grow.
    pub(crate) at: Vec<(u64, u64)>,
}

/// All topics of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) topics: HashMap<TopicNo, Places>,
}

impl Index {
    /// Takes in the next frame.
    pub(crate) fn add(&mut self, head: &Head, at: u64) {
        let places = self.topics.entry(head.topic).or_insert_with(|| Places { first: head.first, ..Places::default() });
        places.end = places.end.max(head.end());
        places.last_us = places.last_us.max(head.time_us);
        if places.at.last().is_none_or(|(_, last)| at.saturating_sub(*last) >= SPAN) {
            places.at.push((head.first, at));
        }
    }

    /// The index and the segment's end as a file.
    pub(crate) fn encode(&self, end: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |value: u64| out.extend(value.to_le_bytes());
        put(u64::from(FORMAT));
        put(end);
        let mut topics: Vec<_> = self.topics.iter().collect();
        topics.sort_by_key(|(topic, _)| **topic);
        for (topic, places) in topics {
            put(u64::from(topic.0));
            put(places.first);
            put(places.end);
            put(places.last_us.cast_unsigned());
            put(naru_base::number::u64_from(places.at.len()));
            for (offset, at) in &places.at {
                put(*offset);
                put(*at);
            }
        }
        let check = crc32fast::hash(&out);
        out.extend(check.to_le_bytes());
        out
    }

    /// Reads what [`Index::encode`] wrote; `None` if it is anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let (bytes, check) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(bytes) != u32::from_le_bytes(*check) {
            return None;
        }
        let mut words = bytes.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
        if words.next()? != u64::from(FORMAT) {
            return None;
        }
        let end = words.next()?;
        let mut topics = HashMap::new();
        while let Some(topic) = words.next() {
            let (first, last) = (words.next()?, words.next()?);
            let last_us = words.next()?.cast_signed();
            let count = words.next()?;
            let mut at = Vec::new();
            for _ in 0..count {
                at.push((words.next()?, words.next()?));
            }
            topics.insert(TopicNo(u32::try_from(topic).ok()?), Places { first, end: last, last_us, at });
        }
        Some((Self { topics }, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_survives_its_file_and_notices_damage() {
        let mut index = Index::default();
        let head = |topic, first| Head {
            body_bytes: 0,
            body_check: 0,
            topic: TopicNo(topic),
            count: 3,
            first,
            time_us: -5,
            group: 0,
        };
        index.add(&head(1, 0), 100);
        index.add(&head(1, 3), 200);
        index.add(&head(1, 6), 100 + SPAN);
        index.add(&head(2, 40), 300);
        assert_eq!(index.topics[&TopicNo(1)].at, [(0, 100), (6, 100 + SPAN)]);
        assert_eq!((index.topics[&TopicNo(1)].end, index.topics[&TopicNo(2)].first), (9, 40));
        let bytes = index.encode(999);
        assert_eq!(Index::decode(&bytes), Some((index, 999)));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Index::decode(&damaged), None, "{at}");
        }
    }
}
