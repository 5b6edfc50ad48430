//! From a file and the columns that its table has to the columns that the table is to have. Pure.
//!
//! Owns: naru's own columns of a topic's table, their names and order, and what a file may change.
//!
//! A table never loses or renames a column: one that left the file stays, null in later rows. Order: the file's
//! columns, earlier ones that the file no longer has, fields that became columns, those of `write_metadata`, `_extra`,
//! then hidden ones.

use arrow::datatypes::{DataType, TimeUnit};
use naru_base::Problem;
use naru_lake::{Column, Grain, NaruType, PartitionOf, rows::RowColumn};
use naru_project::{
    Topic,
    topic::{METADATA_COLUMNS, TopicColumn, Unknown},
};

use super::types;

/// Fields that are no column, as one JSON object.
pub(crate) const EXTRA: &str = "_extra";
/// The event's offset in its topic.
pub(crate) const OFFSET: &str = "_naru_offset";
/// When the event was accepted.
pub(crate) const TIME: &str = "_naru_time";
/// Before the name of the column that a partition is of.
const DAY_PREFIX: &str = "_day_";
/// In [`Column::source`] of a field that became a column by itself.
const EVOLVED: &str = "evolved";

/// Whether a field became this column by itself.
pub(crate) fn is_evolved(column: &Column) -> bool {
    column.source.as_deref() == Some(EVOLVED)
}

/// A field that becomes a column.
pub(crate) fn evolved(name: &str, sql_type: &str) -> Option<Column> {
    let row = RowColumn::new(name, sql_type, false).ok()?;
    Some(Column { source: Some(EVOLVED.to_owned()), ..row.column })
}

/// The columns that a topic's table is to have. `existing` are those it has, `zone` is the project's, by its name.
///
/// # Errors
/// A column of the file has another type than the table's, or the table is partitioned by another column, with the
/// place in the file.
pub(crate) fn table_columns(topic: &Topic, existing: &[Column], zone: &str) -> Result<Vec<Column>, Box<Problem>> {
    let mut columns = Vec::new();
    for declared in &topic.columns {
        columns.push(declared_column(topic, declared, existing)?);
    }
    let mut own = own_columns(topic);
    own.extend(partition_column(topic, existing, zone)?);
    let is_known = |columns: &[Column], name: &str| columns.iter().any(|one| one.name.eq_ignore_ascii_case(name));
    let kept: Vec<Column> = existing
        .iter()
        .filter(|column| !is_known(&columns, &column.name) && !is_own(&column.name) && !is_known(&own, &column.name))
        .cloned()
        .collect();
    let (evolved, left): (Vec<Column>, Vec<Column>) = kept.into_iter().partition(is_evolved);
    columns.extend(left.into_iter().chain(evolved));
    columns.extend(own.into_iter().map(|column| as_stored(column, existing)));
    // Metadata columns, `_extra` and partition columns of an earlier file stay, too.
    let earlier: Vec<Column> =
        existing.iter().filter(|column| is_own(&column.name) && !is_known(&columns, &column.name)).cloned().collect();
    columns.extend(earlier);
    Ok(columns)
}

fn is_own(name: &str) -> bool {
    name == EXTRA || name.starts_with("_naru_") || name.starts_with(DAY_PREFIX)
}

/// A column of naru's own as the table has it already: its place and stored name do not change.
fn as_stored(column: Column, existing: &[Column]) -> Column {
    existing.iter().find(|has| has.name == column.name).cloned().unwrap_or(column)
}

fn declared_column(topic: &Topic, declared: &TopicColumn, existing: &[Column]) -> Result<Column, Box<Problem>> {
    let wanted = RowColumn::new(&declared.name, &declared.type_name, declared.required);
    let wanted = wanted.map_err(|error| Box::new(error.problem().at(declared.place.clone())))?.column;
    let Some(has) = existing.iter().find(|has| has.name.eq_ignore_ascii_case(&declared.name)) else {
        return Ok(Column { comment: declared.description.clone(), ..wanted });
    };
    let was = types::sql_type(has);
    // Marks inside of structs are not kept, so what is stored is what is compared.
    if was != types::sql_type(&wanted) {
        return Err(Box::new(type_changed(topic, declared, &was)));
    }
    Ok(Column { comment: declared.description.clone(), source: None, ..has.clone() })
}

/// A column whose type the file changed.
pub(super) fn type_changed(topic: &Topic, column: &TopicColumn, was: &str) -> Problem {
    let (name, now) = (&column.name, &column.type_name);
    let summary = format!("column \"{name}\" of topic \"{}\" cannot change from {was} to {now}", topic.name);
    Problem::new("topics.type_changed", summary)
        .detail("The table has rows with that type, and a table never rewrites or renames a column by itself. Events go on being accepted and wait on the log.")
        .hint(format!(
            "Set it back to {was}, and declare a new column beside it for {now}; the old one stays, and is null once senders use the new name."
        ))
        .at(column.place.clone())
}

fn own_columns(topic: &Topic) -> Vec<Column> {
    let mut own = Vec::new();
    if topic.write_metadata {
        own.extend(METADATA_COLUMNS.iter().map(|name| match *name {
            "publish_time" => Column::new(*name, instant()),
            "attributes" => Column::new(*name, DataType::Utf8).with_type(NaruType::Json),
            _ => Column::new(*name, DataType::Utf8),
        }));
    }
    if topic.unknown != Unknown::Reject {
        own.push(Column::new(EXTRA, DataType::Utf8).with_type(NaruType::Json));
    }
    own.push(Column::new(OFFSET, DataType::Int64));
    own.push(Column::new(TIME, instant()));
    own
}

/// The hidden column that the table is partitioned by, of a column or of the time of acceptance. It is chosen when the
/// table is made; one that was made without stays without.
fn partition_column(topic: &Topic, existing: &[Column], zone: &str) -> Result<Option<Column>, Box<Problem>> {
    let wanted = topic.partition.as_ref().map_or(TIME, |partition| partition.column.as_str());
    let declared = topic.columns.iter().find(|column| column.name.eq_ignore_ascii_case(wanted));
    let of = declared.map_or(wanted, |column| column.name.as_str()).to_owned();
    let Some(has) = existing.iter().find(|column| column.partition.is_some()) else {
        let partition = PartitionOf { of: of.clone(), grain: Grain::Day, zone: zone.to_owned() };
        let column = Column::new(format!("{DAY_PREFIX}{of}"), DataType::Date32).with_partition(partition);
        return Ok(existing.is_empty().then_some(column));
    };
    match &has.partition {
        Some(partition) if !partition.of.eq_ignore_ascii_case(&of) => {
            Err(Box::new(partition_changed(topic, &partition.of)))
        }
        _ => Ok(Some(has.clone())),
    }
}

fn partition_changed(topic: &Topic, was: &str) -> Problem {
    let was = if was == TIME { "leave `partition` out".to_owned() } else { format!("set it back to \"day({was})\"") };
    Problem::new("topics.partition_changed", format!("the partition of topic \"{}\" cannot change", topic.name))
        .detail("The files of its table lie in folders by day, and a table is never rewritten by itself. Events go on being accepted and wait on the log.")
        .hint(format!("In the file, {was}. For another partition make another topic."))
        .at(topic.place.clone())
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}
