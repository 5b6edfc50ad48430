//! A start after whatever happened.
//!
//! Owns: reading the segments of a folder, telling an end that was being written from damage, and the offsets that
//! every topic goes on from. Never removes a frame that can be read.
//!
//! Bytes behind the last whole frame of the last segment are a write that nobody was answered for: they are cut, that
//! is, written over. Anywhere else, bytes that are no frame are damage: the range is quarantined and said.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use naru_base::number::{u64_from, usize_from};

use super::{
    TopicNo,
    error::LogError,
    frame::{self, CONTROL, HEAD, Head},
    index::Index,
    segment::{self, Known, Segment},
    status::Quarantined,
};

/// The format that this software writes.
pub(crate) const FORMAT: u32 = 1;
/// The fewest bytes an event takes on the log.
const EVENT_BYTES_MIN: u64 = 12;

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    pub(crate) next: HashMap<TopicNo, u64>,
    pub(crate) group: u64,
    pub(crate) cut_bytes: u64,
    pub(crate) quarantined: Vec<Quarantined>,
}

/// Reads a folder's segments; empty if there are none. No topic goes on below its floor.
pub(crate) fn recover(folder: &Path, floors: HashMap<TopicNo, u64>) -> Result<Recovered, LogError> {
    let mut recovered = Recovered { next: floors, ..Recovered::default() };
    let numbers = segment::numbers(folder)?;
    for number in &numbers {
        let last = numbers.last() == Some(number);
        if last {
            // It gets more frames; an index of before would be believed once it is not the last any more.
            segment::forget_index(folder, *number)?;
        }
        let known = if last { None } else { sealed(folder, *number) };
        let known = match known {
            Some(known) => known,
            None => scan(folder, *number, last, &mut recovered)?,
        };
        for (topic, places) in &known.index.topics {
            let next = recovered.next.entry(*topic).or_default();
            *next = places.end.max(*next);
        }
        let segment = Segment::open(folder, *number, known)?;
        recovered.segments.insert(*number, Arc::new(segment));
    }
    if let Some(last) = recovered.segments.values().next_back() {
        // What a killed process left in the page cache is about to be read as durable.
        last.file.sync_all().map_err(LogError::file(&last.path))?;
    }
    Ok(recovered)
}

/// The index beside a finished segment, if it is whole.
fn sealed(folder: &Path, number: u64) -> Option<Known> {
    let path = segment::index_path(&segment::segment_path(folder, number));
    let (index, end) = Index::decode(&fs::read(path).ok()?)?;
    Some(Known { index, end })
}

/// Walks over all frames of a segment.
fn scan(folder: &Path, number: u64, last: bool, recovered: &mut Recovered) -> Result<Known, LogError> {
    let path = segment::segment_path(folder, number);
    let bytes = Bytes::from(fs::read(&path).map_err(LogError::file(&path))?);
    let mut known = Known::default();
    let mut at = 0;
    while at + HEAD <= bytes.len() {
        match whole_frame(&bytes, at, number) {
            Frame::Whole(head) => {
                if head.topic == CONTROL {
                    take_offsets(&path, &bytes, at, &head, recovered)?;
                } else {
                    known.index.add(&head, u64_from(at));
                }
                recovered.group = recovered.group.max(head.group);
                at += usize_from(head.frame_bytes());
                known.end = u64_from(at);
            }
            Frame::Broken { go_on } => {
                let Some(next) = frame::find_head(&bytes, go_on, number) else {
                    if last {
                        recovered.cut_bytes += u64_from(go_on - at);
                    } else {
                        quarantine(number, at, bytes.len(), &known, recovered);
                    }
                    break;
                };
                quarantine(number, at, next, &known, recovered);
                at = next;
            }
            Frame::None => {
                let Some(next) = frame::find_head(&bytes, at + 1, number) else { break };
                quarantine(number, at, next, &known, recovered);
                at = next;
            }
        }
    }
    Ok(known)
}

enum Frame {
    Whole(Head),
    /// The head is right and the body is not; a next frame can only begin at `go_on`.
    Broken {
        go_on: usize,
    },
    None,
}

fn whole_frame(bytes: &Bytes, at: usize, number: u64) -> Frame {
    let Some(head) = bytes.get(at..).and_then(|bytes| Head::decode(bytes, number)) else { return Frame::None };
    let end = at.saturating_add(usize_from(head.frame_bytes()));
    match bytes.get(at + HEAD..end) {
        Some(body) if head.fits(body) => Frame::Whole(head),
        _ => Frame::Broken { go_on: end.min(bytes.len()) },
    }
}

fn take_offsets(path: &Path, bytes: &Bytes, at: usize, head: &Head, recovered: &mut Recovered) -> Result<(), LogError> {
    let body = bytes.slice(at + HEAD..at + usize_from(head.frame_bytes()));
    let Some((format, offsets)) = frame::decode_offsets(&body) else { return Ok(()) };
    if format > FORMAT {
        return Err(LogError::Newer { path: path.to_path_buf(), found: format, known: FORMAT });
    }
    for (topic, offset) in offsets {
        let next = recovered.next.entry(topic).or_default();
        *next = offset.max(*next);
    }
    Ok(())
}

/// Notes damage. Nobody can say whose offsets stood there, so every topic goes on behind as many as could have.
fn quarantine(number: u64, at: usize, end: usize, known: &Known, recovered: &mut Recovered) {
    let bytes = u64_from(at)..u64_from(end);
    tracing::error!(segment = number, ?bytes, "a range of the topic log is damaged and cannot be read");
    for (topic, places) in &known.index.topics {
        let next = recovered.next.entry(*topic).or_default();
        *next = places.end.max(*next);
    }
    let lost = (bytes.end - bytes.start) / EVENT_BYTES_MIN;
    for next in recovered.next.values_mut() {
        *next = next.saturating_add(lost);
    }
    recovered.quarantined.push(Quarantined { segment: number, bytes });
}
