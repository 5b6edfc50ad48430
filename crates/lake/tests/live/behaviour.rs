//! One promise a test: errors change nothing, counts, hot keys, memory, columns, keyless tables, bulk rows, the index.

use std::{path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Int64Array, new_null_array},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use naru_base::Lsn;
use naru_lake::{
    ChangeBatch, Column, Lake, LakeError, Op, StagedFile, StagerOptions,
    live::{ApplyCounts, ApplyError, LiveSet, LiveSettings, LiveTable},
};

use crate::world::{self, Change, Row, Rows};

const APP: &str = "naru/test/1";

struct Place {
    dir: tempfile::TempDir,
    lake: Lake,
    set: LiveSet,
    table: LiveTable,
}

async fn place(settings: LiveSettings) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let lake = world::lake(dir.path()).await;
    let table = world::open(&lake, "t", settings).await;
    let set = LiveSet::new();
    set.insert(&table);
    Place { dir, lake, set, table }
}

impl Place {
    async fn apply(&self, changes: &[Change]) -> Result<ApplyCounts, ApplyError> {
        self.table.apply(world::batch(changes)).await
    }

    fn publish(&self, position: u64) {
        self.set.publish(Lsn(position), &[&self.table]);
    }

    async fn shown(&self) -> Rows {
        world::scan(&self.lake, &self.set.snapshot().tables[self.table.id()]).await
    }

    async fn stage(&self, rows: impl Iterator<Item = Change>) -> Vec<StagedFile> {
        let mut stager = self.table.table().stager(StagerOptions::default());
        stager.write(&world::batch(&rows.collect::<Vec<_>>()).rows).await.unwrap();
        stager.finish().await.unwrap()
    }

    async fn reopen(self) -> Self {
        let Self { dir, lake, set, table } = self;
        drop((lake, set, table));
        let lake = world::lake(dir.path()).await;
        let table = world::open(&lake, "t", world::small()).await;
        let set = LiveSet::new();
        set.insert(&table);
        Self { dir, lake, set, table }
    }
}

fn row(v: i64) -> Row {
    Row { v, big: Some(format!("big {v}")), note: None }
}

fn set(op: Op, id: i64, v: i64) -> Change {
    Change { op, id, row: Some(row(v)), left_out: [false; 2] }
}

fn without(op: Op, id: i64) -> Change {
    Change { op, id, row: None, left_out: [false; 2] }
}

#[tokio::test]
async fn changes_are_counted_as_the_source_made_them() {
    let place = place(world::small()).await;
    let counts = place
        .apply(&[
            set(Op::Insert, 1, 1),
            set(Op::Insert, 2, 2),
            set(Op::Update, 2, 3),
            without(Op::Delete, 2),
            set(Op::Move, 3, 3),
            without(Op::Delete, 9),
        ])
        .await
        .unwrap();
    let expected = ApplyCounts { inserts: 2, updates: 2, deletes: 1, missing: 1, ..ApplyCounts::default() };
    assert_eq!(counts, expected);
    let again = place.apply(&[set(Op::Insert, 1, 1), without(Op::Delete, 3), without(Op::Delete, 3)]).await.unwrap();
    let expected = ApplyCounts { inserts: 1, deletes: 2, replaced: 1, missing: 1, ..ApplyCounts::default() };
    assert_eq!(again, expected);
    place.publish(1);
    assert_eq!(place.shown().await, Rows::from([(1, row(1))]));
}

#[tokio::test]
async fn nothing_is_seen_before_it_is_published_and_what_is_discarded_never_was() {
    let place = place(world::small()).await;
    place.apply(&[set(Op::Insert, 1, 1)]).await.unwrap();
    assert_eq!(place.shown().await, Rows::new());
    place.publish(5);
    place.apply(&[set(Op::Update, 1, 2), set(Op::Insert, 2, 2)]).await.unwrap();
    assert_eq!(place.shown().await, Rows::from([(1, row(1))]));
    // The flush takes what is published, with the position it was published at, and nothing else.
    let flushed = place.table.flush(APP, 3).await.unwrap();
    assert_eq!((flushed.position, flushed.rows, flushed.committed), (5, 1, true));
    assert_eq!(world::committed(place.dir.path(), "t").await, Rows::from([(1, row(1))]));
    place.table.discard_unpublished();
    place.publish(6);
    assert_eq!(place.shown().await, Rows::from([(1, row(1))]));
    assert!(!place.table.has_unflushed());
}

#[tokio::test]
async fn a_table_that_is_ahead_is_flushed_and_shown_only_with_the_others() {
    let place = place(world::small()).await;
    let other = world::open(&place.lake, "other", world::small()).await;
    place.set.insert(&other);
    for table in [&place.table, &other] {
        table.apply(world::batch(&[set(Op::Insert, 1, 1)])).await.unwrap();
    }
    place.set.publish_ahead(&place.table, Lsn(5));
    let flushed = place.table.flush(APP, 5).await.unwrap();
    assert_eq!((flushed.position, flushed.rows), (5, 1));
    let evolved: Vec<_> = world::columns().into_iter().chain([Column::new("new", DataType::Utf8)]).collect();
    place.table.evolve(evolved, APP, 5).await.unwrap();
    let cut = place.set.snapshot();
    let seen = &cut.tables[place.table.id()];
    assert_eq!((cut.position, seen.live_rows(), seen.columns.len()), (Lsn(0), 0, 4));
    assert_eq!(place.shown().await, Rows::new());
    // What it shows is published, with the others, even when they alone are named.
    place.set.publish(Lsn(6), &[&other]);
    let cut = place.set.snapshot();
    let seen = &cut.tables[place.table.id()];
    assert_eq!((cut.position, seen.live_rows(), seen.columns.len()), (Lsn(6), 1, 5));
    assert_eq!(cut.tables[other.id()].live_rows(), 1);
}

#[tokio::test]
async fn rows_that_came_and_went_between_two_flushes_leave_nothing_to_flush() {
    let place = place(world::small()).await;
    place.apply(&[set(Op::Insert, 1, 1), set(Op::Insert, 2, 2)]).await.unwrap();
    place.publish(5);
    place.apply(&[without(Op::Delete, 1), without(Op::Delete, 2)]).await.unwrap();
    place.publish(6);
    place.table.flush(APP, 6).await.unwrap();
    assert!(!place.table.has_unflushed());
    place.apply(&[set(Op::Insert, 3, 3)]).await.unwrap();
    place.publish(7);
    place.table.flush(APP, 7).await.unwrap();
    assert!(!place.table.has_unflushed());
    assert_eq!(place.shown().await, Rows::from([(3, row(3))]));
}

#[tokio::test]
async fn a_row_that_a_change_builds_on_is_never_made_up() {
    let place = place(world::small()).await;
    place.apply(&[set(Op::Insert, 1, 1)]).await.unwrap();
    let partial = |op, id| Change { op, id, row: Some(row(9)), left_out: [true, false] };
    let cases: [&[Change]; 4] = [
        &[set(Op::Insert, 5, 5), partial(Op::Update, 2)],
        &[without(Op::Delete, 1), partial(Op::Update, 1)],
        &[without(Op::Delete, 7), partial(Op::Move, 8)],
        &[without(Op::Truncate, 0), partial(Op::Update, 1)],
    ];
    for changes in cases {
        match place.apply(changes).await {
            Err(ApplyError::MissingBase { key, .. }) => assert_eq!(key, ["id"]),
            other => panic!("{other:?}"),
        }
    }
    place.publish(1);
    assert_eq!(place.shown().await, Rows::from([(1, row(1))]), "a refused batch changes nothing");
}

#[tokio::test]
async fn batches_of_another_shape_are_refused_with_the_column_named() {
    let place = place(world::small()).await;
    let good = world::batch(&[set(Op::Insert, 1, 1)]);
    let fewer = ChangeBatch { rows: good.rows.project(&[0, 1]).unwrap(), ..good.clone() };
    let mut fields: Vec<_> = good.rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1] = Field::new("v", DataType::Utf8, true);
    let mut arrays = good.rows.columns().to_vec();
    arrays[1] = new_null_array(&DataType::Utf8, 1);
    let retyped = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let retyped = ChangeBatch { rows: retyped, ..good.clone() };
    for (batch, word) in [(fewer, "2 columns"), (retyped, "\"v\"")] {
        match place.table.apply(batch).await {
            Err(error @ ApplyError::Schema { .. }) => assert!(error.to_string().contains(word), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    let torn = ChangeBatch { ops: vec![Op::Insert; 2], ..good };
    assert!(matches!(place.table.apply(torn).await, Err(ApplyError::Malformed { .. })));
}

#[tokio::test]
async fn a_key_updated_a_thousand_times_is_written_once() {
    let place = place(LiveSettings::default()).await;
    for v in 0..1_000 {
        place.apply(&[set(Op::Update, v % 3, v)]).await.unwrap();
        place.publish(1 + v as u64);
    }
    let flushed = place.table.flush(APP, 0).await.unwrap();
    assert_eq!((flushed.rows, flushed.files, flushed.position), (3, 1, 1_000));
    let view = place.table.table().view();
    assert_eq!((view.files[0].rows, view.files[0].deleted.is_none()), (3, true));
    place.apply(&[without(Op::Delete, 0), set(Op::Update, 1, 7)]).await.unwrap();
    place.publish(1_001);
    assert_eq!(place.shown().await, Rows::from([(1, row(7)), (2, row(998))]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_larger_than_memory_is_staged_and_stays_invisible_until_it_commits() {
    let place = place(world::small()).await;
    let (rows, chunk) = (60_000_i64, 1_000);
    let mut most = 0;
    for first in (0..rows).step_by(chunk as usize) {
        let changes: Vec<_> = (first..first + chunk).map(|id| set(Op::Insert, id, id)).collect();
        place.apply(&changes).await.unwrap();
        most = most.max(place.table.bytes());
    }
    assert!(most < 1 << 20, "{most} bytes at most");
    assert_eq!(place.set.snapshot().tables[place.table.id()].live_rows(), 0);
    // Rows of the transaction itself are found again, in staged files and spilled positions.
    let keep = |id| Change { op: Op::Update, id, row: Some(Row { v: -1, ..row(id) }), left_out: [true, false] };
    place.apply(&(0..rows).step_by(500).map(keep).collect::<Vec<_>>()).await.unwrap();
    place.publish(1);
    let shown = place.shown().await;
    assert_eq!(shown.len() as i64, rows);
    assert_eq!((&shown[&500], &shown[&501]), (&Row { v: -1, ..row(500) }, &row(501)));
    assert!(place.table.should_flush(Instant::now()), "many staged segments wait for a commit");
    place.table.flush(APP, 1).await.unwrap();
    assert_eq!(world::committed(place.dir.path(), "t").await, shown);
}

#[tokio::test]
async fn a_column_appears_after_a_flush_and_its_default_is_filled_into_old_files() {
    let place = place(world::small()).await;
    place.apply(&[set(Op::Insert, 1, 1), set(Op::Insert, 2, 2)]).await.unwrap();
    let mut columns = world::columns();
    columns.push(Column { fill: Some(serde_json::json!(7)), ..Column::new("more", DataType::Int64) });
    let refused = place.table.evolve(columns.clone(), APP, 1).await;
    assert!(matches!(refused, Err(LakeError::Refused { .. })), "{refused:?}");
    place.publish(1);
    place.table.evolve(columns.clone(), APP, 1).await.unwrap();
    assert_eq!(place.table.position(APP).await.unwrap(), Some(1));
    let old = world::batch(&[set(Op::Insert, 3, 3)]);
    assert!(matches!(place.table.apply(old.clone()).await, Err(ApplyError::Schema { .. })));
    let mut fields: Vec<_> = old.rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("more", DataType::Int64, true)));
    let more: ArrayRef = Arc::new(Int64Array::from(vec![30]));
    let arrays = old.rows.columns().iter().cloned().chain([more]).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    place.table.apply(ChangeBatch { rows, ops: vec![Op::Update], unchanged: Vec::new() }).await.unwrap();
    place.publish(2);
    assert!(place.table.fill_due());
    let filled = place.table.fill().await.unwrap().unwrap();
    assert_eq!((filled.removed, filled.added, place.table.fill_due()), (1, 1, false));
    assert_eq!(place.shown().await, Rows::from([(1, row(1)), (2, row(2)), (3, row(3))]));
    let mut retyped = columns.clone();
    retyped[0].data_type = DataType::Utf8;
    place.table.flush(APP, 2).await.unwrap();
    assert!(matches!(place.table.evolve(retyped, APP, 2).await, Err(LakeError::Refused { .. })));
}

#[tokio::test]
async fn a_keyless_table_takes_inserts_and_truncates_only() {
    let dir = tempfile::tempdir().unwrap();
    let lake = world::lake(dir.path()).await;
    let table = lake.create(&world::id("log"), world::spec(&[])).await.unwrap();
    let table = LiveTable::open(table, world::small()).await.unwrap();
    let set_of = LiveSet::new();
    set_of.insert(&table);
    let shown = || async {
        let mut rows = world::scan_all(&lake, &set_of.snapshot().tables[table.id()]).await;
        rows.sort();
        rows.into_iter().map(|(id, row)| (id, row.v)).collect::<Vec<_>>()
    };
    let twice = world::batch(&[set(Op::Insert, 1, 1), set(Op::Insert, 1, 1)]);
    table.apply(twice).await.unwrap();
    set_of.publish(Lsn(1), &[&table]);
    table.flush(APP, 1).await.unwrap();
    table.apply(world::batch(&[set(Op::Insert, 2, 2)])).await.unwrap();
    set_of.publish(Lsn(2), &[&table]);
    assert_eq!(shown().await, [(1, 1), (1, 1), (2, 2)]);
    let refused = table.apply(world::batch(&[set(Op::Update, 1, 2)])).await;
    assert!(matches!(refused, Err(ApplyError::Keyless { .. })), "{refused:?}");
    table.apply(world::batch(&[set(Op::Insert, 3, 3), without(Op::Truncate, 0), set(Op::Insert, 4, 4)])).await.unwrap();
    set_of.publish(Lsn(3), &[&table]);
    assert_eq!(shown().await, [(4, 4)]);
    table.flush(APP, 3).await.unwrap();
    assert_eq!(shown().await, [(4, 4)]);
}

#[tokio::test]
async fn a_table_whose_dead_rows_cannot_be_marked_is_refused_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let lake = world::lake(dir.path()).await;
    for (name, key, fits) in [("keyed", &["id"][..], false), ("keyless", &[], true)] {
        let spec = naru_lake::TableSpec { deletion_vectors: false, ..world::spec(key) };
        let table = lake.create(&world::id(name), spec).await.unwrap();
        let opened = LiveTable::open(table, world::small()).await;
        assert_eq!(opened.is_ok(), fits, "{name}");
        assert!(fits || matches!(opened, Err(LakeError::Refused { .. })), "{name}");
    }
}

#[tokio::test]
async fn copied_rows_are_found_by_later_changes() {
    let place = place(world::small()).await;
    let staged = place.stage((0..500).map(|id| set(Op::Insert, id, id))).await;
    place.table.append(staged, APP, 10).await.unwrap();
    let staged = place.stage((500..900).map(|id| set(Op::Insert, id, id))).await;
    place.table.append(staged, APP, 11).await.unwrap();
    assert_eq!((place.table.rows(), place.table.position(APP).await.unwrap()), (900, Some(11)));
    let left_out = Change { op: Op::Update, id: 700, row: Some(row(-1)), left_out: [true, true] };
    place.apply(&[set(Op::Insert, 3, -3), left_out, without(Op::Delete, 899)]).await.unwrap();
    place.publish(12);
    let shown = place.shown().await;
    assert_eq!((shown.len(), &shown[&3]), (899, &row(-3)));
    assert_eq!(shown[&700], Row { v: -1, ..row(700) });
}

#[tokio::test]
async fn a_lost_or_torn_index_is_built_again_from_the_files() {
    let runs = |dir: &Path| {
        let entries = std::fs::read_dir(dir.join("cache/index/shop/t")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "run"))
    };
    let remove = |dir: &Path| std::fs::remove_dir_all(dir.join("cache/index")).unwrap();
    let tear = |dir: &Path| runs(dir).for_each(|run| std::fs::write(run, b"torn").unwrap());
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let cases: [Damage<'_>; 3] = [("kept", &|_| ()), ("lost", &remove), ("torn", &tear)];
    let mut place = place(world::small()).await;
    let staged = place.stage((0..100).map(|id| set(Op::Insert, id, id))).await;
    place.table.append(staged, APP, 1).await.unwrap();
    for (round, (case, damage)) in (1..).zip(cases) {
        place.apply(&[set(Op::Update, 1, -round), without(Op::Delete, 10 + round)]).await.unwrap();
        place.publish(1 + round as u64);
        place.table.flush(APP, 0).await.unwrap();
        damage(place.dir.path());
        place = place.reopen().await;
        let counts = place.apply(&[set(Op::Insert, 1, -round), without(Op::Delete, 10 + round)]).await.unwrap();
        assert_eq!((counts.replaced, counts.missing), (1, 1), "{case}");
        place.publish(1 + round as u64);
        assert_eq!(place.shown().await.len() as i64, 100 - round, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_is_noticed_and_built_again() {
    let place = place(LiveSettings::default()).await;
    let mut model = Rows::new();
    for first in [0, 1_500] {
        let changes: Vec<_> = (first..first + 1_500).map(|id| set(Op::Insert, id, id)).collect();
        model.extend(changes.iter().map(|change| (change.id, change.row.clone().unwrap())));
        place.apply(&changes).await.unwrap();
        place.publish(u64::try_from(first + 1).unwrap());
        place.table.flush(APP, first + 1).await.unwrap();
    }
    let folder = place.dir.path().join("cache/index/shop/t");
    let runs = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut flipped = 0;
    for path in runs.filter(|path| path.extension().is_some_and(|ending| ending == "run")) {
        // In place, as a bad disk would: the run is open already.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().take(20_000).step_by(700).for_each(|byte| *byte ^= 1);
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        flipped += 1;
    }
    assert!(flipped > 0);
    let changes: Vec<_> = (0..3_000).step_by(2).map(|id| set(Op::Update, id, -id)).collect();
    model.extend(changes.iter().map(|change| (change.id, change.row.clone().unwrap())));
    place.apply(&changes).await.unwrap();
    place.publish(9_000);
    assert_eq!(place.shown().await, model);
    place.table.flush(APP, 9_000).await.unwrap();
    assert_eq!(world::committed(place.dir.path(), "t").await, model);
    let place = place.reopen().await;
    place.apply(&[without(Op::Delete, 0), set(Op::Update, 1, 7)]).await.unwrap();
    place.publish(9_001);
    model.remove(&0);
    model.insert(1, row(7));
    assert_eq!(place.shown().await, model);
}
