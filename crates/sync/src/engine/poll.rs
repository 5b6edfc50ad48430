//! Looks at the source's catalog now and then: new tables, and changes that nothing else reports.
//!
//! Owns: when to look, and bringing new tables into the publications. Never runs inside an open transaction.

use std::time::{Duration, Instant};

use naru_base::Lsn;

use super::{names::GONE, prepare::Prepared, stream::Stream, table::TableRuntime};
use crate::{catalog, error::SyncError, image::TableImage, preflight::Verdict, state::TableState};

/// How often the catalog is read when the event trigger reports changes; it is the safety net then.
const WITH_TRIGGER: Duration = Duration::from_mins(1);
/// How often it is read otherwise, and while a table is partitioned or set aside: emptying a partition triggers nothing,
/// and neither does a GRANT.
const WITHOUT_TRIGGER: Duration = Duration::from_secs(5);
/// How often it is made sure that no table without a key makes PostgreSQL refuse its owner's updates.
const IDENTITIES: Duration = Duration::from_secs(1);

/// How often it is read at the beginning of a session, and how many times: a transaction that was open while the
/// trigger was made announces nothing.
const EARLY: Duration = Duration::from_secs(3);
const EARLY_LOOKS: u8 = 2;

/// When the catalog was read, and what waits for the stream to come that far.
#[derive(Debug)]
pub(super) struct Poll {
    event_trigger: bool,
    last: Instant,
    identified: Instant,
    waiting: Option<Picture>,
    early: u8,
}

/// The catalog at one moment.
#[derive(Debug)]
struct Picture {
    at: Lsn,
    definitions: u64,
    images: Vec<TableImage>,
}

impl Poll {
    /// Starts counting now: the session's preparation has just read the catalog.
    pub(super) fn new(event_trigger: bool) -> Self {
        let now = Instant::now();
        Self { event_trigger, last: now, identified: now, waiting: None, early: EARLY_LOOKS }
    }

    /// Takes in tables the stream announced; reads the catalog when it is time.
    pub(super) async fn look(&mut self, stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
        if self.identified.elapsed() >= IDENTITIES {
            stream.keep_identified(&prepared.client).await?;
            self.identified = Instant::now();
        }
        stream.todo.members |= stream.members_retry.due();
        if !stream.todo.discovered.is_empty() {
            // The last picture of a table counts: CREATE TABLE and ADD PRIMARY KEY are two messages.
            let mut images = std::mem::take(&mut stream.todo.discovered);
            images.reverse();
            adopt(stream, prepared, images).await?;
        }
        take_back(stream, prepared)?;
        if self.waiting.is_none() && self.last.elapsed() >= self.every(stream) {
            self.last = Instant::now();
            let images = catalog::tables(&prepared.client).await?;
            let at = catalog::current_lsn(&prepared.client).await?;
            self.early = self.early.saturating_sub(1);
            self.waiting = Some(Picture { at, definitions: stream.definitions, images });
        }
        // Applied only once the stream has passed the moment of reading: until then relation messages say it better.
        if let Some(picture) = self.waiting.take_if(|picture| stream.cut >= picture.at) {
            if picture.definitions == stream.definitions {
                stream.find_unpublished(&prepared.client).await?;
                if compare(stream, prepared, picture.images).await? == Compared::ForNow {
                    self.early = self.early.max(1);
                }
            } else {
                // The stream has told something newer meanwhile; look again soon.
                self.early = self.early.max(1);
            }
        }
        Ok(())
    }

    fn every(&self, stream: &Stream) -> Duration {
        let silent = |table: &TableRuntime| {
            (table.image.kind == 'p' && table.state != TableState::Dropped) || table.state == TableState::Quarantined
        };
        match (self.early, self.event_trigger) {
            (1.., _) => EARLY,
            (0, true) if !stream.tables.values().any(silent) => WITH_TRIGGER,
            (0, _) => WITHOUT_TRIGGER,
        }
    }
}

/// How far a picture of the catalog was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// All of it.
    Whole,
    /// But for tables that catch up and are gone or renamed: what their spools hold comes before that.
    ForNow,
}

async fn compare(stream: &mut Stream, prepared: &Prepared, images: Vec<TableImage>) -> Result<Compared, SyncError> {
    let wanted = |oid: u32| images.iter().any(|image| image.oid == oid && stream.context.wants(image));
    let gone: Vec<u32> = stream
        .tables
        .values()
        .filter(|table| table.state != TableState::Dropped && !wanted(table.oid))
        .map(|table| table.oid)
        .collect();
    let mut compared = Compared::Whole;
    for oid in gone {
        if stream.tables.get(&oid).is_some_and(|table| table.state == TableState::CatchingUp) {
            compared = Compared::ForNow;
            continue;
        }
        stream.drop_table(oid, GONE)?;
        // One that is there and only no longer wanted, a partition now for example, is still listed.
        stream.todo.members = true;
    }
    let known = |image: &TableImage| stream.tables.get(&image.oid).is_some_and(|t| t.state != TableState::Dropped);
    let (known, new): (Vec<_>, Vec<_>) = images.into_iter().partition(known);
    for image in known {
        let renamed = |table: &TableRuntime| table.image.names() != image.names();
        let catches_up = |table: &&TableRuntime| table.state == TableState::CatchingUp;
        if stream.tables.get(&image.oid).filter(catches_up).is_some_and(renamed) {
            compared = Compared::ForNow;
            continue;
        }
        stream.redefine_polled(image.oid, image).await?;
    }
    adopt(stream, prepared, new).await?;
    Ok(compared)
}

/// Takes back tables that were set aside and whose owner has mended them since: each new definition is one try.
fn take_back(stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
    for oid in std::mem::take(&mut stream.todo.mended) {
        let Some(table) = stream.tables.get(&oid) else { continue };
        if !matches!(table.state, TableState::Quarantined | TableState::NotSynced) || !table.holds_name {
            continue;
        }
        match stream.context.verdict(&table.image, &prepared.facts) {
            Verdict::Sync(..) => {
                stream.rebuild(oid, "it was set aside, and its definition or rights changed since".into())?;
            }
            Verdict::Quarantine(problem) => {
                // Perhaps another reason than the one it was set aside for.
                if let Some(table) = stream.tables.get_mut(&oid) {
                    table.quarantine(&problem);
                    stream.todo.store.insert(oid);
                }
            }
            Verdict::NotSynced(_) => {}
        }
    }
    Ok(())
}

/// Judges new tables, publishes them and sends them to be copied.
async fn adopt(stream: &mut Stream, prepared: &Prepared, images: Vec<TableImage>) -> Result<(), SyncError> {
    let mut oids = Vec::new();
    for image in images {
        let new = stream.tables.get(&image.oid).is_none_or(|table| table.state == TableState::Dropped);
        if new && stream.context.wants(&image) {
            free_name(stream, prepared, &image).await?;
            oids.push(image.oid);
            stream.judge(image, &prepared.facts);
        }
    }
    if oids.is_empty() {
        return Ok(());
    }
    stream.claim_names(&oids).await?;
    stream.publish_tables(&prepared.client).await?;
    let from = catalog::current_lsn(&prepared.client).await?;
    for oid in oids {
        if stream.tables.get(&oid).is_some_and(|table| table.state == TableState::Preflight) {
            stream.place(oid).await?;
            if let Some(table) = stream.tables.get_mut(&oid) {
                table.spool_from = from;
            }
        }
    }
    Ok(())
}

/// Two tables may swap names, and the new holder of one be heard of before the old one has let it go.
async fn free_name(stream: &mut Stream, prepared: &Prepared, image: &TableImage) -> Result<(), SyncError> {
    let holder = stream
        .tables
        .values()
        .find(|t| t.oid != image.oid && t.state != TableState::Dropped && t.image.names() == image.names())
        .map(|table| table.oid);
    let Some(holder) = holder else { return Ok(()) };
    match catalog::table(&prepared.client, holder).await? {
        None => stream.drop_table(holder, GONE),
        Some(now) if now.names() != image.names() => stream.depart(holder, now).await,
        Some(_) => Ok(()),
    }
}
