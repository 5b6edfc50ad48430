//! Removing what no version that may still be read needs.
//!
//! Owns: [`VacuumOptions`], the rule which objects are garbage. Never removes a live file or a live vector: what to
//! keep is gathered before anything is listed, and anything not understood is kept.

use std::collections::HashSet;

use bytes::Bytes;
use deltalake_core::kernel::DeletionVectorDescriptor;
use futures::{StreamExt, TryStreamExt};
use naru_base::{Version, failpoint};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use serde::Deserialize;

use crate::{
    checkpoint::{LogFile, log_file},
    error::LakeError,
    log,
    retention::{Retention, ms},
    table::Table,
    vectors,
    view::TableView,
};

/// Log entries read at the same time.
const READS_AT_ONCE: usize = 8;

/// What a vacuum must leave alone besides the present version and what this process still reads.
#[derive(Debug, Clone)]
pub struct VacuumOptions {
    /// Versions younger than `exact` stay readable, and so do the restore points that the log still has within
    /// `points`. Unnamed objects younger than `exact` are left too, since another process may be about to commit them.
    pub retention: Retention,
    /// Versions that stay readable whatever their age.
    pub pins: Vec<Version>,
    /// Says what would go, and leaves it.
    pub dry_run: bool,
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
    /// Removes garbage: objects that no log entry within the retention, no restore point, no pinned version and nobody
    /// in this process needs. Safe beside commits and queries of this process.
    ///
    /// # Errors
    /// [`LakeError`]; what could not be read might be needed, so nothing of it was removed.
    pub async fn vacuum(&self, options: &VacuumOptions) -> Result<Vacuumed, LakeError> {
        let _one = self.maintaining().await;
        let cutoff = self.home().clock.now_ms().saturating_sub(ms(options.retention.exact));
        let candidates = {
            // Between commits every vector file there is has been committed or never will be.
            let _still = self.committing().await;
            self.candidates(cutoff).await?
        };
        // Gathered after the listing: a file listed above and committed since is in the view by now, and one that is
        // staged but not committed is held by a pin.
        let mut needed = HashSet::new();
        if !candidates.is_empty() {
            self.needed_by_log(cutoff, &mut needed).await?;
            self.needed_by_points(options, &mut needed).await?;
            needed.extend(self.held());
            add_view(&self.view(), &mut needed)?;
        }
        let mut done = Vacuumed::default();
        for object in candidates.into_iter().filter(|object| !needed.contains(object.location.as_ref())) {
            if !options.dry_run {
                self.remove(&object.location).await?;
            }
            done.bytes += object.size;
            done.removed.push(object.location.to_string());
        }
        done.removed.sort();
        Ok(done)
    }

    async fn remove(&self, garbage: &Path) -> Result<(), LakeError> {
        if failpoint::hit("lake.vacuum.before_delete") {
            return Err(LakeError::Failpoint("lake.vacuum.before_delete"));
        }
        match self.home().store.delete(garbage).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Objects of the restore points and of the pinned versions.
    async fn needed_by_points(&self, options: &VacuumOptions, needed: &mut HashSet<String>) -> Result<(), LakeError> {
        for version in &options.pins {
            let pinned = self.view_at(*version).await?;
            add_view(&pinned, needed)?;
        }
        if options.retention.points <= options.retention.exact {
            return Ok(());
        }
        for (version, _) in self.restore_points(&options.retention).await? {
            needed.extend(log::objects_at(self.home(), version).await?);
        }
        Ok(())
    }

    /// Data and vector files written before `cutoff`; the log is never among them.
    async fn candidates(&self, cutoff: i64) -> Result<Vec<ObjectMeta>, LakeError> {
        let clock = &self.home().clock;
        let all = self.home().store.list(None);
        let old = all.try_filter(|object| {
            let name = object.location.as_ref();
            let ours = match object.location.extension() {
                Some("parquet") => true,
                Some("bin") => name.contains("deletion_vector_"),
                _ => false,
            };
            let old = clock.written_ms(object.last_modified.timestamp_millis()) <= cutoff;
            let fit = ours && !name.starts_with("_delta_log") && old;
            futures::future::ready(fit)
        });
        Ok(old.try_collect().await?)
    }

    /// Paths that ended within the retention. An entry that was cleaned up takes the versions before it with it, so
    /// the entries that are left say all that an older readable version needs.
    async fn needed_by_log(&self, cutoff_ms: i64, needed: &mut HashSet<String>) -> Result<(), LakeError> {
        let store = &self.home().store;
        let listed: Vec<ObjectMeta> = store.list(Some(&Path::from("_delta_log"))).try_collect().await?;
        let entries = listed.into_iter().filter(|file| matches!(log_file(&file.location), Some(LogFile::Entry(_))));
        let read = |entry: ObjectMeta| async move {
            match store.get(&entry.location).await {
                Ok(found) => Ok::<_, LakeError>((entry, found.bytes().await?)),
                Err(object_store::Error::NotFound { .. }) => Ok((entry, Bytes::new())),
                Err(error) => Err(error.into()),
            }
        };
        let mut texts = futures::stream::iter(entries).map(read).buffer_unordered(READS_AT_ONCE);
        while let Some((entry, text)) = texts.try_next().await? {
            self.ended(&entry, &text, cutoff_ms, needed)?;
        }
        Ok(())
    }

    /// Adds what one log entry ended, if that was within the retention.
    fn ended(
        &self,
        entry: &ObjectMeta,
        text: &[u8],
        cutoff_ms: i64,
        needed: &mut HashSet<String>,
    ) -> Result<(), LakeError> {
        for line in text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"remove\"")) {
            let line: Line = serde_json::from_slice(line).map_err(|error| LakeError::Damaged {
                table: self.id().clone(),
                reason: format!("log entry {}: {error}", entry.location),
            })?;
            let Some(ended) = line.remove.filter(|ended| ended.deletion_timestamp.unwrap_or(i64::MAX) > cutoff_ms)
            else {
                continue;
            };
            let vector = ended.deletion_vector.as_ref();
            needed.extend(vector.map(|vector| vectors::file_name(self.id(), vector)).transpose()?.flatten());
            needed.insert(ended.path);
        }
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
