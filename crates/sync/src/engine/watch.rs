//! What is watched beside the stream: the slot's log at the source, naru's publications and triggers there, this
//! machine's disks, and silence.
//!
//! Owns: when to look, and the warning before the slot is lost. Never reads the stream.

use std::time::{Duration, Instant};

use naru_base::{Problem, number::u64_from_signed};

use super::{context::Context, feedback::Feedback, prepare::Prepared, stream::Stream};
use crate::{
    catalog::{self, SlotFacts},
    error::SyncError,
    postgres::{PostgresError, SqlClient, connect_sql},
    publication,
};

/// How often the slot and the disks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often publications and triggers are looked at.
const LISTED_EVERY: Duration = Duration::from_secs(10);
/// After how much silence the server is asked for a sign of life.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The same while tables wait for this connection to come as far as the last one.
const BEHIND_MAX: Duration = Duration::from_millis(200);
/// How long it may take to give one. While it decodes a large transaction of tables that naru does not follow, it looks
/// at what naru says only after half of `wal_sender_timeout`; the catalog questions notice a broken way much earlier.
const ANSWER_MAX: Duration = Duration::from_mins(5);
/// Age of an open transaction from which on it is named as what may hold the log.
const OPEN_FOR_LONG: Duration = Duration::from_secs(10);
/// Log that a slot without a bound may keep before people are told.
const RETAINED_MAX: u64 = 10_000_000_000;
/// The last part of a bounded slot's log: when only this much is left, people are told.
const LAST_PART: u64 = 4;

/// What was seen last.
#[derive(Debug)]
pub(super) struct Watch {
    looked: Option<Instant>,
    listed: Instant,
    heard: Instant,
    asked: Option<Instant>,
    /// The slot as last seen.
    pub slot: Option<SlotFacts>,
    /// What people should know before it stops the source.
    pub warnings: Vec<Problem>,
}

impl Watch {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { looked: None, listed: now, heard: now, asked: None, slot: None, warnings: Vec::new() }
    }

    /// Something came from the server, or nothing is read from it on purpose.
    pub(super) fn heard(&mut self) {
        (self.heard, self.asked) = (Instant::now(), None);
    }

    /// Until when a sign of life must have come.
    pub(super) fn silence_ends(&self) -> Option<Instant> {
        self.asked.map(|asked| asked + ANSWER_MAX)
    }

    /// The error of a server that gave no sign of life.
    pub(super) fn silent(stream: &Stream) -> SyncError {
        let address = stream.context.connect().address();
        PostgresError::TimedOut { address, during: "streaming", seconds: ANSWER_MAX.as_secs() }.into()
    }

    /// Looks at what is due.
    pub(super) async fn look(
        &mut self,
        stream: &mut Stream,
        prepared: &Prepared,
        feedback: &mut Feedback,
    ) -> Result<(), SyncError> {
        let patience = if stream.reached < stream.cut { BEHIND_MAX } else { SILENCE_MAX };
        if self.asked.is_none() && self.heard.elapsed() >= patience {
            self.asked = Some(Instant::now());
            feedback.ask().await?;
        }
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        stream.room = stream.context.disk.look();
        let name = stream.context.names.slot.clone();
        self.slot = catalog::slot(&prepared.client, &name).await?;
        if self.slot.as_ref().is_none_or(|slot| slot.wal_status == "lost") {
            return Err(SyncError::SlotLost { slot: name });
        }
        stream.reader_pid = self.slot.as_ref().and_then(|slot| slot.active_pid);
        self.warn(stream, prepared).await?;
        if stream.at_boundary() && self.listed.elapsed() >= LISTED_EVERY {
            self.listed = Instant::now();
            listed(stream, prepared).await?;
        }
        Ok(())
    }

    /// The slot and what people should know of it, while no session runs.
    pub(super) async fn from_afar(context: &Context) -> Result<(Option<SlotFacts>, Vec<Problem>), SyncError> {
        let client = connect_sql(&context.connect()).await?;
        let facts = catalog::server_facts(&client).await?;
        let slot = catalog::slot(&client, &context.names.slot).await?;
        let danger = match &slot {
            Some(slot) => danger(&client, slot, facts.wal_keep_mb).await?,
            None => None,
        };
        Ok((slot, danger.into_iter().collect()))
    }

    /// Tells people once when the slot comes into danger, and shows it for as long as it lasts.
    async fn warn(&mut self, stream: &Stream, prepared: &Prepared) -> Result<(), SyncError> {
        let danger = match &self.slot {
            Some(slot) => danger(&prepared.client, slot, prepared.facts.wal_keep_mb).await?,
            None => None,
        };
        if let (Some(danger), true) = (&danger, self.warnings.is_empty()) {
            tracing::warn!(source = %stream.context.source.name, problem = %danger, "the source keeps much log for naru");
        }
        self.warnings = danger.into_iter().collect();
        Ok(())
    }
}

/// The warning before a slot is lost, with the transaction that may hold it.
async fn danger(client: &SqlClient, slot: &SlotFacts, keep_mb: i64) -> Result<Option<Problem>, SyncError> {
    let Some(danger) = wal_danger(slot, keep_mb) else { return Ok(None) };
    let oldest = catalog::open_transactions(client, OPEN_FOR_LONG).await?.into_iter().next();
    Ok(Some(match oldest {
        Some(oldest) => danger.hint(format!(
            "The oldest open transaction at the source may be what keeps it: {oldest}. End it if it was forgotten."
        )),
        None => danger,
    }))
}

/// Looks whether what naru made at the source is still there.
async fn listed(stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
    let names = stream.context.names.clone();
    if let Some(publication) = publication::broken(&prepared.client, &names).await? {
        stream.lost = Some(SyncError::PublicationLost { publication: publication.clone() });
        return Err(SyncError::PublicationLost { publication });
    }
    stream.find_unpublished(&prepared.client).await?;
    if prepared.trigger.installed && publication::triggers(&prepared.client, &names).await? < publication::TRIGGERS {
        tracing::warn!(source = %stream.context.source.name, "an event trigger of naru is gone or off; it is made again");
        stream.todo.reconnect = true;
    }
    Ok(())
}

/// The warning before a slot is lost, or before it fills the source's disk.
fn wal_danger(slot: &SlotFacts, keep_mb: i64) -> Option<Problem> {
    let mb = |bytes: i64| bytes.max(0) / 1_000_000;
    let keep = u64_from_signed(keep_mb.max(0)).saturating_mul(1 << 20);
    let retained = u64_from_signed(slot.retained_bytes.max(0));
    let detail =
        format!("naru has everything up to {}; the slot keeps {} MB of log.", slot.confirmed, mb(slot.retained_bytes));
    let bounded = "If naru cannot catch up, the server gives the slot up and every table is copied again. Raise max_slot_wal_keep_size at the source if its disk has room.";
    match slot.safe_bytes {
        _ if slot.wal_status == "unreserved" => Some(
            Problem::new("sync.wal_low", "the source is about to give up naru's slot").detail(detail).hint(bounded),
        ),
        Some(safe) if u64_from_signed(safe.max(0)) < keep / LAST_PART => Some(
            Problem::new("sync.wal_low", format!("the source keeps only {} MB more of log for naru", mb(safe)))
                .detail(detail)
                .hint(bounded),
        ),
        None if retained > RETAINED_MAX => Some(
            Problem::new("sync.wal_high", format!("the source keeps {} MB of log for naru", mb(slot.retained_bytes)))
                .detail(detail)
                .hint("Watch the source's disk: max_slot_wal_keep_size is unbounded there."),
        ),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(wal_status: &str, retained_mb: i64, safe_mb: Option<i64>) -> SlotFacts {
        SlotFacts {
            active_pid: None,
            confirmed: naru_base::Lsn(1),
            readable: true,
            wal_status: wal_status.into(),
            retained_bytes: retained_mb << 20,
            safe_bytes: safe_mb.map(|mb| mb << 20),
        }
    }

    #[test]
    fn people_are_told_before_the_slot_is_lost() {
        let code = |slot: &SlotFacts, keep_mb| wal_danger(slot, keep_mb).map(|problem| problem.code.into_owned());
        assert_eq!(code(&slot("reserved", 100, Some(900)), 1000), None);
        assert_eq!(code(&slot("extended", 800, Some(200)), 1000).as_deref(), Some("sync.wal_low"));
        assert_eq!(code(&slot("unreserved", 1100, Some(-100)), 1000).as_deref(), Some("sync.wal_low"));
        assert_eq!(code(&slot("reserved", 9_000, None), -1), None);
        assert_eq!(code(&slot("extended", 20_000, None), -1).as_deref(), Some("sync.wal_high"));
    }
}
