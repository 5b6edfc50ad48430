//! What sync knows of each source between starts.
//!
//! Owns: the `sync_sources` table. Positions here are for people and preflight, and to notice a slot that somebody
//! else moved: what decides where to go on from is in the lake's own commits.

use naru_base::Lsn;
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::Value;

use crate::{error::StoreError, kv};

/// One source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncSource {
    /// Its name in the project.
    pub source: String,
    /// PostgreSQL's system identifier when the slot was made.
    pub system_identifier: Option<String>,
    /// Timeline when the slot was made.
    pub timeline: Option<u32>,
    /// Name of the replication slot.
    pub slot: Option<String>,
    /// System identifier, timeline and slot creation; positions of another generation are never used.
    pub generation: Option<String>,
    /// Position up to which the source was told that all is durable; stored before it is told.
    pub acknowledged: Option<Lsn>,
    /// The last problem as JSON; `None` once it passed.
    pub last_error: Option<Value>,
    /// When this row last changed, in microseconds since 1970 UTC.
    pub updated_us: i64,
    /// The connection URL as the source's file writes it: names of variables and secret files, never their values.
    pub url_reference: Option<String>,
}

const COLUMNS: &str = "source, system_identifier, timeline, slot, generation, acknowledged, last_error, updated_us, \
                       url_reference";

/// Writes a source over what was known of it.
pub fn upsert(connection: &Connection, row: &SyncSource) -> Result<(), StoreError> {
    let sql = format!("INSERT OR REPLACE INTO sync_sources ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    connection.prepare_cached(&sql)?.execute((
        &row.source,
        &row.system_identifier,
        row.timeline,
        &row.slot,
        &row.generation,
        row.acknowledged.map(|lsn| lsn.to_string()),
        row.last_error.as_ref().map(Value::to_string),
        row.updated_us,
        &row.url_reference,
    ))?;
    Ok(())
}

/// Remembers a position before the source is told it. A source that is not known stays unknown.
pub fn acknowledge(connection: &Connection, source: &str, position: Lsn, now_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE sync_sources SET acknowledged = ?2, updated_us = ?3 WHERE source = ?1";
    connection.prepare_cached(sql)?.execute((source, position.to_string(), now_us))?;
    Ok(())
}

/// One source; `None` when sync has never met it.
pub fn get(connection: &Connection, source: &str) -> Result<Option<SyncSource>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sync_sources WHERE source = ?1");
    connection.prepare_cached(&sql)?.query_row([source], row).optional()?.transpose()
}

/// Every source, by name, also those whose file has vanished.
pub fn list(connection: &Connection) -> Result<Vec<SyncSource>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sync_sources ORDER BY source");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([], row)?.map(|row| row?).collect()
}

/// Forgets a source and its tables, after `naru sync drop`.
pub fn remove(connection: &Connection, source: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sync_tables WHERE source = ?1")?.execute([source])?;
    connection.prepare_cached("DELETE FROM sync_sources WHERE source = ?1")?.execute([source])?;
    kv::remove(connection, &format!("sync.last_commit.{source}"))?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Result<SyncSource, StoreError>> {
    let acknowledged: Option<String> = row.get(5)?;
    let last_error: Option<String> = row.get(6)?;
    let Ok(acknowledged) = acknowledged.map(|text| text.parse()).transpose() else {
        return Ok(Err(StoreError::Unreadable { what: "sync_sources.acknowledged" }));
    };
    let Ok(last_error) = last_error.map(|text| serde_json::from_str(&text)).transpose() else {
        return Ok(Err(StoreError::Unreadable { what: "sync_sources.last_error" }));
    };
    Ok(Ok(SyncSource {
        source: row.get(0)?,
        system_identifier: row.get(1)?,
        timeline: row.get(2)?,
        slot: row.get(3)?,
        generation: row.get(4)?,
        acknowledged,
        last_error,
        updated_us: row.get(7)?,
        url_reference: row.get(8)?,
    }))
}
