//! What of a subscription survives a restart.
//!
//! Owns: [`Saved`] and its bytes. Leases are not in it: after a restart, what was leased is delivered again.
//!
//! Bytes: a format number, then LEB128 numbers: floor, `acks_from`, discard time (zigzag), count and (gap, length) of
//! each range, count and (step, failures) of each event that failed.

use std::collections::BTreeMap;

use super::{Acknowledged, Deliveries, Stand};

const FORMAT: u8 = 1;

/// The durable part of a subscription's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// What was acknowledged.
    pub acknowledged: Acknowledged,
    /// How often each other event failed, where it did.
    pub failures: BTreeMap<u64, u32>,
    /// Deliveries before it are acknowledged no more.
    pub acks_from: u64,
    /// Events accepted before it are given up unseen.
    pub discard_before_us: i64,
}

impl Saved {
    /// A subscription that begins at an offset.
    pub fn beginning(offset: u64) -> Self {
        Self { acknowledged: Acknowledged::before(offset), ..Self::default() }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        put(&mut bytes, self.acknowledged.floor());
        put(&mut bytes, self.acks_from);
        let discard = self.discard_before_us;
        put(&mut bytes, discard.unsigned_abs().saturating_mul(2) | u64::from(discard < 0));
        put(&mut bytes, naru_base::number::u64_from(self.acknowledged.ranges().count()));
        let mut last = self.acknowledged.floor();
        for range in self.acknowledged.ranges() {
            put(&mut bytes, range.start - last);
            put(&mut bytes, range.end - range.start);
            last = range.end;
        }
        put(&mut bytes, naru_base::number::u64_from(self.failures.len()));
        let mut last = 0;
        for (offset, failures) in &self.failures {
            put(&mut bytes, offset - last);
            put(&mut bytes, u64::from(*failures));
            last = *offset;
        }
        bytes
    }

    /// Reads them back; `None` for what it did not write.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, mut rest) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let rest = &mut rest;
        let mut acknowledged = Acknowledged::before(get(rest)?);
        let acks_from = get(rest)?;
        let discard = get(rest)?;
        let size = i64::try_from(discard / 2).ok()?;
        let discard_before_us = if discard % 2 == 1 { -size } else { size };
        let mut last = acknowledged.floor();
        for _ in 0..get(rest)? {
            let start = last.checked_add(get(rest)?)?;
            let end = start.checked_add(get(rest)?)?;
            acknowledged.add(start..end);
            last = end;
        }
        let mut failures = BTreeMap::new();
        let mut last: u64 = 0;
        for _ in 0..get(rest)? {
            last = last.checked_add(get(rest)?)?;
            failures.insert(last, u32::try_from(get(rest)?).ok()?);
        }
        Some(Self { acknowledged, failures, acks_from, discard_before_us })
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl Deliveries {
    /// What must be durable now, and the revision that it covers.
    pub fn saved(&self) -> (Saved, u64) {
        let mut acknowledged = self.acked.clone();
        let mut failures = self.failed_before.clone();
        for (offset, held) in &self.held {
            if matches!(held.stand, Stand::Leased(lease) if lease.acking) {
                acknowledged.insert(*offset);
            } else if held.failures > 0 {
                failures.insert(*offset, held.failures);
            }
        }
        let saved =
            Saved { acknowledged, failures, acks_from: self.acks_from, discard_before_us: self.discard_before_us };
        (saved, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_saved_is_read_back(
            floor in any::<u32>(),
            ranges in prop::collection::vec((any::<u32>(), 1u64..100), 0..20),
            failures in prop::collection::btree_map(any::<u64>(), any::<u32>(), 0..20),
            discard_before_us in -(1i64 << 60)..(1i64 << 60),
        ) {
            let ranges = ranges.into_iter().map(|(start, length)| u64::from(start)..u64::from(start) + length);
            let acknowledged = Acknowledged::of(u64::from(floor), ranges);
            let saved = Saved { acknowledged, failures, acks_from: u64::MAX, discard_before_us };
            let bytes = saved.encode();
            prop_assert_eq!(Saved::decode(&bytes), Some(saved));
            for cut in 0..bytes.len() {
                prop_assert_eq!(Saved::decode(&bytes[..cut]), None);
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _whatever = Saved::decode(&bytes);
        }
    }
}
