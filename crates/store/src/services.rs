//! Service accounts as stored.
//!
//! Owns: the `services` table. Their tokens are in [`crate::tokens`]; whether they stand is decided by `access`.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// A stored service account. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Counted from 1.
    pub id: i64,
    /// Its name; unique among those that were not ended.
    pub name: String,
    /// What it is for, in its owner's words.
    pub purpose: String,
    /// The person who answers for it.
    pub owner: i64,
    /// Addresses and networks it may come from; empty means anywhere.
    pub networks: Vec<String>,
    /// When it was made.
    pub created_us: i64,
    /// When it stops working.
    pub expires_us: i64,
    /// When somebody ended it.
    pub ended_us: Option<i64>,
}

const COLUMNS: &str = "id, name, purpose, owner, networks, created_us, expires_us, ended_us";

/// Stores a service account; its `id` is ignored and the new one returned. `None` when one of the name is there.
pub fn insert(connection: &Connection, service: &Service) -> Result<Option<i64>, StoreError> {
    if of_name(connection, &service.name)?.is_some() {
        return Ok(None);
    }
    let sql = "INSERT INTO services (name, purpose, owner, networks, created_us, expires_us)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute((
        &service.name,
        &service.purpose,
        service.owner,
        service.networks.join(" "),
        service.created_us,
        service.expires_us,
    ))?;
    Ok(Some(connection.last_insert_rowid()))
}

/// A service account by number, ended ones included.
pub fn get(connection: &Connection, id: i64) -> Result<Option<Service>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM services WHERE id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], row).optional()?)
}

/// The service account of a name that was not ended; its time may be over.
pub fn of_name(connection: &Connection, name: &str) -> Result<Option<Service>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM services WHERE name = ?1 AND ended_us IS NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([name], row).optional()?)
}

/// Service accounts that were not ended, by name.
pub fn list(connection: &Connection) -> Result<Vec<Service>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM services WHERE ended_us IS NULL ORDER BY name");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Gives every service account of a person to another; gives how many.
pub fn hand_over(connection: &Connection, from: i64, to: i64) -> Result<usize, StoreError> {
    let sql = "UPDATE services SET owner = ?2 WHERE owner = ?1 AND ended_us IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((from, to))?)
}

/// Ends a service account and takes back its tokens.
pub fn end(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE services SET ended_us = ?2 WHERE id = ?1 AND ended_us IS NULL";
    connection.prepare_cached(sql)?.execute((id, at_us))?;
    let tokens = "UPDATE tokens SET revoked_us = ?2 WHERE service = ?1 AND revoked_us IS NULL";
    connection.prepare_cached(tokens)?.execute((id, at_us))?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Service> {
    let networks: String = row.get(4)?;
    Ok(Service {
        id: row.get(0)?,
        name: row.get(1)?,
        purpose: row.get(2)?,
        owner: row.get(3)?,
        networks: networks.split_whitespace().map(str::to_owned).collect(),
        created_us: row.get(5)?,
        expires_us: row.get(6)?,
        ended_us: row.get(7)?,
    })
}
