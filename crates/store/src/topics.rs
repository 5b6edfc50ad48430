//! Topics by number, how far their readers have come, and what was forgotten.
//!
//! Owns: the `topics`, `topic_cursors` and `topic_floors` tables. Positions of lake tables are not here: they live in
//! Delta.

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::StoreError;

/// The number under which a topic's events stand on the log: given on the first call, and never to another topic.
pub fn number(connection: &Connection, name: &str) -> Result<u32, StoreError> {
    let find = "SELECT topic FROM topics WHERE name = ?1";
    let found = connection.prepare_cached(find)?.query_row([name], |row| row.get(0)).optional()?;
    if let Some(number) = found {
        return Ok(number);
    }
    connection.prepare_cached("INSERT INTO topics (name) VALUES (?1)")?.execute([name])?;
    Ok(connection.prepare_cached(find)?.query_row([name], |row| row.get(0))?)
}

/// All topics that were ever given a number, by number.
pub fn all(connection: &Connection) -> Result<Vec<(u32, String)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT topic, name FROM topics ORDER BY topic")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The offset that a reader goes on from.
pub fn get(connection: &Connection, topic: u32, reader: &str) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT next_offset FROM topic_cursors WHERE topic = ?1 AND reader = ?2";
    let found = connection.prepare_cached(sql)?.query_row((topic, reader), |row| row.get::<_, i64>(0)).optional()?;
    Ok(found.map(naru_base::number::u64_from_signed))
}

/// Stores the offset that a reader goes on from.
pub fn set(connection: &Connection, topic: u32, reader: &str, offset: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO topic_cursors (topic, reader, next_offset) VALUES (?1, ?2, ?3)
               ON CONFLICT (topic, reader) DO UPDATE SET next_offset = excluded.next_offset";
    connection.prepare_cached(sql)?.execute((topic, reader, naru_base::number::i64_from(offset)))?;
    Ok(())
}

/// Per topic, the offset below which events are forgotten.
pub fn floors(connection: &Connection) -> Result<Vec<(u32, u64)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT topic, floor FROM topic_floors")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let read: Result<Vec<(u32, i64)>, _> = rows.collect();
    Ok(read?.into_iter().map(|(topic, floor)| (topic, naru_base::number::u64_from_signed(floor))).collect())
}

/// Raises the offset below which events are forgotten.
pub fn set_floor(connection: &Connection, topic: u32, floor: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO topic_floors (topic, floor) VALUES (?1, ?2)
               ON CONFLICT (topic) DO UPDATE SET floor = max(floor, excluded.floor)";
    connection.prepare_cached(sql)?.execute((topic, naru_base::number::i64_from(floor)))?;
    Ok(())
}
