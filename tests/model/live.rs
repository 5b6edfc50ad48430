//! Looks at what queries see, as fast as it can, beside the writers.
//!
//! Owns: reading one table and the number of the last commit in one query, and judging the rows by the history: a live
//! table holds exactly what the source held after that commit; one that is copied again holds what it held before.
//! Never writes, and never decides what runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use naru_testkit::process::Words;
use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::{
    history::{Answer, History, Seq},
    workload::COMMITS,
};

/// How long a commit that is visible may be unknown to the history: its writer has just not come back.
const KNOWN_WAIT_MAX: Duration = Duration::from_secs(20);
/// What naru has logged of a table's state has been read after this.
const LOG_WAIT: Duration = Duration::from_millis(500);
/// Pause between two looks, so that the writers come to their turn on a small machine.
const PAUSE: Duration = Duration::from_millis(15);

/// Where the present naru listens and what it writes; nothing while none runs.
#[derive(Debug, Clone)]
pub struct Door {
    /// `host:port` of its Postgres wire.
    pub address: String,
    /// Token of the user `model`.
    pub token: String,
    /// Its log.
    pub words: Words,
    /// Counts the starts.
    pub life: u64,
    /// Whether its object store fails now and then, so that a query may.
    pub fails: bool,
}

/// What the writers and the watcher share.
#[derive(Debug, Default)]
pub struct Shared {
    /// See [`History`].
    pub history: Mutex<History>,
    /// See [`Door`].
    pub door: Mutex<Option<Door>>,
    /// The first thing that is wrong.
    pub wrong: Mutex<Option<String>>,
    /// Judged looks: exact ones, and ones at tables on their way.
    pub looks: Mutex<(u64, u64)>,
    /// Whether every change of definition is announced: without the event trigger one is seen later.
    pub announced: bool,
}

/// States of tables as the log told them, with the number of changes.
#[derive(Debug, Default)]
struct States {
    read: usize,
    tables: HashMap<String, (String, u64)>,
}

impl States {
    fn read(&mut self, words: &Words) {
        let lines = words.since(self.read);
        self.read += lines.len();
        for line in lines {
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            let field = |name: &str| line[name].as_str().unwrap_or_default();
            match (field("message"), field("table")) {
                ("table state", table) => self.set(table, field("to")),
                ("table quarantined", table) => self.set(table, "quarantined"),
                _ => {}
            }
        }
    }

    fn set(&mut self, table: &str, state: &str) {
        let entry = self.tables.entry(table.trim_start_matches("public.").to_owned()).or_default();
        *entry = (state.to_owned(), entry.1 + 1);
    }

    fn of(&self, table: &str) -> (String, u64) {
        self.tables.get(table).cloned().unwrap_or_default()
    }
}

/// See the module.
pub struct Watch {
    shared: Arc<Shared>,
    states: States,
    life: u64,
    client: Option<Client>,
    turn: usize,
    /// The last commit with which a table was seen whole since the start.
    newest: HashMap<String, Seq>,
}

/// One table and the commit it was read with.
#[derive(Debug)]
pub struct Seen {
    /// The last visible commit.
    pub seq: Seq,
    /// The rows.
    pub answer: Answer,
}

impl Watch {
    /// Looks until the test ends.
    pub fn start(shared: Arc<Shared>) -> tokio::task::JoinHandle<()> {
        let (states, newest) = (States::default(), HashMap::new());
        let mut watch = Self { shared, states, life: 0, client: None, turn: 0, newest };
        tokio::spawn(async move {
            loop {
                if let Err(wrong) = watch.look().await {
                    watch.shared.wrong.lock().expect("nobody panics with it").get_or_insert(wrong);
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    async fn look(&mut self) -> Result<(), String> {
        let Some(door) = self.shared.door.lock().expect("nobody panics with it").clone() else {
            self.client = None;
            return Ok(());
        };
        if door.life != self.life {
            (self.life, self.states, self.client) = (door.life, States::default(), None);
            self.newest.clear();
        }
        self.turn += 1;
        let names = self.names();
        let Some(name) = names.get(self.turn % names.len().max(1)).cloned() else { return Ok(()) };
        if self.client.is_none() {
            self.client = connect(&door).await;
        }
        let Some(client) = &self.client else { return Ok(()) };
        self.states.read(&door.words);
        let (before, commits) = (self.states.of(&name), self.states.of(COMMITS));
        let seen = match see(client, &name).await {
            Ok(seen) => seen,
            Err(error) if error.as_db_error().is_none() => {
                self.client = None;
                return Ok(());
            }
            Err(error) => return self.refused(&door, &name, &before, &error).await,
        };
        if commits.0 != "live" {
            return Ok(());
        }
        if self.exact(&name, &seen).await? {
            self.newest.insert(name, seen.seq);
            self.shared.looks.lock().expect("nobody panics with it").0 += 1;
            return Ok(());
        }
        tokio::time::sleep(LOG_WAIT).await;
        self.states.read(&door.words);
        let after = self.states.of(&name);
        let steady = before.0 == "live" && before == after;
        self.judge_late(&name, &seen, steady, &format!("{before:?}, then {after:?}"))
    }

    /// Names of tables; now and then also those that the source does not have any more.
    fn names(&self) -> Vec<String> {
        let history = self.shared.history.lock().expect("nobody panics with it");
        let gone = self.turn.is_multiple_of(10);
        history.names().into_iter().filter(|name| gone || history.exists(name)).collect()
    }

    /// Whether the rows are those of the commit they were seen with.
    async fn exact(&self, name: &str, seen: &Seen) -> Result<bool, String> {
        let began = Instant::now();
        loop {
            {
                let history = self.shared.history.lock().expect("nobody panics with it");
                if history.last() >= seen.seq {
                    return Ok(history.named(name, seen.seq).is_some_and(|moment| history.holds(moment, &seen.answer)));
                }
            }
            if began.elapsed() > KNOWN_WAIT_MAX {
                return Err(format!("commit {} is visible and was never made", seen.seq));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A look whose rows are not those of its commit.
    fn judge_late(&self, name: &str, seen: &Seen, steady: bool, states: &str) -> Result<(), String> {
        let history = self.shared.history.lock().expect("nobody panics with it");
        let stands = history.stands(name, &seen.answer, self.shared.announced);
        // Before its columns change, a table is brought up to the last commit for itself.
        let steady = steady && !history.defined_soon(name, seen.seq);
        let present = stands.iter().any(|stand| stand.is_after(seen.seq));
        // A table on its way holds what it held at its own position, which does not go back. After a start it may stand
        // ahead of the others until it is live.
        let since = self.newest.get(name).copied();
        let whole = stands.iter().any(|stand| since.is_none_or(|since| stand.until > since));
        let nothing_yet = seen.answer.rows.is_empty() && since.is_none();
        if present || !steady && (whole || nothing_yet) {
            self.shared.looks.lock().expect("nobody panics with it").1 += 1;
            return Ok(());
        }
        let difference = history.named(name, seen.seq).map_or_else(
            || "the model has no such table".to_owned(),
            |moment| {
                format!("changed last by commit {}: {}", history.seq(moment), history.difference(moment, &seen.answer))
            },
        );
        Err(format!(
            "a query saw table {name} (state {states}) with commit {} and other rows than the source had after it; \
             they are those of {stands:?}; commit {since:?} was seen before\n{difference}",
            seen.seq
        ))
    }

    /// A query that was refused: right only while the table is not live.
    async fn refused(
        &mut self,
        door: &Door,
        name: &str,
        before: &(String, u64),
        error: &tokio_postgres::Error,
    ) -> Result<(), String> {
        tokio::time::sleep(LOG_WAIT).await;
        self.states.read(&door.words);
        let running =
            self.shared.door.lock().expect("nobody panics with it").as_ref().is_some_and(|now| now.life == door.life);
        let commits = self.states.of(COMMITS);
        if door.fails || !running || before.0 != "live" || commits.0 != "live" || self.states.of(name) != *before {
            return Ok(());
        }
        Err(format!("a query of the live table {name} was refused: {error:?}"))
    }
}

/// A connection to the Postgres wire; nothing when it does not listen (any more).
pub async fn connect(door: &Door) -> Option<Client> {
    let mut config = tokio_postgres::Config::new();
    let (host, port) = door.address.rsplit_once(':')?;
    config.host(host).port(port.parse().ok()?).user("model").password(&door.token).dbname("model");
    config.connect_timeout(Duration::from_secs(5));
    let (client, connection) = config.connect(NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// Reads a table and the last visible commit in one query, so from one cut.
pub async fn see(client: &Client, name: &str) -> Result<Seen, tokio_postgres::Error> {
    let sql = format!(
        "SELECT c.last_seq, t.* FROM (SELECT MAX(seq) AS last_seq FROM shop.{COMMITS}) c \
         LEFT JOIN (SELECT 1 AS here, x.* FROM shop.{name} x) t ON TRUE"
    );
    let mut seen = Seen { seq: 0, answer: Answer { names: Vec::new(), rows: Vec::new() } };
    for message in client.simple_query(&sql).await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                seen.answer.names = columns.iter().skip(2).map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                seen.seq = row.get(0).and_then(|text| text.parse().ok()).unwrap_or(0);
                if row.get(1).is_some() {
                    seen.answer.rows.push((2..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect());
                }
            }
            _ => {}
        }
    }
    Ok(seen)
}
