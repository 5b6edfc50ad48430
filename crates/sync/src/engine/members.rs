//! Which tables naru's publications list.
//!
//! Owns: bringing the publications in line with the tables' kinds, tables that have to wait for that, and judging
//! tables again before they are copied. Never copies and never reads the stream.
//!
//! A table that is not listed sends nothing, and one that is listed among the keyed without a key makes PostgreSQL
//! refuse its owner's updates: both are looked after here.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use naru_base::{Lsn, Retry};

use super::{context::kind_of, prepare::Prepared, stream::Stream, table::TableNote};
use crate::{
    catalog,
    error::SyncError,
    postgres::SqlClient as Client,
    preflight::{TableKind, Verdict},
    publication::{self, Refused},
    state::{TableLife as _, TableState},
};

/// First and longest wait before a table whose lock somebody holds is listed.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// When the publications are tried again.
#[derive(Debug, Default)]
pub(super) struct MembersRetry {
    at: Option<Instant>,
    wait: Duration,
}

impl MembersRetry {
    fn later(&mut self) {
        self.wait = (self.wait * 2).clamp(RETRY_FIRST, RETRY_MOST);
        self.at = Some(Instant::now() + self.wait);
    }

    /// Whether it is time; once.
    pub(super) fn due(&mut self) -> bool {
        self.at.take_if(|at| *at <= Instant::now()).is_some()
    }
}

impl Stream {
    /// Lists the synced tables in the two publications. One that somebody holds a lock on waits; one that cannot be
    /// listed at all is quarantined alone.
    pub(super) async fn publish_tables(&mut self, client: &Client) -> Result<(), SyncError> {
        let names = self.context.names.clone();
        let mut waiting = false;
        for (publication, kind) in [(&names.keyed, TableKind::Keyed), (&names.keyless, TableKind::AppendOnly)] {
            let wanted: BTreeSet<u32> = self
                .tables
                .values()
                .filter(|t| !matches!(t.state, TableState::Quarantined | TableState::Dropped | TableState::NotSynced))
                .filter(|t| t.shape.as_ref().is_some_and(|shape| shape.kind == kind))
                .map(|t| t.oid)
                .collect();
            let set = publication::set_members(client, publication, &wanted).await?;
            if !set.added.is_empty() {
                let from = catalog::current_lsn(client).await?;
                for oid in set.added {
                    self.listed(oid, from)?;
                }
            }
            for refused in set.refused {
                waiting |= self.not_listed(client, refused).await?;
            }
        }
        if waiting {
            self.members_retry.later();
        } else {
            self.members_retry = MembersRetry::default();
        }
        Ok(())
    }

    /// The table's changes are sent from `from` on; what happened before is in no message.
    fn listed(&mut self, oid: u32, from: Lsn) -> Result<(), SyncError> {
        if self.tables.get(&oid).is_some_and(|table| table.state.followed()) {
            self.rebuild(oid, "somebody took it out of naru's publication".into())?;
        }
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(()) };
        if table.unlisted {
            table.unlisted = false;
            table.note = TableNote { reason: table.remarks(), fix: None };
        }
        table.spool_from = table.spool_from.max(from);
        Ok(())
    }

    /// Returns whether the publications are to be tried again.
    async fn not_listed(&mut self, client: &Client, refused: Refused) -> Result<bool, SyncError> {
        let Refused { oid, adding, error } = refused;
        let problem = SyncError::from(error).problem();
        let again = problem.retry == Retry::Later;
        let holder = if again { catalog::lock_holder(client, oid).await? } else { None };
        let Some(table) = self.tables.get_mut(&oid) else { return Ok(again) };
        if !adding {
            tracing::warn!(table = %table.image.full_name(), %problem, "a table stays listed for now");
            return Ok(again);
        }
        if again {
            table.unlisted = true;
            let holder = holder.map_or_else(|| "somebody's transaction".to_owned(), |holder| holder.to_string());
            table.note.reason =
                Some(format!("waits to be listed in naru's publication; a lock on it is held by {holder}"));
            table.note.fix = Some("End that transaction; naru tries again by itself.".into());
        } else if matches!(table.state, TableState::Preflight | TableState::Copying | TableState::Rebuilding) {
            table.quarantine(&problem);
        }
        self.todo.store.insert(oid);
        Ok(again)
    }

    /// Looks, beside what the event trigger does at once, for tables that lost what identifies their rows.
    pub(super) async fn keep_identified(&mut self, client: &Client) -> Result<(), SyncError> {
        for oid in publication::release_unidentified(client, &self.context.names).await? {
            self.rebuild(oid, "its key is gone at the source".into())?;
        }
        Ok(())
    }

    /// Judges tables that wait for a copy again: their key, kind, name or rights may have changed since. The
    /// publications follow at once, because a keyed publication with a table that lost its key would refuse the
    /// owner's updates.
    pub(super) async fn rejudge(&mut self, prepared: &Prepared) -> Result<(), SyncError> {
        for oid in self.todo.copy.clone() {
            match catalog::table(&prepared.client, oid).await? {
                None => self.drop_table(oid, "the source dropped the table; its rows stay")?,
                Some(image) if self.tables.get(&oid).is_some_and(|t| t.image.full_name() != image.full_name()) => {
                    self.depart(oid, image).await?;
                }
                Some(image) => {
                    let verdict = self.context.verdict(&image, &prepared.facts);
                    let context = self.context.clone();
                    let Some(table) = self.tables.get_mut(&oid) else { continue };
                    match (&verdict, kind_of(&verdict)) {
                        (Verdict::Sync(_, remarks), Some(kind)) => {
                            table.remarks.clone_from(remarks);
                            match context.shape_of(&image, kind, &[]) {
                                Ok(shape) => table.shape = Some(shape),
                                Err(error) => table.quarantine(&error.problem()),
                            }
                        }
                        (Verdict::Quarantine(problem), _) => table.quarantine(problem),
                        (Verdict::NotSynced(reason), _) => {
                            table.give_up_changes();
                            table.state = TableState::NotSynced;
                            table.note.reason = Some(reason.clone());
                        }
                        (Verdict::Sync(..), None) => {}
                    }
                    self.todo.store.insert(oid);
                }
            }
        }
        let waiting = self.todo.copy.clone();
        self.claim_names(&waiting).await?;
        self.publish_tables(&prepared.client).await
    }
}
