//! The warehouse itself: what all sessions share.
//!
//! Owns: the memory pool, the spill folder, the threads that queries run on.
//! Queries have threads of their own, so that a heavy one never delays whoever is receiving changes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use datafusion::execution::{
    disk_manager::{DiskManagerBuilder, DiskManagerMode},
    memory_pool::{FairSpillPool, TrackConsumersPool},
    runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
};
use naru_base::TableId;
use naru_lake::Lake;
use tokio::runtime::{Handle, Runtime};

use crate::{
    CutSource, LakeTables, Session, SessionOptions, View, ViewSource, WarehouseError, WarehouseSettings, audit_table,
    tables::TableSource,
};

/// Parquet footers kept in memory.
const METADATA_CACHE_BYTES: usize = 256 << 20;
/// A query thread looks for new queries, timers and sockets after this many turns.
const TURNS_BETWEEN_LOOKS: u32 = 4;
/// How many memory users an out-of-memory error names.
const NAMED_CONSUMERS: std::num::NonZero<usize> = std::num::NonZero::<usize>::MIN;

/// All tables of a project, and the means to query them. Cheap to clone.
#[derive(Clone)]
pub struct Warehouse {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub settings: WarehouseSettings,
    pub tables: Arc<dyn TableSource>,
    pub engine: Arc<RuntimeEnv>,
    pub threads: Threads,
    pub queries: AtomicU64,
    pub running: AtomicU64,
    /// Tables of naru's own dataset.
    pub own: Vec<(TableId, View)>,
}

impl fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warehouse").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// The query threads. A runtime must not be dropped where it could block, so its end is left to the background.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    fn start(threads: usize) -> Result<Self, WarehouseError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("naru-query")
            // One turn of a query takes milliseconds, not the microseconds that the runtime's own choice counts on.
            .global_queue_interval(TURNS_BETWEEN_LOOKS)
            .event_interval(TURNS_BETWEEN_LOOKS)
            .enable_all()
            .build()
            .map_err(|error| WarehouseError::Start(error.to_string()))?;
        Ok(Self(Some(runtime)))
    }

    /// Where queries are spawned; `None` only while the warehouse is being dropped.
    pub fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Warehouse {
    /// A warehouse over a lake. `live` gives the tables that are syncing in this process, `views` the SQL views.
    pub fn new(
        settings: WarehouseSettings,
        lake: Lake,
        live: Option<Arc<dyn CutSource>>,
        views: Option<Arc<dyn ViewSource>>,
    ) -> Result<Self, WarehouseError> {
        let register = lake.clone();
        let tables = LakeTables::new(lake, live, views).published_by(settings.published_by.clone());
        let warehouse = Self::over(settings, Arc::new(tables))?;
        register.register(&warehouse.shared.engine);
        Ok(warehouse)
    }

    /// A warehouse over any source of tables.
    pub fn over(settings: WarehouseSettings, tables: Arc<dyn TableSource>) -> Result<Self, WarehouseError> {
        std::fs::create_dir_all(&settings.spill_dir)
            .map_err(|error| WarehouseError::Start(format!("{}: {error}", settings.spill_dir.display())))?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![settings.spill_dir.clone()]))
            .with_max_temp_directory_size(settings.spill_bytes_max);
        let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_bytes), NAMED_CONSUMERS);
        let engine = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .with_metadata_cache_limit(METADATA_CACHE_BYTES.min(settings.memory_bytes / 4))
            .build_arc()
            .map_err(|error| WarehouseError::Start(error.strip_backtrace()))?;
        let threads = Threads::start(settings.target_partitions)?;
        let own = audit_table::view(&settings.audit)?.map(|view| (audit_table::id(), view)).into_iter().collect();
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                tables,
                engine,
                threads,
                queries: AtomicU64::new(0),
                running: AtomicU64::new(0),
                own,
            }),
        })
    }

    /// What it was started with.
    pub fn settings(&self) -> &WarehouseSettings {
        &self.shared.settings
    }

    /// A new session.
    ///
    /// # Errors
    /// [`WarehouseError::TimeZone`] for a zone that does not exist.
    pub fn session(&self, options: SessionOptions) -> Result<Session, WarehouseError> {
        Session::new(self.clone(), options)
    }

    /// Where tables come from.
    pub fn tables(&self) -> &Arc<dyn TableSource> {
        &self.shared.tables
    }

    /// Memory held by running queries, in bytes.
    pub fn memory_used(&self) -> usize {
        self.shared.engine.memory_pool.reserved()
    }

    /// Queries that are being executed now.
    pub fn queries_running(&self) -> u64 {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// Queries started since the warehouse was.
    pub fn queries_started(&self) -> u64 {
        self.shared.queries.load(Ordering::Relaxed)
    }
}

/// Counts a query among the running ones until it is dropped.
pub(crate) struct Running(Warehouse);

impl Running {
    pub fn new(warehouse: &Warehouse) -> Self {
        warehouse.shared.running.fetch_add(1, Ordering::Relaxed);
        Self(warehouse.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}
