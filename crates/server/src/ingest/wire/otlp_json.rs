//! OTLP's JSON form, read into the protobuf messages.
//!
//! Owns: the rules in which it differs from protobuf's usual JSON: lowerCamelCase names only, ids in hex, 64-bit
//! numbers as numbers or text, enumerations as numbers, unknown names ignored.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Request, WireError, otlp};
use crate::generated::opentelemetry::proto::{
    collector::logs::v1::ExportLogsServiceRequest, common::v1 as common, logs::v1 as logs, resource::v1 as resource,
};

/// The records of a JSON request.
pub fn json(body: &[u8]) -> Result<Request, WireError> {
    let read: Body = serde_json::from_slice(body).map_err(|error| {
        let why = format!("{:?} at line {}, column {}", error.classify(), error.line(), error.column());
        WireError::unreadable(otlp::WANTED, why.to_lowercase())
    })?;
    let resource_logs = read.resource_logs.into_iter().map(ResourceLogs::message).collect();
    otlp::records(ExportLogsServiceRequest { resource_logs })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceLogs {
    resource: Scope,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ScopeLogs {
    scope: Scope,
    log_records: Vec<Record>,
}

/// A scope, or a resource, which is a scope without a name.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    name: String,
    version: String,
    attributes: Vec<Pair>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    time_unix_nano: Long<u64>,
    observed_time_unix_nano: Long<u64>,
    severity_number: i32,
    severity_text: String,
    body: Option<Any>,
    attributes: Vec<Pair>,
    dropped_attributes_count: u32,
    flags: u32,
    trace_id: Hex,
    span_id: Hex,
    event_name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pair {
    key: String,
    value: Option<Any>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Any {
    #[serde(rename = "stringValue")]
    string: Option<String>,
    #[serde(rename = "boolValue")]
    bool: Option<bool>,
    #[serde(rename = "intValue")]
    int: Option<Long<i64>>,
    #[serde(rename = "doubleValue")]
    double: Option<Double>,
    #[serde(rename = "arrayValue")]
    array: Option<Values<Any>>,
    #[serde(rename = "kvlistValue")]
    kvlist: Option<Values<Pair>>,
    #[serde(rename = "bytesValue")]
    bytes: Option<Base64>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Values<T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
}

/// A 64-bit number, as a number or as text.
#[derive(Default)]
struct Long<T>(T);

impl<'de, T: std::str::FromStr> Deserialize<'de> for Long<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(D::Error::custom("a 64-bit number is a number or text")),
        };
        text.parse().map(Self).map_err(|_| D::Error::custom("no 64-bit number"))
    }
}

/// A number, or the name of what JSON has no number for.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text.parse().ok(),
            serde_json::Value::Number(number) => number.as_f64(),
            _ => None,
        }
        .map(Self)
        .ok_or_else(|| D::Error::custom("no number"))
    }
}

#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map(Self).map_err(|_| D::Error::custom("an id is no hex"))
    }
}

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map(Self).map_err(|_| D::Error::custom("no base64"))
    }
}

impl ResourceLogs {
    fn message(self) -> logs::ResourceLogs {
        let attributes = self.resource.attributes.into_iter().map(Pair::message).collect();
        logs::ResourceLogs {
            resource: Some(resource::Resource { attributes, ..Default::default() }),
            scope_logs: self.scope_logs.into_iter().map(ScopeLogs::message).collect(),
            schema_url: String::new(),
        }
    }
}

impl ScopeLogs {
    fn message(self) -> logs::ScopeLogs {
        let scope = common::InstrumentationScope {
            name: self.scope.name,
            version: self.scope.version,
            attributes: self.scope.attributes.into_iter().map(Pair::message).collect(),
            dropped_attributes_count: 0,
        };
        let log_records = self.log_records.into_iter().map(Record::message).collect();
        logs::ScopeLogs { scope: Some(scope), log_records, schema_url: String::new() }
    }
}

impl Record {
    fn message(self) -> logs::LogRecord {
        logs::LogRecord {
            time_unix_nano: self.time_unix_nano.0,
            observed_time_unix_nano: self.observed_time_unix_nano.0,
            severity_number: self.severity_number,
            severity_text: self.severity_text,
            body: self.body.map(Any::message),
            attributes: self.attributes.into_iter().map(Pair::message).collect(),
            dropped_attributes_count: self.dropped_attributes_count,
            flags: self.flags,
            trace_id: self.trace_id.0,
            span_id: self.span_id.0,
            event_name: self.event_name,
        }
    }
}

impl Pair {
    fn message(self) -> common::KeyValue {
        common::KeyValue { key: self.key, value: self.value.map(Any::message), key_strindex: 0 }
    }
}

impl Any {
    fn message(self) -> common::AnyValue {
        use common::any_value::Value;
        let array =
            |list: Values<Self>| common::ArrayValue { values: list.values.into_iter().map(Self::message).collect() };
        let pairs =
            |list: Values<Pair>| common::KeyValueList { values: list.values.into_iter().map(Pair::message).collect() };
        let value = None
            .or(self.string.map(Value::StringValue))
            .or(self.bool.map(Value::BoolValue))
            .or(self.int.map(|number| Value::IntValue(number.0)))
            .or(self.double.map(|number| Value::DoubleValue(number.0)))
            .or_else(|| self.array.map(|list| Value::ArrayValue(array(list))))
            .or_else(|| self.kvlist.map(|list| Value::KvlistValue(pairs(list))))
            .or(self.bytes.map(|bytes| Value::BytesValue(bytes.0)));
        common::AnyValue { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_another_kind_is_refused_without_quoting_it() {
        for body in [
            r"{",
            r"[1]",
            r#"{"resourceLogs":{"secret":1}}"#,
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"secret"}]}]}]}"#,
        ] {
            let error = json(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
        }
        assert!(json(b"{}").unwrap().events.is_empty());
    }
}
