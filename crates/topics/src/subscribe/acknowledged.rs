//! What a subscription has acknowledged: everything below a floor, and ranges above it.
//!
//! Owns: [`Acknowledged`]. Pure; knows offsets only.

use std::{collections::BTreeMap, ops::Range};

/// A set of offsets that grows towards "everything".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    floor: u64,
    /// Beginning and end of ranges, apart from each other and from the floor.
    above: BTreeMap<u64, u64>,
}

impl Acknowledged {
    /// Everything before an offset.
    pub fn before(floor: u64) -> Self {
        Self { floor, above: BTreeMap::new() }
    }

    /// From its parts; ranges in any order, also touching ones.
    pub fn of(floor: u64, ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut acknowledged = Self::before(floor);
        for range in ranges {
            acknowledged.add(range);
        }
        acknowledged
    }

    /// The first offset that is not acknowledged.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Ranges above the floor, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.above.iter().map(|(start, end)| *start..*end)
    }

    /// Whether an offset is in it.
    pub fn has(&self, offset: u64) -> bool {
        offset < self.floor || self.above.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
    }

    /// Adds one offset.
    pub fn insert(&mut self, offset: u64) {
        self.add(offset..offset.saturating_add(1));
    }

    /// Adds a range.
    pub fn add(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start, range.end);
        if start >= end || end <= self.floor {
            return;
        }
        // Every range that touches the new one becomes part of it.
        while let Some((begin, stop)) = self.above.range(..=end).next_back().map(|(a, b)| (*a, *b)) {
            if stop < start {
                break;
            }
            self.above.remove(&begin);
            start = start.min(begin);
            end = end.max(stop);
        }
        if start <= self.floor {
            self.floor = end;
        } else {
            self.above.insert(start, end);
        }
    }

    /// Offsets below `end` that are not in it.
    pub fn missing_before(&self, end: u64) -> u64 {
        let within = |range: Range<u64>| range.end.min(end).saturating_sub(range.start.min(end));
        end.saturating_sub(self.floor).saturating_sub(self.ranges().map(within).sum())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_added(adds in prop::collection::vec((0u64..60, 0u64..6), 0..40), floor in 0u64..10) {
            let mut set = Acknowledged::before(floor);
            let mut plain: BTreeSet<u64> = (0..floor).collect();
            for (start, length) in adds {
                set.add(start..start + length);
                plain.extend(start..start + length);
            }
            for offset in 0..70 {
                prop_assert_eq!(set.has(offset), plain.contains(&offset), "{}", offset);
            }
            prop_assert!(!set.has(set.floor()));
            let mut last = set.floor();
            for range in set.ranges() {
                prop_assert!(range.start > last && range.end > range.start);
                last = range.end;
            }
            let missing = (0..50u64).filter(|offset| !plain.contains(offset)).count();
            prop_assert_eq!(set.missing_before(50), u64::try_from(missing).unwrap());
            prop_assert_eq!(Acknowledged::of(set.floor(), set.ranges()), set);
        }
    }
}
