//! The stream without a server: messages by hand into real tables.
//!
//! Owns: what must hold in the middle of a transaction and around a lost connection, at moments that a server would
//! show for milliseconds only. Never tests what a script can see.

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use naru_base::{Lsn, TableId, number::i64_from};
use naru_lake::{
    Lake, LakeError, LakeSettings, TableSpec, TableView,
    index::IndexError,
    live::{Budget, Cut, LiveSet, LiveSettings},
};
use naru_project::{Environment, Project};
use naru_store::Store;

use super::{context::Context, context::Way, room::DiskMarks, stream::Stream};
use crate::{
    error::SyncError,
    image::{
        TableImage,
        tests::{column, table},
    },
    postgres::ConnectSettings,
    preflight::tests::facts,
    publication::SourceNames,
    state::TableState,
};

const URL: &str = "postgres://nobody@127.0.0.1:1/nowhere";
const INT8: u32 = 20;
const TEXT: u32 = 25;
const ORDERS: u32 = 100;
const ITEMS: u32 = 101;
/// Where both tables begin.
const START: u64 = 10;

struct World {
    folder: tempfile::TempDir,
    stream: Stream,
}

fn image(oid: u32, name: &str) -> TableImage {
    let image = table(vec![column(1, "id", INT8), column(2, "v", TEXT)]);
    TableImage { oid, name: name.into(), ..image }
}

/// Bytes that PostgreSQL would send.
fn begin(commit: u64) -> Vec<u8> {
    [&b"B"[..], &commit.to_be_bytes(), &[0; 8], &[0, 0, 0, 7]].concat()
}

fn commit(at: u64, end: u64) -> Vec<u8> {
    [&b"C\0"[..], &at.to_be_bytes(), &end.to_be_bytes(), &[0; 8]].concat()
}

fn relation(image: &TableImage) -> Vec<u8> {
    let mut bytes = [&b"R"[..], &image.oid.to_be_bytes(), b"public\0", image.name.as_bytes(), b"\0d"].concat();
    bytes.extend(u16::try_from(image.columns.len()).unwrap().to_be_bytes());
    for column in &image.columns {
        bytes.push(u8::from(column.attnum == 1));
        bytes.extend([column.name.as_bytes(), b"\0", &column.type_oid.to_be_bytes(), &(-1_i32).to_be_bytes()].concat());
    }
    bytes
}

fn insert(oid: u32, id: u64, value: &str) -> Vec<u8> {
    let mut bytes = [&b"I"[..], &oid.to_be_bytes(), b"N\0\x02"].concat();
    for text in [id.to_string().as_str(), value] {
        bytes.extend([&b"t"[..], &u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat());
    }
    bytes
}

/// A message of the event trigger.
fn told(event: &serde_json::Value) -> Vec<u8> {
    let text = event.to_string();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&b"M\x01"[..], &[0; 8], b"naru\0", &length, text.as_bytes()].concat()
}

fn altered(image: &TableImage) -> Vec<u8> {
    told(&serde_json::json!({"event": "table", "tag": "ALTER TABLE", "image": image}))
}

async fn context(folder: &Path, live: LiveSettings) -> Context {
    std::fs::create_dir_all(folder.join("sources")).unwrap();
    std::fs::write(folder.join("naru.toml"), "[project]\nname = \"test\"\n").unwrap();
    std::fs::write(folder.join("sources/shop.toml"), format!("kind = \"postgres\"\nurl = \"{URL}\"\n")).unwrap();
    let project = Project::load(folder, &Environment::of_process()).project.unwrap();
    let source = project.sources[0].clone();
    let settings = LakeSettings { location: "lake".into(), base: folder.to_owned(), cache: folder.join("cache") };
    let spool_dir = folder.join("spool");
    std::fs::create_dir_all(&spool_dir).unwrap();
    Context {
        postgres: source.postgres().unwrap().clone(),
        names: SourceNames::new("p", "shop"),
        source,
        way: Way::new(ConnectSettings::parse(URL).unwrap(), || Ok(ConnectSettings::parse(URL).unwrap())),
        lake: Lake::open(settings).await.unwrap(),
        store: Arc::new(Store::open(&folder.join("naru.db")).unwrap()),
        spool_dir,
        zone: jiff::tz::TimeZone::UTC,
        live,
        disk: DiskMarks { folders: vec![folder.to_owned()], copy_free_min: 0, apply_free_min: 0 },
    }
}

impl World {
    /// Two live tables, empty and shown, in a session that begins at [`START`].
    async fn new(live: LiveSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut stream = Stream::new(LiveSet::new(), Arc::new(context(folder.path(), live).await));
        stream.app_id = "naru/shop/1".into();
        let mut world = Self { folder, stream };
        for (oid, name) in [(ORDERS, "orders"), (ITEMS, "items")] {
            world.live(oid, name).await;
        }
        world.stream.reached = Lsn(START);
        world.stream.keep_alive(Lsn(START)).unwrap();
        assert_eq!(world.stream.published, Lsn(START));
        world
    }

    async fn live(&mut self, oid: u32, name: &str) {
        let stream = &mut self.stream;
        stream.judge(image(oid, name), &facts());
        let shape = stream.tables[&oid].shape.clone().unwrap();
        let spec = TableSpec {
            columns: shape.columns.clone(),
            key: shape.key.clone(),
            deletion_vectors: true,
            ..TableSpec::default()
        };
        let made = stream.context.lake.create(&shape.id, spec).await.unwrap();
        let live = stream.context.live_table(made).await.unwrap();
        let (app_id, at) = (stream.app_id.clone(), i64_from(START));
        live.replace_all(Vec::new(), shape.columns, shape.key, &app_id, at).await.unwrap();
        stream.live_set.insert(&live);
        let table = stream.tables.get_mut(&oid).unwrap();
        (table.live, table.state, table.applied) = (Some(live), TableState::Live, Lsn(START));
        let row = table.stored_row("shop");
        stream.stored.insert(table.image.names(), row);
    }

    async fn play(&mut self, messages: &[Vec<u8>]) -> Result<(), SyncError> {
        for message in messages {
            self.stream.message(&Bytes::copy_from_slice(message)).await?;
        }
        Ok(())
    }

    /// One transaction that ends at `end`, around these messages.
    async fn transaction(&mut self, end: u64, messages: &[Vec<u8>]) -> Result<(), SyncError> {
        let all = [&[begin(end - 1)], messages, &[commit(end - 1, end)]].concat();
        self.play(&all).await
    }

    fn cut(&self) -> Arc<Cut> {
        self.stream.live_set.snapshot()
    }

    fn shown(&self, table: &str) -> Arc<TableView> {
        self.cut().tables[&TableId::new("shop", table)].clone()
    }

    /// Rows of the table's last version.
    async fn committed(&self, table: &str) -> u64 {
        let table = self.stream.context.lake.open_table(&TableId::new("shop", table)).await.unwrap().unwrap();
        table.view().live_rows()
    }

    async fn flush(&mut self) {
        self.stream.start_flushes(true);
        while let Some(ended) = self.stream.flushes.join_next().await {
            self.stream.flush_ended(ended.unwrap());
        }
    }

    /// As a session that begins again, as far as no server is needed.
    async fn again(&mut self) {
        self.stream.disconnected().await;
        self.stream.reopen_distrusted().await;
        self.stream.reached = Lsn(START);
        for oid in [ORDERS, ITEMS] {
            if self.stream.tables[&oid].state == TableState::Preflight {
                self.stream.place(oid).await.unwrap();
            }
        }
    }
}

fn row_of(oid: u32, id: u64) -> [Vec<u8>; 2] {
    let name = if oid == ORDERS { "orders" } else { "items" };
    [relation(&image(oid, name)), insert(oid, id, "v")]
}

#[tokio::test]
async fn a_table_that_leaves_inside_a_transaction_ends_at_the_commit_before() {
    // Small enough to wait in the builder, and so large that it is handed on inside the transaction.
    let large = "x".repeat(600 << 10);
    for rows in [vec![insert(ORDERS, 2, "half")], (2..40).map(|id| insert(ORDERS, id, &large)).collect()] {
        for drops in [false, true] {
            let mut world = World::new(LiveSettings::default()).await;
            world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
            let leaves = if drops {
                told(&serde_json::json!({"event": "drop", "oid": ORDERS}))
            } else {
                altered(&image(ORDERS, "archive"))
            };
            world.transaction(30, &[&rows[..], &[leaves]].concat()).await.unwrap();
            world.stream.publish().await.unwrap();
            world.flush().await;
            assert_eq!((world.committed("orders").await, world.shown("orders").live_rows()), (1, 1), "{drops}");
        }
    }
}

#[tokio::test]
async fn a_table_dropped_while_it_catches_up_ends_with_the_last_commit_before() {
    let mut world = World::new(LiveSettings::default()).await;
    world.stream.command_pause(&TableId::new("shop", "orders")).await.unwrap();
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    world.stream.catch_up_again(ORDERS).unwrap();
    world.transaction(30, &[insert(ORDERS, 2, "v")]).await.unwrap();
    let gone = told(&serde_json::json!({"event": "drop", "oid": ORDERS}));
    world.transaction(40, &[insert(ORDERS, 3, "half"), gone]).await.unwrap();
    world.transaction(50, &row_of(ITEMS, 1)).await.unwrap();
    world.stream.publish().await.unwrap();
    world.stream.catch_up().await.unwrap();
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::Dropped);
    assert_eq!((world.shown("orders").live_rows(), world.shown("items").live_rows()), (2, 1));
    world.flush().await;
    let orders = world.stream.context.lake.open_table(&TableId::new("shop", "orders")).await.unwrap().unwrap();
    assert_eq!((orders.view().live_rows(), orders.position("naru/shop/1").await.unwrap()), (2, Some(30)));
}

#[tokio::test]
async fn an_altered_table_is_shown_with_the_others() {
    let mut world = World::new(LiveSettings::default()).await;
    let both = [row_of(ORDERS, 1), row_of(ITEMS, 1)].concat();
    world.transaction(20, &both).await.unwrap();
    let mut wider = image(ORDERS, "orders");
    wider.columns.push(column(3, "note", TEXT));
    let inside = [begin(29), insert(ITEMS, 2, "v"), altered(&wider)];
    world.play(&inside).await.unwrap();
    let orders = world.shown("orders");
    assert_eq!((world.cut().position, orders.live_rows(), orders.columns.len()), (Lsn(START), 0, 2));
    assert_eq!(world.committed("orders").await, 1, "what was committed before is in the lake under the old columns");
    world.play(&[commit(29, 30)]).await.unwrap();
    world.stream.publish().await.unwrap();
    let orders = world.shown("orders");
    assert_eq!((world.cut().position, orders.live_rows(), orders.columns.len()), (Lsn(30), 1, 3));
    assert_eq!(world.shown("items").live_rows(), 2);
}

#[tokio::test]
async fn a_table_that_is_ahead_of_a_lost_connection_waits_for_the_others() {
    let mut world = World::new(LiveSettings::default()).await;
    let both = [row_of(ORDERS, 1), row_of(ITEMS, 1)].concat();
    let mut wider = image(ORDERS, "orders");
    wider.columns.push(column(3, "note", TEXT));
    let second = [insert(ITEMS, 2, "v"), altered(&wider)];
    world.transaction(20, &both).await.unwrap();
    world.play(&[&[begin(29)], &second[..]].concat()).await.unwrap();
    world.again().await;
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::CatchingUp);
    assert_eq!(world.stream.tables[&ITEMS].state, TableState::Live);
    world.stream.catch_up().await.unwrap();
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::CatchingUp, "nothing was sent again yet");
    world.transaction(20, &both).await.unwrap();
    world.transaction(30, &[&both[2..3], &second].concat()).await.unwrap();
    world.stream.publish().await.unwrap();
    world.stream.catch_up().await.unwrap();
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::Live);
    assert_eq!((world.shown("orders").live_rows(), world.shown("items").live_rows()), (1, 2));
    world.flush().await;
    assert_eq!((world.committed("orders").await, world.committed("items").await), (1, 2));
}

#[tokio::test]
async fn a_table_that_waits_for_the_others_has_in_the_lake_what_its_spool_lacks() {
    let large = "x".repeat(600 << 10);
    let mut world = World::new(LiveSettings::default()).await;
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    // So much that it is handed on inside the transaction, and what was whole before with it.
    let rows: Vec<_> = (2..40).map(|id| insert(ORDERS, id, &large)).collect();
    world.play(&[&[begin(29)], &rows[..]].concat()).await.unwrap();
    assert_eq!(world.committed("orders").await, 0);
    world.again().await;
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::CatchingUp);
    assert_eq!(world.committed("orders").await, 1);
    assert_eq!(world.stream.tables[&ORDERS].unflushed_since, None);
}

#[tokio::test]
async fn a_paused_table_has_in_the_lake_what_its_spool_lacks() {
    let mut world = World::new(LiveSettings::default()).await;
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    world.stream.command_pause(&TableId::new("shop", "orders")).await.unwrap();
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::Paused);
    assert_eq!((world.committed("orders").await, world.shown("orders").live_rows()), (1, 1));
    world.transaction(30, &row_of(ORDERS, 2)).await.unwrap();
    world.stream.publish().await.unwrap();
    assert_eq!(world.stream.durable(), Lsn(20));
    world.stream.sync_spools().unwrap();
    assert_eq!(world.stream.durable(), Lsn(30));
    assert_eq!(world.committed("orders").await, 1);
}

#[tokio::test]
async fn a_table_opened_again_keeps_its_waiting_changes() {
    let mut world = World::new(LiveSettings::default()).await;
    let orders = TableId::new("shop", "orders");
    world.stream.command_pause(&orders).await.unwrap();
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    world.stream.catch_up_again(ORDERS).unwrap();
    world.stream.catch_up().await.unwrap();
    assert!(world.stream.tables[&ORDERS].spent_spool.is_some());
    let table = world.stream.tables.get_mut(&ORDERS).unwrap();
    table.distrusted = true;
    world.again().await;
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::CatchingUp);
    world.stream.start_flushes(false);
    assert!(world.stream.context.spool_path(ORDERS).exists());
    world.stream.catch_up().await.unwrap();
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    world.transaction(30, &row_of(ORDERS, 2)).await.unwrap();
    world.stream.publish().await.unwrap();
    world.stream.catch_up().await.unwrap();
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::Live);
    world.flush().await;
    assert_eq!(world.committed("orders").await, 2);
}

/// A streamed transaction without a change, as PostgreSQL sends one whose tables are not published.
fn streamed(at: u64, end: u64) -> [Vec<u8>; 3] {
    let commit = [&b"c\0\0\0\x09\0"[..], &at.to_be_bytes(), &end.to_be_bytes(), &[0; 8]].concat();
    [b"S\0\0\0\x09\x01".to_vec(), b"E".to_vec(), commit]
}

#[tokio::test]
async fn a_streamed_transaction_need_not_come_again() {
    let mut world = World::new(LiveSettings::default()).await;
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    world.play(&streamed(29, 30)).await.unwrap();
    assert_eq!(world.stream.last.map(|last| last.end), Some(Lsn(20)));
    world.again().await;
    world.stream.witness = world.stream.last;
    world.transaction(20, &row_of(ORDERS, 1)).await.unwrap();
    world.stream.keep_alive(Lsn(40)).unwrap();
    assert_eq!(world.stream.cut, Lsn(40));
}

/// Flips bytes of every index run of a table, as a bad disk would.
fn damage_runs(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder.join("cache/index/shop/orders")).unwrap().map(|entry| entry.unwrap().path());
    let runs: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "run")).collect();
    for path in &runs {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.iter_mut().step_by(300).for_each(|byte| *byte ^= 1);
        let mut file = std::fs::File::options().write(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
    }
    runs.len()
}

#[tokio::test]
async fn a_table_that_opening_again_does_not_mend_says_that_it_is_copied_again() {
    let mut world = World::new(LiveSettings::default()).await;
    let table = world.stream.tables.get_mut(&ORDERS).unwrap();
    (table.distrusted, table.reopened) = (true, 3);
    world.again().await;
    let table = &world.stream.tables[&ORDERS];
    assert_eq!(table.state, TableState::Quarantined);
    let fix = table.note.fix.as_deref().unwrap();
    assert!(
        fix.contains("copied again when naru next connects") && fix.contains("naru sync resync shop.orders"),
        "{fix}"
    );
}

#[tokio::test]
async fn of_a_dropped_table_and_one_that_has_its_name_now_only_the_latter_is_listed() {
    let mut world = World::new(LiveSettings::default()).await;
    world.stream.drop_table(ORDERS, "gone").unwrap();
    let states = |world: &World| -> Vec<_> {
        world.stream.statuses().into_iter().map(|table| (table.table.to_string(), table.state)).collect()
    };
    assert_eq!(
        states(&world),
        [("shop.items".into(), "live".to_owned()), ("shop.orders".into(), "dropped".to_owned())]
    );
    world.stream.judge(image(ITEMS + 1, "orders"), &facts());
    assert_eq!(
        states(&world),
        [("shop.items".into(), "live".to_owned()), ("shop.orders".into(), "preflight".to_owned())]
    );
}

#[tokio::test]
async fn tables_of_one_source_share_the_memory_of_unflushed_rows() {
    let budget = Budget::new(1 << 20);
    let settings = LiveSettings { budget: budget.clone(), segment_bytes: 2 << 20, ..LiveSettings::default() };
    let mut world = World::new(settings).await;
    let value = "x".repeat(10_000);
    let rows = |oid: u32, name: &str, ids: std::ops::Range<u64>| -> Vec<_> {
        std::iter::once(relation(&image(oid, name))).chain(ids.map(|id| insert(oid, id, &value))).collect()
    };
    let staged =
        |world: &World, oid: u32| world.stream.tables[&oid].live.as_ref().unwrap().facts(Instant::now()).staged;
    world.transaction(20, &rows(ORDERS, "orders", 0..40)).await.unwrap();
    world.stream.publish().await.unwrap();
    assert!(budget.used() > 400_000 && !budget.exceeded(), "{}", budget.used());
    // Each table holds less than it may alone, and both together more than they may.
    for step in 0..4 {
        let ids = step * 15..(step + 1) * 15;
        world.transaction(30 + step, &rows(ITEMS, "items", ids)).await.unwrap();
        world.stream.publish().await.unwrap();
    }
    assert_eq!((staged(&world, ORDERS), staged(&world, ITEMS) > 0), (0, true), "who adds to too much makes room");
    assert_eq!((world.shown("orders").live_rows(), world.shown("items").live_rows()), (40, 60));
    world.flush().await;
    assert_eq!((world.committed("orders").await, world.committed("items").await, budget.used()), (40, 60, 0));
}

#[tokio::test]
async fn unflushed_rows_that_cannot_be_read_back_are_sent_again() {
    let small = LiveSettings { positions_bytes: 10 << 10, ..LiveSettings::default() };
    let mut world = World::new(small).await;
    let ids = |first: u64| (first..first + 2_000).map(|id| insert(ORDERS, id, "v"));
    let relation = relation(&image(ORDERS, "orders"));
    let first: Vec<_> = std::iter::once(relation.clone()).chain(ids(0)).collect();
    let second: Vec<_> = ids(2_000).collect();
    for (end, messages) in [(20, &first), (30, &second)] {
        world.transaction(end, messages).await.unwrap();
        world.stream.publish().await.unwrap();
    }
    assert_eq!(world.shown("orders").live_rows(), 4_000);
    assert!(damage_runs(world.folder.path()) > 0, "nothing was spilled");
    let third: Vec<_> = std::iter::once(relation).chain(ids(1_000)).collect();
    world.transaction(40, &third).await.unwrap();
    let failed = world.stream.publish().await;
    assert!(matches!(failed, Err(SyncError::Lake(LakeError::Index(IndexError::Damaged { .. })))), "{failed:?}");
    assert!(world.stream.durable() <= Lsn(START));
    world.again().await;
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::CatchingUp);
    assert_eq!(world.stream.durable(), Lsn(START), "nothing that is gone from memory is acknowledged");
    world.stream.catch_up().await.unwrap();
    for (end, messages) in [(20, &first), (30, &second), (40, &third)] {
        world.transaction(end, messages).await.unwrap();
    }
    world.stream.publish().await.unwrap();
    world.stream.catch_up().await.unwrap();
    assert_eq!(world.stream.tables[&ORDERS].state, TableState::Live);
    assert_eq!(world.shown("orders").live_rows(), 4_000);
    world.flush().await;
    assert_eq!(world.committed("orders").await, 4_000);
}
