//! Tables and columns of each source as last seen, for `naru check` without a connection.
//!
//! Owns: the `schema_cache` table. The JSON's shape belongs to whoever writes it (`sync`).

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::Value;

use crate::error::StoreError;

/// What was last seen of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedSchema {
    /// The source's name.
    pub source: String,
    /// Its tables and columns.
    pub tables: Value,
    /// When, in microseconds since 1970 UTC.
    pub seen_us: i64,
}

/// Replaces what is known of a source.
pub fn put(connection: &Connection, cached: &CachedSchema) -> Result<(), StoreError> {
    let sql = "INSERT INTO schema_cache (source, tables, seen_us) VALUES (?1, ?2, ?3)
        ON CONFLICT (source) DO UPDATE SET tables = excluded.tables, seen_us = excluded.seen_us";
    connection.prepare_cached(sql)?.execute((&cached.source, cached.tables.to_string(), cached.seen_us))?;
    Ok(())
}

/// What is known of a source; `None` when it was never seen.
pub fn get(connection: &Connection, source: &str) -> Result<Option<CachedSchema>, StoreError> {
    let sql = "SELECT source, tables, seen_us FROM schema_cache WHERE source = ?1";
    let row = connection.prepare_cached(sql)?.query_row([source], row).optional()?;
    row.transpose()
}

/// What is known of every source, by name.
pub fn list(connection: &Connection) -> Result<Vec<CachedSchema>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT source, tables, seen_us FROM schema_cache ORDER BY source")?;
    statement.query_map([], row)?.map(|row| row?).collect()
}

/// Forgets a source.
pub fn remove(connection: &Connection, source: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM schema_cache WHERE source = ?1")?.execute([source])?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Result<CachedSchema, StoreError>> {
    let tables: String = row.get(1)?;
    let (source, seen_us) = (row.get(0)?, row.get(2)?);
    let tables = serde_json::from_str(&tables).map_err(|_| StoreError::Unreadable { what: "schema_cache.tables" });
    Ok(tables.map(|tables| CachedSchema { source, tables, seen_us }))
}
