//! Rows that come in bulk, and the index over them.
//!
//! Owns: bringing the index up to the table (at opening, after a copy), appending and replacing staged files, and
//! changing columns.
//! Never stages rows itself; the copy does, with the table's stager.

use std::sync::Arc;

use arrow::array::ArrayRef;
use futures::TryStreamExt as _;
use naru_base::{failpoint, number::u64_from};

use crate::{
    column::Column,
    commit::{Change, Committed, Operation, Remove},
    error::LakeError,
    index::{BulkLoader, Position, Run, Stamp},
    stage::StagedFile,
    view::{FileId, FileView, TableView},
};

use super::{
    table::{Inner, Keys, LiveTable, blocking},
    tail::Tail,
};

impl LiveTable {
    /// Adds staged rows whose keys the table does not have, and the position they cover, in one commit.
    ///
    /// Readers see them at once. The unflushed tail stays as it is, newer than these rows.
    ///
    /// # Errors
    /// [`LakeError`]. After [`LakeError::CommitLost`] or an error once committed, open the table again.
    pub async fn append(&self, staged: Vec<StagedFile>, app_id: &str, position: i64) -> Result<Committed, LakeError> {
        let inner = &self.inner;
        let _maintenance = inner.maintenance.lock().await;
        let new: Vec<_> = staged.iter().map(|file| file.id).collect();
        let txn = Some((app_id.to_owned(), position));
        let change = Change { add: staged.clone(), txn, ..Change::default() };
        let committed = inner.table.commit(change).await?;
        let keys = inner.state.lock().keys.clone();
        let files = committed.view.files.iter().filter(|file| new.contains(&file.id)).cloned().collect();
        let run = inner.index_files(keys.as_ref(), &committed.view, files, &staged).await?;
        {
            let _writer = inner.writer.lock().await;
            inner.swap(|state| {
                state.base = Arc::clone(&committed.view);
                inner.index.install(run);
            });
        }
        inner.save_index(Arc::clone(&committed.view)).await;
        Ok(committed)
    }

    /// Makes staged rows the whole table, with these columns, this key and the position they cover, in one commit.
    ///
    /// What was committed and what was unflushed is gone; readers see the new rows at once, never a mixture.
    ///
    /// # Errors
    /// [`LakeError`]. After [`LakeError::CommitLost`] or an error once committed, open the table again.
    pub async fn replace_all(
        &self,
        staged: Vec<StagedFile>,
        columns: Vec<Column>,
        key: Vec<String>,
        app_id: &str,
        position: i64,
    ) -> Result<Committed, LakeError> {
        let inner = &self.inner;
        let _maintenance = inner.maintenance.lock().await;
        let _writer = inner.writer.lock().await;
        let change = Change {
            add: staged.clone(),
            remove: Remove::All,
            columns: Some(columns),
            key: Some(key),
            txn: Some((app_id.to_owned(), position)),
            operation: Operation::Replace,
            ..Change::default()
        };
        let committed = inner.table.commit(change).await?;
        let view = &committed.view;
        let keys = Keys::of(view)?;
        let run = inner.index_files(keys.as_ref(), view, view.files.to_vec(), &staged).await?;
        inner.swap(|state| {
            inner.index.hand_over(&keys.as_ref().map(|keys| keys.owner(view)).unwrap_or_default());
            inner.index.install(run);
            state.base = Arc::clone(view);
            state.keys = keys;
            (state.tail, state.published) = (Tail::default(), Tail::default());
            (state.fresh, state.layers) = (crate::index::Layer::default(), vec![Arc::default()]);
            (state.dirty, state.oldest, state.position) = (false, None, position);
            state.epoch += 1;
        });
        inner.save_index(Arc::clone(view)).await;
        Ok(committed)
    }

    /// Removes every committed file of the days before `day` (days since 1970) in one commit. Rows without a day stay, and
    /// unflushed rows of those days stay until the next call. `None` when there is no such file. Dropping the future does
    /// not stop it.
    ///
    /// # Errors
    /// [`LakeError`]. After [`LakeError::CommitLost`] or an error once committed, open the table again.
    pub async fn drop_before(&self, day: i32) -> Result<Option<Committed>, LakeError> {
        let inner = Arc::clone(&self.inner);
        // A live table that stood on files that are gone would be of no use.
        let dropping = tokio::spawn(async move { inner.drop_before(day).await });
        dropping.await.map_err(|error| LakeError::Task(error.to_string()))?
    }

    /// Flushes, then gives the table these columns. The key's columns keep their names and types.
    ///
    /// # Errors
    /// - [`LakeError::Refused`]: something applied is not published, or the key would change (replace the table then).
    /// - those of [`LiveTable::flush`].
    pub async fn evolve(&self, columns: Vec<Column>, app_id: &str, position: i64) -> Result<Committed, LakeError> {
        let inner = &self.inner;
        let _maintenance = inner.maintenance.lock().await;
        Inner::flush(inner, app_id, position, std::future::ready(Ok(()))).await?;
        let _writer = inner.writer.lock().await;
        let (base, clean) = {
            let state = inner.state.lock();
            (Arc::clone(&state.base), state.tail.is_empty())
        };
        let refused = |reason: &str| LakeError::Refused { table: base.id.clone(), reason: reason.to_owned() };
        if !clean {
            return Err(refused("its columns cannot change while changes are not published"));
        }
        if !base.key.iter().all(|name| same_type(&base, name, &columns)) {
            return Err(refused("a column of its key would change, so it must be replaced as a whole"));
        }
        let change = Change { columns: Some(columns), operation: Operation::Alter, ..Change::default() };
        let committed = inner.table.commit(change).await?;
        let keys = Keys::of(&committed.view)?;
        inner.swap(|state| {
            state.base = Arc::clone(&committed.view);
            state.keys = keys;
            state.epoch += 1;
        });
        Ok(committed)
    }
}

fn same_type(base: &TableView, name: &str, columns: &[Column]) -> bool {
    let before = base.columns.iter().find(|column| column.name == name);
    let after = columns.iter().find(|column| column.name == name);
    matches!((before, after), (Some(before), Some(after)) if before.data_type == after.data_type && !after.dropped)
}

impl Inner {
    async fn drop_before(self: &Arc<Self>, day: i32) -> Result<Option<Committed>, LakeError> {
        let _maintenance = self.maintenance.lock().await;
        let _writer = self.writer.lock().await;
        let base = Arc::clone(&self.state.lock().base);
        let old = base.files.iter().filter(|file| file.day.is_some_and(|of| of < day));
        let old: Vec<FileId> = old.map(|file| file.id).collect();
        if old.is_empty() {
            return Ok(None);
        }
        let remove = Remove::Files(old.clone());
        let committed = self.table.commit(Change { remove, operation: Operation::Expire, ..Change::default() }).await?;
        self.swap(|state| {
            state.base = Arc::clone(&committed.view);
            state.tail.forget(&old);
            state.published.forget(&old);
        });
        self.save_index(Arc::clone(&committed.view)).await;
        Ok(Some(committed))
    }

    /// Reads the keys of files that the index on disk does not know, all of them without a usable index.
    pub(crate) async fn catch_up(self: &Arc<Self>, found: Option<Stamp>) -> Result<(), LakeError> {
        let (base, keys) = {
            let state = self.state.lock();
            (Arc::clone(&state.base), state.keys.clone())
        };
        let Some(keys) = keys else { return Ok(()) };
        // A stamp from the future belongs to a table that was restored to an earlier version.
        let known = found.filter(|stamp| stamp.version <= base.version);
        if known.is_none() {
            self.index.reset(None);
        }
        let new = |file: &&Arc<FileView>| !known.as_ref().is_some_and(|stamp| stamp.files.contains(file.id.0));
        let files: Vec<_> = base.files.iter().filter(new).cloned().collect();
        if files.is_empty() && known.as_ref().is_some_and(|stamp| stamp.version == base.version) {
            return Ok(());
        }
        let run = self.index_files(Some(&keys), &base, files, &[]).await?;
        self.index.install(run);
        self.save_index(base).await;
        Ok(())
    }

    /// Builds the index anew from the committed files; what is unflushed is in memory and stays. The caller holds
    /// `writer`, so that no commit is swapped in meanwhile.
    pub(crate) async fn rebuild_index(self: &Arc<Self>) -> Result<(), LakeError> {
        self.index.reset(None);
        self.catch_up(None).await
    }

    /// Runs with the positions of every live row of `files`: those that `staged` brings along, or from their key columns.
    pub(crate) async fn index_files(
        &self,
        keys: Option<&Arc<Keys>>,
        view: &TableView,
        files: Vec<Arc<FileView>>,
        staged: &[StagedFile],
    ) -> Result<Vec<Arc<Run>>, LakeError> {
        let Some(keys) = keys else { return Ok(Vec::new()) };
        let fingerprint = keys.fingerprint();
        let (mut loader, mut runs) = (self.index.loader(), Vec::new());
        for file in files {
            let brought = staged.iter().find(|staged| staged.id == file.id && file.deleted.is_none());
            match brought.and_then(|staged| staged.adopt_keys(&fingerprint)) {
                Some(brought) => {
                    failpoint::hit("live.adopting_keys");
                    runs.extend(brought);
                }
                None => loader = load_file(keys, view, &file, loader).await?,
            }
        }
        runs.extend(blocking(move || Ok(loader.finish()?)).await?);
        Ok(runs)
    }
}

async fn load_file(
    keys: &Arc<Keys>,
    view: &TableView,
    file: &Arc<FileView>,
    mut loader: BulkLoader,
) -> Result<BulkLoader, LakeError> {
    let names: Vec<_> = keys.names.iter().map(String::as_str).collect();
    let mut batches = view.read_file(file, &names, None)?;
    let mut first = 0_u64;
    while let Some(batch) = batches.try_next().await? {
        let (keys, file, rows) = (Arc::clone(keys), Arc::clone(file), u64_from(batch.num_rows()));
        loader = blocking(move || {
            push_keys(&keys, &file, first, batch.columns(), &mut loader)?;
            Ok(loader)
        })
        .await?;
        first += rows;
    }
    if first == file.rows {
        return Ok(loader);
    }
    let reason = format!("file {} holds {first} rows, not {}", file.id, file.rows);
    Err(LakeError::Damaged { table: view.id.clone(), reason })
}

/// Adds the live rows of one batch, whose first row has the number `first` in its file.
fn push_keys(
    keys: &Keys,
    file: &FileView,
    first: u64,
    columns: &[ArrayRef],
    loader: &mut BulkLoader,
) -> Result<(), LakeError> {
    for (nth, hash) in keys.hash_columns(columns)?.into_iter().enumerate() {
        let row = first + u64_from(nth);
        if file.deleted.as_ref().is_some_and(|dead| dead.contains(row)) {
            continue;
        }
        let row = u32::try_from(row).map_err(|_| LakeError::Index(crate::index::IndexError::TooManyKeys))?;
        loader.push(hash, Position { file: file.id.0, row })?;
    }
    Ok(())
}
