//! The engines of all sources: making them from the folder, and asking a source before it starts.
//!
//! Owns: turning a source file into an engine's context. Never decides how a source is synced.

use std::sync::Arc;

use naru_base::{Problem, Secret};
use naru_lake::{
    Lake, leftovers,
    live::{Budget, FlushPolicy, LiveSet, LiveSettings},
};
use naru_project::{Environment, PostgresSource, Source};
use naru_store::{Store, kv};
use naru_sync::{
    Commands, Context, DiskMarks, SourceEngine, StatusCell, Way,
    engine::prepare::{self, Checked},
    postgres::ConnectSettings,
    publication::SourceNames,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::home::Home;

/// Bytes of unflushed rows all sources together keep in memory.
const TAIL_BYTES: usize = 128 << 20;

/// One engine that runs.
#[derive(Debug)]
pub struct RunningSource {
    /// Name of the source file.
    pub name: String,
    /// Its surroundings, for comparisons.
    pub context: Arc<Context>,
    /// Its handle.
    pub commands: Commands,
    /// Its newest status.
    pub status: StatusCell,
    stop: CancellationToken,
    ended: watch::Receiver<bool>,
}

impl RunningSource {
    /// Stops this engine alone and waits for its end.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.ended().await;
    }

    /// Waits until the engine has stopped; `stop` was cancelled before.
    pub async fn ended(&self) {
        // An error means that the engine's task is gone, which is an end too.
        drop(self.ended.clone().wait_for(|ended| *ended).await);
    }
}

/// Surroundings of one source. `budget` is that of all sources together.
fn context(
    home: &Home,
    source: &Source,
    lake: &Lake,
    store: &Store,
    project_id: &str,
    budget: &Budget,
) -> Result<Context, Problem> {
    let postgres = postgres(source)?;
    let settings = connect(source, &postgres.url)?;
    let (again, root, written) = (source.clone(), home.project.root.clone(), postgres.url_written.clone());
    let way = Way::new(settings, move || connect(&again, &Environment::of_process().url(&root, &written)?));
    let disk = disk_marks(home);
    let mut flush = FlushPolicy::default();
    flush.bytes_max = home.project.settings.lake.flush_bytes;
    flush.interval = postgres.flush_interval.unwrap_or(home.project.settings.lake.flush_interval);
    flush.interval_max = flush.interval_max.max(flush.interval);
    let live = LiveSettings { budget: budget.clone(), flush, ..LiveSettings::default() };
    Ok(Context {
        names: SourceNames::new(project_id, &source.name),
        spool_dir: home.project.state_folder().join("spool").join(&source.name),
        source: source.clone(),
        postgres,
        way,
        lake: lake.clone(),
        store: Arc::new(store.clone()),
        zone: home.project.settings.timezone.zone.clone(),
        live,
        disk,
    })
}

/// When the disks of a project count as full.
pub fn disk_marks(home: &Home) -> DiskMarks {
    let limits = &home.project.settings.limits;
    DiskMarks {
        folders: vec![home.project.state_folder(), home.project.lake_folder()],
        copy_free_min: limits.copy_free_min,
        apply_free_min: limits.apply_free_min,
    }
}

fn postgres(source: &Source) -> Result<PostgresSource, Problem> {
    source
        .postgres()
        .cloned()
        .ok_or_else(|| Problem::new("sync.kind", format!("source \"{}\" is not a PostgreSQL database", source.name)))
}

fn connect(source: &Source, url: &Secret) -> Result<ConnectSettings, Problem> {
    ConnectSettings::parse(url.expose()).map_err(|error| {
        Problem::new("sync.url", format!("the url of source \"{}\" cannot be used", source.name))
            .detail(error.to_string())
            .at(source.place.clone())
    })
}

/// Starts the engines of all sources.
pub async fn start(
    home: &Home,
    lake: &Lake,
    store: &Store,
    stop: &CancellationToken,
) -> Result<(Vec<RunningSource>, Vec<LiveSet>), Problem> {
    let project_id = store.write(|db| kv::project_id(db)).await.map_err(|error| error.problem())?;
    match leftovers::remove(&home.project.lake_folder()).await {
        Ok(0) => {}
        Ok(removed) => tracing::debug!(removed, "half-written files of a process that was killed are removed"),
        Err(error) => tracing::warn!(problem = %error.problem(), "half-written files in the lake could not be removed"),
    }
    let (mut running, mut sets, budget) = (Vec::new(), Vec::new(), Budget::new(TAIL_BYTES));
    for source in &home.project.sources {
        let set = LiveSet::new();
        let context = Arc::new(context(home, source, lake, store, &project_id, &budget)?);
        let (engine, commands, status) = SourceEngine::new(context.clone(), set.clone());
        let (tell, ended) = watch::channel(false);
        let stop = stop.child_token();
        let stopped = stop.clone();
        tokio::spawn(async move {
            engine.run(stopped).await;
            tell.send_replace(true);
        });
        running.push(RunningSource { name: source.name.clone(), context, commands, status, stop, ended });
        sets.push(set);
    }
    Ok((running, sets))
}

/// What keeps a source from syncing and what could be better, asked of the source itself.
pub async fn check_live(source: &Source) -> Checked {
    let failed = |problem| Checked { problems: vec![problem], notes: Vec::new() };
    match postgres(source).and_then(|p| connect(source, &p.url).map(|c| (p, c))) {
        Ok((postgres, connect)) => {
            let checked = prepare::check_live(source, &postgres, &connect).await;
            checked.unwrap_or_else(|error| failed(error.problem()))
        }
        Err(problem) => failed(problem),
    }
}
