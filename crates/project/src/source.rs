//! `sources/*.toml`: the databases that are kept in step.
//!
//! Owns: [`Source`], its settings and the dataset its tables go to. Never connects.
//! Read next: [`crate::selection`] for include and exclude.

use std::{collections::BTreeMap, time::Duration};

use naru_base::{Place, Secret, TableId};

use crate::{
    measure::HoursWindow,
    mistake::Mistake,
    names,
    node::Node,
    section::{Reading, Section, Text, nearest},
    selection::{Pattern, Selection},
};

/// Connections one copy may use; a source's connection slots are the company's.
const COPY_PARALLELISM_MAX: u64 = 16;

/// One file of `sources/`.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's name without `.toml`.
    pub name: String,
    /// Where the file begins, for problems about the source as a whole.
    pub place: Place,
    /// Base of its datasets: `dataset = "…"`, else the name.
    pub dataset: String,
    /// What it is.
    pub kind: SourceKind,
}

/// Kinds of sources that are built.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// A PostgreSQL database, mirrored by change capture.
    Postgres(Box<PostgresSource>),
}

/// Settings of `kind = "postgres"`.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    /// `postgres://user:password@host:port/database`, expanded. Empty only beside a problem.
    pub url: Secret,
    /// `url` as it is written, with its variables and secret files unexpanded: what may be kept to read it again.
    pub url_written: String,
    /// Where `url` is written.
    pub url_place: Place,
    /// `include` and `exclude`.
    pub selection: Selection,
    /// Which publications naru makes. Default: tables by name.
    pub publication: Publication,
    /// Whether naru may create an event trigger that announces DDL. Default true; preflight says when it cannot.
    pub event_trigger: bool,
    /// The owner accepts a source whose `max_slot_wal_keep_size` is unbounded. Default false.
    pub wal_unbounded_accepted: bool,
    /// Overrides `[lake] flush_interval` for this source's tables.
    pub flush_interval: Option<Duration>,
    /// `[copy]`.
    pub copy: CopySettings,
    /// `[tables."schema.table"]`, keyed by schema and table.
    pub tables: BTreeMap<(String, String), TableSettings>,
}

/// Which publications naru makes in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// Two publications that list tables by name, so that no keyless table ever refuses an UPDATE.
    ByTable,
    /// FOR ALL TABLES: a keyless table then refuses UPDATE and DELETE. Only when the owner writes so.
    AllTables,
}

/// How fast and when tables are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySettings {
    /// Connections that copy at once. Default 2.
    pub parallelism: usize,
    /// Rows a second over all connections. Default unlimited.
    pub rows_per_second: Option<u64>,
    /// Hours of the day, in the project's zone, in which copies run. Default always.
    pub hours: Option<HoursWindow>,
}

impl Default for CopySettings {
    fn default() -> Self {
        Self { parallelism: 2, rows_per_second: None, hours: None }
    }
}

/// Settings of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSettings {
    /// `false` for readers that do not know deletion vectors: changed files are rewritten instead. Default true.
    pub deletion_vectors: bool,
}

impl Default for TableSettings {
    fn default() -> Self {
        Self { deletion_vectors: true }
    }
}

impl PostgresSource {
    /// The settings of a table, defaults where none are written.
    pub fn table(&self, schema: &str, table: &str) -> TableSettings {
        self.tables.get(&(names::nfc(schema), names::nfc(table))).copied().unwrap_or_default()
    }
}

impl Source {
    /// The dataset of a schema: the base for PostgreSQL's `public`, `<base>_<schema>` otherwise.
    pub fn dataset_of(&self, schema: &str) -> String {
        match &self.kind {
            SourceKind::Postgres(_) if schema == "public" => self.dataset.clone(),
            SourceKind::Postgres(_) => format!("{}_{}", self.dataset, names::nfc(schema)),
        }
    }

    /// The name in SQL of a table of this source.
    pub fn table_id(&self, schema: &str, table: &str) -> TableId {
        TableId::new(self.dataset_of(schema), names::nfc(table))
    }

    /// Its PostgreSQL settings.
    pub fn postgres(&self) -> Option<&PostgresSource> {
        match &self.kind {
            SourceKind::Postgres(postgres) => Some(postgres),
        }
    }
}

/// Kinds the design names, with the issue each comes with.
const KINDS_TO_COME: [(&str, &str); 5] = [
    ("mysql", "the sync issue"),
    ("http", "the sources issue"),
    ("files", "the sources issue"),
    ("sheets", "the sources issue"),
    ("command", "the sources issue"),
];

/// Reads one file of `sources/`; `None` when its kind is not known or not built.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node, name: String) -> Option<Source> {
    let mut file = Section::open(reading, &name, format!("source \"{name}\""), root)?;
    let kind = file.required(reading, "kind", "kind = \"postgres\"").and_then(|node| reading.text("kind", node));
    let built = match kind.as_ref().map(|kind| kind_of(reading, kind)) {
        Some(Kind::Postgres) => true,
        // The file has keys that nobody knows yet.
        Some(Kind::ToCome) => return None,
        // Most likely a slip: what else is wrong with the file is said too.
        Some(Kind::Unknown) | None => false,
    };
    let place = reading.text.place(0);
    let dataset = read_dataset(reading, &mut file, &name);
    let (url, url_written, url_place) = read_url(reading, &mut file);
    let postgres = PostgresSource {
        url,
        url_written,
        url_place,
        selection: Selection {
            include: read_patterns(reading, &mut file, "include"),
            exclude: read_patterns(reading, &mut file, "exclude"),
        },
        publication: file
            .word(reading, "publication", &[("by_table", Publication::ByTable), ("all_tables", Publication::AllTables)])
            .unwrap_or(Publication::ByTable),
        event_trigger: file.boolean(reading, "event_trigger").unwrap_or(true),
        wal_unbounded_accepted: file
            .word(reading, "wal_unbounded", &[("refused", false), ("accepted", true)])
            .unwrap_or(false),
        flush_interval: file.duration(reading, "flush_interval", Duration::from_millis(100)),
        copy: file.section(reading, "copy", "[copy]").map(|copy| read_copy(reading, copy)).unwrap_or_default(),
        tables: file.section(reading, "tables", "[tables]").map(|t| read_tables(reading, t)).unwrap_or_default(),
    };
    file.finish(reading);
    built.then_some(Source { name, place, dataset, kind: SourceKind::Postgres(Box::new(postgres)) })
}

/// What the word behind `kind` is.
enum Kind {
    Postgres,
    ToCome,
    Unknown,
}

/// Reads the kind; one that is not built is a mistake.
fn kind_of(reading: &mut Reading<'_>, kind: &Text) -> Kind {
    if kind.value == "postgres" {
        return Kind::Postgres;
    }
    let Some((word, issue)) = KINDS_TO_COME.iter().find(|(word, _)| *word == kind.value) else {
        reading.add(&kind.span, unknown_kind(kind));
        return Kind::Unknown;
    };
    let what = format!("sources of kind \"{word}\"");
    let instead = format!("They come with {issue}; built is \"postgres\".");
    reading.add(&kind.span, Mistake::NotBuilt { what, instead });
    Kind::ToCome
}

fn unknown_kind(kind: &Text) -> Mistake {
    let known = KINDS_TO_COME.iter().map(|(word, _)| *word).chain(["postgres"]);
    let hint = match nearest(&kind.raw, known) {
        Some(word) => format!("Did you mean \"{word}\"?"),
        None => "Built is \"postgres\"; to come are mysql, http, files, sheets and command.".to_owned(),
    };
    let wanted = "a known kind of source".to_owned();
    Mistake::BadValue { key: "kind".to_owned(), wanted, why: None, hint: Some(hint) }
}

fn read_dataset(reading: &mut Reading<'_>, file: &mut Section<'_>, name: &str) -> String {
    let Some(text) = file.text(reading, "dataset") else {
        if let Err(mistake) = names::checked_dataset(name) {
            reading.add(&(0..0), mistake);
        }
        return name.to_owned();
    };
    match names::checked_dataset(&text.value) {
        Ok(dataset) => dataset,
        Err(mistake) => {
            reading.bad_name("dataset", &text, mistake);
            name.to_owned()
        }
    }
}

/// The URL, whose text never reaches a message.
fn read_url(reading: &mut Reading<'_>, file: &mut Section<'_>) -> (Secret, String, Place) {
    let example = "url = \"${SHOP_URL}\"";
    let nothing = |place| (Secret::default(), String::new(), place);
    let Some(node) = file.required(reading, "url", example) else { return nothing(reading.text.place(0)) };
    let place = reading.place(&node.span);
    let Some(text) = reading.text("url", node) else { return nothing(place) };
    let secret_in_file = has_literal_password(&text.raw);
    if secret_in_file {
        reading.add(&text.span, Mistake::SecretInFile { key: "url".to_owned() });
    }
    if !text.value.starts_with("postgres://") && !text.value.starts_with("postgresql://") {
        let hint = Some("It has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE.".to_owned());
        let wanted = "a PostgreSQL URL".to_owned();
        reading.add(&text.span, Mistake::BadValue { key: "url".to_owned(), wanted, why: None, hint });
    }
    let written = if secret_in_file { String::new() } else { text.raw };
    (Secret::new(text.value), written, place)
}

/// Whether `scheme://user:password@` or `?password=` stands in the file with a password that is not a variable.
fn has_literal_password(raw: &str) -> bool {
    let Some((_, rest)) = raw.split_once("://") else { return false };
    let parameter = without_variables(raw);
    let parameter = parameter.split_once(['?', '&']).and_then(|(_, tail)| tail.split_once("password="));
    if parameter.is_some_and(|(_, value)| !value.is_empty() && !value.starts_with('&')) {
        return true;
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    // `${file:/run/x}` has a slash and a colon of its own; look at what is left without variables.
    let Some((user, _)) = (if authority.contains("${") { rest.rsplit_once('@') } else { authority.rsplit_once('@') })
    else {
        return false;
    };
    without_variables(user).split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

fn without_variables(raw: &str) -> String {
    let mut plain = String::new();
    let mut left = raw;
    while let Some((before, after)) = left.split_once("${") {
        plain.push_str(before);
        left = after.split_once('}').map_or("", |(_, tail)| tail);
    }
    plain.push_str(left);
    plain
}

fn read_patterns(reading: &mut Reading<'_>, file: &mut Section<'_>, key: &'static str) -> Vec<Pattern> {
    let texts = file.texts(reading, key, false);
    let mut patterns = Vec::with_capacity(texts.len());
    for text in texts {
        match Pattern::parse(&text.value, reading.place(&text.span)) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => {
                reading.bad(key, "a pattern such as public.* or public.users.password_hash", &text, why);
            }
        }
    }
    patterns
}

fn read_copy(reading: &mut Reading<'_>, mut section: Section<'_>) -> CopySettings {
    let mut copy = CopySettings::default();
    if let Some(number) = section.integer(reading, "parallelism", 1..=COPY_PARALLELISM_MAX) {
        copy.parallelism = naru_base::number::usize_from(number);
    }
    copy.rows_per_second = section.integer(reading, "rows_per_second", 1..=1_000_000_000);
    copy.hours = section.parsed(reading, "hours", "hours such as \"22:00-06:00\"", HoursWindow::parse);
    section.finish(reading);
    copy
}

fn read_tables(reading: &mut Reading<'_>, section: Section<'_>) -> BTreeMap<(String, String), TableSettings> {
    let mut tables = BTreeMap::new();
    for entry in section.all() {
        let Some((schema, table)) = entry.key.split_once('.').filter(|(s, t)| !s.is_empty() && !t.is_empty()) else {
            let hint = Some("Write [tables.\"public.orders\"], with the quotes.".to_owned());
            let wanted = "a table's name".to_owned();
            reading.add(&entry.key_span, Mistake::BadValue { key: entry.key.clone(), wanted, why: None, hint });
            continue;
        };
        let Some(mut one) = Section::open(reading, &entry.key, format!("[tables.\"{}\"]", entry.key), &entry.node)
        else {
            continue;
        };
        let deletion_vectors = one.boolean(reading, "deletion_vectors").unwrap_or(true);
        one.finish(reading);
        tables.insert((names::nfc(schema), names::nfc(table)), TableSettings { deletion_vectors });
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_counts_as_written_only_when_it_is_not_a_variable() {
        for raw in [
            "postgres://u:pw@h/db",
            "postgres://${U}:pw@h/db",
            "postgres://u:pw${X}@h/db",
            "postgres://u@h/db?sslmode=require&password=pw",
        ] {
            assert!(has_literal_password(raw), "{raw}");
        }
        for raw in [
            "${URL}",
            "postgres://u@h/db",
            "postgres://u:${P}@h/db",
            "postgres://u:${file:/run/s:x}@h/db",
            "postgres://u@h/db?password=${P}&sslmode=require",
            "postgres://h:5432/db",
        ] {
            assert!(!has_literal_password(raw), "{raw}");
        }
    }
}
