//! Schemas as they are found in the field, and the files they become.

use std::{fs, path::PathBuf};

use naru_project::{Environment, FileKind, problems_in};

use super::*;

/// Imports `text` from a file of this name, and proves that the result is a topic's file without mistakes.
fn imported(name: &str, text: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    let imported = import(&file, None, None).unwrap();
    let toml = imported.to_toml(name);
    let environment = Environment::of_process();
    assert_eq!(problems_in(FileKind::Topic, &toml, &environment), [], "{toml}");
    let notes: Vec<String> = imported.notes.iter().map(|note| format!("{} {}", note.path, note.what)).collect();
    for note in &notes {
        let told: String = note.trim().chars().take(60).collect();
        assert!(toml.contains(&told), "\"{told}\" is not in\n{toml}");
    }
    (toml, notes)
}

/// The lines of the file that are no comments.
fn lines(toml: &str) -> Vec<&str> {
    toml.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

const ORDER_JSON_SCHEMA: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "https://acme.example/order.json",
  "title": "Order placed",
  "type": "object",
  "additionalProperties": false,
  "required": ["event_id", "at", "total"],
  "properties": {
    "event_id": {"type": "string", "format": "uuid", "description": "Made by the \"app\"."},
    "at": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "total": {"type": "number", "minimum": 0},
    "coupon": {"type": ["string", "null"], "maxLength": 20},
    "가격": {"$ref": "#/$defs/money"},
    "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}},
    "tree": {"$ref": "#/$defs/node"},
    "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    "maybe": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    "anything": true,
    "x y": {"type": "boolean"}
  },
  "$defs": {
    "money": {"type": "string", "format": "decimal"},
    "item": {
      "allOf": [{"type": "object", "properties": {"sku": {"type": "string", "pattern": "^[A-Z]+$"}}, "required": ["sku"]}],
      "properties": {"n": {"type": "integer", "default": 1}}
    },
    "node": {"type": "object", "properties": {"name": {"type": "string"}, "below": {"$ref": "#/$defs/node"}}}
  }
}"##;

#[test]
fn a_json_schema_becomes_columns_and_says_what_it_leaves_out() {
    let (toml, notes) = imported("order.json", ORDER_JSON_SCHEMA);
    assert_eq!(
        lines(&toml),
        [
            "unknown = \"reject\"",
            "[columns]",
            "event_id = { type = \"STRING\", required = true, description = \"Made by the \\\"app\\\".\" }",
            "at = { type = \"TIMESTAMP\", required = true }",
            "day = \"DATE\"",
            "total = { type = \"FLOAT64\", required = true }",
            "coupon = \"STRING\"",
            "\"가격\" = \"NUMERIC\"",
            "items = \"ARRAY<STRUCT<n INT64, sku STRING>>\"",
            "tree = \"STRUCT<name STRING, below JSON>\"",
            "either = \"JSON\"",
            "maybe = \"INT64\"",
            "labels = \"JSON\"",
            "grid = \"JSON\"",
            "anything = \"JSON\"",
            "\"x y\" = \"BOOL\"",
        ]
    );
    for note in [
        " is described as: Order placed",
        "event_id has the format uuid, which is not checked",
        "total has minimum 0, which is not checked",
        "coupon has maxLength 20, which is not checked",
        "items has minItems 1, which is not checked",
        "items.sku has pattern \"^[A-Z]+$\", which is not checked",
        "items.n has default 1, which is not checked",
        "items.sku is not checked to be there: only columns can be required",
        "tree.below is JSON: #/$defs/node is in itself",
        "either is JSON: it is one of 2 things",
        "labels is JSON: it is a map, whose keys are no columns",
        "grid is JSON: an array of arrays is no SQL type",
        "anything is JSON: it may be anything",
    ] {
        assert!(notes.iter().any(|told| told == note), "\"{note}\" is not among {notes:#?}");
    }
}

const USER_AVSC: &str = r#"{
  "type": "record", "name": "SignUp", "namespace": "acme.events", "doc": "A person signed up.",
  "fields": [
    {"name": "event_id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When."},
    {"name": "born", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null},
    {"name": "plan", "type": {"type": "enum", "name": "Plan", "symbols": ["FREE", "PAID"]}, "default": "FREE"},
    {"name": "next_plan", "type": ["null", "Plan"], "default": null},
    {"name": "fee", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "huge", "type": {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 20}},
    {"name": "address", "type": {"type": "record", "name": "Address", "fields": [
      {"name": "zip", "type": "string"}, {"name": "lines", "type": {"type": "array", "items": "string"}}]}},
    {"name": "billing", "type": ["null", "acme.events.Address"], "default": null, "aliases": ["bill"]},
    {"name": "traits", "type": {"type": "map", "values": "string"}},
    {"name": "value", "type": ["null", "string", "long"]},
    {"name": "hash", "type": {"type": "fixed", "name": "Md5", "size": 16}},
    {"name": "parent", "type": ["null", "SignUp"], "default": null},
    {"name": "ratio", "type": "double"}, {"name": "ok", "type": "boolean"}
  ]
}"#;

#[test]
fn an_avro_schema_becomes_columns_and_says_what_events_must_look_like() {
    let (toml, notes) = imported("sign_up.avsc", USER_AVSC);
    assert_eq!(
        lines(&toml),
        [
            "[columns]",
            "event_id = { type = \"STRING\", required = true }",
            "at = { type = \"TIMESTAMP\", required = true, description = \"When.\" }",
            "born = \"DATE\"",
            "plan = \"STRING\"",
            "next_plan = \"STRING\"",
            "fee = { type = \"NUMERIC\", required = true }",
            "huge = { type = \"STRING\", required = true }",
            "address = { type = \"STRUCT<zip STRING, lines ARRAY<STRING>>\", required = true }",
            "billing = \"STRUCT<zip STRING, lines ARRAY<STRING>>\"",
            "traits = { type = \"JSON\", required = true }",
            "value = \"JSON\"",
            "hash = { type = \"BYTES\", required = true }",
            "parent = \"STRUCT<event_id STRING, at TIMESTAMP, born DATE, plan STRING, next_plan STRING, fee NUMERIC, \
             huge STRING, address STRUCT<zip STRING, lines ARRAY<STRING>>, billing STRUCT<zip STRING, lines \
             ARRAY<STRING>>, traits JSON, value JSON, hash BYTES, parent JSON, ratio FLOAT64, ok BOOL>\"",
            "ratio = { type = \"FLOAT64\", required = true }",
            "ok = { type = \"BOOL\", required = true }",
        ]
    );
    for note in [
        "at must be text such as 2026-11-23T13:05:00Z in an event; Avro writes a number",
        "plan is one of [\"FREE\",\"PAID\"], which is not checked",
        "plan has the default \"FREE\", which is not filled in",
        "huge is STRING: it has more digits than BIGNUMERIC",
        "billing has the aliases [\"bill\"], which are no names of the column",
        "value is JSON: it is a union of 2 types",
        "parent.parent is JSON: acme.events.SignUp is in itself",
    ] {
        assert!(notes.iter().any(|told| told == note), "\"{note}\" is not among {notes:#?}");
    }
}

const PAYMENT_PROTO: &str = r#"
syntax = "proto3";
package acme.pay;
import "google/protobuf/timestamp.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";

// A payment
// was made.
message Payment {
  // Made by the till.
  string payment_id = 1;
  google.protobuf.Timestamp at = 2;
  uint64 serial = 3;
  int64 amount = 4; // in cents
  optional double rate = 5;
  repeated Line lines = 6;
  map<string, string> labels = 7;
  Status status = 8;
  google.protobuf.Struct extra_fields = 9;
  google.protobuf.Int64Value points = 10;
  oneof payer { string person = 11; string company = 12; }
  bytes receipt = 13;
  Line parent = 14;
  enum Status { UNKNOWN = 0; DONE = 1; }
}
message Line { string sku = 1; uint32 n = 2; repeated Line parts = 3; }
"#;

#[test]
fn a_proto_file_becomes_the_columns_of_its_outermost_message() {
    let (toml, notes) = imported("payment.proto", PAYMENT_PROTO);
    assert_eq!(
        lines(&toml),
        [
            "[columns]",
            "payment_id = { type = \"STRING\", description = \"Made by the till.\" }",
            "at = \"TIMESTAMP\"",
            "serial = \"NUMERIC\"",
            "amount = { type = \"INT64\", description = \"in cents\" }",
            "rate = \"FLOAT64\"",
            "lines = \"ARRAY<STRUCT<sku STRING, n INT64, parts ARRAY<JSON>>>\"",
            "labels = \"JSON\"",
            "status = \"STRING\"",
            "extra_fields = \"JSON\"",
            "points = \"INT64\"",
            "person = \"STRING\"",
            "company = \"STRING\"",
            "receipt = \"BYTES\"",
            "parent = \"STRUCT<sku STRING, n INT64, parts ARRAY<JSON>>\"",
        ]
    );
    for note in [
        "serial is NUMERIC: INT64 ends at 2^63",
        "status is one of UNKNOWN, DONE, which is not checked",
        "lines.parts is JSON: acme.pay.Line is in itself",
        "person is one of \"payer\", of which only one may be there; that is not checked",
    ] {
        assert!(notes.iter().any(|told| told == note), "\"{note}\" is not among {notes:#?}");
    }
}

const BQ_TABLE: &str = r#"{
  "kind": "bigquery#table", "description": "Page views",
  "timePartitioning": {"type": "DAY", "field": "at", "expirationMs": "5184000000"},
  "clustering": {"fields": ["user_id"]},
  "schema": {"fields": [
    {"name": "event_id", "type": "STRING", "mode": "REQUIRED", "maxLength": "36", "description": "Id ${of} it"},
    {"name": "at", "type": "TIMESTAMP", "mode": "REQUIRED"},
    {"name": "user_id", "type": "INTEGER", "mode": "NULLABLE", "policyTags": {"names": ["pii"]}},
    {"name": "price", "type": "NUMERIC", "precision": "10", "scale": "2"},
    {"name": "place", "type": "GEOGRAPHY"},
    {"name": "hits", "type": "RECORD", "mode": "REPEATED", "fields": [
      {"name": "path", "type": "STRING", "mode": "REQUIRED"}, {"name": "ms", "type": "FLOAT"}]},
    {"name": "ok", "type": "BOOLEAN", "defaultValueExpression": "TRUE"},
    {"name": "_extra", "type": "JSON"}
  ]}
}"#;

#[test]
fn a_bigquery_table_becomes_columns_partition_clustering_and_retention() {
    let (toml, notes) = imported("table.json", BQ_TABLE);
    assert_eq!(
        lines(&toml),
        [
            "partition = \"day(at)\"",
            "retention = \"1440h\"",
            "cluster = [\"user_id\"]",
            "[columns]",
            "event_id = { type = \"STRING\", required = true, description = \"Id $${of} it\" }",
            "at = { type = \"TIMESTAMP\", required = true }",
            "user_id = \"INT64\"",
            "price = \"NUMERIC\"",
            "place = \"STRING\"",
            "hits = \"ARRAY<STRUCT<path STRING, ms FLOAT64>>\"",
            "ok = \"BOOL\"",
        ]
    );
    for note in [
        "event_id has maxLength = \"36\", which is not kept",
        "user_id has policyTags, which is not kept",
        "price has precision \"10\" and scale \"2\", which is not checked",
        "place is STRING: topics have no GEOGRAPHY",
        "hits.path is not checked to be there: only columns can be required",
        "ok has defaultValueExpression = \"TRUE\", which is not kept",
        "_extra is no column (JSON): the name is naru's own; its values go to _extra",
    ] {
        assert!(notes.iter().any(|told| told == note), "\"{note}\" is not among {notes:#?}");
    }
    // The list of fields alone, as `bq show --schema` prints it.
    let alone = r#"[{"mode": "NULLABLE", "name": "a", "type": "DATE"}, {"name": "b", "type": "RECORD", "fields": []}]"#;
    assert_eq!(lines(&imported("schema.json", alone).0), ["[columns]", "a = \"DATE\"", "b = \"JSON\""]);
}

fn error(name: &str, text: &str, message: Option<&str>) -> ImportError {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join(name);
    fs::write(&file, text).unwrap();
    import(&file, None, message).unwrap_err()
}

#[test]
fn what_is_no_schema_of_one_row_is_refused_with_a_way_on() {
    assert!(matches!(error("a.json", "{}", None), ImportError::UnknownFormat { .. }));
    assert!(matches!(error("a.json", "[", None), ImportError::UnknownFormat { .. }));
    assert!(matches!(error("a.avsc", "\"string\"", None), ImportError::Malformed { .. }));
    assert!(matches!(error("a.proto", "message {", None), ImportError::Malformed { .. }));
    assert!(matches!(error("a.json", r#"{"$schema": "x", "type": "array"}"#, None), ImportError::Malformed { .. }));
    assert!(matches!(error("a.json", r#"{"$schema": "x", "type": "object"}"#, None), ImportError::Empty { .. }));
    let two = "syntax = \"proto3\"; message A { string a = 1; } message B { string b = 1; }";
    assert!(matches!(error("a.proto", two, None), ImportError::Several { names, .. } if names == ["A", "B"]));
    assert!(matches!(error("a.proto", two, Some("C")), ImportError::Lacks { .. }));
    let wrong = error("a.proto", two, None).problem();
    assert!(wrong.hint.is_some_and(|hint| hint.contains("--message")));
}
