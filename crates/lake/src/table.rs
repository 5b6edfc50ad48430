//! One table: its present state, and the only way to change it.
//!
//! Owns: [`Table`], the single writer of a table in this process; the order of a commit's steps and what a failed
//! step means. Never decides what to flush or compact. Read next: [`crate::commit`], [`crate::compact`].

use std::{
    future::{Ready, ready},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use naru_base::{TableId, Version, failpoint};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    checkpoint::{Txn, Txns},
    commit::{self, Change, Committed, Plan},
    error::LakeError,
    lake::Lake,
    live::LiveTable,
    log::{self, About, COMMIT_KEY, FILES_APP, Home, Loaded},
    object::Pin,
    stage::{Stager, StagerOptions},
    vectors,
    view::{FileId, FileView, TableView},
};

/// File numbers that may be reserved between two commits without the log knowing.
const NUMBERS_AHEAD: u32 = 4096;
/// Remembered objects after which the forgotten ones are swept out.
const HELD_BEFORE_SWEEP: usize = 4096;
/// Commits between checkpoints: an open reads at most this many entries.
const CHECKPOINT_EVERY: u64 = 20;
/// How often, and how far apart, the log is asked whether a put without an answer arrived.
const LOOKUPS: u32 = 4;
const LOOKUP_WAIT: Duration = Duration::from_millis(100);

/// The handle of one table. Clones are the same table; commits are serialised.
#[derive(Debug, Clone)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    lake: Lake,
    home: Home,
    state: RwLock<State>,
    next_file: AtomicU32,
    closed: AtomicBool,
    /// Held by the one commit under way.
    committing: tokio::sync::Mutex<()>,
    /// Held by the one checkpoint under way.
    maintaining: tokio::sync::Mutex<()>,
    /// Held while a live table is opened over this one, or its files are rewritten without one.
    owning: tokio::sync::Mutex<()>,
    /// The live table over this one; weak, since it holds this one.
    live: Mutex<crate::live::Weakly>,
    /// The newest checkpoint that is known, and whether one is being written.
    checkpoint: AtomicU64,
    checkpointing: AtomicBool,
    /// Every object this process has heard of; the living ones must survive a vacuum.
    held: Mutex<Vec<Weak<Pin>>>,
}

#[derive(Debug, Clone)]
struct State {
    view: Arc<TableView>,
    about: Arc<About>,
    /// File numbers below this may have been given, as the log says.
    numbers_logged: u32,
    txns: Arc<Txns>,
}

impl State {
    fn of(loaded: Loaded) -> Self {
        Self {
            view: Arc::new(loaded.view),
            about: Arc::new(loaded.about),
            numbers_logged: 0,
            txns: Arc::new(loaded.txns),
        }
    }
}

impl Table {
    pub(crate) fn new(lake: Lake, home: Home, loaded: Loaded) -> Self {
        let (next_file, checkpoint) = (loaded.next_file, loaded.checkpoint.unwrap_or(0));
        let state = State::of(loaded);
        let inner = Inner {
            lake,
            home,
            state: RwLock::new(state),
            next_file: AtomicU32::new(next_file),
            closed: AtomicBool::new(false),
            committing: tokio::sync::Mutex::default(),
            maintaining: tokio::sync::Mutex::default(),
            owning: tokio::sync::Mutex::default(),
            live: Mutex::default(),
            checkpoint: AtomicU64::new(checkpoint),
            checkpointing: AtomicBool::new(false),
            held: Mutex::default(),
        };
        let table = Self { inner: Arc::new(inner) };
        table.hold(table.view().files.iter().map(|file| &file.pin));
        table
    }

    /// Remembers objects for as long as somebody holds them.
    pub(crate) fn hold<'a>(&self, pins: impl IntoIterator<Item = &'a Arc<Pin>>) {
        let mut held = self.inner.held.lock();
        if held.len() >= HELD_BEFORE_SWEEP {
            held.retain(|pin| pin.strong_count() > 0);
        }
        held.extend(pins.into_iter().map(Arc::downgrade));
    }

    /// Paths of the objects somebody in this process holds.
    pub(crate) fn held(&self) -> Vec<String> {
        let mut held = self.inner.held.lock();
        held.retain(|pin| pin.strong_count() > 0);
        held.iter().filter_map(Weak::upgrade).map(|pin| pin.path().to_string()).collect()
    }

    /// Its name.
    pub fn id(&self) -> &TableId {
        &self.inner.home.id
    }

    /// The lake it is in.
    pub fn lake(&self) -> &Lake {
        &self.inner.lake
    }

    /// The last commit's state. No I/O.
    pub fn view(&self) -> Arc<TableView> {
        Arc::clone(&self.inner.state.read().view)
    }

    /// The table as an earlier version left it, if the log still holds it.
    pub async fn view_at(&self, version: Version) -> Result<Arc<TableView>, LakeError> {
        let now = self.view();
        if now.version == version {
            return Ok(now);
        }
        let pins = now.files.iter().map(|file| (Arc::clone(&file.path), Arc::clone(&file.pin))).collect();
        let view = Arc::new(log::load(&self.inner.home, Some(version), &pins).await?.view);
        self.hold(view.files.iter().map(|file| &file.pin));
        Ok(view)
    }

    /// The version last committed for this app id. Known since the table was loaded.
    pub fn position(&self, app_id: &str) -> Ready<Result<Option<i64>, LakeError>> {
        ready(Ok(self.inner.state.read().txns.get(app_id).map(|txn| txn.version)))
    }

    /// Reserves the number of a file that does not exist yet. Numbers that reached the log are never given twice;
    /// who keeps a reserved number elsewhere says so with [`Self::raise_file_floor`] after a restart.
    pub fn reserve_file(&self) -> FileId {
        FileId(self.inner.next_file.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes sure that `last` and everything below it is never reserved.
    pub fn raise_file_floor(&self, last: FileId) {
        self.inner.next_file.fetch_max(last.0.saturating_add(1), Ordering::Relaxed);
    }

    /// Begins staging for the columns the table has now. Call within a Tokio runtime.
    pub fn stager(&self, options: StagerOptions) -> Stager {
        Stager::new(self.clone(), self.view(), options)
    }

    /// The folder of its key index in the lake's cache.
    pub(crate) fn index_dir(&self) -> std::path::PathBuf {
        let part = |name: &str| object_store::path::PathPart::from(name).as_ref().to_owned();
        self.lake().cache().join("index").join(part(&self.id().dataset)).join(part(&self.id().table))
    }

    /// Begins staging for columns that a later commit will bring.
    ///
    /// # Errors
    /// [`LakeError::Columns`].
    pub fn stager_for(
        &self,
        columns: Vec<crate::Column>,
        key: &[String],
        options: StagerOptions,
    ) -> Result<Stager, LakeError> {
        let change = Change { columns: Some(columns), key: Some(key.to_vec()), ..Change::default() };
        let plan = commit::plan(&self.view(), &change)?;
        Ok(Stager::new(self.clone(), Arc::new(plan.next), options))
    }

    /// Commits on the version last seen.
    ///
    /// A lost answer after a successful put is recognised in the log and counts as success. Dropping the future does
    /// not stop a commit that has begun. Files of `change.add` stay staged when nothing was committed.
    ///
    /// # Errors
    /// - [`LakeError::CommitLost`]: somebody else committed; the table has been loaded again, decide anew.
    /// - [`LakeError::Refused`], [`LakeError::Columns`]: the change contradicts the table; nothing was written.
    /// - [`LakeError::Store`] and others: nothing was committed as far as the store could say; retry.
    pub async fn commit(&self, change: Change) -> Result<Committed, LakeError> {
        self.commit_with(move |_| Ok(change)).await
    }

    /// Commits what `decide` makes of the view that the commit will follow, under the commit lock.
    pub(crate) async fn commit_with(
        &self,
        decide: impl FnOnce(&TableView) -> Result<Change, LakeError> + Send + 'static,
    ) -> Result<Committed, LakeError> {
        let table = self.clone();
        let running = tokio::spawn(async move {
            let _one = table.inner.committing.lock().await;
            let change = decide(&table.view())?;
            table.commit_locked(change).await
        });
        running.await.map_err(|error| LakeError::Task(error.to_string()))?
    }

    async fn commit_locked(&self, change: Change) -> Result<Committed, LakeError> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(LakeError::Missing(self.id().clone()));
        }
        let before = self.inner.state.read().clone();
        let mut plan = commit::plan(&before.view, &change)?;
        self.write_vectors(&mut plan).await?;
        let version = before.view.version.0.saturating_add(1);
        let commit = Uuid::new_v4().simple().to_string();
        let now_ms = self.inner.home.clock.now_ms();
        let mut lines = log::entry(&plan, &change, (&before.view, &before.about), &commit, now_ms)?;
        let logged = self.numbers_to_log(before.numbers_logged);
        if let Some(logged) = logged {
            lines.push(log::txn(FILES_APP, i64::from(logged), now_ms));
        }
        if failpoint::hit("lake.before_commit") {
            return Err(LakeError::Failpoint("lake.before_commit"));
        }
        let added: Vec<_> = change.add.iter().map(|staged| staged.file_view().pin).collect();
        // Until the store has said no, the log may name these objects.
        for pin in &added {
            pin.keep(true);
        }
        if let Err(error) = self.put_entry(version, &commit, &lines).await {
            if error.nothing_was_put {
                for pin in &added {
                    pin.keep(false);
                }
            }
            return Err(error.error);
        }
        let mut txns = change.txn.into_iter().collect::<Vec<_>>();
        txns.extend(logged.map(|logged| (FILES_APP.to_owned(), i64::from(logged))));
        let txns = txns.into_iter().map(|(app, version)| (app, Txn { version, updated_ms: now_ms })).collect();
        let committed = self.adopt(before, plan, txns, version, logged);
        if failpoint::hit("lake.after_commit") {
            return Err(LakeError::Failpoint("lake.after_commit"));
        }
        if self.commits_since_checkpoint() >= CHECKPOINT_EVERY {
            self.checkpoint_soon();
        }
        Ok(committed)
    }

    /// Makes the committed state the present one.
    fn adopt(&self, before: State, plan: Plan, txns: Txns, version: u64, logged: Option<u32>) -> Committed {
        let mut files = plan.kept;
        files.extend(plan.listed.into_iter().map(Arc::new));
        let view = Arc::new(TableView { version: Version(version), ..plan.next.with_files(files) });
        let numbers_logged = logged.unwrap_or(before.numbers_logged);
        let mut all = before.txns;
        if !txns.is_empty() {
            Arc::make_mut(&mut all).extend(txns);
        }
        *self.inner.state.write() = State { view: Arc::clone(&view), about: before.about, numbers_logged, txns: all };
        Committed { version: Version(version), view }
    }

    /// Writes the one vector file of a commit and says in the plan where each file's vector lies.
    async fn write_vectors(&self, plan: &mut Plan) -> Result<(), LakeError> {
        let bitmaps: Vec<_> =
            plan.listed.iter().filter_map(|file| Some((file.id, Arc::clone(file.deleted.as_ref()?)))).collect();
        if bitmaps.is_empty() {
            return Ok(());
        }
        let written = vectors::encode(self.id(), &bitmaps)?;
        self.inner.home.store.put(&Path::from(written.name), written.bytes.into()).await?;
        let mut found = written.vectors;
        for file in &mut plan.listed {
            file.vector = found.remove(&file.id);
        }
        Ok(())
    }

    /// The new mark for given numbers, when the old one comes near.
    fn numbers_to_log(&self, logged: u32) -> Option<u32> {
        let next = self.inner.next_file.load(Ordering::Relaxed);
        (next.saturating_add(NUMBERS_AHEAD / 2) > logged).then(|| next.saturating_add(NUMBERS_AHEAD))
    }

    /// Writes version 0.
    pub(crate) async fn put_first(&self, commit: &str, lines: &[Value]) -> Result<(), LakeError> {
        match self.put_entry(0, commit, lines).await {
            Ok(()) => Ok(()),
            Err(Unput { error: LakeError::CommitLost { .. }, .. }) => Err(LakeError::Exists(self.id().clone())),
            Err(other) => Err(other.error),
        }
    }

    async fn put_entry(&self, version: u64, commit: &str, lines: &[Value]) -> Result<(), Unput> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = log::entry_path(version);
        let answer = self.inner.home.store.put_opts(&path, log::text(lines).into(), options).await;
        let Err(error) = answer else { return Ok(()) };
        match self.whose(&path, commit, conflict(&error)).await {
            Ok(Whose::Ours) => Ok(()),
            Ok(Whose::Nobodys) => Err(Unput { error: error.into(), nothing_was_put: true }),
            Ok(Whose::Anothers) => {
                let reloaded = if version == 0 { Ok(()) } else { self.reload().await };
                let lost = LakeError::CommitLost { table: self.id().clone(), version };
                Err(Unput { error: reloaded.err().unwrap_or(lost), nothing_was_put: true })
            }
            // The log cannot be asked either; the put may have arrived.
            Err(_) => Err(Unput { error: error.into(), nothing_was_put: false }),
        }
    }

    /// Who wrote an entry whose put did not succeed for us.
    async fn whose(&self, path: &Path, commit: &str, conflict: bool) -> Result<Whose, LakeError> {
        let mut lookup = 0;
        loop {
            match self.inner.home.store.get(path).await {
                Ok(found) => {
                    return Ok(if names(&found.bytes().await?, commit) { Whose::Ours } else { Whose::Anothers });
                }
                Err(object_store::Error::NotFound { .. }) if lookup + 1 >= LOOKUPS => {
                    return Ok(Whose::Nobodys);
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) if lookup + 1 >= LOOKUPS => return Err(error.into()),
                Err(_) => {}
            }
            lookup += 1;
            if !conflict {
                tokio::time::sleep(LOOKUP_WAIT * lookup).await;
            }
        }
    }

    async fn reload(&self) -> Result<(), LakeError> {
        let now = self.view();
        let pins =
            now.files.iter().map(|file: &Arc<FileView>| (Arc::clone(&file.path), Arc::clone(&file.pin))).collect();
        let loaded = log::load(&self.inner.home, None, &pins).await?;
        self.inner.next_file.fetch_max(loaded.next_file, Ordering::Relaxed);
        self.hold(loaded.view.files.iter().map(|file| &file.pin));
        self.checkpointed(loaded.checkpoint.unwrap_or(0));
        *self.inner.state.write() = State::of(loaded);
        Ok(())
    }

    fn checkpoint_soon(&self) {
        if self.inner.checkpointing.swap(true, Ordering::AcqRel) {
            return;
        }
        let table = self.clone();
        tokio::spawn(async move {
            if let Err(error) = table.checkpoint().await {
                tracing::warn!(table = %table.id(), error = %error, "a checkpoint failed; the next one will be tried");
            }
            table.inner.checkpointing.store(false, Ordering::Release);
        });
    }

    /// Commits that a reader finds after the newest checkpoint.
    pub(crate) fn commits_since_checkpoint(&self) -> u64 {
        self.view().version.0.saturating_sub(self.inner.checkpoint.load(Ordering::Acquire))
    }

    /// Remembers that there is a checkpoint.
    pub(crate) fn checkpointed(&self, version: u64) {
        self.inner.checkpoint.fetch_max(version, Ordering::AcqRel);
    }

    /// The present version and the actions that make it.
    pub(crate) fn actions(&self) -> Result<(u64, Vec<Value>), LakeError> {
        let state = self.inner.state.read().clone();
        let mut lines =
            vec![serde_json::json!({"protocol": state.about.protocol}), log::metadata(&state.view, &state.about)?];
        lines.extend(state.txns.iter().map(|(app, txn)| log::txn(app, txn.version, txn.updated_ms)));
        lines.extend(state.view.files.iter().map(|file| log::add(file, &state.view.columns, false)));
        Ok((state.view.version.0, lines))
    }

    /// The live table over this one, if one is open.
    pub fn live(&self) -> Option<LiveTable> {
        self.inner.live.lock().get()
    }

    pub(crate) fn lives_in(&self, live: &LiveTable) {
        *self.inner.live.lock() = live.weakly();
    }

    pub(crate) async fn owning(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.owning.lock().await
    }

    /// Refuses every later commit; waits for the one under way.
    pub(crate) async fn close(&self) {
        let _one = self.inner.committing.lock().await;
        self.inner.closed.store(true, Ordering::Release);
    }

    pub(crate) fn home(&self) -> &Home {
        &self.inner.home
    }

    pub(crate) async fn maintaining(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.maintaining.lock().await
    }

    pub(crate) async fn committing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.committing.lock().await
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::Acquire)
    }
}

/// A log entry that was not written by us.
struct Unput {
    error: LakeError,
    nothing_was_put: bool,
}

enum Whose {
    Ours,
    Anothers,
    Nobodys,
}

fn conflict(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })
}

/// Whether a log entry is the commit of this id.
fn names(entry: &[u8], commit: &str) -> bool {
    let first = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<Value>(first)
        .ok()
        .and_then(|line| line.get("commitInfo")?.get(COMMIT_KEY)?.as_str().map(|id| id == commit))
        .unwrap_or(false)
}
