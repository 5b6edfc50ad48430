//! `naru run` and `naru resume`: marts now, with a line a step on standard error.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use naru_base::RunId;
use naru_flow::run::{Reason, RunState};
use naru_store::Lock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Failure;
use crate::{
    home::{self, Home},
    remote,
    running::{Running, control::watch_run},
};

/// Run marts now, in dependency order.
#[derive(Debug, Args)]
pub struct Run {
    /// Marts: NAME, NAME+ (and what reads it), +NAME (and what it reads), dataset.*; default: all.
    marts: Vec<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Go on where a failed run stopped.
#[derive(Debug, Args)]
pub struct Resume {
    /// The run; default: the latest that did not go well.
    run: Option<i64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let body = json!({"marts": self.marts});
        let report = ask(place, "run", body, |running| {
            let marts = self.marts.clone();
            async move { running.run_marts(&marts, Reason::Manual).await }
        })
        .await?;
        ended(&report, self.json)
    }
}

impl Resume {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let body = json!({"run": self.run});
        let run = self.run.map(RunId);
        let report = ask(place, "resume", body, |running| async move { running.resume_run(run).await }).await?;
        ended(&report, self.json)
    }
}

/// Asks the running naru, or does it here under the folder's lock.
async fn ask<F, Fut>(place: Option<PathBuf>, word: &str, body: Value, start: F) -> Result<Value, Failure>
where
    F: FnOnce(Arc<Running>) -> Fut,
    Fut: Future<Output = Result<naru_flow::RunHandle, naru_base::Problem>>,
{
    let root = home::find(place)?;
    if let Some(client) = remote::find(&root).await? {
        return remote::call(&client, word, &body, |step| eprintln!("{}", step_line(&step))).await;
    }
    let home = Home::open(Some(root))?;
    let lock_path = home.lock_path()?;
    let _lock =
        Lock::acquire(&lock_path, word, Duration::from_secs(10)).map_err(|error| Failure::from(error.problem()))?;
    let running = Arc::new(Running::start(home, false).await?);
    let (send, mut lines) = mpsc::channel(64);
    let printer = tokio::spawn(async move {
        while let Some(step) = lines.recv().await {
            eprintln!("{}", step_line(&step));
        }
    });
    let handle = start(running.clone()).await?;
    let report = watch_run(&running, handle, &send).await?;
    drop(send);
    if printer.await.is_err() {
        tracing::debug!("the printer of steps ended badly");
    }
    running.flow.stop().await;
    serde_json::to_value(report)
        .map_err(|error| naru_base::Problem::from_error("cli.json", "the report has no JSON form", &error).into())
}

fn step_line(step: &Value) -> String {
    let name = format!(
        "{}.{}",
        step["mart"]["dataset"].as_str().unwrap_or("-"),
        step["mart"]["table"].as_str().unwrap_or("-")
    );
    let rows = step["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows"));
    let cause = step["cause"].as_str().unwrap_or_default();
    let elapsed = step["elapsed_ms"].as_u64().unwrap_or(0);
    format!("{name:<32} {:<12} {rows:>14} {elapsed:>7} ms  {cause}", step["state"].as_str().unwrap_or("-"))
        .trim_end()
        .to_owned()
}

fn ended(report: &Value, json: bool) -> Result<(), Failure> {
    if json {
        println!("{report:#}");
    } else {
        for mart in report["marts"].as_array().into_iter().flatten() {
            println!("{}", step_line(mart));
        }
        println!("run {}: {}", report["run"], report["state"].as_str().unwrap_or("-"));
    }
    if report["state"] == RunState::Done.word() { Ok(()) } else { Err(Failure::Said) }
}
