//! `naru runs`: the history of runs, and one run in full. Works while naru runs and when it does not.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use naru_base::{Problem, RunId};
use naru_flow::history::{self, RunDetail, RunLine};
use naru_store::Store;

use super::{Failure, lake::ids, steps};
use crate::{home::Home, running::flow_failed};

/// Show what was run: when, why, by whom, and how it ended.
#[derive(Debug, Args)]
pub struct Runs {
    /// A run's number shows that run in full; a mart (dataset.table) shows the runs it took part in.
    what: Option<String>,
    /// At most this many runs, newest first.
    #[arg(long, default_value_t = 20)]
    most: u32,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::look(place)?;
        let number = self.what.as_deref().and_then(|what| what.parse().ok()).map(RunId);
        let Some(store) = home.store_for_reading()? else {
            return match number {
                Some(run) => Err(flow_failed(naru_flow::FlowError::NoSuchRun { run })),
                None => self.print_lines(&[], &TimeZone::UTC),
            };
        };
        let zone = home.project.settings.timezone.zone.clone();
        match (number, &self.what) {
            (Some(run), _) => self.one(&store, run, &zone).await,
            (None, what) => {
                let mart = ids(&what.iter().cloned().collect::<Vec<_>>())?.into_iter().next();
                let runs = history::runs(&store, mart, self.most).await.map_err(flow_failed)?;
                self.print_lines(&runs, &zone)
            }
        }
    }

    async fn one(&self, store: &Store, run: RunId, zone: &TimeZone) -> Result<(), Failure> {
        let detail = history::detail(store, run).await.map_err(flow_failed)?;
        if self.json {
            println!("{:#}", json(&detail)?);
        } else {
            print!("{}", one_text(&detail, zone)?);
        }
        Ok(())
    }

    fn print_lines(&self, runs: &[RunLine], zone: &TimeZone) -> Result<(), Failure> {
        if self.json {
            println!("{:#}", json(&runs)?);
        } else {
            for run in runs {
                println!("{}", line_text(run, zone));
            }
        }
        Ok(())
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(value).map_err(|error| Problem::from_error("cli.json", "the runs have no JSON form", &error))
}

fn when(at_us: i64, zone: &TimeZone) -> String {
    let Ok(at) = Timestamp::from_microsecond(at_us) else { return "-".to_owned() };
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn line_text(run: &RunLine, zone: &TimeZone) -> String {
    let took = run
        .ended_us
        .map_or(String::new(), |ended| format!("{:.1} s", f64_from_ms(ended.saturating_sub(run.started_us) / 1_000)));
    let marts: Vec<String> = run.marts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let number = run.run.to_string();
    let mut text = format!(
        "{number:>6}  {}  {:<11} {took:>9}  {:<8}  {}",
        when(run.started_us, zone),
        run.state,
        run.reason,
        marts.join(", ")
    );
    for part in [
        (!run.requested.is_empty()).then(|| run.requested.clone()),
        run.asked_by.as_ref().map(|by| format!("by {by}")),
        run.why.clone(),
    ]
    .into_iter()
    .flatten()
    {
        let _ = write!(text, "  · {part}");
    }
    text
}

fn f64_from_ms(ms: i64) -> f64 {
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

fn one_text(detail: &RunDetail, zone: &TimeZone) -> Result<String, Problem> {
    let mut text = format!("{}\n", line_text(&detail.line, zone).trim_start());
    let positions = detail.cut.as_ref().and_then(|cut| cut["positions"].as_object());
    for (source, position) in positions.into_iter().flatten() {
        let _ = writeln!(text, "  read {source} at {}", position.as_str().unwrap_or("-"));
    }
    for node in &detail.nodes {
        let node_json = json(node)?;
        let _ = writeln!(text, "  {}", steps::line(&node_json));
        for check in detail.failing_checks.get(&node.mart.to_string()).into_iter().flatten() {
            let _ = writeln!(text, "      {} {}: {} rows", check.outcome, check.check, check.failing);
        }
    }
    for node in &detail.nodes {
        text.push_str(&steps::reason(&json(node)?));
    }
    Ok(text)
}
