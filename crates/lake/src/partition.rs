//! Days of rows: which rows may share a file.
//!
//! Owns: splitting a batch by the value of the table's partition column, that value's form in the log, and what it says
//! about a file. Never works a day out; the rows bring it along.

use std::{borrow::Cow, collections::BTreeMap};

use arrow::{
    array::{AsArray as _, UInt32Array},
    compute::take_record_batch,
    datatypes::Date32Type,
    error::ArrowError,
    record_batch::RecordBatch,
};
use chrono::{Datelike as _, Days, NaiveDate};
use datafusion::common::ScalarValue;
use serde_json::{Map, Value};

use crate::{
    column::Column,
    view::{ColumnBounds, FileStats, TableView},
};

/// The first and the last day whose text form all readers share: 0001-01-01 and 9999-12-31. Days beyond count as these.
const DAYS: (i32, i32) = (-719_162, 2_932_896);

/// Rows of one day.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) day: Option<i32>,
    pub(crate) rows: RecordBatch,
    /// Which rows of the batch these are, in order; `None` when they are all of it.
    pub(crate) picks: Option<Vec<u32>>,
}

impl Part {
    /// What belongs to these rows of something that the batch has one of for each row.
    pub(crate) fn pick<'a, T: Copy>(&self, of_batch: &'a [T]) -> Cow<'a, [T]> {
        let Some(picks) = &self.picks else { return Cow::Borrowed(of_batch) };
        let at = |pick: &u32| usize::try_from(*pick).ok().and_then(|at| of_batch.get(at)).copied();
        picks.iter().filter_map(at).collect()
    }
}

/// The rows of a batch with the table's columns by day, each day's in batch order. One part, and no copy, for a table
/// without partitions and for a batch of one day.
pub(crate) fn split(view: &TableView, rows: RecordBatch) -> Result<Vec<Part>, ArrowError> {
    let days = days(view, &rows);
    let Some(first) = days.first().copied() else { return Ok(vec![Part { day: None, rows, picks: None }]) };
    if days.iter().all(|day| *day == first) {
        return Ok(vec![Part { day: first, rows, picks: None }]);
    }
    let mut picks: BTreeMap<Option<i32>, Vec<u32>> = BTreeMap::new();
    for (row, day) in (0..).zip(days) {
        picks.entry(day).or_default().push(row);
    }
    let part = |(day, picks): (Option<i32>, Vec<u32>)| {
        let taken = take_record_batch(&rows, &UInt32Array::from(picks.clone()))?;
        Ok(Part { day, rows: taken, picks: Some(picks) })
    };
    picks.into_iter().map(part).collect()
}

/// Whether all rows are of one day, and which; NULL for a table without partitions and for a batch without rows.
pub(crate) fn only_day(view: &TableView, rows: &RecordBatch) -> Result<Option<i32>, SeveralDays> {
    let days = days(view, rows);
    let first = days.first().copied().flatten();
    if days.iter().all(|day| *day == first) { Ok(first) } else { Err(SeveralDays) }
}

/// A batch has rows of several days.
#[derive(Debug)]
pub(crate) struct SeveralDays;

/// The day of each row; empty for a table without partitions. A batch without the column has no days.
fn days(view: &TableView, rows: &RecordBatch) -> Vec<Option<i32>> {
    let Some(column) = view.partition_column().and_then(|at| view.columns.get(at)) else { return Vec::new() };
    let array = rows.column_by_name(&column.name).and_then(|array| array.as_primitive_opt::<Date32Type>());
    match array {
        Some(array) => array.iter().map(|day| day.map(|day| day.clamp(DAYS.0, DAYS.1))).collect(),
        None => vec![None; rows.num_rows()],
    }
}

/// The `partitionValues` of a file in the log.
pub(crate) fn values(columns: &[Column], day: Option<i32>) -> Value {
    let partition = columns.iter().filter(|column| column.partition.is_some());
    let value = day.and_then(text).map_or(Value::Null, Value::String);
    Value::Object(partition.map(|column| (column.stored.clone(), value.clone())).collect::<Map<_, _>>())
}

/// The folder of a day's files within the table, with a slash behind it; empty where there are no days. The log says the
/// same, but some readers take it from here. They do not find folders with names outside ASCII, so such a table has none.
pub(crate) fn folder(columns: &[Column], day: Option<i32>) -> String {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let Some(column) = columns.iter().find(|column| column.partition.is_some() && plain(&column.stored)) else {
        return String::new();
    };
    let day = day.and_then(text).unwrap_or_else(|| "__HIVE_DEFAULT_PARTITION__".to_owned());
    format!("{}={day}/", column.stored)
}

/// Adds what a file's day says about its rows.
pub(crate) fn describe(stats: &mut FileStats, columns: &[Column], day: Option<i32>, rows: u64) {
    let Some(column) = columns.iter().find(|column| column.partition.is_some()) else { return };
    if let Some(day) = day {
        let value = ScalarValue::Date32(Some(day));
        stats.bounds.insert(column.name.clone(), ColumnBounds { min: value.clone(), max: value });
    }
    stats.nulls.insert(column.name.clone(), if day.is_some() { 0 } else { rows });
}

/// A day as the log writes it.
pub(crate) fn text(day: i32) -> Option<String> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let distance = Days::new(u64::from(day.unsigned_abs()));
    let date = if day < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) }?;
    // Years that every reader's text form can hold.
    (1..=9999).contains(&date.year()).then(|| date.format("%Y-%m-%d").to_string())
}

/// A day as the log writes it, back.
pub(crate) fn day(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let days = date.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();
    i32::try_from(days).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_one_text_form_each_within_the_years_that_readers_share() {
        for (day_number, shown) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (DAYS.0, "0001-01-01"), (DAYS.1, "9999-12-31")]
        {
            assert_eq!(text(day_number).as_deref(), Some(shown));
            assert_eq!(day(shown), Some(day_number));
        }
        assert_eq!((text(DAYS.0 - 1), text(DAYS.1 + 1), text(i32::MIN)), (None, None, None));
        assert_eq!((day("2026-13-01"), day("yesterday")), (None, None));
    }
}
