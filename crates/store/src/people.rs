//! People as stored: what an issuer calls them, and the e-mail they had last.
//!
//! Owns: the `people` table. Never decides who may come in; that is `access`.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// A stored person. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Counted from 1.
    pub id: i64,
    /// Who vouches for them.
    pub issuer: String,
    /// What that issuer calls them; never changes.
    pub subject: String,
    /// The e-mail they had at their last sign-in, in lower case.
    pub email: String,
    /// How they are shown.
    pub shown: String,
    /// The domain that the issuer vouched for.
    pub domain: Option<String>,
    /// When they first signed in.
    pub created_us: i64,
    /// When the issuer last vouched for them.
    pub vouched_us: i64,
    /// When another person signed in with their e-mail; `None` after they signed in again.
    pub displaced_us: Option<i64>,
    /// When somebody said that they left.
    pub left_us: Option<i64>,
}

const COLUMNS: &str = "id, issuer, subject, email, shown, domain, created_us, vouched_us, displaced_us, left_us";

/// Stores what an issuer vouched for at `person.vouched_us`, over what it said before, and displaces others with the
/// same e-mail. `id`, `created_us`, `displaced_us` and `left_us` are ignored. Gives the person as stored now.
pub fn vouch(connection: &Connection, person: &Person) -> Result<Person, StoreError> {
    let sql = "INSERT INTO people (issuer, subject, email, shown, domain, created_us, vouched_us)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ON CONFLICT (issuer, subject) DO UPDATE SET email = excluded.email, shown = excluded.shown,
            domain = excluded.domain, vouched_us = excluded.vouched_us, displaced_us = NULL";
    connection.prepare_cached(sql)?.execute((
        &person.issuer,
        &person.subject,
        &person.email,
        &person.shown,
        &person.domain,
        person.vouched_us,
    ))?;
    let displaced = "UPDATE people SET displaced_us = ?4
        WHERE email = ?3 AND NOT (issuer = ?1 AND subject = ?2) AND displaced_us IS NULL";
    connection.prepare_cached(displaced)?.execute((
        &person.issuer,
        &person.subject,
        &person.email,
        person.vouched_us,
    ))?;
    let sql = format!("SELECT {COLUMNS} FROM people WHERE issuer = ?1 AND subject = ?2");
    Ok(connection.prepare_cached(&sql)?.query_row((&person.issuer, &person.subject), row)?)
}

/// A person by number.
pub fn get(connection: &Connection, id: i64) -> Result<Option<Person>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM people WHERE id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], row).optional()?)
}

/// A person by what their issuer calls them.
pub fn of_subject(connection: &Connection, issuer: &str, subject: &str) -> Result<Option<Person>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM people WHERE issuer = ?1 AND subject = ?2");
    Ok(connection.prepare_cached(&sql)?.query_row((issuer, subject), row).optional()?)
}

/// Everybody who ever signed in, by e-mail and then by number.
pub fn list(connection: &Connection) -> Result<Vec<Person>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM people ORDER BY email, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Notes that a person left; an earlier note stays.
pub fn leave(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE people SET left_us = ?2 WHERE id = ?1 AND left_us IS NULL";
    connection.prepare_cached(sql)?.execute((id, at_us))?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        id: row.get(0)?,
        issuer: row.get(1)?,
        subject: row.get(2)?,
        email: row.get(3)?,
        shown: row.get(4)?,
        domain: row.get(5)?,
        created_us: row.get(6)?,
        vouched_us: row.get(7)?,
        displaced_us: row.get(8)?,
        left_us: row.get(9)?,
    })
}
