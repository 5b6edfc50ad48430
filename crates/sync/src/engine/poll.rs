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

/// When the catalog was read, and what waits for the stream to come that far.
#[derive(Debug)]
pub(super) struct Poll {
    event_trigger: bool,
    last: Instant,
    waiting: Option<(Lsn, Vec<TableImage>)>,
}

impl Poll {
    /// Starts counting now: the session's preparation has just read the catalog.
    pub(super) fn new(event_trigger: bool) -> Self {
        Self { event_trigger, last: Instant::now(), waiting: None }
    }

    /// Takes in tables the stream announced; reads the catalog when it is time.
    pub(super) async fn look(&mut self, stream: &mut Stream, prepared: &Prepared) -> Result<(), SyncError> {
        if !stream.todo.discovered.is_empty() {
            // The last picture of a table counts: CREATE TABLE and ADD PRIMARY KEY are two messages.
            let mut images = std::mem::take(&mut stream.todo.discovered);
            images.reverse();
            adopt(stream, prepared, images).await?;
        }
        let every = if self.event_trigger { WITH_TRIGGER } else { WITHOUT_TRIGGER };
        if self.waiting.is_none() && self.last.elapsed() >= every {
            self.last = Instant::now();
            let images = catalog::tables(&prepared.client).await?;
            let at = catalog::current_lsn(&prepared.client).await?;
            self.waiting = Some((at, images));
        }
        // Applied only once the stream has passed the moment of reading: until then relation messages say it better.
        if let Some((_, images)) = self.waiting.take_if(|(at, _)| stream.cut >= *at) {
            compare(stream, prepared, images, !self.event_trigger).await?;
        }
        Ok(())
    }
}

async fn compare(
    stream: &mut Stream,
    prepared: &Prepared,
    images: Vec<TableImage>,
    follow_definitions: bool,
) -> Result<(), SyncError> {
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
    if follow_definitions {
        for image in known {
            stream.redefine_polled(image.oid, image).await?;
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
