//! The stage: one PostgreSQL, one project folder, one `naru up` that is killed and started again, the way between.
//!
//! Owns: starting, killing and breaking things, waiting until naru has seen everything, `naru compare`.
//! Never decides what is written or what is broken when.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_testkit::{Folder, Naru, Options, PostgresServer, TcpProxy, process};
use serde_json::Value;
use tokio_postgres::Client;

use crate::live::{Door, Shared};

/// How long naru may take to see everything on a loaded machine.
const WAIT_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

// Flushes come often, so that kills meet them.
const NARU_TOML: &str = r#"[project]
name = "model"
[lake]
flush_interval = "FLUSH"
[server]
http = "127.0.0.1:0"
postgres = "127.0.0.1:0"
pubsub = false
"#;

/// Commits have no gap: as many as the last one's number.
const MART: &str = "/* naru
checks: [{not_null: n}]
*/
SELECT COUNT(*) AS n, COALESCE(MAX(seq), 0) AS last_seq FROM shop.commits
";

/// See the module.
pub struct Stage {
    project: Folder,
    runtime: Folder,
    /// The source.
    pub server: PostgresServer,
    /// The way from naru to the source.
    pub proxy: TcpProxy,
    naru: Option<Naru>,
    shared: Arc<Shared>,
    token: String,
    lives: u64,
    /// What fails in the present one.
    faults: String,
    /// What naru wrote before it was killed and what was done, for the report of a failure.
    past: Vec<String>,
}

impl Stage {
    /// A server that streams even small transactions, and a project that has not run yet.
    pub async fn new(shared: Arc<Shared>, flush: &str) -> Self {
        let project = Folder::new("model");
        project.write("naru.toml", &NARU_TOML.replace("FLUSH", flush));
        let source = format!("kind = \"postgres\"\nurl = \"${{SHOP_URL}}\"\nevent_trigger = {}\n", shared.announced);
        project.write("sources/shop.toml", &source);
        project.write("marts/m/numbers.sql", MART);
        project.write("marts/m/above.sql", "SELECT n, last_seq FROM m.numbers\n");
        let server = PostgresServer::start(Options::default().with("logical_decoding_work_mem", "64kB")).await;
        let proxy = TcpProxy::start(server.port()).await;
        let (runtime, past) = (Folder::new("run"), Vec::new());
        let mut stage = Self {
            project,
            runtime,
            server,
            proxy,
            naru: None,
            shared,
            token: String::new(),
            lives: 0,
            past,
            faults: String::new(),
        };
        let issued = stage.command().args(["token", "new", "model"]).output().expect("run naru");
        stage.token = String::from_utf8_lossy(&issued.stdout).lines().next().expect("a token").to_owned();
        stage
    }

    /// The lake's folder.
    pub fn lake(&self) -> std::path::PathBuf {
        self.project.join("lake")
    }

    /// A folder for what the test itself keeps.
    pub fn own(&self) -> std::path::PathBuf {
        self.runtime.join("reader")
    }

    fn command(&self) -> std::process::Command {
        let mut command = process::command(self.project.path());
        let url = format!("postgres://postgres:naru@127.0.0.1:{}/postgres", self.proxy.port());
        command.env("SHOP_URL", url).env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }

    /// Starts `naru up`, with faults as in `NARU_FAILPOINTS`, and does not wait for it.
    pub fn start(&mut self, faults: &str) {
        let mut command = self.command();
        command.arg("up");
        if !faults.is_empty() {
            command.env("NARU_FAILPOINTS", faults);
        }
        self.note(format!("--- up {faults}"));
        self.faults = faults.to_owned();
        self.naru = Some(Naru::start(&mut command));
        self.lives += 1;
    }

    /// Starts it and waits until it is up; from then on it is watched.
    pub fn up(&mut self) {
        self.start("");
        self.wait_up();
    }

    /// Waits until a started one is up or has ended.
    pub fn wait_up(&mut self) {
        let Some(naru) = &self.naru else { return };
        if naru.find_line("naru is up", WAIT_MAX).is_none() {
            return;
        }
        let words = naru.words();
        let status = self.json(&["status", "--json"]).unwrap_or_default();
        let Some(address) = status["listeners"]["postgres"].as_str() else { return };
        let (address, fails) = (address.to_owned(), self.store_fails());
        let door = Door { address, token: self.token.clone(), words, life: self.lives, fails };
        *self.shared.door.lock().expect("nobody panics with it") = Some(door);
    }

    /// Kills it without clean-up, if it still runs.
    pub fn kill9(&mut self) {
        *self.shared.door.lock().expect("nobody panics with it") = None;
        if let Some(mut naru) = self.naru.take() {
            naru.kill9();
            let written = naru.output();
            self.note(written);
            self.note("--- killed".to_owned());
        }
    }

    /// Asks it to stop as Ctrl-C does.
    pub fn stop(&mut self) {
        *self.shared.door.lock().expect("nobody panics with it") = None;
        if let Some(mut naru) = self.naru.take() {
            let status = naru.interrupt();
            assert!(status.success(), "naru ended with {status}; it wrote:\n{}", naru.output());
            self.note(naru.output());
            self.note("--- stopped".to_owned());
        }
    }

    /// Whether it runs; a fault may have ended it.
    pub fn runs(&mut self) -> bool {
        self.naru.as_mut().is_some_and(Naru::is_running)
    }

    /// Whether its object store fails now and then.
    pub fn store_fails(&self) -> bool {
        self.faults.contains("store.")
    }

    /// Writes a file that the server may read.
    pub fn file(&self, text: &str) -> String {
        let path = self.server.data().with_file_name("rows.txt");
        std::fs::write(&path, text).expect("write rows for COPY");
        path.display().to_string()
    }

    /// Adds a line to what a failure shows.
    pub fn note(&mut self, text: String) {
        self.past.push(text);
    }

    /// All that happened, for the report of a failure; also written to `NARU_MODEL_STORY`, if that is set.
    pub fn story(&self) -> String {
        let now = self.naru.as_ref().map(Naru::output).unwrap_or_default();
        format!("{}\n{now}", self.past.join("\n"))
    }

    /// Runs a command of naru that answers in JSON.
    pub fn json(&self, words: &[&str]) -> Option<Value> {
        let output = self.command().args(words).output().expect("run naru");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Runs a command of naru; what it wrote, and whether it succeeded.
    pub fn naru(&self, words: &[&str]) -> (bool, String) {
        let output = self.command().args(words).output().expect("run naru");
        let both = [output.stdout.as_slice(), &output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&both).into_owned())
    }

    /// Waits until queries see the commit that ends at `wanted`, and every one of `tables` is live.
    ///
    /// # Errors
    /// Who is not there in time.
    pub async fn caught_up(&mut self, wanted: u64, tables: &[String]) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let status = self.json(&["status", "--json"]).unwrap_or_default();
            let source = &status["sources"][0];
            let missing = tables.iter().find(|table| !is_live(source, table));
            if source["visible"].as_u64().is_some_and(|visible| visible >= wanted) && missing.is_none() {
                return Ok(());
            }
            if !self.runs() || began.elapsed() > WAIT_MAX {
                return Err(format!("naru waits at {wanted} for {missing:?} to be live: {status:#}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// `naru compare`: what differs between source and lake, or why there is no answer. A table that is copied again
    /// meanwhile is waited for.
    pub async fn compare(&self, tables: &[String]) -> Vec<String> {
        let began = Instant::now();
        loop {
            let mut command = self.command();
            command.args(["compare", "--json"]);
            let output =
                tokio::task::spawn_blocking(move || command.output().expect("run naru")).await.expect("compare");
            let Ok(compared) = serde_json::from_slice::<Value>(&output.stdout) else {
                return vec![String::from_utf8_lossy(&output.stderr).into_owned()];
            };
            let entries: Vec<&Value> = compared[0]["tables"].as_array().into_iter().flatten().collect();
            let of = |table: &String| entries.iter().find(|entry| entry["table"]["table"] == **table);
            let unequal: Vec<&String> =
                tables.iter().filter(|table| of(table).is_none_or(|entry| entry["equal"] != true)).collect();
            let on_its_way = |table: &&String| of(table).is_some_and(|entry| entry["equal"].is_null());
            if unequal.is_empty() || !unequal.iter().all(on_its_way) || began.elapsed() > WAIT_MAX {
                return unequal.into_iter().map(|table| format!("naru compare: {table}: {compared}")).collect();
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn is_live(source: &Value, table: &str) -> bool {
    let listed = source["tables"].as_array().into_iter().flatten();
    let mut same = listed.filter(|entry| entry["table"]["table"] == table && entry["state"] != "dropped");
    same.next().is_some_and(|entry| entry["state"] == "live")
}

/// A writer's connection, which does not lose a deadlock to naru.
pub async fn writer(server: &PostgresServer) -> Client {
    let client = server.client().await;
    client.batch_execute("SET deadlock_timeout = '30s'; SET lock_timeout = '60s'").await.expect("a writer's settings");
    client
}
