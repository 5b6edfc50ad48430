//! What a vacuum promises.

use std::time::Duration;

use naru_base::Version;
use naru_lake::{CompactionLimits, Retention, VacuumOptions};

use crate::shop::{Shop, append, contents, dead, flush, id, model, rows, spec, stage};

fn at_once() -> VacuumOptions {
    VacuumOptions { retention: Retention::NONE, pins: Vec::new(), dry_run: false }
}

fn objects(shop: &Shop) -> usize {
    let names =
        std::fs::read_dir(shop.path(&id())).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "_delta_log").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_vector_survives_and_a_replaced_one_goes() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    flush(&table, vec![(first, dead([1]))], &rows([1], 1), 1).await;
    flush(&table, vec![(first, dead([2]))], &rows([2], 1), 2).await;
    table.checkpoint().await.unwrap();
    assert_eq!(objects(&shop), 5, "three data files, two vector files");
    let would = table.vacuum(&VacuumOptions { dry_run: true, ..at_once() }).await.unwrap();
    assert_eq!(objects(&shop), 5, "a dry run leaves everything");
    let done = table.vacuum(&at_once()).await.unwrap();
    assert_eq!((done.removed.len(), &done), (1, &would));
    assert!(done.removed[0].starts_with("deletion_vector_") && done.bytes > 0);
    let expected = model(&[rows((0..10).filter(|id| ![1, 2].contains(id)), 0), rows([1, 2], 1)]);
    let lake = shop.again().await;
    assert_eq!(contents(&lake, &lake.open_table(&id()).await.unwrap().unwrap().view()).await, expected);
    assert!(table.vacuum(&at_once()).await.unwrap().removed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_a_pin_or_the_retention_needs_stays() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..10, 0)).await;
    flush(&table, vec![(first, dead([1]))], &rows([1], 1), 1).await;
    let open = table.view();
    let before = contents(&shop.lake, &open).await;
    let files: Vec<_> = open.files.iter().map(|file| file.id).collect();
    let rewritten = table.rewrite(&files, &[], &CompactionLimits::default()).await.unwrap();
    table.commit_rewrite(rewritten, &[]).await.unwrap();
    let staged = stage(&table, &[rows([77], 0)]).await;

    let hours = Duration::from_hours(24);
    let day = VacuumOptions { retention: Retention { exact: hours, points: hours }, ..at_once() };
    assert!(table.vacuum(&day).await.unwrap().removed.is_empty(), "the retention");
    let pinned = VacuumOptions { pins: vec![Version(2)], ..at_once() };
    assert!(table.vacuum(&pinned).await.unwrap().removed.is_empty(), "the pin");
    let done = table.vacuum(&at_once()).await.unwrap();
    assert!(
        done.removed.iter().all(|name| name.starts_with("deletion_vector_")),
        "files of an open view stay: {done:?}"
    );
    assert_eq!(contents(&shop.lake, &open).await, before);
    drop(open);
    let done = table.vacuum(&at_once()).await.unwrap();
    assert_eq!(done.removed.len(), 2, "{done:?}");
    let add = staged;
    table.commit(naru_lake::Change { add, ..naru_lake::Change::default() }).await.unwrap();
    let lake = shop.again().await;
    let mut expected = before;
    expected.extend(model(&[rows([77], 0)]));
    assert_eq!(contents(&lake, &lake.open_table(&id()).await.unwrap().unwrap().view()).await, expected);
}
