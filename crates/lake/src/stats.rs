//! Bounds and null counts of a data file: gathered while it is written, kept as JSON in the log.
//!
//! Owns: which columns get statistics, their exact JSON forms, widening of what JSON cannot hold exactly.
//! A bound may be wider than the truth, never narrower; a type that cannot promise that has none.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute,
    datatypes::{DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use datafusion::common::ScalarValue;
use naru_base::number::u64_from;
use serde_json::{Map, Value};

use crate::{
    column::Column,
    partition,
    view::{ColumnBounds, FileStats},
};

/// Columns with statistics besides the key's: each costs log bytes whenever a file is touched.
const COLUMNS_MAX: usize = 6;
/// Characters of a text bound, as Delta's own writers keep.
const TEXT_CHARS: usize = 32;

/// Positions (in the table's order) of the columns that get statistics: key columns and what partitions are of, then the
/// first few others. The partition column itself needs none.
pub(crate) fn columns(columns: &[Column], key: &[String]) -> Vec<usize> {
    let usable = |column: &Column| !column.dropped && column.partition.is_none() && has_bounds(&column.data_type);
    let parted = columns.iter().find_map(|column| column.partition.as_ref()).map(|partition| &partition.of);
    let of_key = |column: &Column| key.contains(&column.name) || parted == Some(&column.name);
    let positions = |wanted: &dyn Fn(&Column) -> bool| {
        columns
            .iter()
            .enumerate()
            .filter(|(_, column)| usable(column) && wanted(column))
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    let mut chosen = positions(&of_key);
    let room = COLUMNS_MAX.saturating_sub(chosen.len());
    chosen.extend(positions(&|column| !of_key(column)).into_iter().take(room));
    chosen.sort_unstable();
    chosen
}

fn has_bounds(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Utf8
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, Some(_))
    )
}

/// Bounds of the columns seen so far.
#[derive(Debug)]
pub(crate) struct Gathering {
    columns: Vec<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    at: usize,
    name: String,
    range: Option<(ScalarValue, ScalarValue)>,
    nulls: u64,
}

impl Gathering {
    pub(crate) fn new(columns: &[Column], positions: &[usize]) -> Self {
        let columns = positions
            .iter()
            .filter_map(|at| {
                columns.get(*at).map(|column| Gathered { at: *at, name: column.name.clone(), range: None, nulls: 0 })
            })
            .collect();
        Self { columns }
    }

    /// Adds the rows of one batch, columns in the table's order.
    pub(crate) fn add(&mut self, rows: &[ArrayRef]) {
        for gathered in &mut self.columns {
            let Some(values) = rows.get(gathered.at) else { continue };
            gathered.nulls += u64_from(values.null_count());
            let Some((low, high)) = range(values) else { continue };
            gathered.range = Some(match gathered.range.take() {
                Some((min, max)) => (smaller(min, low), larger(max, high)),
                None => (low, high),
            });
        }
    }

    pub(crate) fn finish(self) -> FileStats {
        let mut stats = FileStats::default();
        for gathered in self.columns {
            if let Some((min, max)) = gathered.range.and_then(|(min, max)| Some((shorten_low(min), shorten_high(max)?)))
            {
                stats.bounds.insert(gathered.name.clone(), ColumnBounds { min, max });
            }
            stats.nulls.insert(gathered.name, gathered.nulls);
        }
        stats
    }
}

fn smaller(a: ScalarValue, b: ScalarValue) -> ScalarValue {
    if b.partial_cmp(&a) == Some(Ordering::Less) { b } else { a }
}

fn larger(a: ScalarValue, b: ScalarValue) -> ScalarValue {
    if b.partial_cmp(&a) == Some(Ordering::Greater) { b } else { a }
}

/// Smallest and largest value; `None` when all are null or the type has no bounds.
fn range(values: &ArrayRef) -> Option<(ScalarValue, ScalarValue)> {
    macro_rules! of {
        ($type:ty, $make:expr) => {{
            let array = values.as_primitive_opt::<$type>()?;
            (compute::min(array)?, compute::max(array)?).map_each($make)
        }};
    }
    Some(match values.data_type() {
        DataType::Int8 => of!(Int8Type, |value| ScalarValue::Int8(Some(value))),
        DataType::Int16 => of!(Int16Type, |value| ScalarValue::Int16(Some(value))),
        DataType::Int32 => of!(Int32Type, |value| ScalarValue::Int32(Some(value))),
        DataType::Int64 => of!(Int64Type, |value| ScalarValue::Int64(Some(value))),
        DataType::Date32 => of!(Date32Type, |value| ScalarValue::Date32(Some(value))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            of!(TimestampMicrosecondType, |value| ScalarValue::TimestampMicrosecond(Some(value), zone.clone()))
        }
        DataType::Utf8 => {
            let array = values.as_string_opt::<i32>()?;
            (compute::min_string(array)?, compute::max_string(array)?)
                .map_each(|value| ScalarValue::Utf8(Some(value.to_owned())))
        }
        _ => return None,
    })
}

trait MapEach<T> {
    fn map_each<R>(self, make: impl Fn(T) -> R) -> (R, R);
}

impl<T> MapEach<T> for (T, T) {
    fn map_each<R>(self, make: impl Fn(T) -> R) -> (R, R) {
        (make(self.0), make(self.1))
    }
}

fn shorten_low(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Utf8(Some(text)) => ScalarValue::Utf8(Some(text.chars().take(TEXT_CHARS).collect())),
        other => other,
    }
}

/// A cut text is made larger than every text that begins with it by the largest character.
fn shorten_high(value: ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Utf8(Some(text)) if text.chars().count() > TEXT_CHARS => {
            let mut cut: String = text.chars().take(TEXT_CHARS).collect();
            cut.push(char::MAX);
            // A text that goes on with the largest character itself has no short bound.
            (text < cut).then_some(ScalarValue::Utf8(Some(cut)))
        }
        other => Some(other),
    }
}

/// The `stats` text of an Add action, by stored names.
pub(crate) fn to_json(stats: &FileStats, rows: u64, tight: bool, columns: &[Column]) -> String {
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for column in columns.iter().filter(|column| column.partition.is_none()) {
        if let Some(bounds) = stats.bounds.get(&column.name)
            && let (Some(min), Some(max)) = (json_of(&bounds.min), json_of(&bounds.max))
        {
            low.insert(column.stored.clone(), min);
            high.insert(column.stored.clone(), max);
        }
        if let Some(count) = stats.nulls.get(&column.name) {
            nulls.insert(column.stored.clone(), (*count).into());
        }
    }
    let mut all = Map::new();
    all.insert("numRecords".into(), rows.into());
    for (name, part) in [("minValues", low), ("maxValues", high), ("nullCount", nulls)] {
        if !part.is_empty() {
            all.insert(name.into(), Value::Object(part));
        }
    }
    if !tight {
        all.insert("tightBounds".into(), false.into());
    }
    Value::Object(all).to_string()
}

fn json_of(value: &ScalarValue) -> Option<Value> {
    match value {
        ScalarValue::Int8(Some(number)) => Some((*number).into()),
        ScalarValue::Int16(Some(number)) => Some((*number).into()),
        ScalarValue::Int32(Some(number)) => Some((*number).into()),
        ScalarValue::Int64(Some(number)) => Some((*number).into()),
        ScalarValue::Utf8(Some(text)) => Some(text.clone().into()),
        ScalarValue::Date32(Some(days)) => partition::text(*days).map(Value::String),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            let at = DateTime::<Utc>::from_timestamp_micros(*micros)?;
            plain_year(at.year()).then(|| at.to_rfc3339_opts(SecondsFormat::Micros, true).into())
        }
        _ => None,
    }
}

/// Years that every reader's text form can hold.
fn plain_year(year: i32) -> bool {
    (1..=9999).contains(&year)
}

/// Rows, bounds and null counts of an Add action's `stats`; unknown columns are left out.
pub(crate) fn from_json(text: &str, columns: &[Column]) -> Option<(u64, FileStats)> {
    let all: Value = serde_json::from_str(text).ok()?;
    let rows = all.get("numRecords")?.as_u64()?;
    let mut stats = FileStats::default();
    for column in columns {
        let part = |name: &str| all.get(name).and_then(|part| part.get(&column.stored));
        if let (Some(min), Some(max)) = (part("minValues"), part("maxValues"))
            && let (Some(min), Some(max)) = (scalar_of(min, &column.data_type), scalar_of(max, &column.data_type))
        {
            stats.bounds.insert(column.name.clone(), ColumnBounds { min, max: widen(max) });
        }
        if let Some(count) = part("nullCount").and_then(Value::as_u64) {
            stats.nulls.insert(column.name.clone(), count);
        }
    }
    Some((rows, stats))
}

fn scalar_of(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(i8::try_from(value.as_i64()?).ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(value.as_i64()?).ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value.as_i64()?).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value.as_i64()?)),
        DataType::Utf8 => ScalarValue::Utf8(Some(value.as_str()?.to_owned())),
        DataType::Date32 => ScalarValue::Date32(Some(partition::day(value.as_str()?)?)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), Some(Arc::clone(zone)))
        }
        _ => return None,
    })
}

/// Other writers keep milliseconds only, cut off; their largest value may be up to 999 µs above what they wrote.
fn widen(max: ScalarValue) -> ScalarValue {
    match max {
        ScalarValue::TimestampMicrosecond(Some(micros), zone) if micros % 1000 == 0 => {
            ScalarValue::TimestampMicrosecond(Some(micros.saturating_add(999)), zone)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Int64Array, StringArray, TimestampMicrosecondArray};

    fn table() -> Vec<Column> {
        vec![
            Column::new("id", DataType::Int64),
            Column { stored: "n_x".into(), ..Column::new("n(x)", DataType::Utf8) },
            Column::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            Column::new("day", DataType::Date32),
            Column::new("share", DataType::Float64),
        ]
    }

    #[test]
    fn bounds_survive_the_log_and_are_never_narrower() {
        let long = "가".repeat(40);
        let rows: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(-5)])),
            Arc::new(StringArray::from(vec![Some(long.as_str()), Some("a"), None])),
            Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_123_456, -1, 0]).with_timezone("UTC")),
            Arc::new(Date32Array::from(vec![-719_162, 0, 20_000])),
        ];
        let chosen = columns(&table(), &["id".into()]);
        assert_eq!(chosen, [0, 1, 2, 3]);
        let mut gathering = Gathering::new(&table(), &chosen);
        gathering.add(&rows);
        let stats = gathering.finish();
        let (count, back) = from_json(&to_json(&stats, 3, true, &table()), &table()).unwrap();
        assert_eq!(count, 3);
        assert_eq!(back.nulls, stats.nulls);
        assert_eq!(back.bounds["id"], stats.bounds["id"]);
        assert_eq!(back.bounds["day"], stats.bounds["day"]);
        let ScalarValue::Utf8(Some(max)) = &back.bounds["n(x)"].max else { panic!("text") };
        assert!(max.as_str() >= long.as_str() && max.chars().count() == TEXT_CHARS + 1);
        assert_eq!(
            back.bounds["at"].max,
            ScalarValue::TimestampMicrosecond(Some(1_700_000_000_123_456), Some("UTC".into()))
        );
    }

    #[test]
    fn values_whose_text_form_readers_do_not_share_have_no_bounds() {
        let rows: Vec<ArrayRef> = vec![Arc::new(Date32Array::from(vec![i32::MAX, -1_000_000]))];
        let columns = vec![Column::new("day", DataType::Date32)];
        let mut gathering = Gathering::new(&columns, &[0]);
        gathering.add(&rows);
        let (_, back) = from_json(&to_json(&gathering.finish(), 2, false, &columns), &columns).unwrap();
        assert!(back.bounds.is_empty());
        assert_eq!(back.nulls["day"], 0);
    }
}
