//! Queries with a name, and who else may see or change them.
//!
//! Owns: the `saved_queries` and `saved_query_grants` tables. Never decides who may; that is the caller's.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// A saved query. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Counted from 1.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its text.
    pub sql: String,
    /// Whose it is.
    pub who: String,
    /// Their name, for eyes.
    pub owner: String,
    /// Counts changes from 1.
    pub revision: i64,
    /// When it was made.
    pub created_us: i64,
    /// When it was last changed.
    pub updated_us: i64,
    /// Who else may see (`false`) or change (`true`) it, in the words of `access.toml`.
    pub grants: Vec<(String, bool)>,
}

const COLUMNS: &str = "id, name, description, sql, who, owner, revision, created_us, updated_us";

/// Stores a new one; `id` and `revision` are ignored. Gives its id.
pub fn insert(connection: &Connection, saved: &Saved) -> Result<i64, StoreError> {
    let sql = "INSERT INTO saved_queries (name, description, sql, who, owner, revision, created_us, updated_us)
        VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6)";
    let Saved { name, description, sql: text, who, owner, created_us, .. } = saved;
    connection.prepare_cached(sql)?.execute((name, description, text, who, owner, created_us))?;
    let id = connection.last_insert_rowid();
    set_grants(connection, id, &saved.grants)?;
    Ok(id)
}

/// Every saved query, by name.
pub fn list(connection: &Connection) -> Result<Vec<Saved>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM saved_queries ORDER BY name, id");
    let found: Vec<Saved> = connection.prepare_cached(&sql)?.query_map([], row)?.collect::<Result<_, _>>()?;
    found.into_iter().map(|saved| with_grants(connection, saved)).collect()
}

/// One of them.
pub fn find(connection: &Connection, id: i64) -> Result<Option<Saved>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM saved_queries WHERE id = ?1");
    let found = connection.prepare_cached(&sql)?.query_row([id], row).optional()?;
    found.map(|saved| with_grants(connection, saved)).transpose()
}

/// Changes name, description, text and grants, if nobody has changed it since `saved.revision`; `false` if somebody
/// has.
pub fn update(connection: &Connection, saved: &Saved) -> Result<bool, StoreError> {
    let sql = "UPDATE saved_queries SET name = ?2, description = ?3, sql = ?4, updated_us = ?5, revision = revision + 1
        WHERE id = ?1 AND revision = ?6";
    let Saved { id, name, description, sql: text, updated_us, revision, .. } = saved;
    let changed = connection.prepare_cached(sql)?.execute((id, name, description, text, updated_us, revision))? > 0;
    if changed {
        set_grants(connection, *id, &saved.grants)?;
    }
    Ok(changed)
}

/// Removes it with all its shares.
pub fn delete(connection: &Connection, id: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM saved_queries WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Gives all saved queries of one person to another. How many there were. Their shares stay whose they were, and so end
/// with them: whoever left knows the links, and they would run with the other's rights.
pub fn hand_over(connection: &Connection, from: &str, to: &str, to_name: &str) -> Result<usize, StoreError> {
    let sql = "UPDATE saved_queries SET who = ?2, owner = ?3 WHERE who = ?1";
    Ok(connection.prepare_cached(sql)?.execute((from, to, to_name))?)
}

fn set_grants(connection: &Connection, id: i64, grants: &[(String, bool)]) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM saved_query_grants WHERE saved = ?1")?.execute([id])?;
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO saved_query_grants VALUES (?1, ?2, ?3)")?;
    for (to, edit) in grants {
        insert.execute((id, to, if *edit { "edit" } else { "view" }))?;
    }
    Ok(())
}

fn with_grants(connection: &Connection, mut saved: Saved) -> Result<Saved, StoreError> {
    let sql = "SELECT to_whom, can = 'edit' FROM saved_query_grants WHERE saved = ?1 ORDER BY to_whom";
    let mut statement = connection.prepare_cached(sql)?;
    saved.grants = statement.query_map([saved.id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(saved)
}

fn row(row: &Row<'_>) -> rusqlite::Result<Saved> {
    Ok(Saved {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        sql: row.get(3)?,
        who: row.get(4)?,
        owner: row.get(5)?,
        revision: row.get(6)?,
        created_us: row.get(7)?,
        updated_us: row.get(8)?,
        grants: Vec::new(),
    })
}
