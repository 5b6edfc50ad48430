//! The live table: what it holds, opening it, and what can be asked of it without changing it.
//!
//! Owns: [`LiveTable`], its state and its two locks. `writer` is held by whatever changes the tail, `maintenance` by
//! whatever commits; whoever needs both takes `maintenance` first. The state itself is behind a third, short lock that
//! is never held across an await.
//! Never decides what a change means; see [`super::apply`], [`super::flush`], [`super::compact`], [`super::load`].

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arrow::{array::ArrayRef, record_batch::RecordBatch};
use naru_base::TableId;
use parking_lot::Mutex;

use crate::{
    commit::VECTORS_PROPERTY,
    compact::CompactionLimits,
    error::LakeError,
    index::{IndexError, KeyHasher, KeyIndex, Layer, Position, Stamp},
    table::Table,
    view::TableView,
};

use super::{
    budget::{Budget, Share},
    policy::{FlushPolicy, Rush, TailFacts},
    segment::Segment,
    set::LiveSet,
    staging::Staging,
    tail::Tail,
};

/// A table that takes changes. Clones are the same table.
#[derive(Debug, Clone)]
pub struct LiveTable {
    pub(crate) inner: Arc<Inner>,
}

/// A live table that may be closed by now.
#[derive(Debug, Default)]
pub(crate) struct Weakly(Weak<Inner>);

impl Weakly {
    pub(crate) fn get(&self) -> Option<LiveTable> {
        self.0.upgrade().map(|inner| LiveTable { inner })
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) table: Table,
    pub(crate) settings: LiveSettings,
    pub(crate) share: Share,
    /// The set that shows this table to readers.
    pub(crate) shown_by: Mutex<Option<LiveSet>>,
    pub(crate) writer: tokio::sync::Mutex<()>,
    pub(crate) maintenance: Arc<tokio::sync::Mutex<()>>,
    pub(crate) state: Mutex<State>,
    pub(crate) index: Arc<KeyIndex>,
    /// The segment that is being written as a file. Begun and taken only by holders of `writer`.
    pub(crate) staging: Mutex<Option<Staging>>,
}

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct State {
    /// The last commit.
    pub(crate) base: Arc<TableView>,
    /// The key's columns; none for a keyless table.
    pub(crate) keys: Option<Arc<Keys>>,
    /// Applied and not committed.
    pub(crate) tail: Tail,
    /// The tail as it was last published.
    pub(crate) published: Tail,
    /// The source position that `published` covers.
    pub(crate) position: i64,
    /// Positions of rows applied since the last publish.
    pub(crate) fresh: Layer,
    /// Positions of published rows of the tail, newest first. The first takes what is published next; the others are
    /// on their way into a commit.
    pub(crate) layers: Vec<Arc<Layer>>,
    /// Something was applied since the last publish.
    pub(crate) dirty: bool,
    /// A frozen tail is on its way into a commit.
    pub(crate) flushing: bool,
    /// When the first change after the last freeze was applied.
    pub(crate) oldest: Option<Instant>,
    /// Whether a backlog of the source is being worked off.
    pub(crate) rush: Rush,
    /// Counts what makes positions or columns of before worthless: a replaced table, changed columns.
    pub(crate) epoch: u64,
}

/// How a live table behaves.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// Memory shared with other tables.
    pub budget: Budget,
    /// When the tail is flushed.
    pub flush: FlushPolicy,
    /// What a compaction takes on.
    pub compaction: CompactionLimits,
    /// Bytes of rows in memory after which a segment becomes an uncommitted Parquet file. While the budget is exceeded,
    /// a sixteenth of it is enough.
    pub segment_bytes: usize,
    /// Bytes of positions in memory after which they are spilled to disk.
    pub positions_bytes: usize,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            flush: FlushPolicy::default(),
            compaction: CompactionLimits::default(),
            segment_bytes: 24 << 20,
            positions_bytes: 16 << 20,
        }
    }
}

/// The columns that make a row's key.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) names: Arc<[String]>,
    columns: Vec<usize>,
    hasher: KeyHasher,
}

impl Keys {
    /// The key of a table; none for a keyless one.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] if a key column does not exist; [`LakeError::Index`] if its type has no order.
    pub(crate) fn of(view: &TableView) -> Result<Option<Arc<Self>>, LakeError> {
        if view.key.is_empty() {
            return Ok(None);
        }
        let columns = view
            .key
            .iter()
            .map(|name| {
                view.schema.index_of(name).map_err(|_| LakeError::Damaged {
                    table: view.id.clone(),
                    reason: format!("key column \"{name}\" does not exist"),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let types: Vec<_> = columns.iter().map(|at| view.schema.field(*at).data_type().clone()).collect();
        Ok(Some(Arc::new(Self { names: Arc::clone(&view.key), columns, hasher: KeyHasher::new(&types)? })))
    }

    /// One hash per row of a batch with the table's columns.
    pub(crate) fn hash(&self, rows: &RecordBatch) -> Result<Vec<u128>, IndexError> {
        let columns: Vec<_> = self.columns.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        self.hash_columns(&columns)
    }

    /// One hash per row of the key columns, in key order.
    pub(crate) fn hash_columns(&self, columns: &[ArrayRef]) -> Result<Vec<u128>, IndexError> {
        self.hasher.hash(columns)
    }

    /// Says how its keys are hashed.
    pub(crate) fn fingerprint(&self) -> String {
        self.hasher.fingerprint(&self.names)
    }

    /// Names the table's identity and how its keys are hashed; an index with another owner is not this table's.
    pub(crate) fn owner(&self, view: &TableView) -> String {
        format!("{} {}", view.uid, self.fingerprint())
    }
}

/// Runs work that blocks (disk, hashing of many rows) away from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| LakeError::Task(error.to_string()))?
}

/// What an index that covers this view is stamped with.
pub(crate) fn stamp(view: &TableView) -> Stamp {
    Stamp { version: view.version, files: view.files.iter().map(|file| file.id.0).collect() }
}

impl LiveTable {
    /// Opens a table exactly as it was last committed: what was not flushed is gone, and `position` says up to where.
    ///
    /// The key index is brought up to the table's version: only files it does not know are read, and only their key
    /// columns; without a usable index, all files. No set shows the table until [`LiveSet::insert`]. There must be one
    /// live table per table at a time.
    ///
    /// # Errors
    /// - [`LakeError::Refused`]: a table with a key and without deletion vectors; its dead rows could not be marked.
    /// - others if the log, the files or the cache folder cannot be used.
    pub async fn open(table: Table, settings: LiveSettings) -> Result<Self, LakeError> {
        // Nobody rewrites files of a table that is about to know them by number.
        let lake_table = table.clone();
        let _owning = lake_table.owning().await;
        let base = table.view();
        let keys = Keys::of(&base)?;
        if keys.is_some() && base.properties.get(VECTORS_PROPERTY).is_none_or(|on| on != "true") {
            let reason = "rows that change need deletion vectors, and this table does without".to_owned();
            return Err(LakeError::Refused { table: base.id.clone(), reason });
        }
        let (dir, owner) = (table.index_dir(), keys.as_ref().map(|keys| keys.owner(&base)).unwrap_or_default());
        let (index, found) = blocking(move || Ok(KeyIndex::open(&dir, &owner)?)).await?;
        let state = State {
            base,
            keys,
            tail: Tail::default(),
            published: Tail::default(),
            position: 0,
            fresh: Layer::default(),
            layers: vec![Arc::default()],
            dirty: false,
            flushing: false,
            oldest: None,
            rush: Rush::opened(table.home().clock.now_ms()),
            epoch: 0,
        };
        let inner = Inner {
            table,
            share: settings.budget.share(),
            settings,
            shown_by: Mutex::default(),
            writer: tokio::sync::Mutex::default(),
            maintenance: Arc::default(),
            state: Mutex::new(state),
            index: Arc::new(index),
            staging: Mutex::default(),
        };
        let inner = Arc::new(inner);
        inner.catch_up(found).await?;
        let live = Self { inner };
        lake_table.lives_in(&live);
        Ok(live)
    }

    pub(crate) fn weakly(&self) -> Weakly {
        Weakly(Arc::downgrade(&self.inner))
    }

    /// Its name.
    pub fn id(&self) -> &TableId {
        self.inner.table.id()
    }

    /// The table below: staging, properties, versions.
    pub fn table(&self) -> &Table {
        &self.inner.table
    }

    /// What readers see: committed and published rows.
    pub fn view(&self) -> Arc<TableView> {
        self.inner.published_view()
    }

    /// The position that was last committed under this app id.
    ///
    /// # Errors
    /// [`LakeError`] if the log cannot be read.
    pub async fn position(&self, app_id: &str) -> Result<Option<i64>, LakeError> {
        self.inner.table.position(app_id).await
    }

    /// Whether something was applied that no commit holds: until it is flushed, the source must keep it.
    pub fn has_unflushed(&self) -> bool {
        !self.inner.state.lock().tail.is_empty()
    }

    /// Whether something was applied since the last publish.
    pub fn has_unpublished(&self) -> bool {
        self.inner.state.lock().dirty
    }

    /// Forgets what was applied since the last publish, as if it had never been applied.
    pub fn discard_unpublished(&self) {
        let mut state = self.inner.state.lock();
        if state.dirty {
            state.tail = state.published.clone();
            state.fresh = Layer::default();
            state.dirty = false;
        }
        self.inner.share.set(state.bytes());
    }

    /// Bytes of memory that the tail and its positions hold.
    pub fn bytes(&self) -> usize {
        self.inner.share.held()
    }

    /// Whether runs of the key index are being merged in the background, as they are after a flush or a copy that left
    /// many of them.
    pub fn is_merging_index(&self) -> bool {
        self.inner.index.is_merging()
    }

    /// Rows that readers see.
    pub fn rows(&self) -> u64 {
        self.view().live_rows()
    }

    /// What a flush decision needs, of the published tail.
    pub fn facts(&self, now: Instant) -> TailFacts {
        self.inner.state.lock().facts(now)
    }

    /// Whether the source is catching up, so that rewriting files is put off.
    pub(crate) fn is_rushed(&self, now_ms: i64) -> bool {
        self.inner.state.lock().rush.is_on(now_ms)
    }

    /// Whether a flush is due: something published is unflushed, no flush is under way, and size or age ask for it.
    pub fn should_flush(&self, now: Instant) -> bool {
        let flushing = self.inner.state.lock().flushing;
        !flushing && self.inner.settings.flush.due(&self.facts(now))
    }
}

impl Inner {
    /// Makes what was applied so far the published state, and gives what readers see of it.
    pub(crate) fn publish(&self, position: i64) -> Arc<TableView> {
        let mut state = self.state.lock();
        state.publish(position);
        state.published_view()
    }

    pub(crate) fn published_view(&self) -> Arc<TableView> {
        self.state.lock().published_view()
    }

    /// Changes the state in one step, together with what readers see of it.
    pub(crate) fn swap<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let set = self.shown_by.lock().clone();
        let run = || {
            let mut state = self.state.lock();
            let out = change(&mut state);
            self.share.set(state.bytes());
            (out, state.published_view())
        };
        match set {
            Some(set) => set.replace(self.table.id(), run),
            None => run().0,
        }
    }
}

impl State {
    pub(crate) fn published_view(&self) -> Arc<TableView> {
        self.published.view(&self.base)
    }

    fn publish(&mut self, position: i64) {
        self.position = self.position.max(position);
        if !self.dirty {
            return;
        }
        if self.tail.truncates() != self.published.truncates() {
            // No row of before the truncate is found by its key any more.
            self.layers = vec![Arc::default()];
        }
        self.published = self.tail.clone();
        self.dirty = false;
        self.oldest.get_or_insert_with(Instant::now);
        let fresh = std::mem::take(&mut self.fresh);
        let spilled = match self.layers.first_mut() {
            Some(layer) => Arc::make_mut(layer).absorb(fresh).err(),
            None => Some(fresh),
        };
        if let Some(fresh) = spilled {
            self.layers.insert(0, Arc::new(fresh));
        }
    }

    /// What a flush decision needs, of the published tail.
    pub(crate) fn facts(&self, now: Instant) -> TailFacts {
        let tail = &self.published;
        TailFacts {
            changes: tail.changes(),
            bytes: tail.bytes() + self.layers.iter().map(|layer| layer.bytes()).sum::<usize>(),
            staged_bytes: tail.segments().iter().filter_map(Segment::staged).map(|(file, _)| file.size).sum(),
            staged: tail.segments().iter().filter(|segment| segment.staged().is_some()).count(),
            files_touched: tail.files_touched() + tail.further_days(),
            vector_bytes: tail.vector_bytes(&self.base),
            age: self.oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest)),
        }
    }

    /// Bytes of memory held by the tail and its positions.
    pub(crate) fn bytes(&self) -> usize {
        self.tail.bytes() + self.fresh.bytes() + self.layers.iter().map(|layer| layer.bytes()).sum::<usize>()
    }

    /// Where the rows of sorted hashes are now; none for keys without a row.
    pub(crate) fn locate(&self, index: &KeyIndex, wanted: &[u128]) -> Result<Vec<Option<Position>>, IndexError> {
        let layers: Vec<_> = std::iter::once(&self.fresh).chain(self.layers.iter().map(AsRef::as_ref)).collect();
        let mut found = index.reader().locate(&layers, wanted)?;
        for at in &mut found {
            *at = at.filter(|at| self.tail.is_live(&self.base, *at));
        }
        Ok(found)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.index.stop();
    }
}
