//! `naru sql --server`: a query at a naru elsewhere, over its HTTP API.
//!
//! Owns: asking, waiting, cancelling and printing. The naru there decides what may be seen and writes the rows in their
//! format; here they only pass through.

use std::{io::Write as _, time::Duration};

use naru_base::Problem;
use naru_warehouse::output::Format;
use serde::Deserialize;
use serde_json::json;

use super::{
    Failure,
    interrupt::Interrupt,
    progress::{ProgressLine, Standing},
};
use crate::logins::{Server, json};

/// How often the query is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is asked.
pub(super) struct Asked {
    pub sql: String,
    pub dataset: Option<String>,
    pub rows_max: Option<usize>,
    pub format: Format,
    pub bom: bool,
}

#[derive(Deserialize)]
struct Query {
    id: String,
    state: String,
    rows: u64,
    rows_total: Option<u64>,
    complete: bool,
    progress: Progress,
    problem: Option<Told>,
}

#[derive(Deserialize)]
struct Progress {
    rows_read: u64,
    rows_total: Option<u64>,
    bytes_spilled: u64,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    summary: String,
    detail: Option<String>,
    hint: Option<String>,
}

/// Runs a query there and prints its rows.
pub(super) async fn run(server: &Server, asked: Asked) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let body = json!({"sql": asked.sql, "dataset": asked.dataset, "rows_max": asked.rows_max});
    let query: Query = json(server.post("api/v1/queries", &body).await?).await?;
    let id = query.id.clone();
    tokio::select! {
        done = follow(server, query, &asked) => done,
        () = interrupt.pressed() => {
            server.post(&format!("api/v1/queries/{id}/cancel"), &json!({})).await?;
            Err(Problem::new("sql.cancelled", "the query was cancelled").into())
        }
    }
}

async fn follow(server: &Server, mut query: Query, asked: &Asked) -> Result<(), Failure> {
    let mut line = ProgressLine::begin();
    while matches!(query.state.as_str(), "queued" | "running") {
        tokio::time::sleep(LOOK_EVERY).await;
        query = json(server.get(&format!("api/v1/queries/{}", query.id)).await?).await?;
        let Progress { rows_read, rows_total, bytes_spilled } = query.progress;
        line.draw(Standing { rows: rows_read, rows_total, spilled: bytes_spilled });
    }
    line.clear();
    if let Some(told) = query.problem {
        let mut problem = Problem::new(told.code, told.summary);
        (problem.detail, problem.hint) = (told.detail, told.hint);
        return Err(problem.into());
    }
    let path = format!("api/v1/queries/{}/download?format={}&plain=true&part=kept", query.id, asked.format.word());
    let mut file = server.get(&path).await?;
    let mut out = std::io::stdout().lock();
    if asked.bom {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let broken = |error: reqwest::Error| {
        let problem =
            Problem::from_error("sql.broken_off", "the rows broke off before their end", &error.without_url());
        Failure::from(problem.later())
    };
    while let Some(chunk) = file.chunk().await.map_err(broken)? {
        match out.write_all(&chunk) {
            // `naru sql … | head` is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    out.flush()?;
    if !query.complete {
        let all = query.rows_total.map(|total| format!(" of {total}")).unwrap_or_default();
        eprintln!("the first {} rows{all}; `--rows all` asks for every one", query.rows);
    }
    Ok(())
}
