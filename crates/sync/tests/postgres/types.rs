//! Every type in every form: `COPY` in binary, the stream in text, the stream in binary. All must agree with each other
//! and with what the server itself says of the value.
//! Read next: `docs/reference/postgres-types.md`, whose table this file proves.

mod cases;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use naru_lake::NaruType;
use naru_sync::postgres::{CopyDecoder, DecodeCounts, PostgresError, TablePlan, copy_select_list, error::CellFault};
use naru_testkit::seed;
use serde_json::Value;

use crate::source::{Source, gather};
use cases::{Case, Check, cases};

/// Random rows per type.
const RANDOM_ROWS: u64 = 40;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// JSON with every number as a double: 2, 2.0 and 2.000 are one.
fn json(text: &str) -> Value {
    fn level(value: Value) -> Value {
        match value {
            Value::Number(number) => Value::from(number.as_f64()),
            Value::Array(items) => items.into_iter().map(level).collect(),
            other => other,
        }
    }
    level(serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

/// One value as the text that a case's SQL gives too.
fn render(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:016x}", array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<_> = (0..items.len()).map(|item| render(&items, item)).collect();
            serde_json::to_string(&items).unwrap()
        }
        other => panic!("no such storage: {other}"),
    })
}

/// Makes and fills one table per case, between two streams that saw nothing before.
struct Filled {
    source: Source,
    plans: BTreeMap<String, Arc<TablePlan>>,
    text: BTreeMap<String, (naru_lake::ChangeBatch, Vec<DecodeCounts>)>,
    binary: BTreeMap<String, (naru_lake::ChangeBatch, Vec<DecodeCounts>)>,
}

impl Filled {
    async fn new(cases: &[Case]) -> Self {
        let source = Source::start().await;
        source.run(cases::TYPES).await;
        let mut plans = BTreeMap::new();
        for case in cases {
            source.run(&format!("create table {} (id int8 primary key, c {})", case.table(), case.sql_type)).await;
            plans.insert(case.table(), source.plan(&case.table()).await);
        }
        source.run("create publication p for all tables").await;
        let mut text = source.stream("p", false, false).await;
        let mut binary = source.stream("p", true, false).await;
        let seed = seed::seed() % 1_000_000;
        source.run(&format!("select setseed({seed} / 1000000.0)")).await;
        for case in cases {
            source.run(&case.fill(RANDOM_ROWS * seed::scale())).await;
        }
        let decodable = plans.iter().filter(|(_, plan)| plan.has_binary_decoder());
        let decodable: BTreeMap<_, _> = decodable.map(|(name, plan)| (name.clone(), Arc::clone(plan))).collect();
        let text = gather(&text.take(&source.client).await, &plans);
        let binary = gather(&binary.take(&source.client).await, &decodable);
        Self { source, plans, text, binary }
    }

    /// Holds one case against all three forms and the server's word.
    async fn check(&self, case: &Case) {
        let table = case.table();
        let (copied, copy_counts) = self.source.copy(&table, &self.plans[&table]).await;
        let (text, text_counts) = &self.text[&table];
        assert_eq!(copied, text.rows, "{}: the copy and the text stream differ", case.sql_type);
        assert_eq!(copy_counts, *text_counts, "{}: counters", case.sql_type);
        match self.binary.get(&table) {
            Some((binary, counts)) => {
                assert_eq!(copied, binary.rows, "{}: the copy and the binary stream differ", case.sql_type);
                assert_eq!(copy_counts, *counts, "{}: counters", case.sql_type);
            }
            None => assert!(!case.binary, "{} has no binary decoder", case.sql_type),
        }
        assert_eq!(self.plans[&table].has_binary_decoder(), case.binary, "{}", case.sql_type);
        let column = &self.plans[&table].columns()[1].column;
        assert_eq!((&column.data_type, column.naru_type), (&case.stored(), case.naru_type), "{}", case.sql_type);
        let sql = format!("select {} from {table} order by id", case.expected);
        let rows = self.source.client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(rows.len(), copied.num_rows());
        for (row, expected) in rows.iter().enumerate() {
            let expected: Option<String> = expected.get(0);
            let got = render(copied.column(1), row);
            let same = match (case.check, &got, &expected) {
                (Check::Json, Some(got), Some(expected)) => json(got) == json(expected),
                (_, got, expected) => got == expected,
            };
            assert!(same, "{} row {row}: naru has {got:?}, the server {expected:?}", case.sql_type);
        }
    }
}

#[tokio::test]
async fn every_type_is_read_the_same_from_copy_text_and_binary() {
    let cases = cases();
    let filled = Filled::new(&cases).await;
    for case in &cases {
        filled.check(case).await;
    }
}

#[tokio::test]
async fn what_the_lake_cannot_hold_becomes_null_and_is_counted() {
    let source = Source::start().await;
    source
        .run(
            "create table t (id int primary key, d date, s timestamp, z timestamptz, m time, n numeric(5,2), b numeric);
             insert into t values (1, 'infinity', '-infinity', 'infinity', '24:00', 'NaN', 'NaN'),
                 (2, '0044-03-15 BC', '0044-03-15 BC', '0001-12-31 BC', '12:00', 1, '-Infinity'),
                 (3, '10000-01-01', '10000-01-01', '294276-12-31', null, null, 'Infinity'),
                 (4, '0001-01-01', '9999-12-31 23:59:59.999999', '0001-01-01 00:00+00', '23:59:59.999999', 9, 9)",
        )
        .await;
    let plan = source.plan("t").await;
    let (batch, counts) = source.copy("t", &plan).await;
    let counted = |infinite, out_of_range, nan| DecodeCounts { infinite, out_of_range, nan };
    let expected = [
        counted(0, 0, 0),
        counted(1, 2, 0),
        counted(1, 2, 0),
        counted(1, 2, 0),
        counted(0, 1, 0),
        counted(0, 0, 1),
        counted(2, 0, 1),
    ];
    assert_eq!(counts, expected);
    let nulls: Vec<usize> = batch.columns().iter().map(Array::null_count).collect();
    assert_eq!(nulls, [0, 3, 3, 3, 2, 2, 3]);
}

#[tokio::test]
async fn a_surprising_dimension_is_an_error_that_names_the_remedy() {
    let source = Source::start().await;
    source
        .run("create table t (id int primary key, c int[]); insert into t values (1, '{1}'), (2, '{{1,2},{3,4}}')")
        .await;
    let plan = source.plan("t").await;
    let sql = format!("copy (select {} from t order by 1) to stdout (format binary)", copy_select_list(plan.plans()));
    let mut chunks = std::pin::pin!(source.client.copy_out(&sql).await.unwrap());
    let mut decoder = CopyDecoder::new(plan);
    let mut failure = None;
    while let Some(chunk) = futures::StreamExt::next(&mut chunks).await {
        if let Err(error) = decoder.feed(&chunk.unwrap()) {
            failure = Some(error);
            break;
        }
    }
    let Some(PostgresError::Cell(error)) = failure else { panic!("{failure:?}") };
    assert_eq!((error.column.as_str(), error.fault), ("c", CellFault::Dimensions(2)));
    assert!(error.problem().hint.unwrap().contains("naru sync resync"));
    // What came before it is whole.
    assert_eq!(decoder.take_batch(1).unwrap().unwrap().num_rows(), 1);
}

#[test]
fn the_list_of_cases_names_each_naru_type() {
    let seen: Vec<NaruType> = cases().iter().filter_map(|case| case.naru_type).collect();
    for naru_type in [
        NaruType::Time,
        NaruType::Json,
        NaruType::Uuid,
        NaruType::Interval,
        NaruType::Bignumeric,
        NaruType::Range,
        NaruType::Enum,
        NaruType::Datetime,
    ] {
        assert!(seen.contains(&naru_type), "{naru_type:?} is never produced");
    }
}
