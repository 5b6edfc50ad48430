//! What the running naru does for commands that come over the control socket.
//!
//! Owns: the words behind the socket and the shape of `naru status --json`. Never prints.

use std::sync::Arc;

use async_trait::async_trait;
use naru_access::{
    Principal,
    audit::{Deed, Door, Entry, Origin},
};
use naru_base::{Problem, RunId, TableId, time::now_us};
use naru_flow::{
    Graph, RunHandle, history,
    pause::Pause,
    rollback::Rollback,
    run::{Reason, Request, RunReport},
};
use naru_server::{api::access, control::Control, signin::SignIn};
use naru_sync::CommandError;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::words::lake::ids;

use super::{Running, flow_problem, letters, sources::RunningSource, topics::RunningTopics, vanished};

/// Words of the control socket.
pub struct Commands {
    /// What they act on.
    pub running: Arc<Running>,
    /// Addresses of the doors.
    pub listeners: Value,
    /// Makes links into the console.
    pub signin: SignIn,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    table: Option<String>,
    source: Option<String>,
    marts: Vec<String>,
    run: Option<i64>,
    tables: Vec<String>,
    dry_run: bool,
    older: bool,
    by: Option<String>,
    why: Option<String>,
    topic: String,
    forward: String,
    lines: Vec<String>,
    who: Option<String>,
    to: Option<String>,
    text: Option<String>,
}

impl Asked {
    fn table(&self) -> Result<Option<TableId>, Problem> {
        let parse = |text: &String| {
            text.parse::<TableId>().map_err(|error| {
                Problem::new("cli.table_name", error.to_string())
                    .hint("Write it as dataset.table, for example shop.orders.")
            })
        };
        self.table.as_ref().map(parse).transpose()
    }

    fn one_table(&self) -> Result<TableId, Problem> {
        self.table()?
            .ok_or_else(|| Problem::new("cli.table_name", "a table is needed").hint("Write it as dataset.table."))
    }
}

impl Running {
    /// Why not everything is served yet, a line a reason.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for source in &self.sources {
            let status = source.status.get();
            if status.phase != "streaming" {
                reasons.push(format!("source {} is {}", status.source, status.phase));
            }
            let copying =
                status.tables.iter().filter(|t| matches!(t.state.as_str(), "copying" | "catching_up" | "preflight"));
            reasons.extend(copying.map(|table| format!("table {} is {}", table.table, table.state)));
        }
        reasons
    }

    /// The topics of the running naru.
    fn topics(&self) -> Result<&RunningTopics, Problem> {
        self.topics.as_deref().ok_or_else(|| Problem::new("topics.closed", "topics are not open here"))
    }

    /// The graph of the files as they stand now.
    pub fn graph_now(&self) -> Result<Arc<Graph>, Problem> {
        self.marts.refresh().map_err(|mut mistakes| {
            let more = mistakes.len().saturating_sub(1);
            let problem = if mistakes.is_empty() {
                Problem::new("project.unreadable", "the folder could not be read")
            } else {
                mistakes.swap_remove(0)
            };
            if more == 0 { problem } else { problem.hint(format!("`naru check` lists {more} more.")) }
        })
    }

    /// Starts a run of the selected marts.
    pub async fn run_marts(&self, words: &[String], reason: Reason, by: Option<String>) -> Result<RunHandle, Problem> {
        let graph = self.graph_now()?;
        let marts = graph.select(words)?;
        let request = Request { reason, words: words.join(" "), by, why: None, marts };
        self.flow.start(graph, request).await.map_err(|error| flow_problem(&error))
    }

    /// Goes on with a run; with `older` also where that replaces newer results.
    pub async fn resume_run(&self, run: Option<RunId>, older: bool) -> Result<RunHandle, Problem> {
        let graph = self.graph_now()?;
        let resumed =
            if older { self.flow.resume_over_newer(graph, run).await } else { self.flow.resume(graph, run).await };
        resumed.map_err(|error| flow_problem(&error))
    }

    /// Publishes an earlier result of a mart again.
    pub async fn roll_back(&self, mart: &TableId, asked: Rollback) -> Result<RunHandle, Problem> {
        self.flow.rollback(self.graph_now()?.as_ref(), mart, asked).await.map_err(|error| flow_problem(&error))
    }

    /// One source's status; `None` once it was dropped.
    fn source_status(&self, source: &RunningSource) -> Option<Value> {
        let status = source.status.get();
        let mut value = json!(status);
        if !vanished::has_file(&self.home, &source.name) {
            if status.phase == "stopped" {
                return None;
            }
            value["problem"] = vanished::problem(&source.name, &Ok(status.retained_bytes));
        }
        Some(value)
    }

    /// Every source that has an engine, as `naru status --json` prints it.
    pub fn sources_status(&self) -> Vec<Value> {
        self.sources.iter().filter_map(|source| self.source_status(source)).collect()
    }

    /// Takes naru out of a source whose file is gone.
    async fn drop_source(&self, name: &str) -> Result<Value, Problem> {
        if vanished::has_file(&self.home, name) {
            return Err(Problem::new(
                "cli.source_in_use",
                format!("source \"{name}\" is followed by the running naru"),
            )
            .hint(format!("Move sources/{name}.toml away, or stop `naru up` first: it would make the slot again.")));
        }
        if let Some(source) = self.sources.iter().find(|source| source.name == name) {
            source.stop().await;
        }
        vanished::drop_source(&self.home, &self.store, name).await?;
        Ok(json!({"source": name}))
    }

    /// Copies a table again, stops it or lets it go on.
    ///
    /// # Errors
    /// Why nothing was done.
    pub async fn table_word(&self, word: &str, table: &TableId) -> Result<Value, Problem> {
        let Some(source) = self.source_of(table) else {
            let unread: Vec<&str> =
                self.sources.iter().filter(|s| !s.status.get().read).map(|s| s.name.as_str()).collect();
            return Err(match unread.as_slice() {
                [] => command_problem(&CommandError::NoTable(table.clone())),
                unread => Problem::new(
                    "sync.unread",
                    format!("nothing was done: no source that was read yet has a table {table}"),
                )
                .detail(format!("Not read yet: {}.", unread.join(", ")))
                .hint("`naru status` shows what keeps it; ask again then.")
                .later(),
            });
        };
        let done = match word {
            "sync.resync" => source.commands.resync(table.clone()).await,
            "sync.pause" => source.commands.pause(table.clone()).await,
            _ => source.commands.resume(table.clone()).await,
        };
        done.map(|()| json!({"table": table.to_string()})).map_err(|error| command_problem(&error))
    }

    /// The state of everything, as `naru status --json` prints it.
    pub async fn status(&self) -> Value {
        let mut sources = self.sources_status();
        match vanished::list(&self.home, &self.store).await {
            Ok(vanished) => sources.extend(vanished),
            Err(problem) => tracing::warn!(%problem, "sources without a file could not be listed"),
        }
        let marts = history::status(&self.store, &self.marts.graph(), jiff::Timestamp::now()).await;
        json!({
            "project": self.home.project.settings.name,
            "running": true,
            "ready": self.not_ready().is_empty(),
            "sources": sources,
            "marts": marts.unwrap_or_default(),
            "folder": self.marts.wrong(),
            "access": self.access.wrong(),
            "lake": self.upkeep.status(),
            "topics": self.topics.as_ref().map(|topics| topics.status()),
        })
    }
}

/// Sends a run's steps to whoever watches and gives its report.
pub async fn watch_run(
    running: &Running,
    handle: RunHandle,
    progress: &mpsc::Sender<Value>,
) -> Result<RunReport, Problem> {
    let mut steps = running.flow.watch();
    let run = handle.run;
    let begun = running.flow.report(run).await.map_err(|error| flow_problem(&error))?;
    // Nobody watching is no reason to stop building, here and below.
    drop(progress.send(json!({"run": run, "marts": begun.marts.len()})).await);
    let ended = handle.ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            report = &mut ended => {
                let mut report = report.map_err(|error| flow_problem(&error))?;
                report.name_owners(&running.marts.graph());
                return Ok(report);
            }
            step = steps.recv() => {
                if let Ok(step) = step
                    && step.run == run
                {
                    drop(progress.send(json!(step)).await);
                }
            }
        }
    }
}

#[async_trait]
impl Control for Commands {
    async fn status(&self) -> Value {
        let mut status = self.running.status().await;
        if let Some(object) = status.as_object_mut() {
            object.insert("listeners".into(), self.listeners.clone());
        }
        status
    }

    async fn call(&self, word: &str, body: Value, progress: mpsc::Sender<Value>) -> Result<Value, Problem> {
        let Some(deed) = deed(word) else { return self.answer(word, body, progress).await };
        let place = self.running.audit.place(&Principal::Owner).await?;
        let origin = Origin { door: Door::Cli, address: None, client: "naru".to_owned() };
        let about = told(&body);
        let entry = Entry::new(&Principal::Owner, origin, deed).detail(format!("{word} {about}").trim_end());
        let outcome = self.answer(word, body, progress).await;
        place.fill(entry.outcome(&outcome));
        outcome
    }
}

/// What a word does that the audit shall know; `None` for one that only asks.
fn deed(word: &str) -> Option<Deed> {
    match word {
        "run" | "resume" | "rollback" | "cancel" => Some(Deed::Run),
        "access.offboard" => Some(Deed::Access),
        "console.link" => Some(Deed::SignIn),
        "sync.resync" | "sync.pause" | "sync.resume" | "sync.drop" | "forward.pause" | "forward.resume" | "compact"
        | "vacuum" | "dead.replay" | "dead.discard" => Some(Deed::Operate),
        _ => None,
    }
}

/// What a word was about: names and numbers of the request, never rows.
fn told(body: &Value) -> String {
    const SAID: [&str; 10] = ["table", "tables", "source", "marts", "run", "topic", "forward", "who", "to", "filter"];
    let said = SAID.iter().filter_map(|key| body.get(key).filter(|value| !value.is_null()).map(|value| (key, value)));
    said.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

impl Commands {
    async fn answer(&self, word: &str, body: Value, progress: mpsc::Sender<Value>) -> Result<Value, Problem> {
        let misread =
            |error: serde_json::Error| Problem::from_error("cli.request", "the request was not understood", &error);
        if word == "dead.replay" {
            let asked = serde_json::from_value(body).map_err(misread)?;
            let done = letters::replay(&self.running.warehouse, self.running.topics()?, &asked).await?;
            return Ok(json!(done));
        }
        if word == "dead.discard" {
            let asked = serde_json::from_value(body).map_err(misread)?;
            let done = letters::discard(&self.running.warehouse, self.running.topics()?, &asked).await?;
            return Ok(json!(done));
        }
        let asked: Asked = serde_json::from_value(body).map_err(misread)?;
        match word {
            "sync.resync" | "sync.pause" | "sync.resume" => self.running.table_word(word, &asked.one_table()?).await,
            "console.link" => self.console_link().map(|url| json!({"url": url})),
            "sync.drop" => self.running.drop_source(asked.source.as_deref().unwrap_or_default()).await,
            "access.show" | "access.why" | "access.plan" | "access.offboard" => self.access(word, &asked).await,
            "compare" => self.running.compare(asked.table()?.as_ref()).await,
            "topics.publish" => self.running.topics()?.publish(&asked.topic, asked.lines).await.map(|done| json!(done)),
            "forward.pause" | "forward.resume" => {
                let paused = word == "forward.pause";
                self.running.topics()?.pause(&asked.topic, &asked.forward, paused).await.map(|()| Value::Null)
            }
            "schedule.pause" | "schedule.resume" => {
                let (mart, graph) = (asked.one_table()?, self.running.graph_now()?);
                let flow = &self.running.flow;
                let done = if word == "schedule.pause" {
                    let pause = Pause { by: asked.by, why: asked.why, at_us: now_us() };
                    flow.pause(&graph, &mart, pause).await
                } else {
                    flow.unpause(&graph, &mart, jiff::Timestamp::now()).await
                };
                done.map(|()| Value::Null).map_err(|error| flow_problem(&error))
            }
            "topics.settle" => self.running.topics()?.settle(&asked.topic).await.map(|()| Value::Null),
            "compact" | "vacuum" => self.maintain(word, &asked, progress).await,
            "run" => {
                let handle = self.running.run_marts(&asked.marts, Reason::Manual, asked.by).await?;
                report(watch_run(&self.running, handle, &progress).await?)
            }
            "rollback" => {
                let mart = asked.one_table()?;
                let rollback = Rollback { to: asked.run.map(RunId), by: asked.by, why: asked.why };
                let handle = self.running.roll_back(&mart, rollback).await?;
                report(watch_run(&self.running, handle, &progress).await?)
            }
            "cancel" => Ok(json!(asked.run.is_some_and(|run| self.running.flow.cancel(RunId(run))))),
            "resume" => {
                let handle = self.running.resume_run(asked.run.map(RunId), asked.older).await?;
                report(watch_run(&self.running, handle, &progress).await?)
            }
            _ => Err(Problem::new("cli.word", format!("the running naru does not know \"{word}\""))),
        }
    }
}

fn report(report: RunReport) -> Result<Value, Problem> {
    serde_json::to_value(report).map_err(|error| Problem::from_error("cli.json", "the report has no JSON form", &error))
}

impl Commands {
    /// Where people sign in; without sign-in a link that lets the folder's owner in once.
    fn console_link(&self) -> Result<String, Problem> {
        let settings = &self.running.home.project.settings;
        if let Some(sign_in) = &settings.sign_in {
            return Ok(sign_in.url.to_string());
        }
        let address = self.listeners["http"].as_str().ok_or_else(|| {
            Problem::new("cli.console_off", "the HTTP door is off, and the console with it")
                .hint("Give `http` under [server] in naru.toml an address, for example \"127.0.0.1:6278\".")
        })?;
        let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{address}{}", self.signin.link()?.expose()))
    }

    async fn access(&self, word: &str, asked: &Asked) -> Result<Value, Problem> {
        let (policy, warehouse, desk) = (&self.running.policy, &self.running.warehouse, &*self.running.access);
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        let answer = match word {
            "access.show" => json!(access::show(policy, warehouse, desk, &Principal::Owner).await?),
            "access.why" => json!(access::why(policy, desk, &said(&asked.who), &asked.one_table()?).await?),
            "access.plan" => json!(access::plan(policy, warehouse, desk, &said(&asked.text)).await?),
            _ => json!(access::offboard(policy, desk, &said(&asked.who), asked.to.as_deref()).await?),
        };
        Ok(answer)
    }

    async fn maintain(&self, word: &str, asked: &Asked, progress: mpsc::Sender<Value>) -> Result<Value, Problem> {
        let upkeep = &self.running.upkeep;
        let tables = upkeep.tables(ids(&asked.tables)?).await?;
        let done = match word {
            "compact" => upkeep.compact(tables, progress).await,
            _ => upkeep.vacuum(tables, asked.dry_run, progress).await,
        };
        done.map(|done| json!(done))
    }
}

fn command_problem(error: &CommandError) -> Problem {
    let problem = Problem::new("sync.command", error.to_string());
    match error {
        CommandError::Refused(problem) => (**problem).clone(),
        CommandError::NoTable(_) => problem.hint("`naru status` lists the tables."),
        CommandError::WrongState(..) => problem.hint("`naru status` shows what it waits for."),
        CommandError::NotRunning | CommandError::Failed(_) => problem.later(),
    }
}
