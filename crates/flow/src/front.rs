//! What the flow must know about a SQL text, behind a trait so that no SQL parser lives in this room.
//!
//! Owns: [`SqlFront`], [`TableRead`], [`SqlMistake`]. Never parses; `cli` hands in the adapter made from GoogleSQL.
//! Read next: [`crate::graph`], which turns reads into edges.

/// One place in a SQL text where a table or view is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRead {
    /// The name's parts as written, backticks removed: `[table]`, `[dataset, table]` or `[project, dataset, table]`.
    pub parts: Vec<String>,
    /// Line in the given text, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// Why a SQL text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlMistake {
    /// What is wrong, lowercase, without a full stop.
    pub summary: String,
    /// What to do.
    pub hint: Option<String>,
    /// Line in the given text, from 1, where known.
    pub line: Option<usize>,
    /// Column in characters, from 1, where known.
    pub column: Option<usize>,
}

/// Reads SQL texts without running them.
pub trait SqlFront: Send + Sync {
    /// Finds every table that `sql` reads, in order of appearance, with repetitions.
    ///
    /// Names that stand for something inside the text (CTEs, aliases, `UNNEST` of a column) are left out. `sql` is one
    /// query; a text of several statements is a mistake.
    fn tables_read(&self, sql: &str) -> Result<Vec<TableRead>, SqlMistake>;
}
