//! What the source held after every commit.
//!
//! Owns: the position of each commit, the digest of each table after each commit that touched it, and its rows again
//! where a digest differs. Never writes anything and never connects.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    table::{Column, Digest, Hasher, Row, RowId, TableId},
    value::Value,
};

/// A commit's number in the history, from 1; 0 is before the first.
pub type Seq = u64;

/// What one commit changed in one table.
#[derive(Debug, Clone)]
pub enum Delta {
    /// Rows that are otherwise now, or gone.
    Rows(Vec<(RowId, Option<Row>)>),
    /// All rows: the table is new, truncated or defined otherwise.
    Whole(Vec<(RowId, Row)>),
}

/// What the source's log says of one table, statement by statement.
#[derive(Debug, Clone)]
pub enum Logged {
    /// A row as a statement left it, in the columns of that moment.
    Row(RowId, Option<Row>, Arc<Vec<Column>>),
    /// All rows went.
    Truncated,
    /// Another definition, which only the event trigger tells: no row is in the log.
    Defined(Arc<Vec<Column>>),
    /// The table left its name.
    Left,
}

/// One table after one commit that touched it.
#[derive(Debug, Clone)]
pub struct Change {
    /// The commit.
    pub seq: Seq,
    /// The name; `None` once the table is dropped.
    pub name: Option<String>,
    /// Columns.
    pub columns: Arc<Vec<Column>>,
    /// Whether it has a primary key.
    pub keyed: bool,
    /// Rows and their hash.
    pub digest: Digest,
    /// What changed.
    pub delta: Delta,
    /// The way there.
    pub logged: Vec<Logged>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct History {
    /// End position of commit `seq` at index `seq - 1`.
    ends: Vec<u64>,
    pub(crate) changes: BTreeMap<TableId, Vec<Change>>,
    /// Commits with which every table was seen to hold exactly what the source held.
    pub settled: Vec<Seq>,
}

/// A place in the history of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The table.
    pub table: TableId,
    /// Index of its change.
    pub at: usize,
}

/// Rows somebody read, to be judged.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Column names.
    pub names: Vec<String>,
    /// Rows as text, not yet canonical.
    pub rows: Vec<Vec<Option<String>>>,
}

impl History {
    /// Takes in a commit that ends at `end`.
    pub fn commit(&mut self, end: u64, changes: Vec<(TableId, Change)>) {
        assert!(self.ends.last().is_none_or(|last| *last < end), "commits come in order");
        self.ends.push(end);
        for (table, change) in changes {
            self.changes.entry(table).or_default().push(change);
        }
    }

    /// The last commit.
    pub fn last(&self) -> Seq {
        self.ends.len() as u64
    }

    /// Where a commit ends.
    pub fn end(&self, seq: Seq) -> u64 {
        seq.checked_sub(1).and_then(|at| self.ends.get(at as usize)).copied().unwrap_or(0)
    }

    /// The last commit that ends at or before a position.
    pub fn at(&self, position: u64) -> Seq {
        self.ends.partition_point(|end| *end <= position) as u64
    }

    /// Every name that a table ever had.
    pub fn names(&self) -> BTreeSet<String> {
        self.changes.values().flatten().filter_map(|change| change.name.clone()).collect()
    }

    /// The table that has this name after `seq`, or the last one that had it, as it was when it lost it.
    pub fn named(&self, name: &str, seq: Seq) -> Option<Moment> {
        let mut best: Option<(Seq, Moment)> = None;
        for (table, changes) in &self.changes {
            let past = &changes[..changes.partition_point(|change| change.seq <= seq)];
            let Some(at) = past.iter().rposition(|change| change.name.as_deref() == Some(name)) else { continue };
            // Until when it had the name.
            let until = past.get(at + 1).map_or(Seq::MAX, |next| next.seq);
            if best.is_none_or(|(other, _)| until > other) {
                best = Some((until, Moment { table: *table, at }));
            }
        }
        best.map(|(_, moment)| moment)
    }

    fn change(&self, moment: Moment) -> &Change {
        &self.changes[&moment.table][moment.at]
    }

    /// The commit that made this state.
    pub fn seq(&self, moment: Moment) -> Seq {
        self.change(moment).seq
    }

    /// Whether an answer holds exactly the rows of a moment. Columns that the model does not have then are left out:
    /// the lake keeps dropped ones, and shows added ones from their statement on.
    pub fn holds(&self, moment: Moment, answer: &Answer) -> bool {
        let change = self.change(moment);
        canonical(&change.columns, answer).is_some_and(|(hasher, rows)| {
            rows.len() as i64 == change.digest.rows && hasher.digest(rows.iter().map(Vec::as_slice)) == change.digest
        })
    }

    /// Whether columns of the table that has this name after `seq` change within the next commits.
    pub fn defined_soon(&self, name: &str, seq: Seq) -> bool {
        const SOON: Seq = 5;
        self.named(name, seq).is_some_and(|moment| {
            let next = &self.changes[&moment.table][moment.at..];
            next.windows(2).any(|pair| pair[1].seq <= seq + SOON && pair[0].columns != pair[1].columns)
        })
    }

    /// Whether the name belongs to a table after the last commit.
    pub fn exists(&self, name: &str) -> bool {
        self.changes.values().any(|changes| changes.last().is_some_and(|last| last.name.as_deref() == Some(name)))
    }

    /// All rows of a moment.
    pub fn rows(&self, moment: Moment) -> Vec<Row> {
        self.numbered(moment).into_values().collect()
    }

    /// The same with their identities.
    pub fn numbered(&self, moment: Moment) -> BTreeMap<RowId, Row> {
        let past = &self.changes[&moment.table][..=moment.at];
        let mut rows: BTreeMap<RowId, Row> = BTreeMap::new();
        for change in past {
            match &change.delta {
                Delta::Whole(all) => rows = all.iter().cloned().collect(),
                Delta::Rows(changed) => {
                    for (id, row) in changed {
                        match row {
                            Some(row) => rows.insert(*id, row.clone()),
                            None => rows.remove(id),
                        };
                    }
                }
            }
        }
        rows
    }

    /// What differs, for people: rows only in the model and only in the answer, with the commits that last made them.
    pub fn difference(&self, moment: Moment, answer: &Answer) -> String {
        let change = self.change(moment);
        let Some((_, rows)) = canonical(&change.columns, answer) else {
            let names: Vec<&str> = change.columns.iter().map(|column| column.name.as_str()).collect();
            return format!("columns: model {names:?}, answer {:?}", answer.names);
        };
        let mut counts: HashMap<String, i64> = HashMap::new();
        for row in self.rows(moment) {
            *counts.entry(shown(&row)).or_default() += 1;
        }
        for row in &rows {
            *counts.entry(shown(row)).or_default() -= 1;
        }
        let side = |wanted: fn(i64) -> bool| {
            let mut rows: Vec<&String> = counts.iter().filter(|(_, n)| wanted(**n)).map(|(row, _)| row).collect();
            rows.sort();
            let few: Vec<String> = rows.iter().take(8).map(|row| format!("    {row}")).collect();
            format!("{} rows\n{}", rows.len(), few.join("\n"))
        };
        let names: Vec<&str> = change.columns.iter().map(|column| column.name.as_str()).collect();
        format!(
            "columns {names:?}; model {} rows, answer {} rows\n  only in the model: {}\n  only in the answer: {}",
            change.digest.rows,
            rows.len(),
            side(|n| n > 0),
            side(|n| n < 0)
        )
    }
}

/// An answer's values in the model's columns; `None` when it lacks one of them.
pub(crate) fn canonical(columns: &[Column], answer: &Answer) -> Option<(Hasher, Vec<Vec<Value>>)> {
    let places: Option<Vec<usize>> =
        columns.iter().map(|column| answer.names.iter().position(|name| *name == column.name)).collect();
    let places = places?;
    let row = |row: &Vec<Option<String>>| {
        let value = |(column, at): (&Column, &usize)| row[*at].as_deref().map(|text| column.kind.canonical(text));
        columns.iter().zip(&places).map(value).collect()
    };
    Some((Hasher::new(columns.iter().map(|column| column.name.as_str())), answer.rows.iter().map(row).collect()))
}

fn shown(row: &[Value]) -> String {
    let value = |value: &Value| match value {
        None => "NULL".to_owned(),
        Some(text) if text.len() > 40 => format!("{}…({})", text.chars().take(24).collect::<String>(), text.len()),
        Some(text) => text.to_string(),
    };
    row.iter().map(value).collect::<Vec<_>>().join(" | ")
}
