//! Row changes of one table, as a mover hands them to the lake.
//!
//! Owns: [`ChangeBatch`], the contract between change capture and the live table. Never applies anything.

use arrow::{array::BooleanArray, record_batch::RecordBatch};

/// What one row of a [`ChangeBatch`] does. Order within a batch is the order in the source transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A new row.
    Insert,
    /// The row's new image; its key is unchanged.
    Update,
    /// The row's new image after a key change; the batch row just before it is the `Delete` of the old key.
    /// Unchanged values are taken from that old row.
    Move,
    /// The row with this key is gone; only key columns hold values, the others are null.
    Delete,
    /// Every row before this one is gone; the batch row itself holds only nulls.
    Truncate,
}

/// Changes of one table in commit order.
///
/// `rows` has the table's columns in the table's order, one row per entry of `ops`.
/// `unchanged[c]`, where present, is true for rows whose value in column `c` the source did not send because it did
/// not change (TOAST); the value is taken from the row's earlier image, never from a default.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    /// Row images, one per op.
    pub rows: RecordBatch,
    /// What each row does.
    pub ops: Vec<Op>,
    /// Per column: which rows carry "unchanged". Empty when none does.
    pub unchanged: Vec<Option<BooleanArray>>,
}

impl ChangeBatch {
    /// Number of changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}
