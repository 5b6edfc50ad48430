//! Maintenance of the lake's tables beside everything else, on threads of low priority.
//!
//! Owns: the threads, when they start and stop, and what `naru status`, `naru compact` and `naru vacuum` get of it.
//! Never decides what is due; the lake's maintainer does.

use std::{collections::HashMap, sync::Arc};

use naru_base::{Problem, TableId, number::u64_from};
use naru_lake::{CompactionLimits, Lake, LakeError, Maintainer};
use naru_sync::DiskMarks;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// How much nicer than everything else: a flush may wait for a compaction, so it must not starve.
const NICER: i32 = 5;
/// Threads for reading, encoding and writing of the one piece under way.
const BLOCKING_THREADS: usize = 8;

/// The maintenance of one process.
#[derive(Debug)]
pub struct Upkeep {
    lake: Lake,
    maintainer: Maintainer,
    /// Not dropped within a task; see [`Upkeep::drop`].
    runtime: Option<Runtime>,
    stop: CancellationToken,
    running: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

/// What a compaction or vacuum did to one table.
#[derive(Debug, Serialize)]
pub struct Maintained {
    /// Which table.
    pub table: TableId,
    /// Files before and after a compaction.
    pub files_before: usize,
    /// See `files_before`.
    pub files_after: usize,
    /// Rows in files that a compaction wrote.
    pub rows: u64,
    /// Objects that a vacuum removed, or would remove.
    pub removed: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

impl Upkeep {
    /// Threads for the maintenance of this lake, which begins with [`Upkeep::begin`]. `disk` says when no file may be
    /// written that is not needed.
    pub fn new(lake: Lake, disk: DiskMarks) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("naru-upkeep")
            .on_thread_start(|| {
                // Without it maintenance is only less polite.
                if let Err(error) = rustix::process::nice(NICER) {
                    tracing::debug!(%error, "maintenance runs at ordinary priority");
                }
            })
            .enable_all()
            .build()?;
        let room = move || disk.look().for_copying().is_ok();
        let maintainer = Maintainer::with_room(lake.clone(), CompactionLimits::default(), room);
        let (runtime, stop) = (Some(runtime), CancellationToken::new());
        Ok(Self { lake, maintainer, runtime, stop, running: parking_lot::Mutex::default() })
    }

    /// Looks after all tables from now on.
    pub fn begin(&self) {
        let Some(runtime) = &self.runtime else { return };
        let (maintainer, stop) = (self.maintainer.clone(), self.stop.clone());
        *self.running.lock() = Some(runtime.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = maintainer.run() => {}
            }
        }));
    }

    /// Stops whatever is under way and waits until it has: the last flushes must not wait for a compaction.
    pub async fn stop(&self) {
        self.stop.cancel();
        let running = self.running.lock().take();
        if let Some(running) = running
            && let Err(error) = running.await
        {
            tracing::warn!(%error, "maintenance ended badly");
        }
    }

    /// The tables that a word names; all of the lake when it names none.
    pub async fn tables(&self, named: Vec<TableId>) -> Result<Vec<TableId>, Problem> {
        if named.is_empty() { self.lake.tables().await.map_err(|error| error.problem()) } else { Ok(named) }
    }

    /// Compacts tables thoroughly, one after the other. `progress` gets a line a group of files.
    pub async fn compact(
        &self,
        tables: Vec<TableId>,
        progress: mpsc::Sender<Value>,
    ) -> Result<Vec<Maintained>, Problem> {
        let (lake, maintainer) = (self.lake.clone(), self.maintainer.clone());
        self.carry_out(async move {
            let mut done = Vec::new();
            for table in tables {
                let before = files(&lake, &table).await?;
                let name = table.to_string();
                maintainer
                    .compact(&table, |group| {
                        let line =
                            json!({"table": name, "removed": group.removed, "added": group.added, "rows": group.rows});
                        // Nobody watching is no reason to stop.
                        drop(progress.try_send(line));
                    })
                    .await?;
                let after = files(&lake, &table).await?;
                // A row that two rounds wrote is still one row.
                let written = after.iter().filter(|(path, _)| !before.contains_key(*path));
                let rows = written.map(|(_, rows)| rows).sum();
                let (files_before, files_after) = (before.len(), after.len());
                done.push(Maintained { table, files_before, files_after, rows, removed: Vec::new(), bytes: 0 });
            }
            Ok(done)
        })
        .await
    }

    /// Cleans logs and removes garbage, one table after the other; a dry run only says what would go.
    pub async fn vacuum(
        &self,
        tables: Vec<TableId>,
        dry_run: bool,
        progress: mpsc::Sender<Value>,
    ) -> Result<Vec<Maintained>, Problem> {
        let (lake, maintainer) = (self.lake.clone(), self.maintainer.clone());
        self.carry_out(async move {
            let mut done = Vec::new();
            for table in tables {
                let vacuumed = maintainer.vacuum(&table, dry_run).await?;
                let (removed, bytes) = (vacuumed.removed, vacuumed.bytes);
                drop(progress.try_send(json!({"table": table.to_string(), "removed": removed.len(), "bytes": bytes})));
                let now = files(&lake, &table).await?.len();
                done.push(Maintained { table, files_before: now, files_after: now, rows: 0, removed, bytes });
            }
            Ok(done)
        })
        .await
    }

    /// Runs work on the threads of low priority.
    async fn carry_out<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, LakeError>> + Send + 'static,
    ) -> Result<T, Problem> {
        let stopped = || Problem::new("lake.stopping", "naru is stopping").later();
        let Some(runtime) = &self.runtime else { return Err(stopped()) };
        match runtime.spawn(work).await {
            Ok(done) => done.map_err(|error| error.problem()),
            Err(_) => Err(stopped()),
        }
    }

    /// Tables that are open, what maintenance did for them, and what it does now.
    pub fn status(&self) -> Value {
        let status = self.maintainer.status();
        let tables: Vec<Value> = self.facts().into_iter().map(|facts| json!(facts)).collect();
        let doing = status.doing.map(|(table, piece)| json!({"table": table, "piece": piece}));
        json!({"doing": doing, "tables": tables})
    }

    /// One entry a table that is open.
    pub fn facts(&self) -> Vec<LakeTable> {
        let mut kept = self.maintainer.status().tables;
        let open = self.lake.open_tables();
        let facts = open.into_iter().map(|table| {
            let view = table.view();
            let rows: u64 = view.files.iter().map(|file| file.rows).sum();
            LakeTable {
                upkeep: Arc::new(kept.remove(table.id()).unwrap_or_default()),
                version: view.version.0,
                files: u64_from(view.files.len()),
                bytes: view.files.iter().map(|file| file.size).sum(),
                rows,
                dead_rows: rows.saturating_sub(view.live_rows()),
                table: table.id().clone(),
            }
        });
        facts.collect()
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may go within a task, where waiting for threads is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// A table of the lake as `naru status --json` shows it under `lake`.
#[derive(Debug, Serialize)]
pub struct LakeTable {
    /// Which table.
    pub table: TableId,
    /// Its newest committed version.
    pub version: u64,
    /// Data files of that version, their bytes and rows.
    pub files: u64,
    /// See `files`.
    pub bytes: u64,
    /// See `files`.
    pub rows: u64,
    /// Rows in those files that no longer count.
    pub dead_rows: u64,
    /// What maintenance did for it since the start.
    pub upkeep: Arc<naru_lake::Upkeep>,
}

/// The files of a table's newest version with their rows.
async fn files(lake: &Lake, table: &TableId) -> Result<HashMap<String, u64>, LakeError> {
    let Some(table) = lake.open_table(table).await? else { return Ok(HashMap::new()) };
    Ok(table.view().files.iter().map(|file| (file.path.to_string(), file.rows)).collect())
}
