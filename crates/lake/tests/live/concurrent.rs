//! Readers, a writer, flushes and compactions at the same time: every cut a reader takes is one that was published.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use naru_base::Lsn;
use naru_lake::{
    Lake,
    live::{LiveSet, LiveTable},
};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::world::{self, Rows};

const APP: &str = "naru/test/1";
const TABLES: [&str; 2] = ["orders", "items"];

/// What each published position must show, table by table.
type Published = Arc<Mutex<HashMap<u64, Vec<Rows>>>>;

async fn read(lake: Lake, set: LiveSet, published: Published, done: Arc<AtomicBool>, reads: Arc<AtomicU64>) {
    let mut last = 0;
    while !done.load(Ordering::Relaxed) {
        let cut = set.snapshot();
        assert!(cut.position.0 >= last, "a cut never goes back");
        last = cut.position.0;
        let expected = published.lock().unwrap()[&cut.position.0].clone();
        for (name, expected) in TABLES.iter().zip(expected) {
            let rows = world::scan(&lake, &cut.tables[&world::id(name)]).await;
            assert!(rows == expected, "{name} at {} is not what was published", cut.position);
        }
        reads.fetch_add(1, Ordering::Relaxed);
    }
}

async fn maintain(tables: Vec<LiveTable>, done: Arc<AtomicBool>) {
    let (mut flushes, mut compactions) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        for table in &tables {
            flushes += usize::from(table.flush(APP, 0).await.unwrap().committed);
            compactions += usize::from(table.compact().await.unwrap().is_some());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{flushes} flushes, {compactions} compactions");
    assert!(flushes > 0 && compactions > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_cut_that_a_reader_takes_was_published() {
    let mut random = StdRng::seed_from_u64(world::seed());
    let dir = tempfile::tempdir().unwrap();
    let lake = world::lake(dir.path()).await;
    let set = LiveSet::new();
    let mut tables = Vec::new();
    for name in TABLES {
        let table = world::open(&lake, name, world::small()).await;
        set.insert(&table);
        tables.push(table);
    }
    let published: Published = Arc::default();
    published.lock().unwrap().insert(0, vec![Rows::new(); TABLES.len()]);
    let (done, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..2 {
        others.spawn(read(lake.clone(), set.clone(), Arc::clone(&published), Arc::clone(&done), Arc::clone(&reads)));
    }
    others.spawn(maintain(tables.clone(), Arc::clone(&done)));
    let mut rows = vec![Rows::new(); TABLES.len()];
    for position in 1..=world::steps(250) as u64 {
        for (table, rows) in tables.iter().zip(&mut rows) {
            let changes = world::changes(&mut random, rows, 40);
            for part in changes.chunk_by(|_, next| next.op == naru_lake::Op::Move) {
                table.apply(world::batch(part)).await.unwrap();
            }
        }
        published.lock().unwrap().insert(position, rows.clone());
        set.publish(Lsn(position), &tables.iter().collect::<Vec<_>>());
        if others.try_join_next().is_some_and(|ended| ended.is_err()) {
            break;
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = others.join_next().await {
        ended.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) > 0);
    for ((name, table), rows) in TABLES.iter().zip(&tables).zip(&rows) {
        table.flush(APP, 0).await.unwrap();
        assert_eq!(&world::committed(dir.path(), name).await, rows);
    }
}
