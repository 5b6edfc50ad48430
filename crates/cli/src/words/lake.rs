//! `naru compact` and `naru vacuum`: maintenance now, through the running naru where there is one.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use naru_base::{Problem, TableId};
use naru_store::Lock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Failure;
use crate::{
    home::Home,
    remote,
    running::{sources::disk_marks, upkeep::Upkeep},
};

/// Progress lines that wait for the terminal.
const LINES_WAITING: usize = 64;

/// Join small files and leave dead rows out. Readers see the same rows before and after.
#[derive(Debug, Args)]
pub struct Compact {
    /// Tables (dataset.table); default: all.
    tables: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Remove what no version that can still be read needs.
#[derive(Debug, Args)]
pub struct Vacuum {
    /// Tables (dataset.table); default: all.
    tables: Vec<String>,
    /// Say what would go, and leave it.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Compact {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let tables = ids(&self.tables)?;
        let body = json!({"tables": self.tables});
        let done = ask(place, "compact", &body, |upkeep, progress| async move {
            let tables = upkeep.tables(tables).await?;
            upkeep.compact(tables, progress).await.map(|done| json!(done))
        })
        .await?;
        print(&done, self.json, compacted);
        Ok(())
    }
}

impl Vacuum {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let (tables, dry_run) = (ids(&self.tables)?, self.dry_run);
        let body = json!({"tables": self.tables, "dry_run": dry_run});
        let done = ask(place, "vacuum", &body, |upkeep, progress| async move {
            let tables = upkeep.tables(tables).await?;
            upkeep.vacuum(tables, dry_run, progress).await.map(|done| json!(done))
        })
        .await?;
        print(&done, self.json, if dry_run { would_vacuum } else { vacuumed });
        Ok(())
    }
}

/// Names as a user writes them.
pub fn ids(names: &[String]) -> Result<Vec<TableId>, Problem> {
    let parse = |name: &String| {
        name.parse::<TableId>().map_err(|error| {
            Problem::new("cli.table_name", error.to_string())
                .hint("Write it as dataset.table, for example shop.orders.")
        })
    };
    names.iter().map(parse).collect()
}

/// Asks the running naru, or does it here under the folder's lock.
async fn ask<F: Future<Output = Result<Value, Problem>>>(
    place: Option<PathBuf>,
    word: &str,
    body: &Value,
    here: impl FnOnce(Upkeep, mpsc::Sender<Value>) -> F,
) -> Result<Value, Failure> {
    let home = Home::open(place)?;
    if let Some(client) = remote::find(&home.project.root).await? {
        return remote::call(&client, word, body, |line| eprintln!("{}", progress(&line))).await;
    }
    let lock_path = home.lock_path()?;
    let _lock = Lock::acquire(&lock_path, &format!("naru {word}"), Duration::from_secs(1))
        .map_err(|error| Failure::from(error.problem()))?;
    let upkeep = Upkeep::new(home.lake().await?, disk_marks(&home))?;
    let (sender, mut lines) = mpsc::channel(LINES_WAITING);
    let work = here(upkeep, sender);
    let printing = async {
        while let Some(line) = lines.recv().await {
            eprintln!("{}", progress(&line));
        }
    };
    let (done, ()) = tokio::join!(work, printing);
    done.map_err(Failure::from)
}

/// A line of progress for eyes.
fn progress(line: &Value) -> String {
    let name = line["table"].as_str().unwrap_or("-");
    match line["rows"].as_u64() {
        Some(rows) => format!("{name}: {} files became {}, {rows} rows", line["removed"], line["added"]),
        None => format!("{name}: {} objects, {} bytes", line["removed"], line["bytes"]),
    }
}

fn print(done: &Value, as_json: bool, line: fn(&str, &Value) -> String) {
    if as_json {
        println!("{done:#}");
        return;
    }
    for table in done.as_array().into_iter().flatten() {
        let part = |key: &str| table["table"][key].as_str().unwrap_or("-");
        println!("{}", line(&format!("{}.{}", part("dataset"), part("table")), table));
    }
}

fn number(done: &Value, key: &str) -> u64 {
    done[key].as_u64().unwrap_or(0)
}

fn compacted(name: &str, done: &Value) -> String {
    let (before, after) = (number(done, "files_before"), number(done, "files_after"));
    format!("{name:<32} {before:>6} files -> {after:>5}  {:>12} rows written", number(done, "rows"))
}

fn objects(done: &Value) -> usize {
    done["removed"].as_array().map_or(0, Vec::len)
}

fn vacuumed(name: &str, done: &Value) -> String {
    format!("{name:<32} {:>6} objects removed  {:>14} bytes", objects(done), number(done, "bytes"))
}

fn would_vacuum(name: &str, done: &Value) -> String {
    format!("{name:<32} {:>6} objects would go {:>14} bytes", objects(done), number(done, "bytes"))
}
