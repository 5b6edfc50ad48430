//! Reads every version that was written to the lake and judges it by the history.
//!
//! Owns: a reader of the lake's folder beside naru, and which versions were judged. A version holds exactly what the
//! source held after the last commit at or before the position it names.
//! Never writes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array as _, ArrayRef},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::prelude::SessionContext;
use naru_base::{TableId, Version};
use naru_lake::{Lake, LakeSettings, ScanOptions, Table};
use serde_json::Value;

use crate::{history::Answer, live::Shared};

/// The dataset that everything is synced into.
const DATASET: &str = "shop";

/// What was judged of one table.
#[derive(Debug, Default, Clone, Copy)]
struct Judged {
    versions: u64,
    /// The position of the last version; `None` before the first.
    position: Option<u64>,
}

/// See the module.
pub struct Versions {
    root: PathBuf,
    cache: PathBuf,
    judged: BTreeMap<String, Judged>,
    /// How many versions were judged.
    pub count: u64,
    /// The same by the log's word for what they are.
    pub operations: BTreeMap<String, u64>,
}

impl Versions {
    /// Of the lake in this folder; the cache is the reader's own.
    pub fn new(root: PathBuf, cache: PathBuf) -> Self {
        Self { root, cache, judged: BTreeMap::new(), count: 0, operations: BTreeMap::new() }
    }

    /// Judges every version that is new since the last time.
    ///
    /// # Errors
    /// What differs: table, version, position, commit, rows.
    pub async fn judge(&mut self, shared: &Shared) -> Result<(), String> {
        let place = LakeSettings {
            location: self.root.to_string_lossy().into_owned(),
            base: self.root.clone(),
            cache: self.cache.clone(),
        };
        let lake = Lake::open(place).await.map_err(|error| error.to_string())?;
        let Ok(folders) = std::fs::read_dir(self.root.join(DATASET)) else { return Ok(()) };
        let mut names: Vec<String> =
            folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        for name in names {
            let mut judged = self.judged.get(&name).copied().unwrap_or_default();
            let table = lake.open_table(&TableId::new(DATASET, &name)).await.map_err(|error| error.to_string())?;
            let Some(table) = table else { continue };
            let log = self.root.join(DATASET).join(&name).join("_delta_log");
            while let Ok(entry) = std::fs::read_to_string(entry_path(&log, judged.versions)) {
                judged.position = position(&entry).or(judged.position);
                let place = format!("{name} version {} of the lake", judged.versions);
                let answer = read(&lake, &table, judged.versions).await;
                let answer =
                    answer.map_err(|wrong| format!("{place} {wrong}\nits log entry: {}", first_line(&entry)))?;
                judge_one(shared, &name, judged.position, &answer)
                    .map_err(|wrong| format!("{place}: {wrong}\nits log entry: {}", first_line(&entry)))?;
                judged.versions += 1;
                self.count += 1;
                *self.operations.entry(operation(&entry)).or_default() += 1;
            }
            self.judged.insert(name, judged);
        }
        Ok(())
    }
}

fn judge_one(shared: &Shared, name: &str, position: Option<u64>, answer: &Answer) -> Result<(), String> {
    let history = shared.history.lock().expect("nobody panics with it");
    let Some(position) = position else {
        let rows = answer.rows.len();
        return if rows == 0 { Ok(()) } else { Err(format!("{rows} rows without a position")) };
    };
    let seq = history.at(position);
    let Some(moment) = history.named(name, seq) else {
        return Err(format!("position {position} (commit {seq}): the source had no such table yet"));
    };
    if history.holds(moment, answer) {
        return Ok(());
    }
    let stands = history.stands(name, answer, shared.announced);
    if stands.iter().any(|stand| stand.is_after(seq)) {
        return Ok(());
    }
    Err(format!(
        "at position {position} the source had commit {seq} (ends {}, the next at {}); the rows are those of {stands:?}; \
         the table was changed last by commit {}: {}",
        history.end(seq),
        history.end(seq + 1),
        history.seq(moment),
        history.difference(moment, answer)
    ))
}

fn entry_path(log: &Path, version: u64) -> PathBuf {
    log.join(format!("{version:020}.json"))
}

fn operation(entry: &str) -> String {
    let line: Value = serde_json::from_str(first_line(entry)).unwrap_or_default();
    line["commitInfo"]["operation"].as_str().unwrap_or_default().to_owned()
}

fn first_line(entry: &str) -> &str {
    entry.lines().next().unwrap_or_default()
}

/// The position of the source that a log entry names.
fn position(entry: &str) -> Option<u64> {
    let line = |line: &str| serde_json::from_str::<Value>(line).ok();
    entry.lines().filter_map(line).find_map(|action| {
        let txn = &action["txn"];
        txn["appId"].as_str().filter(|id| id.starts_with("naru/shop/")).and(txn["version"].as_u64())
    })
}

async fn read(lake: &Lake, table: &Table, version: u64) -> Result<Answer, String> {
    let view = table.view_at(Version(version)).await.map_err(|error| format!("cannot be read: {error}"))?;
    let session = SessionContext::new();
    lake.register(&session.runtime_env());
    let provider = view.provider(&ScanOptions::default()).map_err(|error| error.to_string())?;
    let frame = session.read_table(provider).map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| format!("cannot be scanned: {error}"))?;
    let mut answer = Answer { names: Vec::new(), rows: Vec::new() };
    answer.names = view.columns.iter().map(|column| column.name.clone()).collect();
    let options = FormatOptions::default();
    for batch in batches {
        answer.names = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        let columns: Result<Vec<_>, _> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect();
        let columns = columns.map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            let cell = |(array, text): (&ArrayRef, &ArrayFormatter<'_>)| {
                array.is_valid(row).then(|| text.value(row).to_string())
            };
            answer.rows.push(batch.columns().iter().zip(&columns).map(cell).collect());
        }
    }
    Ok(answer)
}
