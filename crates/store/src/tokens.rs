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
    /// What it stands for.
    pub holder: Holder,
}

/// Whom a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody with an account: a token of the project.
    Project,
    /// A person, by number.
    Person(i64),
    /// A service account, by number.
    Service(i64),
}

impl Holder {
    fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Project => (None, None),
            Self::Person(id) => (Some(id), None),
            Self::Service(id) => (None, Some(id)),
        }
    }
}

const COLUMNS: &str =
    "id, name, hash, scram, owner, scopes, created_us, expires_us, last_used_us, revoked_us, person, service";

/// Stores a token; its `id` is ignored and the new one returned. `None` when a live token of the holder has the name.
pub fn insert(connection: &Connection, token: &Token) -> Result<Option<i64>, StoreError> {
    if live(connection, token.holder, &token.name)?.is_some() {
        return Ok(None);
    }
    let (person, service) = token.holder.columns();
    let sql = "INSERT INTO tokens (name, hash, scram, owner, scopes, created_us, expires_us, last_used_us, revoked_us,
            person, service)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
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
        person,
        service,
    ))?;
    Ok(Some(connection.last_insert_rowid()))
}

/// A holder's token of a name that is not revoked; it may have expired.
pub fn live(connection: &Connection, holder: Holder, name: &str) -> Result<Option<Token>, StoreError> {
    let (person, service) = holder.columns();
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens WHERE person IS ?1 AND service IS ?2 AND name = ?3 AND revoked_us IS NULL"
    );
    Ok(connection.prepare_cached(&sql)?.query_row((person, service, name), row).optional()?)
}

/// A token by number that is not revoked; it may have expired.
pub fn get(connection: &Connection, id: i64) -> Result<Option<Token>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE id = ?1 AND revoked_us IS NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([id], row).optional()?)
}

/// The token with a hash that is not revoked; it may have expired.
pub fn of_hash(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE hash = ?1 AND revoked_us IS NULL");
    Ok(connection.prepare_cached(&sql)?.query_row([hash], row).optional()?)
}

/// Every token of a holder, by name and then by age, revoked ones included.
pub fn list(connection: &Connection, holder: Holder) -> Result<Vec<Token>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE person IS ?1 AND service IS ?2 ORDER BY name, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(holder.columns(), row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Takes a token back; `false` when there is none of that number, or it was taken back before.
pub fn revoke(connection: &Connection, id: i64, at_us: i64) -> Result<bool, StoreError> {
    let sql = "UPDATE tokens SET revoked_us = ?2 WHERE id = ?1 AND revoked_us IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((id, at_us))? > 0)
}

/// Takes back every token of a holder; gives how many.
pub fn revoke_all(connection: &Connection, holder: Holder, at_us: i64) -> Result<usize, StoreError> {
    let (person, service) = holder.columns();
    let sql = "UPDATE tokens SET revoked_us = ?3 WHERE person IS ?1 AND service IS ?2 AND revoked_us IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((person, service, at_us))?)
}

/// Notes that a token was used.
pub fn touch(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE tokens SET last_used_us = ?2 WHERE id = ?1")?.execute((id, at_us))?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(5)?;
    let holder = match (row.get(10)?, row.get(11)?) {
        (Some(person), _) => Holder::Person(person),
        (None, Some(service)) => Holder::Service(service),
        (None, None) => Holder::Project,
    };
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
        holder,
    })
}
