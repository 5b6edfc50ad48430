//! Small settings of a project that nobody writes by hand.
//!
//! Owns: the `kv` table and the project's random id.

use rand::Rng as _;
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::StoreError;

const PROJECT_ID: &str = "project_id";

/// Letters of a project id: what a replication slot's name may hold.
const ID_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// About 41 bits: enough to tell the projects of one source apart, short enough for a slot's 63 bytes.
const ID_LENGTH: usize = 8;

/// Reads a value.
pub fn get(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM kv WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Writes a value over any earlier one.
pub fn set(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO kv (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([key, value])?;
    Ok(())
}

/// Forgets a value; one that is not there is fine.
pub fn remove(connection: &Connection, key: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM kv WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// The project's random id (8 letters `a-z0-9`), made on the first call. Slots carry it in their name, so that a
/// copied project folder (whose `.naru/` is not copied) never takes another project's slot.
pub fn project_id(connection: &Connection) -> Result<String, StoreError> {
    if let Some(id) = get(connection, PROJECT_ID)? {
        return Ok(id);
    }
    let mut random = rand::rng();
    let id: String = (0..ID_LENGTH)
        .filter_map(|_| ID_LETTERS.get(random.random_range(0..ID_LETTERS.len())).copied().map(char::from))
        .collect();
    set(connection, PROJECT_ID, &id)?;
    Ok(id)
}
