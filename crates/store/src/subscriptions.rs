//! Subscriptions, their snapshots, and what the Pub/Sub door keeps of topics and schemas.
//!
//! Owns: the tables of `007_pubsub.sql`. Never reads what a state or a config means: those are bytes here.

use naru_base::number::{i64_from, u64_from_signed};
use rusqlite::Connection;

use crate::error::StoreError;

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Its name, unique.
    pub name: String,
    /// Its topic's number on the log.
    pub topic: u32,
    /// Its topic's name when it was made.
    pub topic_name: String,
    /// How it behaves, JSON.
    pub settings: String,
    /// The door's own bytes.
    pub config: Vec<u8>,
    /// What was acknowledged.
    pub state: Vec<u8>,
    /// When it was made.
    pub made_us: i64,
}

/// A subscription's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Its name, unique.
    pub name: String,
    /// The topic's number on the log.
    pub topic: u32,
    /// The topic's name.
    pub topic_name: String,
    /// The door's own bytes.
    pub config: Vec<u8>,
    /// What was acknowledged.
    pub state: Vec<u8>,
    /// When it is forgotten.
    pub expires_us: i64,
}

/// All subscriptions, by name.
pub fn all(connection: &Connection) -> Result<Vec<SubscriptionRow>, StoreError> {
    let sql = "SELECT name, topic, topic_name, settings, config, state, made_us FROM subscriptions ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(SubscriptionRow {
            name: row.get(0)?,
            topic: row.get(1)?,
            topic_name: row.get(2)?,
            settings: row.get(3)?,
            config: row.get(4)?,
            state: row.get(5)?,
            made_us: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a subscription; its name is free.
pub fn add(connection: &Connection, row: &SubscriptionRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO subscriptions (name, topic, topic_name, settings, config, state, made_us)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute((
        &row.name,
        row.topic,
        &row.topic_name,
        &row.settings,
        &row.config,
        &row.state,
        row.made_us,
    ))?;
    Ok(())
}

/// Stores how a subscription behaves.
pub fn configure(connection: &Connection, name: &str, settings: &str, config: &[u8]) -> Result<(), StoreError> {
    let sql = "UPDATE subscriptions SET settings = ?2, config = ?3 WHERE name = ?1";
    connection.prepare_cached(sql)?.execute((name, settings, config))?;
    Ok(())
}

/// Stores what was acknowledged.
pub fn save(connection: &Connection, name: &str, state: &[u8]) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE subscriptions SET state = ?2 WHERE name = ?1")?.execute((name, state))?;
    Ok(())
}

/// Forgets a subscription.
pub fn remove(connection: &Connection, name: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM subscriptions WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// All snapshots, by name.
pub fn snapshots(connection: &Connection) -> Result<Vec<SnapshotRow>, StoreError> {
    let sql = "SELECT name, topic, topic_name, config, state, expires_us FROM subscription_snapshots ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(SnapshotRow {
            name: row.get(0)?,
            topic: row.get(1)?,
            topic_name: row.get(2)?,
            config: row.get(3)?,
            state: row.get(4)?,
            expires_us: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Stores a snapshot over one of the same name.
pub fn set_snapshot(connection: &Connection, row: &SnapshotRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO subscription_snapshots (name, topic, topic_name, config, state, expires_us)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET topic = excluded.topic,
               topic_name = excluded.topic_name, config = excluded.config, state = excluded.state,
               expires_us = excluded.expires_us";
    let values = (&row.name, row.topic, &row.topic_name, &row.config, &row.state, row.expires_us);
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Forgets a snapshot.
pub fn remove_snapshot(connection: &Connection, name: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM subscription_snapshots WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// What the door said of its topics, by name.
pub fn topic_configs(connection: &Connection) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name, config FROM pubsub_topics ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Stores what the door says of a topic.
pub fn set_topic_config(connection: &Connection, name: &str, config: &[u8]) -> Result<(), StoreError> {
    let sql = "INSERT INTO pubsub_topics (name, config) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET config = excluded.config";
    connection.prepare_cached(sql)?.execute((name, config))?;
    Ok(())
}

/// Forgets what the door said of a topic.
pub fn remove_topic_config(connection: &Connection, name: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM pubsub_topics WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// Every revision of every schema: its number, the schema's name, the door's bytes; oldest first.
pub fn schemas(connection: &Connection) -> Result<Vec<(u64, String, Vec<u8>)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT revision, name, config FROM pubsub_schemas ORDER BY revision")?;
    let rows = statement.query_map([], |row| Ok((u64_from_signed(row.get(0)?), row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a revision; answers its number, which grows and is never given again.
pub fn add_schema(connection: &Connection, name: &str, config: &[u8]) -> Result<u64, StoreError> {
    let sql = "INSERT INTO pubsub_schemas (name, config) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((name, config))?;
    Ok(u64_from_signed(connection.last_insert_rowid()))
}

/// Forgets one revision, or with none all of a schema.
pub fn remove_schema(connection: &Connection, name: &str, revision: Option<u64>) -> Result<bool, StoreError> {
    let sql = "DELETE FROM pubsub_schemas WHERE name = ?1 AND (?2 IS NULL OR revision = ?2)";
    Ok(connection.prepare_cached(sql)?.execute((name, revision.map(i64_from)))? > 0)
}
