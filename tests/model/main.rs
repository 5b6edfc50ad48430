//! Random histories of a real PostgreSQL against the real `naru up`: at every look the lake holds the source's rows.
//!
//! Owns: the promises. The seed is printed and replayed by `NARU_SEED`; `NARU_MODEL_STEPS` makes histories longer.
//! Read next: `workload` for what is written, `stage` for how naru is run, killed and compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

mod stage;
mod workload;

use std::time::{Duration, Instant};

use naru_testkit::{Failpoints, seed};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use stage::{Stage, differences, run};
use tokio_postgres::Client;
use workload::{Extent, Key, PREPARE, Workload};

/// Transactions of a short history.
const STEPS: u32 = 60;

fn steps() -> u32 {
    std::env::var("NARU_MODEL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS)
}

/// Places where a kill leaves something half done. Places that wait for a compaction are the lake's own tests'.
const PLACES: [&str; 12] = [
    "lake.before_upload",
    "lake.after_upload",
    "lake.before_commit",
    "lake.after_commit",
    "live.before_flush_commit",
    "live.after_flush_commit",
    "index.before_manifest",
    "index.after_manifest",
    "sync.copy.before_commit",
    "sync.copy.after_commit",
    "sync.before_ack",
    "sync.after_ack",
];
/// Places of a short run.
const PLACES_FEW: usize = 4;
/// How long a place may stay without a visit; then naru is killed wherever it is.
const FAULT_WAIT_MAX: Duration = Duration::from_secs(3);

/// A history in progress.
struct Model {
    stage: Stage,
    workload: Workload,
    rng: StdRng,
    looks: u64,
    extent: Extent,
    show: bool,
}

impl Model {
    /// Three kinds of tables in the source, and naru following it.
    async fn new(rng: StdRng, extent: Extent) -> Self {
        let stage = Stage::new().await;
        let show = std::env::var_os("NARU_MODEL_SHOW").is_some();
        let mut model = Self { stage, workload: Workload::new(1), rng, looks: 0, extent, show };
        model.stage.write(PREPARE).await;
        for key in [Key::Int, Key::Pair, Key::None] {
            let statements = model.workload.create(&mut model.rng, key);
            model.write_all(&statements).await;
        }
        model.stage.up();
        // A table made between naru's first reading of the catalog and its event trigger is found only by the next
        // poll, longer than a look waits: the history begins when the three are live.
        model.look().await;
        model
    }

    async fn write_all(&mut self, statements: &[String]) {
        for statement in statements {
            if self.show {
                eprintln!("{statement};");
            }
            self.stage.note(format!("{statement};"));
            self.stage.write(statement).await;
        }
    }

    /// One transaction of the history; naru may be killed inside it.
    async fn transaction(&mut self, kill: bool) {
        if !kill && self.rng.random_bool(0.1) {
            return self.interleaved().await;
        }
        let statements = self.workload.transaction(&mut self.rng, self.extent);
        let at = if kill { self.rng.random_range(0..=statements.len()) } else { 0 };
        let (before, after) = statements.split_at(at);
        self.write_all(before).await;
        if kill {
            let wait = self.rng.random_range(0..400);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.stage.kill9();
        }
        self.write_all(after).await;
    }

    /// Another writer's transaction stays open while some of the history commit.
    async fn interleaved(&mut self) {
        let other = self.stage.server.client().await;
        let mut opened = self.workload.beside(self.rng.random_range(1..1_000) * 1_000_000_000_000);
        let mut open = opened.inserts(&mut self.rng);
        open.insert(0, "BEGIN".to_owned());
        for statement in &open {
            self.write_beside(&other, statement).await;
            let statements = self.workload.transaction(&mut self.rng, Extent::Rows);
            self.write_all(&statements).await;
        }
        let end = if self.rng.random_bool(0.8) { "COMMIT" } else { "ROLLBACK" };
        self.write_beside(&other, end).await;
    }

    async fn write_beside(&mut self, other: &Client, statement: &str) {
        self.stage.note(format!("beside: {statement};"));
        run(other, statement).await;
    }

    /// Runs under a fault that kills naru, twice in a row, then starts it whole and looks.
    async fn killed_at(&mut self, place: &str) {
        for visit in 1..=2 {
            self.stage.start(&Failpoints::new().kill(place, visit).value());
            let began = Instant::now();
            // The copy's places are passed only when a table is new.
            let statements = self.workload.create(&mut self.rng, Key::Int);
            self.write_all(&statements).await;
            while self.stage.runs() && began.elapsed() < FAULT_WAIT_MAX {
                self.transaction(false).await;
            }
            self.stage.kill9();
        }
        self.stage.up();
        self.look().await;
        while self.workload.tables.len() > 3 {
            let name = self.workload.tables.remove(3).name;
            self.write_all(&[format!("DROP TABLE {name}")]).await;
        }
        self.stage.kill9();
    }

    /// Source and lake are equal at one commit, while rows go on changing.
    async fn look(&mut self) {
        self.looks += 1;
        let names: Vec<String> = self.workload.tables.iter().map(|table| table.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.stage.caught_up(&names).await;
        let compare = tokio::task::spawn_blocking(self.stage.compare());
        // Rows of their own, from a generator of their own: how many there are depends on the machine.
        let mut beside = self.workload.beside(self.looks * 10_000_000);
        let mut rng = StdRng::seed_from_u64(self.looks);
        while !compare.is_finished() {
            let statements = beside.transaction(&mut rng, Extent::Rows);
            self.write_all(&statements).await;
        }
        let output = compare.await.expect("compare");
        let different = differences(&output, &names);
        assert!(different.is_empty(), "{}\n{}", different.join("\n"), self.stage.story());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lake_equals_the_source_through_a_random_history_with_kills() {
    let (rng, _seed) = seed::rng();
    let mut model = Model::new(rng, Extent::All).await;
    for step in 1..=steps() {
        let kill = step % 15 == 0;
        model.transaction(kill).await;
        if kill {
            model.stage.start("");
            let wait = model.rng.random_range(0..1_500);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            model.stage.kill9();
            model.transaction(false).await;
            model.stage.up();
        }
        if step % 15 == 14 || kill && step % 30 == 0 {
            model.look().await;
        }
    }
    model.look().await;
    model.stage.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twice_at_any_place_the_lake_still_equals_the_source() {
    let (rng, _seed) = seed::rng();
    let mut model = Model::new(rng, Extent::All).await;
    model.stage.kill9();
    let few = if steps() > STEPS { PLACES.len() } else { PLACES_FEW };
    let places: Vec<&str> = PLACES.choose_multiple(&mut model.rng, few).copied().collect();
    for place in places {
        model.stage.note(format!("--- {place}"));
        model.killed_at(place).await;
    }
}
