//! What a commit promises.

use naru_base::Version;
use naru_lake::{Change, LakeError, Remove, StagerOptions};

use crate::shop::{Shop, answer, append, contents, dead, flush, id, model, rows, spec, stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_is_one_version_with_rows_deaths_and_position() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..1000, 0)).await;
    flush(&table, vec![(first, dead([3, 5, 999]))], &rows([3, 5], 1), 42).await;
    assert_eq!(table.view().version, Version(2));
    assert_eq!(table.position("naru/shop/1").await.unwrap(), Some(42));
    assert_eq!(table.view().live_rows(), 999);
    let expected = model(&[rows((0..999).filter(|id| ![3, 5].contains(id)), 0), rows([3, 5], 1)]);
    assert_eq!(contents(&shop.lake, &table.view()).await, expected);

    let lake = shop.again().await;
    let reopened = lake.open_table(&id()).await.unwrap().unwrap();
    assert_eq!(reopened.position("naru/shop/1").await.unwrap(), Some(42));
    assert_eq!(reopened.position("naru/shop/2").await.unwrap(), None);
    assert_eq!(contents(&lake, &reopened.view()).await, expected);
    assert_eq!(reopened.view().file(first).unwrap().deleted.as_deref(), Some(&dead([3, 5, 999])));
    assert_eq!(reopened.view().uid, table.view().uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_vectors_add_to_earlier_ones_and_a_dead_file_leaves() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    flush(&table, vec![(first, dead([1, 2]))], &rows([100], 1), 1).await;
    flush(&table, vec![(first, dead([2, 3]))], &rows([101], 1), 2).await;
    assert_eq!(table.view().file(first).unwrap().deleted.as_deref(), Some(&dead([1, 2, 3])));
    flush(&table, vec![(first, dead([0, 4, 5, 6, 7, 8, 9]))], &rows([102], 1), 3).await;
    assert!(table.view().file(first).is_none());
    let lake = shop.again().await;
    let reopened = lake.open_table(&id()).await.unwrap().unwrap();
    assert_eq!(contents(&lake, &reopened.view()).await, model(&[rows([100, 101, 102], 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_can_be_dead_before_their_file_is_committed() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let add = stage(&table, &[rows(0..10, 0)]).await;
    let add_deleted = vec![(add[0].id, dead([0, 9]))];
    table.commit(Change { add, add_deleted, ..Change::default() }).await.unwrap();
    assert_eq!(answer(&shop.lake, &table.view(), "select count(*), min(id), max(id) from t").await, ["8|1|8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn file_numbers_are_never_given_twice() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    let reserved = table.reserve_file();
    assert!(reserved > first);
    table.commit(Change { remove: Remove::All, ..Change::default() }).await.unwrap();
    let lake = shop.again().await;
    let reopened = lake.open_table(&id()).await.unwrap().unwrap();
    let next = reopened.reserve_file();
    assert!(next > reserved, "{next} after {reserved}");
    reopened.raise_file_floor(naru_lake::FileId(1_000_000));
    assert_eq!(reopened.reserve_file(), naru_lake::FileId(1_000_001));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_number_names_the_staged_file() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let reserved = table.reserve_file();
    let mut stager =
        table.stager(StagerOptions { file: Some(reserved), target_file_bytes: 1, ..StagerOptions::default() });
    let places = [stager.write(&rows(0..10, 0)).await.unwrap(), stager.write(&rows(10..20, 0)).await.unwrap()];
    assert_eq!(places.map(|place| (place.file, place.first_row)), [(reserved, 0), (reserved, 10)]);
    let add = stager.finish().await.unwrap();
    assert_eq!(add.len(), 1);
    table.commit(Change { add, ..Change::default() }).await.unwrap();
    let lake = shop.again().await;
    let view = lake.open_table(&id()).await.unwrap().unwrap().view();
    assert_eq!(view.files[0].id, reserved);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_can_be_read_while_the_log_holds_it() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    flush(&table, vec![(first, dead([0]))], &rows([0], 1), 1).await;
    let before = table.view_at(Version(1)).await.unwrap();
    assert_eq!(contents(&shop.lake, &before).await, model(&[rows(0..10, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writers_commit_is_noticed_and_loaded() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let other = shop.again().await.open_table(&id()).await.unwrap().unwrap();
    append(&other, &rows(0..5, 0)).await;
    let add = stage(&table, &[rows(5..9, 0)]).await;
    let change = Change { add, ..Change::default() };
    let lost = table.commit(change.clone()).await.unwrap_err();
    assert!(matches!(lost, LakeError::CommitLost { version: 1, .. }), "{lost}");
    assert_eq!(table.view().live_rows(), 5);
    // Both took the same number for their file, since neither knew of the other; a mirror decides anew.
    drop(change);
    append(&table, &rows(5..9, 0)).await;
    assert_eq!(contents(&shop.lake, &table.view()).await, model(&[rows(0..9, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_contradict_the_table_write_nothing() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..5, 0)).await;
    let unknown = naru_lake::FileId(77);
    let wrong = [
        Change { delete: vec![(unknown, dead([0]))], ..Change::default() },
        Change { delete: vec![(first, dead([5]))], ..Change::default() },
        Change { remove: Remove::Files(vec![unknown]), ..Change::default() },
        Change { columns: Some(Vec::new()), ..Change::default() },
    ];
    for change in wrong {
        let error = table.commit(change).await.unwrap_err();
        assert!(matches!(error, LakeError::Refused { .. } | LakeError::Columns { .. }), "{error}");
        assert!(!error.problem().code.is_empty());
    }
    assert_eq!(table.view().version, Version(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_commits_is_removed() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let parquet = || {
        std::fs::read_dir(shop.path(&id()))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
            .count()
    };
    let staged = stage(&table, &[rows(0..5, 0)]).await;
    assert_eq!(parquet(), 1);
    let shown = staged[0].file_view();
    drop(staged);
    assert_eq!(parquet(), 1, "a view still shows it");
    drop(shown);
    let mut unfinished = table.stager(StagerOptions::default());
    unfinished.write(&rows(0..5, 0)).await.unwrap();
    drop(unfinished);
    while parquet() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_listed_created_once_and_dropped() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    assert!(matches!(shop.lake.create(&id(), spec()).await, Err(LakeError::Exists(_))));
    let mart = naru_base::TableId::new("finance", "daily");
    shop.lake.create(&mart, spec()).await.unwrap();
    assert_eq!(shop.lake.tables().await.unwrap(), [mart, id()]);
    shop.lake.drop_table(&id()).await.unwrap();
    shop.lake.drop_table(&id()).await.unwrap();
    assert!(shop.lake.open_table(&id()).await.unwrap().is_none());
    assert_eq!(shop.lake.tables().await.unwrap().len(), 1);
    assert!(matches!(table.commit(Change::default()).await, Err(LakeError::Missing(_))));
    let anew = shop.lake.create(&id(), spec()).await.unwrap();
    assert_ne!(anew.view().uid, table.view().uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_checkpointed_and_read_back() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..100, 0)).await;
    let mut expected = model(&[rows(30..100, 0)]);
    for step in 0..30 {
        flush(&table, vec![(first, dead([step]))], &rows([1000 + step as i64], 1), step as i64).await;
        expected.extend(model(&[rows([1000 + step as i64], 1)]));
    }
    table.checkpoint().await.unwrap();
    let lake = shop.again().await;
    let reopened = lake.open_table(&id()).await.unwrap().unwrap();
    assert_eq!(contents(&lake, &reopened.view()).await, expected);
    assert_eq!(reopened.position("naru/shop/1").await.unwrap(), Some(29));
    assert!(reopened.reserve_file() > table.view().files.last().unwrap().id);
}
