//! The bytes of a log entry, and reading a table's state back from its log.
//!
//! Owns: the JSON of the actions naru writes, [`load`]. Reading goes through `deltalake-core`; writing is these few
//! lines, because a commit must be exactly one conditional put whose outcome naru can look up again.
//! Never decides what changes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use datafusion::execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv};
use deltalake_core::{
    DeltaTable, DeltaTableBuilder, DeltaTableError,
    kernel::{Add, DeletionVectorDescriptor, LogicalFileView},
    table::state::DeltaTableState,
};
use naru_base::{TableId, Version, number::u64_from_signed};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    checkpoint::{self, Txns},
    clock::Clock,
    column::Column,
    commit::{Change, KEY_PROPERTY, Plan, vectors_on},
    error::LakeError,
    object::Pin,
    partition, schema, stats, vectors,
    view::{FileId, FileStats, FileView, TableView},
};

/// App id under which the log remembers which file numbers may have been given.
pub(crate) const FILES_APP: &str = "naru/files";
/// The key in `commitInfo` by which a writer knows its own commit again.
pub(crate) const COMMIT_KEY: &str = "naruCommit";
/// What naru writes; a table that needs anything else is refused, since the commit after it would fail.
const FEATURES: [&str; 3] = ["deletionVectors", "appendOnly", "invariants"];

/// Path of a log entry, relative to the table.
pub(crate) fn entry_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

/// What stands in the metadata besides columns and properties.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) description: Option<String>,
    pub(crate) created_ms: i64,
    /// The protocol action's fields, as the log has them.
    pub(crate) protocol: Value,
}

/// The protocol action for a table with or without deletion vectors.
pub(crate) fn protocol(view: &TableView) -> Value {
    if vectors_on(view) {
        json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["deletionVectors"], "writerFeatures": FEATURES}})
    } else {
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})
    }
}

/// The metadata action.
pub(crate) fn metadata(view: &TableView, about: &About) -> Result<Value, LakeError> {
    let delta = schema::to_delta(&view.id, &view.columns)?;
    let text = serde_json::to_string(&delta)
        .map_err(|error| LakeError::Columns { table: view.id.clone(), reason: error.to_string() })?;
    let partitions: Vec<&String> =
        view.columns.iter().filter(|column| column.partition.is_some()).map(|column| &column.stored).collect();
    Ok(json!({"metaData": {
        "id": *view.uid, "name": view.id.to_string(), "description": about.description,
        "format": {"provider": "parquet", "options": {}}, "schemaString": text, "partitionColumns": partitions,
        "configuration": *view.properties, "createdTime": about.created_ms,
    }}))
}

/// The commit's own line.
pub(crate) fn commit_info(commit: &str, word: &str, now_ms: i64, blind: bool, info: &Map<String, Value>) -> Value {
    let mut line = json!({"timestamp": now_ms, "operation": word, "operationParameters": {}, "isBlindAppend": blind,
        "engineInfo": concat!("naru/", env!("CARGO_PKG_VERSION")), COMMIT_KEY: commit});
    if let Some(fields) = line.as_object_mut() {
        fields.extend(info.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    json!({"commitInfo": line})
}

/// A position.
pub(crate) fn txn(app_id: &str, version: i64, now_ms: i64) -> Value {
    json!({"txn": {"appId": app_id, "version": version, "lastUpdated": now_ms}})
}

fn remove(file: &FileView, columns: &[Column], now_ms: i64, data_change: bool) -> Value {
    let mut line = json!({"path": *file.path, "deletionTimestamp": now_ms, "dataChange": data_change,
        "extendedFileMetadata": true, "partitionValues": partition::values(columns, file.day), "size": file.size});
    set_vector(&mut line, file.vector.as_ref());
    json!({"remove": line})
}

pub(crate) fn add(file: &FileView, columns: &[Column], data_change: bool) -> Value {
    let stats = stats::to_json(&file.stats, file.rows, file.vector.is_none(), columns);
    let values = partition::values(columns, file.day);
    let mut line = json!({"path": *file.path, "partitionValues": values, "size": file.size,
        "modificationTime": file.modified_ms, "dataChange": data_change, "stats": stats});
    set_vector(&mut line, file.vector.as_ref());
    json!({"add": line})
}

fn set_vector(line: &mut Value, vector: Option<&DeletionVectorDescriptor>) {
    if let (Some(fields), Some(vector)) = (line.as_object_mut(), vector)
        && let Ok(value) = serde_json::to_value(vector)
    {
        fields.insert("deletionVector".into(), value);
    }
}

/// All lines of the commit that carries out `plan` after `before`, whose listed files have their vectors by now.
pub(crate) fn entry(
    plan: &Plan,
    change: &Change,
    before: (&TableView, &About),
    commit: &str,
    now_ms: i64,
) -> Result<Vec<Value>, LakeError> {
    let data_change = change.operation.changes_rows();
    let blind = plan.ended.is_empty() && !plan.altered;
    let mut lines = vec![commit_info(commit, change.operation.word(), now_ms, blind, &change.info)];
    if plan.altered {
        lines.push(metadata(&plan.next, before.1)?);
    }
    if let Some((app_id, version)) = &change.txn {
        lines.push(txn(app_id, *version, now_ms));
    }
    lines.extend(plan.ended.iter().map(|file| remove(file, &before.0.columns, now_ms, data_change)));
    lines.extend(plan.listed.iter().map(|file| add(file, &plan.next.columns, data_change)));
    Ok(lines)
}

/// Joins actions to the text of an entry.
pub(crate) fn text(lines: &[Value]) -> String {
    lines.iter().fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// The number in a data file's name, if naru wrote it.
pub(crate) fn id_in(path: &str) -> Option<FileId> {
    let name = path.rsplit('/').next()?.strip_prefix("part-n")?;
    name.split_once('-')?.0.parse().ok().map(FileId)
}

/// A table as its log says.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) view: TableView,
    pub(crate) about: About,
    /// The number the next new file gets.
    pub(crate) next_file: u32,
    /// Every position.
    pub(crate) txns: Txns,
    /// The checkpoint that reading began from.
    pub(crate) checkpoint: Option<u64>,
}

/// Where a table lies.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) id: TableId,
    /// Rooted at the table's folder.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The lake's store, as plans name it.
    pub(crate) url: ObjectStoreUrl,
    /// Knows the lake's store under that name.
    pub(crate) runtime: Arc<RuntimeEnv>,
    /// The table's folder in the lake's store.
    pub(crate) folder: Path,
    /// What every age is measured by.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Home {
    pub(crate) fn log_error(&self, source: DeltaTableError) -> LakeError {
        LakeError::Log { table: self.id.clone(), source: Box::new(source) }
    }

    /// Whether a log is here. An old log may have lost its first entry but then has a checkpoint.
    pub(crate) async fn exists(&self) -> Result<bool, LakeError> {
        for path in [entry_path(0), Path::from("_delta_log/_last_checkpoint")] {
            match self.store.head(&path).await {
                Ok(_) => return Ok(true),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// The table as `deltalake-core` sees it, at `version` or the newest.
    pub(crate) async fn delta(&self, version: Option<Version>) -> Result<DeltaTable, LakeError> {
        let wrong = |error: url::ParseError| LakeError::Damaged { table: self.id.clone(), reason: error.to_string() };
        // The store is rooted at the table, so every path is plain whatever the table is called. The kernel sorts
        // listings of this scheme only, and a local folder is listed in any order.
        let root = Url::parse("file:///").map_err(wrong)?;
        let builder = DeltaTableBuilder::from_url(root.clone()).map_err(|error| self.log_error(error))?;
        let builder = builder.with_storage_backend(Arc::clone(&self.store), root);
        let builder = match version {
            Some(version) => builder.with_version(version.0),
            None => builder,
        };
        builder.load().await.map_err(|error| self.log_error(error))
    }
}

/// Reads a table's state, bitmaps of deletion vectors included.
///
/// `pins` are those of files this process knows already.
pub(crate) async fn load(
    home: &Home,
    version: Option<Version>,
    pins: &HashMap<Arc<str>, Arc<Pin>>,
) -> Result<Loaded, LakeError> {
    let delta = home.delta(version).await?;
    let state = delta.snapshot().map_err(|error| home.log_error(error))?;
    let protocol = serde_json::to_value(state.protocol()).unwrap_or_default();
    check_features(home, &protocol)?;
    let metadata = state.metadata();
    let schema = metadata.parse_schema().map_err(|error| damaged(home, error.to_string()))?;
    let columns = schema::from_delta(&home.id, &schema, metadata.partition_columns())?;
    let properties: BTreeMap<String, String> =
        metadata.configuration().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let key: Vec<String> =
        properties.get(KEY_PROPERTY).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let (txns, checkpoint) = checkpoint::positions(home, state.version()).await?;
    let given = txns.get(FILES_APP).map_or(0, |given| u64_from_signed(given.version));
    let (files, next_file) = files_of(home, adds(state), &columns, given, pins).await?;
    let about = About {
        description: metadata.description().map(str::to_owned),
        created_ms: metadata.created_time().unwrap_or_default(),
        protocol,
    };
    let view = TableView {
        id: home.id.clone(),
        uid: metadata.id().into(),
        version: Version(state.version()),
        schema: schema::arrow_schema(&columns),
        columns: columns.into(),
        key: key.into(),
        properties: Arc::new(properties),
        files: files.into(),
        tail: Arc::from([]),
        store: home.url.clone(),
        runtime: Arc::clone(&home.runtime),
        folder: home.folder.clone(),
    };
    Ok(Loaded { view, about, next_file, txns, checkpoint })
}

/// The files of a version.
fn adds(state: &DeltaTableState) -> Vec<Add> {
    let listed = state.log_data();
    let add = |file: LogicalFileView| Add {
        path: file.path().into_owned(),
        size: file.size(),
        modification_time: file.modification_time(),
        stats: file.stats(),
        partition_values: file.partition_values_map(),
        deletion_vector: file.deletion_vector_descriptor(),
        ..Add::default()
    };
    listed.iter().map(add).collect()
}

/// Paths of everything that a version needs, without reading any of it.
pub(crate) async fn objects_at(home: &Home, version: Version) -> Result<Vec<String>, LakeError> {
    let delta = home.delta(Some(version)).await?;
    let state = delta.snapshot().map_err(|error| home.log_error(error))?;
    let mut objects = Vec::new();
    for add in adds(state) {
        let vector = add.deletion_vector.as_ref();
        objects.extend(vector.map(|vector| vectors::file_name(&home.id, vector)).transpose()?.flatten());
        objects.push(add.path);
    }
    Ok(objects)
}

fn damaged(home: &Home, reason: String) -> LakeError {
    LakeError::Damaged { table: home.id.clone(), reason }
}

fn check_features(home: &Home, protocol: &Value) -> Result<(), LakeError> {
    for list in ["readerFeatures", "writerFeatures"] {
        for feature in protocol.get(list).and_then(Value::as_array).into_iter().flatten() {
            let name = feature.as_str().unwrap_or_default();
            if !FEATURES.contains(&name) {
                return Err(LakeError::Feature { table: home.id.clone(), feature: name.to_owned() });
            }
        }
    }
    Ok(())
}

async fn files_of(
    home: &Home,
    mut adds: Vec<Add>,
    columns: &[Column],
    given: u64,
    pins: &HashMap<Arc<str>, Arc<Pin>>,
) -> Result<(Vec<Arc<FileView>>, u32), LakeError> {
    adds.sort_by(|a, b| a.path.cmp(&b.path));
    let vectors: Vec<(usize, DeletionVectorDescriptor)> =
        adds.iter().enumerate().filter_map(|(at, add)| Some((at, add.deletion_vector.clone()?))).collect();
    let mut bitmaps = vectors::read(&home.id, &home.store, vectors).await?;
    let exhausted = || damaged(home, "its file numbers are used up".into());
    let mut next = u32::try_from(given).map_err(|_| exhausted())?;
    for known in adds.iter().filter_map(|add| id_in(&add.path)) {
        next = next.max(known.0.checked_add(1).ok_or_else(exhausted)?);
    }
    let mut taken = HashSet::new();
    let mut files = Vec::with_capacity(adds.len());
    for (at, add) in adds.into_iter().enumerate() {
        let id = if let Some(id) = id_in(&add.path).filter(|id| taken.insert(*id)) {
            id
        } else {
            // Another tool wrote this file.
            let id = FileId(next);
            next = next.checked_add(1).ok_or_else(exhausted)?;
            id
        };
        let day = day_of(home, columns, &add)?;
        let (rows, mut stats) =
            add.stats.as_deref().and_then(|text| stats::from_json(text, columns)).ok_or_else(|| {
                LakeError::Feature { table: home.id.clone(), feature: "files without a row count".into() }
            })?;
        partition::describe(&mut stats, columns, day, rows);
        let path: Arc<str> = add.path.as_str().into();
        let pin = pins
            .get(&path)
            .cloned()
            .unwrap_or_else(|| Pin::committed(Arc::clone(&home.store), Path::from(add.path.as_str())));
        let view = file_view(id, path, &add, rows, stats, bitmaps.remove(&at), pin);
        files.push(Arc::new(FileView { day, ..view }));
    }
    files.sort_by_key(|file| file.id);
    Ok((files, next))
}

/// The day that the log says of a file.
fn day_of(home: &Home, columns: &[Column], add: &Add) -> Result<Option<i32>, LakeError> {
    let partition = columns.iter().find(|column| column.partition.is_some());
    let said = partition.and_then(|column| add.partition_values.get(&column.stored)).and_then(Option::as_ref);
    let Some(text) = said.filter(|text| !text.is_empty()) else { return Ok(None) };
    partition::day(text).map(Some).ok_or_else(|| damaged(home, format!("{} has a partition that is no day", add.path)))
}

fn file_view(
    id: FileId,
    path: Arc<str>,
    add: &Add,
    rows: u64,
    stats: FileStats,
    deleted: Option<Arc<roaring::RoaringTreemap>>,
    pin: Arc<Pin>,
) -> FileView {
    FileView {
        id,
        path,
        size: u64_from_signed(add.size),
        rows,
        deleted,
        stats: Arc::new(stats),
        day: None,
        vector: add.deletion_vector.clone(),
        modified_ms: add.modification_time,
        pin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_number_stands_in_its_name() {
        assert_eq!(id_in("part-n17-2f1c.parquet"), Some(FileId(17)));
        assert_eq!(id_in("day=1/part-n3-x.parquet"), Some(FileId(3)));
        for foreign in ["part-00000-2f1c-c000.snappy.parquet.crc/x", "data.parquet", "part-x-1.parquet"] {
            assert_eq!(id_in(foreign), None);
        }
    }
}
