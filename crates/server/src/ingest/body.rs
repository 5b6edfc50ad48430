//! Bodies of requests, bounded in size, in time, and all together in memory (`memory`).
//!
//! Owns: receiving and decompressing. A body that grows beyond the limit while it is decompressed is let go at once.
//! Never reads what is in it.

use std::{
    io::{BufReader, Read},
    time::Duration,
};

use axum::{body::Body, http::HeaderMap};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use naru_base::number::{u64_from, usize_from};

use super::{memory::Share, refusal::Refusal};

/// How long a body may take to come.
const BODY_WAIT_MAX: Duration = Duration::from_mins(1);

/// Bytes that are decompressed between two looks at the limits.
const STEP_BYTES: usize = 64 << 10;

/// The largest window that a zstd frame may ask for, as a power of two: what its levels up to 19 use.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, in any number of members.
    Gzip,
    /// RFC 1950, as HTTP means it.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// What the headers say.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get("content-encoding") else { return Ok(Self::Identity) };
        match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::Encoding),
        }
    }
}

/// Receives a body. `received` counts its bytes, also when it is refused.
pub async fn receive(body: Body, most: u64, share: &mut Share, received: &mut u64) -> Result<Bytes, Refusal> {
    let whole = collect(body, most, share, received);
    let slow = |_| Refusal::Slow { seconds: BODY_WAIT_MAX.as_secs() };
    tokio::time::timeout(BODY_WAIT_MAX, whole).await.map_err(slow)?
}

async fn collect(mut body: Body, most: u64, share: &mut Share, received: &mut u64) -> Result<Bytes, Refusal> {
    let mut whole = Vec::new();
    let mut only: Option<Bytes> = None;
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = share.gives_way() => return Err(Refusal::Busy),
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        *received += u64_from(data.len());
        if *received > most {
            return Err(Refusal::TooLarge { most });
        }
        share.grow(usize_from(*received) - data.len(), data.len())?;
        match only.take() {
            None if whole.is_empty() => only = Some(data),
            None => whole.extend_from_slice(&data),
            Some(first) => {
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(only.unwrap_or_else(|| whole.into()))
}

/// Decompresses a body to at most `most` bytes.
pub fn decompress(body: Bytes, encoding: Encoding, most: u64, share: &mut Share) -> Result<Bytes, Refusal> {
    // Some senders forget to say it; no JSON and no protobuf request begins so.
    let encoding = if body.starts_with(b"\x1f\x8b") { Encoding::Gzip } else { encoding };
    let compressed = body.len();
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Gzip => unpack(flate2::read::MultiGzDecoder::new(&body[..]), "gzip", most, compressed, share),
        Encoding::Deflate => unpack(flate2::read::ZlibDecoder::new(&body[..]), "deflate", most, compressed, share),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::new(&body[..]))
                .map_err(|_| Refusal::Compressed("zstd"))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| Refusal::Compressed("zstd"))?;
            unpack(decoder, "zstd", most, compressed, share)
        }
    }
}

fn unpack(
    mut decoder: impl Read,
    name: &'static str,
    most: u64,
    compressed: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    loop {
        share.grow(compressed + plain.len(), STEP_BYTES)?;
        let step = u64_from(STEP_BYTES);
        let read = decoder.by_ref().take(step).read_to_end(&mut plain).map_err(|_| Refusal::Compressed(name))?;
        if u64_from(plain.len()) > most {
            return Err(Refusal::TooLarge { most });
        }
        if read == 0 {
            return Ok(plain.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::ingest::memory::{KNOWN_KIB, Memory};

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(body: Vec<u8>, encoding: Encoding, most: u64) -> Result<Bytes, Refusal> {
        decompress(body.into(), encoding, most, &mut Memory::default().known())
    }

    #[test]
    fn every_encoding_is_undone_and_gzip_also_when_nobody_says_so() {
        let plain = b"{\"a\":1}\n".repeat(10_000);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&plain).unwrap();
        let packed = [
            (plain.clone(), Encoding::Identity),
            (gzip(&plain), Encoding::Gzip),
            (gzip(&plain), Encoding::Identity),
            ([gzip(&plain[..8]), gzip(&plain[8..])].concat(), Encoding::Gzip),
            (zlib.finish().unwrap(), Encoding::Deflate),
            (zstd::encode_all(&plain[..], 3).unwrap(), Encoding::Zstd),
        ];
        for (body, encoding) in packed {
            assert_eq!(unpacked(body, encoding, 1_000_000).unwrap(), plain, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for (bomb, encoding) in
            [(gzip(&zeros), Encoding::Gzip), (zstd::encode_all(&zeros[..], 19).unwrap(), Encoding::Zstd)]
        {
            let mut share = Memory::default().known();
            let refused = decompress(bomb.into(), encoding, 1 << 20, &mut share);
            assert!(matches!(refused, Err(Refusal::TooLarge { most: 1_048_576 })), "{refused:?}");
            assert!(share.held_kib() < 1_300, "{}", share.held_kib());
        }
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_refused() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            assert!(
                matches!(unpacked(b"plain".to_vec(), encoding, 1_000), Err(Refusal::Compressed(_))),
                "{encoding:?}"
            );
        }
        let mut cut = gzip(b"plain and plain");
        cut.truncate(cut.len() - 4);
        assert!(matches!(unpacked(cut, Encoding::Gzip, 1_000), Err(Refusal::Compressed("gzip"))));
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_or_the_memory_is_refused_and_counted() {
        let memory = Memory::default();
        let mut received = 0;
        let refused = receive(Body::from(vec![0; 2_000]), 1_999, &mut memory.known(), &mut received).await;
        assert!(matches!(refused, Err(Refusal::TooLarge { .. })) && received == 2_000);
        let mut taken = memory.known();
        taken.grow(0, (KNOWN_KIB << 10) - 1_024).unwrap();
        let refused = receive(Body::from(vec![0; 2_000]), 9_999, &mut memory.known(), &mut received).await;
        assert!(matches!(refused, Err(Refusal::Busy)), "{refused:?}");
        drop(taken);
        let body = receive(Body::from(vec![7; 2_000]), 9_999, &mut memory.known(), &mut 0).await;
        assert_eq!(body.unwrap().len(), 2_000);
    }
}
