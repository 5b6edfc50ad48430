//! The way of events into the table.
//!
//! Owns: what becomes of each event: a row, a dead letter, or nothing because it was seen before.
//! Never loses one: whatever is no row and no duplicate is written to the dead letters, before the table shows more.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow::{array::AsArray as _, datatypes::Int64Type};
use naru_base::{
    Lsn,
    number::{u64_from, u64_from_signed},
};
use naru_lake::{
    ChangeBatch, Only, Op,
    index::KeyHasher,
    rows::{Fault, FaultKind},
};

use super::{
    blocking,
    build::{Built, Clock, Fitting, build},
    marked::is_marked,
    run::Sink,
};
use crate::{
    dead::{DeadLetter, TABLE_SINK},
    error::TopicError,
    log::Event,
    marks,
    schema::{OFFSET, TIME},
};

/// The reason of an event whose clock is ahead.
pub const CLOCK_AHEAD: &str = "topics.clock_ahead";
/// That of one whose clock is far behind.
pub const CLOCK_LATE: &str = "topics.clock_late";
/// How late an event may be: ten years, as BigQuery has it for what is streamed into partitions.
const LATE_MAX: Duration = Duration::from_hours(24 * 3_653);
/// No zone is further from UTC.
const ZONE_MAX: Duration = Duration::from_hours(14);

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
        let judged = self.judge(events, false).await?;
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

    /// Writes dead letters. They are shown before the rows behind them are, and so are in the files before the table's
    /// position covers them; see [`super::run`]. No flush is waited for: it may wait for a compaction.
    pub(super) async fn bury(&mut self, letters: Vec<DeadLetter>) -> Result<(), TopicError> {
        if letters.is_empty() {
            return Ok(());
        }
        let (new, dead) = (self.dead.write(&letters).await?, u64_from(letters.len()));
        self.context.cell.change(|status| {
            status.dead += dead;
            status.dead_letters += new;
        });
        Ok(())
    }

    /// Writes rows.
    pub(super) async fn write(&mut self, fitting: Fitting) -> Result<(), TopicError> {
        let view = self.table.table().view();
        let rows = fitting
            .complete(&view, self.context.declared.write_metadata)
            .map_err(|error| TopicError::Lake(error.into()))?;
        let count = rows.num_rows();
        let changes = ChangeBatch { rows, ops: vec![Op::Insert; count], unchanged: Vec::new() };
        self.table.apply(changes).await?;
        self.context.cell.change(|status| status.written += u64_from(count));
        Ok(())
    }

    /// Checks events: their rows, their clocks, and whether they were seen before. `again` are mended ones: they are as
    /// old as what they were made of from here on.
    pub(super) async fn judge(&mut self, events: Vec<Event>, again: bool) -> Result<Judged, TopicError> {
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
            let mut fitting = self.in_time(fitting, &mut judged)?;
            if again {
                fitting.events.iter_mut().for_each(|event| event.time_us = marks::arrived_us(event));
                fitting = self.not_in_table(fitting, &mut judged).await?;
            }
            let fitting = self.unseen(fitting, &mut judged).await?;
            if !fitting.events.is_empty() {
                judged.fitting.push(fitting);
            }
        }
        Ok(judged)
    }

    /// Leaves out events whose clock cannot be right: each makes a file of its own day, which is never read and, far
    /// ahead, never goes.
    fn in_time(&self, mut fitting: Fitting, judged: &mut Judged) -> Result<Fitting, TopicError> {
        let declared = &self.context.declared;
        let Some(partition) = &declared.partition else { return Ok(fitting) };
        // What a clock on the wall says, and a date, may be ahead by its zone.
        let column = declared.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&partition.column));
        let zoned = column.is_none_or(|column| column.type_name == "TIMESTAMP");
        let ahead = declared.ahead_max.saturating_add(if zoned { Duration::ZERO } else { ZONE_MAX });
        let us = |most: Duration| i64::try_from(most.as_micros()).unwrap_or(i64::MAX);
        for (wrong, most, reason) in
            [(Clock::Ahead, declared.ahead_max, CLOCK_AHEAD), (Clock::Late, LATE_MAX, CLOCK_LATE)]
        {
            let clocks = fitting.clocks(&partition.column, us(ahead), us(LATE_MAX));
            let mask: Vec<bool> = clocks.iter().map(|clock| *clock != wrong).collect();
            let (kept, others) = fitting.keep(&mask).map_err(|error| TopicError::Lake(error.into()))?;
            fitting = kept;
            judged.faults.extend(
                others.into_iter().map(|event| (event, clock_fault(&partition.column, wrong, most), reason.to_owned())),
            );
        }
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

    /// Leaves out mended events whose key is in the table since before they came first: keys are remembered over the
    /// window only, and a letter may be mended much later.
    async fn not_in_table(&self, fitting: Fitting, judged: &mut Judged) -> Result<Fitting, TopicError> {
        let Some(dedup) = &self.context.declared.dedup else { return Ok(fitting) };
        let view = self.table.view();
        let column = view.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&dedup.key));
        let (Some(column), Some(keys)) = (column, fitting.column(&dedup.key)) else { return Ok(fitting) };
        let window_us = i64::try_from(dedup.window.as_micros()).unwrap_or(i64::MAX);
        let Some(first) = fitting.events.iter().map(|event| event.time_us).min() else { return Ok(fitting) };
        let only = Only::among(&column.name, keys)?.and(Only::since(TIME, first.saturating_sub(window_us)));
        let hasher = KeyHasher::new(std::slice::from_ref(keys.data_type()))?;
        let mut earlier: HashMap<u128, u64> = HashMap::new();
        let mut rows = self.context.lake.read(&view, &[&column.name, OFFSET], only).await?;
        while let Some(batch) = rows.next().await? {
            let [keys, offsets] = batch.columns() else { break };
            let Some(offsets) = offsets.as_primitive_opt::<Int64Type>() else { break };
            for (hash, offset) in hasher.hash(std::slice::from_ref(keys))?.into_iter().zip(offsets.values()) {
                let first = earlier.entry(hash).or_insert(u64::MAX);
                *first = u64_from_signed(*offset).min(*first);
            }
        }
        let hashes = hasher.hash(std::slice::from_ref(keys))?;
        // What was read again after a crash does not come after itself.
        let is_new = |(hash, event): (u128, &Event)| earlier.get(&hash).is_none_or(|offset| *offset >= event.offset);
        let new: Vec<bool> = hashes.into_iter().zip(&fitting.events).map(is_new).collect();
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

fn clock_fault(column: &str, wrong: Clock, most: Duration) -> Fault {
    let (side, got) = if wrong == Clock::Late { ("before", "an earlier time") } else { ("after", "a later time") };
    Fault {
        path: format!("$.{column}"),
        expected: format!("at most {} s {side} it was accepted", most.as_secs()),
        got: got.to_owned(),
        kind: FaultKind::Value,
    }
}
