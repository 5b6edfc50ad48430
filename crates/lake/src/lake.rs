//! The lake: one object store, one folder a table.
//!
//! Owns: [`Lake`], where it lies, which tables are in it, the one shared handle a table.
//! Never reads rows. Read next: [`crate::table`].

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use datafusion::execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv};
use futures::{StreamExt, TryStreamExt};
use naru_base::{TableId, Version};
use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::{
    checkpoint::Txns,
    clock::{Clock, MachineClock},
    column::Column,
    commit::{KEY_PROPERTY, VECTORS_PROPERTY},
    error::LakeError,
    faults,
    log::{self, About, Home, Loaded},
    object, schema,
    table::Table,
    view::TableView,
};

/// Tables looked at together while listing.
const LOOKS_AT_ONCE: usize = 16;

/// Where the lake lies.
#[derive(Debug, Clone)]
pub struct LakeSettings {
    /// A folder (relative to `base` or absolute), `file://`, `s3://bucket/prefix` or `gs://bucket/prefix`.
    pub location: String,
    /// The project folder.
    pub base: PathBuf,
    /// A local folder for what can be built again: key index, spill files.
    pub cache: PathBuf,
}

/// What a new table is.
#[derive(Debug, Clone, Default)]
pub struct TableSpec {
    /// Columns in order.
    pub columns: Vec<Column>,
    /// True names of the key columns; empty for a keyless table.
    pub key: Vec<String>,
    /// Whether dead rows are marked by deletion vectors. Without them a change that kills rows rewrites the file.
    pub deletion_vectors: bool,
    /// Further properties, `naru.*` or `delta.*`; they win over what naru sets by itself.
    pub properties: BTreeMap<String, String>,
    /// For people.
    pub description: Option<String>,
}

/// All tables of a project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn ObjectStore>,
    url: ObjectStoreUrl,
    runtime: Arc<RuntimeEnv>,
    cache: PathBuf,
    clock: Arc<dyn Clock>,
    tables: Mutex<HashMap<TableId, Slot>>,
}

/// Holds a table's handle; locked across loading, so that two callers never make two handles of one table.
type Slot = Arc<tokio::sync::Mutex<Option<Table>>>;

impl Lake {
    /// Opens the lake; makes its local folders. Reads no table.
    pub async fn open(settings: LakeSettings) -> Result<Self, LakeError> {
        Self::open_with(settings, Arc::new(MachineClock)).await
    }

    /// Opens a lake whose ages are measured by `clock`.
    pub async fn open_with(settings: LakeSettings, clock: Arc<dyn Clock>) -> Result<Self, LakeError> {
        let made = tokio::task::spawn_blocking(move || {
            Ok::<_, LakeError>((faults::between(object::store(&settings)?), settings.cache))
        });
        let (store, cache) = made.await.map_err(|error| LakeError::Task(error.to_string()))??;
        Self::over_with(store, cache, clock)
    }

    /// Opens a lake over a store that the caller made (fault injection, memory). Makes the cache folder.
    pub fn over(store: Arc<dyn ObjectStore>, cache: PathBuf) -> Result<Self, LakeError> {
        Self::over_with(store, cache, Arc::new(MachineClock))
    }

    fn over_with(store: Arc<dyn ObjectStore>, cache: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, LakeError> {
        std::fs::create_dir_all(&cache)?;
        // Nobody can name this URL: its host is drawn anew in every process.
        let url = ObjectStoreUrl::parse(format!("naru-lake://l{}/", Uuid::new_v4().simple()))?;
        let runtime = Arc::new(RuntimeEnv::default());
        runtime.register_object_store(url.as_ref(), Arc::clone(&store));
        Ok(Self { shared: Arc::new(Shared { store, url, runtime, cache, clock, tables: Mutex::default() }) })
    }

    /// Ids of all tables, sorted.
    pub async fn tables(&self) -> Result<Vec<TableId>, LakeError> {
        let store = &self.shared.store;
        let mut found = Vec::new();
        for dataset in store.list_with_delimiter(None).await?.common_prefixes {
            let tables = store.list_with_delimiter(Some(&dataset)).await?.common_prefixes;
            let ids: Vec<TableId> =
                tables.iter().filter_map(|table| Some(TableId::new(dataset.filename()?, table.filename()?))).collect();
            let known: Vec<Option<TableId>> = futures::stream::iter(ids)
                .map(|id| async move { Ok::<_, LakeError>(self.home(&id)?.exists().await?.then_some(id)) })
                .buffer_unordered(LOOKS_AT_ONCE)
                .try_collect()
                .await?;
            found.extend(known.into_iter().flatten());
        }
        found.sort();
        Ok(found)
    }

    /// Creates a table.
    ///
    /// # Errors
    /// [`LakeError::Exists`], [`LakeError::Columns`].
    pub async fn create(&self, id: &TableId, spec: TableSpec) -> Result<Table, LakeError> {
        let slot = self.slot(id);
        let mut slot = slot.lock().await;
        let home = self.home(id)?;
        if home.exists().await? {
            return Err(LakeError::Exists(id.clone()));
        }
        let (view, about) = first_view(&home, spec)?;
        let commit = Uuid::new_v4().simple().to_string();
        let lines = [
            log::commit_info(&commit, "CREATE TABLE", about.created_ms, false, &serde_json::Map::new()),
            log::protocol(&view),
            log::metadata(&view, &about)?,
        ];
        let table =
            Table::new(self.clone(), home, Loaded { view, about, next_file: 0, txns: Txns::new(), checkpoint: None });
        table.put_first(&commit, &lines).await?;
        *slot = Some(table.clone());
        Ok(table)
    }

    /// The table's one handle in this process; `None` when there is no such table.
    pub async fn open_table(&self, id: &TableId) -> Result<Option<Table>, LakeError> {
        let slot = self.slot(id);
        let mut slot = slot.lock().await;
        if let Some(table) = &*slot {
            return Ok(Some(table.clone()));
        }
        let home = self.home(id)?;
        if !home.exists().await? {
            return Ok(None);
        }
        let loaded = log::load(&home, None, &HashMap::new()).await?;
        let table = Table::new(self.clone(), home, loaded);
        *slot = Some(table.clone());
        Ok(Some(table))
    }

    /// Removes a table and everything in its folder. Doing it twice is the same as once.
    /// Handles that are left answer [`LakeError::Missing`].
    pub async fn drop_table(&self, id: &TableId) -> Result<(), LakeError> {
        let slot = self.slot(id);
        let mut slot = slot.lock().await;
        if let Some(table) = slot.take() {
            table.close().await;
        }
        let home = self.home(id)?;
        // The log goes first: a table half removed must not look like a whole one.
        for prefix in [Some(Path::from("_delta_log")), None] {
            let found = home.store.list(prefix.as_ref()).map_ok(|meta| meta.location).boxed();
            let gone = home.store.delete_stream(found);
            gone.try_for_each(|_| async { Ok(()) }).await?;
        }
        Ok(())
    }

    /// Tables that this process has open, sorted. No I/O.
    pub fn open_tables(&self) -> Vec<Table> {
        let slots: Vec<Slot> = self.shared.tables.lock().values().cloned().collect();
        // A slot that is locked is being opened or dropped; it will be seen the next time.
        let mut tables: Vec<Table> = slots.iter().filter_map(|slot| slot.try_lock().ok()?.clone()).collect();
        tables.sort_by(|a, b| a.id().cmp(b.id()));
        tables
    }

    /// What ages are measured by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// The store that holds the tables, paths from the lake's root.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.shared.store)
    }

    /// The private URL under which plans name that store.
    pub fn object_store_url(&self) -> &ObjectStoreUrl {
        &self.shared.url
    }

    /// Lets queries of this runtime read the lake. Needed once before a view's provider is executed.
    pub fn register(&self, runtime: &RuntimeEnv) {
        runtime.register_object_store(self.shared.url.as_ref(), self.object_store());
    }

    /// The folder for what can be built again.
    pub fn cache(&self) -> &std::path::Path {
        &self.shared.cache
    }

    fn slot(&self, id: &TableId) -> Slot {
        Arc::clone(self.shared.tables.lock().entry(id.clone()).or_default())
    }

    fn home(&self, id: &TableId) -> Result<Home, LakeError> {
        let wrong = || LakeError::Columns { table: id.clone(), reason: "its name cannot be a folder's".into() };
        let plain = |part: &str| !part.is_empty() && !part.contains(['/', '\\', '%']) && part != "." && part != "..";
        if !plain(&id.dataset) || !plain(&id.table) {
            return Err(wrong());
        }
        let folder = Path::parse(format!("{}/{}", id.dataset, id.table)).map_err(|_| wrong())?;
        let store = Arc::new(PrefixStore::new(Arc::clone(&self.shared.store), folder.clone()));
        let runtime = Arc::clone(&self.shared.runtime);
        let clock = Arc::clone(&self.shared.clock);
        Ok(Home { id: id.clone(), store, url: self.shared.url.clone(), runtime, folder, clock })
    }
}

fn first_view(home: &Home, spec: TableSpec) -> Result<(TableView, About), LakeError> {
    let columns = schema::settle(&home.id, spec.columns, &spec.key)?;
    // A mirror's log grows with every flush; everything else changes seldom and keeps a week (contracts, retention).
    let kept = if spec.deletion_vectors { "interval 24 hours" } else { "interval 168 hours" };
    let mut properties: BTreeMap<String, String> = [
        ("delta.logRetentionDuration", kept),
        ("delta.deletedFileRetentionDuration", kept),
        ("delta.enableExpiredLogCleanup", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if spec.deletion_vectors {
        properties.insert(VECTORS_PROPERTY.into(), "true".into());
    }
    properties.insert(KEY_PROPERTY.into(), serde_json::Value::from(spec.key.clone()).to_string());
    properties.extend(spec.properties);
    let view = TableView {
        id: home.id.clone(),
        uid: Uuid::new_v4().to_string().into(),
        version: Version(0),
        schema: schema::arrow_schema(&columns),
        columns: columns.into(),
        key: spec.key.into(),
        properties: Arc::new(properties),
        files: Arc::from([]),
        tail: Arc::from([]),
        store: home.url.clone(),
        runtime: Arc::clone(&home.runtime),
        folder: home.folder.clone(),
    };
    let protocol = log::protocol(&view).get("protocol").cloned().unwrap_or_default();
    Ok((view, About { description: spec.description, created_ms: home.clock.now_ms(), protocol }))
}
