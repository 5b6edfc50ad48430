//! Rows of the audit as stored.
//!
//! Owns: the `audit` table. Never makes or checks a hash; that is `access`.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};

use crate::error::StoreError;

/// A row of the audit. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Counted from 1 without gaps.
    pub id: i64,
    /// When it began.
    pub at_us: i64,
    /// Who: an e-mail address, a service, a token, the owner.
    pub account: String,
    /// What kind of account; the words are `access`'s.
    pub account_kind: String,
    /// Which door.
    pub door: String,
    /// From where.
    pub address: Option<String>,
    /// With which program.
    pub client: String,
    /// What was done; the words are `access`'s.
    pub action: String,
    /// The statement, cut where it is very long.
    pub sql: Option<String>,
    /// Tables, as a JSON array of names.
    pub tables: String,
    /// Rows handed out.
    pub rows: Option<i64>,
    /// Bytes handed out.
    pub bytes: Option<i64>,
    /// Bytes read from files for it.
    pub bytes_read: Option<i64>,
    /// How long it took.
    pub took_us: Option<i64>,
    /// `ok` or the code of the problem.
    pub result: String,
    /// What exactly was done, where there is no SQL.
    pub detail: Option<String>,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
    /// Hash over the row before and this one.
    pub hash: [u8; 32],
}

/// Which rows are asked for; an absent part lets all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Exactly this account.
    pub account: Option<String>,
    /// Exactly this action.
    pub action: Option<String>,
    /// Exactly this door.
    pub door: Option<String>,
    /// Those that touched this table.
    pub table: Option<String>,
    /// Those that failed (`Some(true)`) or did not.
    pub failed: Option<bool>,
    /// A piece of the SQL, the detail or the reason.
    pub text: Option<String>,
    /// From this moment on.
    pub from_us: Option<i64>,
    /// Before this moment.
    pub to_us: Option<i64>,
}

const COLUMNS: &str = "id, at_us, account, account_kind, door, address, client, action, sql, tables, rows, bytes, \
                       bytes_read, took_us, result, detail, reason, hash";

/// Number and hash of the last row; `None` in an empty audit.
pub fn head(connection: &Connection) -> Result<Option<(i64, [u8; 32])>, StoreError> {
    let sql = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Adds a row as it is.
pub fn insert(connection: &Connection, row: &AuditRow) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO audit ({COLUMNS})
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
    );
    let values: [&dyn ToSql; 18] = [
        &row.id,
        &row.at_us,
        &row.account,
        &row.account_kind,
        &row.door,
        &row.address,
        &row.client,
        &row.action,
        &row.sql,
        &row.tables,
        &row.rows,
        &row.bytes,
        &row.bytes_read,
        &row.took_us,
        &row.result,
        &row.detail,
        &row.reason,
        &row.hash,
    ];
    connection.prepare_cached(&sql)?.execute(values)?;
    Ok(())
}

/// Rows after a number, the oldest first, at most `limit`.
pub fn after(connection: &Connection, id: i64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map((id, limit), row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Rows that pass a filter and have a number below `before`, the newest first, at most `limit`.
pub fn find(
    connection: &Connection,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    let mut wanted: Vec<(&str, Box<dyn ToSql>)> = Vec::new();
    let mut want = |condition, value: Option<Box<dyn ToSql>>| wanted.extend(value.map(|value| (condition, value)));
    want("id < ?", before.map(boxed));
    want("account = ?", filter.account.clone().map(boxed));
    want("action = ?", filter.action.clone().map(boxed));
    want("door = ?", filter.door.clone().map(boxed));
    want("EXISTS (SELECT 1 FROM json_each(tables) WHERE value = ?)", filter.table.clone().map(boxed));
    want("(result <> 'ok') = ?", filter.failed.map(boxed));
    let text = filter.text.clone();
    want(
        "instr(lower(coalesce(sql, '') || ' ' || coalesce(detail, '') || ' ' || coalesce(reason, '')), lower(?)) > 0",
        text.map(boxed),
    );
    want("at_us >= ?", filter.from_us.map(boxed));
    want("at_us < ?", filter.to_us.map(boxed));
    let conditions: Vec<&str> = wanted.iter().map(|(condition, _)| *condition).collect();
    let conditions = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE {conditions} ORDER BY id DESC LIMIT {limit}");
    let values: Vec<&dyn ToSql> = wanted.iter().map(|(_, value)| value.as_ref()).collect();
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(values.as_slice(), row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

fn boxed<T: ToSql + 'static>(value: T) -> Box<dyn ToSql> {
    Box::new(value)
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: row.get(0)?,
        at_us: row.get(1)?,
        account: row.get(2)?,
        account_kind: row.get(3)?,
        door: row.get(4)?,
        address: row.get(5)?,
        client: row.get(6)?,
        action: row.get(7)?,
        sql: row.get(8)?,
        tables: row.get(9)?,
        rows: row.get(10)?,
        bytes: row.get(11)?,
        bytes_read: row.get(12)?,
        took_us: row.get(13)?,
        result: row.get(14)?,
        detail: row.get(15)?,
        reason: row.get(16)?,
        hash: row.get(17)?,
    })
}
