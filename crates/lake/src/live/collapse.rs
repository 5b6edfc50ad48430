//! Many changes of one batch into one outcome a key.
//!
//! Owns: which image of a key survives a batch, which keys' former rows die, and where values that the source did not
//! send come from. Pure: sees hashes and ops, never rows or files.

use std::hash::BuildHasherDefault;

use crate::{change::Op, index::HashedMap};

/// Where a row's unchanged values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An earlier row of the batch (which may itself leave values unchanged).
    Row(usize),
    /// The row that had this key before the batch.
    Base(u128),
    /// Nowhere: the key was deleted or truncated before.
    Nothing,
}

/// What the first change of a key in the batch was; decides how it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    Insert,
    Update,
    Delete,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The surviving image, or none after a delete.
    image: Option<usize>,
    first: First,
}

/// A key that the batch touched after its last truncate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) hash: u128,
    /// The batch row that is the key's row from now on; none if the key is gone.
    pub(crate) image: Option<usize>,
    pub(crate) first: First,
}

/// The outcome of one batch.
#[derive(Debug, Default)]
pub(crate) struct Collapsed {
    /// Every touched key, sorted by hash.
    pub(crate) touched: Vec<Touched>,
    /// The batch holds a truncate: no row from before the batch survives.
    pub(crate) truncated: bool,
    /// One per batch row; only filled when some row leaves values unchanged.
    pub(crate) origins: Vec<Origin>,
    /// Deletes of keys that the batch itself had deleted already.
    pub(crate) deleted_twice: u64,
}

impl Collapsed {
    /// Batch rows that survive, in batch order.
    pub(crate) fn images(&self) -> Vec<usize> {
        let mut images: Vec<_> = self.touched.iter().filter_map(|key| key.image).collect();
        images.sort_unstable();
        images
    }
}

/// Collapses a batch by key. `hashes` has one hash per op; that of a truncate is ignored.
pub(crate) fn collapse(ops: &[Op], hashes: &[u128], with_origins: bool) -> Collapsed {
    let mut slots: HashedMap<Slot> = HashedMap::with_capacity_and_hasher(ops.len(), BuildHasherDefault::default());
    let mut out = Collapsed::default();
    // The row just deleted, for a move right behind it.
    let mut deleted: Option<(usize, Origin)> = None;
    for (row, (op, hash)) in ops.iter().zip(hashes).enumerate() {
        let before = match slots.get(hash) {
            Some(Slot { image: Some(earlier), .. }) => Origin::Row(*earlier),
            Some(Slot { image: None, .. }) => Origin::Nothing,
            None if out.truncated => Origin::Nothing,
            None => Origin::Base(*hash),
        };
        let mut origin = before;
        match op {
            Op::Insert => set(&mut slots, *hash, Some(row), First::Insert),
            Op::Update => set(&mut slots, *hash, Some(row), First::Update),
            Op::Move => {
                let old = deleted.filter(|(at, _)| at + 1 == row).map(|(_, old)| old);
                origin = old.unwrap_or(Origin::Nothing);
                set(&mut slots, *hash, Some(row), First::Update);
            }
            Op::Delete => {
                if slots.get(hash).is_some_and(|slot| slot.image.is_none()) {
                    out.deleted_twice += 1;
                }
                deleted = Some((row, before));
                set(&mut slots, *hash, None, First::Delete);
            }
            Op::Truncate => {
                slots.clear();
                out.truncated = true;
                origin = Origin::Nothing;
            }
        }
        if with_origins {
            out.origins.push(origin);
        }
    }
    out.touched =
        slots.into_iter().map(|(hash, slot)| Touched { hash, image: slot.image, first: slot.first }).collect();
    out.touched.sort_unstable_by_key(|key| key.hash);
    out
}

fn set(slots: &mut HashedMap<Slot>, hash: u128, image: Option<usize>, first: First) {
    slots.entry(hash).and_modify(|slot| slot.image = image).or_insert(Slot { image, first });
}

#[cfg(test)]
mod tests {
    use Op::{Delete, Insert, Move, Truncate, Update};

    use super::*;

    fn run(changes: &[(Op, u128)]) -> Collapsed {
        let (ops, hashes): (Vec<_>, Vec<_>) = changes.iter().copied().unzip();
        collapse(&ops, &hashes, true)
    }

    fn outcome(changes: &[(Op, u128)]) -> Vec<(u128, Option<usize>)> {
        run(changes).touched.iter().map(|key| (key.hash, key.image)).collect()
    }

    #[test]
    fn the_last_change_of_a_key_wins() {
        type Case<'a> = (&'a [(Op, u128)], &'a [(u128, Option<usize>)]);
        let cases: &[Case<'_>] = &[
            (&[(Insert, 1), (Update, 1), (Update, 1)], &[(1, Some(2))]),
            (&[(Insert, 1), (Delete, 1)], &[(1, None)]),
            (&[(Delete, 1), (Insert, 1)], &[(1, Some(1))]),
            (&[(Delete, 1), (Move, 2)], &[(1, None), (2, Some(1))]),
            (&[(Delete, 1), (Move, 2), (Delete, 2), (Move, 1)], &[(1, Some(3)), (2, None)]),
            (&[(Insert, 1), (Truncate, 0), (Insert, 2)], &[(2, Some(2))]),
            (&[(Insert, 1), (Truncate, 0)], &[]),
        ];
        for (changes, expected) in cases {
            assert_eq!(outcome(changes), *expected, "{changes:?}");
        }
    }

    #[test]
    fn unchanged_values_come_from_the_image_just_before() {
        let cases: &[(&[(Op, u128)], Origin)] = &[
            (&[(Update, 1)], Origin::Base(1)),
            (&[(Update, 1), (Update, 1)], Origin::Row(0)),
            (&[(Delete, 1), (Move, 2)], Origin::Base(1)),
            (&[(Update, 1), (Delete, 1), (Move, 2)], Origin::Row(0)),
            (&[(Delete, 1), (Move, 2), (Update, 2)], Origin::Row(1)),
            (&[(Delete, 1), (Update, 1)], Origin::Nothing),
            (&[(Delete, 1), (Insert, 3), (Move, 2)], Origin::Nothing),
            (&[(Truncate, 0), (Update, 1)], Origin::Nothing),
            (&[(Insert, 1), (Truncate, 0), (Update, 1)], Origin::Nothing),
        ];
        for (changes, expected) in cases {
            assert_eq!(run(changes).origins.last(), Some(expected), "{changes:?}");
        }
    }

    #[test]
    fn a_second_delete_of_a_key_is_counted() {
        assert_eq!(run(&[(Delete, 1), (Delete, 1), (Insert, 1), (Delete, 1)]).deleted_twice, 1);
    }
}
