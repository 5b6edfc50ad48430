//! Definitions: tables and columns that come, go and change, in SQL and in the world.
//!
//! Owns: every DDL statement of the workload. Each has its tables for itself alone. Never connects and never compares.

use std::sync::Arc;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    partitions,
    table::{Column, Identity, Row, Table, TableId},
    value::{self, Kind, Value},
    workload::{self, COMMITS, Statement, keys, value_of},
    world::{SessionId, World},
};

/// SQL that must run before anything else.
pub const PREPARE: &str = "
    CREATE EXTENSION pg_walinspect;
    CREATE FUNCTION echo(v anyelement) RETURNS anyelement VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN v; END';
";

/// Tables besides the one of commits.
const TABLES_MAX: usize = 8;
const TABLES_MIN: usize = 3;
const COLUMNS_MAX: usize = 8;
/// Columns that every table keeps.
const KEPT: [&str; 4] = ["v", "s", "big", "u"];

/// What a new table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `id bigint PRIMARY KEY`.
    Int,
    /// The same with a unique column besides, which may become the replica identity.
    Unique,
    /// `(a text, n numeric)`.
    Pair,
    /// `id bigint`, whose primary key is added by a statement of its own.
    Later,
    /// `(id bigint, part int)`, partitioned by `part`.
    Parted,
    /// No key: rows are only added and truncated, as the lake keeps no others of such a table.
    Keyless,
}

impl Shape {
    const ALL: [Self; 6] = [Self::Int, Self::Unique, Self::Pair, Self::Later, Self::Parted, Self::Keyless];
}

/// Tables that a session may define otherwise.
pub fn own(world: &World, session: SessionId) -> Vec<TableId> {
    let alone = world.alone(session).into_iter();
    alone.filter(|id| world.table(*id).is_some_and(|table| table.name != COMMITS)).collect()
}

/// One random change of definitions.
pub fn change(world: &mut World, rng: &mut StdRng, session: SessionId) -> Vec<Statement> {
    let tables = own(world, session);
    let count = world.tables().count() - 1;
    let word = rng.random_range(0..100);
    let Some(id) = tables.choose(rng).copied() else { return Vec::new() };
    if rng.random_bool(0.25) {
        let partitions = partitions::change(world, rng, session, &tables);
        if !partitions.is_empty() {
            return partitions;
        }
    }
    if world.table(id).is_some_and(|table| table.detached) {
        return if count > TABLES_MIN { drop_table(world, session, id) } else { Vec::new() };
    }
    match word {
        0..12 if count < TABLES_MAX => {
            let shape = *Shape::ALL.choose(rng).unwrap_or(&Shape::Int);
            create(world, rng, session, shape)
        }
        12..18 if count > TABLES_MIN => drop_table(world, session, id),
        18..23 => rename_table(world, session, id),
        23..27 if tables.len() > 1 => {
            let whole = |other: &&TableId| world.table(**other).is_some_and(|table| !table.detached);
            let other = tables.iter().filter(whole).copied().find(|other| *other != id);
            other.map_or_else(Vec::new, |other| swap_names(world, session, id, other))
        }
        27..33 => identity(world, rng, session, id),
        33..41 => primary_key(world, session, id),
        41..49 => rewrite(world, rng, session, id),
        49..58 => rename_column(world, rng, session, id),
        58..66 => retype_column(world, rng, session, id),
        66..76 => drop_column(world, rng, session, id),
        76..79 => drop_and_add_again(world, rng, session, id),
        _ => add_column(world, rng, session, id, None),
    }
}

fn column(world: &mut World, name: &str, kind: Kind, key: bool) -> Column {
    Column { id: world.column(), name: name.to_owned(), kind, nullable: !key && name != "u", default: None, key }
}

/// A new table with a few rows.
pub fn create(world: &mut World, rng: &mut StdRng, session: SessionId, shape: Shape) -> Vec<Statement> {
    let own: &[(&str, Kind, bool)] = match shape {
        Shape::Int | Shape::Later => &[("id", Kind::Bigint, true)],
        Shape::Unique => &[("id", Kind::Bigint, true), ("u", Kind::Bigint, false)],
        Shape::Pair => &[("a", Kind::Text, true), ("n", Kind::Exact, true)],
        Shape::Parted => &[("id", Kind::Bigint, true), ("part", Kind::Int, true)],
        Shape::Keyless => &[],
    };
    let all = own.iter().chain(&[("v", Kind::Int, false), ("s", Kind::Text, false), ("big", Kind::Big, false)]);
    let columns: Vec<Column> = all.map(|(name, kind, key)| column(world, name, *kind, *key)).collect();
    let suffix = format!("{shape:?}").to_lowercase();
    let keyed = !matches!(shape, Shape::Keyless | Shape::Later);
    let id = world.create(session, |id| Table::new(id, format!("t{id}_{suffix}"), columns, keyed));
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    let name = &table.name;
    let mut parts: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            format!("{} {}{}", column.name, column.kind.sql(), if column.nullable { "" } else { " NOT NULL" })
        })
        .collect();
    if keyed {
        parts.push(primary_key_clause(&table));
    }
    let by = if shape == Shape::Parted { " PARTITION BY LIST (part)" } else { "" };
    let mut statements = vec![
        Statement::new(format!("CREATE TABLE {name} ({}){by}", parts.join(", "))),
        // Large texts are stored out of line, uncompressed.
        Statement::new(format!("ALTER TABLE {name} ALTER big SET STORAGE EXTERNAL")),
    ];
    if shape == Shape::Parted {
        statements.extend(partitions::create(world, session, id));
    }
    if shape == Shape::Unique {
        statements.push(Statement::new(format!("CREATE UNIQUE INDEX u_{id} ON {name} (u)")));
    }
    let rows = rng.random_range(0..120);
    if rows > 0 {
        statements.extend(workload::insert(world, rng, session, id, rows));
    }
    if shape == Shape::Later && rng.random_bool(0.7) {
        statements.extend(primary_key(world, session, id));
    }
    statements
}

fn primary_key_clause(table: &Table) -> String {
    let names: Vec<&str> = keys(table).map(|column| column.name.as_str()).collect();
    format!("CONSTRAINT pk_{} PRIMARY KEY ({})", table.id, names.join(", "))
}

fn drop_table(world: &mut World, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some(name) = world.table(id).map(|table| table.name.clone()) else { return Vec::new() };
    world.define(session, id, |_| None);
    vec![Statement::new(format!("DROP TABLE {name}"))]
}

fn named(world: &mut World, session: SessionId, id: TableId, name: &str) -> Option<Statement> {
    let old = world.table(id)?.name.clone();
    world.define(session, id, |table| Some(Table { name: name.to_owned(), ..table }));
    Some(Statement::new(format!("ALTER TABLE {old} RENAME TO {name}")))
}

fn rename_table(world: &mut World, session: SessionId, id: TableId) -> Vec<Statement> {
    let name = format!("r{}", world.name());
    named(world, session, id, &name).into_iter().collect()
}

/// Two tables exchange their names.
fn swap_names(world: &mut World, session: SessionId, one: TableId, two: TableId) -> Vec<Statement> {
    let aside = format!("aside{}", world.name());
    let name = |world: &World, id| world.table(id).map(|table: &Table| table.name.clone());
    let (Some(first), Some(second)) = (name(world, one), name(world, two)) else { return Vec::new() };
    let mut statements = Vec::new();
    for (id, name) in [(one, &aside), (two, &first), (one, &second)] {
        statements.extend(named(world, session, id, name));
    }
    statements
}

fn identity(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some(table) = world.table(id).filter(|table| table.keyed && table.parts.is_empty()) else { return Vec::new() };
    let mut kinds = vec![(Identity::Default, "DEFAULT".to_owned()), (Identity::Full, "FULL".to_owned())];
    if table.at("u").is_some() {
        kinds.push((Identity::Index, format!("USING INDEX u_{id}")));
    }
    let Some((identity, text)) = kinds.choose(rng).cloned() else { return Vec::new() };
    let sql = format!("ALTER TABLE {} REPLICA IDENTITY {text}", table.name);
    world.define(session, id, |table| Some(Table { identity, ..table }));
    vec![Statement::new(sql)]
}

/// Adds the primary key where there is none, drops it where there is one.
fn primary_key(world: &mut World, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some(table) = world.table(id) else { return Vec::new() };
    if keys(table).next().is_none() || table.identity != Identity::Default {
        return Vec::new();
    }
    let sql = if table.keyed {
        format!("ALTER TABLE {} DROP CONSTRAINT pk_{id}", table.name)
    } else {
        format!("ALTER TABLE {} ADD {}", table.name, primary_key_clause(table))
    };
    world.define(session, id, |table| Some(Table { keyed: !table.keyed, ..table }));
    vec![Statement::new(sql)]
}

/// Changes the values of one column in every row.
fn with_values(table: Table, at: usize, value: impl Fn(&Value) -> Value) -> Table {
    let row = |row: &Row| {
        let mut row = row.as_ref().clone();
        row[at] = value(&row[at]);
        Arc::new(row)
    };
    let rows = table.rows.iter().map(|(id, old)| (*id, row(old))).collect();
    Table { rows, ..table }
}

/// An ALTER that writes every row anew, without any row in the log.
fn rewrite(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some(table) = world.table(id) else { return Vec::new() };
    let (name, at) = (table.name.clone(), table.at("v").unwrap_or(0));
    let more = rng.random_range(1..5);
    world.define(session, id, |table| {
        let value = |old: &Value| Some((old.as_ref()?.parse::<i64>().unwrap_or(0) + more).to_string().into());
        Some(with_values(table, at, value))
    });
    vec![Statement::new(format!("ALTER TABLE {name} ALTER v TYPE int USING v + {more}"))]
}

/// A column that may be dropped or defined otherwise.
fn extra(world: &World, rng: &mut StdRng, id: TableId) -> Option<(String, usize, Column)> {
    let table = world.table(id)?;
    let extra: Vec<usize> = (0..table.columns.len())
        .filter(|at| !table.columns[*at].key && !KEPT.contains(&table.columns[*at].name.as_str()))
        .collect();
    let at = *extra.choose(rng)?;
    Some((table.name.clone(), at, table.columns[at].clone()))
}

fn rename_column(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some((table, at, column)) = extra(world, rng, id) else { return add_column(world, rng, session, id, None) };
    let new = format!("c{}", world.name());
    let sql = format!("ALTER TABLE {table} RENAME COLUMN {} TO {new}", column.name);
    world.define(session, id, |mut table| {
        Arc::make_mut(&mut table.columns)[at].name = new;
        Some(table)
    });
    vec![Statement::new(sql)]
}

fn retype_column(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some((table, at, column)) = extra(world, rng, id) else { return add_column(world, rng, session, id, None) };
    let kind = match column.kind {
        Kind::Text => return drop_column(world, rng, session, id),
        Kind::Int => *[Kind::Bigint, Kind::Number, Kind::Text].choose(rng).unwrap_or(&Kind::Text),
        _ => Kind::Text,
    };
    let (name, to) = (&column.name, kind.sql());
    let sql = format!("ALTER TABLE {table} ALTER {name} DROP DEFAULT, ALTER {name} TYPE {to} USING {name}::{to}");
    world.define(session, id, |mut table| {
        let now = &mut Arc::make_mut(&mut table.columns)[at];
        (now.kind, now.default) = (kind, None);
        Some(with_values(table, at, |old| {
            let old = old.as_ref()?;
            Some(if kind == Kind::Text { column.kind.source_text(old).into() } else { kind.canonical(old) })
        }))
    });
    vec![Statement::new(sql)]
}

fn without(mut table: Table, at: usize) -> Table {
    Arc::make_mut(&mut table.columns).remove(at);
    for row in table.rows.values_mut() {
        Arc::make_mut(row).remove(at);
    }
    table
}

fn drop_column(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some((table, at, column)) = extra(world, rng, id) else { return add_column(world, rng, session, id, None) };
    world.define(session, id, |table| Some(without(table, at)));
    vec![Statement::new(format!("ALTER TABLE {table} DROP COLUMN {}", column.name))]
}

/// The same name for another column.
fn drop_and_add_again(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let Some((table, at, column)) = extra(world, rng, id) else { return Vec::new() };
    world.define(session, id, |table| Some(without(table, at)));
    let mut statements = vec![Statement::new(format!("ALTER TABLE {table} DROP COLUMN {}", column.name))];
    statements.extend(add_column(world, rng, session, id, Some(column.name)));
    statements
}

fn add_column(
    world: &mut World,
    rng: &mut StdRng,
    session: SessionId,
    id: TableId,
    name: Option<String>,
) -> Vec<Statement> {
    let Some(table) = world.table(id).filter(|table| table.columns.len() < COLUMNS_MAX) else { return Vec::new() };
    let table = table.name.clone();
    let name = name.unwrap_or_else(|| format!("c{}", world.name()));
    let kind = *Kind::ADDED.choose(rng).unwrap_or(&Kind::Int);
    let (number, salt) = (world.number(), value::salt(rng));
    let wanted = Column { id: world.column(), name: name.clone(), kind, nullable: false, default: None, key: false };
    let value = value_of(&wanted, number, salt);
    let constant = kind.expression(&format!("{number}::bigint"), salt);
    let (rest, nullable, default) = match rng.random_range(0..5) {
        0 => (String::new(), true, None),
        1 | 2 => (format!(" DEFAULT {constant}"), true, value),
        3 => (format!(" NOT NULL DEFAULT {constant}"), false, value),
        // Every row is written anew.
        _ => (format!(" DEFAULT echo({constant})"), true, value),
    };
    let added = Column { nullable, default: default.clone(), ..wanted };
    world.define(session, id, |mut table| {
        Arc::make_mut(&mut table.columns).push(added);
        for row in table.rows.values_mut() {
            Arc::make_mut(row).push(default.clone());
        }
        Some(table)
    });
    vec![Statement::new(format!("ALTER TABLE {table} ADD COLUMN {name} {}{rest}", kind.sql()))]
}
