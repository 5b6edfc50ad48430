//! A lake in a temporary folder, a table in it, and a map that says what the table must hold.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Date32Array, Int64Array, StringArray},
    compute::cast,
    datatypes::{DataType, Date32Type, Field, Int64Type, Schema},
    record_batch::RecordBatch,
};
use datafusion::prelude::SessionContext;
use naru_base::TableId;
use naru_lake::{
    ChangeBatch, Column, CompactionLimits, Grain, Lake, LakeSettings, Op, PartitionOf, ScanOptions, TableSpec,
    TableView,
    live::{Budget, LiveSettings, LiveTable},
};
use rand::{Rng as _, rngs::StdRng};

/// A row without its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub v: i64,
    pub big: Option<String>,
    pub note: Option<String>,
}

pub type Rows = BTreeMap<i64, Row>;

/// One change; `left_out` says of `big` and `note` whether the source did not send them.
#[derive(Debug, Clone)]
pub struct Change {
    pub op: Op,
    pub id: i64,
    pub row: Option<Row>,
    pub left_out: [bool; 2],
}

pub fn seed() -> u64 {
    let seed = std::env::var("NARU_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("NARU_SEED={seed}");
    seed
}

pub fn steps(default: usize) -> usize {
    std::env::var("NARU_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn id(name: &str) -> TableId {
    TableId::new("shop", name)
}

pub async fn lake(dir: &Path) -> Lake {
    let settings = LakeSettings { location: "lake".into(), base: dir.to_path_buf(), cache: dir.join("cache") };
    Lake::open(settings).await.unwrap()
}

pub fn columns() -> Vec<Column> {
    vec![
        Column::new("id", DataType::Int64),
        Column::new("v", DataType::Int64),
        Column::new("big", DataType::Utf8),
        Column::new("note", DataType::Utf8),
    ]
}

/// The partition column that tests by day have: days made of `v`, since any column will do.
pub const DAY: &str = "_day_v";

/// The same with rows kept apart by a day that `v` gives.
pub fn parted_columns() -> Vec<Column> {
    let partition = PartitionOf { of: "v".into(), grain: Grain::Day, zone: "Asia/Seoul".into() };
    columns().into_iter().chain([Column::new(DAY, DataType::Date32).with_partition(partition)]).collect()
}

/// The day of a row.
pub fn day(v: i64) -> Option<i32> {
    (v % 13 != 0).then(|| 20_000 + i32::try_from(v % 12).unwrap())
}

/// The same rows with their days.
pub fn with_days(batch: ChangeBatch) -> ChangeBatch {
    let values = batch.rows.column(1).as_primitive::<Int64Type>();
    let days: Date32Array = values.iter().map(|v| v.and_then(day)).collect();
    let mut fields: Vec<_> = batch.rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(DAY, DataType::Date32, true)));
    let columns = batch.rows.columns().iter().cloned().chain([Arc::new(days) as ArrayRef]).collect();
    ChangeBatch { rows: RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap(), ..batch }
}

pub fn spec(key: &[&str]) -> TableSpec {
    TableSpec {
        columns: columns(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        deletion_vectors: true,
        ..TableSpec::default()
    }
}

/// Small bounds, so that segments are staged and positions spilled in tests too.
pub fn small() -> LiveSettings {
    LiveSettings {
        budget: Budget::new(1 << 20),
        compaction: CompactionLimits {
            files_min: 3,
            dead_ratio: 0.05,
            hot_age: Duration::ZERO,
            ..CompactionLimits::default()
        },
        segment_bytes: 24 << 10,
        positions_bytes: 20 << 10,
        ..LiveSettings::default()
    }
}

/// Opens the table, creating it the first time.
pub async fn open(lake: &Lake, name: &str, settings: LiveSettings) -> LiveTable {
    open_as(lake, name, spec(&["id"]), settings).await
}

/// Opens the table, creating it like this the first time.
pub async fn open_as(lake: &Lake, name: &str, spec: TableSpec, settings: LiveSettings) -> LiveTable {
    let table = match lake.open_table(&id(name)).await.unwrap() {
        Some(table) => table,
        None => lake.create(&id(name), spec).await.unwrap(),
    };
    LiveTable::open(table, settings).await.unwrap()
}

pub fn batch(changes: &[Change]) -> ChangeBatch {
    let text = |pick: &dyn Fn(&Change) -> Option<String>| -> ArrayRef {
        Arc::new(changes.iter().map(pick).collect::<StringArray>())
    };
    let sent = |at: usize, pick: &dyn Fn(&Row) -> Option<String>, change: &Change| {
        change.row.as_ref().filter(|_| !change.left_out[at]).and_then(pick)
    };
    let ids = changes.iter().map(|change| (change.op != Op::Truncate).then_some(change.id));
    let values = changes.iter().map(|change| change.row.as_ref().map(|row| row.v));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(ids.collect::<Int64Array>()),
        Arc::new(values.collect::<Int64Array>()),
        text(&|change| sent(0, &|row| row.big.clone(), change)),
        text(&|change| sent(1, &|row| row.note.clone(), change)),
    ];
    let fields: Vec<_> = columns().into_iter().map(|column| Field::new(column.name, column.data_type, true)).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let mask = |at: usize| {
        let any = changes.iter().any(|change| change.left_out[at]);
        any.then(|| changes.iter().map(|change| Some(change.left_out[at])).collect::<BooleanArray>())
    };
    let unchanged = if changes.iter().any(|change| change.left_out != [false; 2]) {
        vec![None, None, mask(0), mask(1)]
    } else {
        Vec::new()
    };
    ChangeBatch { rows, ops: changes.iter().map(|change| change.op).collect(), unchanged }
}

/// Every row of a view, read as a query reads it. Two rows with one key are an error.
pub async fn scan(lake: &Lake, view: &Arc<TableView>) -> Rows {
    let mut rows = Rows::new();
    for (id, row) in scan_all(lake, view).await {
        assert!(rows.insert(id, row).is_none(), "two rows with the key {id}");
    }
    assert_eq!(rows.len() as u64, view.live_rows(), "live_rows counts what a scan gives");
    rows
}

pub async fn scan_all(lake: &Lake, view: &Arc<TableView>) -> Vec<(i64, Row)> {
    let context = SessionContext::new();
    lake.register(&context.runtime_env());
    let provider = view.provider(&ScanOptions::default()).unwrap();
    let batches = context.read_table(provider).unwrap().collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in batches {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let values = batch.column(1).as_primitive::<Int64Type>();
        let text = |at: usize| cast(batch.column(at), &DataType::Utf8).unwrap();
        let (big, note) = (text(2), text(3));
        let value = |array: &ArrayRef, row: usize| {
            let array = array.as_string::<i32>();
            array.is_valid(row).then(|| array.value(row).to_owned())
        };
        for at in 0..batch.num_rows() {
            let row = Row { v: values.value(at), big: value(&big, at), note: value(&note, at) };
            rows.push((ids.value(at), row));
        }
    }
    rows
}

/// Every row has its day, and no file holds rows of two.
pub async fn check_days(lake: &Lake, view: &Arc<TableView>) {
    let context = SessionContext::new();
    lake.register(&context.runtime_env());
    let shown = async |view: Arc<TableView>| {
        let provider = view.provider(&ScanOptions { hidden: true, ..ScanOptions::default() }).unwrap();
        let batches = context.read_table(provider).unwrap().collect().await.unwrap();
        let mut days = Vec::new();
        for batch in batches {
            let values = batch.column(1).as_primitive::<Int64Type>().values().to_vec();
            let shown = batch.column(4).as_primitive::<Date32Type>().iter();
            assert_eq!(shown.collect::<Vec<_>>(), values.iter().map(|v| day(*v)).collect::<Vec<_>>());
            days.extend(values.into_iter().map(day));
        }
        days
    };
    shown(Arc::clone(view)).await;
    for file in view.files.iter() {
        let alone = view.with_files(vec![Arc::clone(file)]).with_tail(Vec::new());
        let days = shown(Arc::new(alone)).await;
        assert!(days.iter().all(|day| *day == file.day), "file {} of {:?} holds {days:?}", file.id, file.day);
    }
}

/// Every row that another process would find in the table.
pub async fn committed(dir: &Path, name: &str) -> Rows {
    let lake = lake(dir).await;
    let table = lake.open_table(&id(name)).await.unwrap().unwrap();
    scan(&lake, &table.view()).await
}

pub fn row(random: &mut StdRng) -> Row {
    let mut text = |most: usize| {
        let letters = random.random_range(0..most);
        random.random_bool(0.9).then(|| (0..letters).map(|_| random.random_range('a'..='z')).collect())
    };
    let (big, note) = (text(200), text(8));
    Row { v: random.random_range(0..1_000_000), big, note }
}

/// A random change that a source with these rows could make, applied to `rows` too.
pub fn change(random: &mut StdRng, rows: &mut Rows, out: &mut Vec<Change>) {
    let keys = 400;
    let existing = |random: &mut StdRng, rows: &Rows| {
        let from = random.random_range(0..keys);
        rows.range(from..).next().or_else(|| rows.iter().next()).map(|(id, row)| (*id, row.clone()))
    };
    let full = [false, false];
    match random.random_range(0..1_000) {
        0..350 => {
            let (id, row) = (random.random_range(0..keys), row(random));
            rows.insert(id, row.clone());
            out.push(Change { op: Op::Insert, id, row: Some(row), left_out: full });
        }
        350..700 => {
            let Some((id, old)) = existing(random, rows) else { return };
            let new = row(random);
            let (row, left_out) = keep_some(random, new, &old);
            rows.insert(id, row.clone());
            out.push(Change { op: Op::Update, id, row: Some(row), left_out });
        }
        700..900 => {
            let id = random.random_range(0..keys);
            rows.remove(&id);
            out.push(Change { op: Op::Delete, id, row: None, left_out: full });
        }
        900..997 => {
            let Some((from, old)) = existing(random, rows) else { return };
            let id = random.random_range(0..keys);
            let new = row(random);
            let (row, left_out) = keep_some(random, new, &old);
            rows.remove(&from);
            rows.insert(id, row.clone());
            out.push(Change { op: Op::Delete, id: from, row: None, left_out: full });
            out.push(Change { op: Op::Move, id, row: Some(row), left_out });
        }
        _ => {
            rows.clear();
            out.push(Change { op: Op::Truncate, id: 0, row: None, left_out: full });
        }
    }
}

fn keep_some(random: &mut StdRng, mut row: Row, old: &Row) -> (Row, [bool; 2]) {
    let left_out = [random.random_bool(0.4), random.random_bool(0.2)];
    if left_out[0] {
        row.big.clone_from(&old.big);
    }
    if left_out[1] {
        row.note.clone_from(&old.note);
    }
    (row, left_out)
}

pub fn changes(random: &mut StdRng, rows: &mut Rows, count: usize) -> Vec<Change> {
    let mut out = Vec::new();
    (0..count).for_each(|_| change(random, rows, &mut out));
    out
}
