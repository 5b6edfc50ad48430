//! One change of a table: what is added, what dies, which position it covers. Always one Delta commit.
//!
//! Owns: [`Change`], [`Remove`], [`Operation`], [`Committed`], and what a change makes of a view (a pure function).
//! Never talks to the object store. Read next: [`crate::log`] for the bytes, [`crate::table`] for the order of steps.

use std::{collections::BTreeMap, sync::Arc};

use naru_base::Version;
use roaring::RoaringTreemap;

use crate::{
    column::Column,
    error::LakeError,
    schema,
    stage::StagedFile,
    view::{FileId, FileView, TableView},
};

/// Property that holds the key's true names as a JSON array.
pub(crate) const KEY_PROPERTY: &str = "naru.key";
/// Property that switches deletion vectors on.
pub(crate) const VECTORS_PROPERTY: &str = "delta.enableDeletionVectors";

/// Which present files leave the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Remove {
    /// None.
    #[default]
    None,
    /// All of them: the staged files are the whole table.
    All,
    /// These; an id that is not in the table is refused.
    Files(Vec<FileId>),
}

/// What a commit is for; stands in the log for people and decides `dataChange`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Operation {
    /// New rows only.
    #[default]
    Append,
    /// New rows, dead rows and a source position together.
    Flush,
    /// The whole contents replaced.
    Replace,
    /// The same rows in other files.
    Compact,
    /// Columns or properties.
    Alter,
    /// Rows that are older than they are kept.
    Expire,
}

impl Operation {
    /// The word in the log, as other tools know it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Append | Self::Replace => "WRITE",
            Self::Flush => "MERGE",
            Self::Compact => "OPTIMIZE",
            Self::Alter => "ALTER TABLE",
            Self::Expire => "DELETE",
        }
    }

    /// Whether rows differ afterwards.
    pub(crate) fn changes_rows(self) -> bool {
        match self {
            Self::Append | Self::Flush | Self::Replace | Self::Alter | Self::Expire => true,
            Self::Compact => false,
        }
    }
}

/// One change. Everything in it becomes visible together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Files to add, from this table's [`crate::Stager`].
    pub add: Vec<StagedFile>,
    /// Rows of files in `add` that are dead already.
    pub add_deleted: Vec<(FileId, RoaringTreemap)>,
    /// Rows of present files that die now, on top of those dead already. Unknown ids are refused.
    pub delete: Vec<(FileId, RoaringTreemap)>,
    /// Files that leave.
    pub remove: Remove,
    /// The table's new columns.
    pub columns: Option<Vec<Column>>,
    /// The table's new key (true names); `None` keeps it. Needed with `columns` when a key column goes.
    pub key: Option<Vec<String>>,
    /// Properties to set (`Some`) or to remove (`None`).
    pub properties: BTreeMap<String, Option<String>>,
    /// App id and version stored with the commit: the source position it covers.
    pub txn: Option<(String, i64)>,
    /// What the commit is for.
    pub operation: Operation,
    /// Further facts for the log's `commitInfo`; not kept by checkpoints.
    pub info: serde_json::Map<String, serde_json::Value>,
}

/// A commit that is in the log.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its version.
    pub version: Version,
    /// The table right after it.
    pub view: Arc<TableView>,
}

/// What a change makes of a view, before vectors are written.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Files whose present entry ends: gone, or listed again with another vector.
    pub(crate) ended: Vec<Arc<FileView>>,
    /// Files of the next view that the change leaves alone.
    pub(crate) kept: Vec<Arc<FileView>>,
    /// Files listed anew: added ones, and present ones with more dead rows. Their `vector` is the old one still.
    pub(crate) listed: Vec<FileView>,
    /// Whether columns, key or properties differ.
    pub(crate) altered: bool,
    /// The next view, files not filled in.
    pub(crate) next: TableView,
}

/// Decides what becomes of every file. Pure.
pub(crate) fn plan(view: &TableView, change: &Change) -> Result<Plan, LakeError> {
    let refused = |reason: String| LakeError::Refused { table: view.id.clone(), reason };
    let dead = additional(&change.delete);
    if let Some(id) = dead.keys().find(|id| view.file(**id).is_none()) {
        return Err(refused(format!("rows of file {id} cannot be deleted, the table does not have it")));
    }
    if let Remove::Files(gone) = &change.remove
        && let Some(id) = gone.iter().find(|id| view.file(**id).is_none())
    {
        return Err(refused(format!("file {id} cannot be removed, the table does not have it")));
    }
    let mut plan = Plan {
        ended: Vec::new(),
        kept: Vec::new(),
        listed: Vec::new(),
        altered: false,
        next: altered_view(view, change)?,
    };
    plan.altered = plan.next.columns != view.columns || plan.next.properties != view.properties;
    for file in view.files.iter() {
        if leaves(&change.remove, file.id) {
            plan.ended.push(Arc::clone(file));
            continue;
        }
        match dead.get(&file.id).map(|more| with_more(view, file, more)).transpose()?.flatten() {
            None => plan.kept.push(Arc::clone(file)),
            Some(next) => {
                plan.ended.push(Arc::clone(file));
                if next.live_rows() > 0 {
                    plan.listed.push(next);
                }
            }
        }
    }
    let born_dead = additional(&change.add_deleted);
    for staged in &change.add {
        let file = staged.file_view();
        let file = match born_dead.get(&file.id).map(|more| with_more(view, &file, more)).transpose()?.flatten() {
            Some(marked) => marked,
            None => file,
        };
        if view.file(file.id).is_some() {
            return Err(refused(format!("file {} is in the table already", file.id)));
        }
        if file.live_rows() > 0 {
            plan.listed.push(file);
        }
    }
    if !vectors_on(&plan.next) && plan.listed.iter().any(|file| file.deleted.is_some()) {
        return Err(refused("it has no deletion vectors, so dead rows must be rewritten away".into()));
    }
    Ok(plan)
}

/// Whether the table marks dead rows by vectors.
pub(crate) fn vectors_on(view: &TableView) -> bool {
    view.properties.get(VECTORS_PROPERTY).is_some_and(|value| value == "true")
}

fn leaves(remove: &Remove, id: FileId) -> bool {
    match remove {
        Remove::None => false,
        Remove::All => true,
        Remove::Files(files) => files.contains(&id),
    }
}

/// Bitmaps by file; a file named twice gets the union.
fn additional(deleted: &[(FileId, RoaringTreemap)]) -> BTreeMap<FileId, RoaringTreemap> {
    let mut by_file: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
    for (id, rows) in deleted {
        *by_file.entry(*id).or_default() |= rows;
    }
    by_file
}

/// The file with more dead rows; `None` when none of them was alive.
fn with_more(view: &TableView, file: &FileView, more: &RoaringTreemap) -> Result<Option<FileView>, LakeError> {
    if more.max().is_some_and(|row| row >= file.rows) {
        let reason = format!("file {} has {} rows, fewer than a deleted row's number", file.id, file.rows);
        return Err(LakeError::Refused { table: view.id.clone(), reason });
    }
    let before = file.deleted.as_deref();
    let all = before.map_or_else(|| more.clone(), |dead| dead | more);
    if all.len() == before.map_or(0, RoaringTreemap::len) {
        return Ok(None);
    }
    Ok(Some(FileView { deleted: Some(Arc::new(all)), ..file.clone() }))
}

fn altered_view(view: &TableView, change: &Change) -> Result<TableView, LakeError> {
    let mut next = TableView { files: Arc::from([]), tail: Arc::from([]), ..view.clone() };
    let key = change.key.clone().unwrap_or_else(|| view.key.to_vec());
    if change.columns.is_some() || change.key.is_some() {
        let columns = change.columns.clone().unwrap_or_else(|| view.columns.to_vec());
        let columns = schema::settle(&view.id, columns, &key)?;
        let parted = |columns: &[Column]| {
            let partition = columns.iter().find(|column| column.partition.is_some());
            partition.map(|column| (column.stored.clone(), column.partition.clone()))
        };
        let stays = change.remove != Remove::All && !view.files.is_empty();
        if stays && parted(&columns) != parted(&view.columns) {
            let reason = "its partitions change only when all its rows are replaced".into();
            return Err(LakeError::Refused { table: view.id.clone(), reason });
        }
        next.schema = schema::arrow_schema(&columns);
        next.columns = columns.into();
    }
    let mut properties = BTreeMap::clone(&view.properties);
    for (name, value) in &change.properties {
        match value {
            Some(value) => properties.insert(name.clone(), value.clone()),
            None => properties.remove(name),
        };
    }
    properties.insert(KEY_PROPERTY.into(), serde_json::Value::from(key.clone()).to_string());
    if vectors_on(view) != properties.get(VECTORS_PROPERTY).is_some_and(|value| value == "true") {
        let reason = "deletion vectors are switched on or off by rebuilding the table".into();
        return Err(LakeError::Refused { table: view.id.clone(), reason });
    }
    next.key = key.into();
    next.properties = Arc::new(properties);
    Ok(next)
}
