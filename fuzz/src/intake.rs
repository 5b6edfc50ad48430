//! Parsers of what senders of events put on the wire.
//!
//! Owns: their targets, and what must hold for any bytes: no panic, events that were JSON stay JSON, and an array is
//! taken apart exactly as a parser of JSON takes it apart.
//! Read next: `crates/server/src/ingest/wire`.

use bytes::Bytes;
use naru_server::ingest::wire::{Request, WireError, cloudevents, form, mixpanel, otlp, otlp_json, segment, split};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use crate::Target;

/// Bodies of JSON, taken apart into values.
pub const SPLIT: Target = Target { name: "split", seeds: json_seeds, words: JSON_WORDS, run: taken_apart };

/// Mixpanel's events and changes, as JSON, base64 and forms.
pub const MIXPANEL: Target = Target { name: "mixpanel", seeds: json_seeds, words: JSON_WORDS, run: run_mixpanel };

/// Segment's batches and single calls.
pub const SEGMENT: Target = Target { name: "segment", seeds: json_seeds, words: JSON_WORDS, run: run_segment };

/// CloudEvents in all modes.
pub const CLOUDEVENTS: Target =
    Target { name: "cloudevents", seeds: json_seeds, words: JSON_WORDS, run: run_cloudevents };

/// OTLP logs as protobuf.
pub const OTLP: Target =
    Target { name: "otlp", seeds: otlp_seeds, words: &[b"\x0a\x00", b"\x12", b"\xff\xff\xff\x0f"], run: run_otlp };

/// OTLP logs as JSON.
pub const OTLP_JSON: Target =
    Target { name: "otlp_json", seeds: otlp_json_seeds, words: OTLP_WORDS, run: run_otlp_json };

const JSON_WORDS: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\"",
    b"\\\"",
    b"\\u0000",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"null",
    b"1e999",
    b"\"batch\":[",
    b"\"properties\":{",
    b"\"token\":\"t\"",
    b"\"time\":1795305600",
    b"\"$insert_id\":",
    b"data=",
    b"&verbose=1",
    b"%7B",
    b"\xea\xb0\x80",
];

const OTLP_WORDS: &[&[u8]] = &[
    b"\"resourceLogs\":[",
    b"\"scopeLogs\":[",
    b"\"logRecords\":[",
    b"\"body\":{\"kvlistValue\":{\"values\":[",
    b"\"arrayValue\":{\"values\":[",
    b"\"intValue\":\"",
    b"\"doubleValue\":\"NaN\"",
    b"\"timeUnixNano\":\"18446744073709551615\"",
    b"\"traceId\":\"",
    b"}",
    b"]",
];

fn json_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        r#"{"event":"a","properties":{"token":"t","distinct_id":7,"time":1795305600.25,"$insert_id":"i","가":[1,{"b":"]\\\""}]}}"#,
        r#"[ {"$token":"t","$distinct_id":"u","$time":1,"$set":{"a":1}} , {"$group_key":"k","$unset":["b"]}, "x", 7 ]"#,
        r#"{"batch":[{"type":"track","messageId":"m"},{"context":{}}],"sentAt":"x","context":{"ip":"0"},"writeKey":"k"}"#,
        "{\"a\":1}\n{\"a\":2}\r\n\nno json\n",
        "data=%7B%22event%22%3A%22a%22%7D&verbose=1",
        "eyJldmVudCI6ImEifQ==",
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}"#,
        "",
    ];
    seeds.map(|seed| seed.as_bytes().to_vec()).to_vec()
}

/// One record with a body, attributes and ids, and an empty request.
fn otlp_seeds() -> Vec<Vec<u8>> {
    let text = |field: u8, text: &[u8]| [&[field << 3 | 2, u8::try_from(text.len()).unwrap()], text].concat();
    let value = text(5, &text(1, b"body"));
    let attribute = text(6, &[text(1, b"key"), text(2, &[0x18, 0x07])].concat());
    let time = [&[0x09][..], &1_795_305_600_000_000_000_u64.to_le_bytes()].concat();
    let record = text(2, &[time, value, attribute, text(9, &[0xab; 16]), text(10, &[1; 8])].concat());
    let scope = text(2, &[text(1, &text(1, b"scope")), record].concat());
    vec![text(1, &[text(1, b""), scope].concat()), Vec::new()]
}

fn otlp_json_seeds() -> Vec<Vec<u8>> {
    let seed = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"scope":{"name":"app"},"logRecords":[{"timeUnixNano":"1795305600000000001","severityNumber":9,"body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":7},{"boolValue":true},{"bytesValue":"AQI="}]}}}]}},"traceId":"abababababababababababababababab"}]}]}]}"#;
    vec![seed.as_bytes().to_vec(), b"{}".to_vec()]
}

fn taken_apart(input: &[u8]) -> u64 {
    let body = Bytes::copy_from_slice(input);
    let told = split::values(&body, false);
    if let Ok(values) = &told {
        assert!(values.iter().all(|value| !value.is_empty() && value.trim_ascii().len() == value.len()));
    }
    let plain = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    if let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(plain) {
        let elements: Vec<&[u8]> = elements.iter().map(|element| element.get().as_bytes()).collect();
        assert_eq!(told.as_ref().unwrap(), &elements, "an array of JSON");
    }
    let lines = split::values(&body, true).map(|values| values.len());
    behaviour(&format!("{:?} {lines:?}", told.map(|values| values.len())))
}

fn run_mixpanel(input: &[u8]) -> u64 {
    let body = Bytes::copy_from_slice(input);
    let data = form::field(input, "data").unwrap_or_else(|| body.clone());
    let values = split::values(&body, false).unwrap_or_default();
    let imported = mixpanel::import(&body);
    if let Ok(request) = &imported {
        assert_eq!(request.events.len(), values.len());
        for (sent, value) in request.events.iter().zip(&values) {
            assert!(!is_json(value) || is_json(&sent.data), "{value:?} became {:?}", sent.data);
        }
    }
    behaviour(&[mixpanel::track(&data, "now"), mixpanel::changes(&data), imported].map(told).concat())
}

fn run_segment(input: &[u8]) -> u64 {
    let body = Bytes::copy_from_slice(input);
    let single = segment::single(&body, "track", "now");
    let batch = segment::batch(&body, "now");
    // What was JSON stays it; a message with a value that is none is kept as it is.
    for request in [&single, &batch].into_iter().flatten().filter(|_| is_json(input)) {
        assert!(request.events.iter().all(|sent| is_json(&sent.data)), "{request:?}");
    }
    behaviour(&[batch, single].map(told).concat())
}

fn run_cloudevents(input: &[u8]) -> u64 {
    let body = Bytes::copy_from_slice(input);
    let texts = String::from_utf8_lossy(input);
    let headers = [("ce-id", texts.as_ref()), ("ce-specversion", "1.0"), ("host", "x")];
    let mut said = String::new();
    for kind in [None, Some("application/json"), Some("text/plain"), Some("image/png"), Some(texts.as_ref())] {
        let request = cloudevents::binary(headers.into_iter(), kind, &body);
        assert!(request.events.iter().all(|sent| is_json(&sent.data)), "{request:?}");
        said.push_str(&told(Ok(request)));
    }
    for mode in [cloudevents::Mode::Structured, cloudevents::Mode::Batched] {
        said.push_str(&told(cloudevents::structured(&body, mode)));
    }
    behaviour(&said)
}

fn run_otlp(input: &[u8]) -> u64 {
    behaviour(&told(all_json(otlp::protobuf(input))))
}

fn run_otlp_json(input: &[u8]) -> u64 {
    behaviour(&told(all_json(otlp_json::json(input))))
}

fn all_json(read: Result<Request, WireError>) -> Result<Request, WireError> {
    if let Ok(request) = &read {
        assert!(request.events.iter().all(|sent| is_json(&sent.data)), "{request:?}");
    }
    read
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

/// What a parser did, roughly: which fields its events have, or why there are none.
fn told(read: Result<Request, WireError>) -> String {
    match read {
        Ok(request) => {
            let key = |data: &Bytes| data.iter().filter(|byte| b"{[\",".contains(byte)).count().min(40);
            let shapes: Vec<usize> = request.events.iter().take(4).map(|sent| key(&sent.data)).collect();
            format!("{} {shapes:?} {}", request.events.len(), request.key.is_some())
        }
        Err(error) => error.to_string().chars().filter(|letter| !letter.is_ascii_digit()).collect(),
    }
}

fn behaviour(told: &str) -> u64 {
    xxh3_64(told.as_bytes())
}
