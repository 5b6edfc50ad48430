//! What the flow asks of the engine and the lake, behind a trait so that neither is imported here.
//!
//! Owns: [`Executor`] and the values that cross it. Never runs SQL and never writes a table; `cli` hands in the adapter
//! made from the warehouse and the lake. Read next: [`crate::run`], the only caller.

use std::collections::BTreeMap;

use async_trait::async_trait;
use naru_base::{Place, Problem, RunId, TableId, Version};
use naru_quality::FailingRows;
use serde::{Deserialize, Serialize};

/// Versions of tables, all tables of one source at one of its commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// Version of every table that exists.
    pub tables: BTreeMap<TableId, Version>,
    /// Where each source stood, in its own words (`shop` → `0/16B374D8`). A source that is named here has its cut: what
    /// is not among `tables` then cannot be read at it.
    pub positions: BTreeMap<String, String>,
    /// Tables that exist and cannot be read at the cut, each with the reason.
    pub unfit: BTreeMap<TableId, Problem>,
}

/// What a name stands for while one mart is built or checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A table at exactly this version, without any unflushed tail.
    Table(Version),
    /// A view, expanded as this query; the names in it stand in the same map.
    View(String),
}

/// Every name that a query may read, and what it stands for. A name that is absent does not exist for the query.
pub type Inputs = BTreeMap<TableId, Input>;

/// What a mart's result becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A Delta table, replaced whole by each run.
    Table,
    /// A stored query, expanded where it is read.
    View,
}

impl Kind {
    /// The word in a mart's options, in the state database and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
        }
    }
}

/// One try at building one mart. Unique and rising over all marts and runs, also after the state database was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt(pub i64);

/// The application id of a mart's transactions in its Delta log; their version is the [`Attempt`].
pub fn transaction_app(mart: &TableId) -> String {
    format!("naru/flow/{mart}")
}

/// One mart to build.
#[derive(Debug, Clone)]
pub struct StageWork {
    /// Run on whose behalf the work is done.
    pub run: RunId,
    /// The try; part of the staging place, so that two tries never share files.
    pub attempt: Attempt,
    /// Table or view to build.
    pub mart: TableId,
    /// What becomes of the result.
    pub kind: Kind,
    /// The query.
    pub sql: String,
    /// Where the query begins, for mistakes in it.
    pub place: Place,
    /// What the names in it stand for.
    pub inputs: Inputs,
    /// Bytes of memory the query may use, where the mart limits it.
    pub memory_bytes: Option<u64>,
    /// Comments for the result's columns.
    pub column_comments: BTreeMap<String, String>,
    /// Comment for the result.
    pub description: Option<String>,
}

/// One column of a staged result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedColumn {
    /// The column's name in SQL.
    pub name: String,
    /// Its type in GoogleSQL's words.
    pub sql_type: String,
}

/// A result that is written but not yet visible to anyone.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Run on whose behalf it was made.
    pub run: RunId,
    /// The try that made it.
    pub attempt: Attempt,
    /// What it will become.
    pub mart: TableId,
    /// Table or view.
    pub kind: Kind,
    /// Rows written; none for a view.
    pub rows: Option<u64>,
    /// Bytes written; none for a view.
    pub bytes: Option<u64>,
    /// Its columns in order.
    pub columns: Vec<StagedColumn>,
}

/// One check to run over a staged result.
#[derive(Debug, Clone)]
pub struct CheckWork {
    /// The result under test; its own name stands for the staged rows.
    pub staged: Staged,
    /// A query that returns one row for everything that is wrong.
    pub sql: String,
    /// What the other names in it stand for; for a view also its own name, as its query.
    pub inputs: Inputs,
    /// At most this many rows come back as a sample.
    pub sample_rows_max: usize,
}

/// Builds, checks and publishes marts.
///
/// Calls for different marts run at the same time; calls for one mart come one after another. Every future may be
/// dropped at any await (that is how timeouts and cancelling work) except that of [`Executor::publish`], which the flow
/// always awaits to its end. A [`Problem`] with `retry: later` is tried again within the mart's limits.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Flushes and pins `tables` for `run`, all tables of one source at one of its commits.
    ///
    /// A table that does not exist is left out; one that exists and does not stand at the cut of its source
    /// (quarantined, paused, being copied again) comes back as unfit. Of each source that is read, the versions of all
    /// its tables come back, also of those that are not in `tables`: what an edited mart reads later stands at the same
    /// cut. `held` is what the run has pinned before, perhaps in a process that is dead: those of its versions that are
    /// in `tables` are pinned again as they are, and no source in its positions gets another cut. Pinned versions stay
    /// readable, whatever vacuum says, until [`Executor::release`] or the end of the process.
    ///
    /// # Errors
    /// A problem that names the table when a held version is no longer readable.
    async fn pin(&self, run: RunId, tables: &[TableId], held: &Pins) -> Result<Pins, Problem>;

    /// Lets go of a run's pins. Releasing twice is harmless.
    async fn release(&self, run: RunId) -> Result<(), Problem>;

    /// Runs the query and writes its rows where nobody reads them. For a view: plans the query and reads nothing.
    async fn stage(&self, work: StageWork) -> Result<Staged, Problem>;

    /// Runs a check over a staged result: counts what it returns and keeps a sample.
    async fn failing_rows(&self, work: CheckWork) -> Result<FailingRows, Problem>;

    /// Makes a staged table visible in one Delta commit that carries the transaction
    /// ([`transaction_app`], attempt), replacing all earlier rows, and returns the table's new version.
    ///
    /// Publishing an attempt whose transaction is already in the log changes nothing and returns the version. After an
    /// error the flow asks [`Executor::committed`] what happened. Never called for a view: the flow keeps its query.
    async fn publish(&self, staged: &Staged) -> Result<Version, Problem>;

    /// The mart's current version if the log holds this attempt's transaction.
    async fn committed(&self, mart: &TableId, attempt: Attempt) -> Result<Option<Version>, Problem>;

    /// Removes whatever an attempt has staged and not published. An attempt that staged nothing is fine.
    async fn discard(&self, mart: &TableId, attempt: Attempt) -> Result<(), Problem>;
}
