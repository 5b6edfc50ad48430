//! MD5 and SHA-1 (RFC 1321 and RFC 3174): kept for the SQL functions of these names, not for security.

/// Pads a message to whole blocks of 64 bytes, its length in bits at the end.
fn padded(message: &[u8], big_endian: bool) -> Vec<u8> {
    let bits = u64::try_from(message.len()).unwrap_or(u64::MAX).wrapping_mul(8);
    let mut out = message.to_vec();
    out.push(0x80);
    while out.len() % 64 != 56 {
        out.push(0);
    }
    out.extend(if big_endian { bits.to_be_bytes() } else { bits.to_le_bytes() });
    out
}

fn words(block: &[u8], read: fn([u8; 4]) -> u32) -> Vec<u32> {
    block.chunks_exact(4).map(|word| read(word.try_into().unwrap_or_default())).collect()
}

/// MD5 of a message.
#[allow(clippy::many_single_char_names)] // the names of RFC 1321
pub(super) fn md5(message: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let sines: Vec<u32> = (1..=64_u32)
        .map(|i| {
            let scaled = (f64::from(i).sin().abs() * 4_294_967_296.0).floor();
            u32::try_from(super::number::wide(scaled)).unwrap_or(0)
        })
        .collect();
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(message, false).chunks_exact(64) {
        let words = words(block, u32::from_le_bytes);
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64_usize {
            let (mix, index) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let word = words.get(index).copied().unwrap_or(0);
            let sine = sines.get(i).copied().unwrap_or(0);
            let shift = SHIFTS.get(i / 16).and_then(|row| row.get(i % 4)).copied().unwrap_or(0);
            let turned = mix.wrapping_add(a).wrapping_add(sine).wrapping_add(word).rotate_left(shift);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 16];
    for (to, byte) in out.iter_mut().zip(state.iter().flat_map(|word| word.to_le_bytes())) {
        *to = byte;
    }
    out
}

/// SHA-1 of a message.
#[allow(clippy::many_single_char_names)] // the names of RFC 3174
pub(super) fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded(message, true).chunks_exact(64) {
        let mut words = words(block, u32::from_be_bytes);
        for i in 16..80_usize {
            let word = [3, 8, 14, 16].iter().fold(0, |mixed, back| mixed ^ words.get(i - back).copied().unwrap_or(0));
            words.push(word.rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (mix, constant) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 20];
    for (to, byte) in out.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *to = byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_equal_the_rfcs_vectors() {
        assert_eq!(hex::encode(md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex::encode(md5(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(hex::encode(sha1(b"")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(hex::encode(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = [b'a'; 200];
        assert_eq!(hex::encode(md5(&long)), "887f30b43b2867f4a9accceee7d16e6c");
    }
}
