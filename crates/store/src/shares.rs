//! What leaves a saved query for spreadsheets: secret addresses, and blocks in Google Sheets.
//!
//! Owns: the `share_links` and `share_sheets` tables. Never holds a secret, only its hash, and never decides.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::StoreError;

/// A secret address. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Counted from 1.
    pub id: i64,
    /// The saved query.
    pub saved: i64,
    /// With whose rights it runs.
    pub who: String,
    /// Their name, for eyes.
    pub sharer: String,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Rows that it gives at most.
    pub rows_max: u64,
    /// Rows younger than this many seconds are given again.
    pub fresh_s: u64,
    /// Whether a line above the header says how old and how complete the rows are.
    pub note: bool,
    /// When it was made.
    pub created_us: i64,
    /// When it stops.
    pub expires_us: i64,
    /// When somebody took it back.
    pub revoked_us: Option<i64>,
    /// The run whose rows are given, and when it began.
    pub query: Option<(String, i64)>,
    /// Code of the last failure; `None` after a success.
    pub problem: Option<String>,
    /// When it was last used.
    pub used_us: Option<i64>,
    /// How often.
    pub uses: u64,
}

const LINK: &str = "id, saved, who, sharer, name, hash, rows_max, fresh_s, note, created_us, expires_us, revoked_us,
    query, query_us, problem, used_us, uses";

/// Stores a link; its `id` is ignored and the new one returned.
pub fn insert_link(connection: &Connection, link: &Link) -> Result<i64, StoreError> {
    let sql = "INSERT INTO share_links
        (saved, who, sharer, name, hash, rows_max, fresh_s, note, created_us, expires_us)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let Link { saved, who, sharer, name, hash, note, created_us, expires_us, .. } = link;
    let (rows_max, fresh_s) = (signed(link.rows_max), signed(link.fresh_s));
    let values = (saved, who, sharer, name, hash, rows_max, fresh_s, note, created_us, expires_us);
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(connection.last_insert_rowid())
}

/// The links of a saved query, the latest first, revoked ones included.
pub fn links(connection: &Connection, saved: i64) -> Result<Vec<Link>, StoreError> {
    let sql = format!("SELECT {LINK} FROM share_links WHERE saved = ?1 ORDER BY id DESC");
    Ok(connection.prepare_cached(&sql)?.query_map([saved], link)?.collect::<Result<_, _>>()?)
}

/// One link.
pub fn find_link(connection: &Connection, id: i64) -> Result<Option<Link>, StoreError> {
    let sql = format!("SELECT {LINK} FROM share_links WHERE id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], link).optional()?)
}

/// The link whose secret has this hash, if nobody took it back and it has not expired.
pub fn link_of_hash(connection: &Connection, hash: &[u8; 32], now_us: i64) -> Result<Option<Link>, StoreError> {
    let sql = format!("SELECT {LINK} FROM share_links WHERE hash = ?1 AND revoked_us IS NULL AND expires_us > ?2");
    Ok(connection.prepare_cached(&sql)?.query_row((hash, now_us), link).optional()?)
}

/// Takes a link back; one that is back already stays as it is.
pub fn revoke_link(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE share_links SET revoked_us = ?2 WHERE id = ?1 AND revoked_us IS NULL";
    connection.prepare_cached(sql)?.execute((id, at_us))?;
    Ok(())
}

/// Notes the run whose rows a link gives from now on.
pub fn set_link_query(connection: &Connection, id: i64, query: &str, at_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE share_links SET query = ?2, query_us = ?3, problem = NULL WHERE id = ?1";
    connection.prepare_cached(sql)?.execute((id, query, at_us))?;
    Ok(())
}

/// Notes that a link's run failed.
pub fn set_link_problem(connection: &Connection, id: i64, code: &str) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE share_links SET problem = ?2 WHERE id = ?1")?.execute((id, code))?;
    Ok(())
}

/// Notes that a link was used.
pub fn touch_link(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    let sql = "UPDATE share_links SET used_us = ?2, uses = uses + 1 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute((id, at_us))?;
    Ok(())
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    let query: Option<String> = row.get(12)?;
    let query_us: Option<i64> = row.get(13)?;
    Ok(Link {
        id: row.get(0)?,
        saved: row.get(1)?,
        who: row.get(2)?,
        sharer: row.get(3)?,
        name: row.get(4)?,
        hash: row.get(5)?,
        rows_max: unsigned(row.get(6)?),
        fresh_s: unsigned(row.get(7)?),
        note: row.get(8)?,
        created_us: row.get(9)?,
        expires_us: row.get(10)?,
        revoked_us: row.get(11)?,
        query: query.zip(query_us),
        problem: row.get(14)?,
        used_us: row.get(15)?,
        uses: unsigned(row.get(16)?),
    })
}

/// A block in Google Sheets. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Counted from 1.
    pub id: i64,
    /// The saved query.
    pub saved: i64,
    /// With whose rights it runs.
    pub who: String,
    /// Their name, for eyes.
    pub sharer: String,
    /// The spreadsheet's id at Google.
    pub spreadsheet: String,
    /// The title of its tab.
    pub sheet: String,
    /// Where the block begins: row and column from 0.
    pub at: (u64, u64),
    /// Rows that it holds at most.
    pub rows_max: u64,
    /// Cron in the project's zone; empty: only when asked.
    pub schedule: String,
    /// Rows and columns that may hold cells of ours.
    pub block: (u64, u64),
    /// When it was made.
    pub created_us: i64,
    /// The last time of its schedule that was acted on.
    pub fired_us: i64,
    /// When it was last written.
    pub refreshed_us: Option<i64>,
    /// Rows that it holds.
    pub rows: Option<u64>,
    /// Rows that the answer had.
    pub rows_total: Option<u64>,
    /// The last failure as JSON; `None` after a success.
    pub problem: Option<String>,
}

const SHEET: &str = "id, saved, who, sharer, spreadsheet, sheet, row, col, rows_max, schedule, block_rows, block_cols,
    created_us, fired_us, refreshed_us, rows, rows_total, problem";

/// Stores a block; its `id` is ignored and the new one returned.
pub fn insert_sheet(connection: &Connection, sheet: &Sheet) -> Result<i64, StoreError> {
    let sql = "INSERT INTO share_sheets
        (saved, who, sharer, spreadsheet, sheet, row, col, rows_max, schedule, created_us, fired_us)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)";
    let Sheet { saved, who, sharer, spreadsheet, sheet: title, at, schedule, created_us, .. } = sheet;
    let (row, col, rows_max) = (signed(at.0), signed(at.1), signed(sheet.rows_max));
    let values = (saved, who, sharer, spreadsheet, title, row, col, rows_max, schedule, created_us);
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(connection.last_insert_rowid())
}

/// The blocks of a saved query; of all when `None`.
pub fn sheets(connection: &Connection, saved: Option<i64>) -> Result<Vec<Sheet>, StoreError> {
    let sql = format!("SELECT {SHEET} FROM share_sheets WHERE ?1 IS NULL OR saved = ?1 ORDER BY id");
    Ok(connection.prepare_cached(&sql)?.query_map([saved], sheet)?.collect::<Result<_, _>>()?)
}

/// One block.
pub fn find_sheet(connection: &Connection, id: i64) -> Result<Option<Sheet>, StoreError> {
    let sql = format!("SELECT {SHEET} FROM share_sheets WHERE id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], sheet).optional()?)
}

/// Forgets a block; its cells stay as they are.
pub fn delete_sheet(connection: &Connection, id: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM share_sheets WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Notes which cells may hold ours, before they are written.
pub fn set_block(connection: &Connection, id: i64, rows: u64, columns: u64) -> Result<(), StoreError> {
    let sql = "UPDATE share_sheets SET block_rows = ?2, block_cols = ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute((id, signed(rows), signed(columns)))?;
    Ok(())
}

/// Notes that a block was written.
pub fn set_refreshed(connection: &Connection, id: i64, at_us: i64, rows: u64, total: u64) -> Result<(), StoreError> {
    let sql = "UPDATE share_sheets SET refreshed_us = ?2, rows = ?3, rows_total = ?4, problem = NULL WHERE id = ?1";
    connection.prepare_cached(sql)?.execute((id, at_us, signed(rows), signed(total)))?;
    Ok(())
}

/// Notes why a block could not be written.
pub fn set_sheet_problem(connection: &Connection, id: i64, problem: &str) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE share_sheets SET problem = ?2 WHERE id = ?1")?.execute((id, problem))?;
    Ok(())
}

/// Notes that a time of a block's schedule is acted on.
pub fn set_fired(connection: &Connection, id: i64, at_us: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE share_sheets SET fired_us = ?2 WHERE id = ?1")?.execute((id, at_us))?;
    Ok(())
}

fn sheet(row: &Row<'_>) -> rusqlite::Result<Sheet> {
    Ok(Sheet {
        id: row.get(0)?,
        saved: row.get(1)?,
        who: row.get(2)?,
        sharer: row.get(3)?,
        spreadsheet: row.get(4)?,
        sheet: row.get(5)?,
        at: (unsigned(row.get(6)?), unsigned(row.get(7)?)),
        rows_max: unsigned(row.get(8)?),
        schedule: row.get(9)?,
        block: (unsigned(row.get(10)?), unsigned(row.get(11)?)),
        created_us: row.get(12)?,
        fired_us: row.get(13)?,
        refreshed_us: row.get(14)?,
        rows: row.get::<_, Option<i64>>(15)?.map(unsigned),
        rows_total: row.get::<_, Option<i64>>(16)?.map(unsigned),
        problem: row.get(17)?,
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
