//! Parsers of what Pub/Sub's clients put on the wire.
//!
//! Owns: their targets: filters of subscriptions, REST requests, schemas and the messages checked by them.
//! Read next: `crates/topics/src/subscribe/filter.rs`, `crates/server/src/pubsub`.

use std::sync::LazyLock;

use naru_server::{
    generated::google::pubsub::v1::{Encoding, schema::Type},
    pubsub::{rest::RouteTable, schemas::Definition},
};
use naru_topics::subscribe::Filter;
use xxhash_rust::xxh3::xxh3_64;

use crate::Target;

/// Filters of subscriptions.
pub const FILTER: Target = Target { name: "filter", seeds: filter_seeds, words: FILTER_WORDS, run: filter };

/// REST requests: a line with method and path, then the body.
pub const REST: Target = Target { name: "pubsub_rest", seeds: rest_seeds, words: REST_WORDS, run: rest };

/// Schemas: the first byte says which kind, then the text.
pub const SCHEMA: Target = Target { name: "schema", seeds: schema_seeds, words: SCHEMA_WORDS, run: schema };

/// Messages checked by a schema in all encodings.
pub const MESSAGE: Target = Target { name: "schema_message", seeds: message_seeds, words: SCHEMA_WORDS, run: message };

const FILTER_WORDS: &[&[u8]] =
    &[b"attributes", b".", b":", b" AND ", b" OR ", b"NOT ", b"-", b"(", b")", b"hasPrefix(", b"\"", b"\\u00e9", b"!="];

const REST_WORDS: &[&[u8]] = &[
    b"POST ",
    b"GET ",
    b"/v1/projects/p/topics/t",
    b":publish",
    b"%2F",
    b"?updateMask=a",
    b"\n{",
    b"\"messages\":[",
    b"\"data\":\"aGk=\"",
    b"\"updateMask\":\"a,b\"",
    b"\"seconds\"",
    b"\"10s\"",
    b"null",
];

const SCHEMA_WORDS: &[&[u8]] = &[
    b"{\"type\":",
    b"\"record\"",
    b"\"fields\":[",
    b"\"name\":",
    b"\"R\"",
    b"[\"null\",\"string\"]",
    b"\"items\":",
    b"message M {",
    b"}",
    b"string a = 1;",
    b"syntax = \"proto3\";",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];

const AVRO: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "R"]},
    {"name": "b", "type": {"type": "map", "values": {"type": "array", "items": "int"}}},
    {"name": "c", "type": {"type": "fixed", "name": "F", "size": 2}}]}"#;
const PROTO: &str = "syntax = \"proto3\"; message M { string a = 1; repeated M b = 2; map<string, int64> c = 3; }";

static ROUTES: LazyLock<RouteTable> = LazyLock::new(|| RouteTable::known().unwrap());
static SCHEMAS: LazyLock<[Definition; 2]> = LazyLock::new(|| {
    [Definition::parse(Type::Avro, AVRO).unwrap(), Definition::parse(Type::ProtocolBuffer, PROTO).unwrap()]
});

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn filter_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "attributes:kind",
        "NOT (attributes.kind = \"a\" OR hasPrefix(attributes.\"x/y\", \"b\\n\"))",
        "-attributes.a != \"\\x41\" AND attributes:b",
    ])
}

fn rest_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "POST /v1/projects/p/topics/t:publish\n{\"messages\":[{\"data\":\"aGk=\",\"attributes\":{\"a\":\"b\"}}]}",
        "PUT /v1/projects/p/subscriptions/s\n{\"topic\":\"t\",\"retryPolicy\":{\"minimumBackoff\":\"1.5s\"}}",
        "PATCH /v1/projects/p/topics/t\n{\"topic\":{\"labels\":{}},\"updateMask\":\"labels\"}",
        "GET /v1/projects/p/topics?pageSize=3&pageToken=x\n",
        "POST /v1/projects/p/subscriptions/s:seek\n{\"time\":\"2026-11-23T00:00:00Z\"}",
    ])
}

fn schema_seeds() -> Vec<Vec<u8>> {
    seeds(&[&format!("a{AVRO}"), &format!("p{PROTO}")])
}

fn message_seeds() -> Vec<Vec<u8>> {
    let mut all =
        seeds(&[r#"{"a": null, "b": {"k": [1, 2]}, "c": "xy"}"#, r#"{"a": "x", "b": [{}], "c": {"k": "1"}}"#]);
    all.push(vec![0, 2, 2, b'k', 2, 4, 0, 0, b'x', b'y']);
    all.push(vec![0x0a, 1, b'x', 0x12, 0]);
    all
}

fn behaviour(told: &str) -> u64 {
    let words: String = told.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    xxh3_64(words.as_bytes())
}

fn filter(input: &[u8]) -> u64 {
    let read = Filter::parse(&String::from_utf8_lossy(input));
    // Whatever was understood says yes or no to any attributes.
    let said = read
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .map(|filter| filter.lets_through(&|key| (key != "b").then_some("a")));
    behaviour(&format!("{said:?} {:?}", read.err().map(|mistake| mistake.why)))
}

fn rest(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let (line, body) = text.split_once('\n').unwrap_or((&text, ""));
    let (http, target) = line.split_once(' ').unwrap_or(("POST", line));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    match ROUTES.call(http, path, query, body.as_bytes()) {
        Ok((method, message)) => behaviour(&format!("{} {}", method.full_name(), message.len().min(8))),
        Err(status) => {
            behaviour(&format!("{:?} {}", status.code(), status.message().chars().take(40).collect::<String>()))
        }
    }
}

fn schema(input: &[u8]) -> u64 {
    let (first, text) = input.split_first().unwrap_or((&b'a', &[]));
    let kind = if *first == b'a' { Type::Avro } else { Type::ProtocolBuffer };
    let read = Definition::parse(kind, &String::from_utf8_lossy(text));
    behaviour(&read.map_or_else(|why| why.chars().take(40).collect(), |_| format!("{kind:?} understood")))
}

fn message(input: &[u8]) -> u64 {
    let checks = SCHEMAS.iter().flat_map(|schema| {
        [Encoding::Json, Encoding::Binary].map(|encoding| schema.check(input, encoding).err().unwrap_or_default())
    });
    behaviour(&checks.collect::<Vec<_>>().join("|"))
}
