//! `marts/**/*.sql`, `checks/*.sql` and `functions/*.sql`: SQL with a leading comment of options.
//!
//! Owns: [`Mart`], [`CheckFile`], [`FunctionFile`] and every option a mart has. Never parses SQL.
//! Read next: [`crate::check`] for the list of checks.

use std::{fmt, path::Path, str::FromStr as _, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use naru_base::TableId;

use crate::{
    check::{self, Check},
    mistake::{Mistake, Report},
    names,
    node::{Node, Value},
    section::{Reading, Section, nearest},
    text::{CommentEnd, SourceText, SqlFile},
    yaml_text,
    zone::Zone,
};

/// Attempts after the first that a mart may ask for.
const RETRIES_MAX: u64 = 10;

/// One file of `marts/`.
#[derive(Debug, Clone)]
pub struct Mart {
    /// Its table.
    pub id: TableId,
    /// Its text; the SELECT is [`SqlFile::body`].
    pub sql: SqlFile,
    /// How it is stored.
    pub kind: MartKind,
    /// When it runs by itself; `None`: only when something asks.
    pub schedule: Option<Schedule>,
    /// `limits`.
    pub limits: MartLimits,
    /// `checks`, in the order of the file.
    pub checks: Vec<Check>,
    /// For the catalog.
    pub description: Option<String>,
    /// For the catalog and alerts.
    pub owner: Option<String>,
    /// Descriptions of columns, in the order of the file.
    pub columns: Vec<(String, String)>,
}

/// How a mart is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MartKind {
    /// Rebuilt whole, replaced in one commit.
    Table,
    /// Only its SQL.
    View,
}

/// `limits` of a mart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MartLimits {
    /// One attempt is cancelled after this.
    pub timeout: Option<Duration>,
    /// Attempts after the first. Default 0.
    pub retries: u32,
    /// Memory in bytes before it spills.
    pub memory: Option<u64>,
}

/// A cron schedule in the project's time zone.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    cron: croner::Cron,
    zone: Zone,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?} {})", self.text, self.zone.name)
    }
}

impl Schedule {
    /// Parses five-field cron; the error is the library's reason.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, String> {
        if text.split_whitespace().count() > 5 {
            return Err("it has more than the five fields minute, hour, day, month, weekday".to_owned());
        }
        let cron = croner::Cron::from_str(text).map_err(|error| error.to_string())?;
        let schedule = Self { text: text.to_owned(), cron, zone: zone.clone() };
        if schedule.next_after(Timestamp::UNIX_EPOCH).is_none() {
            return Err("no day matches it".to_owned());
        }
        Ok(schedule)
    }

    /// The schedule as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone whose clock it follows.
    pub fn zone(&self) -> &TimeZone {
        &self.zone.zone
    }

    /// The first moment after `moment`. A time that the clock skips runs when the skipped hour ends; one that it
    /// repeats runs once.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let local = moment.to_zoned(self.zone.zone.clone());
        self.cron.find_next_occurrence(&local, false).ok().map(|next| next.timestamp())
    }
}

/// One file of `checks/`: a query that must return no rows, over staged rows of the marts it reads.
#[derive(Debug, Clone)]
pub struct CheckFile {
    /// The file's name without `.sql`.
    pub name: String,
    /// Its text.
    pub sql: SqlFile,
    /// `severity: warn` makes it a warning; default block.
    pub severity: check::Severity,
    /// For people.
    pub description: Option<String>,
}

/// One file of `functions/`: `CREATE FUNCTION` statements.
#[derive(Debug, Clone)]
pub struct FunctionFile {
    /// The file's name without `.sql`.
    pub name: String,
    /// Its text.
    pub sql: SqlFile,
    /// For people.
    pub description: Option<String>,
}

/// Reads a mart; `below_marts` is its path below `marts/`. A mart with mistakes still comes back, so that others
/// that read it do not look wrong; `None` when it has no name.
pub(crate) fn read(
    text: SourceText,
    below_marts: &Path,
    zone: &Zone,
    check_files: &[String],
    report: &mut Report,
) -> Option<Mart> {
    let id = match names::mart_id(below_marts) {
        Ok(id) => Some(id),
        Err(mistake) => {
            report.add(&text, &(0..0), mistake);
            None
        }
    };
    let (sql, options) = open(text, "mart", report);
    let mut mart = Mart {
        id: id.clone().unwrap_or_else(|| TableId::new("", names::stem(below_marts))),
        kind: MartKind::Table,
        schedule: None,
        limits: MartLimits::default(),
        checks: Vec::new(),
        description: None,
        owner: None,
        columns: Vec::new(),
        sql,
    };
    if let Some(options) = options {
        let source = mart.sql.source.clone();
        let mut reading = Reading { text: &source, root: Path::new(""), environment: None, report };
        if let Some(section) = Section::open(&mut reading, "naru", "this mart's options", &options) {
            read_options(&mut reading, section, zone, check_files, &mut mart);
        }
    }
    id.map(|_| mart)
}

/// Reads a check file.
pub(crate) fn read_check(text: SourceText, report: &mut Report) -> CheckFile {
    let name = names::stem(text.file());
    let (sql, options) = open(text, "check", report);
    let mut check = CheckFile { name, sql, severity: check::Severity::Block, description: None };
    if let Some(options) = options {
        let source = check.sql.source.clone();
        let mut reading = Reading { text: &source, root: Path::new(""), environment: None, report };
        if let Some(mut section) = Section::open(&mut reading, "naru", "this check's options", &options) {
            let words = [("block", check::Severity::Block), ("warn", check::Severity::Warn)];
            check.severity = section.word(&mut reading, "severity", &words).unwrap_or(check::Severity::Block);
            check.description = section.text(&mut reading, "description").map(|text| text.value);
            section.finish(&mut reading);
        }
    }
    check
}

/// Reads a function file.
pub(crate) fn read_function(text: SourceText, report: &mut Report) -> FunctionFile {
    let name = names::stem(text.file());
    let (sql, options) = open(text, "function", report);
    let mut function = FunctionFile { name, sql, description: None };
    if let Some(options) = options {
        let source = function.sql.source.clone();
        let mut reading = Reading { text: &source, root: Path::new(""), environment: None, report };
        if let Some(mut section) = Section::open(&mut reading, "naru", "this file's options", &options) {
            function.description = section.text(&mut reading, "description").map(|text| text.value);
            section.finish(&mut reading);
        }
    }
    function
}

/// Splits a file and parses its comment.
fn open(text: SourceText, what: &'static str, report: &mut Report) -> (SqlFile, Option<Node>) {
    let (sql, end) = SqlFile::split(text);
    if let CommentEnd::Missing(at) = end {
        let hint = Some("Close the comment with */ before the SQL.".to_owned());
        let why = "the comment of options never ends".to_owned();
        report.add(&sql.source, &(at..at), Mistake::Syntax { format: "YAML", why, hint });
        return (sql, None);
    }
    if !has_sql(sql.body()) {
        let at = sql.source.text().len();
        report.add(&sql.source, &(at..at), Mistake::NoSql { what });
    }
    let options = sql
        .options()
        .and_then(|(yaml, start)| yaml_text::parse(&sql.source, yaml, start, comment_cut_short(yaml), report));
    (sql, options)
}

/// Whether anything but blanks, comments and semicolons is there.
fn has_sql(body: &str) -> bool {
    let mut rest = body.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    loop {
        let after = if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return !rest.is_empty();
        };
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
}

/// A hint for the trap that `*/5` in a schedule ends the SQL comment around it.
fn comment_cut_short(yaml: &str) -> Option<String> {
    let last = yaml.lines().last().unwrap_or_default();
    let open_quote = last.matches('"').count() % 2 == 1 || last.matches('\'').count() % 2 == 1;
    let bare_schedule = last.trim_start().starts_with("schedule:") && !yaml.ends_with('\n');
    (open_quote || bare_schedule).then(|| {
        "A `*/` inside the options ends the comment. Write every five minutes as \"0-59/5 * * * *\".".to_owned()
    })
}

fn read_options(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
    zone: &Zone,
    check_files: &[String],
    mart: &mut Mart,
) {
    if let Some(node) = section.node("kind") {
        mart.kind = read_kind(reading, node);
    }
    if let Some(text) = section.text(reading, "schedule") {
        match Schedule::parse(&text.value, zone) {
            Ok(schedule) => mart.schedule = Some(schedule),
            Err(why) => reading.bad("schedule", "a cron schedule such as \"0 6 * * *\"", &text, why),
        }
    }
    if let Some(limits) = section.section(reading, "limits", "limits") {
        mart.limits = read_limits(reading, limits);
    }
    mart.description = section.text(reading, "description").map(|text| text.value);
    mart.owner = section.text(reading, "owner").map(|text| text.value);
    if let Some(node) = section.node("columns") {
        mart.columns = read_columns(reading, node);
    }
    if let Some(node) = section.node("checks") {
        mart.checks = check::read(reading, node, check_files);
    }
    section.finish(reading);
}

/// Kinds the contract names beyond the two that are built.
const KINDS_TO_COME: [&str; 7] = ["by_time", "by_partition", "by_key", "history", "append", "seed", "command"];

fn read_kind(reading: &mut Reading<'_>, node: &Node) -> MartKind {
    let (word, span) = match &node.value {
        Value::Text(word) => (word.clone(), node.span.clone()),
        Value::Table(entries) => match entries.first() {
            Some(entry) => (entry.key.clone(), entry.key_span.clone()),
            None => (String::new(), node.span.clone()),
        },
        _ => {
            reading.wrong_type("kind", "table, view or a table of options", node);
            return MartKind::Table;
        }
    };
    match (word.as_str(), &node.value) {
        ("table", Value::Text(_)) => return MartKind::Table,
        ("view", Value::Text(_)) => return MartKind::View,
        _ => {}
    }
    let mistake = if KINDS_TO_COME.contains(&word.as_str()) {
        Mistake::NotBuilt {
            what: format!("marts of kind \"{word}\""),
            instead: "It comes with the flow issue; built are `kind: table` and `kind: view`.".to_owned(),
        }
    } else {
        let known = KINDS_TO_COME.into_iter().chain(["table", "view"]);
        Mistake::BadValue {
            key: "kind".to_owned(),
            wanted: "a kind of mart".to_owned(),
            why: None,
            hint: Some(match nearest(&word, known) {
                Some(near) => format!("Did you mean {near}?"),
                None => "Write `kind: table` or `kind: view`.".to_owned(),
            }),
        }
    };
    reading.add(&span, mistake);
    MartKind::Table
}

fn read_limits(reading: &mut Reading<'_>, mut section: Section<'_>) -> MartLimits {
    let limits = MartLimits {
        timeout: section.duration(reading, "timeout", Duration::from_secs(1)),
        retries: section
            .integer(reading, "retries", 0..=RETRIES_MAX)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0),
        memory: section.bytes(reading, "memory", 16_000_000),
    };
    section.finish(reading);
    limits
}

fn read_columns(reading: &mut Reading<'_>, node: &Node) -> Vec<(String, String)> {
    let Some(section) = Section::open(reading, "columns", "columns", node) else { return Vec::new() };
    section
        .all()
        .iter()
        .filter_map(|entry| {
            let text = reading.text(&entry.key, &entry.node)?;
            Some((names::nfc(&entry.key), text.value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_follows_the_projects_clock() {
        let seoul = Zone::find("Asia/Seoul").unwrap();
        let schedule = Schedule::parse("0 6 * * *", &seoul).unwrap();
        let next = schedule.next_after("2026-11-22T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(next.to_string(), "2026-11-22T21:00:00Z");
        assert_eq!(schedule.next_after(next).unwrap().to_string(), "2026-11-23T21:00:00Z");
        for text in ["", "0 6 * *", "61 * * * *", "0 0 30 2 *", "0 0 6 * * *", "daily"] {
            assert!(Schedule::parse(text, &seoul).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_runs_once_on_days_when_the_clock_changes() {
        let new_york = Zone::find("America/New_York").unwrap();
        let schedule = Schedule::parse("30 2 * * *", &new_york).unwrap();
        let after = |moment: &str| schedule.next_after(moment.parse().unwrap()).unwrap().to_string();
        // 02:30 does not exist on 8 March: the clock goes from 02:00 to 03:00 EDT (07:00 UTC).
        assert_eq!(after("2026-03-08T05:00:00Z"), "2026-03-08T07:00:00Z");
        assert_eq!(after("2026-03-08T07:00:00Z"), "2026-03-09T06:30:00Z");
        // 01:30 exists twice on 1 November: it runs the first time.
        let schedule = Schedule::parse("30 1 * * *", &new_york).unwrap();
        let after = |moment: &str| schedule.next_after(moment.parse().unwrap()).unwrap().to_string();
        assert_eq!(after("2026-11-01T04:00:00Z"), "2026-11-01T05:30:00Z");
        assert_eq!(after("2026-11-01T05:30:00Z"), "2026-11-02T06:30:00Z");
    }

    #[test]
    fn comments_and_blanks_are_no_sql() {
        for body in ["", " ;\n", "-- x", "/* x */ ; # y\n"] {
            assert!(!has_sql(body), "{body}");
        }
        assert!(has_sql("-- x\nSELECT 1") && has_sql("/* a */ WITH"));
    }
}
