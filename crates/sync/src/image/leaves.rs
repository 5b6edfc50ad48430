//! The leaves of a partitioned table: where its rows stand.
//!
//! Owns: [`LeafImage`], and what it means when the leaves of one table are not the ones they were.
//! Never connects to anything. Logical replication through the root says nothing when a leaf with rows comes, goes or is
//! emptied, so this comparison is the only notice there is.

use serde::{Deserialize, Serialize};

use super::quote;

/// One leaf of a partitioned table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafImage {
    /// Table oid.
    pub oid: u32,
    /// `schema.name`, for people.
    pub name: String,
    /// Schema; empty in an image that an earlier naru's trigger wrote.
    #[serde(default)]
    pub schema: String,
    /// Whether the connected role may SELECT every column of the leaf itself, from which copies read.
    #[serde(default = "super::yes")]
    pub readable: bool,
    /// Whether it may use the leaf's schema.
    #[serde(default = "super::yes")]
    pub reachable: bool,
    /// Whether row security is enabled on the leaf and binds the connected role.
    #[serde(default)]
    pub row_security: bool,
    /// Storage file number; changes when the leaf is truncated or rewritten.
    pub file: u32,
    /// `relkind`: r table, f foreign.
    pub kind: char,
    /// `relpersistence`: p permanent, u unlogged.
    pub persistence: char,
    /// `relreplident` of the leaf itself; PostgreSQL reads this one, not the root's.
    pub identity: char,
    /// Names of the columns by which changes of this leaf name their old row, in order.
    pub key: Vec<String>,
    /// Whether it was made as a partition (not attached) and never emptied or rewritten: every row it has was streamed.
    pub born: bool,
}

impl LeafImage {
    /// Both names quoted for SQL.
    pub fn quoted(&self) -> String {
        match self.name.strip_prefix(&self.schema).and_then(|rest| rest.strip_prefix('.')) {
            Some(name) => format!("{}.{}", quote(&self.schema), quote(name)),
            None => self.name.clone(),
        }
    }

    /// Whether PostgreSQL lets its owner update rows while a publication publishes updates.
    pub fn identifies(&self) -> bool {
        self.identity == 'f' || !self.key.is_empty()
    }
}

/// What happened to the leaves of one table between two looks, in words; `None` when no row can have come or gone
/// without a message.
pub fn moved_rows(older: &[LeafImage], newer: &[LeafImage]) -> Option<String> {
    let files: Vec<(u32, u32)> = older.iter().map(|leaf| (leaf.oid, leaf.file)).collect();
    moved_files(&files, newer)
}

/// The same against the oids and files that were stored of an earlier look.
pub fn moved_files(older: &[(u32, u32)], newer: &[LeafImage]) -> Option<String> {
    for leaf in newer {
        match older.iter().find(|(oid, _)| *oid == leaf.oid) {
            None if !leaf.born => return Some(format!("partition {} was attached", leaf.name)),
            Some((_, file)) if *file != leaf.file => {
                return Some(format!("partition {} was emptied or rewritten", leaf.name));
            }
            None | Some(_) => {}
        }
    }
    let gone = older.iter().filter(|(oid, _)| !newer.iter().any(|leaf| leaf.oid == *oid)).count();
    match gone {
        0 => None,
        1 => Some("a partition was detached or dropped".into()),
        many => Some(format!("{many} partitions were detached or dropped")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(oid: u32, file: u32, born: bool) -> LeafImage {
        LeafImage { oid, name: format!("public.leaf_{oid}"), file, born, ..crate::image::tests::leaf() }
    }

    #[test]
    fn a_partition_made_empty_moves_no_rows() {
        assert_eq!(moved_rows(&[leaf(1, 1, true)], &[leaf(1, 1, true), leaf(2, 2, true)]), None);
    }

    #[test]
    fn attached_emptied_and_gone_partitions_move_rows() {
        let older = [leaf(1, 1, true), leaf(2, 2, true)];
        for (newer, said) in [
            (vec![leaf(1, 1, true), leaf(2, 2, true), leaf(3, 3, false)], "attached"),
            (vec![leaf(1, 1, true), leaf(2, 9, false)], "emptied"),
            (vec![leaf(1, 1, true)], "dropped"),
            (vec![], "2 partitions"),
        ] {
            assert!(moved_rows(&older, &newer).is_some_and(|reason| reason.contains(said)), "{said}");
        }
    }
}
