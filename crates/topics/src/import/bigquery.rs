//! A BigQuery table's schema.
//!
//! Owns: its types, modes and options, and, where the whole table is described, partition, clustering and expiration.

use serde_json::{Map, Value};

use super::{Gathering, Member, text::quoted, types::Type};

/// Keys that are read; any other is noted.
const READ: [&str; 7] = ["name", "type", "mode", "description", "fields", "precision", "scale"];

pub(super) fn read(schema: &Value, gathering: &mut Gathering) -> Result<(), String> {
    let table = schema.get("schema").map(|_| schema);
    let fields = table.map_or(schema, |table| &table["schema"]);
    let fields = fields.get("fields").unwrap_or(fields);
    let fields = fields.as_array().ok_or("there is no list of fields")?;
    let members = members(fields, gathering)?;
    gathering.row(members);
    if let Some(table) = table.and_then(Value::as_object) {
        layout(table, gathering);
    }
    Ok(())
}

fn members(fields: &[Value], gathering: &mut Gathering) -> Result<Vec<Member>, String> {
    fields
        .iter()
        .map(|field| {
            let field = field.as_object().ok_or("a field is no object")?;
            let name = text(field, "name").ok_or("a field has no name")?;
            gathering.within(name, |gathering| member(name, field, gathering))
        })
        .collect()
}

fn member(name: &str, field: &Map<String, Value>, gathering: &mut Gathering) -> Result<Member, String> {
    let kind = kind(field, gathering)?;
    let mode = text(field, "mode").unwrap_or("NULLABLE").to_ascii_uppercase();
    for (key, value) in field.iter().filter(|(key, value)| !READ.contains(&key.as_str()) && !value.is_null()) {
        gathering.note(match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => format!("has {key} = {value}, which is not kept"),
            _ => format!("has {key}, which is not kept"),
        });
    }
    let description = text(field, "description").filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(match mode.as_str() {
        "REPEATED" => Member { name: name.to_owned(), kind: gathering.array(kind), required: false, description },
        mode => Member { name: name.to_owned(), kind, required: mode == "REQUIRED", description },
    })
}

fn kind(field: &Map<String, Value>, gathering: &mut Gathering) -> Result<Type, String> {
    let word = text(field, "type").ok_or("a field has no type")?.to_ascii_uppercase();
    let limit =
        ["precision", "scale"].into_iter().filter_map(|key| field.get(key).map(|value| format!("{key} {value}")));
    let limit: Vec<String> = limit.collect();
    if !limit.is_empty() {
        gathering.note(format!("has {}, which is not checked", limit.join(" and ")));
    }
    let scalar = match word.as_str() {
        "STRING" => "STRING",
        "INTEGER" | "INT64" => "INT64",
        "FLOAT" | "FLOAT64" => "FLOAT64",
        "BOOLEAN" | "BOOL" => "BOOL",
        "BYTES" => "BYTES",
        "DATE" => "DATE",
        "DATETIME" => "DATETIME",
        "TIME" => "TIME",
        "TIMESTAMP" => "TIMESTAMP",
        "NUMERIC" => "NUMERIC",
        "BIGNUMERIC" => "BIGNUMERIC",
        "JSON" => "JSON",
        "RECORD" | "STRUCT" => {
            let fields = field.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let members = members(fields, gathering)?;
            return Ok(gathering.structure(members));
        }
        other => {
            gathering.note(format!("is STRING: topics have no {other}"));
            "STRING"
        }
    };
    Ok(Type::Scalar(scalar))
}

/// What the table's description says besides its columns.
fn layout(table: &Map<String, Value>, gathering: &mut Gathering) {
    if let Some(partition) = table.get("timePartitioning") {
        let grain = partition["type"].as_str().unwrap_or("DAY").to_ascii_lowercase();
        match partition["field"].as_str() {
            Some(field) if matches!(grain.as_str(), "hour" | "day" | "month") => {
                gathering.setting(format!("partition = {}", quoted(&format!("{grain}({field})"))));
            }
            Some(field) => gathering.note(format!("is partitioned by {grain} of {field}, which topics cannot be")),
            None => gathering.note("is partitioned by ingestion time, as topics are by day"),
        }
        let expiration = partition["expirationMs"].as_str().and_then(|text| text.parse::<u64>().ok());
        if let Some(hours) = expiration.map(|ms| ms / 3_600_000).filter(|hours| *hours > 0) {
            gathering.setting(format!("retention = \"{hours}h\""));
        }
    }
    if table.get("rangePartitioning").is_some() {
        gathering.note("is partitioned by ranges of integers, which topics cannot be");
    }
    let clustering = table.get("clustering").and_then(|clustering| clustering["fields"].as_array());
    if let Some(fields) = clustering {
        let fields: Vec<String> = fields.iter().filter_map(Value::as_str).map(quoted).collect();
        gathering.setting(format!("cluster = [{}]", fields.join(", ")));
    }
    for key in ["labels", "encryptionConfiguration", "tableConstraints", "expirationTime"] {
        if table.get(key).is_some_and(|value| !value.is_null()) {
            gathering.note(format!("has {key}, which is not kept"));
        }
    }
    if let Some(description) = text(table, "description") {
        gathering.note(format!("is described as: {description}"));
    }
}

fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    object.get(key).and_then(Value::as_str)
}
