//! Dead letters once more: mended events on their way to the one sink that failed.
//!
//! Owns: what a replayed event carries, the limit of attempts, and the check of a letter against a topic's file.
//! Never reads the table of dead letters, and never writes it: the topic's sink does both.

use naru_lake::rows::{Fault, RowBuilder};
use naru_project::Topic;

use crate::{
    error::{PublishError, TopicError},
    handle::TopicHandle,
    marks,
    schema::Shape,
    topics::{Incoming, Topics},
};

/// A letter that was tried so often is not tried again unless somebody insists: what mends it does not work.
pub const ATTEMPTS_MAX: i64 = 5;

/// A dead letter with the bytes that it shall be tried with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The offset of the event that died first.
    pub id: u64,
    /// The sink that it died in.
    pub sink: String,
    /// The event, mended.
    pub data: Vec<u8>,
    /// As the sender gave it.
    pub ordering_key: String,
    /// As the sender gave them.
    pub attributes: Vec<(String, String)>,
    /// How often it was tried before.
    pub attempts: i64,
}

impl Letter {
    /// The event that replays it. Its own id, on which the table's window of duplicates looks, is in its bytes as
    /// before, so a replay of what is in the table already makes no second row.
    fn event(&self) -> Incoming {
        let sent = self.attributes.iter().filter(|(name, _)| !name.starts_with(marks::OWN)).cloned();
        let own = [
            (marks::REPLAY_OF, self.id.to_string()),
            (marks::REPLAY_SINK, self.sink.clone()),
            (marks::ATTEMPT, self.attempts.saturating_add(1).to_string()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Incoming {
            data: self.data.clone().into(),
            ordering_key: self.ordering_key.clone(),
            attributes: sent.chain(own).collect(),
        }
    }
}

impl Topics {
    /// Appends mended letters, each for the sink that it died in and nobody else.
    ///
    /// # Errors
    /// As [`Topics::publish`]; none of these letters is replayed then.
    pub async fn replay(&self, topic: &TopicHandle, letters: &[Letter]) -> Result<(), PublishError> {
        let events: Vec<Incoming> = letters.iter().map(Letter::event).collect();
        self.publish(topic, &events).await.map(drop)
    }
}

/// Says what a topic's table would say of events, by the topic's file alone.
#[derive(Debug)]
pub struct Checker(RowBuilder);

impl Checker {
    /// By the columns of this file.
    ///
    /// # Errors
    /// [`TopicError::Columns`].
    pub fn of(topic: &Topic) -> Result<Self, TopicError> {
        Ok(Self(RowBuilder::new(&Shape::of(topic, &[], 0)?.rows)))
    }

    /// What is wrong with an event's bytes; `None` when they fit.
    pub fn fault(&mut self, data: &[u8]) -> Option<Fault> {
        self.0.check(data).err()
    }
}
