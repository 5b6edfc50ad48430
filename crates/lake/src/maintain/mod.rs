//! Looking after the tables of a lake: compaction, checkpoints, log clean-up, vacuum.
//!
//! Owns: [`Maintainer`], which does one piece at a time for all tables of a process, and what is told of it.
//! A flush of the same table waits for a compaction; nothing else does. A process that dies in any piece leaves the table
//! as a reader saw it, and at worst objects that the next vacuum removes.
//! Never decides what a compaction joins ([`crate::plan_compaction`]) or what garbage is ([`crate::VacuumOptions`]).
//! Read next: [`policy`].

mod policy;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use naru_base::{
    TableId,
    number::{i64_from, u64_from},
};
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    compact::{CompactionLimits, plan_compaction},
    error::LakeError,
    lake::Lake,
    live::Compacted,
    retention::{Cleaned, ms},
    table::Table,
    vacuum::{VacuumOptions, Vacuumed},
};

use policy::{Facts, due};
pub use policy::{Piece, Upkeep};

/// How often tables are looked for that nobody has opened.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// Wait when nothing is due.
const IDLE: Duration = Duration::from_secs(2);

/// Maintenance of all tables of a lake. Clones are the same.
#[derive(Debug, Clone)]
pub struct Maintainer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lake: Lake,
    limits: CompactionLimits,
    room: Room,
    /// Held by the one piece under way.
    one: tokio::sync::Mutex<()>,
    status: Mutex<MaintenanceStatus>,
    looked_ms: AtomicI64,
    /// The table served last; the next one has its turn.
    last: Mutex<Option<TableId>>,
}

/// Says whether the disk has room for files that are written before others go.
struct Room(Box<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Room")
    }
}

/// What maintenance does and has done since this process began.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MaintenanceStatus {
    /// What is under way: the table and the piece.
    pub doing: Option<(TableId, Piece)>,
    /// Tables that were looked after.
    #[serde(skip)]
    pub tables: BTreeMap<TableId, Upkeep>,
}

/// A piece that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Which table.
    pub table: TableId,
    /// What.
    pub piece: Piece,
    /// How long it took.
    pub took: Duration,
}

/// What a piece came to.
enum Outcome {
    Rewrote(Option<Compacted>),
    Checkpointed,
    Cleaned(Cleaned),
    Vacuumed(Vacuumed),
}

impl Maintainer {
    /// Maintenance of this lake; does nothing by itself.
    pub fn new(lake: Lake, limits: CompactionLimits) -> Self {
        Self::with_room(lake, limits, || true)
    }

    /// Maintenance that rewrites files of its own accord only while there is room for them.
    pub fn with_room(lake: Lake, limits: CompactionLimits, room: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let shared = Shared {
            lake,
            limits,
            room: Room(Box::new(room)),
            one: tokio::sync::Mutex::default(),
            status: Mutex::default(),
            looked_ms: AtomicI64::new(i64::MIN),
            last: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What it does and has done.
    pub fn status(&self) -> MaintenanceStatus {
        self.shared.status.lock().clone()
    }

    /// Looks after all tables for ever. Dropping the future stops it at once, whatever it does.
    pub async fn run(&self) {
        loop {
            if self.step().await.is_none() {
                tokio::time::sleep(IDLE).await;
            }
        }
    }

    /// Does the next piece that is due for any table; `None` when nothing is. A piece that fails is told in the status
    /// and tried again later.
    pub async fn step(&self) -> Option<Done> {
        self.look().await;
        let (table, piece) = self.next()?;
        let began = Instant::now();
        *self.shared.last.lock() = Some(table.id().clone());
        // The status says why; the other tables go on.
        drop(self.perform(&table, piece, &self.limits_of(&table)).await);
        Some(Done { table: table.id().clone(), piece, took: began.elapsed() })
    }

    /// Compacts a table thoroughly: as many groups as are worth it now. `progress` hears of each.
    ///
    /// # Errors
    /// [`LakeError::Missing`] without such a table, and those of a compaction.
    pub async fn compact(
        &self,
        table: &TableId,
        mut progress: impl FnMut(&Compacted) + Send,
    ) -> Result<Vec<Compacted>, LakeError> {
        let table = self.table(table).await?;
        let limits = self.limits_of(&table).thorough();
        let now_ms = self.shared.lake.clock().now_ms();
        // Twice: what one round wrote may be small enough to be joined. A table under change would never be done.
        let rounds = 2 * plan_compaction(&table.view(), &limits, now_ms).len();
        let mut done = Vec::new();
        for _ in 0..rounds {
            match self.perform(&table, Piece::Compact, &limits).await? {
                Outcome::Rewrote(Some(compacted)) => {
                    progress(&compacted);
                    done.push(compacted);
                }
                Outcome::Rewrote(None) | Outcome::Checkpointed | Outcome::Cleaned(_) | Outcome::Vacuumed(_) => break,
            }
        }
        Ok(done)
    }

    /// Cleans a table's log and removes its garbage, by the table's own retention. A dry run only says what would go.
    ///
    /// # Errors
    /// [`LakeError::Missing`] without such a table, and those of the two.
    pub async fn vacuum(&self, table: &TableId, dry_run: bool) -> Result<Vacuumed, LakeError> {
        let table = self.table(table).await?;
        if dry_run {
            let options = VacuumOptions { retention: table.retention(), pins: Vec::new(), dry_run };
            return table.vacuum(&options).await;
        }
        self.perform(&table, Piece::CleanLog, &self.shared.limits).await?;
        match self.perform(&table, Piece::Vacuum, &self.shared.limits).await? {
            Outcome::Vacuumed(vacuumed) => Ok(vacuumed),
            Outcome::Rewrote(_) | Outcome::Checkpointed | Outcome::Cleaned(_) => Ok(Vacuumed::default()),
        }
    }

    async fn table(&self, id: &TableId) -> Result<Table, LakeError> {
        self.shared.lake.open_table(id).await?.ok_or_else(|| LakeError::Missing(id.clone()))
    }

    fn limits_of(&self, table: &Table) -> CompactionLimits {
        table.live().map_or_else(|| self.shared.limits.clone(), |live| live.compaction_limits().clone())
    }

    /// Opens tables that nobody has opened in this process, now and then: they have garbage too.
    async fn look(&self) {
        let now_ms = self.shared.lake.clock().now_ms();
        let looked = self.shared.looked_ms.load(Ordering::Relaxed);
        if looked.saturating_add(ms(LOOK_EVERY)) > now_ms {
            return;
        }
        self.shared.looked_ms.store(now_ms, Ordering::Relaxed);
        let known: HashSet<TableId> = self.shared.lake.open_tables().iter().map(|table| table.id().clone()).collect();
        let found = match self.shared.lake.tables().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the lake's tables could not be listed for maintenance");
                return;
            }
        };
        for id in found.into_iter().filter(|id| !known.contains(id)) {
            if let Err(error) = self.shared.lake.open_table(&id).await {
                tracing::warn!(table = %id, %error, "a table could not be opened for maintenance");
            }
        }
    }

    /// The next table with something due, after the one served last.
    fn next(&self) -> Option<(Table, Piece)> {
        let mut tables = self.shared.lake.open_tables();
        let last = self.shared.last.lock().clone();
        let first = last.map_or(0, |last| tables.partition_point(|table| *table.id() <= last));
        tables.rotate_left(first);
        let now_ms = self.shared.lake.clock().now_ms();
        let room = (self.shared.room.0)();
        let mut status = self.shared.status.lock();
        status.tables.retain(|id, _| tables.iter().any(|table| table.id() == id));
        tables.into_iter().find_map(|table| {
            let upkeep = status
                .tables
                .entry(table.id().clone())
                .or_insert_with(|| Upkeep { seen_ms: now_ms, ..Upkeep::default() });
            let mut facts = facts(&table, &self.limits_of(&table), now_ms);
            (facts.fill_due, facts.compact_due) = (facts.fill_due && room, facts.compact_due && room);
            let piece = due(&facts, upkeep)?;
            Some((table, piece))
        })
    }

    /// Does one piece while nothing else is done, and notes what came of it.
    async fn perform(&self, table: &Table, piece: Piece, limits: &CompactionLimits) -> Result<Outcome, LakeError> {
        let _one = self.shared.one.lock().await;
        let _shown = Shown::new(&self.shared, table.id(), piece);
        let (began, version) = (Instant::now(), table.view().version.0);
        let outcome = carry_out(table, piece, limits).await;
        let now_ms = self.shared.lake.clock().now_ms();
        let mut status = self.shared.status.lock();
        let upkeep = status.tables.entry(table.id().clone()).or_default();
        match &outcome {
            Ok(outcome) => {
                note(upkeep, outcome, now_ms, version);
                tell(table.id(), outcome, began.elapsed());
            }
            Err(error) => {
                let problem = error.problem();
                tracing::warn!(table = %table.id(), ?piece, %problem, "maintenance failed and is tried again later");
                (upkeep.problem, upkeep.failed_ms) = (Some(problem.summary.clone()), Some(now_ms));
            }
        }
        outcome
    }
}

/// Shows what is under way for as long as it lives.
struct Shown<'a>(&'a Shared);

impl<'a> Shown<'a> {
    fn new(shared: &'a Shared, table: &TableId, piece: Piece) -> Self {
        shared.status.lock().doing = Some((table.clone(), piece));
        Self(shared)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.status.lock().doing = None;
    }
}

fn facts(table: &Table, limits: &CompactionLimits, now_ms: i64) -> Facts {
    let (view, live) = (table.view(), table.live());
    let rushed = live.as_ref().is_some_and(|live| live.is_rushed(now_ms));
    Facts {
        now_ms,
        version: view.version.0,
        live: live.is_some(),
        fill_due: live.as_ref().is_some_and(crate::live::LiveTable::fill_due),
        compact_due: !rushed && !plan_compaction(&view, limits, now_ms).is_empty(),
        commits_since_checkpoint: table.commits_since_checkpoint(),
    }
}

async fn carry_out(table: &Table, piece: Piece, limits: &CompactionLimits) -> Result<Outcome, LakeError> {
    match piece {
        Piece::Fill => match table.live() {
            Some(live) => live.fill().await.map(Outcome::Rewrote),
            None => Ok(Outcome::Rewrote(None)),
        },
        Piece::Compact => table.compact(limits).await.map(Outcome::Rewrote),
        Piece::Checkpoint => table.checkpoint().await.map(|()| Outcome::Checkpointed),
        Piece::CleanLog => table.clean_log(&table.retention()).await.map(Outcome::Cleaned),
        Piece::Vacuum => {
            let options = VacuumOptions { retention: table.retention(), pins: Vec::new(), dry_run: false };
            table.vacuum(&options).await.map(Outcome::Vacuumed)
        }
    }
}

fn note(upkeep: &mut Upkeep, outcome: &Outcome, now_ms: i64, version: u64) {
    (upkeep.problem, upkeep.failed_ms) = (None, None);
    match outcome {
        Outcome::Rewrote(Some(compacted)) => {
            upkeep.compactions += 1;
            upkeep.files_replaced += u64_from(compacted.removed);
            upkeep.files_written += u64_from(compacted.added);
            upkeep.rows_written += compacted.rows;
            upkeep.compacted_ms = Some(now_ms);
        }
        Outcome::Rewrote(None) => {}
        Outcome::Checkpointed => upkeep.checkpoint_ms = Some(now_ms),
        Outcome::Cleaned(cleaned) => {
            (upkeep.cleaned_ms, upkeep.cleaned_version) = (Some(now_ms), Some(version));
            (upkeep.log_files, upkeep.log_bytes) = (u64_from(cleaned.kept), cleaned.bytes);
        }
        Outcome::Vacuumed(vacuumed) => {
            (upkeep.vacuumed_ms, upkeep.vacuumed_version) = (Some(now_ms), Some(version));
            upkeep.vacuumed_files += u64_from(vacuumed.removed.len());
            upkeep.vacuumed_bytes += vacuumed.bytes;
        }
    }
}

/// One line in the log for what changed something.
fn tell(table: &TableId, outcome: &Outcome, took: Duration) {
    let took_ms = i64_from(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    match outcome {
        Outcome::Rewrote(Some(done)) => {
            let (removed, added, rows) = (done.removed, done.added, done.rows);
            tracing::info!(%table, removed, added, rows, took_ms, "compacted");
        }
        Outcome::Cleaned(done) if done.removed > 0 => {
            tracing::info!(%table, removed = done.removed, kept = done.kept, took_ms, "log cleaned");
        }
        Outcome::Vacuumed(done) if !done.removed.is_empty() => {
            tracing::info!(%table, removed = done.removed.len(), bytes = done.bytes, took_ms, "vacuumed");
        }
        Outcome::Rewrote(None) | Outcome::Checkpointed | Outcome::Cleaned(_) | Outcome::Vacuumed(_) => {
            tracing::debug!(%table, took_ms, "maintained");
        }
    }
}
