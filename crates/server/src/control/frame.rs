//! Frames of a SQL answer: one byte of kind, four of length, the payload.
//!
//! Arrow's stream format has no place for an error that shows after the first rows, nor for progress; frames have.
//! Owns: writing and reading them. A frame holds at most [`FRAME_BYTES_MAX`].

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A longer frame is a broken stream, not data.
pub const FRAME_BYTES_MAX: usize = 256 << 20;
const HEAD_BYTES: usize = 5;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON: zone and versions. The first frame of a good answer.
    Head,
    /// A piece of an Arrow IPC stream.
    Rows,
    /// JSON: how far the query has come.
    Progress,
    /// JSON: the problem that ended the answer.
    Problem,
    /// Nothing: the answer is whole.
    Done,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Head => b'H',
            Self::Rows => b'R',
            Self::Progress => b'P',
            Self::Problem => b'E',
            Self::Done => b'D',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Head, Self::Rows, Self::Progress, Self::Problem, Self::Done].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// One frame as bytes.
pub fn frame(kind: Kind, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + payload.len());
    bytes.put_u8(kind.byte());
    bytes.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    bytes.put_slice(payload);
    bytes.freeze()
}

/// Takes the first whole frame out of `buffer`; `None` while it is not whole.
///
/// # Errors
/// A sentence about what is broken.
pub fn take(buffer: &mut BytesMut) -> Result<Option<(Kind, Bytes)>, String> {
    let (Some(kind), Some(length)) = (buffer.first().copied(), buffer.get(1..HEAD_BYTES)) else { return Ok(None) };
    let kind = Kind::of(kind).ok_or_else(|| format!("a frame of unknown kind {kind}"))?;
    let length = length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    if length > FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes"));
    }
    if buffer.len() < HEAD_BYTES + length {
        return Ok(None);
    }
    buffer.advance(HEAD_BYTES);
    Ok(Some((kind, buffer.split_to(length).freeze())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_split_of_the_stream() {
        let mut whole = frame(Kind::Head, b"{}").to_vec();
        whole.extend_from_slice(&frame(Kind::Rows, &[7; 300]));
        whole.extend_from_slice(&frame(Kind::Done, b""));
        for step in [1, 3, 7, 1000] {
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for piece in whole.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some((kind, payload)) = take(&mut buffer).unwrap() {
                    seen.push((kind, payload.len()));
                }
            }
            assert_eq!(seen, [(Kind::Head, 2), (Kind::Rows, 300), (Kind::Done, 0)]);
        }
    }

    #[test]
    fn a_broken_frame_is_an_error_and_not_a_wait() {
        assert!(take(&mut BytesMut::from(&b"Z\0\0\0\0"[..])).is_err());
        assert!(take(&mut BytesMut::from(&b"R\xff\xff\xff\xff"[..])).is_err());
    }
}
