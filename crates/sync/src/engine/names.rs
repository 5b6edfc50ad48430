//! Names: which table of the source stands under which name of the lake, and what left its name.
//!
//! Owns: tables that were renamed away or are gone since an earlier run, who holds a name, and handing an open table
//! to the next holder of its name. Never judges or copies a table.

use std::collections::BTreeMap;

use naru_base::{Problem, TableId, number::i64_from};
use naru_store::sync_tables::{self, SyncTable};

use super::{stream::Stream, table::TableRuntime};
use crate::{error::SyncError, image::TableImage, state::TableState, status::TableStatus};

/// Why rows stay under a name that the source does not have any more.
pub(super) const GONE: &str = "the source dropped the table or gave it another name; its rows stay";

/// What stands in the lake under names that the source does not have any more, as people see it.
pub(super) type DepartedTables = BTreeMap<TableId, TableStatus>;

impl Stream {
    /// The table has another name from here on. What it was stays under the old one, with everything up to here in the
    /// lake; under the new name it begins with a copy.
    pub(super) async fn depart(&mut self, oid: u32, image: TableImage) -> Result<(), SyncError> {
        self.definitions += 1;
        self.flush_before_leaving(oid).await?;
        self.drop_table(oid, GONE)?;
        let Some(table) = self.tables.remove(&oid) else { return Ok(()) };
        tracing::info!(table = %table.image.full_name(), now = %image.full_name(), "table has another name");
        self.todo.copy.retain(|waiting| *waiting != oid);
        self.todo.store.remove(&oid);
        self.todo.departed.push(table.stored_row(&self.context.source.name));
        self.stored.remove(&table.image.names());
        if let Some(live) = table.live.clone() {
            self.departed.insert(table.id.clone(), table.status());
            self.adrift.insert(table.id, live);
        }
        self.todo.discovered.push(image);
        Ok(())
    }

    /// Puts what the table has into the lake. Nobody would flush it later: its runtime is about to go.
    async fn flush_before_leaving(&mut self, oid: u32) -> Result<(), SyncError> {
        let Some(table) = self.tables.get(&oid) else { return Ok(()) };
        let Some(live) = table.live.clone() else { return Ok(()) };
        let position = match table.state {
            TableState::Live => self.settle(oid).await?,
            TableState::CatchingUp => {
                self.take_back(oid).await?;
                self.show(oid).await?;
                self.tables.get(&oid).map_or(self.cut, |table| table.applied)
            }
            TableState::Paused | TableState::Dropped | TableState::Rebuilding => table.applied,
            TableState::Discovered
            | TableState::Preflight
            | TableState::Copying
            | TableState::Quarantined
            | TableState::NotSynced => return Ok(()),
        };
        live.flush(&self.app_id, i64_from(position.0)).await?;
        Ok(())
    }

    /// Gives the table of `oid` the open table that another left under its name: only one may write there.
    pub(super) fn take_over(&mut self, oid: u32) {
        let Some(id) = self.tables.get(&oid).map(|table| table.id.clone()) else { return };
        self.departed.remove(&id);
        let mut left = self.adrift.remove(&id);
        for other in self.tables.values_mut().filter(|t| t.oid != oid && t.id == id && t.state == TableState::Dropped) {
            other.unflushed_since = None;
            other.builder = None;
            left = other.live.take().or(left);
        }
        let Some(table) = self.tables.get_mut(&oid) else { return };
        if let Some(left) = left.filter(|_| table.live.is_none()) {
            left.discard_unpublished();
            table.live = Some(left);
        }
    }

    /// Lists what earlier runs left in the lake under names that the source does not have now.
    pub(super) async fn list_departed(&mut self) -> Result<(), SyncError> {
        let gone: Vec<SyncTable> = self
            .stored
            .values()
            .filter(|row| !self.departed.contains_key(&row.lake))
            .filter(|row| !self.tables.values().any(|table| table.id == row.lake))
            .cloned()
            .collect();
        for row in gone {
            if let Some(table) = self.context.lake.open_table(&row.lake).await? {
                let name = format!("{}.{}", row.schema, row.table);
                let status = TableStatus::departed(row.lake.clone(), name, table.view().live_rows(), GONE);
                self.departed.insert(row.lake, status);
            }
        }
        Ok(())
    }

    /// Lets every table that is about to be placed claim its name in the lake, for good. One whose name another table
    /// holds, of this source or another, is quarantined and names it.
    pub(super) async fn claim_names(&mut self, oids: &[u32]) -> Result<(), SyncError> {
        let source = self.context.source.name.clone();
        let claims: Vec<SyncTable> = oids
            .iter()
            .filter_map(|oid| self.tables.get(oid))
            .filter(|table| matches!(table.state, TableState::Preflight | TableState::Copying | TableState::Rebuilding))
            .map(|table| SyncTable { detail: serde_json::json!({"holds_name": true}), ..table.stored_row(&source) })
            .collect();
        let claimed: Vec<u32> = claims.iter().map(|claim| claim.oid).collect();
        let held = self
            .context
            .store
            .write(move |db| {
                let mut held = Vec::new();
                for claim in &claims {
                    held.extend(sync_tables::claim(db, claim)?.map(|holder| (claim.oid, holder)));
                }
                Ok(held)
            })
            .await?;
        for oid in claimed {
            if let Some(table) = self.tables.get_mut(&oid) {
                table.holds_name = true;
            }
        }
        for (oid, holder) in held {
            let Some(table) = self.tables.get_mut(&oid) else { continue };
            let problem = name_taken(&table.image.full_name(), &table.id, &holder);
            table.holds_name = false;
            table.quarantine(&problem);
            self.todo.store.insert(oid);
        }
        Ok(())
    }

    /// Where every table stands, by its name in SQL. Of two that claim a name, the one that holds it.
    pub(super) fn states(&self) -> BTreeMap<TableId, TableState> {
        let departed = self.departed.keys().map(|id| (id.clone(), TableState::Dropped));
        let mut states: BTreeMap<TableId, TableState> = departed.collect();
        let mut tables: Vec<&TableRuntime> = self.tables.values().collect();
        tables.sort_by_key(|table| (table.holds_name, table.state != TableState::Dropped));
        states.extend(tables.into_iter().map(|table| (table.id.clone(), table.state)));
        states
    }

    /// Everything that status lists of this source's tables, by their names there.
    pub(super) fn statuses(&self) -> Vec<TableStatus> {
        // Under a name that has another table now, the one that is gone is nobody's concern any more.
        let newer = |id: &TableId, gone: u32| {
            let other = |table: &&TableRuntime| table.id == *id && table.oid != gone;
            self.tables.values().filter(other).any(|table| table.state != TableState::Dropped || table.oid > gone)
        };
        let shown = |table: &&TableRuntime| table.state != TableState::Dropped || !newer(&table.id, table.oid);
        let tables = self.tables.values().filter(shown).map(TableRuntime::status);
        let departed = self.departed.values().filter(|departed| !newer(&departed.table, u32::MAX)).cloned();
        let mut tables: Vec<TableStatus> = tables.chain(departed).collect();
        tables.sort_by(|a, b| a.source_table.cmp(&b.source_table));
        tables
    }
}

/// Two tables cannot be one table of the lake.
fn name_taken(table: &str, id: &TableId, holder: &SyncTable) -> Problem {
    Problem::new("sync.table.name_taken", format!("table {table} would be \"{id}\" in SQL, and another table is that"))
        .detail(format!("It is table {}.{} of source \"{}\".", holder.schema, holder.table, holder.source))
        .hint("Give one of the two sources another `dataset` in its file, or exclude one of the tables; where a source file is gone, run `naru sync drop` for it.")
}
