//! The published tail into one Delta commit.
//!
//! Owns: freezing the published tail, writing it, committing it with the source position it covers, and swapping what
//! readers see without a moment of missing or double rows. Changes go on being applied and published meanwhile.
//! Never commits a change that was not published. A flush that fails leaves everything as it was.

use std::{sync::Arc, time::Instant};

use naru_base::{Version, failpoint};
use roaring::RoaringTreemap;

use crate::{
    commit::{Change, Operation, Remove},
    error::LakeError,
    index::{Layer, Position, Run},
    stage::StagedFile,
    table::Table,
    view::TableView,
};

use super::{
    segment::Segment,
    staging::{self, stager},
    table::{Inner, LiveTable, State, blocking, stamp},
    tail::Tail,
};

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// The table's version now.
    pub version: Version,
    /// The source position that the table covers now; the one given when there was nothing to commit.
    pub position: i64,
    /// New rows.
    pub rows: u64,
    /// Rows of committed files that died.
    pub deleted: u64,
    /// New files.
    pub files: usize,
    /// Whether there was anything to commit.
    pub committed: bool,
}

/// A published tail on its way into a commit.
#[derive(Debug)]
struct Frozen {
    tail: Tail,
    layers: Vec<Arc<Layer>>,
    position: i64,
    base: Arc<TableView>,
    oldest: Option<Instant>,
}

impl LiveTable {
    /// Commits everything published and not committed yet: new rows, dead rows and the position, together.
    ///
    /// The position stored is that of this table's last publish, or `position` if that is later and nothing was applied
    /// since the publish. So it fits what is committed, whatever happened since the caller looked. Nothing published: no
    /// commit. One flush or compaction of a table runs at a time; others wait.
    ///
    /// # Errors
    /// - [`LakeError::CommitLost`]: somebody else committed; open the table again.
    /// - others: nothing was committed, readers see what they saw, and the flush can be tried again.
    pub async fn flush(&self, app_id: &str, position: i64) -> Result<Flushed, LakeError> {
        self.flush_after(app_id, position, std::future::ready(Ok(()))).await
    }

    /// The same, but `first` has ended well before anything is committed. It begins once what is committed is decided,
    /// so whatever was done elsewhere before that was published can be made durable by it. Not run when nothing is
    /// published.
    ///
    /// # Errors
    /// As [`LiveTable::flush`], and that of `first`: nothing was committed.
    pub async fn flush_after(
        &self,
        app_id: &str,
        position: i64,
        first: impl Future<Output = Result<(), LakeError>> + Send,
    ) -> Result<Flushed, LakeError> {
        let _maintenance = self.inner.maintenance.lock().await;
        Inner::flush(&self.inner, app_id, position, first).await
    }
}

impl Inner {
    /// Flushes while `maintenance` is held by the caller; see [`LiveTable::flush_after`] for `first`.
    pub(crate) async fn flush(
        this: &Arc<Self>,
        app_id: &str,
        position: i64,
        first: impl Future<Output = Result<(), LakeError>> + Send,
    ) -> Result<Flushed, LakeError> {
        let Some(frozen) = Self::freeze(this, position).await? else {
            let version = this.state.lock().base.version;
            return Ok(Flushed { version, position, rows: 0, deleted: 0, files: 0, committed: false });
        };
        let flushed = match first.await {
            Ok(()) => Self::commit_frozen(this, &frozen, app_id).await,
            Err(error) => Err(error),
        };
        if flushed.is_err() {
            let mut state = this.state.lock();
            state.flushing = false;
            state.oldest = frozen.oldest.or(state.oldest);
        }
        flushed
    }

    /// Takes the published tail. No apply is half-way meanwhile, because rows may get new numbers.
    async fn freeze(this: &Arc<Self>, position: i64) -> Result<Option<Frozen>, LakeError> {
        let _writer = this.writer.lock().await;
        if let Err(error) = Self::settle(this).await {
            // The rows are still in memory; the flush writes them itself, and says what is wrong.
            tracing::debug!(table = %this.table.id(), %error, "a segment was not staged");
        }
        let (inner, now_ms) = (Arc::clone(this), this.table.home().clock.now_ms());
        blocking(move || {
            let mut state = inner.state.lock();
            let large = inner.settings.flush.is_large(&state.facts(Instant::now()));
            state.rush.flushed(large, now_ms);
            state.freeze(&inner.table, position)
        })
        .await
    }

    async fn commit_frozen(this: &Arc<Self>, frozen: &Frozen, app_id: &str) -> Result<Flushed, LakeError> {
        let (change, runs) = tokio::try_join!(this.change(frozen, app_id), this.write_runs(frozen))?;
        let mut flushed = Flushed {
            version: frozen.base.version,
            position: frozen.position,
            rows: frozen.tail.segments().iter().map(Segment::live_rows).sum(),
            deleted: frozen.tail.pending().map(|(_, rows)| rows.len()).sum(),
            files: change.add.len(),
            committed: false,
        };
        if failpoint::hit("live.before_flush_commit") {
            return Err(LakeError::Failpoint("live.before_flush_commit"));
        }
        let view = if is_empty(&change) {
            Arc::clone(&frozen.base)
        } else {
            let committed = this.table.commit(change).await?;
            (flushed.version, flushed.committed) = (committed.version, true);
            committed.view
        };
        failpoint::hit("live.after_flush_commit");
        let _writer = this.writer.lock().await;
        this.swap(|state| {
            state.base = Arc::clone(&view);
            state.committed(frozen);
            if frozen.tail.cleared() {
                this.index.reset(None);
            }
            this.index.install(runs);
        });
        this.save_index(view).await;
        Ok(flushed)
    }

    /// Stages what is only in memory, and says what the commit is.
    async fn change(&self, frozen: &Frozen, app_id: &str) -> Result<Change, LakeError> {
        let mut change = Change {
            remove: if frozen.tail.cleared() { Remove::All } else { Remove::None },
            delete: frozen.tail.pending().map(|(file, rows)| (file, rows.clone())).collect(),
            txn: Some((app_id.to_owned(), frozen.position)),
            operation: Operation::Flush,
            ..Change::default()
        };
        for segment in frozen.tail.segments() {
            match segment.staged() {
                Some(_) if segment.live_rows() == 0 => {}
                Some((staged, dead)) => {
                    if !dead.is_empty() {
                        change.add_deleted.push((segment.file, RoaringTreemap::clone(dead)));
                    }
                    change.add.push(staged.clone());
                }
                None => change.add.extend(self.stage(segment).await?),
            }
        }
        Ok(change)
    }

    /// Writes a segment in memory as a Parquet file under its own number, which no commit names yet.
    async fn stage(&self, segment: &Segment) -> Result<Option<StagedFile>, LakeError> {
        staging::write(stager(&self.table, segment), segment).await
    }

    /// The frozen rows' positions as runs, newest first.
    async fn write_runs(&self, frozen: &Frozen) -> Result<Vec<Arc<Run>>, LakeError> {
        let (layers, index) = (frozen.layers.clone(), Arc::clone(&self.index));
        blocking(move || {
            let runs: Result<Vec<_>, _> = layers.iter().map(|layer| layer.to_run(index.dir())).collect();
            Ok(runs?.into_iter().flatten().collect())
        })
        .await
    }

    /// Brings the index on disk up to a commit, and merges its runs in the background where that is due.
    ///
    /// The index is a cache: a failure costs the next start some reading, and is only logged.
    pub(crate) async fn save_index(self: &Arc<Self>, view: Arc<TableView>) {
        if view.key.is_empty() {
            return;
        }
        let (index, stamp) = (Arc::clone(&self.index), stamp(&view));
        let saved = blocking(move || Ok(index.save(&stamp)?)).await;
        if let Err(error) = saved {
            tracing::warn!(table = %view.id, %error, "the key index was not saved");
            return;
        }
        if self.index.merge_due() {
            let (index, table) = (Arc::clone(&self.index), Arc::downgrade(self));
            // Ends by itself; closing the table stops it.
            drop(tokio::task::spawn_blocking(move || {
                let now = || table.upgrade().map(|inner| super::table::stamp(&inner.state.lock().base));
                if let Err(error) = index.merge(&now) {
                    tracing::debug!(table = %view.id, %error, "runs of the key index were not merged");
                }
            }));
        }
    }
}

impl State {
    /// Takes the published tail as it is. Rows in memory are renumbered where some are dead or where the segment goes
    /// on with rows that are not published; the index layers follow.
    fn freeze(&mut self, table: &Table, position: i64) -> Result<Option<Frozen>, LakeError> {
        if self.published.is_empty() {
            return Ok(None);
        }
        let (mut published, mut tail) = (self.published.clone(), self.tail.clone());
        let mut entries = Vec::new();
        for segment in self.published.segments().iter().filter(|segment| segment.staged().is_none()) {
            let grown =
                tail.segment(segment.file).is_some_and(|now| now.rows() > segment.rows() || now.staged().is_some());
            if !grown && segment.dead_rows() == 0 {
                tail.seal(segment.file);
                continue;
            }
            let (kept, squeezed) = self.squeezed(table, segment, &mut entries)?;
            tail.split(segment.file, segment.rows(), &kept, squeezed.clone());
            published.replace(segment.file, (squeezed.rows() > 0).then_some(squeezed));
        }
        published.seal_all();
        (self.published, self.tail) = (published, tail);
        if let Some(layer) = self.layers.first_mut() {
            let layer = Arc::make_mut(layer);
            for (hash, at) in entries {
                layer.put(hash, at);
            }
        }
        self.layers.retain(|layer| !layer.is_empty());
        let layers = self.layers.clone();
        self.layers.insert(0, Arc::default());
        self.flushing = true;
        Ok(Some(Frozen {
            tail: self.published.clone(),
            layers,
            // With unpublished changes about, the caller's position may lie behind some of them.
            position: if self.dirty { self.position } else { position.max(self.position) },
            base: Arc::clone(&self.base),
            oldest: self.oldest.take(),
        }))
    }

    /// The live rows of a segment in memory under a new file number, with their former numbers; adds the keys'
    /// positions to `entries`.
    fn squeezed(
        &self,
        table: &Table,
        segment: &Segment,
        entries: &mut Vec<(u128, Position)>,
    ) -> Result<(Vec<u32>, Segment), LakeError> {
        let mut squeezed = Segment::new(table.reserve_file(), segment.day);
        let file = squeezed.file.0;
        for rows in segment.live_chunks()? {
            let hashes = self.keys.as_ref().map(|keys| keys.hash(&rows)).transpose()?.unwrap_or_default();
            let first = squeezed.push(rows)?;
            entries.extend(hashes.into_iter().zip(first..).map(|(hash, row)| (hash, Position { file, row })));
        }
        Ok((segment.live(), squeezed))
    }

    /// Takes away what is committed now.
    fn committed(&mut self, frozen: &Frozen) {
        self.tail.committed(&frozen.tail);
        self.published.committed(&frozen.tail);
        self.layers.retain(|layer| !frozen.layers.iter().any(|done| Arc::ptr_eq(done, layer)));
        if self.layers.is_empty() {
            self.layers.push(Arc::default());
        }
        self.flushing = false;
    }
}

fn is_empty(change: &Change) -> bool {
    change.add.is_empty() && change.delete.is_empty() && change.remove == Remove::None
}
