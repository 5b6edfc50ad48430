//! Topics by number, which of them have no file, their columns over time, how far their readers have come, what was
//! forgotten, and which offsets may have been given.
//!
//! Owns: the `topics`, `topic_made`, `topic_revisions`, `topic_cursors`, `topic_floors` and `topic_reserved` tables.
//! Positions of lake tables are not here: they live in Delta.

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

/// The readers of a topic that stored an offset, by name.
pub fn readers(connection: &Connection, topic: u32) -> Result<Vec<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT reader FROM topic_cursors WHERE topic = ?1 ORDER BY reader")?;
    let rows = statement.query_map([topic], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets the offset of a reader; one that is not there is fine.
pub fn forget(connection: &Connection, topic: u32, reader: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM topic_cursors WHERE topic = ?1 AND reader = ?2")?
        .execute((topic, reader))?;
    Ok(())
}

/// Per topic, the offset below which events are forgotten.
pub fn floors(connection: &Connection) -> Result<Vec<(u32, u64)>, StoreError> {
    offsets(connection, "SELECT topic, floor FROM topic_floors")
}

/// Per topic, one past the last offset that may have been given.
pub fn reserved(connection: &Connection) -> Result<Vec<(u32, u64)>, StoreError> {
    offsets(connection, "SELECT topic, reserved FROM topic_reserved")
}

fn offsets(connection: &Connection, sql: &str) -> Result<Vec<(u32, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let read: Result<Vec<(u32, i64)>, _> = rows.collect();
    Ok(read?.into_iter().map(|(topic, offset)| (topic, naru_base::number::u64_from_signed(offset))).collect())
}

/// Notes that offsets of a topic before `end` may be given.
pub fn reserve(connection: &Connection, topic: u32, end: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO topic_reserved (topic, reserved) VALUES (?1, ?2)
               ON CONFLICT (topic) DO UPDATE SET reserved = max(reserved, excluded.reserved)";
    connection.prepare_cached(sql)?.execute((topic, naru_base::number::i64_from(end)))?;
    Ok(())
}

/// Raises the offset below which events are forgotten.
pub fn set_floor(connection: &Connection, topic: u32, floor: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO topic_floors (topic, floor) VALUES (?1, ?2)
               ON CONFLICT (topic) DO UPDATE SET floor = max(floor, excluded.floor)";
    connection.prepare_cached(sql)?.execute((topic, naru_base::number::i64_from(floor)))?;
    Ok(())
}

/// Topics that were made over a door, by name.
pub fn made(connection: &Connection) -> Result<Vec<(u32, String)>, StoreError> {
    let sql = "SELECT topic, name FROM topics JOIN topic_made USING (topic) ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes a topic that has no file; its number. Doing it twice is the same as once.
pub fn make(connection: &Connection, name: &str, made_us: i64) -> Result<u32, StoreError> {
    let topic = number(connection, name)?;
    let sql = "INSERT INTO topic_made (topic, made_us) VALUES (?1, ?2) ON CONFLICT (topic) DO NOTHING";
    connection.prepare_cached(sql)?.execute((topic, made_us))?;
    Ok(topic)
}

/// Forgets that a topic was made, and where its readers were. Its number stays its own.
pub fn unmake(connection: &Connection, topic: u32) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM topic_made WHERE topic = ?1")?.execute([topic])?;
    connection.prepare_cached("DELETE FROM topic_cursors WHERE topic = ?1")?.execute([topic])?;
    Ok(())
}

/// The newest columns of a topic, as JSON, with their revision.
fn revision(connection: &Connection, topic: u32) -> Result<Option<(u32, String)>, StoreError> {
    let sql = "SELECT revision, columns FROM topic_revisions WHERE topic = ?1 ORDER BY revision DESC LIMIT 1";
    let row = connection.prepare_cached(sql)?.query_row([topic], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
}

/// Names of topics with their columns as JSON, one entry a revision, oldest first.
pub fn revisions(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT name, columns FROM topics JOIN topic_revisions USING (topic) ORDER BY topic, revision";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes columns as a topic's newest revision, unless they are; the revision.
pub fn note_revision(connection: &Connection, topic: u32, columns: &str, noted_us: i64) -> Result<u32, StoreError> {
    let last = revision(connection, topic)?;
    if let Some((revision, known)) = &last
        && known == columns
    {
        return Ok(*revision);
    }
    let next = last.map_or(1, |(revision, _)| revision.saturating_add(1));
    let sql = "INSERT INTO topic_revisions (topic, revision, columns, noted_us) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute((topic, next, columns, noted_us))?;
    Ok(next)
}
