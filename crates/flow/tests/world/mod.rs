//! A project folder, a SQL reader that knows `FROM` and `JOIN`, and a lake of JSON lines, for the tests of runs.
//!
//! Owns: [`World`], [`FakeFront`], [`FakeLake`]. The lake keeps everything on disk, so that a killed process leaves what a
//! real one would.
#![allow(dead_code)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use naru_base::{Problem, RunId, TableId, Version, failpoint};
use naru_flow::{
    Attempt, CheckWork, Executor, Flow, FlowOptions, Graph, Input, KnownTables, Pins, SqlFront, SqlMistake, StageWork,
    Staged, StagedColumn, TableRead,
    run::{Reason, Request, RunReport},
};
use naru_project::{Environment, Project};
use naru_quality::FailingRows;
use naru_store::Store;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Finds `FROM a.b` and `JOIN a.b`. The word BROKEN does not parse.
pub struct FakeFront;

impl SqlFront for FakeFront {
    fn tables_read(&self, sql: &str) -> Result<Vec<TableRead>, SqlMistake> {
        let mut reads = Vec::new();
        let mut after_from = false;
        for (line, text) in (1..).zip(sql.lines()) {
            for (offset, word) in words(text) {
                let column = text[..offset].chars().count() + 1;
                if word == "BROKEN" {
                    let summary = "unexpected BROKEN".to_owned();
                    return Err(SqlMistake { summary, hint: None, line: Some(line), column: Some(column) });
                }
                let bare = word.trim_matches(|c| "(),;`".contains(c));
                if after_from && !word.starts_with('(') && !bare.is_empty() {
                    let parts = bare.replace('`', "").split('.').map(str::to_owned).collect();
                    reads.push(TableRead { parts, line, column });
                }
                after_from = ["FROM", "JOIN", "(FROM"].iter().any(|from| word.eq_ignore_ascii_case(from));
            }
        }
        Ok(reads)
    }
}

fn words(text: &str) -> Vec<(usize, &str)> {
    text.split_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word)).collect()
}

/// What a call of the lake does.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Good,
    FailLater,
    FailNever,
    /// The commit is written and its answer is lost.
    LoseAnswer,
    /// It never answers; the process is as good as dead.
    Hang,
    Panic,
}

/// Decides the fate of a call: its name (`stage`, `check`, `publish`, `committed`, `pin`) and mart.
pub type Decide = Arc<dyn Fn(&str, &TableId) -> Fate + Send + Sync>;

/// One commit in the lake.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Commit {
    pub mart: String,
    pub attempt: i64,
    pub version: u64,
    pub run: i64,
    pub sql: String,
    pub inputs: BTreeMap<String, String>,
}

/// A query and what its names stood for.
type StagedQuery = (String, BTreeMap<String, String>);

/// Tables as one file of commits.
pub struct FakeLake {
    folder: PathBuf,
    sources: Mutex<BTreeMap<TableId, u64>>,
    decide: Mutex<Decide>,
    /// Failing rows by check SQL fragment.
    pub failing: Mutex<HashMap<String, u64>>,
    pub staged: Mutex<BTreeMap<Attempt, StagedQuery>>,
    pub running: AtomicUsize,
    pub running_most: AtomicUsize,
    pub pinned: Mutex<BTreeSet<RunId>>,
    pub calls: Mutex<Vec<String>>,
    /// Tables whose pinned versions are no longer readable.
    pub vacuumed: Mutex<BTreeSet<TableId>>,
    /// Tables that cannot be read at the cut, and why.
    pub unfit: Mutex<BTreeMap<TableId, String>>,
    /// While it has no permits, `stage` waits.
    pub gate: Semaphore,
}

impl FakeLake {
    pub fn new(folder: &Path) -> Arc<Self> {
        fs::create_dir_all(folder.join("staged")).unwrap();
        let sources = ["shop.orders", "shop.customers"].map(|name| (name.parse().unwrap(), 1));
        Arc::new(Self {
            folder: folder.to_path_buf(),
            sources: Mutex::new(sources.into()),
            decide: Mutex::new(Arc::new(|_, _| Fate::Good)),
            failing: Mutex::default(),
            staged: Mutex::default(),
            running: AtomicUsize::new(0),
            running_most: AtomicUsize::new(0),
            pinned: Mutex::default(),
            calls: Mutex::default(),
            vacuumed: Mutex::default(),
            unfit: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    pub fn decide(&self, decide: impl Fn(&str, &TableId) -> Fate + Send + Sync + 'static) {
        *self.decide.lock() = Arc::new(decide);
    }

    pub fn change_source(&self, name: &str) {
        *self.sources.lock().entry(name.parse().unwrap()).or_insert(0) += 1;
    }

    pub fn commits(&self) -> Vec<Commit> {
        let text = fs::read_to_string(self.folder.join("commits")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn commits_of(&self, mart: &str) -> Vec<Commit> {
        self.commits().into_iter().filter(|commit| commit.mart == mart).collect()
    }

    /// Staged files that belong to no commit. In Delta the files of a commit are the staged ones.
    pub fn staged_files(&self) -> usize {
        let committed: Vec<PathBuf> = self
            .commits()
            .iter()
            .map(|commit| self.staged_file(&commit.mart.parse().unwrap(), Attempt(commit.attempt)))
            .collect();
        let files = fs::read_dir(self.folder.join("staged")).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| !committed.contains(file)).count()
    }

    fn staged_file(&self, mart: &TableId, attempt: Attempt) -> PathBuf {
        self.folder.join("staged").join(format!("{mart}-{}", attempt.0))
    }

    async fn fate(&self, call: &str, mart: &TableId) -> Result<bool, Problem> {
        self.calls.lock().push(format!("{call} {mart}"));
        let decide = self.decide.lock().clone();
        match decide(call, mart) {
            Fate::Good => Ok(false),
            Fate::FailLater => Err(Problem::new("fake.later", format!("{call} failed for now")).later()),
            Fate::FailNever => Err(Problem::new("fake.never", format!("{call} failed"))),
            Fate::LoseAnswer => Ok(true),
            Fate::Hang => std::future::pending().await,
            Fate::Panic => panic!("{call} {mart} panics as the test asks"),
        }
    }
}

fn named(inputs: &naru_flow::Inputs) -> BTreeMap<String, String> {
    let text = |input: &Input| match input {
        Input::Table(version) => version.to_string(),
        Input::View(sql) => format!("view {sql}"),
    };
    inputs.iter().map(|(id, input)| (id.to_string(), text(input))).collect()
}

#[async_trait]
impl Executor for FakeLake {
    async fn pin(&self, run: RunId, tables: &[TableId], held: &Pins) -> Result<Pins, Problem> {
        self.fate("pin", &TableId::new("run", run.to_string())).await?;
        let held_again = |table: &&TableId| held.tables.contains_key(*table);
        if let Some(gone) = tables.iter().filter(held_again).find(|table| self.vacuumed.lock().contains(*table)) {
            return Err(Problem::new("fake.gone", format!("table {gone} is no longer readable at that version")));
        }
        self.pinned.lock().insert(run);
        let mut pins = Pins { tables: held.tables.clone(), ..Pins::default() };
        pins.positions.insert("shop".to_owned(), "0/1".to_owned());
        for table in tables {
            if let Some(reason) = self.unfit.lock().get(table) {
                pins.unfit.insert(table.clone(), Problem::new("fake.unfit", reason.clone()));
                continue;
            }
            let source = self.sources.lock().get(table).copied();
            let made = self.commits_of(&table.to_string()).last().map(|commit| commit.version);
            if let Some(version) = source.or(made) {
                pins.tables.entry(table.clone()).or_insert(Version(version));
            }
        }
        Ok(pins)
    }

    async fn release(&self, run: RunId) -> Result<(), Problem> {
        self.pinned.lock().remove(&run);
        Ok(())
    }

    async fn stage(&self, work: StageWork) -> Result<Staged, Problem> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.running_most.fetch_max(running, Ordering::SeqCst);
        let _leave = Leave(&self.running);
        let _permit = self.gate.acquire().await.unwrap();
        self.fate("stage", &work.mart).await?;
        if work.kind == naru_flow::Kind::Table {
            fs::write(self.staged_file(&work.mart, work.attempt), b"rows").unwrap();
        }
        failpoint::hit("fake.staged");
        self.staged.lock().insert(work.attempt, (work.sql.clone(), named(&work.inputs)));
        Ok(Staged {
            run: work.run,
            attempt: work.attempt,
            mart: work.mart,
            kind: work.kind,
            rows: (work.kind == naru_flow::Kind::Table).then_some(10),
            bytes: (work.kind == naru_flow::Kind::Table).then_some(100),
            columns: vec![StagedColumn { name: "id".into(), sql_type: "INT64".into() }],
        })
    }

    async fn failing_rows(&self, work: CheckWork) -> Result<FailingRows, Problem> {
        self.fate("check", &work.staged.mart).await?;
        let own = work.inputs.contains_key(&work.staged.mart);
        assert_eq!(own, work.staged.kind == naru_flow::Kind::View, "only a view is checked by its query");
        let failing = self.failing.lock();
        let count = failing.iter().find(|(part, _)| work.sql.contains(*part)).map_or(0, |(_, count)| *count);
        Ok(FailingRows { count, sample: Vec::new() })
    }

    async fn publish(&self, staged: &Staged) -> Result<Version, Problem> {
        let lose_answer = self.fate("publish", &staged.mart).await?;
        let commits = self.commits_of(&staged.mart.to_string());
        if let Some(commit) = commits.iter().find(|commit| commit.attempt == staged.attempt.0) {
            return Ok(Version(commit.version));
        }
        let (sql, inputs) = self.staged.lock().get(&staged.attempt).cloned().unwrap_or_default();
        let version = commits.last().map_or(0, |commit| commit.version + 1);
        let commit = Commit {
            mart: staged.mart.to_string(),
            attempt: staged.attempt.0,
            version,
            run: staged.run.0,
            sql,
            inputs,
        };
        failpoint::hit("fake.before_commit");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("commits")).unwrap();
        file.write_all(format!("{}\n", serde_json::to_string(&commit).unwrap()).as_bytes()).unwrap();
        failpoint::hit("fake.after_commit");
        let _ = fs::remove_file(self.staged_file(&staged.mart, staged.attempt));
        if lose_answer { Err(Problem::new("fake.lost", "the answer was lost").later()) } else { Ok(Version(version)) }
    }

    async fn committed(&self, mart: &TableId, attempt: Attempt) -> Result<Option<Version>, Problem> {
        self.fate("committed", mart).await?;
        let commits = self.commits_of(&mart.to_string());
        let found = commits.iter().any(|commit| commit.attempt == attempt.0);
        Ok(commits.last().filter(|_| found).map(|commit| Version(commit.version)))
    }

    async fn discard(&self, mart: &TableId, attempt: Attempt) -> Result<(), Problem> {
        let _ = fs::remove_file(self.staged_file(mart, attempt));
        Ok(())
    }
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A project folder with its state and lake.
pub struct World {
    pub folder: PathBuf,
    pub lake: Arc<FakeLake>,
    pub store: Store,
    pub parallelism: usize,
    temporary: Option<tempfile::TempDir>,
}

impl World {
    /// An empty project in a temporary folder.
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut world = Self::at(temporary.path());
        world.temporary = Some(temporary);
        world
    }

    /// A project in a folder that outlives this value.
    pub fn at(folder: &Path) -> Self {
        let settings = folder.join("naru.toml");
        if !settings.exists() {
            fs::write(settings, "[project]\nname = \"acme\"\ntimezone = \"Asia/Seoul\"\n").unwrap();
        }
        Self {
            folder: folder.to_path_buf(),
            lake: FakeLake::new(&folder.join("lake")),
            store: Store::open(&folder.join(".naru/naru.db")).unwrap(),
            parallelism: 4,
            temporary: None,
        }
    }

    /// Writes a file of the project.
    pub fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Writes a mart.
    pub fn mart(&self, id: &str, sql: &str) -> &Self {
        self.file(&format!("marts/{}.sql", id.replace('.', "/")), sql)
    }

    pub fn project(&self) -> Project {
        let loaded = Project::load(&self.folder, &Environment::of_process());
        assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
        loaded.project.unwrap()
    }

    pub fn built(&self) -> naru_flow::Built {
        let known: KnownTables = self.lake.sources.lock().keys().cloned().collect();
        Graph::build(&self.project(), &FakeFront, &known)
    }

    pub fn graph(&self) -> Arc<Graph> {
        Arc::new(self.built().graph)
    }

    pub async fn flow(&self) -> Flow {
        let options = FlowOptions {
            parallelism: self.parallelism,
            retry_waits: Some((Duration::from_millis(1), Duration::from_millis(2))),
        };
        Flow::open(self.store.clone(), self.lake.clone(), options).await.unwrap()
    }

    /// Runs the selected marts to the end.
    pub async fn run(&self, flow: &Flow, words: &[&str]) -> RunReport {
        flow.run(self.graph(), self.request(words)).await.unwrap()
    }

    pub fn request(&self, words: &[&str]) -> Request {
        let marts = self.graph().select(words).unwrap();
        Request { reason: Reason::Manual, words: words.join(" "), by: None, why: None, marts }
    }
}

/// `mart state` of every mart of a run.
pub fn states(report: &RunReport) -> Vec<String> {
    report.marts.iter().map(|mart| format!("{} {}", mart.mart, mart.state)).collect()
}
