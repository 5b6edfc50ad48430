//! When a table may have held what somebody read, exactly as the source's log tells it.
//!
//! Owns: [`Stand`], and the states between a changed definition and the moment naru notices it. Where nothing announces
//! a definition, the log carries rows alone: rows that no statement changed since keep the values and columns that they
//! were copied with, changed ones have their new values, and which rows there are is exact at every commit.
//! Of a table that had no key, the log has only new rows until its key is noticed.
//! Never reads a lake and never decides what is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    history::{Answer, Change, History, Logged, Moment, Seq, canonical},
    table::{Column, Digest, Hasher, Row, RowId, TableId},
    value::Value,
};

/// Commits after which a table that had a name held the rows in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// The first of them.
    pub from: Seq,
    /// The first one after them.
    pub until: Seq,
}

impl Stand {
    /// Whether it was so after this commit.
    pub fn is_after(self, seq: Seq) -> bool {
        (self.from..self.until).contains(&seq)
    }
}

/// Rows that follow from a copy and the log, with their digest in the columns that naru knows.
struct Followed<'a> {
    columns: &'a [Column],
    /// Whether only new rows are followed, as of a table without a key.
    appends: bool,
    hasher: Hasher,
    rows: BTreeMap<RowId, Row>,
    digest: Digest,
}

impl<'a> Followed<'a> {
    fn new(columns: &'a [Column], appends: bool) -> Self {
        let hasher = Hasher::new(columns.iter().map(|column| column.name.as_str()));
        Self { columns, appends, hasher, rows: BTreeMap::new(), digest: Digest::default() }
    }

    fn set(&mut self, id: RowId, row: Option<Row>) {
        if let Some(row) = &row {
            self.digest.add(self.hasher.hash(row));
        }
        let old = match row {
            Some(row) => self.rows.insert(id, row),
            None => self.rows.remove(&id),
        };
        if let Some(old) = old {
            self.digest.take(self.hasher.hash(&old));
        }
    }

    /// Takes what the log says; `false` when naru cannot take it without looking at the definition.
    fn take(&mut self, logged: &Logged) -> bool {
        match logged {
            Logged::Row(id, row, _) if self.appends && (row.is_none() || self.rows.contains_key(id)) => {}
            Logged::Row(id, row, columns) => {
                let Some(places) = places(self.columns, columns) else { return false };
                let known = |row: &Row| Arc::new(projected(self.columns, &places, row));
                let row = row.as_ref().map(known);
                self.set(*id, row);
            }
            Logged::Truncated => {
                self.rows.clear();
                self.digest = Digest::default();
            }
            Logged::Defined(_) | Logged::Left => {}
        }
        true
    }
}

fn projected(columns: &[Column], places: &[Option<usize>], row: &Row) -> Vec<Value> {
    let value =
        |(column, at): (&Column, &Option<usize>)| at.map_or_else(|| column.default.clone(), |at| row[at].clone());
    columns.iter().zip(places).map(value).collect()
}

/// Where the known columns stand in a message; a column that came later shows its default. `None` when the message
/// does not fit them: a column has another name or type, or is not known.
fn places(known: &[Column], sent: &[Column]) -> Option<Vec<Option<usize>>> {
    let newest = sent.iter().map(|column| column.id).max().unwrap_or(0);
    let oldest_unknown = |column: &Column| known.iter().all(|other| other.name != column.name);
    let unknown = sent.iter().any(|column| oldest_unknown(column) && known.iter().all(|other| other.id <= column.id));
    if unknown {
        return None;
    }
    known
        .iter()
        .map(|column| match sent.iter().position(|sent| sent.name == column.name && sent.kind == column.kind) {
            Some(at) => Some(Some(at)),
            None if column.id > newest => Some(None),
            None => None,
        })
        .collect()
}

impl History {
    /// When a table of this name held what the answer holds. `announced` is whether naru is told of definitions.
    pub fn stands(&self, name: &str, answer: &Answer, announced: bool) -> Vec<Stand> {
        let mut stands = Vec::new();
        for (table, changes) in &self.changes {
            if !changes.iter().any(|change| named(change, name)) {
                continue;
            }
            stands.extend(exactly(changes, name, answer));
            let starts = if announced { leaving(changes, name) } else { self.starts(changes) };
            for start in starts {
                let (end, look) = if announced { (start + 1, None) } else { self.noticed(changes, start) };
                for columns in known(changes, start, end) {
                    let mut followed = self.followed((*table, start, end), name, &columns, answer);
                    followed.retain(|stand| !announced || stand.until == Seq::MAX && stand.from <= changes[start].seq);
                    if let Some(look) = look {
                        followed
                            .iter_mut()
                            .filter(|s| s.until < Seq::MAX)
                            .for_each(|s| s.until = s.until.min(look + 1));
                    }
                    stands.extend(followed);
                }
            }
        }
        stands
    }

    /// Changes after which a copy may have been made that differs from what the log alone would have given.
    fn starts(&self, changes: &[Change]) -> BTreeSet<usize> {
        let defines = |change: &Change| change.logged.iter().any(|l| matches!(l, Logged::Defined(_) | Logged::Left));
        let defined = (0..changes.len()).filter(|at| defines(&changes[*at]));
        let looks = self.settled.iter().filter_map(|seq| last_until(changes, *seq));
        defined.chain(looks).collect()
    }

    /// The last change until which naru may not have noticed what came after `start`, and the look that saw everything.
    fn noticed(&self, changes: &[Change], start: usize) -> (usize, Option<Seq>) {
        let next = changes.get(start + 1).map_or(Seq::MAX, |change| change.seq);
        let look = self.settled.iter().copied().find(|seq| *seq >= next);
        let end = look.and_then(|seq| last_until(changes, seq)).unwrap_or(changes.len() - 1);
        (end, look)
    }

    fn followed(
        &self,
        (table, start, end): (TableId, usize, usize),
        name: &str,
        columns: &[Column],
        answer: &Answer,
    ) -> Vec<Stand> {
        let mut stands = Vec::new();
        let Some((hasher, read)) = canonical(columns, answer) else { return stands };
        let wanted = hasher.digest(read.iter().map(Vec::as_slice));
        let changes = &self.changes[&table];
        let first = &changes[start];
        let Some(at) = at_start(columns, &first.columns) else { return stands };
        let mut followed = Followed::new(columns, !first.keyed);
        for (id, row) in self.numbered(Moment { table, at: start }) {
            followed.set(id, Some(Arc::new(projected(columns, &at, &row))));
        }
        let mut here = named(first, name);
        for at in start..=end.min(changes.len() - 1) {
            let change = &changes[at];
            let before = at.checked_sub(1).map_or(0, |at| changes[at].seq);
            for logged in if at > start { change.logged.as_slice() } else { &[] } {
                if matches!(logged, Logged::Left) {
                    if here && followed.digest == wanted {
                        // It lies there with what the leaving transaction had changed before.
                        stands.push(Stand { from: before, until: Seq::MAX });
                    }
                    here = false;
                } else if !here && !matches!(logged, Logged::Defined(_)) || !followed.take(logged) {
                    return stands;
                }
            }
            here = named(change, name);
            if here && followed.digest == wanted && tells_all(columns, &change.columns, answer) {
                stands.push(stand(changes, at, name));
            }
        }
        stands
    }
}

fn named(change: &Change, name: &str) -> bool {
    change.name.as_deref() == Some(name)
}

/// As long as the state after a change lasts under this name; what left its name lies there for good.
fn stand(changes: &[Change], at: usize, name: &str) -> Stand {
    let until = changes.get(at + 1).filter(|next| named(next, name)).map_or(Seq::MAX, |next| next.seq);
    Stand { from: changes[at].seq, until }
}

/// When the table held just what the source held.
fn exactly(changes: &[Change], name: &str, answer: &Answer) -> Vec<Stand> {
    let mut digests: Vec<(Arc<Vec<Column>>, Option<Digest>)> = Vec::new();
    let mut stands = Vec::new();
    for (at, change) in changes.iter().enumerate().filter(|(_, change)| named(change, name)) {
        if !digests.iter().any(|(columns, _)| Arc::ptr_eq(columns, &change.columns)) {
            let digest =
                canonical(&change.columns, answer).map(|(hasher, rows)| hasher.digest(rows.iter().map(Vec::as_slice)));
            digests.push((change.columns.clone(), digest));
        }
        let digest = digests.iter().find(|(columns, _)| Arc::ptr_eq(columns, &change.columns));
        if digest.is_some_and(|(_, digest)| *digest == Some(change.digest)) {
            stands.push(stand(changes, at, name));
        }
    }
    stands
}

/// Changes after which the table leaves its name in the middle of a transaction.
fn leaving(changes: &[Change], name: &str) -> BTreeSet<usize> {
    let leaves = |change: &Change| change.logged.iter().any(|logged| matches!(logged, Logged::Left));
    let next = |at: usize| changes.get(at + 1).is_some_and(leaves);
    (0..changes.len()).filter(|at| named(&changes[*at], name) && next(*at)).collect()
}

/// The last change at or before a commit.
fn last_until(changes: &[Change], seq: Seq) -> Option<usize> {
    changes.partition_point(|change| change.seq <= seq).checked_sub(1)
}

/// Every set of columns that naru may know of a table that it copied after `start`.
fn known(changes: &[Change], start: usize, end: usize) -> Vec<Arc<Vec<Column>>> {
    let mut known = vec![changes[start].columns.clone()];
    for change in changes.iter().take(end + 1).skip(start + 1) {
        for logged in &change.logged {
            if let Logged::Defined(columns) = logged
                && !known.contains(columns)
            {
                known.push(columns.clone());
            }
        }
    }
    known
}

/// Where known columns stand in the rows that were copied; a later one shows its default. `None` when a column has
/// another name or type since, for which a table is copied again.
fn at_start(known: &[Column], copied: &[Column]) -> Option<Vec<Option<usize>>> {
    known
        .iter()
        .map(|column| match copied.iter().position(|copied| copied.id == column.id) {
            Some(at) if copied[at].name == column.name && copied[at].kind == column.kind => Some(Some(at)),
            Some(_) => None,
            None => Some(None),
        })
        .collect()
}

/// Whether no column that the source has and the answer shows is left out of the judgement.
fn tells_all(known: &[Column], now: &[Column], answer: &Answer) -> bool {
    now.iter().all(|column| !answer.names.contains(&column.name) || known.iter().any(|known| known.name == column.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::Delta, value::Kind};

    fn column(id: u32, name: &str) -> Column {
        Column { id, name: name.to_owned(), kind: Kind::Int, nullable: true, default: None, key: id == 1 }
    }

    fn row(values: &[&str]) -> Row {
        Arc::new(values.iter().map(|value| Some(Arc::from(*value))).collect())
    }

    fn change(seq: Seq, columns: &Arc<Vec<Column>>, rows: &[Row], logged: Vec<Logged>) -> Change {
        let hasher = Hasher::new(columns.iter().map(|column| column.name.as_str()));
        let digest = hasher.digest(rows.iter().map(|row| row.as_slice()));
        let delta = Delta::Whole(rows.iter().enumerate().map(|(id, row)| (id as RowId, row.clone())).collect());
        Change { seq, name: Some("t".to_owned()), columns: columns.clone(), keyed: true, digest, delta, logged }
    }

    fn answer(rows: &[[&str; 2]]) -> Answer {
        let rows = rows.iter().map(|row| row.iter().map(|value| Some((*value).to_owned())).collect()).collect();
        Answer { names: vec!["id".to_owned(), "v".to_owned()], rows }
    }

    /// Two rows, then a rewrite that adds ten to `v`, then a change of the second row to 30.
    fn rewritten() -> History {
        let columns = Arc::new(vec![column(1, "id"), column(2, "v")]);
        let first = [row(&["1", "1"]), row(&["2", "2"])];
        let second = [row(&["1", "11"]), row(&["2", "12"])];
        let third = [row(&["1", "11"]), row(&["2", "30"])];
        let defined = vec![Logged::Defined(columns.clone())];
        let logged = vec![Logged::Row(1, Some(third[1].clone()), columns.clone())];
        let mut history = History::default();
        history.commit(10, vec![(7, change(1, &columns, &first, defined.clone()))]);
        history.commit(20, vec![(7, change(2, &columns, &second, defined))]);
        history.commit(30, vec![(7, change(3, &columns, &third, logged))]);
        history
    }

    fn is_allowed(history: &History, rows: &[[&str; 2]], seq: Seq, announced: bool) -> bool {
        history.stands("t", &answer(rows), announced).iter().any(|stand| stand.is_after(seq))
    }

    #[test]
    fn after_an_unnoticed_rewrite_old_rows_keep_their_values_and_changed_ones_have_their_new() {
        let history = rewritten();
        assert!(is_allowed(&history, &[["1", "1"], ["2", "30"]], 3, false));
        assert!(is_allowed(&history, &[["1", "11"], ["2", "30"]], 3, false));
        assert!(!is_allowed(&history, &[["1", "1"], ["2", "30"]], 3, true), "the event trigger tells of it");
    }

    #[test]
    fn no_other_mixture_no_missing_and_no_older_row_is_allowed() {
        let history = rewritten();
        for rows in [
            &[["1", "1"], ["2", "12"]][..],
            &[["1", "11"], ["2", "2"]],
            &[["1", "1"], ["2", "2"]],
            &[["2", "30"]],
            &[["1", "1"], ["2", "30"], ["2", "30"]],
        ] {
            assert!(!is_allowed(&history, rows, 3, false), "{rows:?}");
        }
    }

    #[test]
    fn once_a_look_saw_everything_the_older_values_are_wrong() {
        let mut history = rewritten();
        history.settled.push(2);
        assert!(is_allowed(&history, &[["1", "1"], ["2", "2"]], 1, false));
        assert!(is_allowed(&history, &[["1", "11"], ["2", "30"]], 3, false));
        assert!(!is_allowed(&history, &[["1", "1"], ["2", "30"]], 3, false));
    }
}
