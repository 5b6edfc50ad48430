//! Everything that a process of naru has open: lake, engines, warehouse, flow.
//!
//! Owns: the order in which rooms start and stop. `up` has all of it; a command with nothing running opens what it
//! needs by itself. Never prints.

pub mod control;
pub mod listeners;
pub mod metrics;
pub mod sources;
pub mod upkeep;
pub mod vanished;

use std::{collections::HashMap, sync::Arc};

use naru_base::{Problem, TableId};
use naru_flow::{Flow, FlowOptions, Graph, executor::transaction_app};
use naru_lake::Lake;
use naru_project::MartKind;
use naru_store::{Store, runs_read};
use naru_warehouse::{ViewSource, Warehouse, WarehouseSettings};
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::{executor::LakeExecutor, tables::LiveTables},
    failure::Failure,
    home::Home,
};

use sources::RunningSource;
use upkeep::Upkeep;

/// Rooms that are open.
pub struct Running {
    /// The folder.
    pub home: Home,
    /// State database.
    pub store: Store,
    /// SQL.
    pub warehouse: Warehouse,
    /// Marts.
    pub flow: Flow,
    /// The graph of marts, as of the start.
    pub graph: Arc<Graph>,
    /// Maintenance of the lake's tables; at rest in a command that runs by itself.
    pub upkeep: Upkeep,
    /// Engines; empty in a command that runs by itself.
    pub sources: Vec<RunningSource>,
    /// Cancelled when everything shall stop.
    pub stop: CancellationToken,
}

/// Views that flow has published, read from the state database.
struct PublishedViews(Store);

impl ViewSource for PublishedViews {
    fn views(&self) -> HashMap<TableId, String> {
        let rows = self.0.read_blocking(|db| runs_read::views(db)).unwrap_or_default();
        rows.into_iter().map(|row| (row.mart, row.sql)).collect()
    }
}

/// The warehouse over a lake; `live` are the tables that sync in this process.
pub fn warehouse(home: &Home, lake: &Lake, store: Option<&Store>, live: LiveTables) -> Result<Warehouse, Failure> {
    let settings = &home.project.settings;
    let spill = home.state()?.join("spill");
    let mut chosen = WarehouseSettings::new(&settings.name, spill);
    chosen.time_zone.clone_from(&settings.sql.timezone.name);
    chosen.memory_bytes = naru_base::number::usize_from(settings.sql.memory);
    chosen.spill_bytes_max = settings.sql.spill;
    chosen.timeout = settings.sql.timeout;
    let marts = home.project.marts.iter().filter(|mart| mart.kind == MartKind::Table);
    chosen.published_by = marts.map(|mart| (mart.id.clone(), transaction_app(&mart.id))).collect();
    let views = store.map(|store| -> Arc<dyn ViewSource> { Arc::new(PublishedViews(store.clone())) });
    Warehouse::new(chosen, lake.clone(), Some(Arc::new(live)), views).map_err(|error| error.problem().into())
}

impl Running {
    /// Opens everything; engines too when `sync` is set. The caller holds the project's lock.
    pub async fn start(home: Home, sync: bool) -> Result<Self, Failure> {
        let store = home.store()?;
        let lake = home.lake().await?;
        let stop = CancellationToken::new();
        let (engines, sets) =
            if sync { sources::start(&home, &lake, &store, &stop).await? } else { (Vec::new(), Vec::new()) };
        if sync {
            for source in vanished::list(&home, &store).await? {
                tracing::warn!(problem = %source["problem"]["summary"], hint = %source["problem"]["hint"], "a source has no file");
            }
        }
        let warehouse = warehouse(&home, &lake, Some(&store), LiveTables { sets })?;
        let handles = engines.iter().map(|source| (source.name.clone(), source.commands.clone())).collect();
        let executor = Arc::new(LakeExecutor::new(lake.clone(), warehouse.clone(), handles));
        let options = FlowOptions { parallelism: home.project.settings.flow.parallelism, retry_waits: None };
        let flow = Flow::open(store.clone(), executor, options).await.map_err(flow_failed)?;
        let known = home.known_tables()?;
        let (graph, _) = home.graph(&known);
        let settled = flow.settle().await.map_err(flow_failed)?;
        tracing::debug!(?settled, "half-done marts settled");
        let upkeep = Upkeep::new(lake, sources::disk_marks(&home))?;
        if sync {
            upkeep.begin();
        }
        Ok(Self { home, store, warehouse, flow, graph: Arc::new(graph), upkeep, sources: engines, stop })
    }

    /// The engine of a table's source, by the dataset it writes.
    pub fn source_of(&self, table: &TableId) -> Option<&RunningSource> {
        self.sources.iter().find(|source| source.status.get().tables.iter().any(|t| t.table == *table))
    }
}

/// An error of flow as a failure of a word.
pub fn flow_failed(error: naru_flow::FlowError) -> Failure {
    Failure::from(flow_problem(&error))
}

/// An error of flow as a problem.
pub fn flow_problem(error: &naru_flow::FlowError) -> Problem {
    error.problem()
}
