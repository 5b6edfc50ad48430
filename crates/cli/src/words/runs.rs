//! `naru run`, `naru resume` and `naru rollback`: marts now, with talk on standard error and the report on standard
//! output. Ctrl-C cancels the run, which `naru resume` goes on with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use naru_base::{Problem, RunId};
use naru_flow::{
    RunHandle,
    rollback::Rollback as Asked,
    run::{Reason, RunState},
};
use naru_store::Lock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Failure,
    interrupt::Interrupt,
    lake::ids,
    steps::{self, Steps},
};
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
    /// Publish its results although newer runs have published newer ones.
    #[arg(long)]
    older: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Publish an earlier result of a mart again, as a new version. The mart's next run publishes anew.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The mart (dataset.table).
    mart: String,
    /// The run whose result is wanted; default: the one before what is live.
    #[arg(long, value_name = "RUN")]
    to: Option<i64>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let body = json!({"marts": self.marts, "by": login()});
        let report = ask(place, "run", body, |running| {
            let marts = self.marts.clone();
            async move { running.run_marts(&marts, Reason::Manual, login()).await }
        })
        .await?;
        ended(&report, self.json)
    }
}

impl Resume {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let body = json!({"run": self.run, "older": self.older});
        let (run, older) = (self.run.map(RunId), self.older);
        let report = ask(place, "resume", body, |running| async move { running.resume_run(run, older).await }).await?;
        ended(&report, self.json)
    }
}

impl Rollback {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let names = ids(std::slice::from_ref(&self.mart))?;
        let Some(mart) = names.into_iter().next() else { return Err(Failure::Misused("a mart is needed".into())) };
        let body = json!({"table": self.mart, "run": self.to, "by": login(), "why": self.why});
        let asked = Asked { to: self.to.map(RunId), by: login(), why: self.why.clone() };
        let report = ask(place, "rollback", body, |running| async move { running.roll_back(&mart, asked).await });
        ended(&report.await?, self.json)?;
        if !self.json {
            eprintln!("the next run of {}, also one by schedule, publishes anew", self.mart);
        }
        Ok(())
    }
}

/// The name the person has logged in with, for the history.
pub(super) fn login() -> Option<String> {
    let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    named("USER").or_else(|| named("LOGNAME"))
}

/// Asks the running naru, or does it here under the folder's lock.
async fn ask<F, Fut>(place: Option<PathBuf>, word: &str, body: Value, start: F) -> Result<Value, Failure>
where
    F: FnOnce(Arc<Running>) -> Fut,
    Fut: Future<Output = Result<RunHandle, Problem>>,
{
    let root = home::find(place)?;
    let interrupt = Interrupt::listen()?;
    let steps = Steps::begin();
    if let Some(client) = remote::find(&root).await? {
        let call = remote::call(&client, word, &body, |line| steps.hear(&line));
        tokio::pin!(call);
        let done = tokio::select! {
            done = &mut call => done,
            () = interrupt.pressed() => {
                steps.cancelling();
                let run = json!({"run": steps.run()});
                remote::call(&client, "cancel", &run, drop).await?;
                call.await
            }
        };
        return done.map_err(|failure| left_alone(failure, steps.run()));
    }
    let home = Home::open(Some(root))?;
    let lock_path = home.lock_path()?;
    let _lock =
        Lock::acquire(&lock_path, word, Duration::from_secs(10)).map_err(|error| Failure::from(error.problem()))?;
    let running = Arc::new(Running::start(home, false).await?);
    let report = here(&running, start(running.clone()).await?, &steps, &interrupt).await;
    running.flow.stop().await;
    report
}

/// Says what becomes of a run whose naru ended, or stopped answering, in the middle of it.
fn left_alone(failure: Failure, run: Option<i64>) -> Failure {
    let lost = |problem: &Problem| problem.code == "server.lost";
    let Failure::Problems(problems) = failure else { return failure };
    if !problems.iter().any(lost) {
        return Failure::Problems(problems);
    }
    let problem = match run {
        Some(run) => Problem::new("cli.run_left", format!("the running naru ended in the middle of run {run}"))
            .detail("What it published stays published; a mart that was being built keeps its earlier rows.")
            .hint(format!("`naru resume {run}` goes on with it, with `naru up` running again or without.")),
        None => Problem::new("cli.run_left", "the running naru ended before it named a run")
            .hint("`naru runs` says whether one began, and `naru resume` goes on with it."),
    };
    problem.later().into()
}

/// Watches a run of this process to its end.
async fn here(
    running: &Arc<Running>,
    handle: RunHandle,
    steps: &Steps,
    interrupt: &Interrupt,
) -> Result<Value, Failure> {
    let run = handle.run;
    let (send, mut lines) = mpsc::channel(64);
    let watched = running.clone();
    let watch = tokio::spawn(async move { watch_run(&watched, handle, &send).await });
    let listen = async {
        while let Some(line) = lines.recv().await {
            steps.hear(&line);
        }
    };
    tokio::pin!(listen);
    tokio::select! {
        () = &mut listen => {}
        () = interrupt.pressed() => {
            steps.cancelling();
            running.flow.cancel(run);
            listen.await;
        }
    }
    let report = watch.await.map_err(|error| std::io::Error::other(error.to_string()))??;
    serde_json::to_value(report)
        .map_err(|error| Problem::from_error("cli.json", "the report has no JSON form", &error).into())
}

fn ended(report: &Value, json: bool) -> Result<(), Failure> {
    if json {
        println!("{report:#}");
    } else {
        for mart in report["marts"].as_array().into_iter().flatten() {
            println!("{}", steps::line(mart));
        }
        println!("run {}: {}", report["run"], report["state"].as_str().unwrap_or("-"));
        for mart in report["marts"].as_array().into_iter().flatten() {
            eprint!("{}", steps::reason(mart));
        }
    }
    let state = &report["state"];
    if *state == RunState::Done.word() {
        return Ok(());
    }
    if !json {
        eprintln!("\n`naru resume {}` goes on with it; what is done stays done.", report["run"]);
    }
    Err(Failure::Said)
}
