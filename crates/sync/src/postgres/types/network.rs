//! Small types whose binary form is bytes and whose stored form is their text: uuid, network addresses, bit strings.
//!
//! Owns: writing each exactly as the server prints it. Never normalises further.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    number::write_display,
    scalar::{Raw, exact},
};
use crate::postgres::error::CellFault;

/// The address family byte of IPv4 in `inet_send`; IPv6 is one more.
const FAMILY_IPV4: u8 = 2;
const FAMILY_IPV6: u8 = 3;
const INET_MALFORMED: CellFault = CellFault::Malformed("a network address");

/// Writes a uuid in lowercase with hyphens.
pub(crate) fn write_uuid(bytes: [u8; 16], out: &mut String) {
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        write_hex(byte, out);
    }
}

/// Writes one byte as two lowercase hexadecimal digits.
pub(crate) fn write_hex(byte: u8, out: &mut String) {
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
    }
}

/// Writes an inet or cidr: family, bits, whether cidr, length, address.
pub(crate) fn write_inet(bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    let Some(([family, bits, cidr, length], address)) = bytes.split_first_chunk::<4>() else {
        return Err(INET_MALFORMED);
    };
    if usize::from(*length) != address.len() {
        return Err(INET_MALFORMED);
    }
    let full = match *family {
        FAMILY_IPV4 => {
            write_display(Ipv4Addr::from(exact::<4>(address, "4 bytes")?), out);
            32
        }
        FAMILY_IPV6 => {
            write_ipv6(Ipv6Addr::from(exact::<16>(address, "16 bytes")?), out);
            128
        }
        _ => return Err(INET_MALFORMED),
    };
    if *cidr != 0 || *bits != full {
        let _ = write!(out, "/{bits}");
    }
    Ok(())
}

/// Writes an IPv6 address; the server shows the last 32 bits of `::a.b.c.d` in dotted form.
fn write_ipv6(address: Ipv6Addr, out: &mut String) {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            let _ = write!(out, "::{}", Ipv4Addr::new(a, b, c, d));
        }
        _ => write_display(address, out),
    }
}

/// Writes a macaddr (6 bytes) or macaddr8 (8 bytes).
pub(crate) fn write_macaddr(bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    if !matches!(bytes.len(), 6 | 8) {
        return Err(CellFault::Malformed("6 or 8 bytes"));
    }
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push(':');
        }
        write_hex(*byte, out);
    }
    Ok(())
}

/// Writes a bit string: its length in bits, then its bytes.
pub(crate) fn write_bits(bytes: &[u8], out: &mut String) -> Result<(), CellFault> {
    let (length, bytes) = bytes.split_first_chunk::<4>().ok_or(CellFault::Malformed("a bit string"))?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| CellFault::Malformed("a bit string"))?;
    if bytes.len() != length.div_ceil(8) {
        return Err(CellFault::Malformed("a bit string"));
    }
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1));
    out.extend(bits.take(length).map(|bit| if bit == 1 { '1' } else { '0' }));
    Ok(())
}

/// Writes the one-byte type `"char"`: nothing for 0, a backslash and octal above ASCII.
pub(crate) fn write_char(raw: Raw<'_>, out: &mut String) -> Result<(), CellFault> {
    match raw.bytes() {
        [] | [0] => {}
        [byte @ 1..=127] => out.push(char::from(*byte)),
        [byte] => {
            let _ = write!(out, "\\{byte:03o}");
        }
        _ => out.push_str(raw.str()?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(bytes: &[u8]) -> String {
        let mut out = String::new();
        write_inet(bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn addresses_are_written_as_the_server_prints_them() {
        assert_eq!(inet(&[2, 32, 0, 4, 192, 168, 0, 1]), "192.168.0.1");
        assert_eq!(inet(&[2, 24, 0, 4, 192, 168, 0, 1]), "192.168.0.1/24");
        assert_eq!(inet(&[2, 32, 1, 4, 10, 0, 0, 0]), "10.0.0.0/32");
        let mut v6 = vec![3, 128, 0, 16];
        v6.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
        assert_eq!(inet(&v6), "2001:db8::1");
        assert!(write_inet(&[2, 32, 0, 4, 1], &mut String::new()).is_err());
    }

    #[test]
    fn bits_macs_and_uuids_are_written_whole() {
        let mut out = String::new();
        write_bits(&[0, 0, 0, 10, 0b1010_0000, 0b1100_0000], &mut out).unwrap();
        assert_eq!(out, "1010000011");
        let mut out = String::new();
        write_macaddr(&[8, 0, 0x2b, 1, 2, 0xff], &mut out).unwrap();
        assert_eq!(out, "08:00:2b:01:02:ff");
        let mut out = String::new();
        write_uuid([0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff], &mut out);
        assert_eq!(out, "a0010203-0405-0607-0809-0a0b0c0d0eff");
    }
}
