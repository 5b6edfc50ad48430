//! `naru publish`: lines of JSON into a topic, through the running naru where there is one.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use naru_base::Problem;
use naru_server::control::Client;
use naru_store::Lock;
use serde_json::{Value, json};

use super::Failure;
use crate::{home::Home, remote, running::topics::RunningTopics};

/// Lines sent together.
const LINES_MAX: usize = 1_000;
/// Bytes sent together; a longer line goes alone.
const BYTES_MAX: usize = 1 << 20;
/// Faults told one by one.
const TOLD_MAX: u64 = 20;

/// Publish lines of JSON, one event a line. Every accepted line is kept: what does not fit the topic's columns goes to
/// its dead letters.
#[derive(Debug, Args)]
pub struct Publish {
    /// The topic.
    topic: String,
    /// A file of lines; `-` or nothing reads standard input.
    file: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Where the lines go.
enum Way {
    Running(Client),
    Here { topics: Box<RunningTopics>, _lock: Lock },
}

/// What became of all lines.
#[derive(Debug, Default)]
struct Total {
    accepted: u64,
    unfit: u64,
    first: Option<u64>,
    faults: Vec<Value>,
}

impl Publish {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place)?;
        let input: Box<dyn BufRead + Send> = match self.file.as_deref() {
            None => Box::new(BufReader::new(std::io::stdin())),
            Some(path) if path.as_os_str() == "-" => Box::new(BufReader::new(std::io::stdin())),
            Some(path) => Box::new(BufReader::new(std::fs::File::open(path).map_err(|error| {
                let summary = format!("cannot read {}", path.display());
                Problem::from_error("cli.publish_file", summary, &error)
            })?)),
        };
        let way = match remote::find(&home.project.root).await? {
            Some(client) => Way::Running(client),
            None => Way::here(&home).await?,
        };
        let sent = self.send(&way, input).await;
        let visible = way.end(&self.topic).await;
        let total = sent?;
        self.print(&total);
        visible.map_err(|problem| problem.detail("The events are accepted and on the log.").into())
    }

    async fn send(&self, way: &Way, input: Box<dyn BufRead + Send>) -> Result<Total, Failure> {
        let (mut total, mut before) = (Total::default(), 0_usize);
        let mut input = Lines { input, line: 0 };
        loop {
            // Reading may wait for whoever writes.
            let reading = tokio::task::spawn_blocking(move || {
                let read = input.take();
                (input, read)
            });
            let (back, read) = reading.await.map_err(|error| std::io::Error::other(error.to_string()))?;
            input = back;
            let (lines, more) = read?;
            let count = lines.len();
            let texts: Vec<String> = lines.iter().map(|(_, text)| text.clone()).collect();
            let published = way.publish(&self.topic, texts).await?;
            total.take(&published, &lines, before);
            before += count;
            if !more {
                return Ok(total);
            }
        }
    }

    fn print(&self, total: &Total) {
        if self.json {
            let value = json!({"topic": self.topic, "first": total.first, "accepted": total.accepted,
                               "unfit": total.unfit, "faults": total.faults});
            println!("{value:#}");
            return;
        }
        for fault in &total.faults {
            let part = |key: &str| fault[key].as_str().unwrap_or("-");
            eprintln!("line {}: {}: expected {}, got {}", fault["line"], part("path"), part("expected"), part("got"));
        }
        let more = total.unfit.saturating_sub(naru_base::number::u64_from(total.faults.len()));
        if more > 0 {
            eprintln!("and {more} more");
        }
        let events = if total.accepted == 1 { "event" } else { "events" };
        eprintln!("{} {events} accepted by topic {}", total.accepted, self.topic);
        if total.unfit > 0 {
            let topic = &self.topic;
            eprintln!("{} of them do not fit its columns and are kept in topics.{topic}__dead", total.unfit);
        }
    }
}

impl Total {
    fn take(&mut self, published: &Value, lines: &[(u64, String)], before: usize) {
        self.accepted += published["accepted"].as_u64().unwrap_or(0);
        self.first = self.first.or(published["first"].as_u64());
        for fault in published["unfit"].as_array().into_iter().flatten() {
            self.unfit += 1;
            let index = fault["index"].as_u64().map_or(0, naru_base::number::usize_from);
            if self.unfit > TOLD_MAX {
                continue;
            }
            let mut fault = fault.clone();
            fault["line"] = json!(lines.get(index).map(|(line, _)| *line));
            fault["index"] = json!(before + index);
            self.faults.push(fault);
        }
    }
}

impl Way {
    async fn here(home: &Home) -> Result<Self, Failure> {
        let lock_path = home.lock_path()?;
        let lock = Lock::acquire(&lock_path, "naru publish", Duration::from_secs(1))
            .map_err(|error| Failure::from(error.problem()))?;
        let topics = RunningTopics::open(home, &home.lake().await?, &home.store()?).await?;
        Ok(Self::Here { topics: Box::new(topics), _lock: lock })
    }

    async fn publish(&self, topic: &str, lines: Vec<String>) -> Result<Value, Failure> {
        match self {
            Self::Running(client) => {
                let body = json!({"topic": topic, "lines": lines});
                remote::call(client, "topics.publish", &body, |_| {}).await
            }
            Self::Here { topics, .. } => Ok(json!(topics.publish(topic, lines).await?)),
        }
    }

    /// Waits until what was published is visible; closes what was opened.
    async fn end(&self, topic: &str) -> Result<(), Problem> {
        match self {
            Self::Running(client) => {
                let settled = client.call("topics.settle", &json!({"topic": topic}), |_| {}).await;
                settled.map(drop).map_err(|error| error.problem())
            }
            Self::Here { topics, .. } => {
                let settled = topics.settle(topic).await;
                topics.topics.stop().await;
                settled
            }
        }
    }
}

/// Lines as they are read, with their numbers from 1.
struct Lines {
    input: Box<dyn BufRead + Send>,
    line: u64,
}

impl Lines {
    /// The next lines that are not empty, and whether there may be more.
    fn take(&mut self) -> Result<(Vec<(u64, String)>, bool), Problem> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < LINES_MAX && bytes < BYTES_MAX {
            let mut text = Vec::new();
            let read = self.input.read_until(b'\n', &mut text);
            let read =
                read.map_err(|error| Problem::from_error("cli.publish_read", "the lines cannot be read", &error))?;
            if read == 0 {
                return Ok((lines, false));
            }
            self.line += 1;
            let line = self.line;
            let text = String::from_utf8(text).map_err(|_| {
                Problem::new("cli.publish_text", format!("line {line} is not UTF-8"))
                    .detail("Lines before it are accepted; this one and those behind it are not.")
                    .hint("Convert the file to UTF-8, for example with `iconv`, and publish the rest.")
            })?;
            let text = text.trim_end_matches(['\n', '\r']);
            if !text.trim().is_empty() {
                bytes += text.len();
                lines.push((line, text.to_owned()));
            }
        }
        Ok((lines, true))
    }
}
