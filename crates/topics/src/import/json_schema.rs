//! JSON Schema, as far as it says what columns there are.
//!
//! Owns: references within the file, `allOf`, nullable unions, formats. What it checks beyond types (lengths, patterns,
//! values) is noted, not checked.

use serde_json::{Map, Value};

use super::{
    Gathering, Member,
    types::{self, Type},
};

/// Keywords that are read or say nothing about a value; any other is noted.
const READ: [&str; 30] = [
    "$schema",
    "$id",
    "id",
    "$ref",
    "$defs",
    "definitions",
    "$comment",
    "$anchor",
    "$vocabulary",
    "type",
    "format",
    "properties",
    "required",
    "items",
    "prefixItems",
    "additionalProperties",
    "unevaluatedProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "nullable",
    "title",
    "description",
    "examples",
    "example",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "x-order",
];
/// References within references.
const REFERENCES_MAX: usize = 32;

pub(super) fn read(schema: &Value, gathering: &mut Gathering) -> Result<(), String> {
    let mut reader = Reader { root: schema, within: Vec::new(), gathering };
    let top = reader.resolved(schema).ok_or("its $ref leads nowhere in the file")?;
    if top.get("type").is_some_and(|kind| kind != "object") {
        return Err("its top is no object".into());
    }
    if let Some(text) = description(top) {
        reader.gathering.note(format!("is described as: {text}"));
    }
    let closed = [&top["additionalProperties"], &top["unevaluatedProperties"]].iter().any(|more| **more == false);
    let members = reader.members(top);
    gathering.row(members);
    if closed {
        gathering.setting("unknown = \"reject\"");
    }
    Ok(())
}

struct Reader<'s, 'g> {
    root: &'s Value,
    /// References that are being read, outermost first: one that is in itself would have no end.
    within: Vec<&'s str>,
    gathering: &'g mut Gathering,
}

fn description(schema: &Value) -> Option<&str> {
    let text = |key: &str| schema[key].as_str().filter(|text| !text.trim().is_empty());
    text("description").or_else(|| text("title"))
}

fn list<'s>(schema: &'s Value, key: &str) -> &'s [Value] {
    schema[key].as_array().map_or(&[], Vec::as_slice)
}

impl<'s> Reader<'s, '_> {
    /// Follows `$ref` within the file.
    fn resolved(&self, mut schema: &'s Value) -> Option<&'s Value> {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = schema["$ref"].as_str() else { return Some(schema) };
            schema = match reference.strip_prefix('#')? {
                "" => self.root,
                pointer => self.root.pointer(&percent_decoded(pointer))?,
            };
        }
        None
    }

    /// The properties of an object, those of `allOf` included.
    fn members(&mut self, schema: &'s Value) -> Vec<Member> {
        let mut properties: Vec<(&'s str, &'s Value, bool)> = Vec::new();
        self.properties(schema, &mut properties, 0);
        let members = properties.into_iter().map(|(name, schema, required)| {
            self.gathering.path.push(name.to_owned());
            let (kind, nullable) = self.kind(schema);
            self.gathering.path.pop();
            let described = description(schema).or_else(|| self.resolved(schema).and_then(description));
            Member {
                name: name.to_owned(),
                kind,
                required: required && !nullable,
                description: described.map(str::to_owned),
            }
        });
        members.collect()
    }

    fn properties(&mut self, schema: &'s Value, found: &mut Vec<(&'s str, &'s Value, bool)>, depth: usize) {
        let Some(schema) = self.resolved(schema).filter(|_| depth < REFERENCES_MAX) else { return };
        if let Some(object) = schema.as_object() {
            self.note_checks(object);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if !found.iter().any(|(known, ..)| known == name) {
                found.push((name, property, false));
            }
        }
        for part in list(schema, "allOf") {
            self.properties(part, found, depth + 1);
        }
        let required: Vec<&str> = list(schema, "required").iter().filter_map(Value::as_str).collect();
        for (name, _, needed) in found.iter_mut() {
            *needed |= required.contains(name);
        }
        for name in required.into_iter().filter(|name| !found.iter().any(|(known, ..)| known == name)) {
            self.gathering.note(format!("requires \"{name}\", which it does not describe"));
        }
    }

    /// Says which keywords are not checked.
    fn note_checks(&mut self, schema: &Map<String, Value>) {
        for (key, value) in schema.iter().filter(|(key, _)| !READ.contains(&key.as_str())) {
            self.gathering.note(match value {
                Value::Object(_) => format!("has {key}, which is not checked"),
                value => format!("has {key} {value}, which is not checked"),
            });
        }
    }

    /// The type, and whether null is one of its values.
    fn kind(&mut self, schema: &'s Value) -> (Type, bool) {
        let reference = schema["$ref"].as_str();
        if let Some(reference) = reference {
            if self.within.contains(&reference) {
                return (self.gathering.json(format!("{reference} is in itself")), true);
            }
            self.within.push(reference);
        }
        let kind = match self.resolved(schema) {
            Some(resolved) => self.plain(resolved),
            None => (self.gathering.json("its $ref leads nowhere in the file"), true),
        };
        if reference.is_some() {
            self.within.pop();
        }
        kind
    }

    fn plain(&mut self, schema: &'s Value) -> (Type, bool) {
        let Some(object) = schema.as_object() else {
            return (self.gathering.json("it may be anything"), true);
        };
        let described = schema.get("properties").is_some() || schema.get("allOf").is_some();
        if !described {
            self.note_checks(object);
        }
        let nullable = schema["nullable"] == true;
        for key in ["anyOf", "oneOf"] {
            let choices = list(schema, key);
            if choices.is_empty() {
                continue;
            }
            let some: Vec<&Value> = choices.iter().filter(|one| one["type"] != "null").collect();
            return match some.as_slice() {
                [one] => {
                    let (kind, also) = self.kind(one);
                    (kind, nullable || also || some.len() < choices.len())
                }
                _ => (self.gathering.json(format!("it is one of {} things", some.len())), true),
            };
        }
        let words: Vec<&str> = match &schema["type"] {
            Value::String(word) => vec![word],
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ if described => vec!["object"],
            _ => Vec::new(),
        };
        let null = nullable || words.contains(&"null");
        let words: Vec<&str> = words.into_iter().filter(|word| *word != "null").collect();
        match words.as_slice() {
            [word] => (self.word(word, schema), null),
            ["integer", "number"] | ["number", "integer"] => (self.word("number", schema), null),
            [] => (self.gathering.json("it has no type"), true),
            _ => (self.gathering.json(format!("it is one of {}", words.join(", "))), null),
        }
    }

    fn word(&mut self, word: &str, schema: &'s Value) -> Type {
        match word {
            "boolean" => types::BOOL,
            "integer" => types::INT64,
            "number" => self.number(schema),
            "string" => self.string(schema),
            "array" => self.array(schema),
            "object" => {
                let members = self.members(schema);
                if members.is_empty() && schema["additionalProperties"].is_object() {
                    return self.gathering.json("it is a map, whose keys are no columns");
                }
                self.gathering.structure(members)
            }
            other => self.gathering.json(format!("\"{other}\" is no type")),
        }
    }

    fn number(&mut self, schema: &Value) -> Type {
        match schema["format"].as_str() {
            None | Some("double" | "float") => types::FLOAT64,
            Some("decimal") => Type::Scalar("NUMERIC"),
            Some("int32" | "int64") => types::INT64,
            Some(other) => {
                self.gathering.note(format!("has the format {other}, which is not checked"));
                types::FLOAT64
            }
        }
    }

    fn string(&mut self, schema: &Value) -> Type {
        match schema["contentEncoding"].as_str() {
            Some("base64") => return types::BYTES,
            Some(other) => self.gathering.note(format!("has the contentEncoding {other}, which is not undone")),
            None => {}
        }
        match schema["format"].as_str() {
            None => types::STRING,
            Some("date-time") => Type::Scalar("TIMESTAMP"),
            Some("date") => Type::Scalar("DATE"),
            Some("byte") => types::BYTES,
            Some("int64" | "int32") => types::INT64,
            Some("decimal") => Type::Scalar("NUMERIC"),
            Some("time") => {
                self.gathering.note("is STRING: its times of day have a zone, which TIME has not");
                types::STRING
            }
            Some(other) => {
                self.gathering.note(format!("has the format {other}, which is not checked"));
                types::STRING
            }
        }
    }

    fn array(&mut self, schema: &'s Value) -> Type {
        let items = &schema["items"];
        if schema.get("prefixItems").is_some() || items.is_array() {
            return self.gathering.json("each of its elements has a type of its own");
        }
        if !items.is_object() {
            return Type::Array(Box::new(self.gathering.json("its elements may be anything")));
        }
        let (item, nullable) = self.kind(items);
        if nullable && item != types::JSON {
            self.gathering.note("may hold null; an event with a null element is a dead letter");
        }
        self.gathering.array(item)
    }
}

/// The pointer of a reference may be percent-encoded; only what names of properties need is undone.
fn percent_decoded(pointer: &str) -> String {
    pointer.replace("%25", "%").replace("%20", " ").replace("%24", "$").replace("%7B", "{").replace("%7D", "}")
}
