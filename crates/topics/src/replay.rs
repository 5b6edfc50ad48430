//! Dead letters once more: mended events on their way to the one sink that failed, and letters that nobody needs.
//!
//! Owns: what a replayed event and a discarded letter carry, the limit of attempts, and the check of a letter against a
//! topic's file.
//! Never reads the table of dead letters, and never writes it: the topic's sink does both.

use naru_lake::rows::{Fault, RowBuilder};
use naru_project::Topic;

use crate::{
    dead::DeadStatus,
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
    /// When the event was accepted first, microseconds since 1970.
    pub first_seen_us: i64,
}

impl Letter {
    /// The event that replays it. It is as old as the event that died, and its own id, by which the table looks for
    /// duplicates, is in its bytes as before: so a replay of what is in the table already makes no second row.
    fn event(&self) -> Incoming {
        let sent = self.attributes.iter().filter(|(name, _)| !name.starts_with(marks::OWN)).cloned();
        let own = [
            (marks::REPLAY_OF, self.id.to_string()),
            (marks::REPLAY_SINK, self.sink.clone()),
            (marks::REPLAY_FIRST_US, self.first_seen_us.to_string()),
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

/// Dead letters that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discard {
    /// Each by the offset of the event that died first and the sink that it died in.
    pub letters: Vec<(u64, String)>,
    /// Who says so, where that is known.
    pub by: Option<String>,
    /// Why.
    pub why: String,
}

impl Discard {
    fn event(&self, (id, sink): &(u64, String)) -> Incoming {
        let own = [
            (marks::DEAD_OF, id.to_string()),
            (marks::DEAD_SINK, sink.clone()),
            (marks::DEAD_STATUS, DeadStatus::Discarded.word().to_owned()),
            (marks::DEAD_WHY, self.why.clone()),
        ];
        let by = self.by.iter().map(|by| (marks::DEAD_BY, by.clone()));
        let attributes = own.into_iter().chain(by).map(|(name, value)| (name.to_owned(), value)).collect();
        Incoming { attributes, ..Incoming::default() }
    }
}

impl Topics {
    /// Appends that letters are not needed. They stay in the table of dead letters, with who said so and why.
    ///
    /// # Errors
    /// As [`Topics::publish`]; none of these letters is discarded then.
    pub async fn discard(&self, topic: &TopicHandle, discard: &Discard) -> Result<(), PublishError> {
        let events: Vec<Incoming> = discard.letters.iter().map(|letter| discard.event(letter)).collect();
        self.publish(topic, &events).await.map(drop)
    }

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
