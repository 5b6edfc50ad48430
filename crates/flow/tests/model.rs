//! Random graphs, random failures, random deaths: what must hold whatever happens.
//!
//! `NARU_FLOW_SEEDS=from..to` replays or widens the search.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::Arc,
};

use naru_flow::{FlowError, NodeState, run::RunReport, run::RunState};
use naru_store::runs_read;
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::Notify;
use world::{Commit, Fate, World};

/// Starts with faults before the one without.
const FAULTY_STARTS_MAX: usize = 6;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("NARU_FLOW_SEEDS") else { return 0..12 };
    let (from, to) = text.split_once("..").expect("NARU_FLOW_SEEDS=from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn runs_keep_their_promises_whatever_fails_and_resuming_converges() {
    for seed in seeds() {
        println!("seed {seed}");
        let folder = tempfile::tempdir().unwrap();
        Model::new(seed, folder.path()).play();
    }
}

struct Model<'a> {
    random: StdRng,
    folder: &'a Path,
    /// For each mart those it reads.
    above: BTreeMap<String, Vec<String>>,
    views: BTreeSet<String>,
}

impl<'a> Model<'a> {
    fn new(seed: u64, folder: &'a Path) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(2..9_usize);
        let mut above: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut views = BTreeSet::new();
        let world = World::at(folder);
        for number in 0..count {
            let name = format!("m.n{number}");
            let reads: Vec<String> =
                (0..number).filter(|_| random.random_bool(0.4)).map(|above| format!("m.n{above}")).collect();
            let view = random.random_bool(0.2);
            let retries = random.random_range(0..3);
            let joins: String = reads.iter().flat_map(|read| [" JOIN ", read, " ON TRUE"]).collect();
            let kind = if view { "view" } else { "table" };
            let options = format!("kind: {kind}\nlimits: {{retries: {retries}}}\nchecks: [{{unique: c{number}}}]");
            world.mart(&name, &format!("/* naru\n{options}\n*/ SELECT * FROM shop.orders{joins}"));
            if view {
                views.insert(name.clone());
            }
            above.insert(name, reads);
        }
        Self { random, folder, above, views }
    }

    fn play(mut self) {
        if self.random.random_bool(0.7) {
            // Yesterday's tables: what a run must not read in place of what it has lost.
            self.start(None, 0);
        }
        for start in 0..FAULTY_STARTS_MAX {
            let faults = if self.random.random_bool(0.8) { 0.25 } else { 0.05 };
            let seed = self.random.random();
            if let Some(report) = self.start(Some((seed, faults)), start) {
                self.judge(&report);
                if report.state == RunState::Done {
                    break;
                }
            }
        }
        // Two starts: the first may find a run that the last faulty one left without an end.
        self.start(None, 1);
        let last = self.start(None, 1);
        let report = last.unwrap_or_else(|| self.latest_report());
        self.judge(&report);
        assert_eq!(report.state, RunState::Done);
    }

    /// One life of a process. None if it died, or if there was nothing to do.
    fn start(&self, faults: Option<(u64, f64)>, number: usize) -> Option<RunReport> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let world = World::at(self.folder);
        let died = Arc::new(Notify::new());
        let report = runtime.block_on(async {
            let flow = world.flow().await;
            // Settling meets no faults half of the time, so that resume is reached.
            flow.settle().await.unwrap();
            if let Some((seed, rate)) = faults {
                let random = Mutex::new(StdRng::seed_from_u64(seed));
                let died = died.clone();
                world.lake.decide(move |call, _| fate(&mut random.lock(), call, rate, &died));
            }
            let life = async {
                let handle = if number == 0 {
                    flow.start(world.graph(), world.request(&[])).await
                } else {
                    flow.resume(world.graph(), None).await
                };
                match handle {
                    Ok(handle) => Some(handle.ended().await.unwrap()),
                    Err(FlowError::NothingToResume) => None,
                    Err(error) => panic!("{}", error.problem()),
                }
            };
            tokio::select! {
                report = life => report,
                () = died.notified() => None,
            }
        });
        drop(runtime);
        report
    }

    fn latest_report(&self) -> RunReport {
        let world = World::at(self.folder);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let latest = world.store.read(|tx| runs_read::latest(tx, 1)).await.unwrap();
            naru_flow::history::report(&world.store, latest[0].run).await.unwrap()
        })
    }

    fn judge(&self, report: &RunReport) {
        let world = World::at(self.folder);
        let commits = world.lake.commits();
        let attempts: BTreeSet<i64> = commits.iter().map(|commit| commit.attempt).collect();
        assert_eq!(attempts.len(), commits.len(), "an attempt was published twice");
        for (at, commit) in commits.iter().enumerate() {
            self.judge_inputs(&commits[..at], commit);
        }
        for mart in &report.marts {
            let name = mart.mart.to_string();
            let committed = commits.iter().rfind(|commit| commit.mart == name).map(|commit| commit.version);
            if mart.state == NodeState::Done && !self.views.contains(&name) {
                assert_eq!(mart.version, committed, "{name} is done");
            }
            let lost = self.above[&name].iter().any(|above| !Self::is_done(report, above));
            assert!(mart.state != NodeState::Done || !lost, "{name} is done above something that is not");
        }
    }

    fn is_done(report: &RunReport, name: &str) -> bool {
        report.marts.iter().any(|mart| mart.mart.to_string() == name && mart.state == NodeState::Done)
    }

    /// Whatever a commit has read of its own run was the newest there was.
    fn judge_inputs(&self, earlier: &[Commit], commit: &Commit) {
        for above in &self.above[&commit.mart] {
            let read = &commit.inputs[above];
            if self.views.contains(above) {
                assert!(read.starts_with("view"), "{read}");
                continue;
            }
            let newest = earlier.iter().rfind(|other| other.mart == *above && other.run == commit.run);
            let newest = newest.unwrap_or_else(|| panic!("{} was published before {above}", commit.mart));
            assert_eq!(*read, format!("v{}", newest.version), "{} reads {above}", commit.mart);
        }
    }
}

fn fate(random: &mut StdRng, call: &str, rate: f64, died: &Notify) -> Fate {
    if !random.random_bool(rate) {
        return Fate::Good;
    }
    match (call, random.random_range(0..10)) {
        (_, 0) => {
            died.notify_one();
            Fate::Hang
        }
        ("publish", 1..=3) => Fate::LoseAnswer,
        (_, 1..=6) => Fate::FailLater,
        _ => Fate::FailNever,
    }
}
