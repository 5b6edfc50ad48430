//! Dead letters of a topic: which there are, what would become of them, trying them once more, and giving them up.
//!
//! Owns: the way from `naru dead replay` and `naru dead discard` to the topic's log: SQL chooses letters, edits or SQL mend them, the topic's
//! check says which fit, and only those go. Never prints.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray as _},
    compute::cast,
    datatypes::{DataType, Int64Type},
    error::ArrowError,
    record_batch::RecordBatch,
};
use naru_access::Principal;
use naru_access::{Policy, audit::Audit};
use naru_base::{
    Problem,
    number::{u64_from, u64_from_signed},
};
use naru_project::{Project, Topic};
use naru_store::DATABASE_FILE;
use naru_topics::{
    CLOCK_AHEAD, CLOCK_LATE, Incoming, TABLE_SINK,
    mend::{Edit, mend},
    replay::{ATTEMPTS_MAX, Checker, Discard, Letter},
};
use naru_warehouse::{ResultSet, SessionOptions, Warehouse, WarehouseError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::topics::RunningTopics;
use crate::{adapters::tables::LiveTables, home::Home};

/// Letters, and bytes of them, that are replayed together.
const LETTERS_MAX: usize = 500;
const BYTES_MAX: usize = 4 << 20;
/// Faults that are told one by one.
const TOLD_MAX: usize = 20;
/// Letters that are looked at to say how many would fit now.
const LOOKED_AT_MAX: usize = 50_000;

/// What `naru dead replay` asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// The topic.
    pub topic: String,
    /// Which letters: a condition on the columns of the dead-letter table; all that are dead when it is missing.
    pub filter: Option<String>,
    /// Edits, `path=value`.
    pub set: Vec<String>,
    /// A query with the columns `id`, `data` and, for other sinks than the table, `sink`.
    pub with_sql: Option<String>,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Also letters that were tried too often.
    pub force: bool,
}

/// What became of the letters that were asked for, or would become of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replayed {
    /// Dead letters that the condition or the query chose.
    pub letters: u64,
    /// Those that fit the topic's columns and are tried.
    pub fit: u64,
    /// Those of other sinks, which nothing but the sink itself can judge; they are tried.
    pub unjudged: u64,
    /// Those that still do not fit, and are left as they are.
    pub unfit: u64,
    /// Those that cannot be edited as asked.
    pub unmended: u64,
    /// Those that were tried too often before.
    pub worn: u64,
    /// Rows of the query that are no dead letter.
    pub strange: u64,
    /// Tried ones that are in the table now.
    pub in_table: u64,
    /// Why some are left, the first ones.
    pub faults: Vec<Value>,
}

/// What `naru dead discard` asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscardLetters {
    /// The topic.
    pub topic: String,
    /// Which letters, as of [`Replay::filter`].
    pub filter: Option<String>,
    /// Why nobody needs them; stands beside each of them.
    pub reason: String,
    /// Who says so.
    pub by: Option<String>,
    /// Only count them.
    pub dry_run: bool,
}

/// What became of letters that nobody needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Discarded {
    /// Dead letters that the condition chose.
    pub letters: u64,
    /// Those that are discarded now.
    pub discarded: u64,
}

/// The table of a topic's dead letters, for SQL.
pub fn table(topic: &str) -> String {
    format!("`topics`.`{topic}__dead`")
}

/// Replays, or says what a replay would do.
///
/// # Errors
/// No such topic, SQL that is wrong, an edit that is none, a log that takes nothing. Letters that were tried before the
/// error are done; asking again goes on with the others.
pub async fn replay(warehouse: &Warehouse, topics: &RunningTopics, asked: &Replay) -> Result<Replayed, Problem> {
    let edits = asked.set.iter().map(|text| Edit::parse(text)).collect::<Result<Vec<Edit>, _>>();
    let edits = edits.map_err(|error| {
        Problem::new("dead.edit", error.to_string()).hint("Write --set path=value, for example --set user.id=7.")
    })?;
    let mended = match &asked.with_sql {
        Some(sql) => Some(mended_by(warehouse, sql).await?),
        None => None,
    };
    let mut work = Work { topics, asked, edits, mended, done: Replayed::default(), sent: Vec::new() };
    let mut rows = run(warehouse, &chosen(asked)).await?;
    let mut some = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = rows.next().await {
        for letter in letters(&batch.map_err(|error| error.problem())?)? {
            bytes += letter.data.len();
            some.push(letter);
            if some.len() >= LETTERS_MAX || bytes >= BYTES_MAX {
                work.take(std::mem::take(&mut some)).await?;
                bytes = 0;
            }
        }
    }
    work.take(some).await?;
    work.end(warehouse).await
}

/// Says of dead letters that nobody needs them, or counts them.
///
/// # Errors
/// No such topic, a condition that is wrong, a log that takes nothing. Letters that were named before the error are
/// discarded; asking again goes on with the others.
pub async fn discard(
    warehouse: &Warehouse,
    topics: &RunningTopics,
    asked: &DiscardLetters,
) -> Result<Discarded, Problem> {
    let topic = topics.topic(&asked.topic)?;
    if asked.reason.trim().is_empty() {
        return Err(Problem::new("dead.reason", "a reason is needed").hint("Write --reason \"why nobody needs them\"."));
    }
    let filter = condition(asked.filter.as_deref());
    let sql = format!("SELECT id, sink FROM {} WHERE status = 'dead'{filter} ORDER BY id", table(&asked.topic));
    let mut rows = run(warehouse, &sql).await?;
    let mut done = Discarded::default();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| error.problem())?;
        let (ids, sinks) = (column(&batch, "id", &DataType::Int64)?, column(&batch, "sink", &DataType::Utf8)?);
        let (ids, sinks) = (ids.as_primitive::<Int64Type>(), sinks.as_string::<i32>());
        let letters: Vec<(u64, String)> = ids
            .iter()
            .flatten()
            .zip(sinks.iter().flatten())
            .map(|(id, s)| (u64_from_signed(id), s.to_owned()))
            .collect();
        done.letters += u64_from(letters.len());
        if asked.dry_run {
            continue;
        }
        for some in letters.chunks(LETTERS_MAX) {
            let discard = Discard { letters: some.to_vec(), by: asked.by.clone(), why: asked.reason.clone() };
            topics.topics.discard(&topic, &discard).await.map_err(|error| error.problem())?;
        }
    }
    if !asked.dry_run {
        topics.settle(&asked.topic).await?;
        done.discarded = done.letters;
    }
    Ok(done)
}

/// How many dead letters of a topic's table would fit the columns of its file now, of how many that were looked at.
async fn would_fit(warehouse: &Warehouse, topic: &Topic) -> Result<(u64, u64), Problem> {
    let mut checker = Checker::of(topic).map_err(|error| error.problem())?;
    let sql = format!(
        "SELECT data FROM {} WHERE status = 'dead' AND sink = '{TABLE_SINK}' \
         AND reason NOT IN ('{CLOCK_AHEAD}', '{CLOCK_LATE}') LIMIT {LOOKED_AT_MAX}",
        table(&topic.name)
    );
    let mut rows = match run(warehouse, &sql).await {
        Ok(rows) => rows,
        // No event of the topic was ever looked at.
        Err(problem) if problem.code == "sql.no_table" => return Ok((0, 0)),
        Err(problem) => return Err(problem),
    };
    let (mut fit, mut all) = (0, 0);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| error.problem())?;
        let data = column(&batch, "data", &DataType::Binary)?;
        all += u64_from(data.len());
        fit += u64_from(data.as_binary::<i32>().iter().flatten().filter(|data| checker.fault(data).is_none()).count());
    }
    Ok((fit, all))
}

/// What `naru check` says of dead letters: those of each topic that would fit its file now. Reads the files of the lake,
/// and nothing where naru has never run.
pub async fn fit_now(project: &Project) -> Vec<Problem> {
    if project.topics.is_empty() || !project.state_folder().join(DATABASE_FILE).exists() {
        return Vec::new();
    }
    let home = Home { project: project.clone() };
    let Ok(lake) = home.lake().await else { return Vec::new() };
    let Ok(warehouse) = super::warehouse(&home, &lake, None, LiveTables::default(), (Policy::default(), Audit::none()))
    else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for topic in &project.topics {
        match would_fit(&warehouse, topic).await {
            Ok((0, _)) => {}
            Ok((fit, all)) => told.push(fits(&topic.name, fit, all).at(topic.place.clone())),
            Err(problem) => tracing::debug!(topic = topic.name, %problem, "dead letters were not looked at"),
        }
    }
    told
}

/// What `naru up` says of dead letters at its start, once each topic's table is at the end of the log.
pub async fn tell_fit(warehouse: Warehouse, topics: Arc<RunningTopics>, declared: Vec<Topic>) {
    for topic in declared {
        if topics.settle(&topic.name).await.is_err() {
            continue;
        }
        match would_fit(&warehouse, &topic).await {
            Ok((0, _)) => {}
            Ok((fit, all)) => tracing::warn!(problem = %fits(&topic.name, fit, all), "dead letters can be replayed"),
            Err(problem) => tracing::debug!(topic = topic.name, %problem, "dead letters were not looked at"),
        }
    }
}

fn fits(topic: &str, fit: u64, all: u64) -> Problem {
    let letters = if fit == 1 { "letter fits" } else { "letters fit" };
    Problem::new("dead.fit_now", format!("{fit} dead {letters} the columns of topic \"{topic}\" as they are now"))
        .detail(format!("They are among {all} that did not fit before."))
        .hint(format!("`naru dead replay {topic} --dry-run` counts them, without --dry-run they go into the table."))
}

struct Work<'w> {
    topics: &'w RunningTopics,
    asked: &'w Replay,
    edits: Vec<Edit>,
    mended: Option<HashMap<(u64, String), Vec<u8>>>,
    done: Replayed,
    /// Letters of the table that were tried.
    sent: Vec<u64>,
}

impl Work<'_> {
    /// Judges letters and sends those that fit.
    async fn take(&mut self, letters: Vec<Letter>) -> Result<(), Problem> {
        let topic = self.topics.topic(&self.asked.topic)?;
        let mut ready = Vec::new();
        for letter in letters {
            if let Some(letter) = self.mend(letter) {
                ready.push(letter);
            }
        }
        let (own, others): (Vec<Letter>, Vec<Letter>) = ready.into_iter().partition(|letter| letter.sink == TABLE_SINK);
        let events: Vec<Incoming> =
            own.iter().map(|letter| Incoming { data: letter.data.clone().into(), ..Incoming::default() }).collect();
        let judged = self.topics.topics.judge(&topic, &events);
        let faults: HashMap<usize, _> = judged.into_iter().map(|judged| (judged.index, judged.fault)).collect();
        self.done.unfit += u64_from(faults.len());
        self.done.unjudged += u64_from(others.len());
        let mut send = others;
        for (index, letter) in own.into_iter().enumerate() {
            if let Some(fault) = faults.get(&index) {
                self.tell(letter.id, &fault.to_string());
                continue;
            }
            self.done.fit += 1;
            if !self.asked.dry_run {
                self.sent.push(letter.id);
            }
            send.push(letter);
        }
        if self.asked.dry_run || send.is_empty() {
            return Ok(());
        }
        self.topics.topics.replay(&topic, &send).await.map_err(|error| error.problem())
    }

    /// The letter as it shall be tried; `None` when it is left alone.
    fn mend(&mut self, mut letter: Letter) -> Option<Letter> {
        if let Some(mended) = &mut self.mended {
            letter.data = mended.remove(&(letter.id, letter.sink.clone()))?;
        }
        self.done.letters += 1;
        if letter.attempts >= ATTEMPTS_MAX && !self.asked.force {
            self.done.worn += 1;
            return None;
        }
        if self.edits.is_empty() {
            return Some(letter);
        }
        match mend(&letter.data, &self.edits) {
            Ok(data) => Some(Letter { data, ..letter }),
            Err(error) => {
                self.done.unmended += 1;
                self.tell(letter.id, &error.to_string());
                None
            }
        }
    }

    fn tell(&mut self, id: u64, why: &str) {
        if self.done.faults.len() < TOLD_MAX {
            self.done.faults.push(json!({"id": id, "why": why}));
        }
    }

    /// Waits for the table and counts what it took.
    async fn end(mut self, warehouse: &Warehouse) -> Result<Replayed, Problem> {
        self.done.strange = self.mended.as_ref().map_or(0, |left| u64_from(left.len()));
        let (Some(least), Some(most)) = (self.sent.iter().min(), self.sent.iter().max()) else { return Ok(self.done) };
        self.topics.settle(&self.asked.topic).await?;
        let sql = format!(
            "SELECT id FROM {} WHERE status = 'dead' AND sink = '{TABLE_SINK}' AND id BETWEEN {least} AND {most}",
            table(&self.asked.topic)
        );
        let mut dead = HashSet::new();
        let mut rows = run(warehouse, &sql).await?;
        while let Some(batch) = rows.next().await {
            let ids = column(&batch.map_err(|error| error.problem())?, "id", &DataType::Int64)?;
            dead.extend(ids.as_primitive::<Int64Type>().iter().flatten().map(u64_from_signed));
        }
        self.done.in_table = u64_from(self.sent.iter().filter(|id| !dead.contains(id)).count());
        Ok(self.done)
    }
}

/// A person's condition behind one of naru's own.
fn condition(filter: Option<&str>) -> String {
    filter.map(|filter| format!(" AND (\n{filter}\n)")).unwrap_or_default()
}

/// The query for the letters that were asked for.
fn chosen(asked: &Replay) -> String {
    let filter = condition(asked.filter.as_deref());
    format!(
        "SELECT id, sink, data, attributes, ordering_key, attempts, UNIX_MICROS(first_seen) AS first_us FROM {} \
         WHERE status = 'dead'{filter} ORDER BY id",
        table(&asked.topic)
    )
}

/// The mended events that a query gives, by letter.
async fn mended_by(warehouse: &Warehouse, sql: &str) -> Result<HashMap<(u64, String), Vec<u8>>, Problem> {
    let mut mended = HashMap::new();
    let mut rows = run(warehouse, sql).await?;
    for needed in ["id", "data"] {
        if rows.schema.column_with_name(needed).is_none() {
            let summary = format!("the query of --with-sql has no column {needed}");
            let hint = "It gives id, and data as text or bytes: SELECT id, REPLACE(SAFE_CONVERT_BYTES_TO_STRING(data), 'a', 'b') AS data FROM …";
            return Err(Problem::new("dead.with_sql", summary).hint(hint));
        }
    }
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| error.problem())?;
        let (ids, data) = (column(&batch, "id", &DataType::Int64)?, column(&batch, "data", &DataType::Binary)?);
        let sinks = batch.column_by_name("sink").map(|_| column(&batch, "sink", &DataType::Utf8)).transpose()?;
        for row in (0..batch.num_rows()).filter(|row| ids.is_valid(*row) && data.is_valid(*row)) {
            let sink = sinks.as_ref().map_or(TABLE_SINK, |sinks| sinks.as_string::<i32>().value(row));
            let id = u64_from_signed(ids.as_primitive::<Int64Type>().value(row));
            mended.insert((id, sink.to_owned()), data.as_binary::<i32>().value(row).to_vec());
        }
    }
    Ok(mended)
}

fn letters(batch: &RecordBatch) -> Result<Vec<Letter>, Problem> {
    let (ids, attempts) = (column(batch, "id", &DataType::Int64)?, column(batch, "attempts", &DataType::Int64)?);
    let first = column(batch, "first_us", &DataType::Int64)?;
    let (sinks, data) = (column(batch, "sink", &DataType::Utf8)?, column(batch, "data", &DataType::Binary)?);
    let (attributes, keys) =
        (column(batch, "attributes", &DataType::Utf8)?, column(batch, "ordering_key", &DataType::Utf8)?);
    let letter = |row| Letter {
        id: u64_from_signed(ids.as_primitive::<Int64Type>().value(row)),
        sink: sinks.as_string::<i32>().value(row).to_owned(),
        data: data.as_binary::<i32>().value(row).to_vec(),
        ordering_key: keys.as_string::<i32>().value(row).to_owned(),
        attributes: pairs(attributes.as_string::<i32>().value(row)),
        attempts: attempts.as_primitive::<Int64Type>().value(row),
        first_seen_us: first.as_primitive::<Int64Type>().value(row),
    };
    Ok((0..batch.num_rows()).map(letter).collect())
}

/// Attributes as the table keeps them: a JSON object of texts.
fn pairs(json: &str) -> Vec<(String, String)> {
    let object: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let pair = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
    object.into_iter().filter_map(pair).collect()
}

/// A column as an array of this type.
fn column(batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef, Problem> {
    let array = batch.column_by_name(name).cloned();
    let array = array.ok_or_else(|| ArrowError::SchemaError(format!("column {name} is missing")));
    let failed = |error: ArrowError| {
        Problem::from_error("dead.columns", format!("column {name} of the dead letters is not as expected"), &error)
    };
    let array =
        array.and_then(|array| if array.data_type() == wanted { Ok(Arc::clone(&array)) } else { cast(&array, wanted) });
    array.map_err(failed)
}

async fn run(warehouse: &Warehouse, sql: &str) -> Result<ResultSet, Problem> {
    let problem = |error: WarehouseError| error.problem();
    let session = warehouse.session(SessionOptions::of(Principal::Owner)).map_err(problem)?;
    session.run(sql).await.map_err(problem)
}
