//! What every part of one source's engine needs and nobody changes.
//!
//! Owns: [`Context`]: settings, names at the source, the lake, folders. Never holds state of the stream.

use std::{path::PathBuf, sync::Arc};

use naru_lake::{
    Lake, Table, TableSpec,
    live::{LiveSettings, LiveTable},
};
use naru_project::{PostgresSource, Source};
use naru_store::Store;

use crate::{
    copy::CopyTarget,
    error::SyncError,
    image::TableImage,
    plan::TableShape,
    postgres::ConnectSettings,
    preflight::{TableKind, Verdict},
    publication::SourceNames,
};

/// Fixed surroundings of one source's engine.
#[derive(Debug)]
pub struct Context {
    /// The source file.
    pub source: Source,
    /// Its PostgreSQL settings.
    pub postgres: PostgresSource,
    /// How to connect.
    pub connect: ConnectSettings,
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
}

impl Context {
    /// Opens a live table over a lake table.
    pub async fn live_table(&self, table: Table) -> Result<LiveTable, SyncError> {
        Ok(LiveTable::open(table, self.live.clone()).await?)
    }

    /// The shape of a table whose lake table has `before` as its columns.
    pub fn shape_of(
        &self,
        image: &TableImage,
        kind: TableKind,
        before: &[naru_lake::Column],
    ) -> Result<TableShape, SyncError> {
        let id = self.source.table_id(&image.schema, &image.name);
        let selection = &self.postgres.selection;
        TableShape::new(id, image, kind, |c| !selection.takes_column(&image.schema, &image.name, c), before)
    }

    /// Whether the source file wants this table.
    pub fn wants(&self, image: &TableImage) -> bool {
        !image.is_partition && self.postgres.selection.takes_table(&image.schema, &image.name)
    }

    /// File of a table's spool.
    pub fn spool_path(&self, oid: u32) -> PathBuf {
        self.spool_dir.join(format!("table-{oid}"))
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
    /// Keyed or append-only.
    pub kind: TableKind,
}

#[async_trait::async_trait]
impl CopyTarget for Target {
    async fn table(&self, shape: &TableShape) -> Result<Table, SyncError> {
        if let Some(table) = self.context.lake.open_table(&shape.id).await? {
            return Ok(table);
        }
        let (schema, name) = shape.source_table.split_once('.').unwrap_or(("", &shape.source_table));
        let settings = self.context.postgres.table(schema, name);
        let spec = TableSpec {
            columns: shape.columns.clone(),
            key: shape.key.clone(),
            deletion_vectors: settings.deletion_vectors,
            ..TableSpec::default()
        };
        Ok(self.context.lake.create(&shape.id, spec).await?)
    }

    fn shape(&self, image: &TableImage) -> Result<TableShape, SyncError> {
        self.context.shape_of(image, self.kind, &[])
    }
}
