//! The lake as a source of tables: live ones from the cut, the others opened on request.
//!
//! Owns: [`LakeTables`], [`CutSource`]. The lake itself keeps one handle a table, so nothing is cached twice here.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use naru_base::TableId;
use naru_lake::{Lake, LakeError, ScanOptions, StagedFile, Table, TableView};
use parking_lot::RwLock;

use crate::{
    WarehouseError,
    tables::{Cut, Extent, TableSource, View},
};

/// Where live tables, with their unflushed rows, come from.
pub trait CutSource: Send + Sync {
    /// Every live table as of one commit of its source. Must not wait for I/O.
    fn cut(&self) -> HashMap<TableId, Arc<TableView>>;
}

/// Where the queries of SQL views come from.
pub trait ViewSource: Send + Sync {
    /// The query of every view, by the view's name. Must not wait for I/O.
    fn views(&self) -> HashMap<TableId, String>;
}

/// Tables of a lake, live ones first, and SQL views over them.
pub struct LakeTables {
    lake: Lake,
    live: Option<Arc<dyn CutSource>>,
    views: Option<Arc<dyn ViewSource>>,
    published_by: PublishedBy,
}

/// Tables that are there for nobody until an application of the id beside them has committed to them. Clones are the
/// same list; a table may be added while queries run.
pub type PublishedBy = Arc<RwLock<HashMap<TableId, String>>>;

impl LakeTables {
    /// Tables of this lake; `live` is absent when nothing is syncing in this process.
    pub fn new(lake: Lake, live: Option<Arc<dyn CutSource>>, views: Option<Arc<dyn ViewSource>>) -> Self {
        Self { lake, live, views, published_by: PublishedBy::default() }
    }

    /// Hides tables until an application of the id beside them has committed to them.
    #[must_use]
    pub fn published_by(self, published_by: PublishedBy) -> Self {
        Self { published_by, ..self }
    }

    /// A table, unless it is one that waits for its first rows.
    async fn published(&self, id: &TableId) -> Result<Option<Table>, WarehouseError> {
        if !names_a_folder(id) {
            return Ok(None);
        }
        let Some(table) = self.lake.open_table(id).await.map_err(lake_error)? else { return Ok(None) };
        let Some(application) = self.published_by.read().get(id).cloned() else { return Ok(Some(table)) };
        let committed = table.position(&application).await.map_err(lake_error)?;
        Ok(committed.map(|_| table))
    }

    /// The lake.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }
}

impl View {
    /// A view of the lake as SQL sees it: hidden columns left out.
    pub fn of_lake(view: &Arc<TableView>) -> Result<Self, WarehouseError> {
        Self::with(view, &ScanOptions::default())
    }

    /// The same without the columns that the source has dropped, which would be null in every new row.
    pub fn of_lake_now(view: &Arc<TableView>) -> Result<Self, WarehouseError> {
        Self::with(view, &ScanOptions { current: true, ..ScanOptions::default() })
    }

    fn with(view: &Arc<TableView>, options: &ScanOptions) -> Result<Self, WarehouseError> {
        let provider = view.provider(options).map_err(lake_error)?;
        let extent = Extent { rows: view.live_rows(), bytes: view.files.iter().map(|file| file.size).sum() };
        Ok(Self { provider, version: Some(view.version), extent: Some(extent) })
    }
}

impl View {
    /// Files that are staged and not committed yet, as a table of their own with the columns of `view`; what checks
    /// run over before a mart is published.
    pub fn of_staged(view: &Arc<TableView>, staged: &[StagedFile]) -> Result<Self, WarehouseError> {
        let files = staged.iter().map(|file| Arc::new(file.file_view())).collect();
        Self::of_lake(&Arc::new(view.with_files(files).with_tail(Vec::new())))
    }
}

/// Whether a table of the lake can have this name; any other one names nothing, whatever a query says.
fn names_a_folder(id: &TableId) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.contains(['/', '\\', '%']) && part != "." && part != "..";
    plain(&id.dataset) && plain(&id.table)
}

fn lake_error(error: LakeError) -> WarehouseError {
    WarehouseError::Lake(Arc::new(error))
}

#[async_trait]
impl TableSource for LakeTables {
    fn cut(&self) -> Cut {
        let cut = self.live.as_ref().map(|live| live.cut()).unwrap_or_default();
        cut.iter().map(|(id, view)| (id.clone(), View::of_lake(view))).collect()
    }

    fn views(&self) -> HashMap<TableId, String> {
        self.views.as_ref().map(|views| views.views()).unwrap_or_default()
    }

    async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        let mut all = Vec::new();
        for id in self.lake.tables().await.map_err(lake_error)? {
            let waits = self.published_by.read().contains_key(&id);
            if !waits || self.published(&id).await?.is_some() {
                all.push(id);
            }
        }
        if let Some(live) = &self.live {
            all.extend(live.cut().into_keys());
        }
        Ok(all)
    }

    async fn open(&self, id: &TableId) -> Result<Option<View>, WarehouseError> {
        self.published(id).await?.map(|table| View::of_lake(&table.view())).transpose()
    }
}
