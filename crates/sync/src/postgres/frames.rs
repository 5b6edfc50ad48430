//! Messages as they lie on the wire: a type byte, a length, a body.
//!
//! Owns: the read buffer, which is reused; bodies are slices of it. Never reads a body.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::backend::Header;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::PostgresError;

/// How much is read at once, at most.
const READ_BYTES: usize = 256 * 1024;
/// When less than this is free in the buffer, it is renewed (or reused, once its slices are gone).
const FREE_BYTES_MIN: usize = 16 * 1024;
/// PostgreSQL's own bound on a message.
const FRAME_BYTES_MAX: usize = 0x3FFF_FFFF;
const HEADER_BYTES: usize = 5;

/// One message from the server.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    pub(crate) body: Bytes,
}

impl Frame {
    /// The error for a frame that has no business here.
    pub(crate) fn unexpected(&self, expected: &'static str) -> PostgresError {
        PostgresError::Protocol { expected, got: format!("message '{}'", self.tag.escape_ascii()) }
    }
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: BytesMut::with_capacity(READ_BYTES) }
    }

    /// Waits for the next frame. Giving up while waiting loses nothing.
    pub(crate) async fn next(&mut self, waiting_for: &'static str) -> Result<Frame, PostgresError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            match self.source.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(PostgresError::Ended { waiting_for }),
                Ok(_) => {}
                Err(error) => return Err(PostgresError::Broken(error)),
            }
        }
    }

    /// The next frame, if it has been read already; otherwise makes room for it.
    fn buffered(&mut self) -> Result<Option<Frame>, PostgresError> {
        let wrong = |_| PostgresError::Protocol { expected: "a message length", got: "a negative one".to_owned() };
        let mut missing = FREE_BYTES_MIN;
        if let Some(header) = Header::parse(&self.buffer).map_err(wrong)? {
            // The length counts itself and not the type byte.
            let total = usize::try_from(header.len()).unwrap_or(usize::MAX).saturating_add(1);
            if total > FRAME_BYTES_MAX {
                return Err(PostgresError::Protocol {
                    expected: "a message of at most 1 GiB",
                    got: format!("one of {total} bytes"),
                });
            }
            if self.buffer.len() >= total {
                let mut body = self.buffer.split_to(total).freeze();
                body.advance(HEADER_BYTES);
                return Ok(Some(Frame { tag: header.tag(), body }));
            }
            missing = missing.max(total - self.buffer.len());
        }
        if self.buffer.capacity() - self.buffer.len() < missing {
            self.buffer.reserve(missing.max(READ_BYTES));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_cut_wherever_the_bytes_are() {
        let mut bytes = Vec::new();
        for length in [0_usize, 1, 300_000, 5] {
            bytes.push(b'd');
            bytes.extend(u32::try_from(length + 4).unwrap().to_be_bytes());
            bytes.extend(vec![7; length]);
        }
        for size in [1, 3, 1000, 1 << 20] {
            let (mut near, far) = tokio::io::duplex(size);
            let bytes = bytes.clone();
            let writer = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await });
            let mut reader = FrameReader::new(far);
            for length in [0, 1, 300_000, 5] {
                let frame = reader.next("a frame").await.unwrap();
                assert_eq!((frame.tag, frame.body.len()), (b'd', length));
            }
            writer.await.unwrap().unwrap();
            assert!(matches!(reader.next("more").await, Err(PostgresError::Ended { waiting_for: "more" })));
        }
    }

    #[tokio::test]
    async fn an_absurd_length_is_an_error_not_an_allocation() {
        for bytes in [&b"d\0\0\0\x03"[..], b"d\x7f\xff\xff\xff", b"HTTP/1.1"] {
            let mut reader = FrameReader::new(bytes);
            assert!(matches!(reader.next("a frame").await, Err(PostgresError::Protocol { .. })));
        }
    }
}
