//! What every part of one source's engine needs and nobody changes.
//!
//! Owns: [`Context`]: settings, names at the source, the lake, folders; [`Way`]: how the source is reached, whose
//! secret may change while naru runs. Never holds state of the stream.

use std::{fmt, path::PathBuf, sync::Arc};

use naru_base::Problem;
use naru_lake::{
    Column, Lake, Table, TableSpec,
    live::{LiveSettings, LiveTable},
};
use naru_project::{PostgresSource, Source};
use naru_store::Store;
use parking_lot::RwLock;

use super::room::DiskMarks;
use crate::{
    catalog::ServerFacts,
    copy::CopyTarget,
    error::SyncError,
    image::TableImage,
    plan::TableShape,
    postgres::ConnectSettings,
    preflight::{TableKind, Verdict, verdict_to_follow, verdict_with},
    publication::SourceNames,
};

/// How the source is reached. The secret may be renewed where the settings take it from.
pub struct Way {
    now: RwLock<ConnectSettings>,
    read: Box<ReadAgain>,
}

/// Reads the settings again from where they stand.
type ReadAgain = dyn Fn() -> Result<ConnectSettings, Problem> + Send + Sync;

impl Way {
    /// Settings as they are now, and how to read them again.
    pub fn new(
        now: ConnectSettings,
        read: impl Fn() -> Result<ConnectSettings, Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { now: RwLock::new(now), read: Box::new(read) }
    }

    fn renew(&self) {
        match (self.read)() {
            Ok(settings) => *self.now.write() = settings,
            // What worked before may work again; whether it does the connection says.
            Err(problem) => tracing::warn!(%problem, "the source's url could not be read again"),
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.now.read(), f)
    }
}

/// Fixed surroundings of one source's engine.
#[derive(Debug)]
pub struct Context {
    /// The source file.
    pub source: Source,
    /// Its PostgreSQL settings.
    pub postgres: PostgresSource,
    /// How to connect.
    pub way: Way,
    /// Names of what naru makes at the source.
    pub names: SourceNames,
    /// Where tables go.
    pub lake: Lake,
    /// State database.
    pub store: Arc<Store>,
    /// Folder of this source's spools.
    pub spool_dir: PathBuf,
    /// The project's time zone, for the hours in which copies run.
    pub zone: jiff::tz::TimeZone,
    /// How live tables flush, index and share memory.
    pub live: LiveSettings,
    /// Disk that stays free here.
    pub disk: DiskMarks,
}

impl Context {
    /// How to connect, as last read.
    pub fn connect(&self) -> ConnectSettings {
        self.way.now.read().clone()
    }

    /// Reads again how to connect: a password may have been changed.
    pub(super) fn renew_connect(&self) {
        self.way.renew();
    }

    /// Opens a live table over a lake table.
    pub async fn live_table(&self, table: Table) -> Result<LiveTable, SyncError> {
        Ok(LiveTable::open(table, self.live.clone()).await?)
    }

    /// The shape of a table whose lake table has `before` as its columns.
    pub fn shape_of(&self, image: &TableImage, kind: TableKind, before: &[Column]) -> Result<TableShape, SyncError> {
        let id = self.source.table_id(&image.schema, &image.name);
        let selection = &self.postgres.selection;
        TableShape::new(id, image, kind, |c| !selection.takes_column(&image.schema, &image.name, c), before)
    }

    /// What becomes of a table, as the source and its file have it.
    pub fn verdict(&self, image: &TableImage, facts: &ServerFacts) -> Verdict {
        verdict_with(&self.postgres, image, facts)
    }

    /// The same for a table whose rows are in the lake already, whatever may be read at the source now.
    pub fn verdict_to_follow(&self, image: &TableImage) -> Verdict {
        verdict_to_follow(&self.postgres, image)
    }

    /// Whether the source file wants this table.
    pub fn wants(&self, image: &TableImage) -> bool {
        !image.is_partition && self.postgres.selection.takes_table(&image.schema, &image.name)
    }

    /// File of a table's spool.
    pub fn spool_path(&self, oid: u32) -> PathBuf {
        crate::spool::table_path(&self.spool_dir, oid)
    }
}

/// The kind of table a verdict allows; `None` when it is not synced.
pub(super) fn kind_of(verdict: &Verdict) -> Option<TableKind> {
    match verdict {
        Verdict::Sync(kind, _) => Some(*kind),
        Verdict::NotSynced(_) | Verdict::Quarantine(_) => None,
    }
}

/// A copy writes into the table's lake folder; the table is created empty where it is missing.
#[derive(Debug)]
pub(super) struct Target {
    /// Surroundings.
    pub context: Arc<Context>,
    /// What the server is.
    pub facts: ServerFacts,
    /// Keyed or append-only, as the table was judged and published.
    pub kind: TableKind,
    /// Schema and name, as the table was judged.
    pub names: (String, String),
    /// Its columns by catalog position and name, as the rows in the lake follow them.
    pub columns_before: Vec<(i16, String)>,
}

#[async_trait::async_trait]
impl CopyTarget for Target {
    async fn table(&self, shape: &TableShape) -> Result<Table, SyncError> {
        if let Some(table) = self.context.lake.open_table(&shape.id).await? {
            return Ok(table);
        }
        let settings = self.context.postgres.table(&self.names.0, &self.names.1);
        let spec = TableSpec {
            columns: shape.columns.clone(),
            key: shape.key.clone(),
            deletion_vectors: settings.deletion_vectors,
            ..TableSpec::default()
        };
        Ok(self.context.lake.create(&shape.id, spec).await?)
    }

    async fn shape(&self, image: &TableImage) -> Result<TableShape, SyncError> {
        let kind = kind_of(&self.context.verdict(image, &self.facts));
        if kind != Some(self.kind) || image.names() != self.names {
            // Its publication and its name were settled for another table than the snapshot has.
            return Err(SyncError::Rewritten { table: image.full_name() });
        }
        let id = self.context.source.table_id(&image.schema, &image.name);
        let existing = self.context.lake.open_table(&id).await?;
        let present = existing.map(|table| table.view().columns.to_vec()).unwrap_or_default();
        let dropped_now = |name: &str| {
            self.columns_before.iter().any(|(attnum, before)| before == name && image.column(*attnum).is_none())
        };
        let stay: Vec<Column> =
            present.into_iter().filter(|column| column.dropped || dropped_now(&column.name)).collect();
        self.context.shape_of(image, self.kind, &stay)
    }
}
