//! Avro, as far as checking a message needs it.
//!
//! Owns: reading a schema's JSON, and walking a message in Avro's binary or JSON encoding along it. Never builds a
//! value.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// How deep schemas and messages may go.
const DEPTH_MAX: usize = 64;
/// Values of one message; elements without bytes would otherwise make a few bytes endless work.
const VALUES_MAX: usize = 10_000_000;

/// A schema.
#[derive(Debug)]
pub struct Avro {
    root: Shape,
    named: HashMap<String, Shape>,
}

#[derive(Debug, Clone)]
enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Record(Vec<(String, Shape)>),
    Enum(Vec<String>),
    Array(Box<Shape>),
    Map(Box<Shape>),
    /// Each with the name that stands before it in JSON.
    Union(Vec<(String, Shape)>),
    Fixed(usize),
    Named(String),
}

impl Avro {
    /// Reads a schema's text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let mut reader = Reader { named: HashMap::new(), depth: 0 };
        let (_, root) = reader.shape(&value, "")?;
        let schema = Self { root, named: reader.named };
        match schema.resolved(&schema.root) {
            Shape::Record(_) => Ok(schema),
            _ => Err("the outermost type must be a record".to_owned()),
        }
    }

    fn resolved<'a>(&'a self, shape: &'a Shape) -> &'a Shape {
        match shape {
            Shape::Named(name) => self.named.get(name).unwrap_or(&Shape::Null),
            shape => shape,
        }
    }

    /// Checks a message in Avro's binary encoding, without a header.
    pub(super) fn check_binary(&self, bytes: &[u8]) -> Result<(), String> {
        let mut walk = Binary { schema: self, rest: bytes, values: 0 };
        walk.value(&self.root, 0)?;
        if walk.rest.is_empty() { Ok(()) } else { Err(format!("{} bytes follow the end", walk.rest.len())) }
    }

    /// Checks a message in Avro's JSON encoding.
    pub(super) fn check_json(&self, bytes: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no JSON at line {}, column {}", error.line(), error.column()))?;
        self.json(&self.root, &value, "$", 0)
    }

    fn json(&self, shape: &Shape, value: &Value, path: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("{path} is too deep"));
        }
        let is = |fits: bool, expected: &str| {
            if fits { Ok(()) } else { Err(format!("{path} must be {expected}")) }
        };
        match self.resolved(shape) {
            Shape::Null | Shape::Named(_) => is(value.is_null(), "null"),
            Shape::Boolean => is(value.is_boolean(), "a boolean"),
            Shape::Int => is(value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()), "an int"),
            Shape::Long => is(value.as_i64().is_some(), "a long"),
            Shape::Float | Shape::Double => is(value.is_number(), "a number"),
            Shape::Bytes => is(value.as_str().is_some_and(|text| text.chars().all(is_byte)), "bytes as text"),
            Shape::Text => is(value.is_string(), "a string"),
            Shape::Fixed(size) => {
                let fits =
                    value.as_str().is_some_and(|text| text.chars().all(is_byte) && text.chars().count() == *size);
                is(fits, "bytes of a fixed size")
            }
            Shape::Enum(symbols) => is(
                value.as_str().is_some_and(|text| symbols.iter().any(|symbol| symbol == text)),
                "a symbol of the enum",
            ),
            Shape::Array(inner) => {
                let list = value.as_array().ok_or_else(|| format!("{path} must be an array"))?;
                let mut elements = list.iter().enumerate();
                elements.try_for_each(|(at, one)| self.json(inner, one, &format!("{path}[{at}]"), depth + 1))
            }
            Shape::Map(inner) => {
                let map = value.as_object().ok_or_else(|| format!("{path} must be an object"))?;
                map.values().try_for_each(|one| self.json(inner, one, &format!("{path}.*"), depth + 1))
            }
            Shape::Record(fields) => self.record(fields, value, path, depth),
            Shape::Union(branches) => self.union(branches, value, path, depth),
        }
    }

    fn record(&self, fields: &[(String, Shape)], value: &Value, path: &str, depth: usize) -> Result<(), String> {
        let map = value.as_object().ok_or_else(|| format!("{path} must be an object"))?;
        if map.len() > fields.len() || map.keys().any(|key| fields.iter().all(|(name, _)| name != key)) {
            return Err(format!("{path} has a field that the schema does not have"));
        }
        for (name, shape) in fields {
            let inner = map.get(name).ok_or_else(|| format!("{path}.{name} is missing"))?;
            self.json(shape, inner, &format!("{path}.{name}"), depth + 1)?;
        }
        Ok(())
    }

    fn union(&self, branches: &[(String, Shape)], value: &Value, path: &str, depth: usize) -> Result<(), String> {
        let wrong = || format!("{path} must be null or an object with the name of its type, where the union has it");
        if value.is_null() {
            return if branches.iter().any(|(name, _)| name == "null") { Ok(()) } else { Err(wrong()) };
        }
        let object = value.as_object().filter(|object| object.len() == 1);
        let (name, inner) = object.and_then(|object| object.iter().next()).ok_or_else(wrong)?;
        let (_, shape) = branches.iter().find(|(branch, _)| branch == name && branch != "null").ok_or_else(wrong)?;
        self.json(shape, inner, path, depth + 1)
    }
}

/// Avro writes bytes as text with one character a byte.
fn is_byte(letter: char) -> bool {
    u32::from(letter) < 256
}

/// A walk over the binary encoding.
struct Binary<'a> {
    schema: &'a Avro,
    rest: &'a [u8],
    values: usize,
}

impl<'a> Binary<'a> {
    fn value(&mut self, shape: &'a Shape, depth: usize) -> Result<(), String> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err("it is too deep or too large".to_owned());
        }
        match self.schema.resolved(shape) {
            Shape::Null | Shape::Named(_) => Ok(()),
            Shape::Boolean => match self.take(1)? {
                [0 | 1] => Ok(()),
                _ => Err("a boolean is neither 0 nor 1".to_owned()),
            },
            Shape::Int => i32::try_from(self.long()?).map(|_| ()).map_err(|_| "an int is too large".to_owned()),
            Shape::Long => self.long().map(|_| ()),
            Shape::Float => self.take(4).map(|_| ()),
            Shape::Double => self.take(8).map(|_| ()),
            Shape::Bytes => self.sized().map(|_| ()),
            Shape::Text => {
                let text = self.sized()?;
                std::str::from_utf8(text).map(|_| ()).map_err(|_| "a string is not UTF-8".to_owned())
            }
            Shape::Fixed(size) => self.take(*size).map(|_| ()),
            Shape::Enum(symbols) => {
                let at = usize::try_from(self.long()?).ok();
                at.filter(|at| *at < symbols.len()).map(|_| ()).ok_or_else(|| "an enum has no such symbol".to_owned())
            }
            Shape::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok().and_then(|at| branches.get(at));
                let (_, inner) = branch.ok_or_else(|| "a union has no such branch".to_owned())?;
                self.value(inner, depth + 1)
            }
            Shape::Record(fields) => fields.iter().try_for_each(|(_, inner)| self.value(inner, depth + 1)),
            Shape::Array(inner) => self.blocks(inner, false, depth),
            Shape::Map(inner) => self.blocks(inner, true, depth),
        }
    }

    fn blocks(&mut self, inner: &'a Shape, keyed: bool, depth: usize) -> Result<(), String> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The block's size in bytes follows; everything in it is walked all the same.
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                if keyed {
                    let key = self.sized()?;
                    std::str::from_utf8(key).map_err(|_| "a map's key is not UTF-8".to_owned())?;
                }
                self.value(inner, depth + 1)?;
            }
        }
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or_else(|| "it ends too early".to_owned())?;
        self.rest = rest;
        Ok(taken)
    }

    fn sized(&mut self) -> Result<&'a [u8], String> {
        let size = usize::try_from(self.long()?).map_err(|_| "a length is negative".to_owned())?;
        self.take(size)
    }

    /// A zigzag number of at most ten bytes.
    fn long(&mut self) -> Result<i64, String> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take(1)? else { return Err("it ends too early".to_owned()) };
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let half = i64::try_from(number >> 1).unwrap_or(i64::MAX);
                return Ok(if number & 1 == 1 { -half - 1 } else { half });
            }
        }
        Err("a number is too long".to_owned())
    }
}

/// Reads a schema's JSON.
struct Reader {
    named: HashMap<String, Shape>,
    depth: usize,
}

impl Reader {
    /// The name that a union's JSON has for it, and the shape.
    fn shape(&mut self, value: &Value, namespace: &str) -> Result<(String, Shape), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is too deep".to_owned());
        }
        let read = match value {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(object) => self.object(object, namespace),
            _ => Err("a type is a name, a list or an object".to_owned()),
        };
        self.depth -= 1;
        read
    }

    fn by_name(&self, name: &str, namespace: &str) -> Result<(String, Shape), String> {
        let shape = match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" => Shape::Int,
            "long" => Shape::Long,
            "float" => Shape::Float,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "string" => Shape::Text,
            name => {
                let known =
                    [full(name, namespace), name.to_owned()].into_iter().find(|name| self.named.contains_key(name));
                let name = known.ok_or_else(|| format!("there is no type {name}"))?;
                return Ok((name.clone(), Shape::Named(name)));
            }
        };
        Ok((name.to_owned(), shape))
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Result<(String, Shape), String> {
        let read = branches.iter().map(|branch| self.shape(branch, namespace)).collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<&String> = read.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        if read.is_empty() || names.len() != read.len() {
            return Err("a union needs branches of different types".to_owned());
        }
        if read.iter().any(|(_, shape)| matches!(shape, Shape::Union(_))) {
            return Err("a union must not be directly in a union".to_owned());
        }
        Ok((String::new(), Shape::Union(read)))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<(String, Shape), String> {
        let kind = object.get("type").ok_or_else(|| "a type has no \"type\"".to_owned())?;
        let Some(kind) = kind.as_str() else { return self.shape(kind, namespace) };
        let inner = |name: &str| object.get(name).ok_or_else(|| format!("an {kind} has no \"{name}\""));
        match kind {
            "array" => Ok(("array".to_owned(), Shape::Array(Box::new(self.shape(inner("items")?, namespace)?.1)))),
            "map" => Ok(("map".to_owned(), Shape::Map(Box::new(self.shape(inner("values")?, namespace)?.1)))),
            "record" | "error" | "enum" | "fixed" => self.named_type(kind, object, namespace),
            kind => self.by_name(kind, namespace),
        }
    }

    fn named_type(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<(String, Shape), String> {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let namespace = text("namespace").unwrap_or(namespace);
        let name = text("name").filter(|name| !name.is_empty()).ok_or_else(|| format!("a {kind} has no name"))?;
        let name = full(name, namespace);
        let namespace = name.rsplit_once('.').map(|(namespace, _)| namespace.to_owned()).unwrap_or_default();
        // Known by its name while its own fields are read.
        if self.named.insert(name.clone(), Shape::Null).is_some() {
            return Err(format!("there are two types {name}"));
        }
        let list =
            |field: &str| object.get(field).and_then(Value::as_array).ok_or_else(|| format!("{name} has no {field}"));
        let shape = match kind {
            "enum" => {
                let symbols: Vec<String> =
                    list("symbols")?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                if symbols.is_empty() {
                    return Err(format!("{name} has no symbols"));
                }
                Shape::Enum(symbols)
            }
            "fixed" => {
                let size = object.get("size").and_then(Value::as_u64).ok_or_else(|| format!("{name} has no size"))?;
                Shape::Fixed(naru_base::number::usize_from(size))
            }
            _ => {
                let mut fields: Vec<(String, Shape)> = Vec::new();
                for field in list("fields")? {
                    let field_name = field.get("name").and_then(Value::as_str).unwrap_or_default();
                    if field_name.is_empty() || fields.iter().any(|(known, _)| known == field_name) {
                        return Err(format!("{name} has a field without a name, or two of one name"));
                    }
                    let of = field.get("type").ok_or_else(|| format!("{name}.{field_name} has no type"))?;
                    fields.push((field_name.to_owned(), self.shape(of, &namespace)?.1));
                }
                Shape::Record(fields)
            }
        };
        self.named.insert(name.clone(), shape);
        Ok((name.clone(), Shape::Named(name)))
    }
}

fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "string"},
        {"name": "won", "type": "long"},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["new", "paid"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "before", "type": ["null", "Order"]}]}"#;

    #[test]
    fn messages_are_checked_in_both_encodings() {
        let schema = Avro::parse(ORDER).unwrap();
        let binary = [2, b'a', 10, 2, 2, 2, b'x', 0, 2, 2, b'n', 0];
        assert_eq!(schema.check_binary(&binary), Ok(()));
        for cut in 0..binary.len() {
            assert!(schema.check_binary(&binary[..cut]).is_err(), "{cut}");
        }
        assert!(schema.check_binary(&[&binary[..], &[0]].concat()).is_err());
        let json = |note: &str, before: &str, state: &str| {
            format!(r#"{{"id": "a", "won": 5, "state": "{state}", "tags": ["x"], "note": {note}, "before": {before}}}"#)
        };
        let inner = json("null", "null", "new");
        let whole = json(r#"{"string": "n"}"#, &format!(r#"{{"shop.Order": {inner}}}"#), "paid");
        assert_eq!(schema.check_json(whole.as_bytes()), Ok(()));
        for (bad, path) in [
            (json("\"n\"", "null", "new"), "$.note"),
            (json("null", "null", "lost"), "$.state"),
            (inner.replace('5', "5.5"), "$.won"),
            (inner.replace("\"won\": 5, ", ""), "$.won"),
            (inner.replace("\"won\"", "\"wonn\""), "$ has"),
        ] {
            let why = schema.check_json(bad.as_bytes()).unwrap_err();
            assert!(why.starts_with(path), "{why}");
        }
    }

    #[test]
    fn a_few_bytes_are_never_endless_work_and_bad_schemas_are_refused() {
        let nothing =
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}"#;
        let schema = Avro::parse(nothing).unwrap();
        assert!(schema.check_binary(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]).is_err());
        let itself = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "R"}]}"#;
        assert!(Avro::parse(itself).unwrap().check_binary(&[]).is_err());
        for bad in [
            "",
            "5",
            "\"string\"",
            "{}",
            r#"{"type": "record", "name": "R"}"#,
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "nothing"}]}"#,
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": []}]}"#,
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["int", "int"]}]}"#,
        ] {
            assert!(Avro::parse(bad).is_err(), "{bad}");
        }
    }
}
