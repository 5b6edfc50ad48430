//! What the sync pages need of the running naru: how sources stand, how fast they go, and what may be done with them.
//!
//! Owns: measuring sources every few seconds, and writing a source's file. Never decides who may ask, and changes nothing
//! at a source that is only looked at.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use naru_base::{
    Problem, TableId,
    number::{f64_from, u64_from_signed},
    time::now_us,
};
use naru_project::{Environment, Project, Source};
use naru_server::api::{
    sync::{Checked, Draft, Sample, SyncPort, TableWord},
    views::ProblemView,
};
use naru_sync::SourceStatus;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::running::{Running, sources, vanished};

/// How often sources are measured, and over how many measurements a rate goes.
const EVERY: Duration = Duration::from_secs(5);
const KEPT: usize = 24;
/// How long the answer of a database without a file is taken for true.
const VANISHED_KEPT: Duration = Duration::from_secs(30);
/// How long a look at a database may take.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// See the module.
pub struct SyncOf {
    running: Arc<Running>,
    measured: Arc<Mutex<HashMap<String, Measured>>>,
    vanished: tokio::sync::Mutex<Option<(Instant, Vec<Value>)>>,
}

/// What was measured of one source.
#[derive(Default)]
struct Measured {
    points: VecDeque<Point>,
    /// The phase and the problem that stand, and since when.
    stands: Option<(String, i64)>,
}

struct Point {
    at: Instant,
    server: u64,
    retained: Option<i64>,
    changes: BTreeMap<TableId, u64>,
}

impl SyncOf {
    /// Measures the sources from now on.
    pub fn new(running: Arc<Running>) -> Self {
        let measured = Arc::new(Mutex::new(HashMap::new()));
        let (watched, shared) = (running.clone(), Arc::clone(&measured));
        tokio::spawn(async move {
            let stop = watched.stop.clone();
            loop {
                for source in &watched.sources {
                    measure(
                        shared.lock().entry(source.name.clone()).or_default(),
                        &source.status.get(),
                        Instant::now(),
                    );
                }
                if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                    return;
                }
            }
        });
        Self { running, measured, vanished: tokio::sync::Mutex::default() }
    }

    /// Sources without a file, asked of their databases now and then.
    async fn vanished(&self) -> Vec<Value> {
        let mut kept = self.vanished.lock().await;
        if let Some((at, list)) = kept.as_ref()
            && at.elapsed() < VANISHED_KEPT
        {
            return list.clone();
        }
        let list = vanished::list(&self.running.home, &self.running.store).await.unwrap_or_else(|problem| {
            tracing::warn!(%problem, "sources without a file could not be listed");
            Vec::new()
        });
        *kept = Some((Instant::now(), list.clone()));
        list
    }

    fn root(&self) -> &Path {
        &self.running.home.project.root
    }

    /// The draft as its file will be read, with what was typed in the place of the reference, and no other variable.
    fn read(&self, draft: &Draft) -> Result<Source, Vec<Problem>> {
        let typed = draft.typed().map_err(|problem| vec![problem])?;
        let environment = Environment::of([(TYPED, typed.encoded().expose())]);
        let named = Draft { password_reference: format!("${{{TYPED}}}"), ..draft.clone() };
        naru_project::read_source(self.root(), &draft.name, &named.text(), &environment)
    }
}

/// Takes a measurement.
fn measure(measured: &mut Measured, status: &SourceStatus, now: Instant) {
    let problem = status.problem.as_ref().map(|problem| problem.code.as_str()).unwrap_or_default();
    let stands = format!("{} {problem}", status.phase);
    if measured.stands.as_ref().is_none_or(|(before, _)| *before != stands) {
        measured.stands = Some((stands, now_us()));
    }
    let changes = status.tables.iter().map(|table| (table.table.clone(), table.changes)).collect();
    let point = Point { at: now, server: status.server.0, retained: status.retained_bytes, changes };
    // A server that says less than before is another one, or was not asked yet.
    if measured.points.back().is_some_and(|last| last.server > point.server || last.server == 0) {
        measured.points.clear();
    }
    measured.points.push_back(point);
    while measured.points.len() > KEPT {
        measured.points.pop_front();
    }
}

/// What the measurements say together; none of fewer than two.
fn sample(measured: &Measured) -> Option<Sample> {
    let since_us = measured.stands.as_ref().map(|(_, since)| *since);
    let (first, last) = (measured.points.front()?, measured.points.back()?);
    let over_s = last.at.duration_since(first.at).as_secs_f64();
    if over_s <= 0.0 {
        return None;
    }
    let per_s = |from: u64, to: u64| f64_from(to.saturating_sub(from)) / over_s;
    let retained = match (first.retained, last.retained) {
        (Some(from), Some(to)) => per_s(u64_from_signed(from), u64_from_signed(to)),
        _ => 0.0,
    };
    // Changes are shown as they come: over the last measurements, not over all.
    let lately = measured.points.iter().rev().nth(3).or(measured.points.front())?;
    let lately_s = last.at.duration_since(lately.at).as_secs_f64();
    let changes = last.changes.iter().filter_map(|(table, now)| {
        let before = lately.changes.get(table)?;
        (lately_s > 0.0).then(|| (table.clone(), f64_from(now.saturating_sub(*before)) / lately_s))
    });
    Some(Sample {
        over_s,
        written_per_s: per_s(first.server, last.server),
        retained_per_s: retained,
        changes_per_s: changes.collect(),
        since_us,
    })
}

#[async_trait]
impl SyncPort for SyncOf {
    async fn sources(&self) -> Vec<Value> {
        let mut sources = self.running.sources_status();
        sources.extend(self.vanished().await);
        for source in &mut sources {
            let name = source["source"].as_str().unwrap_or_default();
            let dataset = self.running.home.project.source(name).map(|source| source.dataset.clone());
            source["dataset"] = json!(dataset.unwrap_or_else(|| name.to_owned()));
        }
        sources
    }

    fn sample(&self, source: &str) -> Option<Sample> {
        sample(self.measured.lock().get(source)?)
    }

    fn marts_below(&self, table: &TableId) -> Vec<TableId> {
        let graph = self.running.marts.graph();
        let reads = graph.marts().iter().filter(|mart| mart.reads.contains(table)).map(|mart| mart.id.clone());
        let first: std::collections::BTreeSet<TableId> = reads.collect();
        let below = graph.all_below(&first);
        first.into_iter().chain(below).collect()
    }

    async fn table(&self, word: TableWord, table: &TableId) -> Result<(), Problem> {
        let word = match word {
            TableWord::Resync => "sync.resync",
            TableWord::Pause => "sync.pause",
            TableWord::Resume => "sync.resume",
        };
        self.running.table_word(word, table).await.map(drop)
    }

    async fn compare(&self, table: &TableId) -> Result<Value, Problem> {
        self.running.compare(Some(table)).await
    }

    async fn check(&self, draft: &Draft) -> Checked {
        let failed = |problems: Vec<Problem>| Checked {
            problems: problems.iter().map(ProblemView::of).collect(),
            notes: Vec::new(),
        };
        match self.read(draft) {
            Err(problems) => failed(problems),
            Ok(source) => match tokio::time::timeout(LOOK_MAX, sources::check_live(&source)).await {
                Err(_) => {
                    let summary = format!("the server did not answer within {} s", LOOK_MAX.as_secs());
                    let problem = Problem::new("sync.no_answer", summary).hint("Look at host, port and firewalls.");
                    failed(vec![problem.later()])
                }
                Ok(checked) => Checked {
                    problems: checked.problems.iter().map(ProblemView::of).collect(),
                    notes: checked.notes.iter().map(ProblemView::of).collect(),
                },
            },
        }
    }

    async fn write(&self, draft: &Draft) -> Result<PathBuf, Problem> {
        let file = PathBuf::from(draft.file());
        let path = self.root().join(&file);
        if path.exists() {
            return Err(Problem::new("sync.source_exists", format!("{} is there already", file.display()))
                .hint("Choose another name, or edit the file."));
        }
        let failed = |error: std::io::Error| {
            Problem::from_error("sync.source_file", format!("{} could not be written", file.display()), &error)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&path, draft.text()).map_err(failed)?;
        let loaded = Project::load(self.root(), &Environment::of_process());
        let here = |problem: &Problem| problem.place.as_ref().is_some_and(|place| place.file == file);
        // A variable that is set with the next start is no mistake of the file.
        let later = ["project.missing_variable", "project.missing_secret_file"];
        let wrong = |problem: &Problem| here(problem) && !later.contains(&problem.code.as_ref());
        match loaded.problems.into_iter().find(wrong) {
            None => Ok(file),
            Some(problem) => {
                std::fs::remove_file(&path).map_err(failed)?;
                Err(problem)
            }
        }
    }
}

/// Stands for what was typed, in a file that is never written.
const TYPED: &str = "NARU_TYPED_PASSWORD";

#[cfg(test)]
mod tests {
    use naru_base::Lsn;

    use super::*;

    #[test]
    fn rates_go_over_what_was_measured_and_begin_anew_with_another_server() {
        let (mut measured, now) = (Measured::default(), Instant::now());
        let status = |server: u64, retained: i64| SourceStatus {
            phase: "streaming".into(),
            server: Lsn(server),
            retained_bytes: Some(retained),
            ..SourceStatus::default()
        };
        measure(&mut measured, &status(1_000, 100), now);
        assert!(sample(&measured).is_none());
        measure(&mut measured, &status(3_000, 150), now + Duration::from_secs(10));
        let found = sample(&measured).unwrap();
        assert!((found.written_per_s - 200.0).abs() < 0.01 && (found.retained_per_s - 5.0).abs() < 0.01);
        measure(&mut measured, &status(10, 0), now + Duration::from_secs(20));
        assert!(sample(&measured).is_none());
    }
}
