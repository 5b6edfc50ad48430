//! Every table as the writers' sessions see them, with what is not committed yet and can be taken back.
//!
//! Owns: changes in place with an undo list per session, savepoints, who holds which rows and tables, and what a commit
//! adds to the history. Sessions never wait for each other: what another one holds is not offered.
//! Never writes SQL and never connects.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rand::{rngs::StdRng, seq::IndexedRandom};

use crate::{
    history::{Change, Delta, Logged, Seq},
    table::{Column, ColumnId, Digest, Row, RowId, Table, TableId},
    value::Value,
};

/// A writer.
pub type SessionId = usize;

/// What takes a change back, and what the source's log says of it.
#[derive(Debug, Clone)]
enum Undo {
    Row(TableId, RowId, Option<Row>, Logged),
    Table(TableId, Option<Box<Table>>, Logged),
}

/// An open transaction.
#[derive(Debug, Clone, Default)]
struct Open {
    undo: Vec<Undo>,
    savepoints: Vec<usize>,
    rows: BTreeSet<TableId>,
    whole: BTreeSet<TableId>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct World {
    tables: BTreeMap<TableId, Table>,
    /// Digests of what is committed.
    digests: BTreeMap<TableId, Digest>,
    open: BTreeMap<SessionId, Open>,
    /// Rows that a session's open transaction changed.
    held: HashMap<(TableId, RowId), SessionId>,
    next_table: TableId,
    next_row: RowId,
    next_number: i64,
    next_name: u32,
    next_column: ColumnId,
    /// Whether partitions may come and go.
    pub partitions_go: bool,
}

impl World {
    /// Begins a transaction.
    pub fn begin(&mut self, session: SessionId) {
        self.open.entry(session).or_default();
    }

    /// Whether a session is inside a transaction.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }

    /// How many savepoints a session's transaction has.
    pub fn savepoints(&self, session: SessionId) -> usize {
        self.open.get(&session).map_or(0, |open| open.savepoints.len())
    }

    /// Sets a savepoint.
    pub fn savepoint(&mut self, session: SessionId) {
        let open = self.open.entry(session).or_default();
        open.savepoints.push(open.undo.len());
    }

    /// Keeps what was done since the last savepoint.
    pub fn release(&mut self, session: SessionId) {
        self.open.entry(session).or_default().savepoints.pop();
    }

    /// Takes back what was done since the last savepoint, and leaves the savepoint.
    pub fn rollback_to(&mut self, session: SessionId) {
        let mark = self.open.get_mut(&session).and_then(|open| open.savepoints.pop()).unwrap_or(0);
        self.undo(session, mark);
    }

    /// Takes everything back.
    pub fn rollback(&mut self, session: SessionId) {
        self.undo(session, 0);
        self.end(session);
    }

    fn undo(&mut self, session: SessionId, mark: usize) {
        let undo = self.open.get_mut(&session).map(|open| open.undo.split_off(mark)).unwrap_or_default();
        for step in undo.into_iter().rev() {
            match step {
                Undo::Row(table, row, old, _) => {
                    if let Some(table) = self.tables.get_mut(&table) {
                        table.set(row, old);
                    }
                }
                Undo::Table(table, Some(old), _) => {
                    self.tables.insert(table, *old);
                }
                Undo::Table(table, None, _) => {
                    self.tables.remove(&table);
                }
            }
        }
    }

    fn end(&mut self, session: SessionId) {
        self.open.remove(&session);
        self.held.retain(|_, holder| *holder != session);
    }

    /// Ends a transaction that committed as `seq`: what it left of every table it touched.
    pub fn commit(&mut self, session: SessionId, seq: Seq) -> Vec<(TableId, Change)> {
        let open = self.open.get(&session).cloned().unwrap_or_default();
        let mut firsts: BTreeMap<TableId, BTreeMap<RowId, Option<Row>>> = BTreeMap::new();
        let mut whole: BTreeSet<TableId> = BTreeSet::new();
        let mut log: BTreeMap<TableId, Vec<Logged>> = BTreeMap::new();
        for step in open.undo {
            match step {
                Undo::Table(table, _, logged) => {
                    whole.insert(table);
                    log.entry(table).or_default().push(logged);
                }
                Undo::Row(table, row, old, logged) => {
                    firsts.entry(table).or_default().entry(row).or_insert(old);
                    log.entry(table).or_default().push(logged);
                }
            }
        }
        let touched: BTreeSet<TableId> = firsts.keys().chain(&whole).copied().collect();
        let mut changes = Vec::new();
        for id in touched {
            let rows = firsts.remove(&id).unwrap_or_default();
            let logged = log.remove(&id).unwrap_or_default();
            changes.extend(self.change(id, seq, whole.contains(&id), rows, logged).map(|change| (id, change)));
        }
        self.end(session);
        changes
    }

    fn change(
        &mut self,
        id: TableId,
        seq: Seq,
        whole: bool,
        rows: BTreeMap<RowId, Option<Row>>,
        logged: Vec<Logged>,
    ) -> Option<Change> {
        let Some(table) = self.tables.get_mut(&id) else {
            // Dropped; a table that was also made in this transaction was never there.
            self.digests.remove(&id)?;
            let (columns, delta) = (Arc::default(), Delta::Whole(Vec::new()));
            return Some(Change { seq, name: None, columns, keyed: false, digest: Digest::default(), delta, logged });
        };
        let delta = if whole {
            self.digests.insert(id, table.digest());
            Delta::Whole(table.rows.iter().map(|(id, row)| (*id, row.clone())).collect())
        } else {
            let hasher = table.hasher();
            let digest = self.digests.entry(id).or_default();
            let mut changed = Vec::new();
            for (row, old) in rows {
                let new = table.rows.get(&row).cloned();
                if let Some(old) = &old {
                    digest.take(hasher.hash(old));
                    let key: Vec<Value> = table.key_values(old).cloned().collect();
                    if let Some(text) = table.key_of(old)
                        && !table.keys.contains_key(&text)
                    {
                        table.freed.insert(text, key);
                    }
                }
                if let Some(new) = &new {
                    digest.add(hasher.hash(new));
                }
                changed.push((row, new));
            }
            Delta::Rows(changed)
        };
        let digest = self.digests.get(&id).copied().unwrap_or_default();
        Some(Change {
            seq,
            name: Some(table.name.clone()),
            columns: table.columns.clone(),
            keyed: table.keyed,
            digest,
            delta,
            logged,
        })
    }

    /// A number that was never given before.
    pub fn number(&mut self) -> i64 {
        self.next_number += 1;
        self.next_number
    }

    /// A suffix of names that was never given before.
    pub fn name(&mut self) -> u32 {
        self.next_name += 1;
        self.next_name
    }

    /// The identity of a new column.
    pub fn column(&mut self) -> ColumnId {
        self.next_column += 1;
        self.next_column
    }

    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// One table.
    pub fn table(&self, id: TableId) -> Option<&Table> {
        self.tables.get(&id)
    }

    /// Tables whose rows a session may change.
    pub fn offered(&self, session: SessionId) -> Vec<TableId> {
        let others = || self.open.iter().filter(|(other, _)| **other != session);
        self.tables.keys().copied().filter(|id| !others().any(|(_, open)| open.whole.contains(id))).collect()
    }

    /// Tables that a session may have for itself alone.
    pub fn alone(&self, session: SessionId) -> Vec<TableId> {
        let others = || self.open.iter().filter(|(other, _)| **other != session);
        let offered = self.offered(session).into_iter();
        offered.filter(|id| !others().any(|(_, open)| open.rows.contains(id))).collect()
    }

    /// Up to `most` rows of a table that nobody else holds.
    pub fn pick(&self, session: SessionId, id: TableId, rng: &mut StdRng, most: usize) -> Vec<(RowId, Row)> {
        let Some(table) = self.tables.get(&id) else { return Vec::new() };
        let free: Vec<(&RowId, &Row)> = table
            .rows
            .iter()
            .filter(|(row, _)| self.held.get(&(id, **row)).is_none_or(|holder| *holder == session))
            .collect();
        free.choose_multiple(rng, most).map(|(id, row)| (**id, (*row).clone())).collect()
    }

    /// Keys of a table that rows had before and nobody uses.
    pub fn reusable(&mut self, id: TableId, rng: &mut StdRng, most: usize) -> Vec<Vec<Value>> {
        let Some(table) = self.tables.get_mut(&id) else { return Vec::new() };
        // A key that an open transaction frees is not among them until its commit: nobody waits for it.
        let free: Vec<String> = table.freed.keys().cloned().collect();
        let chosen = free.choose_multiple(rng, most);
        let keys: Vec<Vec<Value>> = chosen.filter_map(|text| table.freed.remove(text)).collect();
        keys
    }

    /// Changes a row; the session holds it until its transaction ends.
    pub fn set(&mut self, session: SessionId, id: TableId, row: RowId, new: Option<Row>) {
        let Some(table) = self.tables.get_mut(&id) else { return };
        let logged = Logged::Row(row, new.clone(), table.columns.clone());
        let old = table.set(row, new);
        self.held.insert((id, row), session);
        let open = self.open.entry(session).or_default();
        open.rows.insert(id);
        open.undo.push(Undo::Row(id, row, old, logged));
    }

    /// Adds a row.
    pub fn insert(&mut self, session: SessionId, id: TableId, row: Row) {
        self.next_row += 1;
        self.set(session, id, self.next_row, Some(row));
    }

    /// Changes a table as a whole; the session has it alone until its transaction ends. `None` drops it.
    pub fn define(&mut self, session: SessionId, id: TableId, change: impl FnOnce(Table) -> Option<Table>) {
        let Some(old) = self.tables.remove(&id) else { return };
        let new = change(old.clone());
        let logged = match &new {
            Some(new) if new.name == old.name => Logged::Defined(new.columns.clone()),
            Some(_) | None => Logged::Left,
        };
        self.tables.extend(new.map(|new| (id, new)));
        self.defined(session, id, Some(Box::new(old)), logged);
    }

    /// Empties a table; the session has it alone until its transaction ends.
    pub fn truncate(&mut self, session: SessionId, id: TableId) {
        let Some(table) = self.tables.get_mut(&id) else { return };
        let old = table.clone();
        table.rows.clear();
        table.keys.clear();
        self.defined(session, id, Some(Box::new(old)), Logged::Truncated);
    }

    fn defined(&mut self, session: SessionId, id: TableId, old: Option<Box<Table>>, logged: Logged) {
        let open = self.open.entry(session).or_default();
        open.rows.insert(id);
        open.whole.insert(id);
        open.undo.push(Undo::Table(id, old, logged));
    }

    /// Adds a table; `make` gets its identity.
    pub fn create(&mut self, session: SessionId, make: impl FnOnce(TableId) -> Table) -> TableId {
        self.next_table += 1;
        let id = self.next_table;
        let table = make(id);
        let columns: Arc<Vec<Column>> = table.columns.clone();
        self.tables.insert(id, table);
        self.defined(session, id, None, Logged::Defined(columns));
        id
    }
}
