//! What a query over a view promises.

use std::sync::Arc;

use arrow::array::BooleanArray;
use naru_lake::{Change, Column, ScanOptions, StagerOptions, TableSpec, TableView, TailBatch};

use crate::shop::{
    MEMBERS, SALES, Shop, answer, append, contents, dead, flush, id, lines, model, rows, session, spec, stage,
};

#[tokio::test(flavor = "multi_thread")]
async fn results_are_row_exact_with_vectors_overlays_and_tail() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..20_000, 0)).await;
    flush(&table, vec![(first, dead((0..20_000).step_by(10)))], &rows((0..20_000).step_by(10), 1), 1).await;
    let committed = table.view();
    let second = committed.files.last().unwrap().id;
    let staged = stage(&table, &[rows(30_000..30_010, 2)]).await;
    let mut files = committed.files.to_vec();
    files.push(Arc::new(staged[0].file_view()));
    let tail = TailBatch {
        rows: rows([7, 40_000, 40_001, 40_002], 3),
        live: Some(BooleanArray::from(vec![true, true, false, true])),
    };
    let mut gone = (*committed.file(first).unwrap().deleted.clone().unwrap()).clone();
    gone.insert(7);
    let view: Arc<TableView> = Arc::new(
        committed
            .with_files(files)
            .with_deleted([
                (first, Arc::new(gone)),
                (second, Arc::new(dead([1]))),
                (staged[0].id, Arc::new(dead([0, 9]))),
            ])
            .with_tail(vec![tail]),
    );
    let expected = model(&[
        rows((0..20_000).filter(|id| id % 10 != 0 && *id != 7), 0),
        rows((0..20_000).step_by(10).filter(|id| *id != 10), 1),
        rows(30_001..30_009, 2),
        rows([7, 40_000, 40_002], 3),
    ]);
    assert_eq!(contents(&shop.lake, &view).await, expected);
    assert_eq!(view.live_rows(), expected.len() as u64);
    let count = format!("{}", expected.len());
    assert_eq!(answer(&shop.lake, &view, "select count(*) from t").await, [count]);
    assert_eq!(
        answer(&shop.lake, &view, "select id from t where id between 5 and 10 order by id").await,
        ["5", "6", "7", "8", "9"]
    );
    assert_eq!(answer(&shop.lake, &view, &format!("select \"{SALES}\" from t where id = 7")).await, ["73"]);
    assert_eq!(
        answer(&shop.lake, &view, &format!("select count(*) from t where \"{MEMBERS}\" = 'name 20 v1'")).await,
        ["1"]
    );
    assert_eq!(answer(&shop.lake, &view, "select max(id), min(id) from t").await, ["40002|0"]);
    assert_eq!(answer(&shop.lake, &view, "select count(*) from (select id from t limit 3)").await, ["3"]);
    assert_eq!(
        answer(&shop.lake, &table.view(), "select count(*) from t").await,
        ["20000"],
        "the committed view is untouched"
    );
    let context = session(&shop.lake, &view).await;
    context.sql("set datafusion.execution.parquet.pushdown_filters = true").await.unwrap();
    let some = format!("select * from t where \"{MEMBERS}\" like '%9 v%' and \"{SALES}\" > 500");
    let like = |row: &(Option<i64>, Option<String>, i64)| {
        row.0 > Some(500) && row.1.as_ref().is_some_and(|name| name.contains("9 v"))
    };
    let wanted: crate::shop::Contents =
        expected.iter().filter(|(_, row)| like(row)).map(|(id, row)| (*id, row.clone())).collect();
    assert_eq!(model(&context.sql(&some).await.unwrap().collect().await.unwrap()), wanted, "filters inside the scan");
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_of_dead_rows_do_not_hide_live_values() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    // Names of 0 and 7 are null; with one live named row left, nulls in the file equal live rows.
    let first = append(&table, &rows([0, 7, 1, 2, 3], 0)).await;
    flush(&table, vec![(first, dead([0, 3, 4]))], &rows([50], 1), 1).await;
    let sql = format!("select id from t where \"{MEMBERS}\" is not null order by id");
    assert_eq!(answer(&shop.lake, &table.view(), &sql).await, ["1", "50"]);
    let sql = format!("select id from t where \"{MEMBERS}\" is null order by id");
    assert_eq!(answer(&shop.lake, &table.view(), &sql).await, ["7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_skip_files_and_reach_the_parquet_leaf_beside_a_tail() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    for part in 0..4 {
        append(&table, &rows(part * 1000..(part + 1) * 1000, 0)).await;
    }
    let view = Arc::new(table.view().with_tail(vec![TailBatch { rows: rows([9000], 0), live: None }]));
    let context = session(&shop.lake, &view).await;
    let sql = format!("select \"{SALES}\" from t where id = 2500");
    assert_eq!(lines(&context.sql(&sql).await.unwrap().collect().await.unwrap()), ["25000"]);
    let plan = lines(&context.sql(&format!("explain {sql}")).await.unwrap().collect().await.unwrap()).join("\n");
    let files: std::collections::BTreeSet<&str> =
        plan.split("part-n").skip(1).filter_map(|rest| rest.split(".parquet").next()).collect();
    assert_eq!(files.len(), 1, "three of four files are skipped:\n{plan}");
    assert!(plan.contains("pruning_predicate") && plan.contains("UnionExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_are_split_and_pruned_although_rows_are_dead() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..300_000, 0)).await;
    flush(&table, vec![(first, dead((0..300_000).step_by(100)))], &rows([400_000], 1), 1).await;
    let context = session(&shop.lake, &table.view()).await;
    let sum = "select count(*), sum(id) from t where id >= 0";
    let expected: i64 = (0..300_000).filter(|id| id % 100 != 0).sum::<i64>() + 400_000;
    assert_eq!(lines(&context.sql(sum).await.unwrap().collect().await.unwrap()), [format!("297001|{expected}")]);
    let plan = lines(&context.sql(&format!("explain {sum}")).await.unwrap().collect().await.unwrap()).join("\n");
    assert!(plan.contains(":0.."), "one file is read in ranges:\n{plan}");
    let range = "explain analyze select sum(id) from t where id between 150000 and 150100";
    let analysed = lines(&context.sql(range).await.unwrap().collect().await.unwrap()).join("\n");
    assert!(analysed.contains("row_groups_pruned_statistics=3 total → 1 matched"), "{analysed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_scans_filters_and_limits_agree_where_dead_rows_lie_scattered() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..300_000, 0)).await;
    // Every third row, and a stretch that is longer than a row group.
    let gone = |id: i64| id % 3 == 0 || (120_000..280_000).contains(&id);
    let vector = dead((0..300_000).filter(|id| gone(*id)).map(|id| u64::try_from(id).unwrap()));
    flush(&table, vec![(first, vector)], &rows([400_000], 1), 1).await;
    let live: Vec<i64> = (0..300_000).filter(|id| !gone(*id)).chain([400_000]).collect();
    let within: i64 = live.iter().filter(|id| (119_990..=280_010).contains(*id)).sum();
    let all = format!("{}|{}", live.len(), live.iter().sum::<i64>());
    let tail = TailBatch { rows: rows([500_000], 0), live: None };
    let view = Arc::new(table.view().with_tail(vec![tail]));
    let sorted = answer(&shop.lake, &view, "select id from t where id > 299990 order by id").await;
    let expected = ["299992", "299993", "299995", "299996", "299998", "299999", "400000", "500000"];
    assert_eq!(sorted, expected, "sorted over files and tail");
    let first = answer(&shop.lake, &view, "select id from t order by id desc limit 2").await;
    assert_eq!(first, ["500000", "400000"]);
    let context = session(&shop.lake, &table.view()).await;
    for pushed in [false, true] {
        let set = format!("set datafusion.execution.parquet.pushdown_filters = {pushed}");
        context.sql(&set).await.unwrap();
        for (sql, expected) in [
            ("select count(*), sum(id) from t", vec![all.clone()]),
            ("select sum(id) from t where id between 119990 and 280010", vec![within.to_string()]),
            ("select id from t order by id desc limit 2", vec!["400000".to_owned(), "299999".to_owned()]),
            ("select count(*) from (select id from t where id < 400000 limit 5000)", vec!["5000".to_owned()]),
            ("select count(distinct id) from (select id from t limit 5000)", vec!["5000".to_owned()]),
            ("select count(*) from t where id % 3 = 0 and id < 300000", vec!["0".to_owned()]),
            ("select count(*) from t a join t b on a.id = b.id where b.id > 299990", vec!["7".to_owned()]),
        ] {
            let answer = lines(&context.sql(sql).await.unwrap().collect().await.unwrap());
            assert_eq!(answer, expected, "{sql}, filters in the reader: {pushed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_columns_show_only_when_asked() {
    let shop = Shop::open().await;
    let hidden = ["_naru_position", "_day_at"].map(|name| Column::new(name, arrow::datatypes::DataType::Int64));
    let columns = crate::shop::columns().into_iter().chain(hidden).collect();
    let table = shop.lake.create(&id(), TableSpec { columns, ..spec() }).await.unwrap();
    append(&table, &rows(0..3, 0)).await;
    let view = table.view();
    assert_eq!(view.provider(&ScanOptions::default()).unwrap().schema().fields().len(), 4);
    assert_eq!(
        view.provider(&ScanOptions { hidden: true, ..ScanOptions::default() }).unwrap().schema().fields().len(),
        6
    );
    assert_eq!(contents(&shop.lake, &view).await, model(&[rows(0..3, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_answers() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    assert_eq!(answer(&shop.lake, &table.view(), "select count(*), max(id) from t").await, ["0|~"]);
    assert!(table.stager(StagerOptions::default()).finish().await.unwrap().is_empty());
    let empty = stage(&table, &[rows([], 0)]).await;
    assert!(empty.is_empty());
    table.commit(Change { txn: Some(("a".into(), 1)), ..Change::default() }).await.unwrap();
    assert_eq!(table.position("a").await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stager_splits_files_by_size_and_says_where_rows_went() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let mut stager = table.stager(StagerOptions { target_file_bytes: 100_000, ..StagerOptions::default() });
    let mut places = Vec::new();
    for part in 0..40 {
        let batch = rows(part * 5000..(part + 1) * 5000, 0);
        places.push((stager.write(&batch).await.unwrap(), part * 5000));
    }
    let add = stager.finish().await.unwrap();
    assert!(add.len() > 1);
    assert_eq!(add.iter().map(|file| file.rows).sum::<u64>(), 200_000);
    table.commit(Change { add, ..Change::default() }).await.unwrap();
    let view = table.view();
    for (place, first) in places {
        let file = view.file(place.file).unwrap();
        let low = &file.stats.bounds["id"].min;
        assert!(datafusion::common::ScalarValue::Int64(Some(first - place.first_row as i64)) == *low);
    }
    assert_eq!(
        answer(&shop.lake, &view, "select count(*), sum(id) from t").await,
        [format!("200000|{}", (0..200_000_i64).sum::<i64>())]
    );
}
