//! One moment of every source, for runs of marts.
//!
//! Owns: which tables of a source stand at its cut, why others do not, and how a source that came to rest with all its
//! tables at one commit is remembered. Never reads a table's rows; nothing here changes a source.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use naru_base::{Lsn, Problem, TableId, Version};
use naru_flow::Pins;
use naru_lake::{Lake, TableView, live::LiveSet};
use naru_store::{
    Store, StoreError, kv,
    sync_tables::{self, SyncTable, TableState},
};
use naru_sync::{CommandError, Commands};

/// How long a run waits for a source that is being connected.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Pause between two questions whether it is.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Where the tables of sources stand.
pub enum Cuts {
    /// Engines run in this process.
    Running {
        /// Their handles, by the name of their source.
        engines: Vec<(String, Commands)>,
        /// What the sources' tables are.
        store: Store,
    },
    /// Nothing is synced: tables stand where the last naru left them.
    AtRest {
        /// The sources of the project.
        sources: Vec<String>,
        /// What their tables are.
        store: Store,
    },
}

/// One source at one of its commits.
#[derive(Debug, Default)]
struct SourceCut {
    position: Option<String>,
    /// The version of every table that stands at it; `None` for the newest.
    versions: BTreeMap<TableId, Option<Version>>,
    unfit: BTreeMap<TableId, Problem>,
}

/// What a run may read of the sources.
#[derive(Debug, Default)]
pub struct Fit {
    /// Version of every table of the sources; none where it is the newest.
    pub versions: BTreeMap<TableId, Option<Version>>,
    /// See [`Pins::positions`].
    pub positions: BTreeMap<String, String>,
    /// See [`Pins::unfit`].
    pub unfit: BTreeMap<TableId, Problem>,
}

impl Cuts {
    /// Takes one cut of each source that has one of `tables`; a source that is named in `held` keeps the one it has.
    ///
    /// # Errors
    /// When the state database cannot be read.
    pub async fn take(&self, tables: &[TableId], held: &Pins) -> Result<Fit, Problem> {
        let (names, store): (Vec<&String>, &Store) = match self {
            Self::Running { engines, store } => (engines.iter().map(|(name, _)| name).collect(), store),
            Self::AtRest { sources, store } => (sources.iter().collect(), store),
        };
        let mut fit = Fit::default();
        for name in names {
            let source = name.clone();
            let rows = store.read(move |db| sync_tables::list(db, Some(&source))).await.map_err(stored)?;
            let rows: BTreeMap<TableId, SyncTable> = by_name(rows);
            let wanted: BTreeSet<&TableId> = tables.iter().filter(|id| rows.contains_key(*id)).collect();
            if wanted.is_empty() {
                continue;
            }
            let cut = if held.positions.contains_key(name) {
                earlier(name, &wanted, held)
            } else {
                self.now(name, &rows).await?
            };
            fit.positions.extend(cut.position.map(|position| (name.clone(), position)));
            fit.unfit.extend(cut.unfit.into_iter().filter(|(id, _)| wanted.contains(id)));
            fit.versions.extend(cut.versions);
        }
        Ok(fit)
    }

    async fn now(&self, name: &str, rows: &BTreeMap<TableId, SyncTable>) -> Result<SourceCut, Problem> {
        match self {
            Self::Running { engines, .. } => {
                let commands = engines.iter().find(|(engine, _)| engine == name).map(|(_, commands)| commands);
                let Some(commands) = commands else { return Ok(SourceCut::default()) };
                Ok(match flush(commands).await {
                    Ok(flushed) => flushed_cut(flushed, rows),
                    Err(error) => none(rows, &not_flushed(name, &error)),
                })
            }
            Self::AtRest { store, .. } => {
                let key = rest_key(name);
                let rest = store.read(move |db| kv::get(db, &key)).await.map_err(stored)?;
                Ok(rest.map_or_else(|| none(rows, &not_at_rest(name)), |position| rest_cut(position, rows)))
            }
        }
    }
}

/// Rows by their names in the lake; of two, the one that is live or at least not gone.
fn by_name(rows: Vec<SyncTable>) -> BTreeMap<TableId, SyncTable> {
    let mut named: BTreeMap<TableId, SyncTable> = BTreeMap::new();
    for row in rows {
        let gone = |row: &SyncTable| matches!(row.state, TableState::Dropped | TableState::NotSynced);
        if named.get(&row.lake).is_none_or(gone) {
            named.insert(row.lake.clone(), row);
        }
    }
    named
}

/// Live tables of a source at one of its commits.
struct Flushed {
    position: Lsn,
    versions: BTreeMap<TableId, Version>,
}

/// Flushes a source; one that is being connected is waited for.
async fn flush(commands: &Commands) -> Result<Flushed, CommandError> {
    let deadline = tokio::time::Instant::now() + CONNECT_MAX;
    loop {
        match commands.flush().await {
            Err(CommandError::NotRunning) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(ASK_EVERY).await;
            }
            done => return done.map(|cut| Flushed { position: cut.position, versions: cut.versions }),
        }
    }
}

fn flushed_cut(flushed: Flushed, rows: &BTreeMap<TableId, SyncTable>) -> SourceCut {
    let unfit = rows.iter().filter(|(id, _)| !flushed.versions.contains_key(*id));
    SourceCut {
        position: Some(flushed.position.to_string()),
        unfit: unfit.map(|(id, row)| (id.clone(), not_live(row))).collect(),
        versions: flushed.versions.into_iter().map(|(id, version)| (id, Some(version))).collect(),
    }
}

fn rest_cut(position: String, rows: &BTreeMap<TableId, SyncTable>) -> SourceCut {
    let mut cut = SourceCut { position: Some(position), ..SourceCut::default() };
    for (id, row) in rows {
        if row.state == TableState::Live {
            cut.versions.insert(id.clone(), None);
        } else {
            cut.unfit.insert(id.clone(), not_live(row));
        }
    }
    cut
}

/// The cut that the run has taken before. A table that did not stand at it cannot be read beside those that did.
fn earlier(source: &str, wanted: &BTreeSet<&TableId>, held: &Pins) -> SourceCut {
    let mut cut = SourceCut::default();
    for id in wanted {
        if let Some(version) = held.tables.get(*id) {
            cut.versions.insert((*id).clone(), Some(*version));
        } else {
            let problem = Problem::new("flow.not_in_cut", format!("table {id} is not in the cut of this run"))
                .detail(format!("The run reads source {source} as of one commit, and the table did not stand at it."));
            cut.unfit.insert((*id).clone(), problem);
        }
    }
    cut
}

fn none(rows: &BTreeMap<TableId, SyncTable>, problem: &Problem) -> SourceCut {
    let unfit = rows.keys().map(|id| (id.clone(), problem.clone())).collect();
    SourceCut { unfit, ..SourceCut::default() }
}

fn not_flushed(source: &str, error: &CommandError) -> Problem {
    Problem::new("flow.no_cut", format!("source {source} could not be brought to one commit"))
        .detail(format!("{error}. Its tables may stand at different commits."))
        .hint("`naru status` says what keeps it.")
        .later()
}

fn not_at_rest(source: &str) -> Problem {
    Problem::new("flow.no_cut", format!("the tables of source {source} do not stand at one commit"))
        .detail("Naru was not stopped cleanly the last time that it followed the source.")
        .hint("Start `naru up`, which brings them together.")
}

/// Why a table that exists does not stand at the cut of its source.
fn not_live(row: &SyncTable) -> Problem {
    let id = &row.lake;
    let (code, hint) = match row.state {
        TableState::Quarantined => ("flow.table_quarantined", "`naru status` says what mends it."),
        TableState::Paused => ("flow.table_paused", "Let it go on with `naru sync resume`."),
        TableState::Dropped => ("flow.table_dropped", "Take it out of the SQL, or bring it back at the source."),
        TableState::NotSynced => ("flow.table_not_synced", "Read another table."),
        TableState::Discovered
        | TableState::Preflight
        | TableState::Copying
        | TableState::CatchingUp
        | TableState::Live
        | TableState::Rebuilding => ("flow.table_not_live", "Wait until `naru status` shows it as live."),
    };
    let state = row.state.as_str().replace('_', " ");
    let mut problem = Problem::new(code, format!("table {id} is {state}")).hint(row.fix.as_deref().unwrap_or(hint));
    if row.state == TableState::Dropped {
        problem =
            problem.detail("The source has no such table any more, or excludes it; the rows that were there stay.");
    } else if let Some(reason) = &row.reason {
        problem = problem.detail(sentence(reason));
    }
    problem
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn stored(error: StoreError) -> Problem {
    error.problem()
}

fn rest_key(source: &str) -> String {
    format!("sync.rest.{source}")
}

/// Remembers sources whose tables all stand at one commit while nothing follows them.
pub struct Rest {
    store: Store,
    lake: Lake,
    /// Each source, what readers see of it, and where it stood at rest before this process.
    sources: Vec<(String, LiveSet, Option<String>)>,
}

impl Rest {
    /// Called before the engines start: from here on tables move one by one.
    pub async fn end(store: &Store, sources: Vec<String>) -> Result<Vec<Option<String>>, Problem> {
        let ended = store.write(move |db| {
            sources
                .iter()
                .map(|source| {
                    let before = kv::get(db, &rest_key(source))?;
                    kv::remove(db, &rest_key(source))?;
                    Ok(before)
                })
                .collect::<Result<Vec<_>, StoreError>>()
        });
        ended.await.map_err(stored)
    }

    /// What [`Rest::end`] gave, with the sets that the engines fill.
    pub fn new(store: Store, lake: Lake, sources: Vec<(String, LiveSet, Option<String>)>) -> Self {
        Self { store, lake, sources }
    }

    /// Called after the engines have stopped. A source whose last flushes did not end is not at rest.
    pub async fn begin(&self) {
        for (source, set, before) in &self.sources {
            let cut = set.snapshot();
            // Without a session since the start nothing has moved.
            let position = if cut.tables.is_empty() && cut.position.0 == 0 {
                before.clone()
            } else if self.flushed(&cut.tables).await {
                Some(cut.position.to_string())
            } else {
                None
            };
            let Some(position) = position else { continue };
            let key = rest_key(source);
            if let Err(error) = self.store.write(move |db| kv::set(db, &key, &position)).await {
                tracing::warn!(%source, problem = %error.problem(), "where it came to rest is not stored");
            }
        }
    }

    async fn flushed(&self, shown: &HashMap<TableId, Arc<TableView>>) -> bool {
        for (id, view) in shown {
            let Ok(Some(table)) = self.lake.open_table(id).await else { return false };
            let stored = table.view();
            let same = stored.version == view.version && stored.live_rows() == view.live_rows();
            if !view.tail.is_empty() || !same {
                return false;
            }
        }
        true
    }
}
