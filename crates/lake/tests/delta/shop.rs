//! A table with awkward names, its rows, and reading it through the scan.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
    util::display::array_value_to_string,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use naru_base::TableId;
use naru_lake::{
    Change, Column, FileId, Lake, LakeSettings, Operation, ScanOptions, SimulatedClock, StagedFile, StagerOptions,
    Table, TableSpec, TableView,
};
use roaring::RoaringTreemap;
use tempfile::TempDir;

pub const SALES: &str = "매출(원)";
pub const MEMBERS: &str = "가입자 수";

pub struct Shop {
    pub lake: Lake,
    pub folder: PathBuf,
    _kept: Option<TempDir>,
}

impl Shop {
    pub async fn open() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let shop = Self::at(kept.path()).await;
        Self { _kept: Some(kept), ..shop }
    }

    /// A shop in a folder that somebody else owns.
    pub async fn at(folder: &Path) -> Self {
        Self { lake: lake_at(folder).await, folder: folder.to_path_buf(), _kept: None }
    }

    /// A shop whose time is moved by hand.
    pub async fn timed(clock: &SimulatedClock) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let settings = settings_at(kept.path());
        let lake = Lake::open_with(settings, Arc::new(clock.clone())).await.unwrap();
        Self { lake, folder: kept.path().to_path_buf(), _kept: Some(kept) }
    }

    /// The same folder, opened as another process would.
    pub async fn again(&self) -> Lake {
        lake_at(&self.folder).await
    }

    pub fn path(&self, id: &TableId) -> PathBuf {
        self.folder.join("lake").join(&id.dataset).join(&id.table)
    }
}

async fn lake_at(folder: &Path) -> Lake {
    Lake::open(settings_at(folder)).await.unwrap()
}

fn settings_at(folder: &Path) -> LakeSettings {
    let base = folder.to_path_buf();
    LakeSettings { location: "lake".into(), cache: base.join("cache"), base }
}

pub fn id() -> TableId {
    TableId::new("shop", "주문 목록")
}

pub fn columns() -> Vec<Column> {
    vec![
        Column::new("id", DataType::Int64),
        Column::new(SALES, DataType::Int64),
        Column::new(MEMBERS, DataType::Utf8),
        Column::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ]
}

pub fn spec() -> TableSpec {
    TableSpec { columns: columns(), key: vec!["id".into()], deletion_vectors: true, ..TableSpec::default() }
}

/// Row `id` in state `version`; every seventh name is null.
pub fn rows(ids: impl IntoIterator<Item = i64>, version: i64) -> RecordBatch {
    let ids: Vec<i64> = ids.into_iter().collect();
    let names: StringArray = ids.iter().map(|id| (id % 7 != 0).then(|| format!("name {id} v{version}"))).collect();
    RecordBatch::try_from_iter_with_nullable(vec![
        ("id", Arc::new(Int64Array::from(ids.clone())) as Arc<dyn Array>, true),
        (SALES, Arc::new(ids.iter().map(|id| Some(id * 10 + version)).collect::<Int64Array>()), true),
        (MEMBERS, Arc::new(names), true),
        (
            "at",
            Arc::new(
                ids.iter().map(|id| Some(id * 1_000_003)).collect::<TimestampMicrosecondArray>().with_timezone("UTC"),
            ),
            true,
        ),
    ])
    .unwrap()
}

pub async fn stage(table: &Table, batches: &[RecordBatch]) -> Vec<StagedFile> {
    let mut stager = table.stager(StagerOptions::default());
    for batch in batches {
        stager.write(batch).await.unwrap();
    }
    stager.finish().await.unwrap()
}

pub async fn append(table: &Table, batch: &RecordBatch) -> FileId {
    let add = stage(table, std::slice::from_ref(batch)).await;
    let file = add[0].id;
    table.commit(Change { add, ..Change::default() }).await.unwrap();
    file
}

/// Kills these rows and adds those, as a flush does.
pub async fn flush(table: &Table, delete: Vec<(FileId, RoaringTreemap)>, batch: &RecordBatch, position: i64) {
    let add = stage(table, std::slice::from_ref(batch)).await;
    let change = Change {
        add,
        delete,
        txn: Some(("naru/shop/1".into(), position)),
        operation: Operation::Flush,
        ..Change::default()
    };
    table.commit(change).await.unwrap();
}

pub fn dead(rows: impl IntoIterator<Item = u64>) -> RoaringTreemap {
    rows.into_iter().collect()
}

pub async fn session(lake: &Lake, view: &Arc<TableView>) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().optimizer.repartition_file_min_size = 1024;
    let context = SessionContext::new_with_config(config);
    lake.register(&context.runtime_env());
    context.register_table("t", view.provider(&ScanOptions::default()).unwrap()).unwrap();
    context
}

/// Answers of a query, one text a row, in the query's order.
pub async fn answer(lake: &Lake, view: &Arc<TableView>, sql: &str) -> Vec<String> {
    let batches = session(lake, view).await.sql(sql).await.unwrap().collect().await.unwrap();
    lines(&batches)
}

pub fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                if column.is_null(row) { "~".into() } else { array_value_to_string(column, row).unwrap() }
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

/// What every reader must see: id → (sales, name, microseconds).
pub type Contents = BTreeMap<i64, (Option<i64>, Option<String>, i64)>;

pub fn model(batches: &[RecordBatch]) -> Contents {
    let mut contents = Contents::new();
    for batch in batches {
        let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
        let (ids, sales) = (number("id"), number(SALES));
        let names = batch.column_by_name(MEMBERS).unwrap().as_string::<i32>().clone();
        let at = batch.column_by_name("at").unwrap().as_primitive::<TimestampMicrosecondType>().clone();
        for row in 0..batch.num_rows() {
            let name = names.is_valid(row).then(|| names.value(row).to_owned());
            let sold = sales.is_valid(row).then(|| sales.value(row));
            assert!(contents.insert(ids.value(row), (sold, name, at.value(row))).is_none(), "a row is doubled");
        }
    }
    contents
}

pub async fn contents(lake: &Lake, view: &Arc<TableView>) -> Contents {
    model(&session(lake, view).await.sql("select * from t").await.unwrap().collect().await.unwrap())
}
