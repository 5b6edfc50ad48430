//! The stage: one PostgreSQL, one project folder, one `naru up` that is killed and started again, and the comparison.
//!
//! Owns: starting and killing naru, waiting until it has seen everything, `naru compare`.
//! Never decides what is written; see `workload`.

use std::time::{Duration, Instant};

use naru_testkit::{Folder, Naru, Options, PostgresServer, process};
use serde_json::Value;
use tokio_postgres::Client;

/// How long naru may take to see everything on a loaded machine.
const WAIT_MAX: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(50);

// Flushes come often, so that kills meet them.
const NARU_TOML: &str = r#"[project]
name = "model"
[lake]
flush_interval = "300ms"
[server]
http = "127.0.0.1:0"
postgres = "127.0.0.1:0"
pubsub = false
"#;
const SHOP_TOML: &str = "kind = \"postgres\"\nurl = \"${SHOP_URL}\"\n";

/// See the module.
pub struct Stage {
    project: Folder,
    runtime: Folder,
    /// The source.
    pub server: PostgresServer,
    /// The main writer's connection.
    pub client: Client,
    naru: Option<Naru>,
    /// What naru wrote before it was killed, for the report of a failure.
    past: Vec<String>,
}

impl Stage {
    /// A server that streams even small transactions, and a project that has not run yet.
    pub async fn new() -> Self {
        let project = Folder::new("model");
        project.write("naru.toml", NARU_TOML);
        project.write("sources/shop.toml", SHOP_TOML);
        let server = PostgresServer::start(Options::default().with("logical_decoding_work_mem", "64kB")).await;
        let client = server.client().await;
        Self { project, runtime: Folder::new("run"), server, client, naru: None, past: Vec::new() }
    }

    /// Runs one statement of the main writer.
    pub async fn write(&self, sql: &str) {
        run(&self.client, sql).await;
    }

    fn command(&self) -> std::process::Command {
        let mut command = process::command(self.project.path());
        command.env("SHOP_URL", self.server.url()).env("XDG_RUNTIME_DIR", self.runtime.path());
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
        self.naru = Some(Naru::start(&mut command));
    }

    /// Starts it and waits until it is up.
    pub fn up(&mut self) {
        self.start("");
        if let Some(naru) = &self.naru {
            naru.wait_line("naru is up");
        }
    }

    /// Kills it without clean-up, if it still runs.
    pub fn kill9(&mut self) {
        if let Some(mut naru) = self.naru.take() {
            naru.kill9();
            let written = naru.output();
            self.note(written);
        }
    }

    /// Asks it to stop as Ctrl-C does.
    pub fn stop(&mut self) {
        if let Some(mut naru) = self.naru.take() {
            let status = naru.interrupt();
            assert!(status.success(), "naru ended with {status}; it wrote:\n{}", naru.output());
            self.note(naru.output());
        }
    }

    /// Whether it runs; a fault may have ended it.
    pub fn runs(&mut self) -> bool {
        self.naru.as_mut().is_some_and(Naru::is_running)
    }

    /// Adds a line to what a failure shows.
    pub fn note(&mut self, text: String) {
        self.past.push(text);
    }

    /// All that happened, for the report of a failure.
    pub fn story(&self) -> String {
        let now = self.naru.as_ref().map(Naru::output).unwrap_or_default();
        format!("{}\n{now}", self.past.join("\n"))
    }

    fn json(&self, words: &[&str]) -> Option<Value> {
        let output = self.command().args(words).output().expect("run naru");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until queries see everything committed so far and every one of `tables` is live.
    pub async fn caught_up(&mut self, tables: &[&str]) {
        let sql = "SELECT pg_current_wal_insert_lsn() - '0/0'";
        let wanted: u64 = self.server.value(sql).await.parse().expect("a position");
        let began = Instant::now();
        loop {
            // What is visible moves only with a commit that changed a live table: make one behind that position.
            self.write("INSERT INTO marker VALUES (DEFAULT)").await;
            let status = self.json(&["status", "--json"]).unwrap_or_default();
            let source = &status["sources"][0];
            let missing = tables.iter().find(|table| !is_live(source, table));
            if source["visible"].as_u64().is_some_and(|visible| visible >= wanted) && missing.is_none() {
                return;
            }
            let late = began.elapsed() > WAIT_MAX;
            assert!(self.runs() && !late, "at {wanted}, waits for {missing:?}: {status:#}\n{}", self.story());
            tokio::time::sleep(POLL).await;
        }
    }

    /// What `naru compare --json` needs to run beside the writers.
    pub fn compare(&self) -> impl FnOnce() -> std::process::Output + Send + 'static {
        let mut command = self.command();
        command.args(["compare", "--json"]);
        move || command.output().expect("run naru")
    }
}

/// Runs a statement that must succeed.
pub async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn is_live(source: &Value, table: &str) -> bool {
    let listed = source["tables"].as_array().into_iter().flatten();
    let mut same = listed.filter(|entry| entry["table"]["table"] == table && entry["state"] != "dropped");
    same.next().is_some_and(|entry| entry["state"] == "live")
}

/// What differs between source and lake, or why there is no answer.
pub fn differences(output: &std::process::Output, tables: &[&str]) -> Vec<String> {
    let Ok(compared) = serde_json::from_slice::<Value>(&output.stdout) else {
        return vec![String::from_utf8_lossy(&output.stderr).into_owned()];
    };
    let entries: Vec<&Value> = compared[0]["tables"].as_array().into_iter().flatten().collect();
    let unequal =
        |table: &&str| !entries.iter().any(|entry| entry["table"]["table"] == **table && entry["equal"] == true);
    tables.iter().filter(|table| unequal(table)).map(|table| format!("{table}: {compared}")).collect()
}
