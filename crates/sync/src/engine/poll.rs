//! Looks at the source's catalog now and then: new tables, and changed ones where no event trigger reports them.
//!
//! Owns: when to look, and bringing new tables into the publications. Never runs inside an open transaction.

use std::time::{Duration, Instant};

use naru_base::Lsn;

use super::{prepare::Prepared, stream::Stream};
use crate::{catalog, error::SyncError, image::TableImage, state::TableState};

/// How often the catalog is read when the event trigger reports changes; it is the safety net then.
const WITH_TRIGGER: Duration = Duration::from_mins(1);
/// How often it is read otherwise.
const WITHOUT_TRIGGER: Duration = Duration::from_secs(5);

/// How often it is read at the beginning of a session, and how many times: a transaction that was open while the
/// trigger was made announces nothing.
const EARLY: Duration = Duration::from_secs(3);
const EARLY_LOOKS: u8 = 2;

/// When the catalog was read, and what waits for the stream to come that far.
#[derive(Debug)]
pub(super) struct Poll {
    event_trigger: bool,
    last: Instant,
    waiting: Option<Picture>,
    early: u8,
}

/// The catalog at one moment.
#[derive(Debug)]
struct Picture {
    at: Lsn,
    definitions: u64,
    follow: bool,
    images: Vec<TableImage>,
}

impl Poll {
    /// Starts counting now: the session's preparation has just read the catalog.
    pub(super) fn new(event_trigger: bool) -> Self {
        Self { event_trigger, last: Instant::now(), waiting: None, early: EARLY_LOOKS }
    }

    /// Takes in tables the stream announced; reads the catalog when it is time.
    pub(super) async fn look(&mut self, stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
        if !stream.todo.discovered.is_empty() {
            // The last picture of a table counts: CREATE TABLE and ADD PRIMARY KEY are two messages.
            let mut images = std::mem::take(&mut stream.todo.discovered);
            images.reverse();
            adopt(stream, prepared, images).await?;
        }
        let every = match (self.early, self.event_trigger) {
            (1.., _) => EARLY,
            (0, true) => WITH_TRIGGER,
            (0, false) => WITHOUT_TRIGGER,
        };
        if self.waiting.is_none() && self.last.elapsed() >= every {
            self.last = Instant::now();
            let images = catalog::tables(&prepared.client).await?;
            let at = catalog::current_lsn(&prepared.client).await?;
            let follow = self.early > 0 || !self.event_trigger;
            self.early = self.early.saturating_sub(1);
            self.waiting = Some(Picture { at, definitions: stream.definitions, follow, images });
        }
        // Applied only once the stream has passed the moment of reading: until then relation messages say it better.
        if let Some(picture) = self.waiting.take_if(|picture| stream.cut >= picture.at) {
            if picture.definitions == stream.definitions {
                compare(stream, prepared, picture, !self.event_trigger).await?;
            } else {
                // The stream has told something newer meanwhile; look again soon.
                self.early = self.early.max(1);
            }
        }
        Ok(())
    }
}

async fn compare(
    stream: &mut Stream,
    prepared: &Prepared,
    picture: Picture,
    trust_files: bool,
) -> Result<(), SyncError> {
    let Picture { images, follow, .. } = picture;
    let gone: Vec<u32> = stream
        .tables
        .values()
        .filter(|t| t.state != TableState::Dropped && !images.iter().any(|image| image.oid == t.oid))
        .map(|t| t.oid)
        .collect();
    for oid in gone {
        stream.drop_table(oid)?;
    }
    let (known, new): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| stream.tables.contains_key(&image.oid));
    if follow {
        for image in known {
            stream.redefine_polled(image.oid, image, trust_files).await?;
        }
    }
    adopt(stream, prepared, new).await
}

/// Judges new tables, publishes them and sends them to be copied.
async fn adopt(stream: &mut Stream, prepared: &Prepared, images: Vec<TableImage>) -> Result<(), SyncError> {
    let mut oids = Vec::new();
    for image in images {
        if stream.context.wants(&image) && !stream.tables.contains_key(&image.oid) {
            oids.push(image.oid);
            stream.judge(image, &prepared.facts);
        }
    }
    if oids.is_empty() {
        return Ok(());
    }
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
