//! Hexadecimal, base 64, base 32, hashes.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use sha2::{Digest as _, Sha256, Sha512};

use super::{
    Table,
    cell::{Bytes, Fail, Out, Text, ok},
};

/// Accepts base 64 with or without padding, as GoogleSQL does.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn register(t: &mut Table) {
    t.f1::<Bytes, Text>("TO_HEX", |a| ok(hex::encode(a)));
    t.f1::<Text, Bytes>("FROM_HEX", from_hex);
    t.f1::<Bytes, Text>("TO_BASE64", |a| ok(STANDARD.encode(a)));
    t.f1::<Text, Bytes>("FROM_BASE64", |a| LENIENT.decode(a).map(Some).map_err(|_| Fail::from("text is not base 64")));
    t.f1::<Bytes, Text>("TO_BASE32", |a| ok(to_base32(a)));
    t.f1::<Text, Bytes>("FROM_BASE32", from_base32);
    t.f1::<Bytes, Text>("SAFE_CONVERT_BYTES_TO_STRING", |a| ok(String::from_utf8_lossy(a).into_owned()));
    hash(t, "SHA256", |bytes| Sha256::digest(bytes).to_vec());
    hash(t, "SHA512", |bytes| Sha512::digest(bytes).to_vec());
    hash(t, "MD5", |bytes| super::hash::md5(bytes).to_vec());
    hash(t, "SHA1", |bytes| super::hash::sha1(bytes).to_vec());
}

fn hash(t: &mut Table, name: &str, f: impl Fn(&[u8]) -> Vec<u8> + Copy + Send + Sync + 'static) {
    t.f1::<Text, Bytes>(name, move |a| ok(f(a.as_bytes())));
    t.f1::<Bytes, Bytes>(name, move |a| ok(f(a)));
}

/// An odd number of digits has a silent leading zero.
fn from_hex(text: &str) -> Out<Vec<u8>> {
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    hex::decode(padded).map(Some).map_err(|_| Fail::from("text is not hexadecimal"))
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn to_base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut block = [0_u8; 8];
        for (to, from) in block.iter_mut().skip(3).zip(chunk) {
            *to = *from;
        }
        let bits = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let index = usize::try_from((bits >> (35 - 5 * at)) & 31).unwrap_or(0);
            let digit = BASE32.get(index).copied().unwrap_or(b'=');
            out.push(if at < digits { char::from(digit) } else { '=' });
        }
    }
    out
}

fn from_base32(text: &str) -> Out<Vec<u8>> {
    let fail = || Fail::from("text is not base 32");
    let digits = text.trim_end_matches('=');
    let (mut bits, mut held, mut out) = (0_u32, 0_u32, Vec::new());
    for digit in digits.bytes() {
        let value = BASE32.iter().position(|known| *known == digit.to_ascii_uppercase()).ok_or_else(fail)?;
        bits = (bits << 5) | u32::try_from(value).map_err(|_| fail())?;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 255).map_err(|_| fail())?);
            bits &= (1 << held) - 1;
        }
    }
    if bits != 0 || matches!(digits.len() % 8, 1 | 3 | 6) {
        return Err(fail());
    }
    ok(out)
}
