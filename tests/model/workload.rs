//! Rows: random statements that cannot fail on what the world holds, and the same changes in the world.
//!
//! Owns: inserts, updates, deletes, key changes, truncation. Everything is a function of the seed.
//! Never connects and never compares. Read next: `definitions` for tables and columns.

use std::sync::Arc;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    definitions,
    table::{Column, Row, RowId, Table, TableId},
    value::{self, Kind, Value},
    world::{SessionId, World},
};

/// The table that every commit adds its number to.
pub const COMMITS: &str = "commits";
/// More rows than this are not kept in a table: then more are deleted than added.
const ROWS_MAX: usize = 1_200;

/// Partitions of a partitioned table, with the default one.
pub const PARTS: i64 = 3;

/// Where the file of a statement stands in its text.
pub const FILE: &str = "{file}";

/// One SQL statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// Rows it must say it changed.
    pub rows: Option<usize>,
    /// What stands in the file it reads.
    pub file: Option<String>,
}

impl Statement {
    /// One that counts no rows.
    pub fn new(sql: String) -> Self {
        Self { sql, rows: None, file: None }
    }

    fn counted(sql: String, rows: usize) -> Self {
        Self { sql, rows: Some(rows), file: None }
    }
}

/// How much a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Rows a statement touches at most.
    pub rows: usize,
    /// Whether tables and columns change.
    pub definitions: bool,
}

/// One random step of a session inside its transaction. Empty when there is nothing it may do.
pub fn step(world: &mut World, rng: &mut StdRng, session: SessionId, extent: Extent) -> Vec<Statement> {
    if extent.definitions {
        match rng.random_range(0..100) {
            0..10 => return definitions::change(world, rng, session),
            10..13 => return truncate(world, rng, session),
            _ => {}
        }
    }
    let tables: Vec<TableId> = world
        .offered(session)
        .into_iter()
        .filter(|id| world.table(*id).is_some_and(|table| table.name != COMMITS))
        .collect();
    let Some(id) = tables.choose(rng).copied() else { return Vec::new() };
    let Some(table) = world.table(id) else { return Vec::new() };
    let (updatable, full, detached) = (table.updatable(), table.rows.len() > ROWS_MAX, table.detached);
    let rows = rng.random_range(1..=extent.rows);
    match rng.random_range(0..100) {
        _ if detached && !updatable => Vec::new(),
        0..70 if detached => update(world, rng, session, id, rows),
        _ if detached => delete(world, rng, session, id, rows),
        _ if !updatable => insert(world, rng, session, id, rows.min(200)),
        0..35 if !full => insert(world, rng, session, id, rows),
        0..65 => update(world, rng, session, id, rows),
        65..80 => delete(world, rng, session, id, rows),
        80..86 => move_keys(world, rng, session, id, rows.min(40)),
        86..90 => swap_keys(world, rng, session, id),
        90..93 => twice(world, rng, session, id, rows),
        93..96 => upsert(world, rng, session, id, rows),
        _ => reinsert(world, rng, session, id, rows),
    }
}

/// A few new rows, some under keys that rows had before.
pub fn insert(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    let salt = value::salt(rng);
    let mut omitted: Vec<bool> = table.columns.iter().map(|column| omitted(column, rng)).collect();
    // A statement names a column at least.
    omitted.iter_mut().take(2).for_each(|omitted| *omitted = false);
    let mut again = if rng.random_bool(0.4) { world.reusable(id, rng, rows / 2 + 1) } else { Vec::new() };
    let copied = rng.random_bool(0.2);
    let (mut literals, mut lines) = (Vec::new(), String::new());
    for _ in 0..rows {
        let number = world.number();
        let key = again.pop();
        let row = new_row(&table, number, salt, &omitted, key.as_deref());
        let keys: Vec<String> =
            keys(&table).zip(table.key_values(&row)).map(|(column, v)| literal(column, v, number)).collect();
        literals.push(format!("({number}::bigint{})", keys.iter().map(|key| format!(", {key}")).collect::<String>()));
        lines.push_str(&line(&table, &row, &omitted));
        world.insert(session, id, row);
    }
    let names = |wanted: fn(&Column) -> bool| {
        let columns = table.columns.iter().zip(&omitted);
        columns.filter(move |(column, omitted)| !**omitted && wanted(column)).map(|(column, _)| column)
    };
    let into: Vec<&str> = names(|_| true).map(|column| column.name.as_str()).collect();
    if copied {
        let sql = format!("COPY {} ({}) FROM '{FILE}'", table.name, into.join(", "));
        return vec![Statement { file: Some(lines), ..Statement::counted(sql, rows) }];
    }
    let values: Vec<String> = names(|_| true)
        .map(|column| if column.key { format!("u.{}", column.name) } else { expression(column, "u.i", salt) })
        .collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM (VALUES {}) u(i{})",
        table.name,
        into.join(", "),
        values.join(", "),
        literals.join(", "),
        keys(&table).map(|column| format!(", {}", column.name)).collect::<String>(),
    );
    vec![Statement::counted(sql, rows)]
}

/// A row as COPY reads it.
fn line(table: &Table, row: &Row, omitted: &[bool]) -> String {
    let named = table.columns.iter().zip(row.iter()).zip(omitted).filter(|(_, omitted)| !**omitted);
    let text = |((column, value), _): ((&Column, &Value), &bool)| match value {
        Some(value) => column.kind.source_text(value),
        None => "\\N".to_owned(),
    };
    format!("{}\n", named.map(text).collect::<Vec<_>>().join("\t"))
}

fn omitted(column: &Column, rng: &mut StdRng) -> bool {
    !column.key && (column.default.is_some() || column.nullable) && column.name != "u" && rng.random_bool(0.15)
}

fn new_row(table: &Table, number: i64, salt: i64, omitted: &[bool], key: Option<&[Value]>) -> Row {
    let mut again = key.into_iter().flatten();
    let value = |(column, omitted): (&Column, &bool)| {
        if column.key && key.is_some() {
            return again.next().cloned().flatten();
        }
        if *omitted { column.default.clone() } else { value_of(column, number, salt) }
    };
    Arc::new(table.columns.iter().zip(omitted).map(value).collect())
}

/// The value of a column for a row's number.
pub fn value_of(column: &Column, number: i64, salt: i64) -> Value {
    let key_salt = number;
    match (column.key, column.name.as_str()) {
        (true, "part") => Some((number % PARTS).to_string().into()),
        (true, "a") => Some(format!("k{}", number / 3).into()),
        (true, "n") => Some(Kind::Exact.value(number, key_salt)),
        (true, _) | (_, "u") => Some(number.to_string().into()),
        _ if column.nullable && value::is_null(number, salt) => None,
        _ => Some(column.kind.value(number, salt)),
    }
}

fn expression(column: &Column, number: &str, salt: i64) -> String {
    if column.name == "u" {
        return number.to_owned();
    }
    let value = column.kind.expression(number, salt);
    if column.nullable {
        format!("CASE WHEN {} THEN NULL ELSE {value} END", value::null_sql(number, salt))
    } else {
        value
    }
}

/// The columns that tell a table's rows apart.
pub fn keys(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.key)
}

fn literal(column: &Column, value: &Value, number: i64) -> String {
    match value {
        None => format!("NULL::{}", column.kind.sql()),
        // The same number with another scale is the same key.
        Some(exact) if column.kind == Kind::Exact && number % 2 == 0 => format!("{exact}0::numeric"),
        Some(value) => format!("{}::{}", column.kind.literal(value), column.kind.sql()),
    }
}

/// `(VALUES (i, key…), …) u(i, key…)` and `t.key = u.key AND …` for rows.
fn named_rows(table: &Table, rows: &[(i64, Row)]) -> (String, String) {
    let tuple = |(number, row): &(i64, Row)| {
        let keys = keys(table)
            .zip(table.key_values(row))
            .map(|(column, value)| format!(", {}", literal(column, value, *number)));
        format!("({number}::bigint{})", keys.collect::<String>())
    };
    let names: String = keys(table).map(|column| format!(", {}", column.name)).collect();
    let values: Vec<String> = rows.iter().map(tuple).collect();
    let on: Vec<String> = keys(table).map(|column| format!("t.{0} = u.{0}", column.name)).collect();
    (format!("(VALUES {}) u(i{names})", values.join(", ")), on.join(" AND "))
}

/// Other values for some columns; often without the large text, whose value then does not come with the change.
fn update(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, rows);
    update_rows(world, rng, session, id, &picked)
}

fn update_rows(
    world: &mut World,
    rng: &mut StdRng,
    session: SessionId,
    id: TableId,
    picked: &[(RowId, Row)],
) -> Vec<Statement> {
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    let salt = value::salt(rng);
    let chance = |column: &Column| if column.kind == Kind::Big { 0.15 } else { 0.5 };
    let changed: Vec<bool> = table
        .columns
        .iter()
        .map(|column| !column.key && column.name != "u" && rng.random_bool(chance(column)))
        .collect();
    if picked.is_empty() || !changed.contains(&true) {
        return Vec::new();
    }
    let mut numbered = Vec::new();
    for (row_id, row) in picked {
        let number = world.number();
        let value = |((column, changed), old): ((&Column, &bool), &Value)| {
            if *changed { value_of(column, number, salt) } else { old.clone() }
        };
        let new = table.columns.iter().zip(&changed).zip(row.iter()).map(value).collect();
        numbered.push((number, row.clone()));
        world.set(session, id, *row_id, Some(Arc::new(new)));
    }
    let (values, on) = named_rows(&table, &numbered);
    let set: Vec<String> = table
        .columns
        .iter()
        .zip(&changed)
        .filter(|(_, changed)| **changed)
        .map(|(column, _)| format!("{} = {}", column.name, expression(column, "u.i", salt)))
        .collect();
    let sql = format!("UPDATE {} t SET {} FROM {values} WHERE {on}", table.name, set.join(", "));
    vec![Statement::counted(sql, picked.len())]
}

/// The same rows changed by two statements, so that the second finds values of the first, not of the lake.
fn twice(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, rows);
    let mut statements = update_rows(world, rng, session, id, &picked);
    let now = |(row_id, _): &(RowId, Row)| Some((*row_id, world.table(id)?.rows.get(row_id)?.clone()));
    let picked: Vec<(RowId, Row)> = picked.iter().filter_map(now).collect();
    statements.extend(update_rows(world, rng, session, id, &picked));
    statements
}

fn delete(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, rows);
    delete_rows(world, session, id, &picked)
}

fn delete_rows(world: &mut World, session: SessionId, id: TableId, picked: &[(RowId, Row)]) -> Vec<Statement> {
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    if picked.is_empty() {
        return Vec::new();
    }
    let numbered: Vec<(i64, Row)> = picked.iter().map(|(_, row)| (0, row.clone())).collect();
    let (values, on) = named_rows(&table, &numbered);
    for (row_id, _) in picked {
        world.set(session, id, *row_id, None);
    }
    let sql = format!("DELETE FROM {} t USING {values} WHERE {on}", table.name);
    vec![Statement::counted(sql, picked.len())]
}

/// New rows and present ones in one statement; the present ones get another number in `v`.
fn upsert(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, rows / 2);
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    let (Some(at), None) = (table.at("v"), table.at("u")) else { return Vec::new() };
    // The other columns are not named.
    if table.columns.iter().any(|column| !column.key && !column.nullable && column.default.is_none()) {
        return Vec::new();
    }
    let key_places: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].key).collect();
    let mut tuples = Vec::new();
    let value = |number: i64| -> Value { Some((number % 100_000).to_string().into()) };
    for (row_id, row) in &picked {
        let number = world.number();
        let keys = keys(&table).zip(table.key_values(row)).map(|(column, key)| literal(column, key, number));
        tuples.push(format!("({}, {number}::int % 100000)", keys.collect::<Vec<_>>().join(", ")));
        let mut new = row.as_ref().clone();
        new[at] = value(number);
        world.set(session, id, *row_id, Some(Arc::new(new)));
    }
    for _ in 0..=rows / 2 {
        let number = world.number();
        let mut new: Vec<Value> = table.columns.iter().map(|column| column.default.clone()).collect();
        for at in &key_places {
            new[*at] = value_of(&table.columns[*at], number, 1);
        }
        new[at] = value(number);
        let keys = keys(&table).zip(table.key_values(&new)).map(|(column, key)| literal(column, key, number));
        tuples.push(format!("({}, {number}::int % 100000)", keys.collect::<Vec<_>>().join(", ")));
        world.insert(session, id, Arc::new(new));
    }
    let names: Vec<&str> = keys(&table).map(|column| column.name.as_str()).collect();
    let (names, name) = (names.join(", "), &table.name);
    let sql = format!(
        "INSERT INTO {name} ({names}, v) VALUES {} ON CONFLICT ({names}) DO UPDATE SET v = EXCLUDED.v",
        tuples.join(", ")
    );
    vec![Statement::counted(sql, tuples.len())]
}

/// Rows that leave and come back under the same key, some with other values.
fn reinsert(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, rows);
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    if picked.is_empty() {
        return Vec::new();
    }
    let numbered: Vec<(i64, Row)> = picked.iter().map(|(_, row)| (0, row.clone())).collect();
    let (values, on) = named_rows(&table, &numbered);
    for (row_id, row) in &picked {
        world.set(session, id, *row_id, None);
        world.insert(session, id, row.clone());
    }
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let (names, name) = (names.join(", "), &table.name);
    let sql = format!(
        "WITH gone AS (DELETE FROM {name} t USING {values} WHERE {on} RETURNING t.*) \
         INSERT INTO {name} ({names}) SELECT {names} FROM gone"
    );
    let mut statements = vec![Statement::counted(sql, picked.len())];
    if rng.random_bool(0.3) {
        let now = world.pick(session, id, rng, rows);
        statements.extend(update_rows(world, rng, session, id, &now));
    }
    statements
}

/// New keys for rows: never seen ones, or such as other rows had before.
fn move_keys(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId, rows: usize) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, rows);
    let again = if rng.random_bool(0.5) { world.reusable(id, rng, picked.len()) } else { Vec::new() };
    let mut again = again.into_iter();
    let mut moves = Vec::new();
    for (row_id, row) in picked {
        let number = world.number();
        let Some(table) = world.table(id) else { return Vec::new() };
        let key = again.next().unwrap_or_else(|| keys(table).map(|column| value_of(column, number, 1)).collect());
        moves.push((row_id, row, key));
    }
    change_keys(world, session, id, &moves).into_iter().collect()
}

fn change_keys(
    world: &mut World,
    session: SessionId,
    id: TableId,
    moves: &[(RowId, Row, Vec<Value>)],
) -> Option<Statement> {
    let table = world.table(id).cloned().filter(|_| !moves.is_empty())?;
    let columns: Vec<&Column> = keys(&table).collect();
    let mut tuples = Vec::new();
    for (row_id, row, key) in moves {
        let old = columns.iter().zip(table.key_values(row)).map(|(column, value)| literal(column, value, 1));
        let new = columns.iter().zip(key).map(|(column, value)| literal(column, value, 1));
        tuples.push(format!("({})", old.chain(new).collect::<Vec<_>>().join(", ")));
        let mut values = row.as_ref().clone();
        let places: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].key).collect();
        places.iter().zip(key).for_each(|(at, value)| values[*at] = value.clone());
        world.set(session, id, *row_id, Some(Arc::new(values)));
    }
    let list = |prefix: &str| columns.iter().map(|c| format!("{prefix}{}", c.name)).collect::<Vec<_>>().join(", ");
    let pairs = |left: &str, right: &str, by: &str| {
        columns.iter().map(|c| format!("{left}{0} = {right}{0}", c.name)).collect::<Vec<_>>().join(by)
    };
    let sql = format!(
        "UPDATE {} t SET {} FROM (VALUES {}) u({}, {}) WHERE {}",
        table.name,
        pairs("", "u.new_", ", "),
        tuples.join(", "),
        list("old_"),
        list("new_"),
        pairs("t.", "u.old_", " AND "),
    );
    Some(Statement::counted(sql, moves.len()))
}

/// Two rows exchange their keys within one transaction.
fn swap_keys(world: &mut World, rng: &mut StdRng, session: SessionId, id: TableId) -> Vec<Statement> {
    let picked = world.pick(session, id, rng, 2);
    let [(first, one), (second, two)] = picked.as_slice() else { return Vec::new() };
    let number = world.number();
    let Some(table) = world.table(id).cloned() else { return Vec::new() };
    let key = |row: &Row| table.key_values(row).cloned().collect::<Vec<Value>>();
    let aside: Vec<Value> = keys(&table).map(|column| value_of(column, number, 1)).collect();
    let (key_one, key_two) = (key(one), key(two));
    let mut statements = Vec::new();
    for (row_id, to) in [(*first, aside), (*second, key_one), (*first, key_two)] {
        let row = world.table(id).and_then(|table| table.rows.get(&row_id)).cloned();
        statements.extend(row.and_then(|row| change_keys(world, session, id, &[(row_id, row, to)])));
    }
    statements
}

fn truncate(world: &mut World, rng: &mut StdRng, session: SessionId) -> Vec<Statement> {
    let alone: Vec<TableId> = definitions::own(world, session);
    let few = rng.random_range(1..=2);
    let chosen: Vec<TableId> = alone.choose_multiple(rng, few).copied().collect();
    let names: Vec<String> = chosen.iter().filter_map(|id| Some(world.table(*id)?.name.clone())).collect();
    if names.is_empty() {
        return Vec::new();
    }
    for id in chosen {
        world.truncate(session, id);
    }
    let rest = if rng.random_bool(0.3) { " RESTART IDENTITY" } else { "" };
    vec![Statement::new(format!("TRUNCATE {}{rest}", names.join(", ")))]
}
