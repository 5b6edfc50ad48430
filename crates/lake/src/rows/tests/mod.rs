//! What rows promise, held against a slow reference on random rows, and the named cases of the reference pages.

mod plain;
mod reference;

use arrow::{array::AsArray as _, record_batch::RecordBatch};
use naru_testkit::seed;
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Fault, FaultKind, Pushed, RowBuilder, RowColumn, RowShape, Sighting, Unknown};
use reference::Type;

const POLICIES: [Unknown; 3] = [Unknown::Extra, Unknown::Reject, Unknown::Evolve];

/// Values that tell the types apart, as they stand in JSON.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-1",
    "1.5",
    "1.0",
    "1e3",
    "2.50e1",
    "1e400",
    "-1e400",
    "1e-400",
    "0e999999999999999999999",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "12345678901234567890123456789.123456789",
    "0.1234567891",
    "0.1",
    "1700000000",
    "1700000000.1234567",
    "-0.0000001",
    "1e38",
    "1e-38",
    "1e-39",
    "\"\"",
    "\"7\"",
    "\"-12.5\"",
    "\"007\"",
    "\" 7\"",
    "\"1e3\"",
    "\"NaN\"",
    "\"-Infinity\"",
    "\"true\"",
    "\"FALSE\"",
    "\"yes\"",
    "\"가나\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u0037\"",
    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\"",
    "\"YWI=\"",
    "\"YWI\"",
    "\"YWJj\"",
    "\"YWJ\"",
    "\"Y\"",
    "\"Y-_w\"",
    "\"2024-02-29\"",
    "\"2023-02-29\"",
    "\"2024-2-9\"",
    "\"2024-02-29T01:02:03Z\"",
    "\"2024-02-29 01:02:03.5+09:00\"",
    "\"2024-02-29T01:02:03.123456789\"",
    "\"9999-12-31T23:59:59-01:00\"",
    "\"0001-01-01\"",
    "\"0000-01-01\"",
    "\"2024-02-29 UTC\"",
    "\"12:34:56\"",
    "\"1:2\"",
    "\"24:00:00\"",
    "\"23:59:59.9999999\"",
    "[]",
    "[1]",
    "[1,null]",
    "[\"x\", \"2024-01-01\"]",
    "[[1]]",
    "{}",
    "{\"a\":1}",
    "[{\"a\":\"7\",\"z\":[1]},{},{\"z\":2}]",
    "{\"a\":1,\"A\":2}",
    "{\"b\" : [ \"1:2\" ] , \"q r\":{}}",
];

/// What makes a text no JSON, or nearly none.
const PIECES: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\ud800", "\\u12", "\u{0}", "\u{1f}", " ", "\n", "01", "-", "tru", "e5",
    "\u{feff}", "//",
];

fn scalars() -> Vec<(&'static str, Type, bool)> {
    let types = [
        "STRING",
        "INT64",
        "FLOAT64",
        "NUMERIC",
        "BIGNUMERIC",
        "BOOL",
        "BYTES",
        "DATE",
        "DATETIME",
        "TIME",
        "TIMESTAMP",
        "JSON",
    ];
    let names = ["s", "i", "f", "n", "bn", "b", "by", "d", "dt", "t", "ts", "j"];
    let columns = names.into_iter().zip(types);
    columns.map(|(name, kind)| (name, Type::Scalar(kind), name == "i")).collect()
}

fn nested() -> Vec<(&'static str, Type, bool)> {
    let inner = || Type::Struct(vec![("a", Type::Scalar("INT64")), ("b", Type::Array(Box::new(Type::Scalar("TIME"))))]);
    vec![
        ("이름", Type::Scalar("STRING"), true),
        ("one", inner(), false),
        ("many", Type::Array(Box::new(inner())), false),
        ("numbers", Type::Array(Box::new(Type::Scalar("INT64"))), false),
        ("docs", Type::Array(Box::new(Type::Scalar("JSON"))), false),
        ("deep", Type::Struct(vec![("x", Type::Struct(vec![("y", inner()), ("z", Type::Scalar("JSON"))]))]), true),
    ]
}

fn shape(columns: &[(&'static str, Type, bool)], unknown: Unknown) -> RowShape {
    let columns =
        columns.iter().map(|(name, kind, required)| RowColumn::new(name, &kind.to_string(), *required).unwrap());
    RowShape::new(columns.collect(), unknown).unwrap()
}

/// A row whose values mostly have a chance to fit.
fn row(columns: &[(&'static str, Type, bool)], random: &mut StdRng) -> Vec<u8> {
    let mut members: Vec<String> = Vec::new();
    for (name, kind, _) in columns {
        if random.random_ratio(9, 10) {
            let name = if random.random_ratio(1, 10) { name.to_uppercase() } else { (*name).to_owned() };
            members.push(format!(
                "\"{name}\"{}{}",
                if random.random_ratio(1, 5) { " : " } else { ":" },
                value(kind, random)
            ));
        }
    }
    while random.random_ratio(1, 4) {
        let name = ["new", "x y", "_extra", "s", "\\u0069", ""].choose(random).unwrap();
        let at = random.random_range(0..=members.len());
        members.insert(at, format!("\"{name}\": {}", VALUES.choose(random).unwrap()));
    }
    let mut text = format!("{{{}}}", members.join(",")).into_bytes();
    if random.random_ratio(1, 6) {
        let at = random.random_range(0..=text.len());
        match random.random_range(0..4) {
            0 => text.truncate(at),
            1 => text.insert(at, random.random()),
            2 => drop(text.splice(at..at, PIECES.choose(random).unwrap().bytes())),
            _ => drop(text.splice(at..at, "[".repeat(random.random_range(1..150)).into_bytes())),
        }
    }
    text
}

fn value(kind: &Type, random: &mut StdRng) -> String {
    if random.random_ratio(1, 30) {
        return (*VALUES.choose(random).unwrap()).to_owned();
    }
    match kind {
        Type::Scalar(name) => {
            let alike: Vec<&&str> = VALUES.iter().filter(|text| reference::fits(name, text)).collect();
            (**alike.choose(random).unwrap()).to_owned()
        }
        Type::Array(item) => {
            let items: Vec<String> = (0..random.random_range(0..4)).map(|_| value(item, random)).collect();
            format!("[{}]", items.join(", "))
        }
        Type::Struct(fields) => {
            let mut members: Vec<String> = Vec::new();
            for (name, kind) in fields {
                if random.random_ratio(4, 5) {
                    members.push(format!("\"{name}\":{}", value(kind, random)));
                }
                if random.random_ratio(1, 8) {
                    members.push(format!("\"more\":{}", VALUES.choose(random).unwrap()));
                }
            }
            format!("{{{}}}", members.join(","))
        }
    }
}

#[test]
fn every_row_gets_the_verdict_and_the_values_of_a_slow_reference() {
    let (mut random, seed) = seed::rng();
    let (mut rows, mut taken) = (0, 0);
    for round in 0..20 * seed::scale() {
        let columns = if round % 2 == 0 { scalars() } else { nested() };
        let unknown = POLICIES[random.random_range(0..3)];
        let shape = shape(&columns, unknown);
        let mut builder = RowBuilder::new(&shape);
        // A builder is used for batch after batch.
        for _ in 0..2 {
            let mut expected: Vec<Vec<String>> = Vec::new();
            for _ in 0..random.random_range(0..200) {
                let row = row(&columns, &mut random);
                let shown = String::from_utf8_lossy(&row).into_owned();
                let wanted = reference::judge(&columns, unknown, &row);
                let got = builder.push(&row);
                assert_eq!(shape.check(&row).is_ok(), got.is_ok(), "{shown} (seed {seed})");
                match (wanted, got) {
                    (Ok(values), Ok(_)) => expected.push(values),
                    (Err(wanted), Err(got)) => same_fault(&wanted, &got, &format!("{shown} (seed {seed})")),
                    (wanted, got) => panic!("{shown}: expected {wanted:?}, got {got:?} (seed {seed})"),
                }
                assert_eq!(builder.rows(), expected.len(), "{shown} (seed {seed})");
                rows += 1;
            }
            taken += expected.len();
            let batch = builder.finish().unwrap();
            let built: Vec<Vec<String>> = (0..batch.num_rows()).map(|at| values(&batch, at)).collect();
            assert_eq!(built, expected, "seed {seed}");
        }
    }
    assert!(taken * 4 > rows && taken * 4 < rows * 3, "{taken} of {rows} rows fit: the test sees one side only");
}

/// Kind and path. A text that is both too deep and no JSON is either; quoting of paths has a test of its own.
fn same_fault((kind, path): &(FaultKind, String), got: &Fault, shown: &str) {
    let whole = [FaultKind::NotJson, FaultKind::TooDeep];
    if whole.contains(kind) && whole.contains(&got.kind) {
        return;
    }
    assert_eq!(*kind, got.kind, "{shown}: {got}");
    if !path.contains("<quoted>") {
        assert_eq!(*path, got.path, "{shown}: {got}");
    }
}

fn values(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch.columns().iter().map(|array| plain::plain(array, row)).collect()
}

fn builder(columns: &[(&str, &str, bool)], unknown: Unknown) -> RowBuilder {
    let columns = columns.iter().map(|(name, kind, required)| RowColumn::new(name, kind, *required).unwrap());
    RowBuilder::new(&RowShape::new(columns.collect(), unknown).unwrap())
}

#[test]
fn a_fault_says_where_what_was_expected_and_what_came_but_never_the_value() {
    let columns = [
        ("id", "INT64", true),
        ("at", "TIMESTAMP", false),
        ("amount", "NUMERIC", false),
        ("items", "ARRAY<STRUCT<sku STRING, n INT64>>", false),
    ];
    let mut builder = builder(&columns, Unknown::Reject);
    for (row, shown) in [
        ("", "$: expected a JSON object, got nothing"),
        ("[1]", "$: expected a JSON object, got array"),
        ("{\"id\":1", "$: expected JSON, got no comma or closing brace at byte 7"),
        ("{\"id\":1}x", "$: expected JSON, got something after the value at byte 8"),
        ("{}", "$.id: expected INT64, got nothing"),
        ("{\"id\":null}", "$.id: expected INT64, got nothing"),
        ("{\"id\":\"secret\"}", "$.id: expected INT64, got a string that is no number"),
        ("{\"id\":1.5}", "$.id: expected INT64, got a number with a fraction"),
        ("{\"id\":9223372036854775808}", "$.id: expected INT64, got an integer beyond 64 bits"),
        ("{\"id\":[]}", "$.id: expected INT64, got array"),
        ("{\"id\":1,\"ID\":1}", "$.id: expected a field once, got the same field again"),
        (
            "{\"id\":1,\"at\":1700000000000}",
            "$.at: expected TIMESTAMP, got a number that is no second of the years 1 to 9999, counted from 1970",
        ),
        (
            "{\"id\":1,\"amount\":0.30000000000000004}",
            "$.amount: expected NUMERIC, got more than 9 digits behind the point",
        ),
        ("{\"id\":1,\"items\":[{\"n\":1},{\"n\":true}]}", "$.items[1].n: expected INT64, got boolean"),
        ("{\"id\":1,\"items\":[null]}", "$.items[0]: expected an element that is not null, got null"),
        (
            "{\"id\":1,\"items\":[{\"n m\":1}]}",
            "$.items[0].\"n m\": expected a column of the topic, got a field that is none",
        ),
        (
            "{\"id\":\"\\ud800\"}",
            "$: expected JSON, got half a surrogate pair, or no four hexadecimal digits, after \\u at byte 7",
        ),
    ] {
        assert_eq!(builder.push(row.as_bytes()).unwrap_err().to_string(), shown, "{row}");
    }
    assert_eq!(
        builder.push(b"{\"id\":\"\xff\"}").unwrap_err().to_string(),
        "$: expected JSON in UTF-8, got no UTF-8 at byte 7"
    );
    assert_eq!(builder.rows(), 0);
}

#[test]
fn unknown_fields_keep_their_place_and_their_text() {
    let columns =
        [("id", "INT64", false), ("one", "STRUCT<a INT64>", false), ("many", "ARRAY<STRUCT<a INT64>>", false)];
    let mut builder = builder(&columns, Unknown::Extra);
    let rows = [
        r#"{"id":1}"#,
        r#"{"z": 1.50 ,"id":1,"one":{"a":1,"b":{"c":[ 1, 2 ]}},"many":[{"a":1},{"a":2,"x":1,"y":null},{},{"w":"\u0041"}],"새":"x"}"#,
        r#"{"one":null,"id":12345,"big":123456789012345678901234567890}"#,
    ];
    for row in rows {
        assert_eq!(builder.push(row.as_bytes()), Ok(Pushed::default()));
    }
    let batch = builder.finish().unwrap();
    let extra = batch.column(3).as_string::<i32>();
    let extra: Vec<Option<&str>> = extra.iter().collect();
    assert_eq!(
        extra,
        [
            None,
            Some(
                r#"{"z":1.50,"one":{"b":{"c":[ 1, 2 ]}},"many":[null,{"x":1,"y":null},null,{"w":"\u0041"}],"새":"x"}"#
            ),
            Some(r#"{"big":123456789012345678901234567890}"#),
        ]
    );
}

#[test]
fn evolving_topics_hear_of_new_fields_and_the_type_that_would_hold_them() {
    let mut builder = builder(&[("id", "INT64", false), ("one", "STRUCT<a INT64>", false)], Unknown::Evolve);
    let row = r#"{"id":1,"i":7,"f":7.0,"s":"2024-01-01","b":true,"o":{},"n":null,"big":12345678901234567890,"one":{"deeper":1}}"#;
    let seen: Vec<(String, Option<&str>)> = builder
        .push(row.as_bytes())
        .unwrap()
        .unknown
        .into_iter()
        .map(|Sighting { name, sql_type }| (name, sql_type))
        .collect();
    let wanted = [
        ("i", Some("INT64")),
        ("f", Some("FLOAT64")),
        ("s", Some("STRING")),
        ("b", Some("BOOL")),
        ("o", Some("JSON")),
        ("n", None),
        ("big", None),
    ];
    assert_eq!(seen, wanted.map(|(name, kind)| (name.to_owned(), kind)));
}

#[test]
fn a_full_batch_is_no_fault_of_the_row() {
    let mut builder = builder(&[("s", "STRING", false)], Unknown::Extra);
    let long = format!("{{\"s\":\"{}\"}}", "x".repeat(32 << 20));
    assert!(builder.push(long.as_bytes()).is_ok() && !builder.is_full());
    assert!(builder.push(long.as_bytes()).is_ok() && builder.is_full());
    assert_eq!(builder.push(long.as_bytes()).unwrap_err().kind, FaultKind::Full);
    assert_eq!(builder.finish().unwrap().num_rows(), 2);
    assert!(builder.push(b"{}").is_ok());
    let longer = format!("{{\"s\":\"{}\"}}", "x".repeat(64 << 20));
    assert_eq!(builder.push(longer.as_bytes()).unwrap_err().kind, FaultKind::TooLarge);
}

#[test]
fn rows_deeper_than_the_limit_are_refused_at_any_depth() {
    let mut builder = builder(&[("j", "JSON", false)], Unknown::Extra);
    let nested = |levels: usize| format!("{{\"j\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(builder.push(nested(99).as_bytes()).is_ok());
    for levels in [100, 1_000_000] {
        assert_eq!(builder.push(nested(levels).as_bytes()).unwrap_err().kind, FaultKind::TooDeep);
    }
}
