//! SQL over a real lake table: committed rows, committed and pending deletes, unflushed rows, staged files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, types::Int64Type},
    datatypes::DataType,
    record_batch::RecordBatch,
};
use naru_base::TableId;
use naru_lake::{Change, Column, Lake, LakeSettings, StagerOptions, TableSpec, TableView, TailBatch};
use naru_warehouse::{CutSource, Params, Pinned, Session, SessionOptions, View, Warehouse, WarehouseSettings};

struct Live(HashMap<TableId, Arc<TableView>>);

impl CutSource for Live {
    fn cut(&self) -> HashMap<TableId, Arc<TableView>> {
        self.0.clone()
    }
}

fn rows(view: &TableView, ids: std::ops::Range<i64>, word: &str) -> RecordBatch {
    let words = ids.clone().map(|id| format!("{word} {id}"));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(StringArray::from_iter_values(words))];
    RecordBatch::try_new(view.schema.clone(), columns).unwrap()
}

async fn seen(session: &Session, sql: &str) -> Vec<(i64, String)> {
    let batches = session.run(sql).await.unwrap().collect().await.unwrap();
    let mut all = Vec::new();
    for batch in batches {
        let words = arrow::compute::cast(batch.column(1), &DataType::Utf8).unwrap();
        let ids = batch.column(0).as_primitive::<Int64Type>();
        all.extend((0..batch.num_rows()).map(|row| (ids.value(row), words.as_string::<i32>().value(row).to_owned())));
    }
    all
}

#[tokio::test]
async fn a_query_sees_unflushed_rows_and_no_deleted_ones_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let lake = Lake::open(LakeSettings { location: "lake".into(), base: base.clone(), cache: base.join("cache") })
        .await
        .unwrap();
    let id: TableId = "shop.orders".parse().unwrap();
    let columns = vec![Column::new("id", DataType::Int64), Column::new("이름", DataType::Utf8)];
    let spec = TableSpec { columns, key: vec!["id".into()], deletion_vectors: true, ..TableSpec::default() };
    let table = lake.create(&id, spec).await.unwrap();

    let mut stager = table.stager(StagerOptions::default());
    stager.write(&rows(&table.view(), 0..1_000, "old")).await.unwrap();
    let add = stager.finish().await.unwrap();
    let file = add[0].id;
    table.commit(Change { add, ..Change::default() }).await.unwrap();
    // Row 5 dies in a commit, row 7 only in the tail, which also brings 1000 and a 7 of its own; 1001 died again.
    table.commit(Change { delete: vec![(file, [5].into_iter().collect())], ..Change::default() }).await.unwrap();
    let committed = table.view();
    let mut tail = rows(&committed, 999..1_002, "new").slice(1, 2);
    tail = arrow::compute::concat_batches(&committed.schema, &[rows(&committed, 7..8, "new"), tail]).unwrap();
    let live = BooleanArray::from(vec![true, true, false]);
    let view = committed
        .with_deleted([(file, Arc::new([5, 7].into_iter().collect()))])
        .with_tail(vec![TailBatch { rows: tail, live: Some(live) }]);

    let settings = WarehouseSettings::new("acme", base.join("spill"));
    let cut: Arc<dyn CutSource> = Arc::new(Live(HashMap::from([(id.clone(), Arc::new(view))])));
    let warehouse = Warehouse::new(settings, lake, Some(cut), None).unwrap();
    let session = warehouse.session(SessionOptions::of(naru_access::Principal::Owner)).unwrap();

    let mut expected: Vec<(i64, String)> =
        (0..1_000).filter(|id| ![5, 7].contains(id)).map(|id| (id, format!("old {id}"))).collect();
    expected.extend([(7, "new 7".to_owned()), (1_000, "new 1000".to_owned())]);
    expected.sort();
    assert_eq!(seen(&session, "SELECT id, `이름` FROM shop.orders ORDER BY id").await, expected);
    assert_eq!(
        seen(&session, "SELECT id, `이름` FROM shop.orders WHERE id IN (5, 7, 1001)").await,
        [(7, "new 7".to_owned())]
    );
    let counted = seen(&session, "SELECT COUNT(*) AS n, MAX(`이름`) AS m FROM acme.shop.orders WHERE id >= 998").await;
    assert_eq!(counted, [(3, "old 999".to_owned())]);
    assert_eq!(seen(&session, "SELECT COUNT(*) AS n, 'x' AS x FROM shop.orders").await[0].0, 1_000);

    // What a mart has staged is read before it is committed, and nothing else of its table is.
    let mut stager = table.stager(StagerOptions::default());
    stager.write(&rows(&table.view(), 50..53, "staged")).await.unwrap();
    let staged = View::of_staged(&table.view(), &stager.finish().await.unwrap()).unwrap();
    let pinned = Pinned { views: HashMap::from([(id, staged)]), ..Pinned::default() };
    let result = session.stream("SELECT SUM(id) AS s FROM shop.orders", &Params::default(), pinned).await.unwrap();
    let batches = result.collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 153);
}

#[tokio::test]
async fn a_mart_is_there_for_nobody_until_it_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let lake = Lake::open(LakeSettings { location: "lake".into(), base: base.clone(), cache: base.join("cache") })
        .await
        .unwrap();
    let id: TableId = "finance.sales".parse().unwrap();
    let columns = vec![Column::new("id", DataType::Int64), Column::new("w", DataType::Utf8)];
    let table = lake.create(&id, TableSpec { columns, ..TableSpec::default() }).await.unwrap();
    let application = "naru/flow/finance.sales".to_owned();
    let settings = WarehouseSettings {
        published_by: Arc::new(parking_lot::RwLock::new(HashMap::from([(id, application.clone())]))),
        ..WarehouseSettings::new("acme", base.join("spill"))
    };
    let warehouse = Warehouse::new(settings, lake, None, None).unwrap();
    let session = warehouse.session(SessionOptions::of(naru_access::Principal::Owner)).unwrap();
    let hidden = session.run("SELECT * FROM finance.sales").await.unwrap_err().problem();
    assert!(hidden.summary.contains("does not exist"), "{hidden}");
    assert!(session.describe().await.unwrap().is_empty());

    let mut stager = table.stager(StagerOptions::default());
    stager.write(&rows(&table.view(), 0..3, "w")).await.unwrap();
    let add = stager.finish().await.unwrap();
    table.commit(Change { add, txn: Some((application, 1)), ..Change::default() }).await.unwrap();
    assert_eq!(seen(&session, "SELECT * FROM finance.sales").await.len(), 3);
    assert_eq!(session.describe().await.unwrap().len(), 1);
}
