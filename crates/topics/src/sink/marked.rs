//! Events that naru itself wrote: mended dead letters, and what became of dead letters elsewhere.
//!
//! Owns: their way. Reading them again after a crash gives the same rows: counts of attempts are the event's own, and
//! what an earlier event has settled stays settled.
//! Read next: [`crate::marks`] for the attributes.

use std::collections::{BTreeMap, HashMap, HashSet};

use naru_base::number::u64_from;
use naru_lake::rows::{Fault, FaultKind};

use super::run::Sink;
use crate::{
    dead::{DeadLetter, DeadStatus, Outcome, Standing, TABLE_SINK},
    error::TopicError,
    log::Event,
    marks,
};

type Standings = HashMap<(u64, String), Standing>;

impl Sink {
    /// Takes events with marks, in order.
    pub(super) async fn marked(&mut self, events: Vec<Event>) -> Result<(), TopicError> {
        let mut rest = events.into_iter().peekable();
        while rest.peek().is_some() {
            // A letter stands at most once in a group, so that what one event did is seen by the next.
            let (mut letters, mut group) = (HashSet::new(), Vec::new());
            while let Some(event) = rest.next_if(|event| letter_of(event).is_none_or(|letter| letters.insert(letter))) {
                group.push(event);
            }
            self.group(group).await?;
        }
        Ok(())
    }

    async fn group(&mut self, events: Vec<Event>) -> Result<(), TopicError> {
        let ids: Vec<u64> = events.iter().filter_map(|event| letter_of(event).map(|(id, _)| id)).collect();
        self.dead.show(self.next);
        let standings = self.dead.standing(&self.context.lake, &ids).await?;
        let (mut replays, mut letters) = (Vec::new(), Vec::new());
        let (mut replayed, mut discarded) = (Vec::new(), Vec::new());
        for event in events {
            let Some((id, sink)) = letter_of(&event) else { continue };
            let standing = standings.get(&(id, sink.clone())).copied();
            if event.attribute(marks::DEAD_SINK).is_none() {
                let done = standing.is_some_and(|standing| !standing.dead && standing.by < event.offset);
                if sink == TABLE_SINK && !done {
                    replays.push(event);
                }
                continue;
            }
            match event.attribute(marks::DEAD_STATUS).and_then(DeadStatus::of).unwrap_or(DeadStatus::Dead) {
                DeadStatus::Dead => letters.push(told(id, sink, event, standing)),
                DeadStatus::Replayed => replayed.push(event),
                // What a replay has settled stays settled.
                DeadStatus::Discarded if standing.is_some_and(|now| now.dead || now.by >= event.offset) => {
                    discarded.push(event);
                }
                DeadStatus::Discarded => {}
            }
        }
        self.bury(letters).await?;
        self.settle(&standings, Outcome::Replayed, &replayed).await?;
        let said = |event: &Event| {
            let of = |name: &str| event.attribute(name).map(str::to_owned);
            (of(marks::DEAD_BY), of(marks::DEAD_WHY).unwrap_or_default())
        };
        let mut by_reason: BTreeMap<(Option<String>, String), Vec<Event>> = BTreeMap::new();
        for event in discarded {
            by_reason.entry(said(&event)).or_default().push(event);
        }
        for ((by, why), events) in by_reason {
            self.settle(&standings, Outcome::Discarded(by.as_deref(), &why), &events).await?;
        }
        self.replay(replays, &standings).await
    }

    /// Tries mended events: a row, or the letter again with what is wrong now.
    async fn replay(&mut self, events: Vec<Event>, standings: &Standings) -> Result<(), TopicError> {
        if events.is_empty() {
            return Ok(());
        }
        let judged = self.judge(events, true).await?;
        let key = |event: &Event| letter_of(event).unwrap_or((event.offset, TABLE_SINK.to_owned()));
        let mut letters = Vec::new();
        for (event, fault, reason) in judged.faults {
            let (id, sink) = key(&event);
            let standing = standings.get(&(id, sink.clone()));
            let first_seen = standing.and_then(|standing| standing.first_seen);
            let (attempts, event_id) = (attempts(&event), self.event_id(&event));
            let revision = self.shape.revision;
            letters.push(DeadLetter { id, event_id, sink, fault, reason, revision, event, first_seen, attempts });
        }
        self.bury(letters).await?;
        let done: Vec<Event> = judged.fitting.iter().flat_map(|fitting| &fitting.events).cloned().collect();
        for fitting in judged.fitting {
            self.write(fitting).await?;
        }
        let done: Vec<Event> = done.into_iter().chain(judged.duplicates).collect();
        self.settle(standings, Outcome::Replayed, &done).await
    }

    /// Says what became of letters that are there. Each event is about one.
    async fn settle(
        &mut self,
        standings: &Standings,
        outcome: Outcome<'_>,
        events: &[Event],
    ) -> Result<(), TopicError> {
        // A mended event is as old as what it was made of by now; this is when it came.
        let at_us = self.reached_us;
        let letters = events.iter().filter_map(|event| Some((letter_of(event)?, event.offset)));
        let there = letters.filter(|(letter, _)| standings.contains_key(letter));
        let (letters, by): (Vec<_>, Vec<_>) = there.unzip();
        self.dead.settle(&letters, outcome, &by, at_us).await?;
        let waited = letters.iter().filter(|letter| standings.get(*letter).is_some_and(|standing| standing.dead));
        let settled = u64_from(waited.count());
        self.context.cell.change(|status| status.dead_letters = status.dead_letters.saturating_sub(settled));
        Ok(())
    }
}

/// Whether naru wrote an event.
pub(super) fn is_marked(event: &Event) -> bool {
    event.attributes().any(|(name, _)| name.starts_with(marks::OWN))
}

/// The letter that an event with marks is about.
fn letter_of(event: &Event) -> Option<(u64, String)> {
    let (of, sink) = match event.attribute(marks::DEAD_SINK) {
        Some(sink) => (marks::DEAD_OF, sink),
        None => (marks::REPLAY_OF, event.attribute(marks::REPLAY_SINK)?),
    };
    Some((event.attribute(of)?.parse().ok()?, sink.to_owned()))
}

fn attempts(event: &Event) -> i64 {
    event.attribute(marks::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A letter that another sink tells of, again where it is there already.
fn told(id: u64, sink: String, event: Event, standing: Option<Standing>) -> DeadLetter {
    let text = |name: &str| event.attribute(name).unwrap_or_default().to_owned();
    let (path, expected, got) = (text(marks::DEAD_PATH), text(marks::DEAD_EXPECTED), text(marks::DEAD_GOT));
    DeadLetter {
        id,
        event_id: None,
        sink,
        fault: Fault { path, expected, got, kind: FaultKind::Value },
        reason: text(marks::DEAD_REASON),
        revision: 0,
        first_seen: event
            .attribute(marks::DEAD_FIRST_US)
            .and_then(|text| text.parse().ok())
            .or(standing.and_then(|standing| standing.first_seen)),
        attempts: attempts(&event),
        event,
    }
}
