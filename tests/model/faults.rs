//! Faults: kills anywhere, kills at named places twice in a row, a broken network, a dying server, a person's commands.
//!
//! Owns: what breaks and how. When is decided by the history's seed in `model`.

use std::time::{Duration, Instant};

use naru_testkit::Failpoints;
use rand::Rng;

use crate::{
    model::{Model, SESSIONS},
    stage::writer,
    workload::COMMITS,
};

/// Places where a kill leaves something half done.
pub const PLACES: [&str; 26] = [
    "lake.before_upload",
    "lake.after_upload",
    "lake.before_commit",
    "lake.after_commit",
    "lake.compact.before_rewrite",
    "lake.compact.before_commit",
    "lake.compact.after_commit",
    "live.before_flush_commit",
    "live.after_flush_commit",
    "live.before_compact_commit",
    "live.after_compact_commit",
    "live.adopting_keys",
    "index.before_manifest",
    "index.after_manifest",
    "sync.copy.chunk_done",
    "sync.copy.before_commit",
    "sync.copy.after_commit",
    "sync.replay",
    "sync.before_ack",
    "sync.after_ack",
    "flow.after_started",
    "flow.after_stage",
    "flow.after_audit",
    "flow.before_publish",
    "flow.after_publish",
    "flow.after_published",
];
/// What an object store does now and then.
const STORE: [&str; 6] = [
    "store.put.lost=error@/7",
    "store.put.exists=error@/7",
    "store.put.error=error@2-4",
    "store.get.error=error@15-18",
    "store.slow=sleep:15",
    "store.put.lost=error@/5;store.put.exists=error@/9;store.put.error=error@/11;store.get.error=error@/41",
];
/// Starts under the fault until naru died of it twice.
const PLACE_STARTS_MAX: u32 = 4;
/// Time of one of them, and the pause between two steps, so that naru comes along.
const PLACE_MAX: Duration = Duration::from_secs(20);
const PLACE_PAUSE: Duration = Duration::from_millis(40);
/// Steps of one of them.
const PLACE_STEPS_MAX: u32 = 200;

impl Model {
    /// Something breaks.
    pub(crate) async fn fault(&mut self) {
        match self.rng.random_range(0..100) {
            0..50 => {
                self.stage.kill9();
                let wait = self.rng.random_range(0..600);
                if self.rng.random_bool(0.5) {
                    self.stage.start("");
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    self.stage.kill9();
                }
                self.stage.up();
            }
            50..65 => {
                self.stage.note("--- network cut".to_owned());
                self.stage.proxy.cut_once().await;
            }
            65..75 => {
                self.stage.note("--- network stalls".to_owned());
                self.stage.proxy.stall();
                let wait = self.rng.random_range(50..1_500);
                tokio::time::sleep(Duration::from_millis(wait)).await;
                self.stage.proxy.mend();
            }
            75..83 => self.command().await,
            83..93 => self.store_fails(),
            _ => self.server_dies().await,
        }
    }

    /// The object store fails now and then, until the next look or start.
    fn store_fails(&mut self) {
        let faults = STORE[self.rng.random_range(0..STORE.len())];
        self.stage.kill9();
        self.stage.start(faults);
        self.stage.wait_up();
    }

    /// A person resyncs a table, or pauses it for a while.
    async fn command(&mut self) {
        let name = self.any_table();
        // A table that is on its way refuses; that is an answer too.
        let words: &[&str] = if self.rng.random_bool(0.5) { &["resync"] } else { &["pause", "resume"] };
        for word in words {
            let (done, said) = self.stage.naru(&["sync", word, &name]);
            self.stage.note(format!("--- naru sync {word} {name}: {done} {said}"));
            let wait = self.rng.random_range(0..300);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// The server is gone as after a power cut; open transactions with it.
    async fn server_dies(&mut self) {
        self.stage.note("--- the server dies".to_owned());
        self.stage.server.kill9().await;
        // What was prepared is there again.
        let prepared = self.prepared.as_ref().map(|(session, _)| *session);
        for session in (0..SESSIONS).filter(|session| Some(*session) != prepared) {
            self.world.rollback(session);
        }
        let began = Instant::now();
        self.stage.server.start_again().await;
        for session in 0..SESSIONS {
            self.writers[session] = writer(&self.stage.server).await;
        }
        self.asker = self.stage.server.client().await;
        self.stage.note(format!("--- the server is back after {:?}", began.elapsed()));
    }

    /// Runs under a fault that kills naru, until that happened twice in a row, then starts it whole and looks. Where a
    /// place is not come to, the first visit counts from then on.
    pub(crate) async fn killed_twice_at(&mut self, place: &str) {
        self.stage.kill9();
        let (mut died, mut visit) = (0, self.rng.random_range(1..=3));
        for _ in 0..PLACE_STARTS_MAX {
            self.stage.start(&Failpoints::new().kill(place, visit).value());
            let there = self.come_to(place).await;
            self.stage.note(format!("--- {place}@{visit}: {}", if there { "died there" } else { "not visited" }));
            self.stage.kill9();
            died += u32::from(there);
            visit = if there { self.rng.random_range(1..=3) } else { 1 };
            if died == 2 {
                break;
            }
        }
        *self.died.entry(place.to_owned()).or_default() += died;
        self.stage.up();
        self.look().await;
    }

    /// Goes on, slowly enough for naru to keep up, until naru died; `false` when that takes too long.
    async fn come_to(&mut self, place: &str) -> bool {
        let began = Instant::now();
        for step in 0_u32.. {
            if !self.stage.runs() {
                return true;
            }
            if began.elapsed() > PLACE_MAX {
                break;
            }
            if step < PLACE_STEPS_MAX {
                self.quiet_step().await;
            }
            if step % 20 == 10 {
                self.ask_for(place);
            }
            tokio::time::sleep(PLACE_PAUSE).await;
        }
        false
    }

    /// Asks for what passes a place that naru comes to seldom by itself. The command dies with it, or ends.
    fn ask_for(&mut self, place: &str) {
        let resync = self.any_table();
        let words: &[&str] = match place {
            _ if place.starts_with("flow.") => &["run"],
            _ if place.contains("compact") => &["compact"],
            _ if place.starts_with("sync.copy.") || place == "live.adopting_keys" => &["sync", "resync", &resync],
            _ => return,
        };
        let (done, said) = self.stage.naru(words);
        self.stage.note(format!("--- naru {}: {done} {said}", words.join(" ")));
    }

    /// The name of any table but that of the commits.
    fn any_table(&mut self) -> String {
        let tables = self.world.tables().filter(|table| table.name != COMMITS);
        let names: Vec<String> = tables.map(|table| table.name.clone()).collect();
        format!("shop.{}", names[self.rng.random_range(0..names.len())])
    }
}
