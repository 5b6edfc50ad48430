//! Opening a topic's table: making it, bringing its columns up to the file, and finding where to go on.
//!
//! Owns: the table's creation and its new columns. Never reads an event.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::AsArray as _,
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use jiff::tz::TimeZone;
use naru_base::{
    TableId, failpoint,
    number::{i64_from, u64_from_signed},
    time::now_us,
};
use naru_lake::{CLUSTER_PROPERTY, Change, LakeError, Only, Operation, Table, TableSpec, live::LiveTable};
use naru_project::{Topic, topic::Dedup};

use super::{APP, Context, READER, blocking, build::day_of, dedup::Seen, run::Sink};
use crate::{
    dead::DeadLetters,
    error::TopicError,
    schema::{self, OFFSET, Shape, Sightings, TIME, table_columns},
};

/// How often days that are past the retention are looked for.
const EXPIRE_EVERY: Duration = Duration::from_mins(10);

/// The table of a topic.
pub(crate) fn table_of(topic: &str) -> TableId {
    TableId::new("topics", topic)
}

impl Sink {
    /// Opens everything, and goes on from the table's own position.
    pub(super) async fn open(context: &Arc<Context>) -> Result<Self, TopicError> {
        let declared = &context.declared;
        let table = open_table(context).await?;
        let revision = schema::note_revision(&context.store, declared, context.topic.number()).await?;
        let shape = Shape::of(declared, &table.view().columns, revision)?;
        context.topic.set_shape(Arc::clone(&shape));
        let set = context.set.clone();
        let dead = DeadLetters::open(&context.lake, declared.name.as_str(), context.live.clone(), set).await?;
        let bounds = context.log.bounds(context.topic.number());
        let position = table.position(APP).await?.map(u64_from_signed);
        // A table that is new begins with what the log still has.
        let next = position.unwrap_or(bounds.start);
        let seen = match &declared.dedup {
            Some(dedup) => Some(open_seen(context, dedup, &table, first_us(context, next).await?).await?),
            None => None,
        };
        let waiting = dead.waiting(&context.lake).await?;
        context.set.insert(&table);
        context.topic.hold(READER, next);
        context.cell.change(|status| {
            (status.state, status.problem, status.revision) = ("running", None, revision);
            (status.next, status.flushed, status.rows) = (next, next, table.rows());
            status.dead_letters = waiting;
        });
        Ok(Self {
            context: Arc::clone(context),
            table,
            dead,
            shape,
            seen,
            sightings: Sightings::default(),
            next,
            flushed: next,
            flushing: None,
            flush_failed: None,
            rotated_at: next,
            reached_us: now_us(),
            since: Instant::now(),
            expired: None,
            expiring: None,
            declared: None,
        })
    }
}

async fn open_table(context: &Context) -> Result<LiveTable, TopicError> {
    let (topic, lake) = (&context.declared, &context.lake);
    let id = table_of(&topic.name);
    let table = if let Some(table) = lake.open_table(&id).await? {
        table
    } else {
        let columns = table_columns(topic, &[], &context.zone).map_err(TopicError::Columns)?;
        // A commit every flush; the log of the table is kept like that of a mirror.
        let kept = ["delta.logRetentionDuration", "delta.deletedFileRetentionDuration"];
        let properties = kept.map(|name| (name.to_owned(), "interval 24 hours".to_owned())).into();
        let description = Some(format!("Events of topic {}.", topic.name));
        lake.create(&id, TableSpec { columns, properties, description, ..TableSpec::default() }).await?
    };
    cluster(&table, topic).await?;
    let live = LiveTable::open(table, context.live.clone()).await?;
    let view = live.view();
    let columns = table_columns(topic, &view.columns, &context.zone).map_err(TopicError::Columns)?;
    if columns[..] != view.columns[..] {
        let position = live.position(APP).await?.unwrap_or(0);
        live.evolve(columns, APP, position).await?;
    }
    Ok(live)
}

/// Says in the table by which columns its rows are to lie together once files are joined.
async fn cluster(table: &Table, topic: &Topic) -> Result<(), TopicError> {
    let named = |name: &String| topic.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let names: Vec<&str> = topic.cluster.iter().filter_map(named).map(|column| column.name.as_str()).collect();
    let wanted = (!names.is_empty()).then(|| serde_json::json!(names).to_string());
    if table.view().properties.get(CLUSTER_PROPERTY) == wanted.as_ref() {
        return Ok(());
    }
    let properties = BTreeMap::from([(CLUSTER_PROPERTY.to_owned(), wanted)]);
    table.commit(Change { properties, operation: Operation::Alter, ..Change::default() }).await?;
    Ok(())
}

/// When the first event that waits on the log was accepted; now when none does.
async fn first_us(context: &Context, next: u64) -> Result<i64, TopicError> {
    let number = context.topic.number();
    if context.log.bounds(number).end <= next {
        return Ok(now_us());
    }
    let first = context.log.read(number, next, 1).await?.events.first().map(|event| event.time_us);
    Ok(first.unwrap_or_else(now_us))
}

/// Opens the keys of earlier events and brings them up to the table; `now` is the time of the next event.
async fn open_seen(context: &Context, dedup: &Dedup, table: &LiveTable, now: i64) -> Result<Seen, TopicError> {
    let view = table.view();
    let column = view.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&dedup.key));
    let Some(column) = column.cloned() else {
        let table = view.id.clone();
        return Err(
            LakeError::Columns { table, reason: format!("the dedup key \"{}\" is no column", dedup.key) }.into()
        );
    };
    let owner = format!("{} {}", view.uid, column.name);
    let dir = context.cache.join(context.topic.number().0.to_string());
    let window_us = us(dedup.window);
    let key = column.data_type.clone();
    let mut seen = blocking(move || Seen::open(&dir, &owner, &key, window_us)).await??;
    let since = Only::at_least(OFFSET, i64_from(seen.saved())).and(Only::since(TIME, seen.oldest_us(now)));
    let mut rows = context.lake.read(&view, &[&column.name, OFFSET, TIME], since).await?;
    while let Some(batch) = rows.next().await? {
        let [keys, offsets, times] = batch.columns() else { break };
        let (Some(offsets), Some(times)) =
            (offsets.as_primitive_opt::<Int64Type>(), times.as_primitive_opt::<TimestampMicrosecondType>())
        else {
            break;
        };
        let offsets: Vec<u64> = offsets.values().iter().map(|offset| u64_from_signed(*offset)).collect();
        let (keys, times) = (Arc::clone(keys), times.values().to_vec());
        seen = blocking(move || seen.remember(&keys, &offsets, &times).map(|()| seen)).await??;
    }
    Ok(seen)
}

impl Sink {
    /// Gives the table the columns that fields have become, after everything before is in its files.
    pub(super) async fn grow(&mut self, fields: Vec<(String, &'static str)>) -> Result<(), TopicError> {
        let added = fields.iter().filter_map(|(name, sql_type)| schema::evolved(name, sql_type));
        let mut existing = self.table.view().columns.to_vec();
        existing.extend(added);
        let columns =
            table_columns(&self.context.declared, &existing, &self.context.zone).map_err(TopicError::Columns)?;
        self.flush_all().await?;
        self.table.evolve(columns, APP, i64_from(self.next)).await?;
        self.shape = Shape::of(&self.context.declared, &self.table.view().columns, self.shape.revision)?;
        self.context.topic.set_shape(Arc::clone(&self.shape));
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        tracing::info!(topic = self.context.topic.name(), columns = ?names, "fields have become columns");
        Ok(())
    }

    /// Lets go of the days and the dead letters that their retentions are past, at most once in a while.
    pub(super) async fn expire(&mut self) -> Result<(), TopicError> {
        self.expired_days().await?;
        if self.expiring.is_some() || self.expired.is_some_and(|at| at.elapsed() < EXPIRE_EVERY) {
            return Ok(());
        }
        self.expired = Some(Instant::now());
        if let Some(retention) = self.context.declared.dead_retention {
            self.expire_letters(retention).await;
        }
        let Some(retention) = self.context.declared.retention else { return Ok(()) };
        let view = self.table.view();
        let zone = view.columns.iter().find_map(|column| column.partition.as_ref());
        let Some(zone) = zone.and_then(|partition| TimeZone::get(&partition.zone).ok()) else { return Ok(()) };
        let Some(day) = day_of(now_us().saturating_sub(us(retention)), &zone) else { return Ok(()) };
        let table = self.table.clone();
        self.expiring = Some(tokio::spawn(async move {
            failpoint::hit("topics.expiring");
            let dropped = table.drop_before(day).await;
            failpoint::hit("topics.expired");
            dropped.map(|committed| committed.map(|committed| committed.version))
        }));
        Ok(())
    }

    async fn expire_letters(&self, retention: Duration) {
        let topic = self.context.topic.name();
        match self.dead.expire(&self.context.lake, now_us().saturating_sub(us(retention))).await {
            Ok((0, _)) => {}
            Ok((gone, waited)) => {
                tracing::info!(topic, gone, waited, "dead letters past their retention were removed");
                self.dead.show(self.next);
                let left = |all: u64| all.saturating_sub(waited);
                self.context.cell.change(|status| status.dead_letters = left(status.dead_letters));
            }
            Err(error) => tracing::warn!(topic, problem = %error.problem(), "old dead letters were not removed"),
        }
    }

    /// Takes what became of old days, if that has ended.
    async fn expired_days(&mut self) -> Result<(), TopicError> {
        let Some(expiring) = self.expiring.take_if(|expiring| expiring.is_finished()) else { return Ok(()) };
        let topic = self.context.topic.name();
        match expiring.await.unwrap_or_else(|error| Err(LakeError::Task(error.to_string()))) {
            Ok(None) => {}
            Ok(Some(version)) => tracing::info!(topic, version = version.0, "days past the retention were removed"),
            Err(error @ (LakeError::CommitLost { .. } | LakeError::Task(_))) => return Err(error.into()),
            Err(error) => tracing::warn!(topic, problem = %error.problem(), "old days were not removed"),
        }
        Ok(())
    }
}

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
