//! Removing what no version that may still be read needs; checkpoints and old log entries.
//!
//! Owns: [`VacuumOptions`], the rule which objects are garbage. Never removes a live file or a live vector: what to
//! keep is gathered before anything is listed, and anything not understood is kept.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use deltalake_core::{
    checkpoints::{cleanup_metadata, create_checkpoint},
    kernel::DeletionVectorDescriptor,
};
use futures::TryStreamExt;
use naru_base::{Version, failpoint};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use serde::Deserialize;

use crate::{error::LakeError, table::Table, vectors, view::TableView};

/// What a vacuum must leave alone besides the present version and what this process still reads.
#[derive(Debug, Clone)]
pub struct VacuumOptions {
    /// Versions younger than this stay readable; unnamed objects younger than this are left too, since another
    /// process may be about to commit them.
    pub retention: Duration,
    /// Versions that stay readable whatever their age.
    pub pins: Vec<Version>,
}

/// What a vacuum removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Relative to the table's folder.
    pub removed: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// The part of a log line that says what an older version needed.
#[derive(Debug, Deserialize)]
struct Line {
    remove: Option<Ended>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    path: String,
    deletion_timestamp: Option<i64>,
    deletion_vector: Option<DeletionVectorDescriptor>,
}

impl Table {
    /// Removes garbage: objects that no log entry within the retention, no pinned version and nobody in this process
    /// needs. Safe beside commits and queries of this process.
    pub async fn vacuum(&self, options: &VacuumOptions) -> Result<Vacuumed, LakeError> {
        let _one = self.maintaining().await;
        let cutoff = SystemTime::now().checked_sub(options.retention).unwrap_or(SystemTime::UNIX_EPOCH);
        let cutoff: DateTime<Utc> = cutoff.into();
        let candidates = {
            // Between commits every vector file there is has been committed or never will be.
            let _still = self.committing().await;
            self.candidates(cutoff).await?
        };
        // Gathered after the listing: a file listed above and committed since is in the view by now, and one that is
        // staged but not committed is held by a pin.
        let mut needed = HashSet::new();
        self.needed_by_log(cutoff.timestamp_millis(), &mut needed).await?;
        for version in &options.pins {
            let pinned = self.view_at(*version).await?;
            add_view(&pinned, &mut needed)?;
        }
        needed.extend(self.held());
        add_view(&self.view(), &mut needed)?;
        let mut done = Vacuumed::default();
        for object in candidates.into_iter().filter(|object| !needed.contains(object.location.as_ref())) {
            if failpoint::hit("lake.vacuum.before_delete") {
                return Err(LakeError::Failpoint("lake.vacuum.before_delete"));
            }
            match self.home().store.delete(&object.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            done.bytes += object.size;
            done.removed.push(object.location.to_string());
        }
        done.removed.sort();
        Ok(done)
    }

    /// Data and vector files written before `cutoff`; the log is never among them.
    async fn candidates(&self, cutoff: DateTime<Utc>) -> Result<Vec<ObjectMeta>, LakeError> {
        let all = self.home().store.list(None);
        let old = all.try_filter(|object| {
            let name = object.location.as_ref();
            let ours = match object.location.extension() {
                Some("parquet") => true,
                Some("bin") => name.contains("deletion_vector_"),
                _ => false,
            };
            let fit = ours && !name.starts_with("_delta_log") && object.last_modified < cutoff;
            futures::future::ready(fit)
        });
        Ok(old.try_collect().await?)
    }

    /// Paths that ended within the retention. An entry that was cleaned up takes the versions before it with it, so
    /// the entries that are left say all that an older readable version needs.
    async fn needed_by_log(&self, cutoff_ms: i64, needed: &mut HashSet<String>) -> Result<(), LakeError> {
        let store = &self.home().store;
        let entries: Vec<ObjectMeta> = store.list(Some(&Path::from("_delta_log"))).try_collect().await?;
        for entry in entries.iter().filter(|entry| entry.location.extension() == Some("json")) {
            let text = match store.get(&entry.location).await {
                Ok(found) => found.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for line in text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"remove\"")) {
                let line: Line = serde_json::from_slice(line).map_err(|error| LakeError::Damaged {
                    table: self.id().clone(),
                    reason: format!("log entry {}: {error}", entry.location),
                })?;
                if let Some(ended) =
                    line.remove.filter(|ended| ended.deletion_timestamp.unwrap_or(i64::MAX) >= cutoff_ms)
                {
                    needed.insert(ended.path);
                    let vector = ended.deletion_vector.as_ref();
                    needed.extend(vector.map(|vector| vectors::file_name(self.id(), vector)).transpose()?.flatten());
                }
            }
        }
        Ok(())
    }

    /// Writes a checkpoint of the newest version and removes log entries past `delta.logRetentionDuration`.
    pub async fn checkpoint(&self) -> Result<(), LakeError> {
        let _one = self.maintaining().await;
        if self.is_closed() {
            return Err(LakeError::Missing(self.id().clone()));
        }
        let home = self.home();
        let delta = home.delta(None).await?;
        if failpoint::hit("lake.before_checkpoint") {
            return Err(LakeError::Failpoint("lake.before_checkpoint"));
        }
        create_checkpoint(&delta, None).await.map_err(|error| home.log_error(error))?;
        cleanup_metadata(&delta, None).await.map_err(|error| home.log_error(error))?;
        Ok(())
    }
}

fn add_view(view: &TableView, needed: &mut HashSet<String>) -> Result<(), LakeError> {
    for file in view.files.iter() {
        needed.insert(file.path.to_string());
        if let Some(vector) = &file.vector {
            needed.extend(vectors::file_name(&view.id, vector)?);
        }
    }
    Ok(())
}
