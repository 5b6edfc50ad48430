//! Rows of events: any bytes against columns of every type.
//!
//! Owns: the target [`ROWS`]. A behaviour is the fault, or which columns got a value.

use arrow::array::Array as _;
use naru_lake::rows::{RowBuilder, RowColumn, RowShape, Unknown};
use xxhash_rust::xxh3::xxh3_64;

use crate::targets::Target;

/// The check of one row; an input's first byte chooses what happens to unknown fields.
pub const ROWS: Target = Target { name: "rows", seeds, words: WORDS, run };

/// A value that must never be said back.
const SECRET: &str = "hunter2hunter2";

const COLUMNS: &[(&str, &str)] = &[
    ("s", "STRING"),
    ("i", "INT64"),
    ("f", "FLOAT64"),
    ("n", "NUMERIC"),
    ("bn", "BIGNUMERIC"),
    ("b", "BOOL"),
    ("by", "BYTES"),
    ("d", "DATE"),
    ("dt", "DATETIME"),
    ("t", "TIME"),
    ("ts", "TIMESTAMP"),
    ("j", "JSON"),
    ("a", "ARRAY<STRUCT<x INT64, y ARRAY<TIMESTAMP>, z JSON>>"),
    ("o", "STRUCT<p STRUCT<q NUMERIC>, 나이 INT64>"),
];

const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\u0000",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"hunter2hunter2",
    b"{\"x\":",
    b"[",
    b"]",
    b"}",
    b",",
    b"null",
    b"1e400",
    b"-0",
    b"9223372036854775808",
    b"0.1234567891",
    b"2024-02-30",
    b"+09:00",
    b"\"new\":",
    b"\xea\xb0\x80",
];

fn seeds() -> Vec<Vec<u8>> {
    [
        r#"0{"s":"hunter2hunter2","i":7,"f":1.5,"n":"0.1","bn":1e3,"b":true,"by":"YWI=","d":"2024-02-29"}"#,
        r#"1{"dt":"2024-02-29 01:02:03","t":"1:2","ts":"2024-02-29T01:02:03.5+09:00","j":{"k":[1,null]}}"#,
        r#"2{"a":[{"x":1,"y":["2024-01-01"],"z":null,"w":2},{}],"o":{"p":{"q":-1},"나이":3},"new":"x"}"#,
        r#"0{"i":"7","I":8}"#,
        r#"2{"ts":1700000000.25,"j":"\ud83d\ude00","\u0069":1}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn run(input: &[u8]) -> u64 {
    let Some((first, row)) = input.split_first() else { return 0 };
    let unknown = [Unknown::Extra, Unknown::Reject, Unknown::Evolve][usize::from(*first) % 3];
    let columns = COLUMNS.iter().map(|(name, kind)| RowColumn::new(name, kind, false).unwrap());
    let mut builder = RowBuilder::new(&RowShape::new(columns.collect(), unknown).unwrap());
    builder.push(b"{}").unwrap();
    let pushed = builder.push(row);
    assert_eq!(builder.rows(), 1 + usize::from(pushed.is_ok()), "a fault leaves nothing behind");
    builder.push(b"{\"i\":1}").unwrap();
    let batch = builder.finish().unwrap();
    match pushed {
        Ok(pushed) => {
            let valid: Vec<u8> = batch.columns().iter().map(|array| u8::from(array.is_valid(1))).collect();
            xxh3_64(&valid) ^ u64::try_from(pushed.unknown.len()).unwrap()
        }
        Err(fault) => {
            assert!(!fault.expected.contains(SECRET) && !fault.got.contains(SECRET), "a value was said: {fault}");
            let shown: String = fault.to_string().chars().filter(|letter| !letter.is_ascii_digit()).collect();
            xxh3_64(shown.as_bytes())
        }
    }
}
