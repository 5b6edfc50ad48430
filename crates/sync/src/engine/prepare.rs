//! Gets a source ready to stream: preflight, publications, trigger, slot, and every table judged.
//!
//! Owns: the order of these steps and what survives from an earlier run (generation, positions, states).
//! Never streams or copies.

use std::time::Duration;

use naru_base::{Lsn, Problem, number::u64_from_signed, time::now_us};
use naru_project::{PostgresSource, Source};
use naru_store::{
    sync_sources::{self, SyncSource},
    sync_tables::{self, TableState as Stored},
};
use tokio_postgres::Client;

use super::{
    context::kind_of,
    stream::Stream,
    table::{SpoolPosition, TableRuntime},
};
use crate::{
    catalog::{self, ServerFacts},
    copy::Snapshot,
    error::SyncError,
    image::TableImage,
    postgres::{ConnectSettings, ReplicationConnection, connect_sql},
    preflight::{Accepted, TableKind, Verdict, source_problems, table_verdict},
    publication::{self, Members},
    spool::TableSpool,
    state::{TableEvent, TableState},
};

/// How long slot creation may wait for open transactions before the blocker is named.
const SLOT_WAIT: Duration = Duration::from_secs(20);

/// What a prepared source has.
pub(super) struct Prepared {
    /// Ordinary connection for catalog queries.
    pub client: Client,
    /// Facts about the server.
    pub facts: ServerFacts,
    /// A snapshot that came with a new slot, and the connection that keeps it.
    pub snapshot: Option<(ReplicationConnection, Snapshot)>,
    /// Where the stream begins.
    pub start: Lsn,
    /// Whether the event trigger reports definition changes.
    pub event_trigger: bool,
    /// Whether every synced column can be sent in binary.
    pub binary: bool,
}

impl Stream {
    /// Runs all steps. Afterwards every table is live, catching up, waiting in `todo.copy`, or has a reason.
    pub(super) async fn prepare(&mut self) -> Result<Prepared, SyncError> {
        let context = self.context.clone();
        let client = connect_sql(&context.connect).await?;
        let facts = catalog::server_facts(&client).await?;
        let slot = catalog::slot(&client, &context.names.slot).await?;
        let accepted = Accepted { wal_unbounded: context.postgres.wal_unbounded_accepted };
        let mut problems = source_problems(&facts, accepted);
        if slot.is_some() {
            // Its own slot and sender are what the headroom was for.
            problems.retain(|problem| problem.code != "sync.preflight.headroom");
        }
        if !problems.is_empty() {
            return Err(SyncError::Preflight(problems));
        }
        let event_trigger = self.install_trigger(&client, &facts).await;
        publication::ensure(&client, &context.names).await?;
        self.discover(&client, &facts).await?;
        self.publish_tables(&client).await?;
        let (start, snapshot) = self.ensure_slot(&client, slot.is_some_and(|s| s.wal_status != "lost")).await?;
        self.place_tables().await?;
        let binary = self.tables.values().filter_map(|table| table.shape.as_ref()).all(crate::plan::TableShape::binary);
        Ok(Prepared { client, facts, snapshot, start, event_trigger, binary })
    }

    async fn install_trigger(&self, client: &Client, facts: &ServerFacts) -> bool {
        if !self.context.postgres.event_trigger || !facts.superuser {
            return false;
        }
        match publication::install_trigger(client, &self.context.names).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(reason = %error.problem(), "the event trigger could not be installed; naru polls the catalog");
                false
            }
        }
    }

    /// Reads the catalog and judges every table.
    async fn discover(&mut self, client: &Client, facts: &ServerFacts) -> Result<(), SyncError> {
        let images = catalog::tables(client).await?;
        let source = self.context.source.name.clone();
        let rows = self.context.store.read(move |db| sync_tables::list(db, Some(&source))).await?;
        self.stored = rows.into_iter().map(|row| (row.oid, row)).collect();
        let known: Vec<u32> = self.tables.keys().copied().collect();
        for oid in known {
            let gone = !images.iter().any(|image| image.oid == oid && self.context.wants(image));
            if gone && self.tables.get(&oid).is_some_and(|t| t.state != TableState::Dropped) {
                self.drop_table(oid)?;
            }
        }
        let context = self.context.clone();
        for image in images.into_iter().filter(|image| context.wants(image)) {
            self.judge(image, facts);
        }
        Ok(())
    }

    /// Judges one table and gives it its first state.
    pub(super) fn judge(&mut self, image: TableImage, facts: &ServerFacts) {
        self.definitions += 1;
        let verdict = table_verdict(&image, facts);
        let oid = image.oid;
        let context = self.context.clone();
        let table = self.tables.entry(oid).or_insert_with(|| {
            let id = context.source.table_id(&image.schema, &image.name);
            TableRuntime::new(image.clone(), id)
        });
        if matches!(table.state, TableState::Live | TableState::CatchingUp | TableState::Paused) {
            return;
        }
        table.image = image;
        table.state = TableState::Preflight;
        self.todo.store.insert(oid);
        match &verdict {
            Verdict::NotSynced(reason) => {
                table.state = TableState::NotSynced;
                table.note.reason = Some(reason.clone());
            }
            Verdict::Quarantine(problem) => table.quarantine(problem),
            Verdict::Sync(_, remarks) => {
                table.remarks.clone_from(remarks);
                table.note = super::table::TableNote { reason: table.remarks(), fix: None };
                let kind = kind_of(&verdict).unwrap_or(TableKind::AppendOnly);
                match context.shape_of(&table.image, kind, &[]) {
                    Ok(shape) => {
                        self.todo.text |= !shape.binary();
                        table.shape = Some(shape);
                    }
                    Err(error) => table.quarantine(&error.problem()),
                }
            }
        }
    }

    /// Lists the synced tables in the two publications; one that cannot be added is quarantined alone.
    pub(super) async fn publish_tables(&mut self, client: &Client) -> Result<(), SyncError> {
        let names = self.context.names.clone();
        for (publication, kind) in [(&names.keyed, TableKind::Keyed), (&names.keyless, TableKind::AppendOnly)] {
            let wanted: Members = self
                .tables
                .values()
                .filter(|t| !matches!(t.state, TableState::Quarantined | TableState::Dropped | TableState::NotSynced))
                .filter(|t| t.shape.as_ref().is_some_and(|shape| shape.kind == kind))
                .map(|t| (t.image.schema.clone(), t.image.name.clone()))
                .collect();
            for ((schema, name), error) in publication::set_members(client, publication, &wanted).await? {
                let problem = SyncError::from(error).problem();
                let found = self.tables.values_mut().find(|t| t.image.schema == schema && t.image.name == name);
                if let Some(table) = found
                    .filter(|t| matches!(t.state, TableState::Preflight | TableState::Copying | TableState::Rebuilding))
                {
                    table.quarantine(&problem);
                }
            }
        }
        Ok(())
    }

    /// Finds or makes the slot, and settles which generation of positions counts.
    async fn ensure_slot(
        &mut self,
        client: &Client,
        usable: bool,
    ) -> Result<(Lsn, Option<(ReplicationConnection, Snapshot)>), SyncError> {
        let context = self.context.clone();
        let name = context.source.name.clone();
        let stored = context.store.read(move |db| sync_sources::get(db, &name)).await?;
        let mut replication = ReplicationConnection::connect(&context.connect).await?;
        let identity = replication.identify_system().await?;
        let server = format!("{}-{}", identity.system_id, identity.timeline);
        let generation = stored.as_ref().and_then(|s| s.generation.clone());
        if let Some(before) = generation.filter(|g| usable && g.starts_with(&format!("{server}-"))) {
            self.app_id = format!("naru/{}/{before}", context.source.name);
            let start = catalog::slot(client, &context.names.slot).await?.map_or(Lsn(0), |slot| slot.confirmed);
            return Ok((start, None));
        }
        if stored.is_some() {
            tracing::warn!(source = %context.source.name, "the slot or the server is another one than before; every table is copied again");
        }
        publication::drop_slot(client, &context.names.slot).await?;
        let snapshot = create_slot(&mut replication, client, &context.names.slot, false).await?;
        let generation = format!("{server}-{:X}", snapshot.consistent_point.0);
        self.app_id = format!("naru/{}/{generation}", context.source.name);
        self.forget_positions();
        let row = SyncSource {
            source: context.source.name.clone(),
            system_identifier: Some(identity.system_id),
            timeline: Some(identity.timeline),
            slot: Some(context.names.slot.clone()),
            generation: Some(generation),
            acknowledged: Some(snapshot.consistent_point),
            last_error: None,
            updated_us: now_us(),
        };
        context.store.write(move |db| sync_sources::upsert(db, &row)).await?;
        let start = snapshot.consistent_point;
        self.cut = start;
        self.published = start;
        Ok((start, Some((replication, snapshot))))
    }

    /// A new generation: no position of an older one counts any more.
    fn forget_positions(&mut self) {
        for table in self.tables.values_mut() {
            table.applied = Lsn(0);
            if matches!(table.state, TableState::Live | TableState::CatchingUp | TableState::Paused) {
                table.give_up_changes();
                table.state = TableState::Preflight;
            }
        }
    }

    /// Gives every judged table its place: where its rows in the lake stand, or the queue of copies.
    async fn place_tables(&mut self) -> Result<(), SyncError> {
        let waiting: Vec<u32> =
            self.tables.values().filter(|t| t.state == TableState::Preflight).map(|t| t.oid).collect();
        for oid in waiting {
            self.place(oid).await?;
        }
        Ok(())
    }

    /// A table dropped and made again has another oid and the same place in the lake: only one may write there.
    fn close_others(&mut self, oid: u32) {
        let Some(id) = self.tables.get(&oid).map(|table| table.id.clone()) else { return };
        for other in self.tables.values_mut().filter(|other| other.oid != oid && other.id == id) {
            other.live = None;
            other.unflushed_since = None;
            other.builder = None;
        }
    }

    /// Judges tables that wait for a copy again: their key, kind or rights may have changed since. The publications
    /// follow at once, because a keyed publication with a table that lost its key would refuse the owner's updates.
    pub(super) async fn rejudge(&mut self, prepared: &Prepared) -> Result<(), SyncError> {
        for oid in self.todo.copy.clone() {
            let Some(image) = catalog::table(&prepared.client, oid).await? else {
                self.drop_table(oid)?;
                continue;
            };
            let verdict = table_verdict(&image, &prepared.facts);
            let context = self.context.clone();
            let Some(table) = self.tables.get_mut(&oid) else { continue };
            match (&verdict, kind_of(&verdict)) {
                (Verdict::Sync(_, remarks), Some(kind)) => {
                    table.remarks.clone_from(remarks);
                    table.shape = Some(context.shape_of(&image, kind, &[])?);
                }
                (Verdict::Quarantine(problem), _) => {
                    table.quarantine(problem);
                    self.todo.store.insert(oid);
                }
                (Verdict::NotSynced(reason), _) => {
                    table.give_up_changes();
                    table.state = TableState::NotSynced;
                    table.note.reason = Some(reason.clone());
                    self.todo.store.insert(oid);
                }
                (Verdict::Sync(..), None) => {}
            }
        }
        self.publish_tables(&prepared.client).await
    }

    /// Finds where a table's rows in the lake stand, opens them, and says what it needs; `true` beside it when a person
    /// had paused it.
    async fn standing(&mut self, oid: u32, spool_exists: bool) -> Result<Option<(TableEvent, bool)>, SyncError> {
        let context = self.context.clone();
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(None) };
        let Some(shape) = table.shape.clone() else { return Ok(None) };
        let existing = context.lake.open_table(&shape.id).await?;
        let same_name =
            |row: &&sync_tables::SyncTable| row.schema == table.image.schema && row.table == table.image.name;
        let stored = self.stored.get(&oid).filter(same_name).cloned();
        let stored = stored.as_ref();
        // A position counts only for a table that was followed without a gap up to the last stop.
        let followed =
            stored.is_some_and(|row| matches!(row.state, Stored::Live | Stored::CatchingUp | Stored::Paused));
        let spool_lost = stored.is_some_and(|row| row.detail["spool"] == true) && !spool_exists;
        let paused = stored.is_some_and(|row| row.state == Stored::Paused);
        let position = match existing.as_ref().filter(|_| followed && !spool_lost) {
            Some(lake) => lake.position(&self.app_id).await?,
            None => None,
        };
        let event = match (existing, position) {
            (Some(lake), Some(position)) => {
                let (columns, key) = (lake.view().columns.to_vec(), lake.view().key.to_vec());
                let live = match table.live.take() {
                    Some(live) => live,
                    None => context.live_table(lake).await?,
                };
                let shape = context.shape_of(&table.image, shape.kind, &columns)?;
                let fits = key == shape.key
                    && shape.columns.len() == columns.len()
                    && shape
                        .columns
                        .iter()
                        .zip(&columns)
                        .all(|(a, b)| a.name == b.name && a.data_type == b.data_type && a.naru_type == b.naru_type);
                table.applied = Lsn(u64_from_signed(position));
                self.live_set.insert(&live);
                table.live = Some(live);
                table.shape = Some(shape);
                if fits { TableEvent::Positioned } else { TableEvent::NeedsRebuild }
            }
            (Some(lake), None) => {
                let live = match table.live.take() {
                    Some(live) => live,
                    None => context.live_table(lake).await?,
                };
                self.live_set.insert(&live);
                table.live = Some(live);
                TableEvent::NeedsRebuild
            }
            (None, _) => TableEvent::NeedsCopy,
        };
        Ok(Some((event, paused)))
    }

    /// Places one table in state `preflight`.
    pub(super) async fn place(&mut self, oid: u32) -> Result<(), SyncError> {
        let path = self.context.spool_path(oid);
        self.close_others(oid);
        let Some((event, paused)) = self.standing(oid, path.exists()).await? else { return Ok(()) };
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if event != TableEvent::Positioned && path.exists() {
            // What an older copy's spool holds is before the new copy's snapshot or of another generation.
            std::fs::remove_file(&path).map_err(|source| SyncError::Spool {
                path: path.display().to_string(),
                action: "deleted",
                source,
            })?;
        }
        table.step(event)?;
        table.spool = Some(TableSpool::open(&path)?);
        table.spooled = SpoolPosition::default();
        table.cursor = super::catch_up::SpoolCursor::default();
        table.spool_from = Lsn(0);
        table.copy = None;
        if event != TableEvent::Positioned {
            self.todo.copy.push(oid);
        } else if paused {
            table.step(TableEvent::Pause)?;
            table.note.reason = Some("paused by a person; changes wait on disk".into());
            table.note.fix = Some(format!("Run `naru sync resume {}`.", table.id));
        }
        self.todo.store.insert(oid);
        Ok(())
    }
}

/// Makes a slot whose snapshot other connections can import while `replication` stays open and idle.
///
/// Waits at most [`SLOT_WAIT`] for transactions that are open now, then names the oldest.
pub(crate) async fn create_slot(
    replication: &mut ReplicationConnection,
    client: &Client,
    name: &str,
    temporary: bool,
) -> Result<Snapshot, SyncError> {
    let created = tokio::time::timeout(SLOT_WAIT, replication.create_slot(name, temporary)).await;
    let Ok(created) = created else {
        let blocker = catalog::open_transactions(client, Duration::from_secs(1)).await?.into_iter().next();
        let blocker = blocker.map_or_else(
            || "an open transaction".to_owned(),
            |b| format!("session {} of role \"{}\" ({}), open for {} s", b.pid, b.role, b.application, b.seconds),
        );
        // The unfinished slot would stay behind without this.
        publication::drop_slot(client, name).await?;
        return Err(SyncError::Held { blocker });
    };
    let created = created?;
    Ok(Snapshot { name: created.snapshot, consistent_point: created.consistent_point })
}

/// Everything that keeps a source or one of its tables from being synced, for `naru check --live`.
pub async fn check_live(
    source: &Source,
    postgres: &PostgresSource,
    connect: &ConnectSettings,
) -> Result<Vec<Problem>, SyncError> {
    let client = connect_sql(connect).await?;
    let facts = catalog::server_facts(&client).await?;
    let accepted = Accepted { wal_unbounded: postgres.wal_unbounded_accepted };
    let mut problems = source_problems(&facts, accepted);
    for image in catalog::tables(&client).await? {
        if image.is_partition || !postgres.selection.takes_table(&image.schema, &image.name) {
            continue;
        }
        if let Verdict::Quarantine(problem) = table_verdict(&image, &facts) {
            problems.push(problem);
        }
    }
    for problem in &mut problems {
        problem.place.get_or_insert_with(|| source.place.clone());
    }
    Ok(problems)
}
