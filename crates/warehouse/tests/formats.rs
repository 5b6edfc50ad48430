//! Every output format, byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        IntervalMonthDayNanoArray, ListBuilder, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
        types::IntervalMonthDayNano,
    },
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use naru_warehouse::output::{Format, OutputError, writer};

fn written(format: Format, batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    let mut rows = writer(format, &batches[0].schema(), &mut out).unwrap();
    for batch in batches {
        rows.write(batch).unwrap();
    }
    rows.finish().unwrap();
    drop(rows);
    String::from_utf8(out).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn menu() -> RecordBatch {
    batch(vec![
        ("이름", Arc::new(StringArray::from(vec![Some("김치"), None, Some(""), Some("a,\"b\"\nc")]))),
        ("n", Arc::new(Int64Array::from(vec![1, -20, 9_007_199_254_740_992, 9_007_199_254_740_993]))),
    ])
}

#[test]
fn csv_tells_null_from_empty_and_quotes_what_it_must() {
    let expected = "이름,n\r\n김치,1\r\n,-20\r\n\"\",9007199254740992\r\n\"a,\"\"b\"\"\nc\",9007199254740993\r\n";
    assert_eq!(written(Format::Csv, &[menu()]), expected);
}

#[test]
fn json_is_one_array_and_ndjson_one_object_a_line() {
    let lines = [
        r#"{"이름":"김치","n":1}"#,
        r#"{"이름":null,"n":-20}"#,
        r#"{"이름":"","n":9007199254740992}"#,
        r#"{"이름":"a,\"b\"\nc","n":"9007199254740993"}"#,
    ];
    assert_eq!(written(Format::Json, &[menu()]), format!("[\n{}\n]\n", lines.join(",\n")));
    assert_eq!(written(Format::Ndjson, &[menu()]), format!("{}\n", lines.join("\n")));
    assert_eq!(written(Format::Json, &[menu().slice(0, 0)]), "[]\n");
}

#[test]
fn a_table_aligns_hangul_and_cannot_drive_the_terminal() {
    let rows = batch(vec![
        ("이름", Arc::new(StringArray::from(vec![Some("김치"), None, Some("a\u{1b}[2J\nb")]))),
        ("n", Arc::new(Int64Array::from(vec![1, -20, 300]))),
    ]);
    let got = written(Format::Table, &[rows]);
    assert_eq!(got.lines().count(), 5);
    assert!(got.contains("a\u{FFFD}[2J↵b │ 300") && got.contains("김치    │   1"), "{got}");
}

#[test]
fn every_type_has_the_form_the_contract_gives_it() {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("가"), None]);
    let pair = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Float64, true)),
        Arc::new(Float64Array::from(vec![f64::NAN])) as ArrayRef,
    )]);
    let interval = IntervalMonthDayNano::new(-14, 3, 14_706_700_000_000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("paid", Arc::new(BooleanArray::from(vec![true]))),
        ("total", Arc::new(Decimal128Array::from(vec![-1250]).with_precision_and_scale(38, 3).unwrap())),
        ("weight", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\x00\xff"]))),
        ("day", Arc::new(Date32Array::from(vec![-1]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![-1]).with_timezone("UTC"))),
        ("local", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]))),
        ("span", Arc::new(IntervalMonthDayNanoArray::from(vec![interval]))),
        ("tags", Arc::new(tags.finish())),
        ("pair", Arc::new(pair)),
    ];
    let expected = concat!(
        r#"{"paid":true,"total":"-1.25","weight":"-Infinity","raw":"AP8=","day":"1969-12-31","#,
        r#""at":"1969-12-31T23:59:59.999999Z","local":"1970-01-01T00:00:01.500","span":"-1-2 3 4:5:6.700","#,
        r#""tags":["가",null],"pair":{"x":"NaN"}}"#,
        "\n"
    );
    assert_eq!(written(Format::Ndjson, &[batch(columns)]), expected);
}

#[test]
fn json_columns_are_json_and_two_columns_of_one_name_are_refused() {
    let json = Field::new("j", DataType::Utf8, true)
        .with_metadata(HashMap::from([("naru.type".to_owned(), "json".to_owned())]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["{\"a\": 1}", "not json"]));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![json.clone()])), vec![text.clone()]).unwrap();
    assert_eq!(written(Format::Ndjson, &[rows]), "{\"j\":{\"a\": 1}}\n{\"j\":\"not json\"}\n");
    let twice = Arc::new(Schema::new(vec![json.clone(), json]));
    for format in [Format::Json, Format::Ndjson, Format::Parquet] {
        assert!(matches!(writer(format, &twice, Vec::new()), Err(OutputError::DuplicateName(_))));
    }
    assert!(writer(Format::Csv, &twice, Vec::new()).is_ok());
}

#[test]
fn a_parquet_file_reads_back_the_same() {
    let mut out = Vec::new();
    let mut rows = writer(Format::Parquet, &menu().schema(), &mut out).unwrap();
    rows.write(&menu()).unwrap();
    rows.finish().unwrap();
    drop(rows);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(out)).unwrap();
    let back: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(back, [menu()]);
}
