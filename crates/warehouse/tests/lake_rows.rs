//! SQL over a real lake table: committed rows, committed and pending deletes, unflushed rows, staged files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray,
        types::Int64Type,
    },
    datatypes::DataType,
    record_batch::RecordBatch,
};
use naru_base::TableId;
use naru_lake::{
    Change, Column, Grain, Lake, LakeSettings, PartitionOf, StagerOptions, TableSpec, TableView, TailBatch,
};
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

#[tokio::test]
async fn a_query_for_days_of_an_instant_reads_those_days_only_and_sees_exactly_its_rows() {
    const HOUR: i64 = 3_600_000_000;
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().to_owned();
    let lake = Lake::open(LakeSettings { location: "lake".into(), base: base.clone(), cache: base.join("cache") })
        .await
        .unwrap();
    let id: TableId = "topics.events".parse().unwrap();
    let at = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let partition = PartitionOf { of: "at".into(), grain: Grain::Day, zone: "Asia/Seoul".into() };
    let columns = vec![
        Column::new("id", DataType::Int64),
        Column::new("at", at),
        Column::new("_day_at", DataType::Date32).with_partition(partition),
    ];
    let table = lake.create(&id, TableSpec { columns, ..TableSpec::default() }).await.unwrap();
    // One row an hour for 20 days from 2026-01-01 in Seoul, which is 9 hours ahead; each day of Seoul has a file.
    let first = 20_454 * 24 - 9;
    let mut stager = table.stager(StagerOptions::default());
    for day in 0..20 {
        let hours: Vec<i64> = (day * 24..day * 24 + 24).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(hours.clone())),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(hours.iter().map(|hour| (first + hour) * HOUR))
                    .with_timezone("UTC"),
            ),
            Arc::new(Date32Array::from_iter_values(hours.iter().map(|_| 20_454 + i32::try_from(day).unwrap()))),
        ];
        stager.write(&RecordBatch::try_new(table.view().schema.clone(), columns).unwrap()).await.unwrap();
    }
    let add = stager.finish().await.unwrap();
    table.commit(Change { add, ..Change::default() }).await.unwrap();
    let warehouse = Warehouse::new(WarehouseSettings::new("acme", base.join("spill")), lake, None, None).unwrap();
    let session = warehouse.session(SessionOptions::of(naru_access::Principal::Owner)).unwrap();

    // What is asked, hours of the answer, days that are read.
    let cases: [(&str, std::ops::Range<i64>, u64); 8] = [
        ("DATE(at, 'Asia/Seoul') = '2026-01-03'", 48..72, 1),
        ("DATE(at, 'Asia/Seoul') BETWEEN '2026-01-03' AND '2026-01-04' AND id > 60", 61..96, 2),
        ("DATE(at, 'Asia/Seoul') IN (DATE '2026-01-05', DATE '2026-01-06')", 96..144, 2),
        ("DATE(at) = '2026-01-10'", 9 * 24 + 9..10 * 24 + 9, 5),
        ("'2026-01-18' <= DATE(at)", 17 * 24 + 9..480, 5),
        ("at >= TIMESTAMP '2026-01-19 15:00:00+00'", 19 * 24..480, 1),
        ("NOT DATE(at, 'Asia/Seoul') < '2026-01-20'", 19 * 24..480, 1),
        ("NOT DATE(at) = '2026-01-10' AND id < 30", 0..30, 2),
    ];
    for (filter, hours, days) in cases {
        let result = session.run(&format!("SELECT id, '' AS x FROM topics.events WHERE {filter}")).await.unwrap();
        let progress = result.progress.clone();
        let batches = result.collect().await.unwrap();
        let mut ids: Vec<i64> =
            batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        ids.sort_unstable();
        assert_eq!(ids, hours.collect::<Vec<_>>(), "{filter}");
        assert_eq!(progress.seen().rows_total, Some(days * 24), "{filter}");
    }
    let described = session.run("SELECT * FROM topics.events LIMIT 1").await.unwrap().collect().await.unwrap();
    assert_eq!(described[0].num_columns(), 2, "the day is hidden");
}
