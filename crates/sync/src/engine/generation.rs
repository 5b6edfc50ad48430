//! Whether positions of before still count: the same server, its slot, its publications, and a log that goes on.
//!
//! Owns: the generation of positions (server, timeline, slot), finding out that it has ended and why, beginning a new
//! one, what is forgotten then. Never copies; tables that lose their position wait in the queue of copies.

use naru_base::{Lsn, time::now_us};
use naru_store::{
    kv,
    sync_sources::{self, SyncSource},
    sync_tables::{self, SyncTable, TableState as Stored},
};

use super::{
    prepare::create_slot,
    stream::{Stream, Todo},
};
use crate::{
    catalog::SlotFacts,
    copy::Snapshot,
    error::SyncError,
    image::TableImage,
    postgres::{PostgresError, ReplicationConnection, ServerCondition, SqlClient, replication::SystemIdentity},
    publication, spool,
    state::TableState,
};

/// A commit that was read: whoever has the same history sends it again with the same end and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Witness {
    /// End of the commit in the source's log.
    pub end: Lsn,
    /// When it was committed, in microseconds since 1970 UTC.
    pub time_us: i64,
}

impl Witness {
    fn key(source: &str) -> String {
        format!("sync.last_commit.{source}")
    }

    fn parse(text: &str) -> Option<Self> {
        let (end, time_us) = text.split_once(' ')?;
        Some(Self { end: end.parse().ok()?, time_us: time_us.parse().ok()? })
    }
}

/// What a source's stored positions are worth.
#[derive(Debug)]
pub(super) enum Followed {
    /// The source was never followed.
    Never,
    /// They count under this generation.
    Still(String),
    /// They do not count any more, and this is why.
    Lost(SyncError),
}

/// The name under which positions of a source's generation stand in the logs of its tables.
pub fn app_id(source: &str, generation: &str) -> String {
    format!("naru/{source}/{generation}")
}

/// A stream error that says that no later session can go on from where this one stood.
pub(super) fn lost_for_good(error: &SyncError, slot: &str) -> Option<SyncError> {
    let SyncError::Wire(PostgresError::Server(refusal)) = error else { return None };
    match refusal.condition() {
        ServerCondition::SlotLost => Some(SyncError::SlotLost { slot: slot.to_owned() }),
        ServerCondition::ObjectMissing if refusal.message.starts_with("publication ") => {
            let publication = refusal.message.split('"').nth(1).unwrap_or_default().to_owned();
            Some(SyncError::PublicationLost { publication })
        }
        _ => None,
    }
}

/// Sessions that the server ended at one place with one fault of its own before the slot is given up.
const FAULTS_MAX: u32 = 3;

/// The same fault of the server, session after session.
#[derive(Debug, Default)]
pub(super) struct Faults {
    reason: String,
    reached: Lsn,
    times: u32,
}

impl Faults {
    /// Counts how a session ended that had read up to `reached`; says so when the slot is to be given up: what the
    /// server cannot read of its own log once, it never can, and it would keep that log for ever.
    pub(super) fn count(&mut self, error: &SyncError, reached: Lsn, slot: &str) -> Option<SyncError> {
        let reason = match error {
            SyncError::Wire(PostgresError::Server(refusal)) if refusal.condition() == ServerCondition::Internal => {
                refusal.message.as_str()
            }
            _ => {
                *self = Self::default();
                return None;
            }
        };
        if self.reason != reason || self.reached != reached {
            *self = Self { reason: reason.to_owned(), reached, times: 0 };
        }
        self.times += 1;
        if self.times < FAULTS_MAX {
            return None;
        }
        Some(SyncError::Undecodable { slot: slot.to_owned(), reason: std::mem::take(self).reason })
    }
}

impl Stream {
    /// Finds out what the stored positions are worth, and stores how the source is reached before anything is made
    /// there.
    pub(super) async fn followed(
        &mut self,
        client: &SqlClient,
        slot: Option<&SlotFacts>,
        identity: &SystemIdentity,
    ) -> Result<Followed, SyncError> {
        let context = self.context.clone();
        let name = context.source.name.clone();
        let (stored, last) = context
            .store
            .read(move |db| Ok((sync_sources::get(db, &name)?, kv::get(db, &Witness::key(&name))?)))
            .await?;
        self.last = self.last.max(last.as_deref().and_then(Witness::parse));
        let reference = Some(context.postgres.url_written.clone());
        let generation = stored.as_ref().and_then(|row| row.generation.clone());
        let told = stored.as_ref().and_then(|row| row.acknowledged);
        self.told = told.unwrap_or_default();
        if stored.as_ref().is_none_or(|row| row.url_reference != reference) {
            let before =
                stored.unwrap_or_else(|| SyncSource { source: context.source.name.clone(), ..SyncSource::default() });
            let row = SyncSource { url_reference: reference, updated_us: now_us(), ..before };
            context.store.write(move |db| sync_sources::upsert(db, &row)).await?;
        }
        let Some(generation) = generation else { return Ok(Followed::Never) };
        let now = server(identity);
        if !generation.starts_with(&format!("{now}-")) {
            let before = generation.rsplit_once('-').map_or(generation.as_str(), |(server, _)| server).to_owned();
            self.leave_server();
            return Ok(Followed::Lost(SyncError::OtherServer { before, now }));
        }
        let lost = if let Some(lost) = self.lost.take() {
            lost
        } else if let Some(lost) = slot_lost(&context.names.slot, slot, told) {
            lost
        } else if let Some(publication) = publication::broken(client, &context.names).await? {
            SyncError::PublicationLost { publication }
        } else {
            return Ok(Followed::Still(generation));
        };
        if matches!(lost, SyncError::WentBack { .. } | SyncError::OtherHistory { .. }) {
            self.leave_server();
        }
        // First the slot: without it nothing can go on from where it stood, whatever happens before a new one is made.
        publication::drop_slot(client, &context.names.slot).await?;
        publication::remake(client, &context.names).await?;
        Ok(Followed::Lost(lost))
    }

    /// Goes on where the slot stands.
    pub(super) fn go_on(
        &mut self,
        generation: String,
        slot: Option<&SlotFacts>,
    ) -> (Lsn, Option<(ReplicationConnection, Snapshot)>) {
        self.app_id = app_id(&self.context.source.name, &generation);
        (slot.map_or(Lsn(0), |slot| slot.confirmed), None)
    }

    /// Makes the slot, and with it a new generation: every table is copied.
    pub(super) async fn begin_anew(
        &mut self,
        client: &SqlClient,
        mut replication: ReplicationConnection,
        identity: &SystemIdentity,
        followed: Followed,
    ) -> Result<(Lsn, Option<(ReplicationConnection, Snapshot)>), SyncError> {
        let context = self.context.clone();
        // A slot that cannot be read from would only keep the source's log.
        context.disk.look().for_applying()?;
        if let Followed::Lost(why) = &followed {
            tracing::warn!(source = %context.source.name, problem = %why.problem(), "every table is copied again");
            self.again = Some(why.to_string());
        }
        publication::drop_slot(client, &context.names.slot).await?;
        let snapshot = create_slot(&mut replication, client, &context.names.slot, false).await?;
        let generation = format!("{}-{:X}", server(identity), snapshot.consistent_point.0);
        self.app_id = app_id(&context.source.name, &generation);
        self.forget_positions();
        let row = SyncSource {
            source: context.source.name.clone(),
            system_identifier: Some(identity.system_id.clone()),
            timeline: Some(identity.timeline),
            slot: Some(context.names.slot.clone()),
            generation: Some(generation),
            acknowledged: Some(snapshot.consistent_point),
            last_error: None,
            updated_us: now_us(),
            url_reference: Some(context.postgres.url_written.clone()),
        };
        let stored = context.store.write(move |db| {
            kv::remove(db, &Witness::key(&row.source))?;
            sync_sources::upsert(db, &row)
        });
        stored.await?;
        let start = snapshot.consistent_point;
        (self.last, self.witness) = (None, None);
        self.told = start;
        self.cut = start;
        self.published = start;
        self.server = start;
        Ok((start, Some((replication, snapshot))))
    }

    /// Stores a position before the source is told that everything up to it is durable: a slot that stands behind it
    /// was moved by somebody else.
    pub(super) async fn remember_told(&mut self, position: Lsn) -> Result<(), SyncError> {
        if position > self.told {
            let (source, last) = (self.context.source.name.clone(), self.last);
            let stored = self.context.store.write(move |db| {
                if let Some(Witness { end, time_us }) = last {
                    kv::set(db, &Witness::key(&source), &format!("{end} {time_us}"))?;
                }
                sync_sources::acknowledge(db, &source, position, now_us())
            });
            stored.await?;
            self.told = position;
        }
        Ok(())
    }

    /// The connection has sent everything up to `position`, and at its end `commit`. A server that a backup was put
    /// back into, and that has written more than was read from the old one since, is known by the commit it lacks.
    pub(super) fn same_history(&mut self, position: Lsn, commit: Option<Witness>) -> Result<(), SyncError> {
        match self.witness {
            Some(witness) if commit == Some(witness) => self.witness = None,
            Some(Witness { end, .. }) if position > end || (position == end && commit.is_some()) => {
                self.lost = Some(SyncError::OtherHistory { at: end });
                return Err(SyncError::OtherHistory { at: end });
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// A new generation: no position of an older one counts any more.
    fn forget_positions(&mut self) {
        for table in self.tables.values_mut() {
            table.applied = Lsn(0);
            if matches!(
                table.state,
                TableState::Live
                    | TableState::CatchingUp
                    | TableState::Paused
                    | TableState::Copying
                    | TableState::Rebuilding
            ) {
                table.give_up_changes();
                table.state = TableState::Preflight;
            }
        }
        self.todo.copy.clear();
    }

    /// Forgets the tables of a server that is no longer there: another one gives the same numbers to other tables.
    /// Their rows stay readable, the unflushed ones too.
    fn leave_server(&mut self) {
        for (_, mut table) in std::mem::take(&mut self.tables) {
            let (applied, live) = (table.applied, table.live.clone());
            table.give_up_changes();
            if let Some(live) = live {
                self.flush_adrift(&live, applied);
                self.adrift.insert(table.id.clone(), live);
            }
        }
        self.todo = Todo::default();
    }

    /// Tables that the state database knows and the source no longer has: their rows stay, and status says so.
    pub(super) async fn forget_gone(&self, rows: &[SyncTable], images: &[TableImage]) -> Result<(), SyncError> {
        let there = |row: &SyncTable| {
            images
                .iter()
                .any(|image| image.schema == row.schema && image.name == row.table && self.context.wants(image))
        };
        let gone: Vec<SyncTable> = rows
            .iter()
            .filter(|row| row.state != Stored::Dropped && !there(row))
            .map(|row| SyncTable {
                state: Stored::Dropped,
                reason: Some("the source no longer has the table, or excludes it; its rows stay".into()),
                fix: None,
                updated_us: now_us(),
                ..row.clone()
            })
            .collect();
        if !gone.is_empty() {
            self.context.store.write(move |db| gone.iter().try_for_each(|row| sync_tables::upsert(db, row))).await?;
        }
        Ok(())
    }

    /// A server whose log ends before what was read from it has lost commits that the lake has; what it writes from
    /// now on would be taken for known.
    pub(super) fn went_back(&mut self, server: Lsn) -> Result<(), SyncError> {
        let read = self.tables.values().map(|table| table.applied).fold(self.published, Lsn::max);
        if read <= server {
            return Ok(());
        }
        self.lost = Some(SyncError::WentBack { read, server });
        Err(SyncError::WentBack { read, server })
    }

    /// Ends the reader of an earlier session of this process, which the server has not noticed to be gone: it would
    /// hold the slot for as long as `wal_sender_timeout`.
    pub(super) async fn end_own_reader(
        &mut self,
        client: &SqlClient,
        slot: Option<&SlotFacts>,
    ) -> Result<(), SyncError> {
        let own = self.reader_pid.take();
        if let Some(pid) = slot.and_then(|slot| slot.active_pid).filter(|pid| own == Some(*pid)) {
            publication::end_reader(client, &self.context.names.slot, pid).await?;
        }
        Ok(())
    }

    /// Removes spools that no table needs any more. A failure costs only space until the next start.
    pub(super) fn clean_spools(&self) {
        let needed = |oid| self.tables.get(&oid).is_some_and(|t| t.spool.is_some() || t.spent_spool.is_some());
        match spool::clean(&self.context.spool_dir, needed) {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "spools that nothing needs are removed"),
            Err(error) => tracing::warn!(problem = %error.problem(), "spools could not be cleaned up"),
        }
    }

    /// Tables that are followed and that somebody took out of their publication, or narrowed there: the changes since
    /// did not come and never will, so that they are copied again.
    pub(super) async fn find_unpublished(&mut self, client: &SqlClient) -> Result<(), SyncError> {
        let followed: Vec<u32> = self
            .tables
            .values()
            .filter(|table| match table.state {
                TableState::Live | TableState::CatchingUp | TableState::Paused => true,
                TableState::Copying | TableState::Rebuilding => table.copy.is_some(),
                TableState::Preflight => self.stored.get(&table.image.names()).is_some_and(|row| {
                    matches!(row.state, Stored::Live | Stored::CatchingUp | Stored::Paused) && row.oid == table.oid
                }),
                TableState::Discovered | TableState::Quarantined | TableState::Dropped | TableState::NotSynced => false,
            })
            .map(|table| table.oid)
            .collect();
        for oid in publication::unpublished(client, &self.context.names, &followed).await? {
            let Some(table) = self.tables.get_mut(&oid) else { continue };
            tracing::warn!(table = %table.image.full_name(), "somebody took the table out of naru's publication; it is copied again");
            // Stored before it is listed again: a kill in between must not make it look as if it had been followed.
            let (source, image) = (self.context.source.name.clone(), table.image.clone());
            let forgotten = self.context.store.write(move |db| {
                let row = (source.as_str(), image.schema.as_str(), image.name.as_str());
                sync_tables::set_state(db, row, Stored::Rebuilding, None, None, now_us())
            });
            forgotten.await?;
            if table.state == TableState::Preflight {
                if let Some(row) = self.stored.get_mut(&table.image.names()) {
                    row.state = Stored::Rebuilding;
                }
                table.note.reason = Some("copied again because somebody took it out of naru's publication".into());
            } else {
                self.rebuild(oid, "somebody took it out of naru's publication".into())?;
            }
        }
        Ok(())
    }
}

/// Why nothing can go on from where the slot stands; `None` when it can. `told` is the highest position that naru ever
/// told, so that a slot behind it is still naru's, and one made anew by somebody stands past it: making one writes log.
fn slot_lost(name: &str, slot: Option<&SlotFacts>, told: Option<Lsn>) -> Option<SyncError> {
    let name = name.to_owned();
    match (slot.filter(|slot| slot.readable && slot.wal_status != "lost"), told) {
        (None, _) => Some(SyncError::SlotLost { slot: name }),
        (Some(slot), Some(told)) if slot.confirmed > told => {
            Some(SyncError::SlotMoved { slot: name, told, stands: slot.confirmed })
        }
        (Some(_), _) => None,
    }
}

/// What a position belongs to, before its slot.
fn server(identity: &SystemIdentity) -> String {
    format!("{}-{}", identity.system_id, identity.timeline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::ServerError;

    #[test]
    fn a_slot_that_the_server_cannot_decode_is_given_up_at_the_third_session_without_progress() {
        let refused = |sqlstate: &str, message: &str| {
            let (sqlstate, message) = (sqlstate.to_owned(), message.to_owned());
            let refusal = ServerError { sqlstate, message, ..ServerError::default() };
            SyncError::Wire(PostgresError::Server(Box::new(refusal)))
        };
        let (broken, other) = (refused("XX000", "could not map filenode"), refused("XX000", "something else"));
        let mut faults = Faults::default();
        let mut given_up = |error: &SyncError, reached: u64| faults.count(error, Lsn(reached), "s").is_some();
        assert_eq!([given_up(&broken, 10), given_up(&broken, 10), given_up(&broken, 10)], [false, false, true]);
        assert_eq!([given_up(&broken, 10), given_up(&broken, 10)], [false, false], "the new slot has its own count");
        assert_eq!([given_up(&broken, 11), given_up(&broken, 11)], [false, false], "it went on");
        assert!(!given_up(&other, 11), "another fault");
        assert_eq!([given_up(&broken, 11), given_up(&broken, 11)], [false, false]);
        assert!(!given_up(&refused("57P01", "shutting down"), 11), "a restart is no fault");
        assert!(!given_up(&broken, 11));
    }

    #[test]
    fn a_slot_counts_only_where_naru_left_it_or_before() {
        let slot = |confirmed, readable, wal_status: &str| SlotFacts {
            active_pid: None,
            confirmed: Lsn(confirmed),
            readable,
            wal_status: wal_status.into(),
            retained_bytes: 0,
            safe_bytes: None,
        };
        let code = |slot: Option<SlotFacts>, told: Option<u64>| {
            slot_lost("s", slot.as_ref(), told.map(Lsn)).map(|lost| lost.problem().code.into_owned())
        };
        assert_eq!(code(Some(slot(10, true, "reserved")), Some(10)), None);
        // A server that crashed may have forgotten what it was told last.
        assert_eq!(code(Some(slot(9, true, "extended")), Some(10)), None);
        assert_eq!(code(Some(slot(10, true, "reserved")), None), None);
        assert_eq!(code(Some(slot(11, true, "reserved")), Some(10)).as_deref(), Some("sync.slot_moved"));
        assert_eq!(code(Some(slot(10, true, "lost")), Some(10)).as_deref(), Some("sync.slot_lost"));
        assert_eq!(code(Some(slot(10, false, "reserved")), Some(10)).as_deref(), Some("sync.slot_lost"));
        assert_eq!(code(None, Some(10)).as_deref(), Some("sync.slot_lost"));
    }
}
