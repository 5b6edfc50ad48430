//! A mirrored table in a lake of its own, changed without a source: what the lake alone costs.
//!
//! Owns: making it, filling it through the lake's own staging, changing random keys. The code that runs is the code that
//! `naru up` runs: live table, key index, flush, compaction.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::DataType,
};
use naru_base::{Lsn, TableId};
use naru_lake::{
    ChangeBatch, Clock, Column, Lake, LakeSettings, Op, StagerOptions, TableSpec,
    live::{LiveSet, LiveSettings, LiveTable},
};
use naru_testkit::Folder;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// App id of the positions that flushes store.
pub const APP: &str = "naru/bench/1";
/// Rows staged at a time.
const STAGE_ROWS: i64 = 64 * 1024;
/// Rows of one commit while the table is filled.
const COMMIT_ROWS: i64 = 10_000_000;

/// The table and what is around it.
pub struct Mirror {
    /// The lake it is in.
    pub lake: Lake,
    /// The table.
    pub live: LiveTable,
    set: LiveSet,
    rows: i64,
    position: i64,
    random: StdRng,
    folder: Folder,
}

impl Mirror {
    /// An empty table of three columns: a key, a number, a short text.
    pub async fn new(clock: Arc<dyn Clock>) -> Self {
        let folder = Folder::new("bench");
        let base = folder.path().to_path_buf();
        let settings = LakeSettings { location: "lake".into(), cache: base.join("cache"), base };
        let lake = Lake::open_with(settings, clock).await.expect("open a lake");
        let spec = TableSpec {
            columns: vec![
                Column::new("id", DataType::Int64),
                Column::new("amount", DataType::Int64),
                Column::new("state", DataType::Utf8),
            ],
            key: vec!["id".into()],
            deletion_vectors: true,
            ..TableSpec::default()
        };
        let table = lake.create(&TableId::new("shop", "orders"), spec).await.expect("create a table");
        let live = LiveTable::open(table, LiveSettings::default()).await.expect("open a live table");
        let set = LiveSet::new();
        set.insert(&live);
        let random = StdRng::seed_from_u64(7);
        Self { lake, live, set, rows: 0, position: 1, random, folder }
    }

    /// Adds rows with new keys until there are `rows`, as a copy does.
    pub async fn grow(&mut self, rows: u64) {
        let rows = i64::try_from(rows).expect("rows");
        while self.rows < rows {
            let end = rows.min(self.rows + COMMIT_ROWS);
            let options = StagerOptions { index: true, ..StagerOptions::default() };
            let mut stager = self.live.table().stager(options);
            while self.rows < end {
                let next = end.min(self.rows + STAGE_ROWS);
                let keys = Int64Array::from_iter_values(self.rows..next);
                stager.write(&image(keys, 0)).await.expect("stage rows");
                self.rows = next;
            }
            let staged = stager.finish().await.expect("stage rows");
            self.position += 1;
            self.live.append(staged, APP, self.position).await.expect("append");
        }
    }

    /// Updates `count` random rows, visible at once.
    pub async fn change(&mut self, count: usize) {
        let rows = self.rows;
        let keys: Int64Array = (0..count).map(|_| Some(self.random.random_range(0..rows))).collect();
        self.position += 1;
        let batch =
            ChangeBatch { rows: image(keys, self.position), ops: vec![Op::Update; count], unchanged: Vec::new() };
        self.live.apply(batch).await.expect("apply changes");
        self.set.publish(Lsn(u64::try_from(self.position).unwrap_or(0)), &[&self.live]);
    }

    /// Commits what was changed.
    pub async fn flush(&mut self) {
        self.live.flush(APP, self.position).await.expect("flush");
    }

    /// The table's folder.
    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("lake/shop/orders")
    }
}

fn image(keys: Int64Array, version: i64) -> RecordBatch {
    let amounts: Int64Array = keys.values().iter().map(|key| Some(key.wrapping_mul(31) % 10_000 + version)).collect();
    let states: StringArray = keys
        .values()
        .iter()
        .map(|key| Some(["new", "paid", "sent", "back"][usize::from(*key % 2 == 0) + usize::from(*key % 3 == 0)]))
        .collect();
    let columns: [(&str, ArrayRef); 3] =
        [("id", Arc::new(keys)), ("amount", Arc::new(amounts)), ("state", Arc::new(states))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
}

/// Runs `work` and adds the time it took to `sum`.
pub async fn timed<T>(sum: &mut Duration, work: impl Future<Output = T>) -> T {
    let began = std::time::Instant::now();
    let out = work.await;
    *sum += began.elapsed();
    out
}
