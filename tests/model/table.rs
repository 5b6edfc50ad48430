//! One table of the reference model: its columns and rows, and a digest of them that changes with every row.
//!
//! Owns: what a table holds. Never decides what is written to it and never connects.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_128;

use crate::value::{Kind, Value};

/// Identity of a table for the history's life, whatever it is called.
pub type TableId = u32;
/// Identity of a row in the model, whatever its key is.
pub type RowId = u64;
/// One row: a value per column, in the table's order.
pub type Row = Arc<Vec<Value>>;

/// Identity of a column for its table's life, whatever it is called.
pub type ColumnId = u32;

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// See [`ColumnId`].
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// The value of rows that do not name it.
    pub default: Value,
    /// Whether it is one of the columns that tell rows apart.
    pub key: bool,
}

/// How the source tells naru which row a change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// By the primary key.
    Default,
    /// By all columns.
    Full,
    /// By a unique index on the column `u`.
    Index,
}

/// Rows and the sum of their hashes: independent of their order, and a row twice is not a row once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// How many rows.
    pub rows: i64,
    /// Wrapping sum of row hashes.
    pub sum: u128,
}

impl Digest {
    /// With one more row.
    pub fn add(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    /// With one row less.
    pub fn take(&mut self, hash: u128) {
        self.rows -= 1;
        self.sum = self.sum.wrapping_sub(hash);
    }
}

/// Hashes rows of one set of columns: by name, NULL as if the column were not there.
#[derive(Debug, Clone)]
pub struct Hasher {
    order: Vec<(String, usize)>,
}

impl Hasher {
    /// For rows whose values come in the order of `names`.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut order: Vec<_> = names.enumerate().map(|(at, name)| (name.to_owned(), at)).collect();
        order.sort();
        Self { order }
    }

    /// The hash of one row.
    pub fn hash(&self, row: &[Value]) -> u128 {
        let mut bytes = Vec::with_capacity(64);
        for (name, at) in &self.order {
            if let Some(value) = &row[*at] {
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(value.as_bytes());
                bytes.push(1);
            }
        }
        xxh3_128(&bytes)
    }

    /// The digest of many rows.
    pub fn digest<'a>(&self, rows: impl Iterator<Item = &'a [Value]>) -> Digest {
        let mut digest = Digest::default();
        rows.for_each(|row| digest.add(self.hash(row)));
        digest
    }
}

/// A table with everything written to it, committed or not.
#[derive(Debug, Clone)]
pub struct Table {
    /// See [`TableId`].
    pub id: TableId,
    /// Name in schema `public`.
    pub name: String,
    /// In the source's order.
    pub columns: Arc<Vec<Column>>,
    /// Whether it has a primary key now.
    pub keyed: bool,
    /// See [`Identity`].
    pub identity: Identity,
    /// Rows.
    pub rows: BTreeMap<RowId, Row>,
    /// Keys in use.
    pub keys: HashMap<String, RowId>,
    /// Keys of rows that were deleted, to be used again.
    pub freed: BTreeMap<String, Vec<Value>>,
    /// Partitions of a partitioned table, besides the default one.
    pub parts: Vec<Part>,
    /// Whether it is a detached partition: its keys must go on fitting its bounds.
    pub detached: bool,
}

/// A partition of a table, for one value of the column `part`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The value.
    pub value: i64,
    /// Its name at the source.
    pub name: String,
    /// The table that it is by itself while it is detached.
    pub alone: Option<TableId>,
}

impl Table {
    /// Without rows.
    pub fn new(id: TableId, name: String, columns: Vec<Column>, keyed: bool) -> Self {
        let (rows, keys, freed) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        let (columns, parts, detached) = (Arc::new(columns), Vec::new(), false);
        Self { id, name, columns, keyed, identity: Identity::Default, rows, keys, freed, parts, detached }
    }

    /// The key of a row as one text; `None` without key columns.
    pub fn key_of(&self, row: &[Value]) -> Option<String> {
        let values: Vec<&str> = self.key_values(row).map(|value| value.as_deref().unwrap_or("NULL")).collect();
        (!values.is_empty()).then(|| values.join("|"))
    }

    /// The values of the key columns of a row.
    pub fn key_values<'a>(&'a self, row: &'a [Value]) -> impl Iterator<Item = &'a Value> {
        self.columns.iter().zip(row).filter(|(column, _)| column.key).map(|(_, value)| value)
    }

    /// Whether rows can be found again, by a key the source knows.
    pub fn updatable(&self) -> bool {
        self.keyed
    }

    /// Puts, replaces or takes away a row; gives what was there.
    pub fn set(&mut self, id: RowId, row: Option<Row>) -> Option<Row> {
        let old = match &row {
            Some(row) => self.rows.insert(id, row.clone()),
            None => self.rows.remove(&id),
        };
        if let Some(key) = old.as_ref().and_then(|old| self.key_of(old))
            && self.keys.get(&key) == Some(&id)
        {
            self.keys.remove(&key);
        }
        if let Some(key) = row.as_ref().and_then(|row| self.key_of(row)) {
            self.freed.remove(&key);
            self.keys.insert(key, id);
        }
        old
    }

    /// The hasher of its rows.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self.columns.iter().map(|column| column.name.as_str()))
    }

    /// The digest of all its rows.
    pub fn digest(&self) -> Digest {
        self.hasher().digest(self.rows.values().map(|row| row.as_slice()))
    }

    /// Where a column stands.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}
