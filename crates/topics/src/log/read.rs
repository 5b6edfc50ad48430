//! Reading events back.
//!
//! Owns: the way from an offset to frames, checksums on the way, and saying what is missing.
//! Never shows what is not durable. Runs on blocking threads.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use naru_base::number::{u64_from, usize_from};

use super::{
    Chunk, Gap, TopicNo,
    event::records,
    frame::{HEAD, Head, body_len, find_head},
    index::SPAN,
    segment::Segment,
    status::Quarantined,
};

/// Bytes read from a file at once.
const WINDOW: usize = 256 << 10;

/// One read over the segments that may hold what is asked for.
pub(crate) struct Reading {
    pub(crate) topic: TopicNo,
    pub(crate) from: u64,
    /// Offsets that are kept and durable.
    pub(crate) bounds: Range<u64>,
    pub(crate) bytes_max: usize,
    pub(crate) segments: Vec<Arc<Segment>>,
}

/// What was read, and damage that was met.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) chunk: Chunk,
    pub(crate) damaged: Vec<Quarantined>,
    bytes: usize,
}

impl Reading {
    /// Reads until the bytes are enough or everything durable was seen.
    pub(crate) fn run(self) -> std::io::Result<Found> {
        let mut found = Found::default();
        let begin = self.from.max(self.bounds.start);
        if begin > self.from {
            found.chunk.gaps.push(Gap { offsets: self.from..begin, trimmed: true });
        }
        found.chunk.next = begin;
        for segment in &self.segments {
            if found.bytes >= self.bytes_max {
                return Ok(found);
            }
            self.segment(segment, &mut found)?;
        }
        if found.bytes < self.bytes_max && found.chunk.next < self.bounds.end {
            found.missing(self.bounds.end);
        }
        Ok(found)
    }

    /// Walks the regions of one segment that hold the topic's frames.
    fn segment(&self, segment: &Segment, found: &mut Found) -> std::io::Result<()> {
        let (regions, end) = {
            let known = segment.known.read();
            let Some(places) = known.index.topics.get(&self.topic) else { return Ok(()) };
            if places.end <= found.chunk.next {
                return Ok(());
            }
            let first = places.at.partition_point(|(offset, _)| *offset <= found.chunk.next).saturating_sub(1);
            (places.at.get(first..).unwrap_or_default().to_vec(), known.end)
        };
        for (at, (_, begin)) in regions.iter().enumerate() {
            if found.bytes >= self.bytes_max {
                break;
            }
            let next = regions.get(at + 1).map_or(end, |(_, next)| *next);
            self.region(segment, *begin..next.min(begin.saturating_add(SPAN)), end, found)?;
        }
        Ok(())
    }

    /// Frames that begin within a range; the last may end behind it, at most at `end`.
    fn region(&self, segment: &Segment, range: Range<u64>, end: u64, found: &mut Found) -> std::io::Result<()> {
        let mut window = Window { segment, start: range.start, bytes: Bytes::new(), end };
        let mut at = range.start;
        while at < range.end && found.bytes < self.bytes_max {
            let head = window.get(at, HEAD)?.and_then(|bytes| Head::decode(&bytes, segment.number));
            let Some(head) = head else {
                at = found.behind_damage(segment, at..range.end)?;
                continue;
            };
            let next = at + head.frame_bytes();
            // What became durable after the bounds were taken is for the next read.
            if head.topic == self.topic && head.end() > found.chunk.next && head.first < self.bounds.end {
                let body = window.get(at + u64_from(HEAD), body_len(&head))?.filter(|body| head.fits(body));
                let events = body.and_then(|body| records(&body, head.first, head.count, head.time_us));
                match events {
                    Some(events) => self.take(&head, events, found),
                    None => found.damaged.push(Quarantined { segment: segment.number, bytes: at..next }),
                }
            }
            at = next;
        }
        Ok(())
    }

    fn take(&self, head: &Head, events: Vec<super::Event>, found: &mut Found) {
        found.missing(head.first);
        let wanted = found.chunk.next;
        let kept = events.into_iter().filter(|event| event.offset >= wanted && event.offset < self.bounds.end);
        for event in kept {
            found.bytes += event.bytes() + 16;
            found.chunk.next = event.offset + 1;
            found.chunk.events.push(event);
        }
    }
}

impl Found {
    /// Where the next frame of a region begins behind bytes that are none.
    fn behind_damage(&mut self, segment: &Segment, range: Range<u64>) -> std::io::Result<u64> {
        // A frame may begin just before the region's end, and its head reach behind it.
        let length = usize_from(range.end - range.start) + HEAD;
        let bytes = segment.bytes(range.start, length)?;
        let next = find_head(&bytes, 1, segment.number).map_or(range.end, |at| range.start + u64_from(at));
        self.damaged.push(Quarantined { segment: segment.number, bytes: range.start..next });
        Ok(next)
    }

    /// Notes that events before `offset` are not there, if they are not.
    fn missing(&mut self, offset: u64) {
        if offset > self.chunk.next {
            self.chunk.gaps.push(Gap { offsets: self.chunk.next..offset, trimmed: false });
            self.chunk.next = offset;
        }
    }
}

/// The bytes of a file around the last ones asked for.
struct Window<'a> {
    segment: &'a Segment,
    start: u64,
    bytes: Bytes,
    end: u64,
}

impl Window<'_> {
    /// `None` when the segment's durable bytes end before.
    fn get(&mut self, at: u64, length: usize) -> std::io::Result<Option<Bytes>> {
        if at.saturating_add(u64_from(length)) > self.end {
            return Ok(None);
        }
        let have = at.checked_sub(self.start).map(usize_from);
        if let Some(bytes) = have.and_then(|skip| (skip + length <= self.bytes.len()).then(|| skip..skip + length)) {
            return Ok(Some(self.bytes.slice(bytes)));
        }
        let most = usize_from(self.end - at);
        self.bytes = self.segment.bytes(at, length.max(WINDOW).min(most))?.into();
        self.start = at;
        Ok((self.bytes.len() >= length).then(|| self.bytes.slice(..length)))
    }
}
