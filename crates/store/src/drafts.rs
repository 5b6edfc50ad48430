//! The texts in people's SQL tabs.
//!
//! Owns: the `drafts` table. Knows nothing of SQL.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// One tab. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Counted from 1.
    pub id: i64,
    /// Whose it is.
    pub who: String,
    /// What stands on the tab.
    pub title: String,
    /// Its text.
    pub sql: String,
    /// Its place among the tabs.
    pub position: i64,
    /// Counts changes from 1.
    pub revision: i64,
    /// Its last run.
    pub query: Option<String>,
    /// The saved query it was opened from.
    pub saved: Option<i64>,
    /// When it was last changed.
    pub updated_us: i64,
}

const COLUMNS: &str = "id, who, title, sql, position, revision, query, saved, updated_us";

/// Stores a new one; `id` and `revision` are ignored. Gives it as it is stored.
pub fn insert(connection: &Connection, draft: &Draft) -> Result<Draft, StoreError> {
    let sql = format!(
        "INSERT INTO drafts (who, title, sql, position, revision, query, saved, updated_us)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7) RETURNING {COLUMNS}"
    );
    let Draft { who, title, sql: text, position, query, saved, updated_us, .. } = draft;
    let values = (who, title, text, position, query, saved, updated_us);
    Ok(connection.prepare_cached(&sql)?.query_row(values, row)?)
}

/// All tabs of one person, in order.
pub fn list(connection: &Connection, who: &str) -> Result<Vec<Draft>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM drafts WHERE who = ?1 ORDER BY position, id");
    Ok(connection.prepare_cached(&sql)?.query_map([who], row)?.collect::<Result<_, _>>()?)
}

/// One tab of one person.
pub fn find(connection: &Connection, who: &str, id: i64) -> Result<Option<Draft>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM drafts WHERE who = ?1 AND id = ?2");
    Ok(connection.prepare_cached(&sql)?.query_row((who, id), row).optional()?)
}

/// Changes what a person wrote, if nobody has changed it since `draft.revision`; the stored one, or `None`.
pub fn update(connection: &Connection, draft: &Draft) -> Result<Option<Draft>, StoreError> {
    let sql = format!(
        "UPDATE drafts SET title = ?3, sql = ?4, position = ?5, saved = ?6, updated_us = ?7, revision = revision + 1
         WHERE who = ?1 AND id = ?2 AND revision = ?8 RETURNING {COLUMNS}"
    );
    let Draft { id, who, title, sql: text, position, revision, saved, updated_us, .. } = draft;
    let values = (who, id, title, text, position, saved, updated_us, revision);
    Ok(connection.prepare_cached(&sql)?.query_row(values, row).optional()?)
}

/// Notes the last run of a tab; that is no change of its text.
pub fn set_query(connection: &Connection, who: &str, id: i64, query: &str) -> Result<(), StoreError> {
    let sql = "UPDATE drafts SET query = ?3 WHERE who = ?1 AND id = ?2";
    connection.prepare_cached(sql)?.execute((who, id, query))?;
    Ok(())
}

/// Removes a tab; `false` when there is none.
pub fn delete(connection: &Connection, who: &str, id: i64) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("DELETE FROM drafts WHERE who = ?1 AND id = ?2")?.execute((who, id))? > 0)
}

fn row(row: &Row<'_>) -> rusqlite::Result<Draft> {
    Ok(Draft {
        id: row.get(0)?,
        who: row.get(1)?,
        title: row.get(2)?,
        sql: row.get(3)?,
        position: row.get(4)?,
        revision: row.get(5)?,
        query: row.get(6)?,
        saved: row.get(7)?,
        updated_us: row.get(8)?,
    })
}
