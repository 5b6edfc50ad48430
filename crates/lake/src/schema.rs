//! Columns in the log and back: stored names, field metadata, the Arrow schema with true names.
//!
//! Owns: the escaping of names Delta cannot hold, the `naru.*` keys of field metadata, which types can be stored.
//! Never reads a file.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use delta_kernel::{
    engine::arrow_conversion::{TryFromKernel, TryIntoKernel},
    schema::{DataType as DeltaType, MetadataValue, PrimitiveType, StructField, StructType},
};
use naru_base::TableId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    column::{Column, NaruType},
    error::LakeError,
};

const NAME: &str = "naru.name";
const COLUMN: &str = "naru.column";
/// What the stored type does not say; other rooms read it from Arrow field metadata.
pub(crate) const TYPE: &str = "naru.type";
/// What a partition column is of; other rooms read it from Arrow field metadata.
const PARTITION: &str = "naru.partition";
const COMMENT: &str = "comment";

/// The part of a column that has no place of its own in a Delta field.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Extra {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dropped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// Checks columns and key, gives every column a name Delta can hold and the Arrow type it will be read back as.
pub(crate) fn settle(table: &TableId, columns: Vec<Column>, key: &[String]) -> Result<Vec<Column>, LakeError> {
    let wrong = |reason: String| LakeError::Columns { table: table.clone(), reason };
    if columns.is_empty() {
        return Err(wrong("a table needs at least one column".into()));
    }
    let mut names = HashSet::new();
    if let Some(twice) = columns.iter().find(|column| !names.insert(column.name.clone())) {
        return Err(wrong(format!("\"{}\" stands twice", twice.name)));
    }
    if let Some(lost) = key.iter().find(|name| !columns.iter().any(|column| &column.name == *name)) {
        return Err(wrong(format!("the key names \"{lost}\", which is not a column")));
    }
    let mut stored = HashSet::new();
    let mut settled = Vec::with_capacity(columns.len());
    for mut column in columns {
        let fits = |name: &str, taken: &HashSet<String>| {
            !name.is_empty() && !name.contains(cannot_hold) && !taken.contains(&name.to_lowercase())
        };
        if !fits(&column.stored, &stored) {
            column.stored = escape(&column.name);
        }
        if !stored.insert(column.stored.to_lowercase()) {
            return Err(wrong(format!("\"{}\" cannot be told from another column", column.name)));
        }
        column.data_type = readable_type(&column.data_type).ok_or_else(|| {
            wrong(format!("\"{}\" has the type {}, which the lake does not store", column.name, column.data_type))
        })?;
        fill_value(table, &column)?;
        settled.push(column);
    }
    check_partition(table, &settled, key)?;
    Ok(settled)
}

/// A partition column is one that rows need not have, since its value is not in the files.
fn check_partition(table: &TableId, columns: &[Column], key: &[String]) -> Result<(), LakeError> {
    let wrong = |reason: String| LakeError::Columns { table: table.clone(), reason };
    let mut partitions = columns.iter().filter_map(|column| Some((column, column.partition.as_ref()?)));
    let Some((column, partition)) = partitions.next() else { return Ok(()) };
    if let Some((second, _)) = partitions.next() {
        return Err(wrong(format!("\"{}\" and \"{}\" are both partition columns", column.name, second.name)));
    }
    let plain = column.data_type == DataType::Date32 && column.nullable && !column.dropped && column.fill.is_none();
    if !plain || key.contains(&column.name) {
        return Err(wrong(format!("the partition column \"{}\" must be a nullable date outside the key", column.name)));
    }
    if !columns.iter().any(|other| other.name == partition.of && other.name != column.name) {
        return Err(wrong(format!("\"{}\" is of \"{}\", which is not a column", column.name, partition.of)));
    }
    Ok(())
}

fn cannot_hold(letter: char) -> bool {
    matches!(letter, ' ' | ',' | ';' | '{' | '}' | '(' | ')' | '\n' | '\t' | '=' | '\r' | '.' | '`' | '"')
}

/// A stable name for one that Delta cannot hold: what can be kept, then a hash of the whole.
fn escape(name: &str) -> String {
    let kept: String = name.chars().map(|letter| if cannot_hold(letter) { '_' } else { letter }).collect();
    format!("{kept}__{:08x}", xxh3_64(name.as_bytes()) & 0xFFFF_FFFF)
}

/// The Arrow type a stored column is read back as; `None` when it cannot be stored with our features.
fn readable_type(data_type: &DataType) -> Option<DataType> {
    let delta: DeltaType = data_type.try_into_kernel().ok()?;
    if contains_ntz(&delta) {
        return None;
    }
    DataType::try_from_kernel(&delta).ok()
}

fn contains_ntz(delta: &DeltaType) -> bool {
    match delta {
        DeltaType::Primitive(primitive) => *primitive == PrimitiveType::TimestampNtz,
        DeltaType::Array(array) => contains_ntz(&array.element_type),
        DeltaType::Map(map) => contains_ntz(&map.key_type) || contains_ntz(&map.value_type),
        DeltaType::Struct(fields) => fields.fields().any(|field| contains_ntz(field.data_type())),
        // A variant needs a feature of its own, too.
        DeltaType::Variant(_) => true,
    }
}

/// The Delta schema as the log writes it.
pub(crate) fn to_delta(table: &TableId, columns: &[Column]) -> Result<StructType, LakeError> {
    let wrong = |reason: String| LakeError::Columns { table: table.clone(), reason };
    let mut fields = Vec::with_capacity(columns.len());
    for column in columns {
        let delta: DeltaType = (&column.data_type)
            .try_into_kernel()
            .map_err(|error: arrow::error::ArrowError| wrong(error.to_string()))?;
        fields.push(StructField::new(column.stored.clone(), delta, column.nullable).with_metadata(metadata(column)));
    }
    StructType::try_new(fields).map_err(|error| wrong(error.to_string()))
}

fn metadata(column: &Column) -> Vec<(String, MetadataValue)> {
    let mut entries = vec![(NAME.to_owned(), MetadataValue::String(column.name.clone()))];
    if let Some(naru_type) = type_word(column.naru_type) {
        entries.push((TYPE.to_owned(), MetadataValue::String(naru_type)));
    }
    if let Some(comment) = &column.comment {
        entries.push((COMMENT.to_owned(), MetadataValue::String(comment.clone())));
    }
    if let Some(text) = partition_text(column) {
        entries.push((PARTITION.to_owned(), MetadataValue::String(text)));
    }
    let extra = Extra { dropped: column.dropped, fill: column.fill.clone(), source: column.source.clone() };
    if (extra.dropped || extra.fill.is_some() || extra.source.is_some())
        && let Ok(text) = serde_json::to_string(&extra)
    {
        entries.push((COLUMN.to_owned(), MetadataValue::String(text)));
    }
    entries
}

/// The word for [`TYPE`].
pub(crate) fn type_word(naru_type: Option<NaruType>) -> Option<String> {
    naru_type.and_then(|known| serde_json::to_value(known).ok()).and_then(|word| word.as_str().map(str::to_owned))
}

fn partition_text(column: &Column) -> Option<String> {
    column.partition.as_ref().and_then(|partition| serde_json::to_string(partition).ok())
}

/// The columns that a Delta schema says; `partitions` are the stored names of its partition columns.
///
/// # Errors
/// [`LakeError::Feature`] for partitions that are not naru's.
pub(crate) fn from_delta(
    table: &TableId,
    schema: &StructType,
    partitions: &[String],
) -> Result<Vec<Column>, LakeError> {
    let mut columns = schema.fields().map(|field| column_of(table, field)).collect::<Result<Vec<_>, _>>()?;
    for column in &mut columns {
        let known = column.partition.is_some() && column.data_type == DataType::Date32;
        if !partitions.contains(&column.stored) {
            column.partition = None;
        } else if !known || partitions.len() > 1 {
            let feature = format!("partition column {}", column.name);
            return Err(LakeError::Feature { table: table.clone(), feature });
        }
    }
    Ok(columns)
}

fn column_of(table: &TableId, field: &StructField) -> Result<Column, LakeError> {
    let damaged = |reason: String| LakeError::Damaged { table: table.clone(), reason };
    let text = |key: &str| match field.metadata.get(key) {
        Some(MetadataValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let extra: Extra = match text(COLUMN) {
        Some(json) => {
            serde_json::from_str(&json).map_err(|error| damaged(format!("field \"{}\": {error}", field.name())))?
        }
        None => Extra::default(),
    };
    if contains_ntz(field.data_type()) {
        return Err(LakeError::Feature { table: table.clone(), feature: format!("type {}", field.data_type()) });
    }
    Ok(Column {
        name: text(NAME).unwrap_or_else(|| field.name().clone()),
        stored: field.name().clone(),
        data_type: DataType::try_from_kernel(field.data_type())
            .map_err(|error: arrow::error::ArrowError| damaged(error.to_string()))?,
        nullable: field.is_nullable(),
        naru_type: text(TYPE).and_then(|word| serde_json::from_value(serde_json::Value::String(word)).ok()),
        dropped: extra.dropped,
        fill: extra.fill,
        source: extra.source,
        comment: text(COMMENT),
        partition: text(PARTITION).and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// The Arrow schema with true names; `naru.type` and `naru.partition` stand in the field metadata.
pub(crate) fn arrow_schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| {
            let field = Field::new(&column.name, column.data_type.clone(), column.nullable);
            let words = [(TYPE, type_word(column.naru_type)), (PARTITION, partition_text(column))];
            let known = words.into_iter().filter_map(|(key, word)| Some((key.to_owned(), word?)));
            field.with_metadata(known.collect())
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The Arrow schema of files: stored names, without the partition column, whose value stands in the log.
pub(crate) fn file_schema(columns: &[Column]) -> SchemaRef {
    let in_files = columns.iter().filter(|column| column.partition.is_none());
    let fields: Vec<Field> =
        in_files.map(|column| Field::new(&column.stored, column.data_type.clone(), column.nullable)).collect();
    Arc::new(Schema::new(fields))
}

/// The value shown for rows of files that lack the column; `None` means NULL.
///
/// Text forms are those Arrow parses; bytes are lowercase hex.
pub(crate) fn fill_value(table: &TableId, column: &Column) -> Result<Option<ScalarValue>, LakeError> {
    let text = match &column.fill {
        None | Some(serde_json::Value::Null) => return Ok(None),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let wrong = || LakeError::Columns {
        table: table.clone(),
        reason: format!("the default of \"{}\" does not fit its type {}", column.name, column.data_type),
    };
    let value = match &column.data_type {
        DataType::Binary => ScalarValue::Binary(Some(hex::decode(&text).map_err(|_| wrong())?)),
        DataType::Utf8 => ScalarValue::Utf8(Some(text)),
        other => ScalarValue::try_from_string(text, other).map_err(|_| wrong())?,
    };
    if value.is_null() { Err(wrong()) } else { Ok(Some(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Grain, PartitionOf};
    use arrow::datatypes::TimeUnit;

    fn shop() -> TableId {
        TableId::new("shop", "orders")
    }

    #[test]
    fn names_that_delta_cannot_hold_are_stored_escaped_and_come_back_true() {
        let names = ["매출(원)", "가입자 수", "a=b", "plain", "Plain"];
        let columns = names.iter().map(|name| Column::new(*name, DataType::Int64)).collect();
        let settled = settle(&shop(), columns, &["plain".into()]).unwrap();
        let delta = to_delta(&shop(), &settled).unwrap();
        assert!(delta.fields().all(|field| !field.name().contains(cannot_hold)));
        assert_eq!(settled[3].stored, "plain");
        assert_ne!(settled[4].stored.to_lowercase(), "plain");
        let back = from_delta(&shop(), &delta, &[]).unwrap();
        assert_eq!(back, settled);
        assert_eq!(back.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), names);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let columns = vec![Column::new("a", DataType::Int64), Column::new("a", DataType::Utf8)];
        assert!(matches!(settle(&shop(), columns, &[]), Err(LakeError::Columns { .. })));
    }

    #[test]
    fn a_key_that_is_no_column_is_refused() {
        assert!(settle(&shop(), vec![Column::new("a", DataType::Int64)], &["b".into()]).is_err());
    }

    #[test]
    fn a_partition_column_is_a_date_of_another_column_and_comes_back_from_the_log() {
        let partition = |of: &str| PartitionOf { of: of.into(), grain: Grain::Day, zone: "Asia/Seoul".into() };
        let at = || Column::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        let day = |of: &str| Column::new("_day_at", DataType::Date32).with_partition(partition(of));
        let settled = settle(&shop(), vec![at(), day("at")], &["at".into()]).unwrap();
        let delta = to_delta(&shop(), &settled).unwrap();
        assert_eq!(from_delta(&shop(), &delta, &["_day_at".into()]).unwrap(), settled);
        assert_eq!(from_delta(&shop(), &delta, &[]).unwrap()[1].partition, None);
        assert_eq!(file_schema(&settled).fields().len(), 1);
        assert!(from_delta(&shop(), &delta, &["at".into()]).is_err(), "partitions of another tool");
        let text = Column { data_type: DataType::Utf8, ..day("at") };
        let cases = [
            (vec![at(), day("lost")], vec![]),
            (vec![at(), day("_day_at")], vec![]),
            (vec![at(), text], vec![]),
            (vec![at(), Column { nullable: false, ..day("at") }], vec![]),
            (vec![at(), day("at")], vec!["_day_at".to_owned()]),
            (vec![at(), day("at"), Column { name: "_day_b".into(), stored: "_day_b".into(), ..day("at") }], vec![]),
        ];
        for (columns, key) in cases {
            assert!(matches!(settle(&shop(), columns.clone(), &key), Err(LakeError::Columns { .. })), "{columns:?}");
        }
    }

    #[test]
    fn a_timestamp_without_zone_is_refused_because_it_needs_a_feature() {
        let column = Column::new("at", DataType::Timestamp(TimeUnit::Microsecond, None));
        assert!(settle(&shop(), vec![column], &[]).is_err());
    }

    #[test]
    fn defaults_become_values_of_the_columns_type() {
        let cases = [
            (DataType::Int64, serde_json::json!(7)),
            (DataType::Utf8, serde_json::json!("x")),
            (DataType::Boolean, serde_json::json!(true)),
            (DataType::Decimal128(10, 2), serde_json::json!("1.25")),
            (DataType::Date32, serde_json::json!("2024-02-29")),
            (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), serde_json::json!("2024-02-29T01:02:03Z")),
            (DataType::Binary, serde_json::json!("00ff")),
        ];
        for (data_type, fill) in cases {
            let column = Column { fill: Some(fill), ..Column::new("c", data_type.clone()) };
            assert_eq!(fill_value(&shop(), &column).unwrap().unwrap().data_type(), data_type);
        }
        let wrong = Column { fill: Some(serde_json::json!("many")), ..Column::new("c", DataType::Int64) };
        assert!(fill_value(&shop(), &wrong).is_err());
    }
}
