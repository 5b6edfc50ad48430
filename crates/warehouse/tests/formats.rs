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
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
        Int64Array, IntervalMonthDayNanoArray, ListArray, ListBuilder, StringArray, StringBuilder, StructArray,
        TimestampMicrosecondArray, types::IntervalMonthDayNano,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Schema, i256},
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

/// Every type of a list: what the list's mark says, it says of the elements.
#[test]
fn elements_of_lists_are_written_as_their_type() {
    let mut items = ListBuilder::new(StringBuilder::new());
    items.append_value([Some("{\"a\": 1}"), None]);
    let array: ArrayRef = Arc::new(items.finish());
    let field = Field::new("docs", array.data_type().clone(), true);
    let json = field.clone().with_metadata(HashMap::from([("naru.type".to_owned(), "json".to_owned())]));
    for (field, line) in [(json, r#"{"docs":[{"a": 1},null]}"#), (field, r#"{"docs":["{\"a\": 1}",null]}"#)] {
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array.clone()]).unwrap();
        assert_eq!(written(Format::Ndjson, &[rows]), format!("{line}\n"));
    }
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

/// Most readers refuse or round what is wider than 38 digits, and Parquet has no INTERVAL.
#[test]
fn parquet_holds_intervals_and_bignumerics_exactly_as_marked_text() {
    let big = |values: Vec<Option<i256>>| Decimal256Array::from(values).with_precision_and_scale(76, 38).unwrap();
    let item = Arc::new(Field::new_list_field(DataType::Decimal256(76, 38), true));
    let values: ArrayRef = Arc::new(big(vec![Some(i256::ONE), None]));
    let list = ListArray::new(item, OffsetBuffer::from_lengths([2]), values, None);
    let interval: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(14, 3, 0)]));
    let pair =
        StructArray::from(vec![(Arc::new(Field::new("span", interval.data_type().clone(), true)), interval.clone())]);
    let rows = batch(vec![
        ("big", Arc::new(big(vec![Some(i256::MINUS_ONE)]))),
        ("span", interval),
        ("bigs", Arc::new(list)),
        ("pair", Arc::new(pair)),
    ]);
    let mut out = Vec::new();
    let mut writer = writer(Format::Parquet, &rows.schema(), &mut out).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(out)).unwrap();
    let back: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let marks: Vec<Option<&String>> =
        back[0].schema_ref().fields().iter().map(|field| field.metadata().get("naru.type")).collect();
    assert_eq!(
        marks.iter().map(|mark| mark.map(String::as_str)).collect::<Vec<_>>(),
        [Some("bignumeric"), Some("interval"), Some("bignumeric"), None]
    );
    let small = format!("0.{}1", "0".repeat(37));
    let expected = format!(
        "{{\"big\":\"-{small}\",\"span\":\"1-2 3 0:0:0\",\"bigs\":[\"{small}\",null],\"pair\":{{\"span\":\"1-2 3 0:0:0\"}}}}\n"
    );
    assert_eq!(written(Format::Ndjson, &back), expected);
}
