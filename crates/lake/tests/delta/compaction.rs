//! What compaction promises.

use naru_lake::{CompactionLimits, FileId, LakeError, plan_compaction};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::shop::{Contents, Shop, append, contents, dead, flush, id, model, rows, spec};

fn small_limits() -> CompactionLimits {
    CompactionLimits { target_file_bytes: 40_000, files_min: 3, ..CompactionLimits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_die_during_a_rewrite_are_dead_after_it() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let files = [append(&table, &rows([9, 1, 5], 0)).await, append(&table, &rows([2, 8, 4], 0)).await];
    flush(&table, vec![(files[0], dead([1]))], &rows([1], 1), 1).await;
    let rewritten = table.rewrite(&files, &[], &small_limits()).await.unwrap();
    let moved = std::sync::Arc::clone(&rewritten.moved);
    assert_eq!(moved[&files[0]].get(1), None, "dead rows go nowhere");
    let (new, row) = moved[&files[1]].get(0).unwrap();
    assert_eq!((new, row), (rewritten.staged[0].id, 0), "rows are sorted by key");
    flush(&table, vec![(files[1], dead([1]))], &rows([8], 1), 2).await;
    table.commit_rewrite(rewritten, &[(files[0], dead([0]))]).await.unwrap();
    assert_eq!(contents(&shop.lake, &table.view()).await, model(&[rows([5, 2, 4], 0), rows([1, 8], 1)]));
    assert_eq!(table.position("naru/shop/1").await.unwrap(), Some(2));
    let lake = shop.again().await;
    let view = lake.open_table(&id()).await.unwrap().unwrap().view();
    assert_eq!(contents(&lake, &view).await, model(&[rows([5, 2, 4], 0), rows([1, 8], 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_of_files_that_left_is_refused() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let first = append(&table, &rows(0..3, 0)).await;
    let one = table.rewrite(&[first], &[], &small_limits()).await.unwrap();
    let two = table.rewrite(&[first], &[], &small_limits()).await.unwrap();
    table.commit_rewrite(one, &[]).await.unwrap();
    assert!(matches!(table.commit_rewrite(two, &[]).await, Err(LakeError::Refused { .. })));
    assert_eq!(contents(&shop.lake, &table.view()).await, model(&[rows(0..3, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_series_of_flushes_and_compactions_keeps_every_row() {
    let seed = std::env::var("NARU_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_122);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let mut expected = Contents::new();
    let mut places: std::collections::BTreeMap<i64, (FileId, u64)> = std::collections::BTreeMap::new();
    for step in 0..40_i64 {
        let mut keys: Vec<i64> = (0..random.random_range(1..60)).map(|_| random.random_range(0..400)).collect();
        keys.sort_unstable();
        keys.dedup();
        let batch = rows(keys.iter().copied(), step % 9);
        let mut gone: std::collections::BTreeMap<FileId, roaring::RoaringTreemap> = std::collections::BTreeMap::new();
        for key in &keys {
            if let Some((file, row)) = places.get(key) {
                gone.entry(*file).or_default().insert(*row);
            }
        }
        flush(&table, gone.into_iter().collect(), &batch, step).await;
        let newest = table.view().files.last().unwrap().id;
        places.extend(keys.iter().enumerate().map(|(row, key)| (*key, (newest, row as u64))));
        expected.extend(model(&[batch]));
        if random.random_bool(0.25) {
            for group in plan_compaction(&table.view(), &small_limits(), i64::MAX) {
                let rewritten = table.rewrite(&group, &[], &small_limits()).await.unwrap();
                let moved = std::sync::Arc::clone(&rewritten.moved);
                table.commit_rewrite(rewritten, &[]).await.unwrap();
                for place in places.values_mut() {
                    if let Some(map) = moved.get(&place.0) {
                        *place = map.get(place.1).unwrap();
                    }
                }
            }
        }
        assert_eq!(table.view().live_rows(), expected.len() as u64, "step {step}");
    }
    assert_eq!(contents(&shop.lake, &table.view()).await, expected);
    let lake = shop.again().await;
    assert_eq!(contents(&lake, &lake.open_table(&id()).await.unwrap().unwrap().view()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_joins_small_files_rewrites_dying_ones_and_leaves_the_rest() {
    let shop = Shop::open().await;
    let table = shop.lake.create(&id(), spec()).await.unwrap();
    let large = append(&table, &rows(0..20_000, 0)).await;
    assert!(plan_compaction(&table.view(), &small_limits(), i64::MAX).is_empty());
    let mut small = Vec::new();
    for part in 0..3 {
        small.push(append(&table, &rows([30_000 - part], 0)).await);
    }
    small.reverse();
    assert_eq!(plan_compaction(&table.view(), &small_limits(), i64::MAX), [small.clone()], "ordered by key");
    flush(&table, vec![(large, dead(0..10_000))], &rows([50_000], 0), 1).await;
    assert_eq!(plan_compaction(&table.view(), &small_limits(), i64::MAX)[0], [large], "half of it is dead");
    let bounded = CompactionLimits { group_rows_max: 2, files_min: 2, ..small_limits() };
    let groups = plan_compaction(&table.view(), &bounded, i64::MAX);
    assert!(groups.iter().all(|group| group.len() == 2), "{groups:?}");
}
