//! Gets a source ready to stream: preflight, publications, trigger, slot, and every table judged.
//!
//! Owns: the order of these steps and what survives from an earlier run (generation, positions, states).
//! Never streams or copies.

use std::{collections::BTreeSet, time::Duration};

use naru_base::{Lsn, Problem, number::u64_from_signed};
use naru_project::{Pattern, PostgresSource, Source, is_system_schema};
use naru_store::sync_tables::{self, TableState as Stored};

use super::{
    context::kind_of,
    generation::Followed,
    names::GONE,
    stream::Stream,
    table::{SpoolPosition, TableRuntime},
};
use crate::{
    catalog::{self, ServerFacts},
    copy::Snapshot,
    error::SyncError,
    image::TableImage,
    postgres::{
        ConnectSettings, DecodeCounts, ReplicationConnection, ServerCondition, SqlClient as Client, connect_sql, within,
    },
    preflight::{Accepted, TableKind, Verdict, no_trigger, source_problems, verdict_with},
    publication,
    spool::TableSpool,
    state::{TableEvent, TableLife as _, TableState},
};

/// How long slot creation may wait for one open transaction before it is named, and for all of them.
const SLOT_LOCK_WAIT: &str = "10s";
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
    /// What tells of definition changes.
    pub trigger: Trigger,
    /// Whether every synced column can be sent in binary.
    pub binary: bool,
}

/// The event trigger as a session finds it.
#[derive(Debug, Default)]
pub(super) struct Trigger {
    /// Whether it reports definition changes.
    pub installed: bool,
    /// What people should know where it is wanted and does not.
    pub note: Option<Problem>,
}

impl Stream {
    /// Runs all steps. Afterwards every table is live, catching up, waiting in `todo.copy`, or has a reason.
    pub(super) async fn prepare(&mut self) -> Result<Prepared, SyncError> {
        let context = self.context.clone();
        let connect = context.connect();
        let client = connect_sql(&connect).await?;
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
        self.end_own_reader(&client, slot.as_ref()).await?;
        let mut replication = ReplicationConnection::connect(&connect).await?;
        let identity = within(&connect, "identifying itself", replication.identify_system()).await?;
        let followed = self.followed(&client, slot.as_ref(), &identity).await?;
        let trigger = self.install_trigger(&client, &facts).await?;
        publication::ensure(&client, &context.names).await?;
        let goes_on = matches!(followed, Followed::Still(_));
        self.discover(&client, &facts, goes_on).await?;
        if goes_on {
            self.find_unpublished(&client).await?;
        }
        self.publish_tables(&client).await?;
        let (start, snapshot) = match followed {
            Followed::Still(generation) => self.go_on(generation, slot.as_ref()),
            followed => self.begin_anew(&client, replication, &identity, followed).await?,
        };
        self.reached = start;
        self.witness = self.last.filter(|last| last.end > start);
        self.place_tables().await?;
        self.again = None;
        if snapshot.is_none() {
            self.went_back(identity.position)?;
        }
        self.clean_spools();
        let binary = self.tables.values().filter_map(|table| table.shape.as_ref()).all(crate::plan::TableShape::binary);
        Ok(Prepared { client, facts, snapshot, start, trigger, binary })
    }

    /// Makes the event trigger, where the owner wants it and the role may. One that a superuser let it make before goes
    /// on; only its functions are brought up to date.
    async fn install_trigger(&self, client: &Client, facts: &ServerFacts) -> Result<Trigger, SyncError> {
        let (names, wanted) = (&self.context.names, self.context.postgres.event_trigger);
        let made = match (wanted, facts.superuser) {
            (false, _) => return Ok(Trigger::default()),
            (true, true) => publication::install_trigger(client, names).await,
            (true, false) if publication::triggers(client, names).await? >= publication::TRIGGERS => {
                publication::renew_trigger(client, names).await
            }
            (true, false) => return Ok(Trigger { installed: false, note: Some(no_trigger(facts)) }),
        };
        let note = made.err().map(|error| {
            let problem = error.problem();
            tracing::warn!(reason = %problem, "the event trigger could not be installed; naru polls the catalog");
            no_trigger(facts)
                .detail(format!("It could not be made: {}.", problem.summary))
                .hint("naru tries it again when it next connects.")
        });
        Ok(Trigger { installed: note.is_none(), note })
    }

    /// Reads the catalog and judges every table; `goes_on` says that stored positions count.
    async fn discover(&mut self, client: &Client, facts: &ServerFacts, goes_on: bool) -> Result<(), SyncError> {
        let images = catalog::tables(client).await?;
        let source = self.context.source.name.clone();
        let rows = self.context.store.read(move |db| sync_tables::list(db, Some(&source))).await?;
        self.forget_gone(&rows, &images).await?;
        self.stored = rows.into_iter().map(|row| ((row.schema.clone(), row.table.clone()), row)).collect();
        let known: Vec<u32> = self.tables.keys().copied().collect();
        for oid in known {
            let gone = !images.iter().any(|image| image.oid == oid && self.context.wants(image));
            if gone && self.tables.get(&oid).is_some_and(|t| t.state != TableState::Dropped) {
                self.drop_table(oid, GONE)?;
            }
        }
        let context = self.context.clone();
        for image in images.into_iter().filter(|image| context.wants(image)) {
            let renamed = self.tables.get(&image.oid).filter(|table| table.image.names() != image.names());
            if renamed.is_some_and(|table| !table.state.followed()) {
                self.depart(image.oid, image.clone()).await?;
            }
            let verdict = match self.stored.get(&image.names()) {
                Some(row) if goes_on && row.oid == image.oid && row.state.followed() => {
                    context.verdict_to_follow(&image)
                }
                _ => context.verdict(&image, facts),
            };
            self.judged(image, &verdict);
        }
        self.list_departed().await?;
        let placed: Vec<u32> =
            self.tables.values().filter(|t| t.state == TableState::Preflight).map(|table| table.oid).collect();
        self.claim_names(&placed).await
    }

    /// Judges one table and gives it its first state.
    pub(super) fn judge(&mut self, image: TableImage, facts: &ServerFacts) {
        let verdict = self.context.verdict(&image, facts);
        self.judged(image, &verdict);
    }

    fn judged(&mut self, image: TableImage, verdict: &Verdict) {
        self.definitions += 1;
        let oid = image.oid;
        let context = self.context.clone();
        let table = self.tables.entry(oid).or_insert_with(|| {
            let id = context.source.table_id(&image.schema, &image.name);
            TableRuntime::new(image.clone(), id)
        });
        if table.state.followed() {
            // Under the name it had, if it was renamed since: the stream or the poll tells from where on it has another.
            return;
        }
        table.image = image;
        table.state = TableState::Preflight;
        self.todo.store.insert(oid);
        match verdict {
            Verdict::NotSynced(reason) => {
                table.state = TableState::NotSynced;
                table.note.reason = Some(reason.clone());
            }
            Verdict::Quarantine(problem) => table.quarantine(problem),
            Verdict::Sync(_, remarks) => {
                table.remarks.clone_from(remarks);
                table.note = super::table::TableNote { reason: table.remarks(), fix: None };
                let kind = kind_of(verdict).unwrap_or(TableKind::AppendOnly);
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

    /// Gives every judged table its place: where its rows in the lake stand, or the queue of copies.
    async fn place_tables(&mut self) -> Result<(), SyncError> {
        let waiting: Vec<u32> =
            self.tables.values().filter(|t| t.state == TableState::Preflight).map(|t| t.oid).collect();
        for oid in waiting {
            self.place(oid).await?;
        }
        Ok(())
    }

    /// Finds where a table's rows in the lake stand, opens them, and says what it needs; `true` beside it when a person
    /// had paused it.
    async fn standing(&mut self, oid: u32, spool_bytes: u64) -> Result<Option<(TableEvent, bool)>, SyncError> {
        let context = self.context.clone();
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(None) };
        let Some(shape) = table.shape.clone() else { return Ok(None) };
        let existing = context.lake.open_table(&shape.id).await?;
        let stored = self.stored.get(&table.image.names()).filter(|row| row.oid == oid);
        table.columns_before = stored.and_then(|row| TableImage::columns_in(&row.detail["storage"]));
        let moved = stored.and_then(|row| table.image.moved_since(&row.detail["storage"]));
        // A position counts only for a table that was followed without a gap up to the last stop.
        let followed = moved.is_none()
            && stored.is_some_and(|row| matches!(row.state, Stored::Live | Stored::CatchingUp | Stored::Paused));
        if let Some(moved) = &moved {
            tracing::info!(table = %table.image.full_name(), reason = %moved, "table is copied again");
            table.note.reason = Some(format!("copied again because {moved}"));
        }
        let acknowledged = stored.and_then(|row| row.detail["spool_bytes"].as_u64()).unwrap_or(0);
        let spool_lost = followed && spool_bytes < acknowledged;
        if spool_lost {
            let path = context.spool_path(oid).display().to_string();
            tracing::warn!(table = %table.image.full_name(), problem = %SyncError::SpoolDamaged { path }.problem(), "changes on disk are lost");
            table.note.reason = Some("copied again because its waiting changes on disk were damaged or lost".into());
        }
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
                        .all(|(a, b)| a.name == b.name && a.data_type == b.data_type && a.naru_type == b.naru_type)
                    // Old files hold another column's values under a name that is back.
                    && !shape.columns.iter().zip(&columns).any(|(a, b)| b.dropped && !a.dropped);
                table.applied = Lsn(u64_from_signed(position));
                if fits && shape.columns.iter().zip(&columns).any(|(a, b)| a.dropped != b.dropped) {
                    // Dropped while naru was down.
                    live.evolve(shape.columns.clone(), &self.app_id, position).await?;
                }
                self.live_set.insert(&live);
                table.live = Some(live);
                table.shape = Some(shape);
                table.counts = stored.map_or(table.counts, |row| DecodeCounts::stored(&row.detail["adjusted"]));
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
        self.take_over(oid);
        let opened = TableSpool::open(&path)?;
        let in_memory = self.tables.get(&oid).is_some_and(|table| table.live.is_some());
        let Some((event, paused)) = self.standing(oid, opened.durable_bytes()).await? else { return Ok(()) };
        let again = self.again.clone();
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        table.step(event)?;
        if !in_memory {
            // What the lake lacks is sent in this session.
            table.unflushed_since = None;
        }
        table.spool = Some(match event {
            TableEvent::Positioned => opened,
            // What an older copy's spool holds is before the new copy's snapshot or of another generation.
            _ => TableSpool::create(&path)?,
        });
        if let (TableEvent::NeedsRebuild, Some(again)) = (event, again) {
            table.note.reason = Some(format!("copied again because {again}"));
        }
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
/// PostgreSQL makes it wait for every transaction that is open now. That wait is bounded, and then the oldest of them
/// is named.
pub(crate) async fn create_slot(
    replication: &mut ReplicationConnection,
    client: &Client,
    name: &str,
    temporary: bool,
) -> Result<Snapshot, SyncError> {
    replication.simple_query(&format!("SET lock_timeout = '{SLOT_LOCK_WAIT}'")).await?;
    let created = match tokio::time::timeout(SLOT_WAIT, replication.create_slot(name, temporary)).await {
        Ok(Ok(created)) => created,
        Ok(Err(error)) if error.condition() != Some(ServerCondition::LockTimeout) => return Err(error.into()),
        Ok(Err(_)) | Err(_) => {
            let blocker = catalog::open_transactions(client, Duration::ZERO).await?.into_iter().next();
            let blocker = blocker.map_or_else(|| "an open transaction".to_owned(), |blocker| blocker.to_string());
            // The unfinished slot would stay behind without this.
            publication::drop_slot(client, name).await?;
            return Err(SyncError::Held { blocker });
        }
    };
    Ok(Snapshot { name: created.snapshot, consistent_point: created.consistent_point })
}

/// What a look at a source found, for `naru check --live`.
#[derive(Debug, Default)]
pub struct Checked {
    /// Everything that keeps the source or one of its tables from being synced.
    pub problems: Vec<Problem>,
    /// What could be better and keeps nothing from being synced.
    pub notes: Vec<Problem>,
}

/// A pattern of `include` for which the source has no table.
fn matches_nothing(pattern: &Pattern, source: &str, tables: &[(&str, &str)]) -> Problem {
    let schemas: BTreeSet<&str> =
        tables.iter().map(|(schema, _)| *schema).filter(|schema| !is_system_schema(schema)).collect();
    let schemas: Vec<&str> = schemas.into_iter().collect();
    let problem =
        Problem::new("sync.include", format!("\"{pattern}\" in include matches no table of source \"{source}\""))
            .at(pattern.place().clone());
    if schemas.is_empty() {
        return problem.detail("The database has no table that this role may see.");
    }
    problem
        .detail(format!("The database has tables in the schemas {}.", schemas.join(", ")))
        .hint("Names are written as PostgreSQL keeps them, in lowercase unless they were quoted when made.")
}

/// Looks at a source and changes nothing there.
pub async fn check_live(
    source: &Source,
    postgres: &PostgresSource,
    connect: &ConnectSettings,
) -> Result<Checked, SyncError> {
    let client = connect_sql(connect).await?;
    let facts = catalog::server_facts(&client).await?;
    let accepted = Accepted { wal_unbounded: postgres.wal_unbounded_accepted };
    let mut checked = Checked { problems: source_problems(&facts, accepted), notes: Vec::new() };
    let images = catalog::tables(&client).await?;
    for image in &images {
        if image.is_partition || !postgres.selection.takes_table(&image.schema, &image.name) {
            continue;
        }
        if let Verdict::Quarantine(problem) = verdict_with(postgres, image, &facts) {
            checked.problems.push(problem);
        }
    }
    let tables: Vec<(&str, &str)> = images.iter().map(|image| (image.schema.as_str(), image.name.as_str())).collect();
    let missed = postgres.selection.unmatched(&tables).into_iter();
    checked.problems.extend(missed.map(|pattern| matches_nothing(pattern, &source.name, &tables)));
    if postgres.event_trigger && !facts.superuser && !publication::some_trigger(&client).await? {
        checked.notes.push(no_trigger(&facts));
    }
    for problem in checked.problems.iter_mut().chain(&mut checked.notes) {
        problem.place.get_or_insert_with(|| source.place.clone());
    }
    Ok(checked)
}
