//! Everything that can stop a source or a table, and what a person is told.
//!
//! Owns: [`SyncError`] and its one translation into [`Problem`]. Never retries; the engine does.

use naru_base::{Lsn, Problem, problem::chain};
use naru_lake::LakeError;
use naru_store::StoreError;
use thiserror::Error;

use crate::postgres::{PostgresError, QueryError};

/// Why syncing a source or one of its tables failed.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The SQL connection failed or a query was refused.
    #[error("the source database refused a query")]
    Query(#[from] tokio_postgres::Error),
    /// The replication connection failed.
    #[error(transparent)]
    Wire(#[from] PostgresError),
    /// The lake refused a read or a write.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The catalog answered something unexpected.
    #[error("the source's catalog gave an answer naru does not understand: {0}")]
    Catalog(String),
    /// A spool file could not be written or read.
    #[error("the spool {path} could not be {action}")]
    Spool {
        /// File.
        path: String,
        /// `written`, `read`, `synced`, …
        action: &'static str,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Changes on disk that were acknowledged cannot be read any more.
    #[error("the spool {path} is damaged")]
    SpoolDamaged {
        /// File.
        path: String,
    },
    /// A broken promise of the stream or of our own: stops the table, not the process.
    #[error("{0}")]
    Protocol(String),
    /// The source cannot be synced as it stands; each problem says what mends it.
    #[error("the source is not ready")]
    Preflight(Vec<Problem>),
    /// The slot no longer holds the WAL that is needed.
    #[error("the replication slot \"{slot}\" was lost")]
    SlotLost {
        /// Slot name.
        slot: String,
    },
    /// The server's own fault keeps it from reading its log for this slot, however often it is asked.
    #[error("PostgreSQL cannot read its own log for the replication slot \"{slot}\"")]
    Undecodable {
        /// Slot name.
        slot: String,
        /// What the server says each time.
        reason: String,
    },
    /// The slot stands behind changes that were never read.
    #[error("the replication slot \"{slot}\" was moved past what naru has")]
    SlotMoved {
        /// Slot name.
        slot: String,
        /// The last position that naru told.
        told: Lsn,
        /// Where the slot stands.
        stands: Lsn,
    },
    /// The server is another one than before.
    #[error("the source is another server than before")]
    OtherServer {
        /// Generation stored with the tables.
        before: String,
        /// Generation found now.
        now: String,
    },
    /// The server's log ends before what was already read from it: a backup was put back.
    #[error("the source went back in time")]
    WentBack {
        /// End of what was read.
        read: Lsn,
        /// End of the server's log now.
        server: Lsn,
    },
    /// The server lacks a commit that was read from it: a backup was put back and written to.
    #[error("the source went back in time")]
    OtherHistory {
        /// End of that commit.
        at: Lsn,
    },
    /// A publication that the stream needs is gone, and with it the changes made since.
    #[error("the publication \"{publication}\" is gone")]
    PublicationLost {
        /// Its name.
        publication: String,
    },
    /// This machine's disk is too full to begin something new.
    #[error("{free_mb} MB are free on the disk of {place}, and {wanted_mb} MB are to stay free")]
    DiskLow {
        /// Folder.
        place: String,
        /// Free now, in units of 10^6 bytes.
        free_mb: u64,
        /// The mark, in units of 10^6 bytes.
        wanted_mb: u64,
        /// The setting that holds the mark.
        setting: &'static str,
    },
    /// Someone waited for a lock that a copy held.
    #[error("the copy of {table} stepped aside")]
    Yielded {
        /// Source table.
        table: String,
        /// Who waited.
        waiter: String,
    },
    /// The table changed between the snapshot and its lock.
    #[error("{table} was rewritten while its copy began")]
    Rewritten {
        /// Source table.
        table: String,
    },
    /// Slot creation had to wait for somebody's open transaction.
    #[error("an open transaction holds up the slot")]
    Held {
        /// Who holds it.
        blocker: String,
    },
    /// One table cannot go on; the others do.
    #[error("{table}: {}", .problem.summary)]
    Table {
        /// Source table.
        table: String,
        /// Reason and remedy.
        problem: Box<Problem>,
    },
    /// Files that hold a part of a table's unflushed rows cannot be read back.
    #[error("a part of the unflushed rows of {table} cannot be read back")]
    TailDamaged {
        /// Source table.
        table: String,
    },
    /// A table was opened again: what it lacks has to be sent again.
    #[error("a table was opened again; the session begins anew")]
    Anew,
    /// A column without a binary decoder appeared: the session begins again in text, from the acknowledged position.
    #[error("a column that has no binary form appeared; the stream goes on in text")]
    NeedsText,
    /// The engine is shutting down.
    #[error("stopped")]
    Stopped,
    /// The state database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Position went backwards or a commit was seen twice: a defect, refused rather than applied.
    #[error("the stream at {at} does not follow what was applied")]
    OutOfOrder {
        /// Where.
        at: Lsn,
    },
}

/// Whether a server's refusal may pass by itself: locks, cancelled statements, restarts, a snapshot that went away,
/// a table that changed between two questions.
fn passes(code: &str) -> bool {
    matches!(code, "55P03" | "57014" | "40001" | "40P01" | "25P03" | "22023" | "42703" | "42P01")
        || ["08", "53", "57"].iter().any(|class| code.starts_with(class))
}

impl From<QueryError> for SyncError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Refused(error) => Self::Query(error),
            QueryError::Silent(error) => Self::Wire(error),
        }
    }
}

impl SyncError {
    /// Turns the error into what a person reads.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Query(error) => Self::query_problem(error),
            Self::Wire(error) => error.problem(),
            Self::Lake(error) => error.problem(),
            Self::Catalog(_) => Problem::new("sync.catalog", self.to_string()),
            Self::Spool { source, .. } => Problem::new("sync.spool", self.to_string())
                .detail(source.to_string())
                .hint("Free space in the folder `.naru/spool`, or delete it: its tables are then copied again.")
                .later(),
            Self::SpoolDamaged { .. } => Problem::new("sync.spool_damaged", self.to_string())
                .detail("It held changes that the source was told are safe here.")
                .hint("Nothing is missing silently: the table is copied again. Check this machine's disk.")
                .later(),
            Self::Protocol(_) => Problem::new("sync.protocol", self.to_string()),
            Self::Preflight(problems) => Problem::new("sync.preflight", self.to_string())
                .detail(problems.iter().map(|p| p.summary.clone()).collect::<Vec<_>>().join("; "))
                .hint(problems.iter().filter_map(|p| p.hint.clone()).collect::<Vec<_>>().join(" ")),
            Self::SlotLost { .. } => Problem::new("sync.slot_lost", self.to_string())
                .detail("PostgreSQL removed WAL that was not yet read, or somebody dropped the slot.")
                .hint("Nothing is missing silently: naru makes a new slot and copies every table again while the old rows stay readable. Raise max_slot_wal_keep_size to avoid it.")
                .later(),
            Self::Undecodable { reason, .. } => Problem::new("sync.undecodable", self.to_string())
                .detail(format!("It ended every one of the last sessions at the same place with: {reason}."))
                .hint("Nothing is missing silently: naru makes a new slot and copies every table again while the old rows stay readable. It is a fault of the server; see whether a newer minor release of PostgreSQL mends it.")
                .later(),
            Self::SlotMoved { told, stands, .. } => Problem::new("sync.slot_moved", self.to_string())
                .detail(format!("naru has everything up to {told}, and the slot stands at {stands}: somebody advanced it, read from it, or dropped it and made it again. What happened in between is never sent."))
                .hint("Nothing is missing silently: naru makes a new slot and copies every table again while the old rows stay readable. Leave the slot to naru; to take naru out of a source, run `naru sync drop`.")
                .later(),
            Self::OtherServer { before, now } => Problem::new("sync.other_server", self.to_string())
                .detail(format!("Positions belong to {before}, the server is {now} (a restored backup, a promoted standby, or another host)."))
                .hint("naru makes a new slot and copies every table again while the old rows stay readable.")
                .later(),
            Self::WentBack { read, server } => Problem::new("sync.went_back", self.to_string())
                .detail(format!("Its log ends at {server}, and naru has read up to {read}: a backup was put back."))
                .hint("naru makes a new slot and copies every table again while the old rows stay readable.")
                .later(),
            Self::OtherHistory { at } => Problem::new("sync.went_back", self.to_string())
                .detail(format!("naru has read a commit that ends at {at}, and the server's log has another history there: a backup was put back, and rows were written since."))
                .hint("naru makes a new slot and copies every table again while the old rows stay readable.")
                .later(),
            Self::PublicationLost { .. } => Problem::new("sync.publication_lost", self.to_string())
                .detail("Somebody dropped it. PostgreSQL cannot say which changes it would have sent since.")
                .hint("naru makes it and the slot anew and copies every table again while the old rows stay readable. To take naru out of a source, run `naru sync drop`.")
                .later(),
            Self::DiskLow { setting, .. } => Problem::new("sync.disk_low", self.to_string())
                .detail(format!("`{setting}` under [limits] in naru.toml sets the mark. Nothing more is taken from the source until there is room; SQL goes on, and nothing is acknowledged to the source that is not safe here."))
                .hint("Free space on this disk, or lower the mark; naru goes on by itself.")
                .later(),
            Self::Yielded { waiter, .. } => Problem::new("sync.copy_yielded", self.to_string())
                .detail(format!("{waiter} waited for the table's lock."))
                .hint("The copy starts again by itself.")
                .later(),
            Self::Rewritten { .. } => Problem::new("sync.rewritten", self.to_string()).hint("The copy starts again by itself.").later(),
            Self::Held { blocker } => Problem::new("sync.slot_held", self.to_string())
                .detail(format!("PostgreSQL waits for {blocker} before it can make a snapshot."))
                .hint("End that transaction; naru tries again by itself.")
                .later(),
            Self::Table { problem, .. } => (**problem).clone(),
            Self::Store(error) => error.problem(),
            Self::TailDamaged { .. } => Problem::new("sync.tail_damaged", self.to_string())
                .detail("A file of its key index in `.naru` is damaged.")
                .hint("Check this machine's disk, then run `naru sync resync` for the table.")
                .later(),
            Self::Anew => Problem::new("sync.anew", self.to_string()).later(),
            Self::NeedsText => Problem::new("sync.needs_text", self.to_string()).later(),
            Self::Stopped => Problem::new("sync.stopped", self.to_string()).later(),
            Self::OutOfOrder { .. } => Problem::new("sync.out_of_order", self.to_string())
                .hint("Run `naru sync resync` for this source and report the message."),
        }
    }

    fn query_problem(error: &tokio_postgres::Error) -> Problem {
        match error.as_db_error() {
            Some(db) => {
                let problem = Problem::new("sync.query", format!("the source refused a query: {}", db.message()))
                    .detail(format!("SQLSTATE {}.", db.code().code()));
                let problem = match db.hint() {
                    Some(hint) => problem.hint(hint.to_owned()),
                    None => problem,
                };
                if passes(db.code().code()) { problem.later() } else { problem }
            }
            None => Problem::new("sync.connection", "the connection to the source failed").detail(chain(error)).later(),
        }
    }
}
