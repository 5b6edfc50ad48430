//! `naru dead`: what did not fit, why, and mending it.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use naru_base::Problem;
use naru_store::Lock;
use naru_warehouse::Warehouse;
use serde_json::{Value, json};

use super::{Failure, sql::Sql};
use crate::{
    adapters::tables::LiveTables,
    home::Home,
    remote,
    running::{
        self,
        letters::{self, DiscardLetters, Discarded, Replay, Replayed},
        topics::RunningTopics,
    },
};

/// Look at events that a topic's table or forward could not take, mend them and try them again.
#[derive(Debug, Subcommand)]
pub enum Dead {
    /// Group dead letters by what is wrong with them.
    List(List),
    /// Print one dead letter as JSON, with the event that was sent.
    Show(Show),
    /// Try dead letters again, mended or as they are: each only in the sink that it died in.
    Replay(Again),
    /// Say of dead letters that nobody needs them: they stay in the table, with who said so and why.
    Discard(GiveUp),
}

/// Group dead letters by what is wrong with them.
#[derive(Debug, Args)]
pub struct List {
    /// The topic.
    topic: String,
    /// Also those that were replayed or discarded.
    #[arg(long)]
    all: bool,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

/// Print one dead letter.
#[derive(Debug, Args)]
pub struct Show {
    /// The topic.
    topic: String,
    /// Its id; `SELECT id FROM topics.NAME__dead` lists them.
    id: u64,
}

/// Try dead letters again.
#[derive(Debug, Args)]
pub struct Again {
    /// The topic.
    topic: String,
    /// Which: a condition on the columns of topics.NAME__dead, for example "path = '$.user_id'". Default: all dead ones.
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// Give a field of the event a value, for example --set user.id=7; may be repeated.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Mend events by a query that gives id and data (and sink, for forwards).
    #[arg(long, value_name = "SELECT", conflicts_with = "set")]
    with_sql: Option<String>,
    /// Only count what would fit.
    #[arg(long)]
    dry_run: bool,
    /// Also those that were tried five times already.
    #[arg(long)]
    force: bool,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// Say of dead letters that nobody needs them.
#[derive(Debug, Args)]
pub struct GiveUp {
    /// The topic.
    topic: String,
    /// Which: a condition on the columns of topics.NAME__dead, for example "path = '$.user_id'". Default: all dead ones.
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// Why nobody needs them.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

impl Dead {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::look(place.clone())?;
        let topic = match &self {
            Self::List(list) => &list.topic,
            Self::Show(show) => &show.topic,
            Self::Replay(again) => &again.topic,
            Self::Discard(given_up) => &given_up.topic,
        };
        if !home.project.topics.iter().any(|known| known.name == *topic) {
            let known: Vec<&str> = home.project.topics.iter().map(|topic| topic.name.as_str()).collect();
            let hint = format!("Topics with a file are: {}.", known.join(", "));
            return Err(Problem::new("topics.missing", format!("there is no topic \"{topic}\"")).hint(hint).into());
        }
        match self {
            Self::List(list) => Sql::printing(list.sql(), list.json).run(place).await,
            Self::Show(show) => Sql::printing(show.sql(), true).run(place).await,
            Self::Replay(again) => again.run(&home).await,
            Self::Discard(given_up) => given_up.run(&home).await,
        }
    }
}

impl List {
    fn sql(&self) -> String {
        let (table, filter) = (letters::table(&self.topic), if self.all { "TRUE" } else { "status = 'dead'" });
        let status = if self.all { "status, " } else { "" };
        let by = format!("{status}sink, reason, path, expected, got");
        // Which element of an array, and which byte of a text, is not what is wrong with it.
        let alike =
            r"REGEXP_REPLACE(path, r'\[[0-9]+\]', '[*]') AS path, REGEXP_REPLACE(got, r' at byte [0-9]+', '') AS got";
        format!(
            "SELECT COUNT(*) AS letters, {by}, MIN(first_seen) AS first_seen, MAX(last_seen) AS last_seen, \
             MIN(id) AS example FROM (SELECT * REPLACE ({alike}) FROM {table} WHERE {filter}) \
             GROUP BY {by} ORDER BY letters DESC, example"
        )
    }
}

impl Show {
    fn sql(&self) -> String {
        format!(
            "SELECT id, sink, status, reason, path, expected, got, attempts, schema_revision, first_seen, last_seen, \
             replayed_at, discarded_at, discarded_by, discard_reason, event_id, ordering_key, attributes, SAFE_CONVERT_BYTES_TO_STRING(data) AS event \
             FROM {} WHERE id = {} ORDER BY sink",
            letters::table(&self.topic),
            self.id
        )
    }
}

impl Again {
    async fn run(self, home: &Home) -> Result<(), Failure> {
        let asked = Replay {
            topic: self.topic,
            filter: self.filter,
            set: self.set,
            with_sql: self.with_sql,
            dry_run: self.dry_run,
            force: self.force,
        };
        let done: Replayed = if let Some(client) = remote::find(&home.project.root).await? {
            answer(&client, "dead.replay", &json!(asked)).await?
        } else {
            let work =
                async |warehouse: &Warehouse, topics: &RunningTopics| letters::replay(warehouse, topics, &asked).await;
            here(home, &asked.topic, "naru dead replay", work).await?
        };
        if self.json {
            println!("{:#}", json!(done));
        } else {
            print(&asked, &done);
        }
        Ok(())
    }
}

impl GiveUp {
    async fn run(self, home: &Home) -> Result<(), Failure> {
        let asked = DiscardLetters {
            topic: self.topic,
            filter: self.filter,
            reason: self.reason,
            by: super::runs::login(),
            dry_run: self.dry_run,
        };
        let done: Discarded = if let Some(client) = remote::find(&home.project.root).await? {
            answer(&client, "dead.discard", &json!(asked)).await?
        } else {
            let work =
                async |warehouse: &Warehouse, topics: &RunningTopics| letters::discard(warehouse, topics, &asked).await;
            here(home, &asked.topic, "naru dead discard", work).await?
        };
        if self.json {
            println!("{:#}", json!(done));
            return Ok(());
        }
        println!("{} dead letters chosen", done.letters);
        if !asked.dry_run {
            println!("{} are discarded", done.discarded);
        }
        Ok(())
    }
}

/// What the running naru answers.
async fn answer<T: serde::de::DeserializeOwned>(
    client: &naru_server::control::Client,
    word: &str,
    asked: &Value,
) -> Result<T, Failure> {
    let answer = remote::call(client, word, asked, |_| {}).await?;
    let answer = serde_json::from_value(answer)
        .map_err(|error| Problem::from_error("cli.answer", "the answer was not understood", &error))?;
    Ok(answer)
}

/// With nothing running: the topics are opened for as long as it takes.
async fn here<T>(
    home: &Home,
    topic: &str,
    word: &str,
    work: impl AsyncFnOnce(&Warehouse, &RunningTopics) -> Result<T, Problem>,
) -> Result<T, Failure> {
    let lock_path = home.lock_path()?;
    let _lock =
        Lock::acquire(&lock_path, word, Duration::from_secs(1)).map_err(|error| Failure::from(error.problem()))?;
    let (lake, store) = (home.lake().await?, home.store()?);
    let topics = RunningTopics::open(home, &lake, &store).await?;
    let live = LiveTables { sets: vec![topics.topics.set()] };
    let warehouse = running::warehouse(
        home,
        &lake,
        Some(&store),
        live,
        (naru_access::Policy::default(), naru_access::audit::Audit::none()),
    )?;
    let settled = topics.settle(topic).await;
    let done = match settled {
        Ok(()) => work(&warehouse, &topics).await,
        Err(problem) => Err(problem),
    };
    topics.topics.stop().await;
    Ok(done?)
}

fn print(asked: &Replay, done: &Replayed) {
    for fault in &done.faults {
        eprintln!("{}: {}", fault["id"], fault["why"].as_str().unwrap_or_default());
    }
    let told = naru_base::number::u64_from(done.faults.len());
    let more = (done.unfit + done.unmended).saturating_sub(told);
    if more > 0 {
        eprintln!("and {more} more");
    }
    println!("{} dead letters chosen", done.letters);
    let line = |count: u64, what: &str| {
        if count > 0 {
            println!("{count} {what}");
        }
    };
    line(done.unfit, "still do not fit and stay as they are");
    line(done.unmended, "cannot be edited as asked and stay as they are");
    line(done.worn, "were tried five times already; --force tries them again");
    line(done.strange, "rows of the query name no dead letter");
    if asked.dry_run {
        line(done.unjudged, "would be tried by a forward, which nothing else can judge");
        println!("{} would fit", done.fit);
        return;
    }
    line(done.unjudged, "go to the forward that they died in");
    line(done.fit.saturating_sub(done.in_table), "were refused by the table for another reason");
    println!("{} are in the table now", done.in_table);
}
