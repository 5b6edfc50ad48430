//! Sessions of browsers as stored: never the cookie itself.
//!
//! Owns: the `sessions` table. Never hashes, and never decides how long one lasts; that is `access`.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// A stored session. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Counted from 1.
    pub id: i64,
    /// Whose it is; `None` for the folder's owner.
    pub person: Option<i64>,
    /// When it was opened, which is when the issuer vouched for the person.
    pub created_us: i64,
    /// When it was last used, to the minute.
    pub used_us: i64,
    /// Where it was opened from.
    pub address: String,
    /// The browser, shortened.
    pub client: String,
}

const COLUMNS: &str = "id, person, created_us, used_us, address, client";

/// Stores a session under the hash of its cookie; its `id` is ignored and the new one returned.
pub fn insert(connection: &Connection, hash: &[u8; 32], session: &Session) -> Result<i64, StoreError> {
    let sql = "INSERT INTO sessions (hash, person, created_us, used_us, address, client)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute((
        hash,
        session.person,
        session.created_us,
        session.used_us,
        &session.address,
        &session.client,
    ))?;
    Ok(connection.last_insert_rowid())
}

/// The session with a hash that was not ended; its time may be over.
pub fn of_hash(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Session>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE hash = ?1 AND ended_us IS NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([hash], row).optional()?)
}

/// Sessions of a person (or of the owner) that were not ended, newest first.
pub fn list(connection: &Connection, person: Option<i64>) -> Result<Vec<Session>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sessions WHERE person IS ?1 AND ended_us IS NULL ORDER BY id DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([person], row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Notes that a session was used.
pub fn touch(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE sessions SET used_us = ?2 WHERE id = ?1")?.execute((id, at_us))?;
    Ok(())
}

/// Ends a session of a person (or of the owner); `false` when they have none of that number.
pub fn end(connection: &Connection, person: Option<i64>, id: i64, at_us: i64) -> Result<bool, StoreError> {
    let sql = "UPDATE sessions SET ended_us = ?3 WHERE id = ?2 AND person IS ?1 AND ended_us IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((person, id, at_us))? > 0)
}

/// Ends every session of a person (or of the owner); gives how many.
pub fn end_all(connection: &Connection, person: Option<i64>, at_us: i64) -> Result<usize, StoreError> {
    let sql = "UPDATE sessions SET ended_us = ?2 WHERE person IS ?1 AND ended_us IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((person, at_us))?)
}

/// Forgets sessions that were opened before a time.
pub fn forget(connection: &Connection, before_us: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE created_us < ?1")?.execute([before_us])?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        person: row.get(1)?,
        created_us: row.get(2)?,
        used_us: row.get(3)?,
        address: row.get(4)?,
        client: row.get(5)?,
    })
}
