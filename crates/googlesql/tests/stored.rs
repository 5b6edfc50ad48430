//! Columns as files hold them: other widths, views, and types that stand only in metadata; and plans that stay prunable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, Decimal128Array, Float32Array, Int32Array, LargeStringArray, ListBuilder, RecordBatch,
            StringArray, StringBuilder, StringViewArray, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
            TimestampMillisecondArray,
        },
        datatypes::{Field, Schema},
    },
    datasource::MemTable,
};
use naru_googlesql::{GoogleSql, Options, Params, parse};
use serde_json::json;
use support::{Project, same_rows};

fn marked(name: &str, array: &ArrayRef, mark: &str) -> Field {
    let field = Field::new(name, array.data_type().clone(), true);
    if mark.is_empty() {
        field
    } else {
        field.with_metadata(HashMap::from([("naru.type".to_owned(), mark.to_owned())]))
    }
}

/// The same elements in the first row, an empty list and NULL in the others.
fn list(items: &[&str]) -> ArrayRef {
    let mut rows = ListBuilder::new(StringBuilder::new());
    rows.append_value(items.iter().map(|item| Some(*item)));
    rows.append_value(Vec::<Option<&str>>::new());
    rows.append_null();
    Arc::new(rows.finish())
}

fn instants() -> ArrayRef {
    let values = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let field = Field::new("element", values.finish_cloned().data_type().clone(), true);
    let mut rows = ListBuilder::new(values).with_field(field);
    rows.append_value([Some(0), Some(1_000_000)]);
    rows.append_value([]);
    rows.append_null();
    Arc::new(rows.finish())
}

fn stored() -> Project {
    let mut project = Project::new();
    project.sql = GoogleSql::new(Options { type_key: "naru.type".into(), ..Options::default() });
    let columns: Vec<(&str, ArrayRef, &str)> = vec![
        ("a", Arc::new(Int32Array::from(vec![Some(1), Some(2), None])), ""),
        ("price", Arc::new(Decimal128Array::from(vec![150, 250, 350]).with_precision_and_scale(10, 2).unwrap()), ""),
        ("ratio", Arc::new(Float32Array::from(vec![0.5, 1.5, 2.5])), ""),
        ("name", Arc::new(StringViewArray::from(vec!["kim", "lee", "a name that is long enough for a view"])), ""),
        ("city", Arc::new(LargeStringArray::from(vec!["Seoul", "Busan", "Jeju"])), ""),
        ("big", Arc::new(StringArray::from(vec!["1e-20", "2", "3"])), "bignumeric"),
        ("doc", Arc::new(StringArray::from(vec![r#"{"x":1}"#, r#"{"x":2}"#, "null"])), "json"),
        ("clock", Arc::new(StringArray::from(vec!["09:30:00", "10:00:00.5", "23:59:59"])), "time"),
        ("span", Arc::new(StringArray::from(vec!["0-1 2 3:0:0", "0-0 0 0:0:1", "1-0 0 0:0:0"])), "interval"),
        (
            "local",
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1_000_000, 2_000_000]).with_timezone("UTC")),
            "datetime",
        ),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![0, 72_000_000, 2_000]).with_timezone("+00:00")), ""),
        ("id", Arc::new(StringArray::from(vec!["u1", "u2", "u3"])), "uuid"),
        ("bigs", list(&["1e-20", "2"]), "bignumeric"),
        ("docs", list(&[r#"{"x":1}"#]), "json"),
        ("clocks", list(&["09:30:00", "10:00:00.5"]), "time"),
        ("spans", list(&["0-1 2 3:0:0"]), "interval"),
        ("locals", instants(), "datetime"),
        ("ids", list(&["u1", "u2"]), "uuid"),
    ];
    let schema =
        Arc::new(Schema::new(columns.iter().map(|(name, array, mark)| marked(name, array, mark)).collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array, _)| array).collect()).unwrap();
    let table = MemTable::try_new(schema, vec![vec![batch]]).unwrap();
    project.context.register_table("t", Arc::new(table)).unwrap();
    project
}

#[tokio::test]
async fn columns_of_every_stored_form_are_read_as_their_type() {
    let mut project = stored();
    for (sql, wanted) in [
        ("SELECT a + 1 FROM t ORDER BY name", json!([[null], [2], [3]])),
        ("SELECT SUM(price), SUM(a), AVG(ratio) FROM t", json!([[7.5, 3, 1.5]])),
        ("SELECT UPPER(name), LENGTH(city) FROM t WHERE name = 'kim'", json!([["KIM", 5]])),
        ("SELECT SUM(big) FROM t", json!([["5.00000000000000000001"]])),
        ("SELECT JSON_VALUE(doc, '$.x'), INT64(doc.x) FROM t WHERE a = 2", json!([["2", 2]])),
        (
            "SELECT EXTRACT(HOUR FROM clock), TIME_ADD(clock, INTERVAL 1 HOUR) FROM t WHERE a = 1",
            json!([[9, "10:30:00"]]),
        ),
        ("SELECT EXTRACT(DAY FROM span) FROM t WHERE a = 1", json!([[2]])),
        ("SELECT CAST(local AS STRING) FROM t WHERE a = 1", json!([["1970-01-01 00:00:00"]])),
        ("SELECT DATE(at, 'Asia/Seoul') FROM t WHERE a = 2", json!([["1970-01-02"]])),
        ("SELECT id FROM t WHERE id IN ('u3', 'u9')", json!([["u3"]])),
        ("SELECT city, COUNT(*) FROM t GROUP BY city ORDER BY city", json!([["Busan", 1], ["Jeju", 1], ["Seoul", 1]])),
        ("SELECT MAX(name) FROM t", json!([["lee"]])),
        ("SELECT ARRAY_AGG(name ORDER BY a DESC LIMIT 1) FROM t WHERE a IS NOT NULL", json!([[["lee"]]])),
        ("SELECT x.a, y.city FROM t x JOIN t y ON x.name = y.name WHERE x.a > 1", json!([[2, "Busan"]])),
    ] {
        let rows = project.run(sql, &Params::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let wanted: Vec<Vec<_>> =
            wanted.as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone()).collect();
        assert!(same_rows(&rows, &wanted, true), "{sql} gave {rows:?}");
    }
}

/// What a list's mark says, it says of the elements.
#[tokio::test]
async fn lists_of_every_stored_form_are_read_as_lists_of_their_type() {
    let mut project = stored();
    for (sql, wanted) in [
        ("SELECT SUM(x) FROM t, UNNEST(bigs) AS x", json!([["2.00000000000000000001"]])),
        ("SELECT JSON_VALUE(docs[OFFSET(0)], '$.x') FROM t WHERE a = 1", json!([["1"]])),
        ("SELECT EXTRACT(HOUR FROM x) FROM t, UNNEST(clocks) AS x ORDER BY 1", json!([[9], [10]])),
        ("SELECT EXTRACT(DAY FROM spans[OFFSET(0)]) FROM t WHERE a = 1", json!([[2]])),
        ("SELECT CAST(locals[OFFSET(1)] AS STRING) FROM t WHERE a = 1", json!([["1970-01-01 00:00:01"]])),
        ("SELECT ids, ARRAY_LENGTH(bigs) FROM t ORDER BY name", json!([[null, null], [["u1", "u2"], 2], [[], 0]])),
        ("SELECT COUNT(*) FROM (SELECT * FROM t)", json!([[3]])),
    ] {
        let rows = project.run(sql, &Params::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let wanted: Vec<Vec<_>> =
            wanted.as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone()).collect();
        assert!(same_rows(&rows, &wanted, true), "{sql} gave {rows:?}");
    }
    project.run("SELECT * FROM t", &Params::default()).await.unwrap();
}

#[tokio::test]
async fn filters_reach_the_scan_as_plain_comparisons() {
    let project = stored();
    for (sql, wanted) in [
        ("SELECT id FROM t WHERE id = 'u1'", r#"t.id = Utf8("u1")"#),
        ("SELECT id FROM t WHERE a > 1", "t.a > Int32(1)"),
        ("WITH w AS (SELECT id, city FROM t) SELECT id FROM w WHERE id BETWEEN 'a' AND 'b'", r#"t.id <= Utf8("b")"#),
        ("SELECT id FROM t WHERE name = 'kim'", r#"t.name = Utf8View("kim")"#),
    ] {
        let plan =
            project.sql.plan(&project.context.state(), &parse(sql).unwrap()[0], &Params::default()).await.unwrap();
        let plan = project.context.state().optimize(&plan).unwrap().display_indent().to_string();
        assert!(plan.contains(wanted), "{sql} became\n{plan}");
    }
}
