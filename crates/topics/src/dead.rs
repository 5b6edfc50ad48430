//! Events that a sink of a topic could not take, as rows of a table.
//!
//! Owns: the table `topics.<name>__dead`, its columns, and what becomes of its rows. It has a key, `(id, sink)`, so
//! that writing the same row again after a crash changes nothing.
//! Never decides whether an event fits, and never drops one.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BinaryArray, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use naru_base::{
    Lsn, TableId,
    number::{i64_from, u64_from, u64_from_signed},
};
use naru_lake::{
    ChangeBatch, Column, Lake, NaruType, Only, Op, TableSpec,
    live::{LiveSet, LiveSettings, LiveTable},
    rows::Fault,
};

use crate::{error::TopicError, log::Event, schema::OFFSET, sink::APP, text};

/// The sink whose dead letters are those of the topic's own table.
pub const TABLE_SINK: &str = "table";
/// The key: the offset of the event that died first, and the sink that it died in.
const KEY: [&str; 2] = ["id", "sink"];
/// Rows applied together.
const ROWS_MAX: usize = 4_096;
/// Old letters that are removed at once; what is left goes the next time.
const EXPIRED_MAX: usize = 50_000;

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadStatus {
    /// It waits for somebody to mend it.
    Dead,
    /// It was mended and its row is in the table, or was there already.
    Replayed,
    /// Somebody decided that it is not needed.
    Discarded,
}

impl DeadStatus {
    /// As the column `status` holds it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// From that word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Dead, Self::Replayed, Self::Discarded].into_iter().find(|status| status.word() == word)
    }
}

/// What became of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome<'a> {
    Replayed,
    /// By whom, and why.
    Discarded(Option<&'a str>, &'a str),
}

/// One dead letter as it is written.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetter {
    /// Offset of the event that died first: the letter's name.
    pub(crate) id: u64,
    pub(crate) event_id: Option<String>,
    pub(crate) sink: String,
    pub(crate) fault: Fault,
    /// The code of the fault's kind, or of what else was wrong.
    pub(crate) reason: String,
    pub(crate) revision: u32,
    /// The event as it is now: mended ones replace what they were made of.
    pub(crate) event: Event,
    /// When the first event of this letter was accepted, where this is another one.
    pub(crate) first_seen: Option<i64>,
    pub(crate) attempts: i64,
}

/// The dead letters of a topic. Clones are the same table.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters {
    pub(crate) live: LiveTable,
    set: LiveSet,
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) dead: bool,
    /// Offset of the event that wrote it last.
    pub(crate) by: u64,
    pub(crate) first_seen: Option<i64>,
}

/// The table of a topic's dead letters.
pub fn table_of(topic: &str) -> TableId {
    TableId::new("topics", format!("{topic}__dead"))
}

fn columns() -> Vec<Column> {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        Column::new("id", DataType::Int64),
        Column::new("event_id", DataType::Utf8),
        Column::new("sink", DataType::Utf8),
        Column::new("reason", DataType::Utf8),
        Column::new("path", DataType::Utf8),
        Column::new("expected", DataType::Utf8),
        Column::new("got", DataType::Utf8),
        Column::new("schema_revision", DataType::Int64),
        Column::new("data", DataType::Binary),
        Column::new("attributes", DataType::Utf8).with_type(NaruType::Json),
        Column::new("ordering_key", DataType::Utf8),
        Column::new("first_seen", instant()),
        Column::new("last_seen", instant()),
        Column::new("attempts", DataType::Int64),
        Column::new("status", DataType::Utf8),
        Column::new("replayed_at", instant()),
        Column::new("discarded_at", instant()),
        Column::new("discarded_by", DataType::Utf8),
        Column::new("discard_reason", DataType::Utf8),
        Column::new(OFFSET, DataType::Int64),
    ]
}

impl DeadLetters {
    /// Opens the table, which is made where missing, and shows it.
    pub(crate) async fn open(
        lake: &Lake,
        topic: &str,
        settings: LiveSettings,
        set: LiveSet,
    ) -> Result<Self, TopicError> {
        let id = table_of(topic);
        let table = if let Some(table) = lake.open_table(&id).await? {
            table
        } else {
            let spec = TableSpec {
                columns: columns(),
                key: KEY.map(str::to_owned).into(),
                deletion_vectors: true,
                description: Some(format!("Events of topic {topic} that do not fit, and why.")),
                ..TableSpec::default()
            };
            lake.create(&id, spec).await?
        };
        let live = LiveTable::open(table, settings).await?;
        let has = live.view();
        if !columns().iter().all(|column| has.columns.iter().any(|known| known.name == column.name)) {
            // A table of an earlier naru.
            let position = live.position(APP).await?.unwrap_or(0);
            live.evolve(columns(), APP, position).await?;
        }
        set.insert(&live);
        Ok(Self { live, set })
    }

    /// How many wait to be mended.
    pub(crate) async fn waiting(&self, lake: &Lake) -> Result<u64, TopicError> {
        let dead = Only::is("status", DeadStatus::Dead.word());
        let (mut rows, mut waiting) = (lake.read(&self.live.view(), &["id"], dead).await?, 0);
        while let Some(batch) = rows.next().await? {
            waiting += u64_from(batch.num_rows());
        }
        Ok(waiting)
    }

    /// Writes letters; the same ones again change nothing. They are shown by [`DeadLetters::show`]. How many are new.
    pub(crate) async fn write(&self, letters: &[DeadLetter]) -> Result<u64, TopicError> {
        let mut new = 0;
        for some in letters.chunks(ROWS_MAX) {
            let rows = batch(&self.live, arrays(some))?;
            let ops = vec![Op::Insert; some.len()];
            let counts = self.live.apply(ChangeBatch { rows, ops, unchanged: Vec::new() }).await?;
            new += counts.inserts.saturating_sub(counts.replaced);
        }
        Ok(new)
    }

    /// Says what became of letters that are there. `by` is the offset of the event that says so, one a letter.
    pub(crate) async fn settle(
        &self,
        letters: &[(u64, String)],
        outcome: Outcome<'_>,
        by: &[u64],
        at_us: i64,
    ) -> Result<(), TopicError> {
        if letters.is_empty() {
            return Ok(());
        }
        let count = letters.len();
        let mut known = keys(letters);
        let by: Int64Array = by.iter().map(|by| i64_from(*by)).collect();
        known.insert(OFFSET, Arc::new(by));
        let instants = TimestampMicrosecondArray::from(vec![at_us; count]).with_timezone("UTC");
        let (status, at) = match outcome {
            Outcome::Replayed => (DeadStatus::Replayed, "replayed_at"),
            Outcome::Discarded(who, why) => {
                known.insert("discarded_by", Arc::new(StringArray::from(vec![who; count])));
                known.insert("discard_reason", Arc::new(StringArray::from(vec![why; count])));
                (DeadStatus::Discarded, "discarded_at")
            }
        };
        known.insert("status", Arc::new(StringArray::from(vec![status.word(); count])));
        known.insert(at, Arc::new(instants));
        let columns = self.live.table().view();
        let kept = |column: &Column| {
            let set = known.contains_key(column.name.as_str());
            (!set).then(|| BooleanArray::from(vec![true; count]))
        };
        let unchanged = columns.columns.iter().map(kept).collect();
        let rows = batch(&self.live, known)?;
        self.live.apply(ChangeBatch { rows, ops: vec![Op::Update; count], unchanged }).await?;
        Ok(())
    }

    /// Removes letters that nothing happened to since a moment, some of them at once: how many, and how many of those
    /// waited to be mended.
    pub(crate) async fn expire(&self, lake: &Lake, before_us: i64) -> Result<(u64, u64), TopicError> {
        let wanted = ["id", "sink", "status", "replayed_at", "discarded_at"];
        let mut rows = lake.read(&self.live.view(), &wanted, Only::before("last_seen", before_us)).await?;
        let (mut old, mut waited) = (Vec::new(), 0);
        while let Some(batch) = rows.next().await?.filter(|_| old.len() < EXPIRED_MAX) {
            let [id, sink, status, replayed, discarded] = batch.columns() else { break };
            let Some(id) = id.as_primitive_opt::<Int64Type>() else { break };
            for row in 0..batch.num_rows() {
                let settled = [replayed, discarded].into_iter().filter_map(|at| instant(at, row)).max();
                let Some(sink) = text::value(sink, row) else { continue };
                if settled.is_none_or(|at| at < before_us) {
                    waited += u64::from(text::value(status, row) == Some(DeadStatus::Dead.word()));
                    old.push((u64_from_signed(id.value(row)), sink.to_owned()));
                }
            }
        }
        for some in old.chunks(ROWS_MAX) {
            let rows = batch(&self.live, keys(some))?;
            let ops = vec![Op::Delete; some.len()];
            self.live.apply(ChangeBatch { rows, ops, unchanged: Vec::new() }).await?;
        }
        Ok((u64_from(old.len()), waited))
    }

    /// Shows what was written.
    pub(crate) fn show(&self, next: u64) {
        self.set.publish_behind(&self.live, Lsn(next));
    }

    /// Where letters of these ids stand now, written ones included.
    pub(crate) async fn standing(
        &self,
        lake: &Lake,
        ids: &[u64],
    ) -> Result<HashMap<(u64, String), Standing>, TopicError> {
        let (Some(least), Some(most)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashMap::new()) };
        let wanted = ["id", "sink", "status", OFFSET, "first_seen"];
        let filter = Only::between("id", i64_from(*least), i64_from(*most));
        let mut found = HashMap::new();
        let mut rows = lake.read(&self.live.view(), &wanted, filter).await?;
        while let Some(batch) = rows.next().await? {
            standing_of(&batch, &mut found);
        }
        Ok(found)
    }
}

/// The columns of the key.
fn keys(letters: &[(u64, String)]) -> HashMap<&'static str, ArrayRef> {
    let ids: ArrayRef = Arc::new(letters.iter().map(|(id, _)| i64_from(*id)).collect::<Int64Array>());
    let sinks: ArrayRef = Arc::new(letters.iter().map(|(_, sink)| Some(sink.as_str())).collect::<StringArray>());
    HashMap::from([("id", ids), ("sink", sinks)])
}

/// Microseconds of a row of instants.
fn instant(array: &ArrayRef, row: usize) -> Option<i64> {
    let array = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    array.is_valid(row).then(|| array.value(row))
}

fn standing_of(rows: &RecordBatch, found: &mut HashMap<(u64, String), Standing>) {
    let [id, sink, status, by, first] = rows.columns() else { return };
    let (Some(id), Some(by)) = (id.as_primitive_opt::<Int64Type>(), by.as_primitive_opt::<Int64Type>()) else { return };
    for row in 0..rows.num_rows() {
        let (Some(sink), Some(status)) = (text::value(sink, row), text::value(status, row)) else { continue };
        let standing = Standing {
            dead: status == DeadStatus::Dead.word(),
            by: u64_from_signed(by.value(row)),
            first_seen: instant(first, row),
        };
        found.insert((u64_from_signed(id.value(row)), sink.to_owned()), standing);
    }
}

/// A batch with the table's columns; those that are not given are null.
fn batch(live: &LiveTable, mut given: HashMap<&str, ArrayRef>) -> Result<RecordBatch, TopicError> {
    let view = live.table().view();
    let rows = given.values().next().map_or(0, Array::len);
    let arrays = view.columns.iter().map(|column| {
        given.remove(column.name.as_str()).unwrap_or_else(|| arrow::array::new_null_array(&column.data_type, rows))
    });
    let arrays = arrays.collect();
    RecordBatch::try_new(Arc::clone(&view.schema), arrays).map_err(|error| TopicError::Lake(error.into()))
}

fn arrays(letters: &[DeadLetter]) -> HashMap<&'static str, ArrayRef> {
    let texts = |value: fn(&DeadLetter) -> Option<&str>| -> ArrayRef {
        Arc::new(letters.iter().map(value).collect::<StringArray>())
    };
    let numbers =
        |value: fn(&DeadLetter) -> i64| -> ArrayRef { Arc::new(letters.iter().map(value).collect::<Int64Array>()) };
    let instants = |value: fn(&DeadLetter) -> i64| -> ArrayRef {
        let values: Vec<i64> = letters.iter().map(value).collect();
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    let attributes: StringArray = letters.iter().map(|letter| Some(text::attributes(&letter.event))).collect();
    HashMap::from([
        ("id", numbers(|letter| i64_from(letter.id))),
        ("event_id", texts(|letter| letter.event_id.as_deref())),
        ("sink", texts(|letter| Some(&letter.sink))),
        ("reason", texts(|letter| Some(&letter.reason))),
        ("path", texts(|letter| Some(&letter.fault.path))),
        ("expected", texts(|letter| Some(&letter.fault.expected))),
        ("got", texts(|letter| Some(&letter.fault.got))),
        ("schema_revision", numbers(|letter| i64::from(letter.revision))),
        ("data", Arc::new(letters.iter().map(|letter| Some(&letter.event.data[..])).collect::<BinaryArray>())),
        ("attributes", Arc::new(attributes)),
        ("ordering_key", texts(|letter| Some(letter.event.ordering_key()))),
        ("first_seen", instants(|letter| letter.first_seen.unwrap_or(letter.event.time_us))),
        ("last_seen", instants(|letter| letter.event.time_us)),
        ("attempts", numbers(|letter| letter.attempts)),
        ("status", texts(|_| Some(DeadStatus::Dead.word()))),
        (OFFSET, numbers(|letter| i64_from(letter.event.offset))),
    ])
}
