//! OpenTelemetry logs over HTTP: each log record is one event.
//!
//! Owns: what a record looks like on the log, from protobuf; [`super::otlp_json`] reads the JSON form into the same
//! messages. Never answers; see `crate::ingest::replies`.
//!
//! An event: `{"time", "observed_time", "severity_number", "severity_text", "event_name", "body", "attributes",
//! "trace_id", "span_id", "flags", "dropped_attributes_count", "resource", "scope"}`; times are RFC 3339, ids hex,
//! bytes base64, `resource` has the resource's attributes, `scope` has `name`, `version`, `attributes`. What is unset
//! is left out. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use serde_json::{Map, Value};

use super::{EVENTS_MAX, Request, Sent, WireError};
use crate::generated::opentelemetry::proto::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    logs::v1::LogRecord,
};

pub(super) const WANTED: &str = "OTLP logs request";

/// A name, and which numbers it is for.
type NotNumber = (&'static str, fn(f64) -> bool);

/// Text among an object's values that JSON has no number for.
const NOT_NUMBERS: [NotNumber; 3] =
    [("NaN", f64::is_nan), ("Infinity", |n| n == f64::INFINITY), ("-Infinity", |n| n == f64::NEG_INFINITY)];

/// The records of a protobuf request.
pub fn protobuf(body: &[u8]) -> Result<Request, WireError> {
    let message = ExportLogsServiceRequest::decode(body);
    records(message.map_err(|error| WireError::unreadable(WANTED, error.to_string()))?)
}

/// The records of a request as events.
pub(super) fn records(request: ExportLogsServiceRequest) -> Result<Request, WireError> {
    let mut events = Vec::new();
    for resource in request.resource_logs {
        let attributes = object(resource.resource.unwrap_or_default().attributes);
        for scope in resource.scope_logs {
            let named = scope.scope.map(scope_of).unwrap_or_default();
            for record in scope.log_records {
                if events.len() == EVENTS_MAX {
                    return Err(WireError::TooMany);
                }
                let event = event(record, &attributes, &named);
                events.push(Sent::plain(Value::Object(event).to_string().into()));
            }
        }
    }
    Ok(Request { events, key: None })
}

fn scope_of(scope: InstrumentationScope) -> Map<String, Value> {
    let mut named = Map::new();
    text(&mut named, "name", scope.name);
    text(&mut named, "version", scope.version);
    attributes(&mut named, "attributes", object(scope.attributes));
    named
}

fn event(record: LogRecord, resource: &Map<String, Value>, scope: &Map<String, Value>) -> Map<String, Value> {
    let mut event = Map::new();
    let mut time = |name: &str, nanoseconds: u64| {
        let moment = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).ok().filter(|_| nanoseconds > 0);
        event.extend(moment.map(|moment| (name.to_owned(), Value::String(moment.to_string()))));
    };
    time("time", record.time_unix_nano);
    time("observed_time", record.observed_time_unix_nano);
    number(&mut event, "severity_number", i64::from(record.severity_number));
    text(&mut event, "severity_text", record.severity_text);
    text(&mut event, "event_name", record.event_name);
    if let Some(body) = record.body {
        event.insert("body".to_owned(), value(body));
    }
    attributes(&mut event, "attributes", object(record.attributes));
    text(&mut event, "trace_id", hex::encode(record.trace_id));
    text(&mut event, "span_id", hex::encode(record.span_id));
    number(&mut event, "flags", i64::from(record.flags));
    number(&mut event, "dropped_attributes_count", i64::from(record.dropped_attributes_count));
    attributes(&mut event, "resource", resource.clone());
    attributes(&mut event, "scope", scope.clone());
    event
}

fn text(into: &mut Map<String, Value>, name: &str, text: String) {
    if !text.is_empty() {
        into.insert(name.to_owned(), Value::String(text));
    }
}

fn number(into: &mut Map<String, Value>, name: &str, number: i64) {
    if number != 0 {
        into.insert(name.to_owned(), number.into());
    }
}

fn attributes(into: &mut Map<String, Value>, name: &str, fields: Map<String, Value>) {
    if !fields.is_empty() {
        into.insert(name.to_owned(), Value::Object(fields));
    }
}

fn object(pairs: Vec<KeyValue>) -> Map<String, Value> {
    pairs.into_iter().map(|pair| (pair.key, pair.value.map_or(Value::Null, value))).collect()
}

/// Depth is bounded by the decoders of both forms.
fn value(any: AnyValue) -> Value {
    match any.value {
        None | Some(any_value::Value::StringValueStrindex(_)) => Value::Null,
        Some(any_value::Value::StringValue(text)) => Value::String(text),
        Some(any_value::Value::BoolValue(truth)) => Value::Bool(truth),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => serde_json::Number::from_f64(number).map_or_else(
            || {
                let name = NOT_NUMBERS.iter().find(|(_, is)| is(number)).map(|(name, _)| *name);
                Value::String(name.unwrap_or_default().to_owned())
            },
            Value::Number,
        ),
        Some(any_value::Value::ArrayValue(list)) => list.values.into_iter().map(value).collect(),
        Some(any_value::Value::KvlistValue(list)) => Value::Object(object(list.values)),
        Some(any_value::Value::BytesValue(bytes)) => Value::String(STANDARD.encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::opentelemetry::proto::{
        logs::v1::{ResourceLogs, ScopeLogs},
        resource::v1::Resource,
    };

    fn pair(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
    }

    fn request() -> ExportLogsServiceRequest {
        let record = LogRecord {
            time_unix_nano: 1_795_305_600_000_000_001,
            severity_number: 9,
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue { value: Some(any_value::Value::StringValue("안녕".to_owned())) }),
            attributes: vec![
                pair("n", any_value::Value::IntValue(i64::MAX)),
                pair("x", any_value::Value::DoubleValue(f64::NAN)),
                pair("raw", any_value::Value::BytesValue(vec![1, 2])),
            ],
            trace_id: vec![0xab; 16],
            span_id: vec![1; 8],
            ..LogRecord::default()
        };
        let scope = InstrumentationScope { name: "app".to_owned(), ..InstrumentationScope::default() };
        let resource = Resource {
            attributes: vec![pair("service.name", any_value::Value::StringValue("shop".to_owned()))],
            ..Resource::default()
        };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: vec![record], schema_url: String::new() }];
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, schema_url: String::new() }],
        }
    }

    const WANTED_EVENT: &str = r#"{"time":"2026-11-22T00:00:00.000000001Z","severity_number":9,"severity_text":"INFO","body":"안녕","attributes":{"n":9223372036854775807,"x":"NaN","raw":"AQI="},"trace_id":"abababababababababababababababab","span_id":"0101010101010101","resource":{"service.name":"shop"},"scope":{"name":"app"}}"#;

    #[test]
    fn a_record_in_protobuf_and_in_json_is_the_same_event() {
        let read = protobuf(&request().encode_to_vec()).unwrap();
        assert_eq!(read.events[0].data, WANTED_EVENT.as_bytes());
        let json = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
            "scopeLogs":[{"scope":{"name":"app"},"logRecords":[{"timeUnixNano":"1795305600000000001","severityNumber":9,
            "severityText":"INFO","body":{"stringValue":"안녕"},"attributes":[{"key":"n","value":{"intValue":"9223372036854775807"}},
            {"key":"x","value":{"doubleValue":"NaN"}},{"key":"raw","value":{"bytesValue":"AQI="}}],
            "traceId":"ABABABABABABABABABABABABABABABAB","spanId":"0101010101010101","new":1}]}]}]}"#;
        let read = super::super::otlp_json::json(json.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&read.events[0].data).unwrap(), WANTED_EVENT);
    }

    #[test]
    fn bytes_that_are_no_request_are_refused() {
        assert!(protobuf(b"\xff\xff\xff").is_err());
        assert!(protobuf(b"").unwrap().events.is_empty());
    }
}
