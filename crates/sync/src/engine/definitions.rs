//! Carries out what a changed definition asks for.
//!
//! Owns: evolving a live table's columns, sending a table to be copied again, dropping and renaming.
//! Never decides which of these it is; `crate::definition::decide` does.

use naru_base::number::i64_from;
use naru_lake::{Column, LakeError};

use super::{
    change::quarantine_or,
    names::GONE,
    stream::Stream,
    table::{TableNote, TableRuntime},
};
use crate::{
    catalog,
    definition::{Action, decide},
    error::SyncError,
    image::{ColumnImage, TableImage},
    plan::fill_value,
    postgres::{ColumnPlan, Relation, connect_sql},
    spool::TableSpool,
    state::{TableEvent, TableLife as _, TableState},
};

impl Stream {
    /// Reads the table's present definition because a relation message does not fit the known one.
    ///
    /// The catalog may be ahead of the stream; then the columns in between were never seen and the table is copied.
    pub(super) async fn redefine_from_catalog(&mut self, oid: u32, relation: &Relation) -> Result<(), SyncError> {
        if self.touched(oid) {
            return self.rebuild(oid, "its definition changed inside a transaction that changed its rows".into());
        }
        let client = connect_sql(&self.context.connect()).await?;
        match catalog::table(&client, oid).await? {
            None => self.drop_table(oid, GONE),
            Some(image) if super::table::relation_fits(relation, &image) => {
                self.redefine_with(oid, image, false, false).await
            }
            Some(_) => self.rebuild(oid, "its definition changed several times".into()),
        }
    }

    /// Takes a newer image of a known table that the event trigger announced, at a place in the stream where it holds.
    pub(super) async fn redefine(&mut self, oid: u32, image: TableImage, rewritten: bool) -> Result<(), SyncError> {
        self.redefine_with(oid, image, rewritten, true).await
    }

    /// Takes an image that the catalog poll read: a trigger announced nothing, so what changed is concluded.
    pub(super) async fn redefine_polled(&mut self, oid: u32, image: TableImage) -> Result<(), SyncError> {
        self.redefine_with(oid, image, false, false).await
    }

    async fn redefine_with(
        &mut self,
        oid: u32,
        image: TableImage,
        rewritten: bool,
        announced: bool,
    ) -> Result<(), SyncError> {
        self.leave_to_root(&image)?;
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if !rewritten && table.image.same_definition(&image) {
            table.image = image;
            return Ok(());
        }
        self.definitions += 1;
        let action = decide(&table.image, &image, rewritten, announced);
        if table.state != TableState::Live && action != Action::Move {
            if !table.state.spools() {
                table.image = image;
                self.todo.mended.insert(oid);
            }
            return Ok(());
        }
        self.todo.store.insert(oid);
        if matches!(action, Action::Remember) && table.image.columns == image.columns {
            table.image = image;
            return Ok(());
        }
        let action = if self.touched(oid) && matches!(action, Action::Remember | Action::Evolve { .. }) {
            Action::Rebuild { reason: "its definition changed inside a transaction that changed its rows".into() }
        } else {
            action
        };
        let action = match (action, self.tables.get(&oid)) {
            (Action::Evolve { added, dropped }, Some(table)) => match name_again(table, &added) {
                Some(name) => Action::Rebuild { reason: format!("column \"{name}\" was dropped and added again") },
                None => Action::Evolve { added, dropped },
            },
            (action, _) => action,
        };
        let done = match action {
            Action::Remember => self.evolve(oid, image, &[], &[]).await,
            Action::Evolve { added, dropped } => {
                let text = describe(&added, &dropped);
                let done = self.evolve(oid, image, &added, &dropped).await;
                if let Some(table) = self.tables.get_mut(&oid) {
                    table.last_definition = Some(text);
                }
                done
            }
            Action::Rebuild { reason } => self.rebuild(oid, reason),
            Action::Move => return self.depart(oid, image).await,
        };
        match (done, self.tables.get_mut(&oid)) {
            (Err(SyncError::Lake(LakeError::Refused { .. })), _) => {
                self.rebuild(oid, "its new definition cannot be put over the old rows".into())
            }
            (Err(error), Some(table)) => {
                self.todo.store.insert(oid);
                quarantine_or(error, table)
            }
            (done, _) => done,
        }
    }

    /// Changes a live table's columns. What was applied before is flushed with the older columns first.
    async fn evolve(
        &mut self,
        oid: u32,
        image: TableImage,
        added: &[ColumnImage],
        dropped: &[String],
    ) -> Result<(), SyncError> {
        let position = self.settle(oid).await?;
        let Some(table) = self.tables.get_mut(&oid).filter(|table| table.state == TableState::Live) else {
            return Ok(());
        };
        let (Some(shape), Some(live)) = (table.shape.clone(), table.live.clone()) else { return Ok(()) };
        let before = with_changes(&shape.columns, added, dropped);
        let shape = self.context.shape_of(&image, shape.kind, &before)?;
        // Its new columns are seen with the transaction that made them.
        self.live_set.publish_ahead(&live, position);
        self.dirty.insert(oid);
        if shape.columns != table.shape.as_ref().map(|s| s.columns.clone()).unwrap_or_default() {
            live.evolve(shape.columns.clone(), &self.app_id, i64_from(position.0)).await?;
            table.unflushed_since = None;
        }
        let text = !shape.binary();
        table.shape = Some(shape);
        table.image = image;
        table.builder = None;
        table.relation = None;
        if text && self.binary {
            // The rows behind this message come in binary; the transaction comes again in text.
            return Err(SyncError::NeedsText);
        }
        Ok(())
    }

    /// Sends a table to be copied again; its old rows stay readable meanwhile.
    pub(super) fn rebuild(&mut self, oid: u32, reason: String) -> Result<(), SyncError> {
        self.definitions += 1;
        let path = self.context.spool_path(oid);
        let from = self.next_whole();
        self.todo.members = true;
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        tracing::info!(table = %table.image.full_name(), %reason, "table is copied again");
        table.give_up_changes();
        table.step(TableEvent::NeedsRebuild)?;
        table.spool = Some(TableSpool::create(&path)?);
        table.spool_from = from;
        table.copy = None;
        table.note.reason = Some(format!("copied again because {reason}"));
        table.note.fix = None;
        table.last_definition = Some(reason);
        self.todo.copy.push(oid);
        self.todo.store.insert(oid);
        Ok(())
    }

    /// A table of its own that became a partition: from here on its changes are those of the root.
    fn leave_to_root(&mut self, root: &TableImage) -> Result<(), SyncError> {
        for leaf in &root.leaves {
            if leaf.oid != root.oid && self.tables.get(&leaf.oid).is_some_and(|t| t.state != TableState::Dropped) {
                let reason = format!("it became a partition of {}; its rows stay", root.full_name());
                self.drop_table(leaf.oid, &reason)?;
                self.todo.members = true;
            }
        }
        Ok(())
    }

    /// The table is no longer followed: its rows stay, marked so.
    pub(super) fn drop_table(&mut self, oid: u32, reason: &str) -> Result<(), SyncError> {
        self.definitions += 1;
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        self.stored.remove(&table.image.names());
        table.step(TableEvent::Gone)?;
        table.spooled = super::table::SpoolPosition::default();
        if let Some(spool) = table.spool.take() {
            spool.delete()?;
        }
        table.note = TableNote { reason: Some(reason.to_owned()), fix: None };
        self.todo.store.insert(oid);
        Ok(())
    }
}

/// The first added column whose name an earlier one had: the files hold the earlier one's values under that name.
fn name_again<'a>(table: &TableRuntime, added: &'a [ColumnImage]) -> Option<&'a str> {
    let shape = table.shape.as_ref()?;
    let mut names = added.iter().map(|column| column.name.as_str());
    names.find(|name| shape.columns.iter().any(|column| column.dropped && column.name == *name))
}

/// The lake's columns after the change: added ones with their fill, dropped ones marked.
fn with_changes(columns: &[Column], added: &[ColumnImage], dropped: &[String]) -> Vec<Column> {
    let mut changed: Vec<Column> = columns
        .iter()
        .map(|column| Column { dropped: column.dropped || dropped.contains(&column.name), ..column.clone() })
        .collect();
    for column in added {
        let mut plan = ColumnPlan::new(column.to_source()).column;
        plan.fill = fill_value(column, &plan.data_type);
        changed.push(plan);
    }
    changed
}

fn describe(added: &[ColumnImage], dropped: &[String]) -> String {
    let added = added.iter().map(|column| format!("added \"{}\" ({})", column.name, column.type_name));
    let dropped = dropped.iter().map(|name| format!("dropped \"{name}\""));
    added.chain(dropped).collect::<Vec<_>>().join(", ")
}
