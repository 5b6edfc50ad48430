//! Everything that a process of naru has open: lake, engines, warehouse, flow.
//!
//! Owns: the order in which rooms start and stop. `up` has all of it; a command with nothing running opens what it
//! needs by itself. Never prints.

pub mod access;
pub mod comparing;
pub mod console;
pub mod control;
pub mod edges;
pub mod letters;
pub mod listeners;
pub mod marts;
#[cfg(test)]
mod matrix_tests;
pub mod metrics;
pub mod ports;
pub mod sources;
pub mod topic_files;
pub mod topics;
pub mod upkeep;
pub mod vanished;

use std::{collections::HashMap, sync::Arc};

use naru_access::{Policy, audit::Audit};
use naru_base::{Problem, TableId};
use naru_flow::{Flow, FlowOptions};
use naru_lake::Lake;
use naru_store::{Store, runs_read};
use naru_warehouse::{ViewSource, Warehouse, WarehouseSettings};
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::{
        cuts::{Cuts, Rest},
        executor::LakeExecutor,
        tables::LiveTables,
    },
    failure::Failure,
    home::Home,
};

use access::AccessDesk;
use marts::Marts;
use sources::RunningSource;
use topic_files::TopicFiles;
use topics::RunningTopics;
use upkeep::Upkeep;

/// Rooms that are open.
pub struct Running {
    /// The folder.
    pub home: Home,
    /// State database.
    pub store: Store,
    /// SQL.
    pub warehouse: Warehouse,
    /// `access.toml` as it is in force.
    pub access: Arc<AccessDesk>,
    /// Who may do what.
    pub policy: Policy,
    /// What was done by whom; none in a command that runs by itself.
    pub audit: Audit,
    /// Marts.
    pub flow: Flow,
    /// The graph of marts, read again when their files change.
    pub marts: Arc<Marts>,
    /// Where the sources come to rest.
    pub rest: Rest,
    /// Maintenance of the lake's tables; at rest in a command that runs by itself.
    pub upkeep: Upkeep,
    /// Engines; empty in a command that runs by itself.
    pub sources: Vec<RunningSource>,
    /// Topics; none in a command that runs by itself.
    pub topics: Option<Arc<RunningTopics>>,
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
pub fn warehouse(
    home: &Home,
    lake: &Lake,
    store: Option<&Store>,
    live: LiveTables,
    (policy, audit): (Policy, Audit),
) -> Result<Warehouse, Failure> {
    let settings = &home.project.settings;
    let spill = home.state()?.join("spill");
    let mut chosen = WarehouseSettings::new(&settings.name, spill);
    chosen.time_zone.clone_from(&settings.sql.timezone.name);
    chosen.memory_bytes = naru_base::number::usize_from(settings.sql.memory);
    chosen.spill_bytes_max = settings.sql.spill;
    chosen.timeout = settings.sql.timeout;
    (chosen.policy, chosen.audit) = (policy, audit);
    let views = store.map(|store| -> Arc<dyn ViewSource> { Arc::new(PublishedViews(store.clone())) });
    let warehouse = Warehouse::new(chosen, lake.clone(), Some(Arc::new(live)), views);
    let warehouse = warehouse.map_err(|error| Failure::from(error.problem()))?;
    marts::hide_unpublished(&warehouse, &home.project);
    Ok(warehouse)
}

impl Running {
    /// Opens everything; engines too when `sync` is set. The caller holds the project's lock.
    pub async fn start(home: Home, sync: bool) -> Result<Self, Failure> {
        let store = home.store()?;
        let lake = home.lake().await?;
        let stop = CancellationToken::new();
        let names: Vec<String> = home.project.sources.iter().map(|source| source.name.clone()).collect();
        let stood = if sync { Rest::end(&store, names.clone()).await? } else { Vec::new() };
        let (engines, mut sets) =
            if sync { sources::start(&home, &lake, &store, &stop).await? } else { (Vec::new(), Vec::new()) };
        let stood = names.iter().zip(&sets).zip(stood).map(|((name, set), at)| (name.clone(), set.clone(), at));
        let rest = Rest::new(store.clone(), lake.clone(), stood.collect());
        if sync {
            for source in vanished::list(&home, &store).await? {
                tracing::warn!(problem = %source["problem"]["summary"], hint = %source["problem"]["hint"], "a source has no file");
            }
        }
        let topics = if sync { Some(Arc::new(RunningTopics::open(&home, &lake, &store).await?)) } else { None };
        sets.extend(topics.iter().map(|running| running.topics.set()));
        let access = Arc::new(AccessDesk::new(&home, Some(store.clone())));
        let policy = access.policy().clone();
        let audit = if sync { Audit::open(store.clone(), home.project.settings.audit.ask_why) } else { Audit::none() };
        let guards = (policy.clone(), audit.clone());
        let warehouse = warehouse(&home, &lake, Some(&store), LiveTables { sets }, guards)?;
        if let Some(topics) = &topics {
            tokio::spawn(letters::tell_fit(warehouse.clone(), Arc::clone(topics), home.project.topics.clone()));
            tokio::spawn(TopicFiles::keep_fresh(Arc::clone(topics), warehouse.clone(), stop.clone()));
        }
        let cuts = if sync {
            let engines = engines.iter().map(|source| (source.name.clone(), source.commands.clone())).collect();
            Cuts::Running { engines, topics: topics.clone(), store: store.clone() }
        } else {
            Cuts::AtRest { sources: names, store: store.clone() }
        };
        let executor = Arc::new(LakeExecutor::new(lake.clone(), warehouse.clone(), cuts, store.clone()));
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
        let marts = Arc::new(Marts::new(&home.project, &known, graph, warehouse.clone()));
        if sync {
            tokio::spawn(marts.clone().keep_fresh(stop.clone()));
            tokio::spawn(access.clone().keep_fresh(audit.clone(), stop.clone()));
        }
        Ok(Self {
            home,
            store,
            warehouse,
            access,
            policy,
            audit,
            flow,
            marts,
            rest,
            upkeep,
            sources: engines,
            topics,
            stop,
        })
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
