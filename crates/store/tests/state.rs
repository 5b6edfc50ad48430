//! Promises of the state database and its lock.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use naru_base::{Lsn, TableId};
use naru_store::{
    Lock, Store, StoreError, kv,
    schema_cache::{self, CachedSchema},
    sync_sources::{self, SyncSource},
    sync_tables::{self, SyncTable, TableState},
};
use serde_json::json;

/// Names the folder in which this test binary, started again, plays the part of another process.
const CHILD_FOLDER: &str = "NARU_STORE_CHILD_FOLDER";

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("naru.db")).unwrap()
}

fn table(name: &str, state: TableState) -> SyncTable {
    SyncTable {
        source: "shop".into(),
        schema: "public".into(),
        table: name.into(),
        oid: u32::MAX,
        lake: TableId::new("shop", name),
        state,
        detail: json!({"chunks": [1, 2]}),
        reason: Some("매출(원)".into()),
        fix: None,
        rows_copied: 7,
        updated_us: 1,
    }
}

#[tokio::test]
async fn what_sync_stores_comes_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let source = SyncSource {
        source: "shop".into(),
        system_identifier: Some("7301".into()),
        timeline: Some(1),
        slot: Some("naru_abc_shop".into()),
        generation: None,
        acknowledged: Some(Lsn(0x16_B374_D848)),
        last_error: Some(json!({"code": "sync.slot_lost"})),
        updated_us: 5,
        url_reference: Some("${SHOP_URL}".into()),
    };
    let stored = source.clone();
    let store = open(folder.path());
    store
        .write(move |tx| {
            sync_sources::upsert(tx, &stored)?;
            for state in TableState::ALL {
                sync_tables::upsert(tx, &table(state.as_str(), state))?;
            }
            let cached = CachedSchema { source: "shop".into(), tables: json!([{"name": "주문"}]), seen_us: 3 };
            schema_cache::put(tx, &cached)
        })
        .await
        .unwrap();
    drop(store);
    let store = open(folder.path());
    store
        .read(move |tx| {
            assert_eq!(sync_sources::list(tx)?, [source]);
            assert_eq!(sync_tables::list(tx, Some("shop"))?.len(), TableState::ALL.len());
            assert_eq!(sync_tables::list(tx, Some("other"))?, []);
            assert_eq!(sync_tables::of_lake(tx, &TableId::new("shop", "live"))?, Some(table("live", TableState::Live)));
            assert_eq!(schema_cache::get(tx, "shop")?.unwrap().tables, json!([{"name": "주문"}]));
            assert_eq!(schema_cache::get(tx, "crm")?, None);
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_name_in_the_lake_belongs_to_the_table_that_had_it_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let of = |source: &str, schema: &str, state: TableState| SyncTable {
        source: source.into(),
        schema: schema.into(),
        lake: TableId::new("shop_eu", "orders"),
        detail: json!({"holds_name": true}),
        ..table("orders", state)
    };
    let (first, second) = (of("shop", "eu", TableState::Preflight), of("shop_eu", "public", TableState::Preflight));
    store
        .write(move |tx| {
            assert_eq!(sync_tables::claim(tx, &first)?, None);
            sync_tables::upsert(tx, &SyncTable { state: TableState::Live, ..first.clone() })?;
            // Claimed again after a restart, it keeps the state it had.
            assert_eq!(sync_tables::claim(tx, &first)?, None);
            assert_eq!(sync_tables::get(tx, "shop", "eu", "orders")?.unwrap().state, TableState::Live);
            let holder = sync_tables::claim(tx, &second)?.unwrap();
            assert_eq!((holder.source.as_str(), holder.schema.as_str()), ("shop", "eu"));
            let refused =
                SyncTable { state: TableState::Quarantined, detail: json!({"holds_name": false}), ..second.clone() };
            sync_tables::upsert(tx, &refused)?;
            assert_eq!(sync_tables::claim(tx, &first)?, None);
            sync_tables::upsert(tx, &SyncTable { state: TableState::Dropped, ..first })?;
            assert_eq!(sync_tables::claim(tx, &second)?, None);
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_table_moves_between_states_and_goes_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .write(|tx| {
            sync_tables::upsert(tx, &table("orders", TableState::Live))?;
            let key = ("shop", "public", "orders");
            assert!(sync_tables::set_state(tx, key, TableState::Quarantined, Some("why"), Some("how"), 9)?);
            let now = sync_tables::get(tx, "shop", "public", "orders")?.unwrap();
            assert_eq!((now.state, now.fix.as_deref(), now.rows_copied), (TableState::Quarantined, Some("how"), 7));
            assert!(!sync_tables::set_state(tx, ("shop", "public", "gone"), TableState::Live, None, None, 9)?);
            sync_sources::remove(tx, "shop")?;
            assert_eq!(sync_tables::list(tx, None)?, []);
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_error_rolls_back_and_a_reader_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let failed: Result<(), _> = store
        .write(|tx| {
            kv::set(tx, "a", "1")?;
            Err(StoreError::Closing)
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(store.read(|tx| kv::get(tx, "a")).await.unwrap(), None);
    assert!(store.read(|tx| kv::set(tx, "a", "1")).await.is_err());
    let reader = Store::open_for_reading(store.path()).unwrap();
    assert!(reader.write(|tx| kv::set(tx, "a", "1")).await.is_err());
    store.write(|tx| kv::set(tx, "a", "2")).await.unwrap();
    assert_eq!(reader.read(|tx| kv::get(tx, "a")).await.unwrap().as_deref(), Some("2"));
    store.write(|tx| kv::remove(tx, "a")).await.unwrap();
    assert_eq!(reader.read(|tx| kv::get(tx, "a")).await.unwrap(), None);
}

#[tokio::test]
async fn many_writers_take_turns_and_readers_do_not_wait_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(|tx| kv::set(tx, "n", "0")).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(|tx| {
                        let n: u32 = kv::get(tx, "n")?.unwrap().parse().unwrap();
                        kv::set(tx, "n", &(n + 1).to_string())
                    })
                    .await
                    .unwrap();
                store.read(|tx| kv::get(tx, "n")).await.unwrap().unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().parse::<u32>().unwrap() >= 1);
    }
    assert_eq!(store.read(|tx| kv::get(tx, "n")).await.unwrap().as_deref(), Some("16"));
}

#[tokio::test]
async fn a_projects_id_is_random_and_stays() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = open(one.path()).write(|tx| kv::project_id(tx)).await.unwrap();
    assert_eq!(open(one.path()).write(|tx| kv::project_id(tx)).await.unwrap(), first);
    assert_ne!(open(two.path()).write(|tx| kv::project_id(tx)).await.unwrap(), first);
    assert!(first.len() == 8 && first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{first}");
}

#[test]
fn a_project_without_state_says_so_to_readers() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::open_for_reading(&folder.path().join("naru.db"));
    assert!(matches!(missing, Err(StoreError::Missing { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn one_process_holds_the_lock_and_others_learn_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".naru/lock");
    assert_eq!(Lock::holder(&path).unwrap(), None);
    let lock = Lock::acquire(&path, "naru up", Duration::ZERO).unwrap();
    let me = format!("naru up (pid {})", std::process::id());
    assert_eq!(Lock::holder(&path).unwrap().as_deref(), Some(me.as_str()));
    match Lock::acquire(&path, "naru run", Duration::from_millis(60)) {
        Err(StoreError::Locked { holder }) => assert_eq!(holder, me),
        other => panic!("the lock was held twice: {other:?}"),
    }
    drop(lock);
    assert_eq!(Lock::holder(&path).unwrap(), None);
    drop(Lock::acquire(&path, "naru run", Duration::ZERO).unwrap());
}

#[test]
fn a_waiting_writer_gets_the_lock_when_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let lock = Lock::acquire(&path, "naru run", Duration::ZERO).unwrap();
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || Lock::acquire(&path, "naru up", Duration::from_secs(10)).map(drop)
    });
    drop(lock);
    waiting.join().unwrap().unwrap();
}

/// Not a promise of its own: the other process of the tests below. Without its variable it does nothing.
#[test]
fn child_process_of_the_kill_test() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let folder = Path::new(&folder);
    let _lock = Lock::acquire(&folder.join("lock"), "naru child", Duration::ZERO).unwrap();
    let store = open(folder);
    let before = store.read_blocking(|tx| kv::get(tx, "n")).unwrap();
    let mut number: u64 = before.map_or(0, |text| text.parse().unwrap());
    loop {
        number += 1;
        store.write_blocking(|tx| kv::set(tx, "n", &number.to_string())).unwrap();
        println!("stored {number}");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_the_lock_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for _ in 0..2 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process_of_the_kill_test", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stored = lines.by_ref().map(|line| line.unwrap()).filter_map(|line| {
            // The test harness prints its own words on the same line as the first of the child's.
            line.split_once("stored ").and_then(|(_, number)| number.parse::<u64>().ok())
        });
        let seen = stored.take(20).last().unwrap();
        assert!(Lock::holder(&folder.path().join("lock")).unwrap().unwrap().starts_with("naru child"));
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines.filter_map(|line| line.ok()?.split_once("stored ")?.1.parse().ok()).last();
        acknowledged = acknowledged.max(rest.unwrap_or(seen));
    }
    assert_eq!(Lock::holder(&folder.path().join("lock")).unwrap(), None);
    let store = open(folder.path());
    let stored: u64 = store.read_blocking(|tx| kv::get(tx, "n")).unwrap().unwrap().parse().unwrap();
    assert!(stored >= acknowledged && acknowledged >= 40, "{stored} stored, {acknowledged} acknowledged");
    let whole: String =
        store.read_blocking(|tx| Ok(tx.query_row("PRAGMA integrity_check", [], |row| row.get(0))?)).unwrap();
    assert_eq!(whole, "ok");
}

fn saved(name: &str, who: &str) -> naru_store::saved::Saved {
    naru_store::saved::Saved {
        id: 0,
        name: name.to_owned(),
        description: String::new(),
        sql: "SELECT 1".to_owned(),
        who: who.to_owned(),
        owner: format!("{who}@acme.kr"),
        revision: 0,
        created_us: 1,
        updated_us: 1,
        grants: vec![("group:analysts".to_owned(), true)],
    }
}

#[tokio::test]
async fn a_saved_query_changed_elsewhere_is_not_overwritten_and_goes_to_an_heir_with_its_shares() {
    use naru_store::{saved as queries, shares};
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("naru.db")).unwrap();
    store
        .write_blocking(|tx| {
            let id = queries::insert(tx, &saved("매출", "person:1"))?;
            let first = queries::find(tx, id)?.unwrap();
            assert_eq!((first.revision, first.grants.len()), (1, 1));
            assert!(queries::update(
                tx,
                &queries::Saved { name: "sales".to_owned(), grants: vec![], ..first.clone() }
            )?);
            assert!(!queries::update(tx, &first)?);
            let link = shares::Link {
                id: 0,
                saved: id,
                who: "person:1".to_owned(),
                sharer: "kim".to_owned(),
                name: "sheet of sales".to_owned(),
                hash: [7; 32],
                rows_max: 100,
                fresh_s: 60,
                note: false,
                created_us: 1,
                expires_us: 100,
                revoked_us: None,
                query: None,
                problem: None,
                used_us: None,
                uses: 0,
            };
            let link = shares::insert_link(tx, &link)?;
            assert_eq!(queries::hand_over(tx, "person:1", "person:2", "lee")?, 1);
            assert_eq!(queries::find(tx, id)?.unwrap().owner, "lee");
            assert_eq!(shares::link_of_hash(tx, &[7; 32], 50)?.unwrap().who, "person:1", "it ends with them");
            assert!(shares::link_of_hash(tx, &[7; 32], 100)?.is_none());
            shares::revoke_link(tx, link, 10)?;
            assert!(shares::link_of_hash(tx, &[7; 32], 50)?.is_none());
            queries::delete(tx, id)?;
            assert!(shares::find_link(tx, link)?.is_none());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_draft_changed_in_two_windows_keeps_both_until_someone_chooses() {
    use naru_store::drafts::{self, Draft};
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("naru.db")).unwrap();
    let draft = Draft {
        id: 0,
        who: "person:1".to_owned(),
        title: "탭".to_owned(),
        sql: "SELECT".to_owned(),
        position: 1,
        revision: 0,
        query: None,
        saved: None,
        updated_us: 1,
    };
    store
        .write_blocking(|tx| {
            let first = drafts::insert(tx, &draft)?;
            drafts::set_query(tx, "person:1", first.id, "abc")?;
            let second = drafts::update(tx, &Draft { sql: "SELECT 2".to_owned(), ..first.clone() })?.unwrap();
            assert_eq!((second.revision, second.query.as_deref()), (2, Some("abc")));
            assert_eq!(drafts::update(tx, &first)?, None);
            assert_eq!(drafts::find(tx, "person:2", first.id)?, None);
            assert!(!drafts::delete(tx, "person:2", first.id)? && drafts::delete(tx, "person:1", first.id)?);
            Ok(())
        })
        .unwrap();
}
