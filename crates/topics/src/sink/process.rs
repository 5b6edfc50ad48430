//! The way of events into the table.
//!
//! Owns: what becomes of each event: a row, a dead letter, or nothing because it was seen before.
//! Never loses one: whatever is no row and no duplicate is written to the dead letters, before the table shows more.

use std::{sync::Arc, time::Duration};

use naru_base::{Lsn, number::u64_from};
use naru_lake::{
    ChangeBatch, Op,
    rows::{Fault, FaultKind},
};

use super::{
    blocking,
    build::{Built, Fitting, build},
    marked::is_marked,
    run::Sink,
};
use crate::{
    dead::{DeadLetter, TABLE_SINK},
    error::TopicError,
    log::Event,
};

/// The reason of an event whose clock is ahead.
const CLOCK_AHEAD: &str = "topics.clock_ahead";

/// What became of some events.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) fitting: Vec<Fitting>,
    /// What does not fit, and the code of the reason.
    pub(super) faults: Vec<(Event, Fault, String)>,
    /// What was seen before.
    pub(super) duplicates: Vec<Event>,
}

impl Sink {
    /// Takes events and shows what became of them; `next` is behind the last.
    pub(super) async fn process(&mut self, events: Vec<Event>, next: u64) -> Result<(), TopicError> {
        let mut rest = events.into_iter().peekable();
        while let Some(first) = rest.peek() {
            let marked = is_marked(first);
            let mut run = Vec::new();
            while let Some(event) = rest.next_if(|event| is_marked(event) == marked) {
                run.push(event);
            }
            if marked { self.marked(run).await? } else { self.plain(run).await? }
        }
        self.next = next;
        self.dead.show(next);
        self.context.set.publish_behind(&self.table, Lsn(next));
        let rows = self.table.rows();
        self.context.cell.change(|status| (status.next, status.rows) = (next, rows));
        self.evolve().await
    }

    async fn plain(&mut self, events: Vec<Event>) -> Result<(), TopicError> {
        let judged = self.judge(events).await?;
        let duplicates = u64_from(judged.duplicates.len());
        let revision = self.shape.revision;
        let letter = |(event, fault, reason): (Event, Fault, String)| DeadLetter {
            id: event.offset,
            event_id: self.event_id(&event),
            sink: TABLE_SINK.to_owned(),
            fault,
            reason,
            revision,
            event,
            first_seen: None,
            attempts: 1,
        };
        let letters: Vec<DeadLetter> = judged.faults.into_iter().map(letter).collect();
        self.bury(letters).await?;
        for fitting in judged.fitting {
            self.write(fitting).await?;
        }
        self.context.cell.change(|status| status.duplicates += duplicates);
        Ok(())
    }

    /// Writes dead letters. The table's position may say so only after they are flushed, so a flush under way, which
    /// has flushed earlier ones, is waited for.
    pub(super) async fn bury(&mut self, letters: Vec<DeadLetter>) -> Result<(), TopicError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.take_flush(true).await?;
        self.dead.write(&letters).await?;
        let dead = u64_from(letters.len());
        self.context.cell.change(|status| status.dead += dead);
        Ok(())
    }

    /// Writes rows.
    pub(super) async fn write(&mut self, fitting: Fitting) -> Result<(), TopicError> {
        let view = self.table.table().view();
        let rows = fitting.complete(&view).map_err(|error| TopicError::Lake(error.into()))?;
        let count = rows.num_rows();
        let changes = ChangeBatch { rows, ops: vec![Op::Insert; count], unchanged: Vec::new() };
        self.table.apply(changes).await?;
        self.context.cell.change(|status| status.written += u64_from(count));
        Ok(())
    }

    /// Checks events: their rows, their clocks, and whether they were seen before.
    pub(super) async fn judge(&mut self, events: Vec<Event>) -> Result<Judged, TopicError> {
        let shape = Arc::clone(&self.shape);
        let built = blocking(move || build(&shape, events)).await?;
        let Built { fitting, faults, unknown } = built.map_err(|error| TopicError::Lake(error.into()))?;
        self.sightings.see(unknown);
        let faults = faults.into_iter().map(|(event, fault)| {
            let reason = fault.kind.code().to_owned();
            (event, fault, reason)
        });
        let mut judged = Judged { faults: faults.collect(), ..Judged::default() };
        for fitting in fitting {
            let fitting = self.in_time(fitting, &mut judged)?;
            let fitting = self.unseen(fitting, &mut judged).await?;
            if !fitting.events.is_empty() {
                judged.fitting.push(fitting);
            }
        }
        Ok(judged)
    }

    /// Leaves out events whose clock is too far ahead: their partitions would never be read and never go.
    fn in_time(&self, fitting: Fitting, judged: &mut Judged) -> Result<Fitting, TopicError> {
        let declared = &self.context.declared;
        let Some(partition) = &declared.partition else { return Ok(fitting) };
        let ahead_us = i64::try_from(declared.ahead_max.as_micros()).unwrap_or(i64::MAX);
        let mask = fitting.clocks(&partition.column, ahead_us);
        let (fitting, ahead) = fitting.keep(&mask).map_err(|error| TopicError::Lake(error.into()))?;
        judged.faults.extend(ahead.into_iter().map(|event| {
            let fault = clock_fault(&partition.column, declared.ahead_max);
            (event, fault, CLOCK_AHEAD.to_owned())
        }));
        Ok(fitting)
    }

    /// Leaves out events that were seen before.
    async fn unseen(&mut self, fitting: Fitting, judged: &mut Judged) -> Result<Fitting, TopicError> {
        let Some(dedup) = &self.context.declared.dedup else { return Ok(fitting) };
        let (Some(keys), Some(mut seen)) = (fitting.column(&dedup.key).cloned(), self.seen.take()) else {
            return Ok(fitting);
        };
        let offsets: Vec<u64> = fitting.events.iter().map(|event| event.offset).collect();
        let times: Vec<i64> = fitting.events.iter().map(|event| event.time_us).collect();
        let (seen, new) = blocking(move || seen.sift(&keys, &offsets, &times).map(|new| (seen, new))).await??;
        self.seen = Some(seen);
        let (fitting, before) = fitting.keep(&new).map_err(|error| TopicError::Lake(error.into()))?;
        judged.duplicates.extend(before);
        Ok(fitting)
    }

    /// The event's own id, as far as it can be read.
    pub(super) fn event_id(&self, event: &Event) -> Option<String> {
        let key = &self.context.declared.dedup.as_ref()?.key;
        event_id(key, &event.data)
    }

    async fn evolve(&mut self) -> Result<(), TopicError> {
        if self.context.declared.unknown != naru_project::topic::Unknown::Evolve {
            return Ok(());
        }
        let columns: Vec<String> = self.table.view().columns.iter().map(|column| column.name.clone()).collect();
        let ripe = self.sightings.ripe(self.context.declared.evolve, &columns);
        if ripe.is_empty() { Ok(()) } else { self.grow(ripe).await }
    }
}

/// The value of an event's key as text, when the event is an object that has one.
pub(crate) fn event_id(key: &str, data: &[u8]) -> Option<String> {
    let event: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(data).ok()?;
    let (_, value) = event.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
    match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn clock_fault(column: &str, most: Duration) -> Fault {
    Fault {
        path: format!("$.{column}"),
        expected: format!("at most {} s after it was accepted", most.as_secs()),
        got: "a later time".to_owned(),
        kind: FaultKind::Value,
    }
}
