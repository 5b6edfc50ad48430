//! From events to the rows of a table. Pure work, for threads that may block.
//!
//! Owns: checking events against a shape, the bound on a partition's clock, and the columns that are the event's and
//! not its sender's.
//! Never writes and never drops an event: what does not fit comes back with its fault.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray,
        new_null_array,
    },
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Date32Type, TimestampMicrosecondType},
    error::ArrowError,
    record_batch::RecordBatch,
};
use jiff::{Timestamp, tz::TimeZone};
use naru_base::number::i64_from;
use naru_lake::{
    Column, NaruType, PartitionOf, TableView,
    rows::{Fault, RowBuilder, Sighting},
};

use crate::{
    log::Event,
    marks,
    schema::{OFFSET, Shape, TIME},
    text,
};

/// Rows built together.
const ROWS_MAX: usize = 8_192;
const DAY_US: i64 = 86_400_000_000;
/// Zones change their offset at whole quarters of an hour.
const QUARTER_US: i64 = 900_000_000;

/// Events that fit, with their rows.
#[derive(Debug)]
pub(super) struct Fitting {
    /// The shape's columns, one row an event.
    pub(super) rows: RecordBatch,
    /// Their events, in order.
    pub(super) events: Vec<Event>,
}

/// How the clock of an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Fits,
    /// Further ahead than is likely.
    Ahead,
    /// Longer past than is likely.
    Late,
}

/// What became of some events.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) fitting: Vec<Fitting>,
    pub(super) faults: Vec<(Event, Fault)>,
    /// Fields that are no column, where the topic wants to know them.
    pub(super) unknown: Vec<Sighting>,
}

/// Checks events and builds the rows of those that fit, both in their order.
pub(super) fn build(shape: &Shape, events: Vec<Event>) -> Result<Built, ArrowError> {
    let mut built = Built::default();
    let mut builder = RowBuilder::new(&shape.rows);
    let mut held = Vec::new();
    for event in events {
        if builder.is_full() || builder.rows() >= ROWS_MAX {
            built.fitting.push(Fitting { rows: builder.finish()?, events: std::mem::take(&mut held) });
        }
        match builder.push(&event.data) {
            Ok(pushed) => {
                built.unknown.extend(pushed.unknown);
                held.push(event);
            }
            Err(fault) => built.faults.push((event, fault)),
        }
    }
    if !held.is_empty() {
        built.fitting.push(Fitting { rows: builder.finish()?, events: held });
    }
    Ok(built)
}

impl Fitting {
    /// Keeps the events that a mask says, and gives the others.
    pub(super) fn keep(self, mask: &[bool]) -> Result<(Self, Vec<Event>), ArrowError> {
        if mask.iter().all(|kept| *kept) {
            return Ok((self, Vec::new()));
        }
        let rows = filter_record_batch(&self.rows, &BooleanArray::from(mask.to_vec()))?;
        let (mut events, mut others) = (Vec::new(), Vec::new());
        for (event, kept) in self.events.into_iter().zip(mask) {
            if *kept { events.push(event) } else { others.push(event) }
        }
        Ok((Self { rows, events }, others))
    }

    /// How events' clocks stand, as of the moment they were accepted.
    pub(super) fn clocks(&self, column: &str, ahead_us: i64, late_us: i64) -> Vec<Clock> {
        let Some(values) = self.column(column) else { return vec![Clock::Fits; self.events.len()] };
        let of = instants(values);
        let clock = |(row, event): (usize, &Event)| match of(row) {
            Some(at) if at > event.time_us.saturating_add(ahead_us) => Clock::Ahead,
            Some(at) if at < event.time_us.saturating_sub(late_us) => Clock::Late,
            Some(_) | None => Clock::Fits,
        };
        self.events.iter().enumerate().map(clock).collect()
    }

    /// A column by its name, whatever its case.
    pub(super) fn column(&self, name: &str) -> Option<&ArrayRef> {
        let schema = self.rows.schema();
        let at = schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name))?;
        self.rows.columns().get(at)
    }

    /// The rows with all columns of the table, in its order.
    pub(super) fn complete(&self, table: &TableView, write_metadata: bool) -> Result<RecordBatch, ArrowError> {
        let arrays = table.columns.iter().map(|column| {
            let array = match column.name.as_str() {
                OFFSET => Arc::new(self.events.iter().map(|e| i64_from(e.offset)).collect::<Int64Array>()),
                TIME => self.times(),
                name => match self.column(name) {
                    Some(array) => Arc::clone(array),
                    None => match &column.partition {
                        Some(partition) => self.days(partition, is_civil(table, &partition.of)),
                        None if write_metadata => self.metadata(name, &column.data_type),
                        None => new_null_array(&column.data_type, self.events.len()),
                    },
                },
            };
            // They can differ in marks within a STRUCT.
            if array.data_type() == &column.data_type { Ok(array) } else { cast(&array, &column.data_type) }
        });
        RecordBatch::try_new(Arc::clone(&table.schema), arrays.collect::<Result<_, _>>()?)
    }

    fn times(&self) -> ArrayRef {
        let values: Vec<i64> = self.events.iter().map(|event| event.time_us).collect();
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    }

    /// The columns of `write_metadata`; null for one that is none of them.
    fn metadata(&self, name: &str, data_type: &DataType) -> ArrayRef {
        let texts = |value: &dyn Fn(&Event) -> String| -> ArrayRef {
            Arc::new(self.events.iter().map(|event| Some(value(event))).collect::<StringArray>())
        };
        match name {
            // A mended event is the one that it was made of.
            "message_id" => texts(&|event| {
                event.attribute(marks::REPLAY_OF).map_or_else(|| event.offset.to_string(), str::to_owned)
            }),
            "publish_time" => self.times(),
            "attributes" => texts(&text::attributes),
            "ordering_key" => texts(&|event| event.ordering_key().to_owned()),
            _ => new_null_array(data_type, self.events.len()),
        }
    }

    /// The day of a column, in the zone that the table was made with.
    fn days(&self, partition: &PartitionOf, civil: bool) -> ArrayRef {
        // A zone that this machine does not know any more: UTC is as good as any, and rows are not lost.
        let zone = TimeZone::get(&partition.zone).unwrap_or(TimeZone::UTC);
        // A DATETIME is of a zone already.
        let zone = if civil { TimeZone::UTC } else { zone };
        let mut days = Days::of(&zone);
        let values: Vec<Option<i32>> = match self.column(&partition.of) {
            None if partition.of == TIME => self.events.iter().map(|event| days.day(event.time_us)).collect(),
            None => vec![None; self.events.len()],
            Some(values) => {
                let at = instants(values);
                let dates = values.as_primitive_opt::<Date32Type>();
                let day = |row| match dates {
                    Some(dates) => dates.is_valid(row).then(|| dates.value(row)),
                    None => days.day(at(row)?),
                };
                (0..values.len()).map(day).collect()
            }
        };
        Arc::new(Date32Array::from(values))
    }
}

/// Whether a column is a DATETIME: its values are what a clock on the wall says.
fn is_civil(table: &TableView, name: &str) -> bool {
    let named = |column: &&Column| column.name.eq_ignore_ascii_case(name);
    table.columns.iter().find(named).is_some_and(|column| column.naru_type == Some(NaruType::Datetime))
}

/// Microseconds of a row of a DATE, DATETIME or TIMESTAMP column.
fn instants(values: &ArrayRef) -> impl Fn(usize) -> Option<i64> {
    let dates = values.as_primitive_opt::<Date32Type>();
    let instants = values.as_primitive_opt::<TimestampMicrosecondType>();
    move |row| {
        let date = dates.filter(|dates| dates.is_valid(row)).map(|dates| i64::from(dates.value(row)) * DAY_US);
        date.or_else(|| instants.filter(|all| all.is_valid(row)).map(|all| all.value(row)))
    }
}

/// Days of instants in a zone; events near in time are mostly of one quarter of an hour.
struct Days<'a> {
    zone: &'a TimeZone,
    quarter: i64,
    shift_us: i64,
}

impl<'a> Days<'a> {
    fn of(zone: &'a TimeZone) -> Self {
        Self { zone, quarter: i64::MIN, shift_us: 0 }
    }

    /// Days since 1970.
    fn day(&mut self, at_us: i64) -> Option<i32> {
        let quarter = at_us.div_euclid(QUARTER_US);
        if quarter != self.quarter {
            let at = Timestamp::from_microsecond(at_us).ok()?;
            self.shift_us = i64::from(self.zone.to_offset(at).seconds()) * 1_000_000;
            self.quarter = quarter;
        }
        i32::try_from(at_us.saturating_add(self.shift_us).div_euclid(DAY_US)).ok()
    }
}

/// The day of an instant in a zone, in days since 1970.
pub(super) fn day_of(at_us: i64, zone: &TimeZone) -> Option<i32> {
    Days::of(zone).day(at_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_zone() {
        let zone = TimeZone::get("Asia/Seoul").unwrap();
        let mut days = Days::of(&zone);
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        let mut of = |text: &str| days.day(at(text)).unwrap();
        assert_eq!(of("1970-01-01T14:59:59.999999Z"), 0);
        assert_eq!(of("1970-01-01T15:00:00Z"), 1);
        assert_eq!(of("1969-12-31T14:59:59Z"), -1);
        assert_eq!(of("2026-11-22T15:30:00Z"), of("2026-11-23T14:30:00Z"));
    }
}
