//! What is fuzzed: for each parser its seeds, its words, and a function from input to observed behaviour.
//!
//! Owns: the list. A behaviour is a number; two inputs with the same one taught nothing new.

use std::sync::Arc;

use naru_project::{Environment, FileKind, problems_in};
use naru_sync::postgres::{
    ChangeBuilder, ColumnPlan, ColumnSource, ConnectSettings, CopyDecoder, Decoder, Message, TablePlan, TargetColumn,
    TypeKind, TypeSource, pgoutput,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::messages::{self, Cell};

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name in reports.
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that mean something to the parser.
    pub words: &'static [&'static [u8]],
    /// Runs it; the number stands for what it did.
    pub run: fn(&[u8]) -> u64,
}

/// The decoder of replication messages.
pub const PGOUTPUT: Target = Target { name: "pgoutput", seeds: message_seeds, words: MESSAGE_WORDS, run: decode };

/// Messages on into the column builders, every type.
pub const CHANGES: Target = Target { name: "changes", seeds: message_seeds, words: MESSAGE_WORDS, run: build_changes };

/// Binary `COPY` streams into the column builders.
pub const COPY: Target = Target { name: "copy", seeds: copy_seeds, words: &[b"PGCOPY\n\xff\r\n\0"], run: copy };

/// Connection URLs of sources.
pub const URL: Target = Target { name: "url", seeds: url_seeds, words: URL_WORDS, run: url };

/// Files of a project folder; an input's first byte says which file.
pub const FOLDER: Target = Target { name: "folder", seeds: folder_seeds, words: FOLDER_WORDS, run: folder };

/// How a URL begins whose password must not be shown, whatever is wrong with the rest.
const URL_WITH_PASSWORD: &str = "postgres://u:hunter2hunter2@";
const PASSWORD: &str = "hunter2hunter2";

/// Columns of the one table that seeds and plans know: a name and the oid of a built-in type.
pub const COLUMNS: &[(&str, u32)] = &[
    ("id", 20),
    ("small", 21),
    ("flag", 16),
    ("name", 25),
    ("amount", 1700),
    ("ratio", 701),
    ("at", 1184),
    ("local", 1114),
    ("day", 1082),
    ("hour", 1083),
    ("wait", 1186),
    ("doc", 3802),
    ("key", 2950),
    ("raw", 17),
    ("numbers", 1007),
    ("words", 1009),
    ("period", 3904),
    ("host", 869),
    ("bits", 1560),
    ("hour_zoned", 1266),
];

/// The values of one row as PostgreSQL writes them as text.
const ROW: &[&str] = &[
    "7",
    "-3",
    "t",
    "가나다",
    "-12345678901234567890.0123456789",
    "NaN",
    "2026-11-22 15:40:41.123456+00",
    "infinity",
    "0044-03-15 BC",
    "24:00:00",
    "P1Y2M3DT4H5M6.7S",
    "{\"a\": [1, null]}",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "\\xdeadbeef",
    "[0:1]={1,NULL}",
    "{\"a\\\"b\",NULL,\"\"}",
    "[1,5)",
    "192.168.0.1/24",
    "1011",
    "23:59:60.5+09:30",
];

const MESSAGE_WORDS: &[&[u8]] = &[
    b"infinity",
    b"-infinity",
    b"NaN",
    b" BC",
    b"{{",
    b"}}",
    b"NULL",
    b"\\x",
    b"+15:59:59",
    b"1e309",
    b"294276-12-31",
    b"N\0\x14",
    b"K\0\x14",
    b"O\0\x14",
    b"empty",
];
const URL_WORDS: &[&[u8]] = &[
    b"?sslmode=",
    b"verify-full",
    b"&host=/tmp",
    b"%2F",
    b"@",
    b":",
    b"[::1]",
    b"&connect_timeout=",
    b"&options=-c",
    b"#",
];
const FOLDER_WORDS: &[&[u8]] = &[
    b"[",
    b"]]",
    b"\"",
    b"\"\"\"",
    b" = ",
    b"${",
    b"}",
    b"$${",
    b"kind",
    b"/* naru",
    b"*/",
    b"\n  - ",
    b": ",
    b"&a ",
    b"*a",
    b"!!",
    b"@start",
    b"1e999",
    b"\xea\xb0\x80",
    b"0 6 * * *",
    b"Asia/Seoul",
    b"\t",
    b"\r\n",
    b"\0",
];

fn message_seeds() -> Vec<Vec<u8>> {
    use messages::{begin, commit, delete, framed, insert, logical, relation, stream_frame, truncate, update};
    let row: Vec<Cell<'_>> = ROW.iter().map(|text| Cell::Text(text)).collect();
    let nulls: Vec<Cell<'_>> = std::iter::once(Cell::Text("8")).chain(ROW.iter().skip(1).map(|_| Cell::Null)).collect();
    let kept: Vec<Cell<'_>> =
        std::iter::once(Cell::Text("7")).chain(ROW.iter().skip(1).map(|_| Cell::Unchanged)).collect();
    let binary = binary_row();
    let binary: Vec<Cell<'_>> = binary.iter().map(|value| Cell::Binary(value)).collect();
    let [start, stop, stream_commit, stream_abort] = stream_frame();
    vec![
        framed(&[begin(), relation(), insert(&row), insert(&nulls), commit()]),
        framed(&[relation(), update(None, &kept), update(Some((b'K', &nulls)), &row), delete(&nulls), truncate()]),
        framed(&[relation(), update(Some((b'O', &row)), &kept), insert(&binary)]),
        framed(&[start, stop, stream_abort, stream_commit]),
        framed(&[logical("naru", b"{\"ddl\": true}"), begin()]),
    ]
}

/// Binary forms of the simple types, text where a type's binary form is its text; empty for the others.
fn binary_row() -> Vec<Vec<u8>> {
    let value = |(_, oid): &(&str, u32)| match oid {
        20 => 7_i64.to_be_bytes().to_vec(),
        21 => (-3_i16).to_be_bytes().to_vec(),
        16 => vec![1],
        25 => "가".as_bytes().to_vec(),
        1700 => vec![0, 2, 0, 0, 0x40, 0, 0, 4, 0, 12, 0x0d, 0x80],
        701 => 0.5_f64.to_be_bytes().to_vec(),
        1184 | 1114 | 1083 => 800_000_000_000_000_i64.to_be_bytes().to_vec(),
        1082 => 9000_i32.to_be_bytes().to_vec(),
        1186 => [&5_i64.to_be_bytes()[..], &3_i32.to_be_bytes(), &2_i32.to_be_bytes()].concat(),
        3802 => b"\x01{}".to_vec(),
        2950 => vec![0xa0; 16],
        17 => vec![1, 2, 3],
        1007 => {
            [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4][..], &[0, 0, 0, 9]].concat()
        }
        1009 => [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1][..], b"a"].concat(),
        3904 => vec![2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5],
        869 => vec![2, 24, 0, 4, 192, 168, 0, 1],
        1560 => vec![0, 0, 0, 4, 0xb0],
        _ => [&5_i64.to_be_bytes()[..], &0_i32.to_be_bytes()].concat(),
    };
    COLUMNS.iter().map(value).collect()
}

fn copy_seeds() -> Vec<Vec<u8>> {
    let row: Vec<Option<Vec<u8>>> = binary_row().into_iter().map(Some).collect();
    let nulls = vec![None; row.len()];
    vec![messages::copy(&[]), messages::copy(std::slice::from_ref(&row)), messages::copy(&[nulls, row])]
}

fn url_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "postgres://u:hunter2hunter2@localhost:5432/shop?sslmode=require&application_name=naru",
        "postgres://u:p%40ss@localhost",
        "postgresql:///shop?host=/var/run/postgresql&user=me",
        "postgres://u@[::1]/%EA%B0%80?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "mysql://u@h/db",
        "",
    ];
    seeds.map(|seed| seed.as_bytes().to_vec()).to_vec()
}

/// A kind of file and one that is right.
const FILES: &[(FileKind, &str)] = &[
    (
        FileKind::Settings,
        "[project]\nname = \"acme\"\ntimezone = \"Asia/Seoul\"\n[server]\nhttp = \"127.0.0.1:0\"\npostgres = false\n",
    ),
    (
        FileKind::Source,
        "kind = \"postgres\"\nurl = \"${SHOP_URL}\"\ninclude = [\"public.*\"]\nexclude = [\"public.users.password_hash\"]\n",
    ),
    (
        FileKind::Topic,
        "partition = \"day(at)\"\nretention = \"400d\"\n[columns]\nat = { type = \"TIMESTAMP\", required = true }\nid = \"INT64\"\n",
    ),
    (
        FileKind::Mart,
        "/* naru\nkind: table\nschedule: \"0 6 * * *\"\nchecks: [{unique: [id]}, {warn: {not_null: id}}]\n*/\nSELECT id FROM shop.orders\n",
    ),
    (FileKind::Function, "CREATE FUNCTION f(x INT64) RETURNS INT64 AS (x + 1);\n"),
    (FileKind::Check, "SELECT * FROM shop.orders WHERE amount < 0\n"),
    (FileKind::Access, "[groups]\nall = [\"a@b.c\"]\n"),
];

fn folder_seeds() -> Vec<Vec<u8>> {
    let seed = |(index, (_, text)): (usize, &(FileKind, &str))| {
        [&[u8::try_from(index).unwrap()][..], text.as_bytes()].concat()
    };
    FILES.iter().enumerate().map(seed).collect()
}

fn decode(input: &[u8]) -> u64 {
    let mut decoder = Decoder::new();
    let good = pgoutput::fuzz(input);
    // The kind of the first message and what was wrong with it, without the numbers in the text.
    let first = decoder.decode(input.get(2..).unwrap_or_default());
    behaviour(&format!("{good} {:?} {}", input.get(2), first.err().map(|error| words(&error)).unwrap_or_default()))
}

fn build_changes(input: &[u8]) -> u64 {
    let plan = plan();
    let mut decoder = Decoder::new();
    let mut builder = None;
    let mut told = String::new();
    for message in unframed(input) {
        match decoder.decode(message).map(|decoded| decoded.message) {
            Err(error) => told.push_str(&words(&error)),
            Ok(Message::Relation(relation)) => match ChangeBuilder::new(Arc::clone(&plan), &relation) {
                Ok(made) => builder = Some(made),
                Err(mismatch) => told.push_str(&words(&mismatch)),
            },
            Ok(message) => {
                let Some(builder) = &mut builder else { continue };
                let outcome = match message {
                    Message::Insert { new, .. } => builder.insert(new),
                    Message::Update { old, new, .. } => builder.update(old, new),
                    Message::Delete { old, .. } => builder.delete(old),
                    Message::Truncate { .. } => {
                        builder.truncate();
                        Ok(())
                    }
                    _ => Ok(()),
                };
                told.push_str(&outcome.err().map_or_else(|| "+".to_owned(), |error| words(&error)));
            }
        }
    }
    if let Some(mut builder) = builder {
        let batch = builder.finish().unwrap_or_else(|error| panic!("changes do not fit their own schema: {error}"));
        assert_eq!(batch.rows.num_rows(), batch.ops.len());
    }
    behaviour(&told)
}

fn copy(input: &[u8]) -> u64 {
    let mut whole = CopyDecoder::new(plan());
    let told = whole.feed(input).err().map(|error| words(&error)).unwrap_or_default();
    let rows = whole.take_batch(1).unwrap_or_else(|error| panic!("rows do not fit their own schema: {error}"));
    let count = rows.map_or(0, |rows| rows.num_rows());
    if told.is_empty() {
        // Chunk borders mean nothing: byte by byte gives the same rows.
        let mut pieces = CopyDecoder::new(plan());
        for byte in input.chunks(1) {
            pieces.feed(byte).unwrap_or_else(|error| panic!("whole it was read, in pieces not: {error}"));
        }
        let again = pieces.take_batch(1).ok().flatten().map_or(0, |rows| rows.num_rows());
        assert_eq!(again, count, "whole and in pieces");
        assert_eq!(pieces.end().is_ok(), whole.end().is_ok());
    }
    behaviour(&format!("{count} {told} {}", whole.end().is_ok()))
}

fn url(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    let parsed = ConnectSettings::parse(text);
    let shown = match &parsed {
        Ok(settings) => format!("{settings} {settings:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    let secret = text.strip_prefix(URL_WITH_PASSWORD).is_some_and(|rest| !rest.contains(PASSWORD));
    assert!(!secret || !shown.contains(PASSWORD), "a password is shown: {shown}");
    behaviour(&match parsed {
        Ok(settings) => format!("{:?} {}", settings.ssl_mode, settings.password.is_some()),
        Err(error) => words(&error),
    })
}

fn folder(input: &[u8]) -> u64 {
    let Some((which, text)) = input.split_first() else { return 0 };
    let Ok(text) = std::str::from_utf8(text) else { return 0 };
    let (kind, _) = &FILES[usize::from(*which) % FILES.len()];
    let problems = problems_in(*kind, text, &Environment::of([("SHOP_URL", "postgres://localhost/shop")]));
    let mut codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_ref()).collect();
    codes.dedup();
    for problem in &problems {
        assert!(!problem.summary.is_empty());
        assert!(problem.place.as_ref().is_none_or(|place| place.line > 0 && place.column > 0), "{problem:?}");
    }
    behaviour(&format!("{kind:?} {codes:?}"))
}

/// Input as messages, each behind its two-byte length; a last one may be cut short.
fn unframed(mut input: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let (message, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        found.push(message);
        input = rest;
    }
    found
}

fn plan() -> Arc<TablePlan> {
    let column = |(index, (name, oid)): (usize, &(&str, u32))| {
        let kind = match oid {
            1007 => TypeKind::Array(Box::new(TypeSource::base(23, "int4", -1))),
            1009 => TypeKind::Array(Box::new(TypeSource::base(25, "text", -1))),
            3904 => TypeKind::Range(Some(Box::new(TypeSource::base(23, "int4", -1)))),
            _ => TypeKind::Base,
        };
        let plan = ColumnPlan::new(ColumnSource {
            name: (*name).to_owned(),
            attnum: i16::try_from(index + 1).unwrap(),
            type_source: TypeSource { oid: *oid, name: (*name).to_owned(), typmod: -1, kind },
            dimensions: i16::from(matches!(oid, 1007 | 1009)),
            not_null: index == 0,
            generated: false,
            comment: None,
        });
        TargetColumn { column: plan.column.clone(), plan: Some(plan) }
    };
    Arc::new(TablePlan::new(COLUMNS.iter().enumerate().map(column).collect(), vec![0]))
}

/// An error's text without digits, so that positions and lengths do not make a new behaviour each.
fn words(error: &dyn std::fmt::Display) -> String {
    error.to_string().chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn behaviour(told: &str) -> u64 {
    xxh3_64(told.as_bytes())
}
