//! What a killed process leaves behind.
//!
//! The test starts itself again as a child that flushes, compacts, checkpoints and vacuums, and is killed at a named
//! place; whatever it left must be exactly the state of the position that the log says.

use std::{collections::BTreeMap, fs::File, process::Command};

use arrow::{array::AsArray, datatypes::Int64Type};
use naru_lake::{CompactionLimits, FileId, Retention, Table, VacuumOptions};
use naru_testkit::Failpoints;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;

use crate::shop::{Contents, Shop, contents, flush, id, model, rows, spec};

const FOLDER: &str = "NARU_LAKE_KILL_TEST_FOLDER";
const STEPS: i64 = 5;

fn keys(step: i64) -> [i64; 3] {
    [step % 10, 10 + step % 7, 20 + step % 3]
}

/// The rows after this step.
fn state(position: i64) -> Contents {
    let mut all = Contents::new();
    for step in 1..=position {
        all.extend(model(&[rows(keys(step), step)]));
    }
    all
}

/// Where every live key is, read from the files themselves.
fn places(shop: &Shop, table: &Table) -> BTreeMap<i64, (FileId, u64)> {
    let mut places = BTreeMap::new();
    for file in table.view().files.iter() {
        let parquet = File::open(shop.path(&id()).join(&*file.path)).unwrap();
        let mut row = 0_u64;
        for batch in ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            for key in batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values() {
                if !file.deleted.as_ref().is_some_and(|dead| dead.contains(row)) {
                    assert!(places.insert(*key, (file.id, row)).is_none(), "key {key} is doubled");
                }
                row += 1;
            }
        }
    }
    places
}

async fn work(shop: &Shop) {
    let table = match shop.lake.open_table(&id()).await.unwrap() {
        Some(table) => table,
        None => shop.lake.create(&id(), spec()).await.unwrap(),
    };
    let done = table.position("naru/shop/1").await.unwrap().unwrap_or(0);
    for step in done + 1..=done + STEPS {
        let places = places(shop, &table);
        let mut gone: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
        for (file, row) in keys(step).iter().filter_map(|key| places.get(key)) {
            gone.entry(*file).or_default().insert(*row);
        }
        flush(&table, gone.into_iter().collect(), &rows(keys(step), step), step).await;
    }
    let files: Vec<_> = table.view().files.iter().map(|file| file.id).collect();
    let rewritten = table.rewrite(&files, &[], &CompactionLimits::default()).await.unwrap();
    table.commit_rewrite(rewritten, &[]).await.unwrap();
    table.checkpoint().await.unwrap();
    table.clean_log(&Retention::NONE).await.unwrap();
    table.vacuum(&VacuumOptions { retention: Retention::NONE, pins: Vec::new(), dry_run: false }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn child_of_the_kill_test() {
    // Started by hand or by the test runner there is nothing to do.
    if let Ok(folder) = std::env::var(FOLDER) {
        let shop = Shop::at(folder.as_ref()).await;
        // As `naru up` does: the one before may have been killed in the middle of a put.
        naru_lake::leftovers::remove(folder.as_ref()).await.unwrap();
        work(&shop).await;
    }
}

fn child(shop: &Shop, faults: &Failpoints) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kills::child_of_the_kill_test", "--nocapture"]).env(FOLDER, &shop.folder);
    command.env(Failpoints::VARIABLE, faults.value()).output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_place_leaves_exactly_the_logged_position() {
    let shop = Shop::open().await;
    assert!(child(&shop, &Failpoints::new()), "a run without faults");
    let places = [
        ("lake.before_upload", 3),
        ("lake.after_upload", 2),
        ("lake.before_commit", 4),
        ("lake.after_commit", 2),
        ("lake.compact.before_rewrite", 1),
        ("lake.compact.before_commit", 1),
        ("lake.compact.after_commit", 1),
        ("lake.before_checkpoint", 1),
        ("lake.after_checkpoint", 1),
        ("lake.clean_log.before_delete", 2),
        ("lake.vacuum.before_delete", 2),
    ];
    for (place, visit) in places {
        for again in 0..2 {
            assert!(!child(&shop, &Failpoints::new().kill(place, visit)), "{place} was passed, round {again}");
            let lake = shop.again().await;
            let table = lake.open_table(&id()).await.unwrap().unwrap();
            let position = table.position("naru/shop/1").await.unwrap().unwrap();
            assert_eq!(contents(&lake, &table.view()).await, state(position), "{place}, round {again}");
        }
    }
    assert!(child(&shop, &Failpoints::new()), "a run after all the kills");
    let lake = shop.again().await;
    let view = lake.open_table(&id()).await.unwrap().unwrap().view();
    let left: Vec<_> = std::fs::read_dir(shop.path(&id())).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(
        left.len(),
        view.files.len() + 1,
        "only live files and the log are left after the last vacuum: {left:?}"
    );
}
