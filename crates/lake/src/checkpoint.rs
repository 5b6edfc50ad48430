//! Checkpoints: a table's whole state up to a version, in one Parquet file.
//!
//! Owns: [`Table::checkpoint`], the Parquet form of actions, reading positions back from a log.
//! Written from memory, without reading the log again, and without the tombstones of dead files: a day of small flushes
//! would put a million of them into every checkpoint, and naru's own vacuum reads them from the log entries.
//! Never removes anything. Read next: [`crate::retention`].

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef},
    json::ReaderBuilder,
};
use bytes::Bytes;
use futures::TryStreamExt;
use naru_base::failpoint;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    error::LakeError,
    log::{self, Home},
    table::Table,
};

/// Names the newest checkpoint, so that a reader need not list the log.
const HINT: &str = "_delta_log/_last_checkpoint";

/// A position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Txn {
    pub(crate) version: i64,
    pub(crate) updated_ms: i64,
}

/// The newest position of every app id.
pub(crate) type Txns = BTreeMap<String, Txn>;

impl Table {
    /// Writes a checkpoint of the present version. Doing it twice is the same as once.
    ///
    /// # Errors
    /// [`LakeError`]; the log is as readable as before.
    pub async fn checkpoint(&self) -> Result<(), LakeError> {
        let _one = self.maintaining().await;
        if self.is_closed() {
            return Err(LakeError::Missing(self.id().clone()));
        }
        if failpoint::hit("lake.before_checkpoint") {
            return Err(LakeError::Failpoint("lake.before_checkpoint"));
        }
        let (version, lines) = self.actions()?;
        let (adds, size) = (lines.iter().filter(|line| line.get("add").is_some()).count(), lines.len());
        let bytes = tokio::task::spawn_blocking(move || encode(&lines))
            .await
            .map_err(|error| LakeError::Task(error.to_string()))??;
        let hint = json!({"version": version, "size": size, "sizeInBytes": bytes.len(), "numOfAddFiles": adds});
        let store = &self.home().store;
        store.put(&path(version), bytes.into()).await?;
        if failpoint::hit("lake.after_checkpoint") {
            return Err(LakeError::Failpoint("lake.after_checkpoint"));
        }
        store.put(&Path::from(HINT), hint.to_string().into()).await?;
        self.checkpointed(version);
        Ok(())
    }
}

/// Path of a checkpoint, relative to the table.
fn path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.checkpoint.parquet"))
}

/// Actions as a checkpoint's only row group.
fn encode(lines: &[Value]) -> Result<Vec<u8>, LakeError> {
    let schema = Arc::clone(&SCHEMA);
    let text = log::text(lines);
    let rows = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(lines.len().max(1)).build(Cursor::new(text))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    for batch in rows {
        writer.write(&batch?)?;
    }
    Ok(writer.into_inner()?)
}

/// Columns of a classic checkpoint, as the Delta protocol lists them.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let (text, long, int, flag) = (DataType::Utf8, DataType::Int64, DataType::Int32, DataType::Boolean);
    let list = || DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let vector = || {
        structure([
            ("storageType", text.clone()),
            ("pathOrInlineDv", text.clone()),
            ("offset", int.clone()),
            ("sizeInBytes", int.clone()),
            ("cardinality", long.clone()),
        ])
    };
    let txn = structure([("appId", text.clone()), ("version", long.clone()), ("lastUpdated", long.clone())]);
    let add = structure([
        ("path", text.clone()),
        ("partitionValues", texts()),
        ("size", long.clone()),
        ("modificationTime", long.clone()),
        ("dataChange", flag.clone()),
        ("tags", texts()),
        ("deletionVector", vector()),
        ("stats", text.clone()),
    ]);
    let remove = structure([
        ("path", text.clone()),
        ("deletionTimestamp", long.clone()),
        ("dataChange", flag.clone()),
        ("extendedFileMetadata", flag.clone()),
        ("partitionValues", texts()),
        ("size", long.clone()),
        ("deletionVector", vector()),
    ]);
    let metadata = structure([
        ("id", text.clone()),
        ("name", text.clone()),
        ("description", text.clone()),
        ("format", structure([("provider", text.clone()), ("options", texts())])),
        ("schemaString", text.clone()),
        ("partitionColumns", list()),
        ("createdTime", long.clone()),
        ("configuration", texts()),
    ]);
    let protocol = structure([
        ("minReaderVersion", int.clone()),
        ("minWriterVersion", int.clone()),
        ("readerFeatures", list()),
        ("writerFeatures", list()),
    ]);
    let actions = [("txn", txn), ("add", add), ("remove", remove), ("metaData", metadata), ("protocol", protocol)];
    Arc::new(Schema::new(fields(actions)))
});

fn fields<const N: usize>(fields: [(&str, DataType); N]) -> Fields {
    fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect()
}

fn structure<const N: usize>(of: [(&str, DataType); N]) -> DataType {
    DataType::Struct(fields(of))
}

/// A map from text to text.
fn texts() -> DataType {
    let pair = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(pair.into()), false)), false)
}

/// What stands in a log's file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFile {
    /// The entry of one commit.
    Entry(u64),
    /// A checkpoint, or a part of one.
    Checkpoint(u64),
}

/// Reads a name in `_delta_log`; `None` for anything but entries and checkpoints.
pub(crate) fn log_file(path: &Path) -> Option<LogFile> {
    let (version, rest) = path.filename()?.split_at_checked(20)?;
    let version = version.parse().ok()?;
    match rest {
        ".json" => Some(LogFile::Entry(version)),
        rest if rest.starts_with(".checkpoint.") && rest.ends_with(".parquet") => Some(LogFile::Checkpoint(version)),
        _ => None,
    }
}

/// The version of the newest checkpoint that the hint names; `None` without a readable hint.
pub(crate) async fn hinted(home: &Home) -> Result<Option<u64>, LakeError> {
    #[derive(Deserialize)]
    struct Hint {
        version: u64,
    }
    match home.store.get(&Path::from(HINT)).await {
        Ok(found) => Ok(serde_json::from_slice::<Hint>(&found.bytes().await?).ok().map(|hint| hint.version)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The positions that a table had at `version`, and the version of the checkpoint they were read from.
pub(crate) async fn positions(home: &Home, version: u64) -> Result<(Txns, Option<u64>), LakeError> {
    let folder = Path::from("_delta_log");
    let hint = hinted(home).await?.filter(|hint| *hint <= version);
    let files: Vec<ObjectMeta> = match hint {
        Some(hint) => {
            let before = Path::from(format!("_delta_log/{hint:020}"));
            home.store.list_with_offset(Some(&folder), &before).try_collect().await?
        }
        None => home.store.list(Some(&folder)).try_collect().await?,
    };
    let named: Vec<_> = files.iter().filter_map(|file| Some((log_file(&file.location)?, &file.location))).collect();
    let at = |file: &LogFile| if let LogFile::Checkpoint(at) = file { Some(*at) } else { None };
    let base = named.iter().filter_map(|(file, _)| at(file)).filter(|at| *at <= version).max();
    let mut txns = Txns::new();
    for (_, path) in named.iter().filter(|(file, _)| base.is_some_and(|base| *file == LogFile::Checkpoint(base))) {
        read_checkpoint(home.store.get(path).await?.bytes().await?, &mut txns)?;
    }
    let mut entries: Vec<_> = named
        .iter()
        .filter_map(|(file, path)| if let LogFile::Entry(at) = file { Some((*at, *path)) } else { None })
        .filter(|(at, _)| *at <= version && base.is_none_or(|base| *at > base))
        .collect();
    entries.sort_unstable();
    for (_, path) in entries {
        read_entry(&home.store.get(path).await?.bytes().await?, &mut txns);
    }
    Ok((txns, base))
}

fn read_checkpoint(bytes: Bytes, txns: &mut Txns) -> Result<(), LakeError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version", "txn.lastUpdated"]);
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let Some(rows) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { continue };
        let numbers = |name: &str| rows.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>().cloned());
        let Some(ids) = rows.column_by_name("appId").and_then(|column| column.as_string_opt::<i32>()) else { continue };
        let Some(versions) = numbers("version") else { continue };
        let updated = numbers("lastUpdated");
        for row in (0..rows.len()).filter(|row| rows.is_valid(*row) && ids.is_valid(*row)) {
            let updated_ms = updated.as_ref().filter(|times| times.is_valid(row)).map_or(0, |times| times.value(row));
            txns.insert(ids.value(row).to_owned(), Txn { version: versions.value(row), updated_ms });
        }
    }
    Ok(())
}

fn read_entry(entry: &[u8], txns: &mut Txns) {
    #[derive(Deserialize)]
    struct Line {
        txn: Option<Said>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        app_id: String,
        version: i64,
        last_updated: Option<i64>,
    }
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| line.windows(5).take(8).any(|at| at == b"\"txn\""));
    for said in lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()?.txn) {
        txns.insert(said.app_id, Txn { version: said.version, updated_ms: said.last_updated.unwrap_or(0) });
    }
}

/// Bytes of a listing.
pub(crate) fn total(files: &[ObjectMeta]) -> u64 {
    files.iter().map(|file| file.size).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_checkpoint_and_an_entry() {
        let lines = [log::txn("naru/shop/1", 41, 7), log::txn("naru/files", 9, 0)];
        let mut txns = Txns::new();
        read_checkpoint(encode(&lines).unwrap().into(), &mut txns).unwrap();
        assert_eq!(txns["naru/shop/1"], Txn { version: 41, updated_ms: 7 });
        read_entry(log::text(&[log::txn("naru/shop/1", 42, 8)]).as_bytes(), &mut txns);
        assert_eq!((txns["naru/shop/1"].version, txns["naru/files"].version), (42, 9));
    }

    #[test]
    fn only_entries_and_checkpoints_are_files_of_the_log() {
        let read = |name: &str| log_file(&Path::from(format!("_delta_log/{name}")));
        assert_eq!(read("00000000000000000020.json"), Some(LogFile::Entry(20)));
        assert_eq!(read("00000000000000000020.checkpoint.parquet"), Some(LogFile::Checkpoint(20)));
        let part = "00000000000000000020.checkpoint.0000000001.0000000002.parquet";
        assert_eq!(read(part), Some(LogFile::Checkpoint(20)));
        for other in ["_last_checkpoint", "00000000000000000020.crc", "00000000000000000020.json.tmp", "x.json"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
