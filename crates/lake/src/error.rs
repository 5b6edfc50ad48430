//! Everything that can go wrong in the lake, and what a person is told about it.
//!
//! Owns: [`LakeError`] and its one translation to [`Problem`]. Never holds row values.

use naru_base::{Problem, TableId, problem::chain};

/// A failed call to the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location in the settings cannot be used.
    #[error("lake location \"{location}\" cannot be used: {reason}")]
    Location {
        /// As written in the settings.
        location: String,
        /// Why not.
        reason: String,
    },
    /// The object store answered with an error; trying again may help.
    #[error("object store: {0}")]
    Store(#[from] object_store::Error),
    /// The Delta log could not be read or written.
    #[error("delta log of {table}: {source}")]
    Log {
        /// Which table.
        table: TableId,
        /// What the library said.
        #[source]
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// A file or a log entry does not say what it must.
    #[error("table {table} is damaged: {reason}")]
    Damaged {
        /// Which table.
        table: TableId,
        /// What is wrong, without row values.
        reason: String,
    },
    /// Somebody else committed to the table since it was loaded; it has been loaded again.
    #[error("another writer committed version {version} of {table}")]
    CommitLost {
        /// Which table.
        table: TableId,
        /// The version the other writer took.
        version: u64,
    },
    /// The table exists already.
    #[error("table {0} exists already")]
    Exists(TableId),
    /// The table does not exist, or was dropped while a handle to it lived.
    #[error("table {0} does not exist")]
    Missing(TableId),
    /// The table needs a feature naru does not write.
    #[error("table {table} uses {feature}")]
    Feature {
        /// Which table.
        table: TableId,
        /// The feature's name.
        feature: String,
    },
    /// Columns that cannot stand together or cannot be stored.
    #[error("columns of {table}: {reason}")]
    Columns {
        /// Which table.
        table: TableId,
        /// What is wrong.
        reason: String,
    },
    /// A call that contradicts the table's present state.
    #[error("{table}: {reason}")]
    Refused {
        /// Which table.
        table: TableId,
        /// What is wrong.
        reason: String,
    },
    /// Arrow could not build or convert a batch.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Parquet could not be read or written.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// DataFusion failed while rewriting files.
    #[error("datafusion: {0}")]
    DataFusion(#[from] datafusion::error::DataFusionError),
    /// The local cache folder failed.
    #[error("cache folder: {0}")]
    Cache(#[from] std::io::Error),
    /// The key index could not be read or written. It is a cache: opening the table again builds it anew.
    #[error("key index: {0}")]
    Index(#[from] crate::index::IndexError),
    /// A background task of the lake ended without an answer.
    #[error("a background task of the lake stopped: {0}")]
    Task(String),
    /// A test asked for a failure here.
    #[error("failed on purpose at {0}")]
    Failpoint(&'static str),
}

impl LakeError {
    /// Says it to a person.
    pub fn problem(&self) -> Problem {
        let text = |code: &'static str, summary: String| Problem::new(code, summary).detail(chain(self));
        match self {
            Self::Location { location, reason } => Problem::new(
                "lake.location",
                format!("lake location \"{location}\" cannot be used"),
            )
            .detail(format!("{reason}."))
            .hint("Set `location` under [lake] in naru.toml to a folder, s3://bucket/prefix or gs://bucket/prefix."),
            Self::Store(_) => text("lake.store", "the object store did not answer as it should".into()).later(),
            Self::Log { table, .. } => {
                text("lake.log", format!("the log of table \"{table}\" could not be used")).later()
            }
            Self::Damaged { table, reason } => Problem::new("lake.damaged", format!("table \"{table}\" is damaged"))
                .detail(format!("{reason}."))
                .hint("Rebuild it from its source: `naru sync resync` for a mirror, `naru run` for a mart."),
            Self::CommitLost { table, version } => {
                Problem::new("lake.commit_lost", format!("another writer changed table \"{table}\""))
                    .detail(format!("Version {version} was committed by somebody else."))
                    .hint("Naru must be the only writer of its lake; find the other one.")
                    .later()
            }
            Self::Exists(table) => Problem::new("lake.exists", format!("table \"{table}\" exists already")),
            Self::Missing(table) => Problem::new("lake.missing", format!("table \"{table}\" does not exist")),
            Self::Feature { table, feature } => {
                Problem::new("lake.feature", format!("table \"{table}\" needs a Delta feature naru does not write"))
                    .detail(format!("It uses {feature}."))
                    .hint("Rebuild the table, or drop the feature with the tool that added it.")
            }
            Self::Columns { table, reason } => {
                Problem::new("lake.columns", format!("the columns of \"{table}\" cannot be stored"))
                    .detail(format!("{reason}."))
            }
            Self::Refused { table, reason } => {
                Problem::new("lake.refused", format!("table \"{table}\" refused a change")).detail(format!("{reason}."))
            }
            Self::Arrow(_) => text("lake.arrow", "rows could not be converted for the lake".into()),
            Self::Parquet(_) => text("lake.parquet", "a Parquet file could not be read or written".into()).later(),
            Self::DataFusion(_) => text("lake.rewrite", "files of a table could not be rewritten".into()).later(),
            Self::Cache(_) => text("lake.cache", "the lake's cache folder could not be used".into()).later(),
            Self::Index(_) => text("lake.index", "the key index of a table could not be used".into()).later(),
            Self::Task(_) => text("lake.task", "a background task of the lake stopped".into()).later(),
            Self::Failpoint(_) => text("lake.failpoint", "failed on purpose".into()).later(),
        }
    }
}
