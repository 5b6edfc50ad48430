//! The files of topics as they stand now: read again when they change.
//!
//! Owns: which files the running topics go by, what is wrong with edited ones, and what of them counts from the next
//! start only. Never changes a topic by itself: [`naru_topics::Topics::declare`] does.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use naru_base::Problem;
use naru_project::{Environment, Project, Topic, forward::Forward};
use naru_topics::Topics;
use naru_warehouse::Warehouse;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{letters, topics::RunningTopics};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Folder of the files.
const FILES: &str = "topics";

/// Size and time of every file, by its name.
type Seen = BTreeMap<String, (u64, SystemTime)>;

/// See the module.
#[derive(Debug)]
pub struct TopicFiles {
    root: PathBuf,
    /// As they were when forwards and queues began.
    started: Vec<Topic>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Files that the topics go by.
    taken: Seen,
    /// Files as they were looked at last.
    looked: Seen,
    /// Files of which something counts from the next start.
    restart: BTreeSet<String>,
    wrong: Vec<Problem>,
}

impl TopicFiles {
    /// The files of a project that was just read.
    pub fn new(project: &Project) -> Self {
        let seen = files(&project.root);
        let state = State { taken: seen.clone(), looked: seen, ..State::default() };
        Self { root: project.root.clone(), started: project.topics.clone(), state: Mutex::new(state) }
    }

    /// Files of which something counts from the next start only.
    pub fn for_the_next_start(&self) -> Vec<String> {
        let (now, state) = (files(&self.root), self.state.lock());
        let gone = state.taken.keys().filter(|name| !now.contains_key(*name));
        gone.chain(&state.restart).map(|name| format!("{FILES}/{name}")).collect()
    }

    /// Why files that were edited are not what the topics go by.
    pub fn wrong(&self) -> Vec<Problem> {
        self.state.lock().wrong.clone()
    }

    /// Looks at the files until `stop`, and lets the topics go by what was edited.
    pub async fn keep_fresh(running: Arc<RunningTopics>, warehouse: Warehouse, stop: CancellationToken) {
        let mut told = Vec::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let mine = &running.files;
            if !mine.changed() {
                continue;
            }
            let taken = mine.take(&running.topics).await;
            if !taken.is_empty() {
                // It ends by itself, and nobody waits for it.
                tokio::spawn(letters::tell_fit(warehouse.clone(), Arc::clone(&running), taken));
            }
            let wrong = mine.wrong();
            for problem in wrong.iter().filter(|problem| !told.contains(*problem)) {
                tracing::warn!(%problem, "an edited topic goes on as before");
            }
            told = wrong;
        }
    }

    fn changed(&self) -> bool {
        let state = self.state.lock();
        !state.wrong.is_empty() || state.looked != files(&self.root)
    }

    /// Reads the folder again; the topics that go by another text from now on.
    async fn take(&self, topics: &Topics) -> Vec<Topic> {
        let (now, root) = (files(&self.root), self.root.clone());
        let loading = tokio::task::spawn_blocking(move || Project::load(&root, &Environment::of_process()));
        let Ok(loaded) = loading.await else { return Vec::new() };
        let mut wrong: Vec<Problem> = loaded.problems.into_iter().filter(of_topics).collect();
        let mut taken = Vec::new();
        for topic in loaded.project.map(|project| project.topics).unwrap_or_default() {
            let name = format!("{}.toml", topic.name);
            let is_wrong = |problem: &Problem| problem.place.as_ref().is_some_and(|place| place.file.ends_with(&name));
            let facts = now.get(&name);
            if facts.is_none() || facts == self.state.lock().taken.get(&name) || wrong.iter().any(is_wrong) {
                continue;
            }
            match topics.declare(&topic).await {
                Ok(()) => {
                    tracing::info!(topic = topic.name, "the edited file counts from now on");
                    self.taken(&name, facts.copied(), &topic);
                    taken.push(topic);
                }
                Err(problem) => wrong.push(problem),
            }
        }
        let mut state = self.state.lock();
        (state.looked, state.wrong) = (now, wrong);
        taken
    }

    fn taken(&self, name: &str, facts: Option<(u64, SystemTime)>, topic: &Topic) {
        let started = self.started.iter().find(|started| started.name == topic.name);
        let same = match started {
            Some(started) => same_edges(started, topic),
            None => topic.forwards.is_empty() && topic.from_sqs.is_none(),
        };
        let mut state = self.state.lock();
        state.taken.extend(facts.map(|facts| (name.to_owned(), facts)));
        if same {
            state.restart.remove(name);
        } else {
            state.restart.insert(name.to_owned());
        }
    }
}

/// Whether forwards and queues are as they were, wherever in the file they stand.
fn same_edges(one: &Topic, other: &Topic) -> bool {
    let forwards = |topic: &Topic| -> Vec<Forward> {
        topic.forwards.iter().map(|forward| Forward { place: topic.place.clone(), ..forward.clone() }).collect()
    };
    let queue = |topic: &Topic| {
        topic.from_sqs.clone().map(|mut queue| {
            queue.place = topic.place.clone();
            queue
        })
    };
    forwards(one) == forwards(other) && queue(one) == queue(other)
}

/// Mistakes in the files of topics. What is wrong elsewhere does not stop a topic.
fn of_topics(problem: &Problem) -> bool {
    problem.place.as_ref().is_some_and(|place| place.file.starts_with(FILES))
}

/// Size and time of every file of topics.
fn files(root: &Path) -> Seen {
    // A folder that is not there has no files.
    let entries = std::fs::read_dir(root.join(FILES)).into_iter().flatten().flatten();
    let facts = entries.filter_map(|entry| {
        let (name, facts) = (entry.file_name().into_string().ok()?, entry.metadata().ok()?);
        Path::new(&name)
            .extension()
            .is_some_and(|kind| kind == "toml")
            .then(|| (name, (facts.len(), facts.modified().unwrap_or(SystemTime::UNIX_EPOCH))))
    });
    facts.collect()
}
