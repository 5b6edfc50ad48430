//! The audit: who asked what through which door, and how it ended.
//!
//! Owns: [`Audit`] (the writer that all doors share), [`Entry`] and its words. A place is taken before a statement
//! starts and filled when it ends, so that an answered one is never lost at a clean stop, and a full queue holds up
//! whoever asks next instead of whoever was answered. Never holds row values: the SQL text is all there is of them.
//! Read next: [`chain`] for the hashes.

pub mod chain;

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_base::{Problem, TableId, time::now_us};
pub use naru_store::audit::{AuditFilter, AuditRow};
use naru_store::{Store, StoreError, audit};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::principal::Principal;

/// Entries that wait for the disk. Each is a statement that has started, so more would be more than run at once.
const WAITING_MAX: usize = 4_096;
/// Entries that go to the disk in one transaction.
const BATCH_MAX: usize = 512;
/// How long a statement waits for its place before it is refused.
const PLACE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the writer waits before it tries again what could not be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long statements that are still running may take to end when the audit closes.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How often the head of the chain is written to the log, which is kept elsewhere.
const HEAD_EVERY: Duration = Duration::from_hours(24);
/// What is written of whoever left before the end.
const LEFT: &str = "left";
/// Bytes of SQL that are kept.
const SQL_BYTES_MAX: usize = 64 << 10;

/// Which door someone came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The console, in a browser.
    Console,
    /// The HTTP API, with a token.
    Api,
    /// The Postgres wire.
    Postgres,
    /// A command in the project folder.
    Cli,
    /// A shared link.
    Share,
}

impl Door {
    /// Its word in the audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Api => "api",
            Self::Postgres => "postgres",
            Self::Cli => "cli",
            Self::Share => "share",
        }
    }
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The door.
    pub door: Door,
    /// The address; `None` on this machine's own socket.
    pub address: Option<IpAddr>,
    /// The program, as it calls itself; shortened by whoever makes this.
    pub client: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A statement was run.
    Query,
    /// A result left as a file or through a link.
    Download,
    /// Someone signed in, or failed to.
    SignIn,
    /// A token or a service account was made, changed or taken back.
    Token,
    /// Rights were changed, or someone was offboarded.
    Access,
    /// A saved query was shared, or a share was taken back.
    Share,
    /// A mart was run, resumed or rolled back.
    Run,
    /// Something was paused, resumed, copied again, compacted, vacuumed or replayed.
    Operate,
    /// The audit itself was read out.
    Audit,
}

impl Deed {
    /// Its word in the audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Download => "download",
            Self::SignIn => "sign_in",
            Self::Token => "token",
            Self::Access => "access",
            Self::Share => "share",
            Self::Run => "run",
            Self::Operate => "operate",
            Self::Audit => "audit",
        }
    }
}

/// One row of the audit before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it began, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// Who, by name.
    pub account: String,
    /// What kind of account that is.
    pub account_kind: &'static str,
    /// From where.
    pub origin: Origin,
    /// What.
    pub deed: Deed,
    /// The statement.
    pub sql: Option<String>,
    /// Tables that were read or acted on; of a statement that failed, those it names.
    pub tables: Vec<TableId>,
    /// Rows handed out.
    pub rows: Option<u64>,
    /// Bytes handed out.
    pub bytes: Option<u64>,
    /// Bytes read from files.
    pub bytes_read: Option<u64>,
    /// How long it took.
    pub took: Option<Duration>,
    /// `ok` or the code of the problem.
    pub result: String,
    /// What exactly, where there is no SQL.
    pub detail: Option<String>,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
}

impl Entry {
    /// An entry that begins now and went well.
    pub fn new(principal: &Principal, origin: Origin, deed: Deed) -> Self {
        let account_kind = match principal {
            Principal::Owner => "owner",
            Principal::Project => "project",
            Principal::Person(_) => "person",
            Principal::Service(_) => "service",
            Principal::Token { .. } => "token",
        };
        Self {
            at_us: now_us(),
            account: principal.name().to_owned(),
            account_kind,
            origin,
            deed,
            sql: None,
            tables: Vec::new(),
            rows: None,
            bytes: None,
            bytes_read: None,
            took: None,
            result: "ok".to_owned(),
            detail: None,
            reason: None,
        }
    }

    /// The same with what exactly was done.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same with the tables it was about.
    #[must_use]
    pub fn tables(self, tables: impl IntoIterator<Item = TableId>) -> Self {
        Self { tables: tables.into_iter().collect(), ..self }
    }

    /// The same for something that ended like this.
    #[must_use]
    pub fn outcome<T>(self, outcome: &Result<T, Problem>) -> Self {
        match outcome {
            Ok(_) => self,
            Err(problem) => Self { result: problem.code.to_string(), ..self },
        }
    }

    /// The row without number and hash.
    fn row(self) -> AuditRow {
        let names: Vec<String> = self.tables.iter().map(ToString::to_string).collect();
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        AuditRow {
            id: 0,
            at_us: self.at_us,
            account: self.account,
            account_kind: self.account_kind.to_owned(),
            door: self.origin.door.word().to_owned(),
            address: self.origin.address.map(|address| address.to_canonical().to_string()),
            client: self.origin.client,
            action: self.deed.word().to_owned(),
            sql: self.sql.map(shortened),
            tables: chain::json_names(&names),
            rows: self.rows.map(signed),
            bytes: self.bytes.map(signed),
            bytes_read: self.bytes_read.map(signed),
            took_us: self.took.map(|took| i64::try_from(took.as_micros()).unwrap_or(i64::MAX)),
            result: self.result,
            detail: self.detail,
            reason: self.reason,
            hash: [0; 32],
        }
    }
}

fn shortened(mut sql: String) -> String {
    if sql.len() > SQL_BYTES_MAX {
        sql.truncate(sql.floor_char_boundary(SQL_BYTES_MAX));
        sql.push('…');
    }
    sql
}

/// The audit of one project. Cheap to clone; all clones share one writer.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Open>>);

struct Open {
    store: Store,
    asks_why: bool,
    sender: mpsc::Sender<Entry>,
    writer: Mutex<Option<JoinHandle<()>>>,
    closing: CancellationToken,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Audit" } else { "Audit(none)" })
    }
}

/// A place in the audit that is sure to be written once it is filled.
#[derive(Debug)]
pub struct Place(Option<mpsc::OwnedPermit<Entry>>);

impl Place {
    /// Fills the place. Never waits.
    pub fn fill(self, entry: Entry) {
        if let Some(permit) = self.0 {
            permit.send(entry);
        }
    }

    /// Holds the place for something that begins now. Whoever hangs up before its end still leaves the row.
    #[must_use]
    pub fn begin(self, entry: Entry) -> Begun {
        Begun(Some((self, entry)))
    }
}

/// Something on its way into the audit: its row is written when it ends, or when it is let go, then as `left`.
#[derive(Debug)]
pub struct Begun(Option<(Place, Entry)>);

impl Begun {
    /// Writes the row: it ended like this.
    pub fn ended<T>(mut self, outcome: &Result<T, Problem>) {
        if let Some((place, entry)) = self.0.take() {
            place.fill(entry.outcome(outcome));
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some((place, entry)) = self.0.take() {
            place.fill(Entry { result: LEFT.to_owned(), ..entry });
        }
    }
}

impl Audit {
    /// Writes into a state database from now on; to be called within the async runtime.
    ///
    /// `asks_why`: downloads need a reason.
    pub fn open(store: Store, asks_why: bool) -> Self {
        let (sender, entries) = mpsc::channel(WAITING_MAX);
        let closing = CancellationToken::new();
        let writer = tokio::spawn(write_all(store.clone(), entries, closing.clone()));
        Self(Some(Arc::new(Open { store, asks_why, sender, writer: Mutex::new(Some(writer)), closing })))
    }

    /// One that keeps nothing, for what has no state database.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether anything is kept.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the project asks for the reason of each download.
    pub fn asks_why(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.asks_why)
    }

    /// The reason of a download, in the words of whoever asks for it.
    ///
    /// # Errors
    /// `audit.reason_needed` where the project asks for one and there is none.
    pub fn reason(&self, given: Option<&str>) -> Result<Option<String>, Problem> {
        let given = given.map(str::trim).filter(|reason| !reason.is_empty());
        if given.is_none() && self.asks_why() {
            return Err(Problem::new("audit.reason_needed", "a download needs a reason here")
                .detail("`ask_why` under [audit] in naru.toml asks for it; it is kept in the audit."));
        }
        Ok(given.map(str::to_owned))
    }

    /// Takes a place, to be filled when what begins now has ended.
    ///
    /// # Errors
    /// `audit.behind` when the disk has not kept up for 5 s, `audit.closed` when naru is stopping. Whoever holds the
    /// folder is not held up by either: they could read the files themselves.
    pub async fn place(&self, principal: &Principal) -> Result<Place, Problem> {
        let Some(open) = &self.0 else { return Ok(Place(None)) };
        let why = match tokio::time::timeout(PLACE_PATIENCE, open.sender.clone().reserve_owned()).await {
            Ok(Ok(permit)) => return Ok(Place(Some(permit))),
            Ok(Err(_)) => Problem::new("audit.closed", "naru is stopping").later(),
            Err(_) => Problem::new("audit.behind", "the audit cannot be written fast enough")
                .detail("Nothing is answered that is not written down.")
                .hint("Look at the log of the running naru and at the disk of the project's .naru folder.")
                .later(),
        };
        if principal.holds_the_folder() {
            tracing::warn!(problem = %why, "a statement of the project's owner is not in the audit");
            return Ok(Place(None));
        }
        Err(why)
    }

    /// Writes down something that has ended.
    ///
    /// # Errors
    /// As [`Audit::place`].
    pub async fn note(&self, principal: &Principal, entry: Entry) -> Result<(), Problem> {
        self.place(principal).await?.fill(entry);
        Ok(())
    }

    /// Takes no more entries and waits for those whose places are taken, at most 5 s.
    pub async fn close(&self) {
        let Some(open) = &self.0 else { return };
        open.closing.cancel();
        let writer = open.writer.lock().take();
        if let Some(writer) = writer
            && writer.await.is_err()
        {
            tracing::warn!("the audit's writer ended badly");
        }
    }

    /// The rows that pass a filter and have a number below `before`, the newest first.
    pub async fn find(
        &self,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let Some(open) = &self.0 else { return Ok(Vec::new()) };
        open.store.read(move |tx| audit::find(tx, &filter, before, limit)).await
    }

    /// The rows after a number, the oldest first.
    pub async fn after(&self, id: i64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let Some(open) = &self.0 else { return Ok(Vec::new()) };
        open.store.read(move |tx| audit::after(tx, id, limit)).await
    }

    /// Walks the whole chain from its first row to its last, or to the first broken one. With `known`, the row of that
    /// number must have that hash: what was cut off at the end, or written anew as a whole, shows only so.
    pub async fn verify(&self, known: Option<chain::Head>) -> Result<chain::Verdict, StoreError> {
        match &self.0 {
            Some(open) => chain::verify(&open.store, known).await,
            None => Ok(chain::Verdict::default()),
        }
    }

    /// As [`Audit::verify`], in a state database that nobody needs to have open for writing.
    pub async fn verify_in(store: &Store, known: Option<chain::Head>) -> Result<chain::Verdict, StoreError> {
        chain::verify(store, known).await
    }
}

/// Writes entries in batches until the audit closes, then those whose places are taken.
async fn write_all(store: Store, mut entries: mpsc::Receiver<Entry>, closing: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut told_at = Instant::now();
    chain::tell_head(&store).await;
    loop {
        let count = tokio::select! {
            count = entries.recv_many(&mut batch, BATCH_MAX) => count,
            () = closing.cancelled() => 0,
        };
        if count == 0 {
            break;
        }
        write(&store, std::mem::take(&mut batch)).await;
        if told_at.elapsed() >= HEAD_EVERY {
            told_at = Instant::now();
            chain::tell_head(&store).await;
        }
    }
    entries.close();
    let rest = async {
        while entries.recv_many(&mut batch, BATCH_MAX).await > 0 {
            write(&store, std::mem::take(&mut batch)).await;
        }
    };
    if tokio::time::timeout(CLOSE_PATIENCE, rest).await.is_err() {
        tracing::warn!("statements that were still running when the audit closed are not in it");
    }
    chain::tell_head(&store).await;
}

/// Writes a batch, trying again until the disk takes it: meanwhile the queue fills and holds up new statements.
async fn write(store: &Store, batch: Vec<Entry>) {
    let rows: Vec<AuditRow> = batch.into_iter().map(Entry::row).collect();
    loop {
        let attempt = rows.clone();
        match store.write(move |tx| chain::append(tx, attempt)).await {
            // After `Closing` the runtime ends: there is nothing left to write with.
            Ok(()) | Err(StoreError::Closing) => return,
            Err(error) => {
                tracing::error!(problem = %error.problem(), rows = rows.len(), "the audit could not be written; it is tried again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
