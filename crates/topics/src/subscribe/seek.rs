//! Going back and forth: times, and snapshots of what was acknowledged.
//!
//! Owns: [`Snapshot`], how long one lives, and the search for the offset of a time. Never changes a subscription.

use bytes::Bytes;
use naru_store::subscriptions::SnapshotRow;

use super::{SubscribeError, deliveries::Saved};
use crate::log::{LogError, TopicLog, TopicNo};

/// How long a snapshot lives at most, less the age of the oldest event that it has not acknowledged.
pub(super) const SNAPSHOT_LIFE_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// A snapshot that would live less is refused.
pub(super) const SNAPSHOT_LIFE_MIN_US: i64 = 3600 * 1_000_000;

/// What a subscription had acknowledged at one moment. Its events stay on the log while it lives.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The topic's name.
    pub topic_name: String,
    /// When it is forgotten, microseconds since 1970.
    pub expires_us: i64,
    /// What its door keeps with it.
    pub config: Bytes,
    pub(super) topic: TopicNo,
    pub(super) saved: Saved,
}

impl Snapshot {
    pub(super) fn of_row(row: SnapshotRow) -> Result<Self, SubscribeError> {
        let saved = Saved::decode(&row.state).ok_or_else(|| SubscribeError::Unreadable(row.name.clone()))?;
        Ok(Self {
            name: row.name,
            topic_name: row.topic_name,
            expires_us: row.expires_us,
            config: row.config.into(),
            topic: TopicNo(row.topic),
            saved,
        })
    }

    pub(super) fn row(&self) -> SnapshotRow {
        SnapshotRow {
            name: self.name.clone(),
            topic: self.topic.0,
            topic_name: self.topic_name.clone(),
            config: self.config.to_vec(),
            state: self.saved.encode(),
            expires_us: self.expires_us,
        }
    }

    /// The name under which it keeps events on the log.
    pub(super) fn reader(name: &str) -> String {
        format!("snapshot {name}")
    }
}

/// The first kept offset whose event was accepted at or after a time; the end when there is none.
pub(crate) async fn offset_at(log: &dyn TopicLog, topic: TopicNo, time_us: i64) -> Result<u64, LogError> {
    let bounds = log.bounds(topic);
    let (mut low, mut high) = (bounds.start, bounds.end);
    while low < high {
        let middle = low + (high - low) / 2;
        let chunk = log.read(topic, middle, 1).await?;
        match chunk.events.first() {
            Some(event) if event.offset < high => {
                if event.time_us < time_us {
                    low = event.offset.saturating_add(1);
                } else {
                    high = middle;
                }
            }
            // Nothing is left between the middle and the end.
            _ => high = middle,
        }
    }
    Ok(low)
}
