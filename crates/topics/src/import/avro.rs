//! Avro schemas.
//!
//! Owns: Avro's names, unions and logical types. Events of a topic are JSON as people write it, not Avro's encoding:
//! where the two differ a note says what an event must look like.

use std::{collections::HashMap, path::Path};

use serde_json::{Map, Value};

use super::{
    Format, Gathering, ImportError, Member,
    types::{self, Type},
};

pub(super) fn read(
    file: &Path,
    schema: &Value,
    message: Option<&str>,
    gathering: &mut Gathering,
) -> Result<(), ImportError> {
    let mut names = HashMap::new();
    gather(schema, "", &mut names);
    let top: Vec<&Map<String, Value>> = match schema {
        Value::Array(list) => list.iter().filter_map(Value::as_object).filter(|one| is_record(one)).collect(),
        Value::Object(one) if is_record(one) => vec![one],
        _ => Vec::new(),
    };
    let spelled = |one: &&Map<String, Value>| text(one, "name").unwrap_or_default().to_owned();
    let record = match (message, top.as_slice()) {
        (Some(wanted), _) => {
            let found = top.iter().find(|one| text(one, "name") == Some(wanted)).copied();
            let found = found.or_else(|| names.get(wanted).map(|(one, _)| *one));
            found.ok_or_else(|| ImportError::Lacks {
                file: file.to_owned(),
                message: wanted.to_owned(),
                names: top.iter().map(spelled).collect(),
            })?
        }
        (None, [one]) => one,
        (None, []) => {
            let reason = "its top is no record".to_owned();
            return Err(ImportError::Malformed { file: file.to_owned(), format: Format::Avro, reason });
        }
        (None, several) => {
            return Err(ImportError::Several { file: file.to_owned(), names: several.iter().map(spelled).collect() });
        }
    };
    if let Some(doc) = text(record, "doc") {
        gathering.note(format!("is described as: {doc}"));
    }
    let space = text(record, "namespace").unwrap_or_default();
    let mut reader = Reader { names, within: Vec::new(), gathering };
    let members = reader.members(record, space);
    gathering.row(members);
    Ok(())
}

fn is_record(one: &Map<String, Value>) -> bool {
    matches!(text(one, "type"), Some("record" | "error"))
}

fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    object.get(key).and_then(Value::as_str)
}

/// A named type and the namespace in which its own references stand.
type Names<'s> = HashMap<String, (&'s Map<String, Value>, String)>;

/// Finds every named type below `schema`.
fn gather<'s>(schema: &'s Value, space: &str, names: &mut Names<'s>) {
    match schema {
        Value::Array(list) => list.iter().for_each(|one| gather(one, space, names)),
        Value::Object(one) => {
            let mut space = space.to_owned();
            if let (Some(name), Some("record" | "error" | "enum" | "fixed")) = (text(one, "name"), text(one, "type")) {
                if let Some(own) = text(one, "namespace") {
                    own.clone_into(&mut space);
                } else if let Some((own, _)) = name.rsplit_once('.') {
                    own.clone_into(&mut space);
                }
                names.insert(full(name, &space), (one, space.clone()));
            }
            for key in ["type", "items", "values"] {
                if let Some(inner) = one.get(key).filter(|inner| !inner.is_string()) {
                    gather(inner, &space, names);
                }
            }
            for field in one.get("fields").and_then(Value::as_array).into_iter().flatten() {
                gather(field.get("type").unwrap_or(&Value::Null), &space, names);
            }
        }
        _ => {}
    }
}

fn full(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

struct Reader<'s, 'g> {
    names: Names<'s>,
    /// Records that are being read, outermost first: one that is in itself would have no end.
    within: Vec<String>,
    gathering: &'g mut Gathering,
}

impl<'s> Reader<'s, '_> {
    fn members(&mut self, record: &'s Map<String, Value>, space: &str) -> Vec<Member> {
        let fields = record.get("fields").and_then(Value::as_array).into_iter().flatten();
        fields.filter_map(Value::as_object).map(|field| self.member(field, space)).collect()
    }

    fn member(&mut self, field: &'s Map<String, Value>, space: &str) -> Member {
        let name = text(field, "name").unwrap_or_default();
        self.gathering.path.push(name.to_owned());
        let (kind, nullable) = self.kind(field.get("type").unwrap_or(&Value::Null), space);
        let default = field.get("default");
        if let Some(default) = default.filter(|default| !default.is_null()) {
            self.gathering.note(format!("has the default {default}, which is not filled in"));
        }
        if let Some(aliases) = field.get("aliases") {
            self.gathering.note(format!("has the aliases {aliases}, which are no names of the column"));
        }
        self.gathering.path.pop();
        let description = text(field, "doc").map(str::to_owned);
        Member { name: name.to_owned(), kind, required: !nullable && default.is_none(), description }
    }

    /// The type, and whether null is one of its values.
    fn kind(&mut self, schema: &'s Value, space: &str) -> (Type, bool) {
        match schema {
            Value::String(word) => (self.word(word, space), word == "null"),
            Value::Array(union) => {
                let nullable = union.iter().any(|one| one == "null");
                let some: Vec<&Value> = union.iter().filter(|one| *one != "null").collect();
                match some.as_slice() {
                    [one] => (self.kind(one, space).0, nullable),
                    _ => (self.gathering.json(format!("it is a union of {} types", some.len())), nullable),
                }
            }
            Value::Object(one) => (self.object(one, schema, space), false),
            _ => (self.gathering.json("its type is none of Avro's"), true),
        }
    }

    fn word(&mut self, word: &str, space: &str) -> Type {
        match word {
            "boolean" => types::BOOL,
            "int" | "long" => types::INT64,
            "float" | "double" => types::FLOAT64,
            "string" => types::STRING,
            "bytes" => {
                self.gathering.note("must be base64 in an event; Avro's own JSON writes bytes as letters");
                types::BYTES
            }
            "null" => self.gathering.json("it is always null"),
            name => {
                let known = self.names.get(&full(name, space)).or_else(|| self.names.get(name)).cloned();
                match known {
                    Some((one, space)) => self.named(one, &space),
                    None => self.gathering.json(format!("the type {name} is not in the file")),
                }
            }
        }
    }

    fn object(&mut self, one: &'s Map<String, Value>, whole: &'s Value, space: &str) -> Type {
        if let Some(logical) = text(one, "logicalType")
            && let Some(kind) = self.logical(logical, one)
        {
            return kind;
        }
        match one.get("type") {
            Some(Value::String(word)) => match word.as_str() {
                "record" | "error" | "enum" | "fixed" => {
                    let space = text(one, "namespace").unwrap_or(space).to_owned();
                    self.named(one, &space)
                }
                "array" => {
                    let (item, nullable) = self.kind(one.get("items").unwrap_or(&Value::Null), space);
                    if nullable {
                        self.gathering.note("may hold null in Avro; an event with a null element is a dead letter");
                    }
                    self.gathering.array(item)
                }
                "map" => self.gathering.json("it is a map, whose keys are no columns"),
                word => self.word(word, space),
            },
            Some(inner) if inner != whole => self.kind(inner, space).0,
            _ => self.gathering.json("its type is none of Avro's"),
        }
    }

    fn named(&mut self, one: &'s Map<String, Value>, space: &str) -> Type {
        let name = full(text(one, "name").unwrap_or_default(), space);
        match text(one, "type") {
            Some("enum") => {
                let symbols = one.get("symbols").map(ToString::to_string).unwrap_or_default();
                self.gathering.note(format!("is one of {symbols}, which is not checked"));
                types::STRING
            }
            Some("fixed") => {
                self.gathering.note("has a fixed length, which is not checked, and must be base64 in an event");
                types::BYTES
            }
            _ if self.within.contains(&name) => self.gathering.json(format!("{name} is in itself")),
            _ => {
                self.within.push(name);
                let members = self.members(one, space);
                self.within.pop();
                self.gathering.structure(members)
            }
        }
    }

    fn logical(&mut self, logical: &str, one: &Map<String, Value>) -> Option<Type> {
        let number = |key: &str| one.get(key).and_then(Value::as_u64);
        let (kind, example) = match logical {
            "date" => ("DATE", "2026-11-23"),
            "time-millis" | "time-micros" => ("TIME", "13:05:00"),
            "timestamp-millis" | "timestamp-micros" | "timestamp-nanos" => ("TIMESTAMP", "2026-11-23T13:05:00Z"),
            "local-timestamp-millis" | "local-timestamp-micros" | "local-timestamp-nanos" => {
                ("DATETIME", "2026-11-23T13:05:00")
            }
            "uuid" => {
                self.gathering.note("is a UUID, which is not checked");
                return Some(types::STRING);
            }
            "decimal" => {
                let kind = types::decimal(number("precision")?, number("scale").unwrap_or(0));
                let Some(kind) = kind else {
                    self.gathering.note("is STRING: it has more digits than BIGNUMERIC");
                    return Some(types::STRING);
                };
                self.gathering.note("must be a number in an event, or its text; Avro writes bytes");
                return Some(kind);
            }
            other => {
                self.gathering.note(format!("has the logical type {other}, which is not kept"));
                return None;
            }
        };
        self.gathering.note(format!("must be text such as {example} in an event; Avro writes a number"));
        Some(Type::Scalar(kind))
    }
}
