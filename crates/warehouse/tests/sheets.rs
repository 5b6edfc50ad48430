//! Files for spreadsheets, read back by programs that are not ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use std::{fs::File, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        Time64MicrosecondArray, TimestampMicrosecondArray,
    },
    datatypes::Schema,
    record_batch::RecordBatch,
};
use naru_testkit::python;
use naru_warehouse::output::{Format, OutputError, SHEET_ROWS_MAX, SheetFormat, sheet_writer, writer};

const READERS: &[&str] = &["openpyxl==3.1.5", "pandas==2.3.3", "pyarrow==26.0.1"];

fn rows() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "매출(원)",
            Arc::new(Int64Array::from(vec![Some(-5), Some(999_999_999_999_999), Some(9_007_199_254_740_993), None])),
        ),
        (
            "total",
            Arc::new(
                Decimal128Array::from(vec![Some(-1_250_000_000), Some(1), None, Some(12_345_678_901_234_567_890)])
                    .with_precision_and_scale(38, 9)
                    .unwrap(),
            ),
        ),
        ("f", Arc::new(Float64Array::from(vec![0.1, -2.5e-7, f64::NAN, f64::INFINITY]))),
        ("paid", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ("day", Arc::new(Date32Array::from(vec![Some(20_780), Some(-30_000), None, Some(0)]))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1_795_404_225_500_000), Some(0), None, Some(0)])
                    .with_timezone("UTC"),
            ),
        ),
        ("t", Arc::new(Time64MicrosecondArray::from(vec![Some(43_200_000_000), None, Some(0), Some(1_000_000)]))),
        ("=이름", Arc::new(StringArray::from(vec![Some("=1+1"), Some("김치 \"2\"\n줄"), Some("+82 10"), Some("")]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\xfb\xff", b"", b"x", b"y"]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn written(format: SheetFormat, batches: &[RecordBatch], note: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rows = sheet_writer(format, &batches[0].schema(), &mut out, note).unwrap();
    for batch in batches {
        rows.write(batch).unwrap();
    }
    rows.finish().unwrap();
    drop(rows);
    out
}

#[test]
fn csv_for_excel_has_a_mark_and_no_formulas_and_leaves_numbers_alone() {
    let text = String::from_utf8(written(SheetFormat::Csv { bom: true }, &[rows()], None)).unwrap();
    let expected = [
        "\u{feff}매출(원),total,f,paid,day,at,t,'=이름,raw",
        "-5,-1.25,0.1,true,2026-11-23,2026-11-23T03:23:45.500Z,12:00:00,'=1+1,'+/8=",
    ];
    let lines: Vec<&str> = text.split("\r\n").take(2).collect();
    assert_eq!(lines, expected);
    assert!(
        text.contains(",'+82 10,") && text.contains("\"김치 \"\"2\"\"\n줄\"") && text.ends_with("\"\",eQ==\r\n"),
        "{text}"
    );
    let noted =
        String::from_utf8(written(SheetFormat::Csv { bom: false }, &[rows()], Some("first 4 of 9 rows"))).unwrap();
    assert!(noted.starts_with("first 4 of 9 rows\r\n매출(원),"), "{noted}");
}

#[test]
fn a_workbook_holds_real_numbers_dates_and_text_for_another_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("결과.xlsx");
    std::fs::write(&path, written(SheetFormat::Xlsx, &[rows(), rows()], Some("as of noon"))).unwrap();
    let script = "
import openpyxl, sys
sheet = openpyxl.load_workbook(sys.argv[1]).active
for row in sheet.iter_rows():
    print(' | '.join(f'{c.data_type}:{c.value!r}' for c in row))
print(sheet.freeze_panes, sheet.cell(3, 8).quotePrefix, sheet.cell(3, 5).number_format)
";
    let read = python::run(READERS, script, &[&path]);
    let lines: Vec<&str> = read.lines().collect();
    assert_eq!(lines[0].split(" | ").next(), Some("s:'as of noon'"), "{read}");
    assert!(lines[1].starts_with("s:'매출(원)' | s:'total'") && lines[1].contains("s:'=이름'"), "{read}");
    let first = "n:-5 | n:-1.25 | n:0.1 | b:True | d:datetime.datetime(2026, 11, 23, 0, 0) | \
                 d:datetime.datetime(2026, 11, 23, 3, 23, 45, 500000) | d:datetime.time(12, 0) | s:'=1+1' | s:'+/8='";
    assert_eq!(lines[2], first, "{read}");
    assert!(lines[3].starts_with("n:999999999999999 | n:1e-09 | n:-2.5e-07 | b:False | s:'1887-11-12'"), "{read}");
    assert!(lines[4].starts_with("s:'9007199254740993' | n:None | s:'NaN' | n:None | n:None | n:None"), "{read}");
    assert!(lines[5].starts_with("n:None | s:'12345678901.23456789' | s:'Infinity'"), "{read}");
    assert_eq!(lines[6..10], lines[2..6], "{read}");
    assert_eq!(lines[10], "A3 True yyyy\\-mm\\-dd", "{read}");
}

#[test]
fn a_sheet_that_would_be_too_short_is_refused() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_048_576));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let mut rows = sheet_writer(SheetFormat::Xlsx, &batch.schema(), std::io::sink(), None).unwrap();
    let error = rows.write(&batch).unwrap_err();
    assert!(matches!(error, OutputError::SheetRows), "{error}");
    assert!(error.problem().hint.unwrap().contains("Parquet") && SHEET_ROWS_MAX == 1_048_576);
    let long: ArrayRef = Arc::new(StringArray::from(vec!["가".repeat(32_768)]));
    let batch = RecordBatch::try_from_iter([("긴 글", long)]).unwrap();
    let mut rows = sheet_writer(SheetFormat::Xlsx, &batch.schema(), std::io::sink(), None).unwrap();
    assert!(matches!(rows.write(&batch), Err(OutputError::SheetText(column)) if column == "긴 글"));
    let wide = Schema::new(
        (0..16_385)
            .map(|n| arrow::datatypes::Field::new(n.to_string(), arrow::datatypes::DataType::Int64, true))
            .collect::<Vec<_>>(),
    );
    let refused = sheet_writer(SheetFormat::Xlsx, &Arc::new(wide), std::io::sink(), None);
    assert!(matches!(refused.err(), Some(OutputError::SheetColumns(16_385))));
}

#[test]
fn csv_workbook_and_parquet_hold_the_same_rows_for_pandas() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..5_000).map(|n| format!("손님 {n}"))));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..5_000).map(|n| n * 7 - 9_000)));
    let batch = RecordBatch::try_from_iter([("이름", names), ("n", numbers)]).unwrap();
    std::fs::write(at("a.csv"), written(SheetFormat::Csv { bom: true }, std::slice::from_ref(&batch), None)).unwrap();
    for (format, name) in [(Format::Xlsx, "a.xlsx"), (Format::Parquet, "a.parquet")] {
        let mut rows = writer(format, &batch.schema(), File::create(at(name)).unwrap()).unwrap();
        rows.write(&batch).unwrap();
        rows.finish().unwrap();
    }
    let script = "
import pandas, sys
frames = [pandas.read_csv(sys.argv[1]), pandas.read_excel(sys.argv[2]), pandas.read_parquet(sys.argv[3])]
print(len(frames[0]), frames[0].n.sum(), frames[0].equals(frames[1]), frames[0].equals(frames[2]), frames[0].columns[0])
";
    let read = python::run(READERS, script, &[at("a.csv"), at("a.xlsx"), at("a.parquet")]);
    assert_eq!(read.trim(), format!("5000 {} True True 이름", (0..5_000_i64).map(|n| n * 7 - 9_000).sum::<i64>()));
}
