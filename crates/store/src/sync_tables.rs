//! The durable state of every mirrored table.
//!
//! Owns: the `sync_tables` table and the names of states. Never decides a transition; that is `sync`.

use std::{fmt, str::FromStr};

use naru_base::{TableId, number};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::Value;

use crate::error::StoreError;

/// Where a table stands. `sync` sets every one of them; how they follow each other stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// The catalog scan found it. A restart scans again.
    Discovered,
    /// Its shape is being judged and its publication membership set. A restart judges again.
    Preflight,
    /// The copy task reads it under a snapshot; its changes go to the spool. A restart copies it from the beginning.
    Copying,
    /// The copy is committed; the spool is being applied. A restart goes on from the table's own position.
    CatchingUp,
    /// Changes are applied as they arrive. A restart goes on from the table's own position.
    Live,
    /// Being copied again while the old rows stay readable. A restart copies it from the beginning.
    Rebuilding,
    /// Stopped alone, with reason and fix. A restart judges it again.
    Quarantined,
    /// The source no longer has it, or excludes it; the rows stay.
    Dropped,
    /// A person stopped it; its changes go to the spool. A restart leaves it paused.
    Paused,
    /// Listed, never synced (a view, unlogged, foreign), with the reason. A restart judges it again.
    NotSynced,
}

impl TableState {
    /// Every state, in the order of a table's life.
    pub const ALL: [Self; 10] = [
        Self::Discovered,
        Self::Preflight,
        Self::Copying,
        Self::CatchingUp,
        Self::Live,
        Self::Rebuilding,
        Self::Quarantined,
        Self::Dropped,
        Self::Paused,
        Self::NotSynced,
    ];

    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Preflight => "preflight",
            Self::Copying => "copying",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Rebuilding => "rebuilding",
            Self::Quarantined => "quarantined",
            Self::Dropped => "dropped",
            Self::Paused => "paused",
            Self::NotSynced => "not_synced",
        }
    }
}

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TableState {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or(StoreError::Unreadable { what: "sync_tables.state" })
    }
}

/// One table of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncTable {
    /// The source's name in the project.
    pub source: String,
    /// Schema in the source.
    pub schema: String,
    /// Table in the source.
    pub table: String,
    /// Its object id in the source; a table made anew under the same name has another.
    pub oid: u32,
    /// Its name in SQL and in the lake.
    pub lake: TableId,
    /// Where it stands.
    pub state: TableState,
    /// What `sync` needs to go on, in a shape of its own.
    pub detail: Value,
    /// Why it stands there, when that needs a reason.
    pub reason: Option<String>,
    /// What a person can do.
    pub fix: Option<String>,
    /// Rows of the current or last copy.
    pub rows_copied: u64,
    /// When this row last changed, in microseconds since 1970 UTC.
    pub updated_us: i64,
}

const COLUMNS: &str = "source, schema_name, table_name, oid, dataset, lake_table, state, detail, reason, fix, \
                       rows_copied, updated_us";

/// Writes a table over what was known of it.
pub fn upsert(connection: &Connection, row: &SyncTable) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT OR REPLACE INTO sync_tables ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    );
    connection.prepare_cached(&sql)?.execute((
        &row.source,
        &row.schema,
        &row.table,
        row.oid,
        &row.lake.dataset,
        &row.lake.table,
        row.state.as_str(),
        row.detail.to_string(),
        &row.reason,
        &row.fix,
        number::i64_from(row.rows_copied),
        row.updated_us,
    ))?;
    Ok(())
}

/// Takes a table's name in the lake for it, for good: `None` when it has it now, else the table that holds it.
///
/// A table whose `detail` says `"holds_name": false` holds none, and a dropped one gives its name up. A row that is
/// there already stays as it is, unless it held nothing.
pub fn claim(connection: &Connection, row: &SyncTable) -> Result<Option<SyncTable>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sync_tables WHERE dataset = ?1 AND lake_table = ?2 \
         AND NOT (source = ?3 AND schema_name = ?4 AND table_name = ?5) \
         AND state NOT IN ('dropped', 'discovered', 'not_synced') \
         AND coalesce(json_extract(detail, '$.holds_name'), 1) LIMIT 1"
    );
    let own = (&row.lake.dataset, &row.lake.table, &row.source, &row.schema, &row.table);
    let holder = connection.prepare_cached(&sql)?.query_row(own, self::row).optional()?.transpose()?;
    if holder.is_some() {
        return Ok(holder);
    }
    let before = get(connection, &row.source, &row.schema, &row.table)?;
    let holds = before.is_some_and(|before| {
        !matches!(before.state, TableState::Dropped | TableState::Discovered | TableState::NotSynced)
            && before.detail["holds_name"] != false
    });
    if !holds {
        upsert(connection, row)?;
    }
    Ok(None)
}

/// One table; `None` when it was never seen.
pub fn get(connection: &Connection, source: &str, schema: &str, table: &str) -> Result<Option<SyncTable>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sync_tables WHERE source = ?1 AND schema_name = ?2 AND table_name = ?3");
    connection.prepare_cached(&sql)?.query_row([source, schema, table], row).optional()?.transpose()
}

/// The table that goes to a name in the lake.
pub fn of_lake(connection: &Connection, lake: &TableId) -> Result<Option<SyncTable>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM sync_tables WHERE dataset = ?1 AND lake_table = ?2 LIMIT 1");
    connection.prepare_cached(&sql)?.query_row([&lake.dataset, &lake.table], row).optional()?.transpose()
}

/// The tables of a source, or of all, by source, schema and table.
pub fn list(connection: &Connection, source: Option<&str>) -> Result<Vec<SyncTable>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sync_tables WHERE ?1 IS NULL OR source = ?1 ORDER BY source, schema_name, table_name"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([source], row)?.map(|row| row?).collect()
}

/// Moves a table to a state with its reason and fix; `false` when it was never seen.
pub fn set_state(
    connection: &Connection,
    (source, schema, table): (&str, &str, &str),
    state: TableState,
    reason: Option<&str>,
    fix: Option<&str>,
    at_us: i64,
) -> Result<bool, StoreError> {
    let sql = "UPDATE sync_tables SET state = ?4, reason = ?5, fix = ?6, updated_us = ?7
        WHERE source = ?1 AND schema_name = ?2 AND table_name = ?3";
    let changed =
        connection.prepare_cached(sql)?.execute((source, schema, table, state.as_str(), reason, fix, at_us))?;
    Ok(changed > 0)
}

/// Forgets a table.
pub fn remove(connection: &Connection, source: &str, schema: &str, table: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM sync_tables WHERE source = ?1 AND schema_name = ?2 AND table_name = ?3";
    connection.prepare_cached(sql)?.execute([source, schema, table])?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Result<SyncTable, StoreError>> {
    let state: String = row.get(6)?;
    let detail: String = row.get(7)?;
    let state = match state.parse() {
        Ok(state) => state,
        Err(error) => return Ok(Err(error)),
    };
    let Ok(detail) = serde_json::from_str(&detail) else {
        return Ok(Err(StoreError::Unreadable { what: "sync_tables.detail" }));
    };
    Ok(Ok(SyncTable {
        source: row.get(0)?,
        schema: row.get(1)?,
        table: row.get(2)?,
        oid: row.get(3)?,
        lake: TableId::new(row.get::<_, String>(4)?, row.get::<_, String>(5)?),
        state,
        detail,
        reason: row.get(8)?,
        fix: row.get(9)?,
        rows_copied: number::u64_from_signed(row.get(10)?),
        updated_us: row.get(11)?,
    }))
}
