//! Bitwise operators and functions on INT64 and BYTES.

use super::{
    Table,
    cell::{Bytes, Int, ok},
    number,
};

pub(super) fn register(t: &mut Table) {
    t.f2::<Int, Int, Int>("_bitand", |a, b| ok(a & b));
    t.f2::<Int, Int, Int>("_bitor", |a, b| ok(a | b));
    t.f2::<Int, Int, Int>("_bitxor", |a, b| ok(a ^ b));
    t.f1::<Int, Int>("_bitnot", |a| ok(!a));
    t.f2::<Bytes, Bytes, Bytes>("_bitand", |a, b| pairwise(a, b, |a, b| a & b));
    t.f2::<Bytes, Bytes, Bytes>("_bitor", |a, b| pairwise(a, b, |a, b| a | b));
    t.f2::<Bytes, Bytes, Bytes>("_bitxor", |a, b| pairwise(a, b, |a, b| a ^ b));
    t.f1::<Bytes, Bytes>("_bitnot", |a| ok(a.iter().map(|byte| !byte).collect()));
    t.f2::<Int, Int, Int>("_shl", |a, by| shift(a, by, u64::checked_shl));
    t.f2::<Int, Int, Int>("_shr", |a, by| shift(a, by, u64::checked_shr));
    t.f1::<Int, Int>("BIT_COUNT", |a| ok(i64::from(a.count_ones())));
    t.f1::<Bytes, Int>("BIT_COUNT", |a| ok(a.iter().map(|byte| i64::from(byte.count_ones())).sum()));
}

fn pairwise(a: &[u8], b: &[u8], f: impl Fn(u8, u8) -> u8) -> super::cell::Out<Vec<u8>> {
    if a.len() != b.len() {
        return Err("bitwise operators need BYTES of equal length".into());
    }
    ok(a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect())
}

/// Shifts are logical, on 64 bits; a shift by 64 or more gives 0.
fn shift(a: i64, by: i64, f: impl Fn(u64, u32) -> Option<u64>) -> super::cell::Out<i64> {
    if by < 0 {
        return Err("a shift cannot be negative".into());
    }
    let by = u32::try_from(by).unwrap_or(64);
    ok(number::signed(f(number::unsigned(a), by).unwrap_or(0)))
}
