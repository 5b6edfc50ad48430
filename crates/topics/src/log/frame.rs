//! The bytes of a frame.
//!
//! Owns: a frame's head, its two checksums, and finding the next frame behind damage.
//! Never touches a file.
//!
//! ```text
//! 0 magic  4 body bytes  8 head's checksum  12 body's checksum  16 topic  20 events
//! 24 first offset (u64)  32 time in µs (i64)  40 commit group (u64)  48 body
//! ```
//! The head's checksum is seeded with the segment's number, so that a frame left over in a file that is used again is
//! never taken for one of this segment.

use bytes::Bytes;
use naru_base::number::usize_from;

use super::TopicNo;

/// Bytes before the body.
pub(crate) const HEAD: usize = 48;
/// Frames about the log itself.
pub(crate) const CONTROL: TopicNo = TopicNo(u32::MAX);
const MAGIC: [u8; 4] = *b"NRL1";

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) body_bytes: u32,
    pub(crate) body_check: u32,
    pub(crate) topic: TopicNo,
    pub(crate) count: u32,
    pub(crate) first: u64,
    pub(crate) time_us: i64,
    /// Frames of one group were written and synced together; a group begins when the one before is durable.
    pub(crate) group: u64,
}

impl Head {
    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        u64::from(self.body_bytes) + 48
    }

    /// One past its last offset.
    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    pub(crate) fn encode(&self, segment: u64) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = out.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &MAGIC);
        put(4, &self.body_bytes.to_le_bytes());
        put(12, &self.body_check.to_le_bytes());
        put(16, &self.topic.0.to_le_bytes());
        put(20, &self.count.to_le_bytes());
        put(24, &self.first.to_le_bytes());
        put(32, &self.time_us.to_le_bytes());
        put(40, &self.group.to_le_bytes());
        let check = head_check(&out, segment);
        if let Some(place) = out.get_mut(8..12) {
            place.copy_from_slice(&check.to_le_bytes());
        }
        out
    }

    /// Reads a head; `None` if these bytes are none of this segment.
    pub(crate) fn decode(bytes: &[u8], segment: u64) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        if !head.starts_with(&MAGIC) {
            return None;
        }
        let u32_at = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
        if u32_at(8)? != head_check(head, segment) {
            return None;
        }
        Some(Self {
            body_bytes: u32_at(4)?,
            body_check: u32_at(12)?,
            topic: TopicNo(u32_at(16)?),
            count: u32_at(20)?,
            first: u64_at(24)?,
            time_us: i64::from_le_bytes(head.get(32..40)?.try_into().ok()?),
            group: u64_at(40)?,
        })
    }

    /// Whether a body is the one that was written.
    pub(crate) fn fits(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.body_check
    }
}

fn head_check(head: &[u8; HEAD], segment: u64) -> u32 {
    let mut check = crc32fast::Hasher::new();
    check.update(&segment.to_le_bytes());
    check.update(head.get(..8).unwrap_or_default());
    check.update(head.get(12..).unwrap_or_default());
    check.finalize()
}

/// Where the first head at or after `from` stands.
pub(crate) fn find_head(bytes: &[u8], from: usize, segment: u64) -> Option<usize> {
    let mut at = from;
    while let Some(rest) = bytes.get(at..) {
        let found = rest.windows(4).position(|window| window == MAGIC)?;
        if bytes.get(at + found..).is_some_and(|bytes| Head::decode(bytes, segment).is_some()) {
            return Some(at + found);
        }
        at += found + 1;
    }
    None
}

/// The offsets that every topic goes on from: the body of the control frame that begins a segment.
pub(crate) fn encode_offsets(format: u32, offsets: &[(TopicNo, u64)]) -> Vec<u8> {
    let mut out = format.to_le_bytes().to_vec();
    for (topic, next) in offsets {
        out.extend(topic.0.to_le_bytes());
        out.extend(next.to_le_bytes());
    }
    out
}

/// The format and the offsets of a control frame.
pub(crate) fn decode_offsets(body: &Bytes) -> Option<(u32, Vec<(TopicNo, u64)>)> {
    let (format, rest) = body.split_first_chunk::<4>()?;
    let pairs = rest.chunks_exact(12).filter_map(|pair| {
        let (topic, next) = pair.split_at_checked(4)?;
        Some((TopicNo(u32::from_le_bytes(topic.try_into().ok()?)), u64::from_le_bytes(next.try_into().ok()?)))
    });
    Some((u32::from_le_bytes(*format), pairs.collect()))
}

/// Bytes of a control frame over so many topics.
pub(crate) fn control_bytes(topics: usize) -> u64 {
    48 + 4 + 12 * naru_base::number::u64_from(topics)
}

/// A body's length as an index.
pub(crate) fn body_len(head: &Head) -> usize {
    usize_from(u64::from(head.body_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head { body_bytes: 5, body_check: 1, topic: TopicNo(3), count: 2, first: 1 << 40, time_us: -7, group: 9 }
    }

    #[test]
    fn a_head_survives_its_bytes_and_belongs_to_one_segment() {
        let bytes = head().encode(4);
        assert_eq!(Head::decode(&bytes, 4), Some(head()));
        assert_eq!(Head::decode(&bytes, 5), None);
        assert_eq!(Head::decode(&bytes[..47], 4), None);
    }

    #[test]
    fn any_flipped_bit_of_a_head_is_noticed() {
        for bit in 0..HEAD * 8 {
            let mut bytes = head().encode(4);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bytes, 4), None, "bit {bit}");
        }
    }

    #[test]
    fn a_head_is_found_behind_damage_and_behind_what_only_looks_like_one() {
        let mut bytes = b"xxNRL1NRL1 not one".to_vec();
        let at = bytes.len();
        bytes.extend(head().encode(4));
        assert_eq!(find_head(&bytes, 0, 4), Some(at));
        assert_eq!(find_head(&bytes, at + 1, 4), None);
    }

    #[test]
    fn offsets_survive_their_bytes() {
        let offsets = [(TopicNo(1), 5), (TopicNo(9), u64::MAX)];
        let body = encode_offsets(1, &offsets);
        assert_eq!(control_bytes(2), 48 + naru_base::number::u64_from(body.len()));
        assert_eq!(decode_offsets(&body.into()), Some((1, offsets.to_vec())));
    }
}
