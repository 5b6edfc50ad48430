//! What happens to columns.

use arrow::datatypes::DataType;
use naru_lake::{Change, Column, CompactionLimits, Operation, Remove, StagerOptions, TableSpec};
use serde_json::json;

use crate::shop::{SALES, Shop, answer, append, columns, dead, flush, id, rows, spec, stage};

fn with_extra(fill: Option<serde_json::Value>) -> Vec<Column> {
    let mut all = columns();
    all.push(Column { fill, ..Column::new("등급 (new)", DataType::Utf8) });
    all
}

fn extra(batch: &arrow::record_batch::RecordBatch, value: &str) -> arrow::record_batch::RecordBatch {
    let mut named: Vec<(String, arrow::array::ArrayRef)> =
        batch.schema().fields().iter().map(|field| field.name().clone()).zip(batch.columns().iter().cloned()).collect();
    let values: arrow::array::StringArray = (0..batch.num_rows()).map(|_| Some(value)).collect();
    named.push(("등급 (new)".into(), std::sync::Arc::new(values)));
    arrow::record_batch::RecordBatch::try_from_iter(named).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_columns_default_shows_at_once_and_after_the_rewrite() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    let alter =
        Change { columns: Some(with_extra(Some(json!("silver")))), operation: Operation::Alter, ..Change::default() };
    table.commit(alter).await.unwrap();
    flush(&table, vec![(first, dead([0]))], &extra(&rows([0], 1), "gold"), 1).await;
    append(&table, &rows([70], 1)).await;
    let grades = "select \"등급 (new)\", count(*) from t group by 1 order by 1 nulls last";
    let expected = ["gold|1", "silver|9", "~|1"];
    assert_eq!(answer(&shop.lake, &table.view(), grades).await, expected);
    let found = "select id from t where \"등급 (new)\" = 'silver' and id < 3 order by id";
    assert_eq!(answer(&shop.lake, &table.view(), found).await, ["1", "2"]);

    let rewritten = table.rewrite_fills().await.unwrap();
    assert_eq!(rewritten.moved.keys().copied().collect::<Vec<_>>(), [first], "only the old file lacks the column");
    assert_eq!(rewritten.moved[&first].get(4).unwrap().1, 4, "row numbers hold");
    flush(&table, vec![(first, dead([5]))], &extra(&rows([5], 1), "gold"), 2).await;
    table.commit_rewrite(rewritten, &[]).await.unwrap();
    assert!(table.view().columns.iter().all(|column| column.fill.is_none()));
    let lake = shop.again().await;
    let view = lake.open_table(&id()).await.unwrap().unwrap().view();
    assert_eq!(answer(&lake, &view, grades).await, ["gold|2", "silver|8", "~|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_column_stays_readable_and_is_null_from_then_on() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    append(&table, &rows(0..3, 0)).await;
    let mut after = columns();
    after[1].dropped = true;
    table.commit(Change { columns: Some(after), operation: Operation::Alter, ..Change::default() }).await.unwrap();
    let batch = rows(3..5, 0);
    let without = batch.project(&[0, 2, 3]).unwrap();
    append(&table, &without).await;
    let lake = shop.again().await;
    let view = lake.open_table(&id()).await.unwrap().unwrap().view();
    assert!(view.columns[1].dropped);
    let sql = format!("select id, \"{SALES}\" from t order by id");
    assert_eq!(answer(&lake, &view, &sql).await, ["0|0", "1|10", "2|20", "3|~", "4|~"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_replaces_schema_and_rows_in_one_commit() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    append(&table, &rows(0..10, 0)).await;
    let old = table.view();
    let retyped = vec![Column::new("id", DataType::Utf8), Column::new("total", DataType::Decimal128(20, 2))];
    let mut stager = table.stager_for(retyped.clone(), &["id".into()], StagerOptions::default()).unwrap();
    let batch = arrow::record_batch::RecordBatch::try_from_iter(vec![
        ("id", std::sync::Arc::new(arrow::array::StringArray::from(vec!["a", "b"])) as arrow::array::ArrayRef),
        (
            "total",
            std::sync::Arc::new(
                arrow::array::Decimal128Array::from(vec![125, 250]).with_precision_and_scale(20, 2).unwrap(),
            ),
        ),
    ])
    .unwrap();
    stager.write(&batch).await.unwrap();
    let change = Change {
        add: stager.finish().await.unwrap(),
        remove: Remove::All,
        columns: Some(retyped),
        key: Some(vec!["id".into()]),
        operation: Operation::Replace,
        ..Change::default()
    };
    table.commit(change).await.unwrap();
    assert_eq!(answer(&shop.lake, &old, "select count(*) from t").await, ["10"], "a query that began before goes on");
    assert_eq!(answer(&shop.lake, &table.view(), "select * from t order by id").await, ["a|1.25", "b|2.50"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_vectors_rewrites_instead() {
    let shop = Shop::open().await;
    let plain = TableSpec { deletion_vectors: false, ..spec() };
    let table = shop.lake.create(&id(), plain).await.unwrap();
    let first = append(&table, &rows(0..5, 0)).await;
    let refused = table.commit(Change { delete: vec![(first, dead([1]))], ..Change::default() }).await;
    assert!(matches!(refused, Err(naru_lake::LakeError::Refused { .. })));
    let rewritten = table.rewrite(&[first], &[(first, dead([1]))], &CompactionLimits::default()).await.unwrap();
    let mut add = rewritten.staged.clone();
    add.extend(stage(&table, &[rows([1], 1)]).await);
    table
        .commit(Change { add, remove: Remove::Files(vec![first]), operation: Operation::Flush, ..Change::default() })
        .await
        .unwrap();
    let sql = format!("select id, \"{SALES}\" from t order by id");
    assert_eq!(answer(&shop.lake, &table.view(), &sql).await, ["0|0", "1|11", "2|20", "3|30", "4|40"]);
}
