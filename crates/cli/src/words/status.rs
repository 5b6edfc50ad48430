//! `naru status`: one line per source, table and mart; works while naru runs and when it does not.

use std::path::PathBuf;

use clap::Args;
use naru_flow::history;
use naru_store::{sync_sources, sync_tables};
use serde_json::{Value, json};

use super::Failure;
use crate::{home::Home, remote};

/// One line per table and mart: state, freshness, last error, next step.
#[derive(Debug, Args)]
pub struct Status {
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place)?;
        let status = match remote::find(&home.project.root).await? {
            Some(client) => client.status().await.map_err(|error| Failure::from(error.problem()))?,
            None => at_rest(&home).await?,
        };
        if self.json {
            println!("{status:#}");
        } else {
            print!("{}", text(&status));
        }
        Ok(())
    }
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
    for source in known {
        let vanished = home.project.source(&source.source).is_none();
        let of_source: Vec<Value> = tables
            .iter()
            .filter(|table| table.source == source.source)
            .map(|table| {
                json!({"table": table.lake, "source_table": format!("{}.{}", table.schema, table.table),
                       "state": table.state.as_str(), "reason": table.reason, "fix": table.fix})
            })
            .collect();
        let problem = vanished.then(|| {
            json!({"code": "sync.source_vanished",
                   "summary": format!("the file of source {} is gone, its slot still keeps WAL", source.source),
                   "hint": format!("Put sources/{0}.toml back, or run `naru sync drop {0}`.", source.source)})
        });
        sources.push(json!({"source": source.source, "phase": "stopped", "problem": problem, "tables": of_source}));
    }
    Ok(json!({"project": name, "running": false, "ready": false, "sources": sources,
              "marts": marts.unwrap_or_default()}))
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
        if let Some(summary) = source["problem"]["summary"].as_str() {
            lines.push(format!("  ! {summary}"));
            lines.extend(source["problem"]["hint"].as_str().map(|hint| format!("    {hint}")));
        }
        for table in source["tables"].as_array().into_iter().flatten() {
            lines.push(table_line(table));
            lines.extend(table["fix"].as_str().map(|fix| format!("      {fix}")));
        }
    }
    for mart in status["marts"].as_array().into_iter().flatten() {
        lines.push(mart_line(mart));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn table_line(table: &Value) -> String {
    let name = format!("{}.{}", word(&table["table"]["dataset"]), word(&table["table"]["table"]));
    let rows = table["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows"));
    let lag = table["lag_ms"].as_u64().map_or(String::new(), |lag| format!("lag {lag} ms"));
    let reason = table["reason"].as_str().unwrap_or_default();
    format!("  {name:<32} {:<12} {rows:>14}  {lag:<12} {reason}", word(&table["state"])).trim_end().to_owned()
}

fn mart_line(mart: &Value) -> String {
    let name = format!("{}.{}", word(&mart["mart"]["dataset"]), word(&mart["mart"]["table"]));
    let latest = &mart["latest"][1];
    let state = latest["state"].as_str().unwrap_or("never ran");
    let rows = latest["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows"));
    let cause = latest["cause"].as_str().unwrap_or_default();
    format!("  {name:<32} {state:<12} {rows:>14}  {cause}").trim_end().to_owned()
}
