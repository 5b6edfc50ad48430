//! Tokens as stored: never the token itself.
//!
//! Owns: the `tokens` table. Never hashes or compares; that is `access`.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// A stored token. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Counted from 1.
    pub id: i64,
    /// What a person signs in with; unique among tokens that are not revoked.
    pub name: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// SCRAM-SHA-256 verifier in PostgreSQL's text form.
    pub scram: String,
    /// Whose it is.
    pub owner: String,
    /// What it may do; the words are `access`'s.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_us: i64,
    /// When it stops working; `None` never.
    pub expires_us: Option<i64>,
    /// When it last opened a door; kept roughly.
    pub last_used_us: Option<i64>,
    /// When someone took it back.
    pub revoked_us: Option<i64>,
}

const COLUMNS: &str = "id, name, hash, scram, owner, scopes, created_us, expires_us, last_used_us, revoked_us";

/// Stores a token; its `id` is ignored and the new one returned. `None` when a live token has the name.
pub fn insert(connection: &Connection, token: &Token) -> Result<Option<i64>, StoreError> {
    if live(connection, &token.name)?.is_some() {
        return Ok(None);
    }
    let sql = "INSERT INTO tokens (name, hash, scram, owner, scopes, created_us, expires_us, last_used_us, revoked_us)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute((
        &token.name,
        token.hash,
        &token.scram,
        &token.owner,
        token.scopes.join(" "),
        token.created_us,
        token.expires_us,
        token.last_used_us,
        token.revoked_us,
    ))?;
    Ok(Some(connection.last_insert_rowid()))
}

/// The token of a name that is not revoked; it may have expired.
pub fn live(connection: &Connection, name: &str) -> Result<Option<Token>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE name = ?1 AND revoked_us IS NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([name], row).optional()?)
}

/// The token with a hash that is not revoked; it may have expired.
pub fn of_hash(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE hash = ?1 AND revoked_us IS NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([hash], row).optional()?)
}

/// Every token, by name and then by age, revoked ones included.
pub fn list(connection: &Connection) -> Result<Vec<Token>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens ORDER BY name, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Takes a token back; `false` when no live token has the name.
pub fn revoke(connection: &Connection, name: &str, at_us: i64) -> Result<bool, StoreError> {
    let sql = "UPDATE tokens SET revoked_us = ?2 WHERE name = ?1 AND revoked_us IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((name, at_us))? > 0)
}

/// Notes that a token was used.
pub fn touch(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE tokens SET last_used_us = ?2 WHERE id = ?1")?.execute((id, at_us))?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(5)?;
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        hash: row.get(2)?,
        scram: row.get(3)?,
        owner: row.get(4)?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created_us: row.get(6)?,
        expires_us: row.get(7)?,
        last_used_us: row.get(8)?,
        revoked_us: row.get(9)?,
    })
}
