//! Events of JSON into Parquet on one core: naru, which checks every row and keeps what is no column, beside arrow-json,
//! which checks nothing and loses a whole batch for one row that does not fit.
//!
//! Owns: both sides and their order; they take turns, batch sizes and Parquet's writer are the same. What `simd-json`'s
//! tape takes stands beside them: it is the part that no reader can do without.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    datatypes::{Schema, SchemaRef},
    json::ReaderBuilder,
    record_batch::RecordBatch,
};
use naru_base::number::u64_from;
use naru_lake::rows::{RowBuilder, RowColumn, RowShape, Unknown};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::report;

const ROUNDS: usize = 5;
const BATCH: usize = 8192;

const NESTED: &[(&str, &str)] = &[
    ("event_id", "STRING"),
    ("name", "STRING"),
    ("at", "TIMESTAMP"),
    ("user_id", "INT64"),
    ("session", "STRING"),
    ("amount", "FLOAT64"),
    ("ok", "BOOL"),
    ("tags", "ARRAY<STRING>"),
    ("context", "STRUCT<page STRING, referrer STRING, screen STRUCT<w INT64, h INT64>, locale STRING>"),
    ("note", "STRING"),
];

const FLAT: &[(&str, &str)] = &[
    ("event_id", "STRING"),
    ("name", "STRING"),
    ("at", "TIMESTAMP"),
    ("user_id", "INT64"),
    ("session", "STRING"),
    ("amount", "FLOAT64"),
    ("ok", "BOOL"),
    ("page", "STRING"),
    ("referrer", "STRING"),
    ("note", "STRING"),
];

pub async fn run() {
    let events: u64 = std::env::var("NARU_BENCH_ROWS").map_or(200_000, |rows| rows.parse().expect("a number"));
    tokio::task::spawn_blocking(move || {
        measure("nested", NESTED, &(0..events).map(nested).collect::<Vec<_>>());
        measure("flat", FLAT, &(0..events).map(flat).collect::<Vec<_>>());
    })
    .await
    .expect("the bench");
}

fn measure(name: &str, columns: &[(&str, &str)], events: &[String]) {
    let bytes: usize = events.iter().map(String::len).sum();
    let rows = u64_from(events.len());
    println!("{name}: {rows} events of {} bytes, batches of {BATCH} rows, one core", bytes / events.len().max(1));
    let declared = columns.iter().map(|(name, kind)| RowColumn::new(name, kind, false).expect("a type")).collect();
    let shape = RowShape::new(declared, Unknown::Extra).expect("a shape");
    // One line each, as an NDJSON body has them: the form that suits arrow-json best.
    let lines: String = events.iter().flat_map(|event| [event.as_str(), "\n"]).collect();
    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let [whole, whole_peer, decode, decode_peer, tape] = &mut times;
        whole.push(timed(|| naru(&shape, events, true)));
        whole_peer.push(timed(|| unchecked(&shape, &lines, true)));
        decode.push(timed(|| naru(&shape, events, false)));
        decode_peer.push(timed(|| unchecked(&shape, &lines, false)));
        tape.push(timed(|| simd_tape(events)));
    }
    let [whole, whole_peer, decode, decode_peer, tape] = times.map(|times| times.into_iter().min().unwrap_or_default());
    let ratio = |peer: Duration, ours: Duration| peer.as_secs_f64() / ours.as_secs_f64();
    report::line(&format!("{name}: JSON to Parquet, arrow-json unchecked"), whole_peer, Some(rows));
    report::line(&format!("{name}: JSON to Parquet, naru, every row checked"), whole, Some(rows));
    report::ratio("naru / arrow-json", ratio(whole_peer, whole), ">= 0.6");
    report::line(&format!("{name}: JSON to Arrow, arrow-json unchecked"), decode_peer, Some(rows));
    report::line(&format!("{name}: JSON to Arrow, naru, every row checked"), decode, Some(rows));
    report::line(&format!("{name}: JSON to a tape, simd-json, no columns"), tape, Some(rows));
}

fn timed(run: impl FnOnce() -> u64) -> Duration {
    let began = Instant::now();
    assert!(run() > 0, "nothing was done");
    began.elapsed()
}

/// Only what both sides have: naru's batches end with `_extra`, which is all NULL here.
fn schema(shape: &RowShape) -> SchemaRef {
    let mut builder = RowBuilder::new(shape);
    let whole = builder.finish().expect("an empty batch").schema();
    let fields: Vec<_> = whole.fields().iter().take(whole.fields().len() - 1).cloned().collect();
    Arc::new(Schema::new(fields))
}

fn naru(shape: &RowShape, events: &[String], write: bool) -> u64 {
    let mut builder = RowBuilder::new(shape);
    let mut out = write.then(|| writer(&builder.finish().expect("an empty batch").schema()));
    let mut rows = 0;
    for batch in events.chunks(BATCH) {
        for event in batch {
            builder.push(event.as_bytes()).expect("a row that fits");
        }
        rows += keep(&mut out, &builder.finish().expect("a batch"));
    }
    rows + close(out)
}

fn unchecked(shape: &RowShape, lines: &str, write: bool) -> u64 {
    let schema = schema(shape);
    let mut out = write.then(|| writer(&schema));
    let mut decoder = ReaderBuilder::new(schema).with_batch_size(BATCH).build_decoder().expect("a decoder");
    let mut rest = lines.as_bytes();
    let mut rows = 0;
    loop {
        let read = decoder.decode(rest).expect("rows");
        rest = &rest[read..];
        match decoder.flush().expect("a batch") {
            Some(batch) => rows += keep(&mut out, &batch),
            None => return rows + close(out),
        }
    }
}

fn keep(out: &mut Option<ArrowWriter<Vec<u8>>>, batch: &RecordBatch) -> u64 {
    match out {
        Some(out) => out.write(batch).expect("a write"),
        None => drop(black_box(batch.columns().to_vec())),
    }
    u64_from(batch.num_rows())
}

fn close(out: Option<ArrowWriter<Vec<u8>>>) -> u64 {
    out.map_or(0, |out| u64_from(out.into_inner().expect("a file").len()))
}

/// As the lake writes its files.
fn writer(schema: &SchemaRef) -> ArrowWriter<Vec<u8>> {
    let level = ZstdLevel::try_new(1).expect("a level");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties)).expect("a writer")
}

fn simd_tape(events: &[String]) -> u64 {
    let mut buffers = simd_json::Buffers::default();
    // The library writes into its input.
    let mut copy = Vec::new();
    let mut nodes = 0;
    for event in events {
        copy.clear();
        copy.extend_from_slice(event.as_bytes());
        nodes += u64_from(simd_json::to_tape_with_buffers(&mut copy, &mut buffers).expect("JSON").0.len());
    }
    nodes
}

fn nested(at: u64) -> String {
    let mut random = StdRng::seed_from_u64(at);
    format!(
        concat!(
            r#"{{"event_id":"018f3a5e-7c1b-7{:03x}-8d2e-{:012x}","name":"{}","at":"2026-11-22T13:{:02}:{:02}.{:06}Z","#,
            r#""user_id":{},"session":"s-{:08x}","amount":{}.{:02},"ok":{},"tags":["web","kr","beta{}"],"#,
            r#""context":{{"page":"/products/{}","referrer":"https://example.com/search?q=shoes","#,
            r#""screen":{{"w":1440,"h":{}}},"locale":"ko-KR"}},"note":"some longer text that pads event {}"}}"#
        ),
        at % 4096,
        random.random_range(0..1_u64 << 48),
        NAMES[random.random_range(0..NAMES.len())],
        at / 60 % 60,
        at % 60,
        random.random_range(0..1_000_000),
        random.random_range(0..1_000_000),
        random.random::<u32>(),
        random.random_range(0..1000),
        random.random_range(0..100),
        random.random::<bool>(),
        at % 7,
        random.random_range(0..5000),
        random.random_range(600..1200),
        at
    )
}

fn flat(at: u64) -> String {
    let mut random = StdRng::seed_from_u64(at);
    format!(
        concat!(
            r#"{{"event_id":"018f3a5e-7c1b-7{:03x}-8d2e-{:012x}","name":"{}","at":"2026-11-22T13:{:02}:{:02}.{:06}Z","#,
            r#""user_id":{},"session":"s-{:08x}","amount":{}.{:02},"ok":{},"page":"/products/{}","#,
            r#""referrer":"https://example.com/search?q=shoes&page={}","note":"some longer text that pads the event {} "#,
            r#"until it is as long as the events of a real application are when they have no parts"}}"#
        ),
        at % 4096,
        random.random_range(0..1_u64 << 48),
        NAMES[random.random_range(0..NAMES.len())],
        at / 60 % 60,
        at % 60,
        random.random_range(0..1_000_000),
        random.random_range(0..1_000_000),
        random.random::<u32>(),
        random.random_range(0..1000),
        random.random_range(0..100),
        random.random::<bool>(),
        random.random_range(0..5000),
        at % 40,
        at
    )
}

const NAMES: [&str; 5] = ["page_view", "add_to_cart", "purchase", "sign_in", "search"];
