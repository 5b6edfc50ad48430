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
use naru_lake::{FileView, Lake, TableView, live::LiveSet};
use naru_store::{
    Store, StoreError, kv, sync_sources,
    sync_tables::{self, SyncTable, TableState},
};
use naru_sync::{CommandError, Commands, app_id};

use crate::running::topics::RunningTopics;

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
        /// Topics, each a source of its own; none where they are not open.
        topics: Option<Arc<RunningTopics>>,
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
            Self::Running { engines, store, .. } => (engines.iter().map(|(name, _)| name).collect(), store),
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
        if let Self::Running { topics: Some(topics), .. } = self {
            topics_at(topics, tables, held, &mut fit).await;
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

/// Pins the topics that a run reads: everything on the log of this moment goes into the tables' files, and the run
/// remembers the offset. One that is named in `held` keeps what it has.
async fn topics_at(running: &RunningTopics, tables: &[TableId], held: &Pins, fit: &mut Fit) {
    for topic in running.topics.list().into_iter().filter(|topic| topic.declared().is_some()) {
        let ids = naru_topics::tables(topic.name());
        let wanted: BTreeSet<&TableId> = tables.iter().filter(|id| ids.contains(*id)).collect();
        if wanted.is_empty() {
            continue;
        }
        let [table, _] = &ids;
        let name = table.to_string();
        if held.positions.contains_key(&name) {
            let cut = earlier(&name, &wanted, held);
            fit.versions.extend(cut.versions);
            fit.unfit.extend(cut.unfit);
            continue;
        }
        match running.topics.flush(&topic).await {
            Ok(Some(cut)) => {
                fit.versions.extend(ids.into_iter().zip([Some(cut.table), Some(cut.dead)]));
                fit.positions.insert(name, cut.offset.to_string());
            }
            Ok(None) => {}
            Err(problem) => fit.unfit.extend(wanted.into_iter().map(|id| (id.clone(), problem.clone()))),
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

    /// Called after the engines have stopped. A source whose last flushes did not end is not at rest, and neither is one
    /// that was stopped before its tables came together.
    pub async fn begin(&self) {
        for (source, set, before) in &self.sources {
            let cut = set.snapshot();
            let position = if cut.position.0 > 0 { Some(cut.position) } else { before_start(before.as_deref()) };
            let Some(position) = position else { continue };
            // Without a session since the start nothing has moved.
            let untouched = cut.position.0 == 0 && cut.tables.is_empty();
            let rests = async { self.flushed(&cut.tables).await && self.stands_at(source, position).await };
            if !untouched && !rests.await {
                continue;
            }
            let (key, position) = (rest_key(source), position.to_string());
            if let Err(error) = self.store.write(move |db| kv::set(db, &key, &position)).await {
                tracing::warn!(%source, problem = %error.problem(), "where it came to rest is not stored");
            }
        }
    }

    async fn flushed(&self, shown: &HashMap<TableId, Arc<TableView>>) -> bool {
        for (id, view) in shown {
            let Ok(Some(table)) = self.lake.open_table(id).await else { return false };
            if !same_rows(&table.view(), view) {
                return false;
            }
        }
        true
    }

    /// Whether no live table is of a later commit than `position`, as after a kill that came between their flushes, and
    /// each was committed since the slot of now was made.
    async fn stands_at(&self, source: &str, position: Lsn) -> bool {
        let name = source.to_owned();
        let known =
            self.store.read(move |db| Ok((sync_sources::get(db, &name)?, sync_tables::list(db, Some(&name))?))).await;
        let Ok((followed, rows)) = known else { return false };
        let Some(generation) = followed.and_then(|row| row.generation) else { return rows.is_empty() };
        let app_id = app_id(source, &generation);
        for row in rows.iter().filter(|row| row.state == TableState::Live) {
            let Ok(Some(table)) = self.lake.open_table(&row.lake).await else { return false };
            let Ok(Some(committed)) = table.position(&app_id).await else { return false };
            if u64::try_from(committed).map_or(true, |committed| Lsn(committed) > position) {
                return false;
            }
        }
        true
    }
}

/// Where a source stood at rest before this process; `0/0` is no place, though it was stored as one once.
fn before_start(stored: Option<&str>) -> Option<Lsn> {
    stored?.parse().ok().filter(|position: &Lsn| position.0 > 0)
}

/// Whether a commit holds all that a view shows: a tail or a staged file may hold as many rows as it has killed.
fn same_rows(committed: &TableView, shown: &TableView) -> bool {
    let same = |a: &FileView, b: &FileView| {
        let dead = |file: &FileView| file.deleted.clone().filter(|rows| !rows.is_empty());
        a.path == b.path && dead(a) == dead(b)
    };
    shown.tail.is_empty()
        && committed.version == shown.version
        && committed.files.len() == shown.files.len()
        && committed.files.iter().zip(shown.files.iter()).all(|(a, b)| same(a, b))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use naru_lake::{
        Column, LakeSettings, TableSpec,
        live::{LiveSettings, LiveTable},
    };
    use naru_store::sync_sources::SyncSource;

    use super::*;

    const SOURCE: &str = "shop";

    /// A table that is called live and was last committed at `at`.
    async fn live(lake: &Lake, store: &Store, name: &str, at: i64) -> LiveTable {
        let (id, columns) = (TableId::new(SOURCE, name), vec![Column::new("id", DataType::Int64)]);
        let spec = TableSpec { columns: columns.clone(), ..TableSpec::default() };
        let table = LiveTable::open(lake.create(&id, spec).await.unwrap(), LiveSettings::default()).await.unwrap();
        table.replace_all(Vec::new(), columns, Vec::new(), "naru/shop/g", at).await.unwrap();
        let row = SyncTable {
            source: SOURCE.into(),
            schema: "public".into(),
            table: name.into(),
            oid: 1,
            lake: id,
            state: TableState::Live,
            detail: serde_json::Value::Null,
            reason: None,
            fix: None,
            rows_copied: 0,
            updated_us: 0,
        };
        store.write(move |db| sync_tables::upsert(db, &row)).await.unwrap();
        table
    }

    /// What is remembered of a source with two tables that was at rest at `before`, started, shown up to `reached`
    /// (0: stopped before it streamed), and stopped.
    async fn rest_after(tables: [i64; 2], before: Option<&str>, reached: u64) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let settings = LakeSettings { location: "lake".into(), base: path.to_owned(), cache: path.join("cache") };
        let lake = Lake::open(settings).await.unwrap();
        let store = Store::open(&path.join("naru.db")).unwrap();
        let row = SyncSource { source: SOURCE.into(), generation: Some("g".into()), ..SyncSource::default() };
        store.write(move |db| sync_sources::upsert(db, &row)).await.unwrap();
        let set = LiveSet::new();
        let mut held = Vec::new();
        for (name, at) in ["a", "b"].into_iter().zip(tables) {
            let table = live(&lake, &store, name, at).await;
            set.insert(&table);
            held.push(table);
        }
        set.publish(Lsn(reached), &[]);
        let before = before.map(str::to_owned);
        Rest::new(store.clone(), lake, vec![(SOURCE.into(), set, before)]).begin().await;
        store.read(|db| kv::get(db, &rest_key(SOURCE))).await.unwrap()
    }

    #[tokio::test]
    async fn a_stop_before_streaming_remembers_what_was_known_before() {
        assert_eq!(rest_after([50, 100], None, 0).await, None, "after a kill");
        assert_eq!(rest_after([50, 100], Some("0/0"), 0).await, None, "after a kill, written by an earlier naru");
        assert_eq!(rest_after([50, 100], Some("0/64"), 0).await.as_deref(), Some("0/64"), "after a clean stop");
        assert_eq!(rest_after([50, 101], Some("0/64"), 0).await, None, "one has moved since");
    }

    #[tokio::test]
    async fn a_source_rests_only_when_the_last_of_its_tables_was_reached() {
        assert_eq!(rest_after([50, 100], None, 60).await, None);
        assert_eq!(rest_after([50, 100], None, 100).await.as_deref(), Some("0/64"));
    }
}
