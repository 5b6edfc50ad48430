//! The marts of the folder as they stand now: read again when their files change.
//!
//! Owns: the graph that runs, schedules and `naru status` go by, and what is wrong with the files it is made of. Other
//! files of the folder (settings, sources) count from the next start. Never runs a mart.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use naru_base::{Problem, TableId};
use naru_flow::{Graph, KnownTables, executor::transaction_app};
use naru_project::{Environment, MartKind, Project};
use naru_warehouse::Warehouse;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, home};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Folders that make the graph.
const FOLDERS: [&str; 2] = ["marts", "checks"];

/// Size and time of every file, and the tables that the sources have.
type Seen = (BTreeMap<PathBuf, (u64, SystemTime)>, Vec<TableId>);

/// See the module.
pub struct Marts {
    root: PathBuf,
    warehouse: Warehouse,
    graph: watch::Sender<Arc<Graph>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Option<Seen>,
    wrong: Vec<Problem>,
}

impl Marts {
    /// The marts of a folder that was just read.
    pub fn new(project: &Project, known: &KnownTables, graph: Graph, warehouse: Warehouse) -> Self {
        let seen = Some((files(&project.root), known.tables().cloned().collect()));
        Self {
            root: project.root.clone(),
            warehouse,
            graph: watch::Sender::new(Arc::new(graph)),
            state: Mutex::new(State { seen, wrong: Vec::new() }),
        }
    }

    /// The graph as last read.
    pub fn graph(&self) -> Arc<Graph> {
        self.graph.borrow().clone()
    }

    /// Every graph from now on.
    pub fn follow(&self) -> watch::Receiver<Arc<Graph>> {
        self.graph.subscribe()
    }

    /// Why the files as they stand now are not what runs go by; empty when they are.
    pub fn wrong(&self) -> Vec<Problem> {
        self.state.lock().wrong.clone()
    }

    /// Reads the files again if they have changed.
    ///
    /// # Errors
    /// Mistakes in the options of marts or checks. The earlier graph stays; schedules go by it.
    pub fn refresh(&self) -> Result<Arc<Graph>, Vec<Problem>> {
        let mut state = self.state.lock();
        let loaded = Project::load(&self.root, &Environment::of_process());
        let mistakes: Vec<Problem> = loaded.problems.into_iter().filter(of_marts).collect();
        let (Some(project), true) = (loaded.project, mistakes.is_empty()) else {
            state.wrong.clone_from(&mistakes);
            return Err(mistakes);
        };
        let known = home::known_tables(&project).map_err(|failure| match failure {
            Failure::Problems(problems) => problems,
            Failure::Misused(_) | Failure::Said => Vec::new(),
        })?;
        state.wrong.clear();
        let seen = (files(&self.root), known.tables().cloned().collect());
        if state.seen.as_ref() == Some(&seen) {
            return Ok(self.graph());
        }
        let graph = Arc::new(home::graph(&project, &known).0);
        hide_unpublished(&self.warehouse, &project);
        self.graph.send_replace(graph.clone());
        state.seen = Some(seen);
        tracing::debug!(marts = graph.marts().len(), "marts were read again");
        Ok(graph)
    }

    /// Looks at the files until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut told = Vec::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let marts = self.clone();
            let looked =
                tokio::task::spawn_blocking(move || if marts.changed() { marts.refresh().err() } else { None });
            let wrong = looked.await.ok().flatten().unwrap_or_default();
            for problem in wrong.iter().filter(|problem| !told.contains(*problem)) {
                tracing::warn!(%problem, "marts are not read again");
            }
            told = wrong;
        }
    }

    fn changed(&self) -> bool {
        let state = self.state.lock();
        // A mart that reads a table which nobody made may have it now.
        let waits = self.graph.borrow().marts().iter().any(|mart| mart.broken.is_some());
        waits
            || !state.wrong.is_empty()
            || state.seen.as_ref().is_none_or(|(files_then, _)| *files_then != files(&self.root))
    }
}

/// Marts whose table exists before its first commit are there for nobody until then.
pub fn hide_unpublished(warehouse: &Warehouse, project: &Project) {
    let tables = project.marts.iter().filter(|mart| mart.kind == MartKind::Table);
    let hidden = tables.map(|mart| (mart.id.clone(), transaction_app(&mart.id)));
    warehouse.settings().published_by.write().extend(hidden);
}

/// Mistakes that the graph would be made of. What is wrong with a source's file does not stop a mart.
fn of_marts(problem: &Problem) -> bool {
    problem.place.as_ref().is_none_or(|place| FOLDERS.iter().any(|folder| place.file.starts_with(folder)))
}

fn files(root: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        // A folder that is not there has no files.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(facts) if facts.is_dir() => open.push(entry.path()),
                Ok(facts) => {
                    let changed = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.insert(entry.path(), (facts.len(), changed));
                }
                Err(_) => {}
            }
        }
    }
    found
}
