//! One index entry and its 24 bytes on disk.
//!
//! Owns: [`Entry`], [`Position`], their order and their encoding. Never reads or writes a file.

/// Where a row lies: the data file and its row number from 0, counting deleted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The table's number of the data file.
    pub file: u32,
    /// Row number within the file, from 0.
    pub row: u32,
}

/// A key's hash and the newest position known for it. Ordered by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Hash of the normalised key.
    pub hash: u128,
    /// Where its row lies.
    pub at: Position,
}

/// Bytes of one entry on disk: the hash (16, big-endian), file (4, little-endian), row (4, little-endian).
pub(crate) const ENTRY_BYTES: usize = 24;

impl Entry {
    /// The entry's bytes. The hash is big-endian, so byte order is hash order.
    pub(crate) fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.hash.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.at.file.to_le_bytes());
        bytes[20..].copy_from_slice(&self.at.row.to_le_bytes());
        bytes
    }

    /// Reads an entry back.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut hash = [0; 16];
        let (mut file, mut row) = ([0; 4], [0; 4]);
        hash.copy_from_slice(&bytes[..16]);
        file.copy_from_slice(&bytes[16..20]);
        row.copy_from_slice(&bytes[20..]);
        Self {
            hash: u128::from_be_bytes(hash),
            at: Position { file: u32::from_le_bytes(file), row: u32::from_le_bytes(row) },
        }
    }
}

/// The entries in `bytes`; a rest shorter than an entry is ignored.
pub(crate) fn entries(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Entry> + ExactSizeIterator + '_ {
    bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(Entry::decode)
}

/// Which of `2^bits` equal ranges of the hash space `hash` falls into.
pub(crate) fn bucket(hash: u128, bits: u32) -> usize {
    let top = u64::try_from(hash >> 64).unwrap_or(u64::MAX);
    naru_base::number::usize_from(top.checked_shr(64 - bits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_bytes_and_bytes_sort_like_hashes() {
        let low = Entry { hash: 7 << 90, at: Position { file: 3, row: u32::MAX } };
        let high = Entry { hash: u128::MAX - 5, at: Position { file: u32::MAX, row: 0 } };
        for entry in [low, high] {
            assert_eq!(Entry::decode(&entry.encode()), entry);
        }
        assert!(low.encode() < high.encode());
    }

    #[test]
    fn buckets_cover_the_hash_space_in_order() {
        assert_eq!(bucket(u128::MAX, 0), 0);
        assert_eq!(bucket(0, 3), 0);
        assert_eq!(bucket(u128::MAX, 3), 7);
        assert_eq!(bucket(1 << 127, 1), 1);
        assert_eq!(bucket((1 << 127) - 1, 1), 0);
    }
}
