//! What one query can see: its project's tables at one cut, what the caller pinned or staged, nothing else.
//!
//! Owns: the private catalog list of a query and the record of what it opened.
//! An unknown table and a forbidden one get the same answer. There is no way to register, create or list files.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider},
    datasource::ViewTable,
    error::DataFusionError,
    execution::session_state::SessionState,
};
use naru_access::{Policy, Principal, Visible};
use naru_base::{TableId, Version};
use naru_googlesql::{GoogleSql, Params, SqlError, SqlErrorKind};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    WarehouseError,
    information_schema::{self, INFORMATION_SCHEMA},
    session::Pinned,
    tables::{Cut, Extent, TableSource, View},
};

/// Views within views deeper than this are refused.
const VIEW_DEPTH_MAX: usize = 32;

/// The tables of one query. Created when the query starts and dropped with it.
pub(crate) struct Scope {
    /// The project's name.
    pub project: String,
    /// Taken once, so that all live tables are seen as of the same source commit.
    cut: Cut,
    /// Views, by the query that makes them.
    queries: HashMap<TableId, String>,
    /// Whether tables outside the cut may be opened.
    open: Option<Arc<dyn TableSource>>,
    /// What the query opened, with versions.
    used: Mutex<BTreeMap<TableId, Option<Version>>>,
    /// Every table and view the query opened, those behind views too.
    opened: Mutex<BTreeSet<TableId>>,
    reader: Reader,
}

/// Who reads, and what they may see while one statement runs.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub principal: Principal,
    pub visible: Arc<Visible>,
    policy: Policy,
    /// Hears of changes since `visible` was taken.
    changes: watch::Receiver<u64>,
}

impl Reader {
    /// What someone may see now.
    pub fn new(principal: &Principal, policy: &Policy) -> Self {
        // First the ear, so that no change falls between the two.
        let changes = policy.changes();
        let visible = policy.now().visible(principal);
        Self { principal: principal.clone(), visible, policy: policy.clone(), changes }
    }

    /// Comes back once one of these tables is no longer there for them; never for whoever holds the folder.
    pub async fn loses(mut self, opened: BTreeSet<TableId>) {
        if !self.principal.holds_the_folder() {
            while self.changes.changed().await.is_ok() {
                let visible = self.policy.now().visible(&self.principal);
                if opened.iter().any(|table| !visible.table(table)) {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Scope {
    /// A scope over the source's present state.
    pub fn live(project: &str, source: &Arc<dyn TableSource>, own: &[(TableId, View)], reader: Reader) -> Arc<Self> {
        let mut cut = source.cut();
        cut.extend(own.iter().map(|(id, view)| (id.clone(), Ok(view.clone()))));
        Arc::new(Self {
            project: project.to_owned(),
            cut,
            queries: source.views(),
            open: Some(source.clone()),
            used: Mutex::default(),
            opened: Mutex::default(),
            reader,
        })
    }

    /// A scope over exactly these tables and views.
    pub fn pinned(project: &str, pinned: Pinned, reader: Reader) -> Arc<Self> {
        Arc::new(Self {
            project: project.to_owned(),
            cut: pinned.views.into_iter().map(|(id, view)| (id, Ok(view))).collect(),
            queries: pinned.queries,
            open: None,
            used: Mutex::default(),
            opened: Mutex::default(),
            reader,
        })
    }

    /// Who reads.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Every table and view that was opened so far.
    pub fn opened(&self) -> BTreeSet<TableId> {
        self.opened.lock().clone()
    }

    /// What was opened so far.
    pub fn used(&self) -> BTreeMap<TableId, Option<Version>> {
        self.used.lock().clone()
    }

    /// All tables and views a reader may know of.
    pub async fn list(&self) -> Result<Vec<TableId>, WarehouseError> {
        let mut all: Vec<TableId> = self.cut.keys().chain(self.queries.keys()).cloned().collect();
        if let Some(source) = &self.open {
            all.extend(source.list().await?);
        }
        all.sort();
        all.dedup();
        all.retain(|id| self.reader.visible.table(id));
        Ok(all)
    }

    /// Whether the name is a view.
    pub fn is_view(&self, id: &TableId) -> bool {
        self.queries.contains_key(id)
    }

    /// How large a table is, where that is known.
    pub async fn extent(&self, id: &TableId) -> Option<Extent> {
        self.table(id).await.ok().flatten()?.extent
    }

    async fn table(&self, id: &TableId) -> Result<Option<View>, WarehouseError> {
        match (self.cut.get(id), &self.open) {
            (Some(view), _) => view.clone().map(Some),
            (None, Some(source)) => source.open(id).await,
            (None, None) => Ok(None),
        }
    }
}

/// A scope as one statement sees it, or as a view within that statement does.
#[derive(Clone)]
pub(crate) struct Sight {
    pub scope: Arc<Scope>,
    google: GoogleSql,
    /// The session without catalogs; holding one with them would hold this sight in a circle.
    bare: Arc<SessionState>,
    /// Views that are being expanded, outermost first.
    path: Vec<TableId>,
    /// Whether tables are only described: what is not read is not remembered as used.
    looks: bool,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Sight {
    /// What a statement of this session sees. `bare` has no catalogs.
    pub fn new(scope: Arc<Scope>, google: GoogleSql, bare: SessionState) -> Self {
        Self { scope, google, bare: Arc::new(bare), path: Vec::new(), looks: false }
    }

    /// The same for describing tables without reading them.
    pub fn looking(&self) -> Self {
        Self { looks: true, ..self.clone() }
    }

    /// The session with this sight as its only catalogs.
    pub fn state(&self) -> SessionState {
        let mut state = self.bare.as_ref().clone();
        state.register_catalog_list(Arc::new(Catalogs(self.clone())));
        state
    }

    /// One table or view, remembered as used.
    pub async fn open(&self, id: &TableId) -> Result<Option<Arc<dyn TableProvider>>, WarehouseError> {
        // What is forbidden is not there, also behind a view: a view reads with the rights of whoever asks it.
        if !self.scope.reader.visible.table(id) {
            return Ok(None);
        }
        let used = !self.looks;
        if used {
            self.scope.opened.lock().insert(id.clone());
        }
        if let Some(sql) = self.scope.queries.get(id) {
            return self.expand(id, sql).await.map(Some);
        }
        let Some(view) = self.scope.table(id).await? else { return Ok(None) };
        if used {
            self.scope.used.lock().insert(id.clone(), view.version);
        }
        Ok(Some(view.provider))
    }

    /// Plans a view's query in the same scope. Its names are full ones: the session's default dataset is not its.
    async fn expand(&self, id: &TableId, sql: &str) -> Result<Arc<dyn TableProvider>, WarehouseError> {
        let wrong = |message: String| {
            WarehouseError::Sql(SqlError { kind: SqlErrorKind::Name, message, line: 0, column: 0, hint: None })
        };
        if self.path.contains(id) || self.path.len() >= VIEW_DEPTH_MAX {
            let names: Vec<String> = self.path.iter().chain([id]).map(ToString::to_string).collect();
            return Err(wrong(format!("views read each other in a circle or too deep: {}", names.join(" → "))));
        }
        let mut inner = self.clone();
        inner.path.push(id.clone());
        let mut state = inner.state();
        state.config_mut().options_mut().catalog.default_schema = String::new();
        let parsed = naru_googlesql::parse(sql)?.pop().ok_or(WarehouseError::Empty)?;
        let planned = self.google.plan(&state, &parsed, &Params::default()).await;
        let plan = planned.map_err(|error| {
            // The name of what stays hidden must not be read off a view.
            if error.kind == SqlErrorKind::NoTable && !self.scope.reader.visible.everything() {
                return wrong(format!("view {id} reads a table that does not exist or that you may not see"));
            }
            // Places in a view's text would be shown as places in the statement that reads it.
            wrong(format!("view {id}: {}", error.message))
        })?;
        Ok(Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))
    }
}

/// Turns an error of ours into one that can travel through the engine.
pub(crate) fn through_engine(error: WarehouseError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The catalogs of one query. `dataset.INFORMATION_SCHEMA.view` has the dataset where a project usually stands, so
/// every other name answers as a dataset.
#[derive(Debug)]
struct Catalogs(Sight);

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![self.0.scope.project.clone()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        if name == self.0.scope.project {
            Some(Arc::new(Project(self.0.clone())))
        } else {
            Some(Arc::new(Dataset { sight: self.0.clone(), name: name.to_owned() }))
        }
    }
}

#[derive(Debug)]
struct Project(Sight);

impl CatalogProvider for Project {
    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
            return Some(Arc::new(Information { sight: self.0.clone(), dataset: None }));
        }
        // `dataset.INFORMATION_SCHEMA` as one name is how a four-part path arrives.
        if let Some((dataset, last)) = name.rsplit_once('.')
            && last.eq_ignore_ascii_case(INFORMATION_SCHEMA)
        {
            return Some(Arc::new(Information { sight: self.0.clone(), dataset: Some(dataset.to_owned()) }));
        }
        Some(Arc::new(Tables { sight: self.0.clone(), dataset: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Dataset {
    sight: Sight,
    name: String,
}

impl CatalogProvider for Dataset {
    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        name.eq_ignore_ascii_case(INFORMATION_SCHEMA).then(|| -> Arc<dyn SchemaProvider> {
            Arc::new(Information { sight: self.sight.clone(), dataset: Some(self.name.clone()) })
        })
    }
}

#[derive(Debug)]
struct Tables {
    sight: Sight,
    dataset: String,
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let id = TableId::new(&self.dataset, name);
        self.sight.open(&id).await.map_err(through_engine)
    }

    fn table_exist(&self, _: &str) -> bool {
        false
    }
}

#[derive(Debug)]
struct Information {
    sight: Sight,
    dataset: Option<String>,
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        information_schema::VIEWS.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        information_schema::view(&self.sight, self.dataset.as_deref(), name).await.map_err(through_engine)
    }

    fn table_exist(&self, name: &str) -> bool {
        information_schema::VIEWS.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}
