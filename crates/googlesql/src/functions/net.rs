//! NET.: addresses, as 4 or 16 BYTES, and hosts of URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Table,
    cell::{Bytes, Fail, Int, Out, Text, ok},
};

fn address(text: &str) -> Result<Vec<u8>, Fail> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Ok(address.octets().to_vec()),
        Ok(IpAddr::V6(address)) => Ok(address.octets().to_vec()),
        Err(_) => Err("text is not an IP address".into()),
    }
}

fn text_of(bytes: &[u8]) -> Out<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return ok(Ipv4Addr::from(four).to_string());
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(sixteen) => ok(Ipv6Addr::from(sixteen).to_string()),
        Err(_) => Err("an IP address has 4 or 16 bytes".into()),
    }
}

/// Keeps the first bits.
fn truncated(bytes: &[u8], keep: i64) -> Out<Vec<u8>> {
    let mask = masked(bytes.len(), keep)?;
    ok(bytes.iter().zip(mask).map(|(byte, mask)| byte & mask).collect())
}

fn masked(length: usize, keep: i64) -> Result<Vec<u8>, Fail> {
    let bits = usize::try_from(keep).ok().filter(|bits| *bits <= length * 8 && matches!(length, 4 | 16));
    let bits = bits.ok_or_else(|| Fail::from("a prefix is longer than its address"))?;
    let byte = |at: usize| {
        u8::MAX.checked_shl(u32::try_from(8 - bits.saturating_sub(at * 8).min(8)).unwrap_or(8)).unwrap_or(0)
    };
    Ok((0..length).map(byte).collect())
}

pub(super) fn register(t: &mut Table) {
    t.f1::<Text, Bytes>("NET.IP_FROM_STRING", |a| address(a).map(Some));
    t.f1::<Text, Bytes>("NET.SAFE_IP_FROM_STRING", |a| Ok(address(a).ok()));
    t.f1::<Bytes, Text>("NET.IP_TO_STRING", text_of);
    t.f2::<Bytes, Int, Bytes>("NET.IP_TRUNC", truncated);
    t.f2::<Int, Int, Bytes>("NET.IP_NET_MASK", |length, keep| masked(super::number::size(length), keep).map(Some));
    t.f1::<Bytes, Int>("NET.IPV4_TO_INT64", |a| match <[u8; 4]>::try_from(a) {
        Ok(four) => ok(i64::from(u32::from_be_bytes(four))),
        Err(_) => Err("an IPv4 address has 4 bytes".into()),
    });
    t.f1::<Int, Bytes>("NET.IPV4_FROM_INT64", |a| {
        let number = u32::try_from(a).or_else(|_| i32::try_from(a).map(i32::cast_unsigned));
        number
            .map(|number| Some(number.to_be_bytes().to_vec()))
            .map_err(|_| Fail::from("INT64 is out of range of IPv4"))
    });
}
