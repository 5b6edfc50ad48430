//! Where tables come from, as a port: live tables at one cut, the others on request.
//!
//! Owns: [`TableSource`], [`View`]. The lake's side of it is `lake_tables`; tests bring their own.

use std::{collections::HashMap, fmt, sync::Arc};

use arrow::{datatypes::Schema, record_batch::RecordBatch};
use async_trait::async_trait;
use datafusion::{catalog::TableProvider, datasource::MemTable};
use naru_base::{TableId, Version};

use crate::WarehouseError;

/// One table as one query sees it.
#[derive(Clone)]
pub struct View {
    /// Its rows.
    pub provider: Arc<dyn TableProvider>,
    /// Its Delta version, where it has one.
    pub version: Option<Version>,
    /// How large it is, where that is known.
    pub extent: Option<Extent>,
}

/// How large a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Rows that a query sees, unflushed ones included.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

impl View {
    /// A table without versions.
    pub fn of(provider: Arc<dyn TableProvider>) -> Self {
        Self { provider, version: None, extent: None }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({:?})", self.version)
    }
}

/// Tables at one moment. A table that cannot be read keeps its error, so that only queries of it fail, and none reads
/// older rows instead.
pub type Cut = HashMap<TableId, Result<View, WarehouseError>>;

/// All tables of a project.
#[async_trait]
pub trait TableSource: Send + Sync {
    /// The live tables at one cut in time. Called once per query, before anything else; must not wait.
    fn cut(&self) -> Cut;

    /// The queries of SQL views, by name; must not wait.
    fn views(&self) -> HashMap<TableId, String> {
        HashMap::new()
    }

    /// Names of all tables, live ones included, in any order.
    async fn list(&self) -> Result<Vec<TableId>, WarehouseError>;

    /// Opens a table that is not in the cut; `None` when there is no such table.
    async fn open(&self, id: &TableId) -> Result<Option<View>, WarehouseError>;
}

impl View {
    /// Rows in memory, as a table without versions. All batches have the first one's columns.
    pub fn of_batches(batches: Vec<RecordBatch>) -> Result<Self, WarehouseError> {
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let table = MemTable::try_new(schema, vec![batches])
            .map_err(|error| WarehouseError::Engine(error.strip_backtrace()))?;
        Ok(Self::of(Arc::new(table)))
    }
}
