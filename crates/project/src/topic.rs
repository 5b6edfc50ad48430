//! `topics/*.toml`: event topics as typed values, so that mistakes in them show before topics are served.
//!
//! Owns: [`Topic`] and the text of column types. Never stores an event.

use std::{collections::HashSet, time::Duration};

use naru_base::Place;

use crate::{
    forward::{self, Forward},
    intake::{self, Protocol},
    mistake::Mistake,
    names,
    node::{Entry, Node, Value},
    section::{Reading, Section, nearest},
    sqs::{self, SqsInput},
};

/// Columns that `write_metadata = true` adds, named as Pub/Sub names them.
pub const METADATA_COLUMNS: [&str; 4] = ["message_id", "publish_time", "attributes", "ordering_key"];
/// Names that belong to naru's own columns.
const OWN_PREFIXES: [&str; 2] = ["_naru_", "_day_"];
/// The column of what no column takes.
const EXTRA: &str = "_extra";
/// Columns that a table is clustered by, as in BigQuery.
const CLUSTER_MAX: usize = 4;
/// Depth of ARRAY and STRUCT in a column's type.
const TYPE_DEPTH_MAX: usize = 16;

/// One file of `topics/`.
#[derive(Debug, Clone)]
pub struct Topic {
    /// The file's name without `.toml`; the table is `topics.<name>`.
    pub name: String,
    /// Where the file begins.
    pub place: Place,
    /// `day(at)`; default by ingestion day.
    pub partition: Option<TopicPartition>,
    /// Columns by which rows lie together once files are joined.
    pub cluster: Vec<String>,
    /// How long rows are kept; default forever.
    pub retention: Option<Duration>,
    /// How long dead letters are kept after the last that happened to them; default forever.
    pub dead_retention: Option<Duration>,
    /// How long events stay on the log at least, whoever has read them; default one day.
    pub log_retention: Option<Duration>,
    /// Which events are the same event; default none.
    pub dedup: Option<Dedup>,
    /// What happens to fields that are no column. Default `extra`.
    pub unknown: Unknown,
    /// Protocols whose events come here when the sender names no topic.
    pub from: Vec<Protocol>,
    /// When an unknown field becomes a column; only with `unknown = "evolve"`.
    pub evolve: Evolve,
    /// Whether the columns that Pub/Sub's own tables have are added: `message_id`, `publish_time`, `attributes`,
    /// `ordering_key`.
    pub write_metadata: bool,
    /// How long rows wait for a file of the table; they are visible before. Default that of `[lake]`.
    pub flush_interval: Option<Duration>,
    /// An event whose partition column is further ahead of the clock goes to the dead letters. Default one day.
    pub ahead_max: Duration,
    /// Where events go on to, in the order of the file.
    pub forwards: Vec<Forward>,
    /// A queue whose messages become events.
    pub from_sqs: Option<SqsInput>,
    /// Columns in the order of the file.
    pub columns: Vec<TopicColumn>,
}

/// When an unknown field becomes a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evolve {
    /// Events that have it with one same type.
    pub after: u32,
    /// Columns of the table beyond which none is added.
    pub most: u32,
}

impl Default for Evolve {
    fn default() -> Self {
        Self { after: 20, most: 500 }
    }
}

/// `grain(column)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPartition {
    /// Length of a partition.
    pub grain: Grain,
    /// A DATE, DATETIME or TIMESTAMP column.
    pub column: String,
}

/// Length of a partition in the project's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// One hour.
    Hour,
    /// One day.
    Day,
    /// One month.
    Month,
}

/// Events with the same key within the window are one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// The column.
    pub key: String,
    /// How long the key is remembered.
    pub window: Duration,
}

/// What happens to fields that are no column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They become columns.
    Evolve,
    /// They go into one JSON column.
    Extra,
    /// The event goes to the dead letters.
    Reject,
}

/// One column of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicColumn {
    /// Its name.
    pub name: String,
    /// Its GoogleSQL type in upper case, for example `ARRAY<STRING>`.
    pub type_name: String,
    /// Where it stands in the file.
    pub place: Place,
    /// Whether an event without it goes to the dead letters.
    pub required: bool,
    /// For the catalog.
    pub description: Option<String>,
}

/// Reads one file of `topics/`.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node, name: String) -> Option<Topic> {
    let mut file = Section::open(reading, &name, format!("topic \"{name}\""), root)?;
    if let Err(mistake) = names::checked(&name, "topic") {
        reading.add(&(0..0), mistake);
    }
    let write_metadata = file.boolean(reading, "write_metadata").unwrap_or(false);
    let columns = match file.required(reading, "columns", "[columns]") {
        Some(node) => read_columns(reading, node, if write_metadata { &METADATA_COLUMNS } else { &[] }),
        None => Vec::new(),
    };
    let partition = read_partition(reading, &mut file, &columns);
    let cluster = read_cluster(reading, &mut file, &columns);
    let dedup = file.section(reading, "dedup", "dedup").and_then(|section| read_dedup(reading, section, &columns));
    let unknown = [("evolve", Unknown::Evolve), ("extra", Unknown::Extra), ("reject", Unknown::Reject)];
    let evolve = file.section(reading, "evolve", "evolve").map(|section| read_evolve(reading, section));
    let forwards = file.section(reading, "forwards", "[forwards]");
    let forwards = forwards.map(|section| forward::read(reading, section, &columns)).unwrap_or_default();
    let from_sqs = file.section(reading, "from_sqs", "[from_sqs]").and_then(|section| sqs::read(reading, section));
    let topic = Topic {
        forwards,
        from_sqs,
        partition,
        cluster,
        dedup,
        retention: file.duration(reading, "retention", Duration::from_hours(1)),
        dead_retention: read_retention(reading, &mut file, "dead", "[dead]", Duration::from_hours(1)),
        log_retention: read_retention(reading, &mut file, "log", "[log]", Duration::from_mins(10)),
        from: intake::read_from(reading, &mut file),
        unknown: file.word(reading, "unknown", &unknown).unwrap_or(Unknown::Extra),
        evolve: evolve.unwrap_or_default(),
        write_metadata,
        flush_interval: file.duration(reading, "flush_interval", Duration::from_millis(100)),
        ahead_max: file.duration(reading, "ahead_max", Duration::from_secs(1)).unwrap_or(Duration::from_hours(24)),
        columns,
        place: reading.text.place(0),
        name,
    };
    file.finish(reading);
    Some(topic)
}

/// Columns by which rows lie together.
fn read_cluster(reading: &mut Reading<'_>, file: &mut Section<'_>, columns: &[TopicColumn]) -> Vec<String> {
    let mut cluster: Vec<String> = Vec::new();
    for text in file.texts(reading, "cluster", false) {
        known_column(reading, "cluster", &text.span, &text.value, columns);
        let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(&text.value));
        let why = match column.map(|column| column.type_name.as_str()) {
            Some("FLOAT64" | "JSON") => Some("rows do not lie together by FLOAT64 or JSON"),
            Some(name) if name.starts_with("ARRAY") || name.starts_with("STRUCT") => {
                Some("rows do not lie together by ARRAY or STRUCT")
            }
            _ if cluster.iter().any(|known| known.eq_ignore_ascii_case(&text.value)) => Some("it stands twice"),
            _ if cluster.len() >= CLUSTER_MAX => Some("four columns are the most"),
            _ => None,
        };
        match why {
            Some(why) => reading.bad("cluster", "a list of columns to cluster by", &text, why.to_owned()),
            None => cluster.push(text.value),
        }
    }
    cluster
}

/// `KEY = { retention = "90d" }`.
fn read_retention(
    reading: &mut Reading<'_>,
    file: &mut Section<'_>,
    key: &'static str,
    name: &str,
    least: Duration,
) -> Option<Duration> {
    let mut section = file.section(reading, key, name)?;
    let retention = section.duration(reading, "retention", least);
    section.finish(reading);
    retention
}

fn read_evolve(reading: &mut Reading<'_>, mut section: Section<'_>) -> Evolve {
    let default = Evolve::default();
    let number = |found: Option<u64>| found.and_then(|number| u32::try_from(number).ok());
    let after = number(section.integer(reading, "after", 2..=1_000_000));
    let most = number(section.integer(reading, "most", 1..=10_000));
    section.finish(reading);
    Evolve { after: after.unwrap_or(default.after), most: most.unwrap_or(default.most) }
}

fn read_partition(
    reading: &mut Reading<'_>,
    file: &mut Section<'_>,
    columns: &[TopicColumn],
) -> Option<TopicPartition> {
    let text = file.text(reading, "partition")?;
    let partition = text.value.strip_suffix(')').and_then(|inner| inner.split_once('(')).and_then(|(grain, column)| {
        let grain = match grain.trim() {
            "hour" => Grain::Hour,
            "day" => Grain::Day,
            "month" => Grain::Month,
            _ => return None,
        };
        Some(TopicPartition { grain, column: names::nfc(column.trim()) })
    });
    let Some(partition) = partition else {
        let why = "it is hour, day or month with a column in parentheses".to_owned();
        reading.bad("partition", "a partition such as \"day(at)\"", &text, why);
        return None;
    };
    if partition.grain != Grain::Day {
        let what = "partitions of an hour or a month".to_owned();
        let instead = format!(
            "Write \"day({})\"; a query over a part of a day reads that part of its files only.",
            partition.column
        );
        reading.add(&text.span, Mistake::NotBuilt { what, instead });
    }
    known_column(reading, "partition", &text.span, &partition.column, columns);
    let type_name =
        columns.iter().find(|c| c.name.eq_ignore_ascii_case(&partition.column)).map(|c| c.type_name.as_str());
    if type_name.is_some_and(|name| !matches!(name, "DATE" | "DATETIME" | "TIMESTAMP")) {
        let why = "the column must be a DATE, DATETIME or TIMESTAMP".to_owned();
        reading.bad("partition", "over a time column", &text, why);
    }
    Some(partition)
}

fn read_dedup(reading: &mut Reading<'_>, mut section: Section<'_>, columns: &[TopicColumn]) -> Option<Dedup> {
    let key = section.required(reading, "key", "dedup = { key = \"event_id\", window = \"24h\" }");
    let key = key.and_then(|node| reading.text("key", node));
    if let Some(text) = &key {
        known_column(reading, "key", &text.span, &text.value, columns);
    }
    let window = section.duration(reading, "window", Duration::from_secs(1)).unwrap_or(Duration::from_hours(24));
    section.finish(reading);
    key.map(|text| Dedup { key: text.value, window })
}

/// Columns are not case-sensitive.
pub(crate) fn known_column(
    reading: &mut Reading<'_>,
    key: &str,
    span: &std::ops::Range<usize>,
    column: &str,
    columns: &[TopicColumn],
) {
    let column = names::nfc(column);
    if columns.is_empty() || columns.iter().any(|c| c.name.to_lowercase() == column.to_lowercase()) {
        return;
    }
    let hint =
        nearest(&column, columns.iter().map(|c| c.name.as_str())).map(|name| format!("Did you mean \"{name}\"?"));
    let wanted = "a column of this topic".to_owned();
    reading.add(span, Mistake::BadValue { key: key.to_owned(), wanted, why: None, hint });
}

fn read_columns(reading: &mut Reading<'_>, node: &Node, taken: &[&str]) -> Vec<TopicColumn> {
    let Some(section) = Section::open(reading, "columns", "[columns]", node) else { return Vec::new() };
    let mut columns: Vec<TopicColumn> = Vec::new();
    let mut seen = HashSet::new();
    for entry in section.all() {
        let Some(column) = read_column(reading, entry) else { continue };
        let added = taken.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
        if added || !seen.insert(column.name.to_lowercase()) {
            let why = if added { "write_metadata = true adds it" } else { "case does not count" };
            let section = format!("[columns] ({why})");
            reading.add(&entry.key_span, Mistake::DuplicateKey { key: column.name.clone(), section });
        }
        columns.push(column);
    }
    columns
}

/// `name = "TYPE"` or `name = { type = "TYPE", required = true, description = "…" }`.
fn read_column(reading: &mut Reading<'_>, entry: &Entry) -> Option<TopicColumn> {
    let name = names::nfc(&entry.key);
    let lower = name.to_lowercase();
    if name.is_empty() || lower == EXTRA || OWN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        reading.add(&entry.key_span, Mistake::BadName { name, what: "column" });
        return None;
    }
    let place = reading.place(&entry.key_span);
    if let Value::Text(_) = entry.node.value {
        let type_name = read_type(reading, &entry.node)?;
        return Some(TopicColumn { name, type_name, place, required: false, description: None });
    }
    let mut section = Section::open(reading, &entry.key, format!("column \"{}\"", entry.key), &entry.node)?;
    let type_node = section.required(reading, "type", "type = \"STRING\"");
    let type_name = type_node.and_then(|node| read_type(reading, node));
    let required = section.boolean(reading, "required").unwrap_or(false);
    let description = section.text(reading, "description").map(|text| text.value);
    section.finish(reading);
    type_name.map(|type_name| TopicColumn { name, type_name, place, required, description })
}

fn read_type(reading: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = reading.text("type", node)?;
    match type_name(&text.value) {
        Ok(name) => Some(name),
        Err(word) => {
            let hint = nearest(&word, SCALARS.into_iter().chain(ALIASES.map(|(alias, _)| alias))).map_or_else(
                || format!("Types are {}, ARRAY<…> and STRUCT<name TYPE, …>.", SCALARS.join(", ")),
                |n| format!("Did you mean {n}?"),
            );
            let wanted = "a GoogleSQL type".to_owned();
            let mistake = Mistake::BadValue { key: "type".to_owned(), wanted, why: None, hint: Some(hint) };
            reading.add(&text.span, mistake);
            None
        }
    }
}

const SCALARS: [&str; 12] = [
    "STRING",
    "INT64",
    "FLOAT64",
    "NUMERIC",
    "BIGNUMERIC",
    "BOOL",
    "BYTES",
    "DATE",
    "DATETIME",
    "TIME",
    "TIMESTAMP",
    "JSON",
];

const ALIASES: [(&str, &str); 9] = [
    ("INT", "INT64"),
    ("INTEGER", "INT64"),
    ("BIGINT", "INT64"),
    ("SMALLINT", "INT64"),
    ("TINYINT", "INT64"),
    ("FLOAT", "FLOAT64"),
    ("DECIMAL", "NUMERIC"),
    ("BIGDECIMAL", "BIGNUMERIC"),
    ("BOOLEAN", "BOOL"),
];

/// Brings a type into one form; the error is the word that is no type.
fn type_name(text: &str) -> Result<String, String> {
    let mut rest = text.trim();
    let name = parse_type(&mut rest, 0)?;
    if rest.trim().is_empty() { Ok(name) } else { Err(rest.trim().to_owned()) }
}

fn parse_type(rest: &mut &str, depth: usize) -> Result<String, String> {
    if depth > TYPE_DEPTH_MAX {
        return Err("too deep".to_owned());
    }
    let word = take_word(rest);
    let upper = word.to_ascii_uppercase();
    match upper.as_str() {
        "ARRAY" => {
            expect(rest, '<')?;
            let inner = parse_type(rest, depth + 1)?;
            expect(rest, '>')?;
            if inner.starts_with("ARRAY") { Err("ARRAY of ARRAY".to_owned()) } else { Ok(format!("ARRAY<{inner}>")) }
        }
        "STRUCT" => {
            expect(rest, '<')?;
            let mut fields = Vec::new();
            loop {
                let name = take_word(rest);
                if name.is_empty() {
                    return Err(rest.to_owned());
                }
                fields.push(format!("{} {}", names::nfc(name), parse_type(rest, depth + 1)?));
                if expect(rest, ',').is_err() {
                    break;
                }
            }
            expect(rest, '>')?;
            Ok(format!("STRUCT<{}>", fields.join(", ")))
        }
        _ => {
            let scalar = SCALARS.iter().find(|known| **known == upper).copied();
            let alias = || ALIASES.iter().find(|(alias, _)| *alias == upper).map(|(_, name)| *name);
            scalar.or_else(alias).map(str::to_owned).ok_or_else(|| word.to_owned())
        }
    }
}

fn take_word<'t>(rest: &mut &'t str) -> &'t str {
    let text = rest.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    *rest = after;
    word
}

fn expect(rest: &mut &str, letter: char) -> Result<(), String> {
    match rest.trim_start().strip_prefix(letter) {
        Some(after) => {
            *rest = after;
            Ok(())
        }
        None => Err(rest.to_owned()),
    }
}

/// Checks that are about all topics: `a__dead` is the dead letters of `a`.
pub(crate) fn dead_letters(name: &str) -> String {
    format!("{name}__dead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_into_one_form() {
        for (text, form) in [
            ("string", "STRING"),
            ("Integer", "INT64"),
            ("array < struct<a int64, 나이 STRING> >", "ARRAY<STRUCT<a INT64, 나이 STRING>>"),
        ] {
            assert_eq!(type_name(text).as_deref(), Ok(form), "{text}");
        }
        for text in
            ["", "TEXT", "ARRAY", "ARRAY<", "ARRAY<INT64", "ARRAY<ARRAY<INT64>>", "STRUCT<>", "INT64 x", "STRUCT<a>"]
        {
            assert!(type_name(text).is_err(), "{text}");
        }
        assert!(type_name(&"STRUCT<a ".repeat(9_999)).is_err());
    }
}
