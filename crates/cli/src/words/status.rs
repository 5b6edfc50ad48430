//! `naru status`: one line per source, table and mart; works while naru runs and when it does not.

use std::{io::IsTerminal as _, path::PathBuf};

use clap::Args;
use naru_flow::history;
use naru_store::{sync_sources, sync_tables};
use serde_json::{Value, json};

use super::{Failure, steps::padded, topic_lines};
use crate::{
    home::{self, Home},
    remote,
    running::vanished,
};

/// One line per table and mart: state, freshness, last error, next step.
#[derive(Debug, Args)]
pub struct Status {
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let root = home::find(place)?;
        let status = match remote::find(&root).await? {
            Some(client) => client.status().await.map_err(|error| Failure::from(error.problem()))?,
            None => at_rest(&Home::open(Some(root))?).await?,
        };
        if self.json {
            println!("{status:#}");
        } else {
            print!("{}", coloured(&text(&status)));
        }
        Ok(())
    }
}

/// Lines that tell a problem in red, on a terminal that is not told to do without colours.
fn coloured(text: &str) -> String {
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return text.to_owned();
    }
    let red =
        |line: &str| if line.starts_with("  ! ") { format!("\x1b[31m{line}\x1b[0m\n") } else { format!("{line}\n") };
    text.lines().map(red).collect()
}

/// What the state database holds while nothing runs.
async fn at_rest(home: &Home) -> Result<Value, Failure> {
    let name = &home.project.settings.name;
    let Some(store) = home.store_for_reading()? else {
        return Ok(json!({"project": name, "running": false, "ready": false, "sources": [], "marts": []}));
    };
    let failed = |error: naru_store::StoreError| Failure::from(error.problem());
    let tables = store.read(|db| sync_tables::list(db, None)).await.map_err(failed)?;
    let known = store.read(|db| sync_sources::list(db)).await.map_err(failed)?;
    let (graph, _) = home.graph(&home.known_tables()?);
    let marts = history::status(&store, &graph, jiff::Timestamp::now()).await;
    let mut sources = Vec::new();
    for source in known.into_iter().filter(|source| home.project.source(&source.source).is_some()) {
        let of_source = tables.iter().filter(|table| table.source == source.source);
        let of_source: Vec<Value> = of_source.map(vanished::table).collect();
        sources.push(json!({"source": source.source, "phase": "stopped", "problem": null, "tables": of_source}));
    }
    sources.extend(vanished::list(home, &store).await?);
    let topics: Vec<Value> =
        home.project.topics.iter().map(|topic| json!({"topic": topic.name, "declared": true})).collect();
    Ok(json!({"project": name, "running": false, "ready": false, "sources": sources,
              "marts": marts.unwrap_or_default(), "topics": {"topics": topics}}))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// The status for eyes.
pub fn text(status: &Value) -> String {
    let mut lines = Vec::new();
    let running = if status["running"] == true { "running" } else { "not running" };
    lines.push(format!("project {} ({running})", word(&status["project"])));
    for source in status["sources"].as_array().into_iter().flatten() {
        lines.push(format!("source {}: {}", word(&source["source"]), word(&source["phase"])));
        let warnings = source["warnings"].as_array().into_iter().flatten();
        for problem in std::iter::once(&source["problem"]).chain(warnings) {
            lines.extend(problem_lines(problem));
        }
        for note in source["notes"].as_array().into_iter().flatten() {
            lines.push(format!("  note: {}", word(&note["summary"])));
            lines.extend(sentences(note));
        }
        for table in source["tables"].as_array().into_iter().flatten() {
            lines.push(table_line(table, word(&source["phase"])));
            lines.extend(table["fix"].as_str().map(|fix| format!("      {fix}")));
        }
    }
    lines.extend(topic_lines::lines(&status["topics"]));
    for problem in status["folder"].as_array().into_iter().flatten() {
        let place = &problem["place"];
        let (file, line) = (word(&place["file"]), &place["line"]);
        lines.push(format!(
            "  ! {file}:{line}: {}; runs and schedules go by what was there before",
            word(&problem["summary"])
        ));
    }
    for problem in status["access"].as_array().into_iter().flatten() {
        let (file, line) = (word(&problem["place"]["file"]), &problem["place"]["line"]);
        let place = if file.is_empty() { String::new() } else { format!("{file}:{line}: ") };
        lines.push(format!("  ! {place}{}; the last good rights stay in force", word(&problem["summary"])));
    }
    for mart in status["marts"].as_array().into_iter().flatten() {
        lines.push(mart_line(mart));
    }
    lines.extend(lake_lines(&status["lake"]));
    lines.push(String::new());
    lines.join("\n")
}

/// A problem in lines, the first of which stands out; none for null.
pub(super) fn problem_lines(problem: &Value) -> Vec<String> {
    let summary = problem["summary"].as_str().map(|summary| format!("  ! {summary}"));
    summary.into_iter().chain(sentences(problem)).collect()
}

fn sentences(problem: &Value) -> impl Iterator<Item = String> {
    ["detail", "hint"].into_iter().filter_map(|key| problem[key].as_str()).map(|text| format!("    {text}"))
}

/// Why a table is as it is, in the order of what people need first.
fn remarks(table: &Value, phase: &str) -> String {
    let follows = matches!(table["state"].as_str(), Some("live" | "catching_up" | "copying" | "rebuilding"));
    let stands_still = follows && matches!(phase, "waiting" | "connecting" | "preflight" | "vanished");
    let adjusted = table["adjusted_values"].as_u64().filter(|values| *values > 0);
    let remarks = [
        stands_still.then(|| format!("not followed now: its source is {phase}")),
        table["reason"].as_str().map(str::to_owned),
        adjusted.map(|values| format!("{values} values became NULL: infinite, NaN, or out of range")),
    ];
    remarks.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn table_line(table: &Value, phase: &str) -> String {
    let name = format!("{}.{}", word(&table["table"]["dataset"]), word(&table["table"]["table"]));
    let rows = match (table["copied"].as_u64(), table["expected"].as_u64()) {
        (Some(copied), Some(expected)) if expected > 0 => format!("{copied} of about {} rows", expected.max(copied)),
        (Some(copied), _) => format!("{copied} rows copied"),
        (None, _) => table["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows")),
    };
    let lag = table["lag_ms"].as_u64().map_or(String::new(), |lag| format!("lag {lag} ms"));
    let remarks = remarks(table, phase);
    format!("  {name:<32} {:<12} {rows:>14}  {lag:<12} {remarks}", word(&table["state"])).trim_end().to_owned()
}

/// One line for the lake, and one for each table whose maintenance fails.
fn lake_lines(lake: &Value) -> Vec<String> {
    let Some(tables) = lake["tables"].as_array() else { return Vec::new() };
    let name = |table: &Value| format!("{}.{}", word(&table["dataset"]), word(&table["table"]));
    let sum = |key: &str| tables.iter().filter_map(|table| table[key].as_u64()).sum::<u64>();
    let doing = match lake["doing"]["piece"].as_str() {
        Some(piece) => format!("; {} {}", piece.replace('_', " "), name(&lake["doing"]["table"])),
        None => String::new(),
    };
    let (files, mb) = (sum("files"), sum("bytes") / 1_000_000);
    let mut lines = vec![format!("lake: {} tables open, {files} files, {mb} MB{doing}", tables.len())];
    for table in tables {
        let problem = table["upkeep"]["problem"].as_str();
        lines.extend(problem.map(|problem| format!("  ! upkeep of {} failed: {problem}", name(&table["table"]))));
    }
    lines
}

fn mart_line(mart: &Value) -> String {
    let name = format!("{}.{}", word(&mart["mart"]["dataset"]), word(&mart["mart"]["table"]));
    let latest = &mart["latest"][1];
    let state = latest["state"].as_str().unwrap_or("never ran");
    let rows = latest["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows"));
    let rolled = &mart["rolled_back"];
    let rolled_back = rolled["to"].as_i64().map(|to| {
        let by = rolled["by"].as_str().map_or(String::new(), |by| format!(" by {by}"));
        let why = rolled["why"].as_str().map_or(String::new(), |why| format!(": {why}"));
        format!("rolled back to run {to}{by}{why}")
    });
    let checks = mart["failing_checks"].as_array().into_iter().flatten();
    let warned: Vec<String> = checks
        .filter(|check| check["outcome"] == "warn")
        .map(|check| format!("warned by {}", word(&check["check"])))
        .collect();
    let remarks = [
        (!warned.is_empty()).then(|| warned.join(", ")),
        latest["cause"].as_str().map(str::to_owned),
        rolled_back,
        mart["kind"].is_null().then(|| "its file is gone".to_owned()),
        (mart["edited"] == true).then(|| "edited since it was published".to_owned()),
        mart["paused"].is_object().then(|| {
            let by = mart["paused"]["by"].as_str().map_or(String::new(), |by| format!(" by {by}"));
            format!("schedule paused{by}")
        }),
        mart["owner"].as_str().map(|owner| format!("owner {owner}")),
    ];
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    format!("  {} {state:<12} {rows:>14}  {}", padded(&name), remarks.join(" · ")).trim_end().to_owned()
}
