//! What people ran.
//!
//! Owns: the `query_history` table and how far back it goes. Never holds rows of results.

use rusqlite::{Connection, Row};

use crate::error::StoreError;

/// Runs of one person that are remembered; older ones are forgotten.
const KEPT_MAX: i64 = 5_000;

/// One run. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The job's id.
    pub id: String,
    /// Whose it was.
    pub who: String,
    /// What was sent.
    pub sql: String,
    /// How it ended, in the job's words.
    pub state: String,
    /// The code of what went wrong.
    pub problem: Option<String>,
    /// Rows of the answer.
    pub rows: Option<u64>,
    /// Bytes that were read for it.
    pub bytes_read: u64,
    /// When it was taken.
    pub submitted_us: i64,
    /// When it began.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: i64,
}

/// Remembers a run.
pub fn insert(connection: &Connection, ran: &Ran) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO query_history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let Ran { id, who, sql: text, state, problem, submitted_us, started_us, ended_us, .. } = ran;
    let (rows, bytes) = (ran.rows.map(signed), signed(ran.bytes_read));
    let values = (id, who, text, state, problem, rows, bytes, submitted_us, started_us, ended_us);
    connection.prepare_cached(sql)?.execute(values)?;
    let forget = "DELETE FROM query_history WHERE who = ?1 AND submitted_us <
        (SELECT submitted_us FROM query_history WHERE who = ?1 ORDER BY submitted_us DESC LIMIT 1 OFFSET ?2)";
    connection.prepare_cached(forget)?.execute((who, KEPT_MAX - 1))?;
    Ok(())
}

/// Runs of one person, the latest first: those before `before_us` whose text holds `find` in any case.
pub fn list(
    connection: &Connection,
    who: &str,
    find: &str,
    before_us: i64,
    count: u32,
) -> Result<Vec<Ran>, StoreError> {
    let sql = "SELECT id, who, sql, state, problem, rows, bytes_read, submitted_us, started_us, ended_us
        FROM query_history
        WHERE who = ?1 AND submitted_us < ?2 AND (?3 = '' OR instr(lower(sql), lower(?3)) > 0)
        ORDER BY submitted_us DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_map((who, before_us, find, count), row)?.collect::<Result<_, _>>()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<Ran> {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Ran {
        id: row.get(0)?,
        who: row.get(1)?,
        sql: row.get(2)?,
        state: row.get(3)?,
        problem: row.get(4)?,
        rows: row.get::<_, Option<i64>>(5)?.map(unsigned),
        bytes_read: unsigned(row.get(6)?),
        submitted_us: row.get(7)?,
        started_us: row.get(8)?,
        ended_us: row.get(9)?,
    })
}
