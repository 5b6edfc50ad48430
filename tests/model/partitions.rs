//! Partitions that come and go, in SQL and in the world.
//!
//! Owns: the partitions of a table: rows move between them by their key, whole partitions leave and come back with rows
//! that no message tells of. Never connects and never compares.

use std::sync::Arc;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    table::{Part, Row, RowId, Table, TableId},
    workload::{PARTS, Statement},
    world::{SessionId, World},
};

/// The partitions of a new table: one for each value but the last, whose rows stand in the default one.
pub fn create(world: &mut World, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some(name) = world.table(id).map(|table| table.name.clone()) else { return Vec::new() };
    let part = |value: i64| Part { value, name: format!("p{id}_{value}"), alone: None };
    let parts: Vec<Part> = (0..PARTS - 1).map(part).collect();
    let made = |part: &Part| format!("CREATE TABLE {} PARTITION OF {name} FOR VALUES IN ({})", part.name, part.value);
    let mut statements: Vec<Statement> = parts.iter().map(|part| Statement::new(made(part))).collect();
    statements.push(Statement::new(format!("CREATE TABLE p{id}_rest PARTITION OF {name} DEFAULT")));
    world.define(session, id, |table| Some(Table { parts, ..table }));
    statements
}

/// A partition of one of these tables comes or goes; nothing when none can.
pub fn change(world: &mut World, rng: &mut StdRng, session: SessionId, tables: &[TableId]) -> Vec<Statement> {
    let concerned = |id: &&TableId| world.table(**id).is_some_and(|table| table.detached || !table.parts.is_empty());
    let concerned: Vec<TableId> = tables.iter().filter(concerned).copied().collect();
    let Some(id) = concerned.choose(rng).copied() else { return Vec::new() };
    if world.table(id).is_some_and(|table| table.detached) {
        attach(world, session, id)
    } else {
        detach(world, rng, session, id)
    }
}

fn of_part(table: &Table, value: i64) -> impl Iterator<Item = (RowId, Row)> {
    let at = table.at("part").unwrap_or(0);
    let value: Arc<str> = value.to_string().into();
    table.rows.iter().filter(move |(_, row)| row[at].as_ref() == Some(&value)).map(|(id, row)| (*id, row.clone()))
}

fn with(table: &mut Table, rows: &[(RowId, Row)]) {
    for (row, values) in rows {
        table.set(*row, Some(values.clone()));
    }
}

fn without(table: &mut Table, rows: &[(RowId, Row)]) {
    for (row, _) in rows {
        table.set(*row, None);
    }
}

/// A partition becomes a table of its own. Its rows leave the table without a message.
fn detach(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    if !world.partitions_go {
        return Vec::new();
    }
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    let there: Vec<usize> = (0..table.parts.len()).filter(|at| table.parts[*at].alone.is_none()).collect();
    let Some(at) = there.choose(rng).copied() else { return Vec::new() };
    let part = table.parts[at].clone();
    let rows: Vec<(RowId, Row)> = of_part(&table, part.value).collect();
    if rng.random_bool(0.2) {
        // It goes with its rows, and others of its value find place in the default partition.
        world.define(session, id, |mut table| {
            table.parts.remove(at);
            without(&mut table, &rows);
            Some(table)
        });
        return vec![Statement::new(format!("DROP TABLE {}", part.name))];
    }
    let columns = table.columns.as_ref().clone();
    let alone = world.create(session, |alone| {
        let mut leaf = Table { detached: true, ..Table::new(alone, part.name.clone(), columns, table.keyed) };
        with(&mut leaf, &rows);
        leaf
    });
    world.define(session, id, |mut table| {
        without(&mut table, &rows);
        table.parts[at].alone = Some(alone);
        Some(table)
    });
    vec![Statement::new(format!("ALTER TABLE {} DETACH PARTITION {}", table.name, part.name))]
}

/// A table that was a partition becomes one again. Nothing when the source would refuse it now.
fn attach(world: &mut World, session: SessionId, leaf: TableId) -> Vec<Statement> {
    let free = world.alone(session);
    let Some(left) = world.table(leaf).cloned() else { return Vec::new() };
    let is_its = |table: &&Table| table.parts.iter().any(|part| part.alone == Some(leaf)) && free.contains(&table.id);
    let Some(root) = world.tables().find(is_its).cloned() else { return Vec::new() };
    let Some(at) = root.parts.iter().position(|part| part.alone == Some(leaf)) else { return Vec::new() };
    let value = root.parts[at].value;
    if root.columns != left.columns || root.keyed != left.keyed || of_part(&root, value).next().is_some() {
        return Vec::new();
    }
    let rows: Vec<(RowId, Row)> = left.rows.into_iter().collect();
    world.define(session, leaf, |_| None);
    world.define(session, root.id, |mut table| {
        with(&mut table, &rows);
        table.parts[at].alone = None;
        Some(table)
    });
    vec![Statement::new(format!("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({value})", root.name, left.name))]
}
