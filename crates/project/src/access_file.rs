//! `access.toml`: groups, grants, closed tables; column tags and row filters are refused.
//!
//! Owns: its syntax, its mistakes with their places, and the refusal of rules that would not be enforced. Never decides
//! who may read; that is `access`. Never expands a variable: the text may come over the network.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use naru_base::{Place, Problem, TableId};

use crate::{
    environment::Environment,
    load::read_text,
    mistake::{Mistake, Report, whole},
    names::nfc,
    node::{Node, Value},
    section::{Reading, Section, Text, nearest},
    text::SourceText,
    toml_text,
};

/// The file.
pub const ACCESS_FILE: &str = "access.toml";

/// What is refused, because a rule that is written and would not be enforced is worse than none.
const NOT_BUILT: [(&str, &str); 2] = [("tags", "column tags"), ("filters", "row filters")];

/// Kinds of those who are granted something, as they stand before the colon.
const KINDS: [&str; 5] = ["domain", "group", "person", "service", "token"];

/// What may be done; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// See that it exists, its columns and its rows.
    View,
    /// Run, resume, replay and change it.
    Edit,
    /// Pause, resync, delete it, and say who may see it.
    Own,
}

impl Role {
    /// Every role by its word, the least first.
    pub const WORDS: [(&'static str, Self); 3] = [("view", Self::View), ("edit", Self::Edit), ("own", Self::Own)];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Own => "own",
        })
    }
}

/// To whom something is granted. Addresses and domains are in small letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grantee {
    /// Everyone whose provider vouches for this domain.
    Domain(String),
    /// A group of this file.
    Group(String),
    /// One person, by e-mail address.
    Person(String),
    /// A service account, by name.
    Service(String),
    /// A token of the project, by name.
    Token(String),
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Domain(name) => ("domain", name),
            Self::Group(name) => ("group", name),
            Self::Person(name) => ("person", name),
            Self::Service(name) => ("service", name),
            Self::Token(name) => ("token", name),
        };
        write!(f, "{kind}:{name}")
    }
}

/// What something is granted on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Every dataset but naru's own.
    Project,
    /// Every table of a dataset that is not closed.
    Dataset(String),
    /// One table.
    Table(TableId),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project => f.write_str("*"),
            Self::Dataset(name) => f.write_str(name),
            Self::Table(id) => write!(f, "{id}"),
        }
    }
}

/// One `[[grants]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// To whom, at least one.
    pub to: Vec<Grantee>,
    /// What they may do.
    pub can: Role,
    /// On what, at least one.
    pub on: Vec<Reach>,
    /// Where it stands.
    pub place: Place,
}

/// One line of `[groups]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// E-mail addresses in small letters.
    pub members: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// `access.toml` as typed values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessFile {
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Grants in the order of the file.
    pub grants: Vec<Grant>,
    /// Tables that only grants on the table itself reach.
    pub closed: Vec<TableId>,
}

impl AccessFile {
    /// Reads a text as `access.toml`.
    ///
    /// # Errors
    /// Every mistake in it, with its place. A text with mistakes gives no rights at all.
    pub fn parse(text: &str, environment: &Environment) -> Result<Self, Vec<Problem>> {
        let (text, mut report) = (SourceText::new(ACCESS_FILE, text), Report::default());
        let node = toml_text::parse(&text, &mut report);
        let mut reading =
            Reading { text: &text, root: Path::new(""), environment: Some(environment), report: &mut report };
        let file = read(&mut reading, &node);
        if report.problems.is_empty() { Ok(file) } else { Err(report.problems) }
    }

    /// Reads `access.toml` of a project folder; `None` where there is none.
    ///
    /// # Errors
    /// As [`AccessFile::parse`], and a file that is there and cannot be read.
    pub fn load(root: &Path, environment: &Environment) -> Result<Option<Self>, Vec<Problem>> {
        let path = root.join(ACCESS_FILE);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let file = PathBuf::from(ACCESS_FILE);
        let text = read_text(&path).map_err(|why| {
            vec![Mistake::Unreachable { what: "read", file, why }.problem().at(whole(Path::new(ACCESS_FILE)))]
        })?;
        Self::parse(&text, environment).map(Some)
    }

    /// Datasets that rules name, with the place of the rule.
    pub(crate) fn datasets(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.grants.iter().flat_map(|grant| {
            grant.on.iter().filter_map(move |reach| match reach {
                Reach::Project => None,
                Reach::Dataset(name) => Some((name.as_str(), &grant.place)),
                Reach::Table(id) => Some((id.dataset.as_str(), &grant.place)),
            })
        })
    }
}

/// Reads the file. Beside problems, what could not be read is left out: such a file is for checking, never for
/// deciding.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) -> AccessFile {
    // What a mistake quotes would show what stands in this machine's variables and files.
    reading.environment = None;
    let Some(mut file) = Section::open(reading, ACCESS_FILE, ACCESS_FILE, root) else { return AccessFile::default() };
    let closed = file.texts(reading, "closed", false);
    let closed = closed.iter().filter_map(|text| table(reading, "closed", text)).collect();
    let groups = file.section(reading, "groups", "[groups]").map(|section| groups(reading, section));
    let groups = groups.unwrap_or_default();
    let mut grants = Vec::new();
    match file.node("grants").map(|node| (node, &node.value)) {
        Some((_, Value::List(items))) => {
            grants.extend(items.iter().filter_map(|item| grant(reading, item, &groups)));
        }
        Some((node, _)) => reading.wrong_type("grants", "a list of tables, each headed [[grants]]", node),
        None => {}
    }
    refuse_what_is_not_built(reading, &mut file);
    file.finish(reading);
    AccessFile { groups, grants, closed }
}

fn refuse_what_is_not_built(reading: &mut Reading<'_>, file: &mut Section<'_>) {
    for (key, what) in NOT_BUILT {
        let Some(entry) = file.entry(key) else { continue };
        let empty = match &entry.node.value {
            Value::Table(entries) => entries.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        if !empty {
            let mistake = Mistake::NotBuilt {
                what: format!("{what} in {ACCESS_FILE}"),
                instead: "They would not be enforced now: whoever may view a table sees all of its columns and rows. \
                          Make a mart without them and grant that instead."
                    .to_owned(),
            };
            reading.add(&entry.key_span, mistake);
        }
    }
}

fn bad(reading: &mut Reading<'_>, key: &str, wanted: &str, text: &Text, hint: Option<String>) {
    let mistake = Mistake::BadValue { key: key.to_owned(), wanted: wanted.to_owned(), why: None, hint };
    reading.add(&text.span, mistake);
}

fn groups(reading: &mut Reading<'_>, section: Section<'_>) -> BTreeMap<String, Group> {
    let mut all = BTreeMap::new();
    for entry in section.all() {
        let texts = reading.texts(&entry.key, &entry.node, false);
        let members = texts.iter().filter_map(|text| address(reading, &entry.key, text)).collect();
        all.insert(nfc(&entry.key), Group { members, place: reading.place(&entry.key_span) });
    }
    all
}

/// Whether a text stands for itself. A variable is a mistake, and its value is never looked at.
fn literal(reading: &mut Reading<'_>, key: &str, text: &Text) -> bool {
    let plain = !text.value.contains("${");
    if !plain {
        let hint = format!("Variables are not read in {ACCESS_FILE}.");
        bad(reading, key, "a name as it is, without a variable", text, Some(hint));
    }
    plain
}

/// An e-mail address in small letters.
fn address(reading: &mut Reading<'_>, key: &str, text: &Text) -> Option<String> {
    if !literal(reading, key, text) {
        return None;
    }
    let plain = text.value.strip_prefix("person:").unwrap_or(&text.value).trim();
    match plain.split_once('@') {
        Some((name, domain)) if !name.is_empty() && domain.contains('.') && !domain.contains('@') => {
            Some(nfc(plain).to_lowercase())
        }
        _ => {
            let hint =
                "Members of a group are people: write \"kim@acme.kr\". Keys such as `closed` stand above [groups].";
            bad(reading, key, "a list of e-mail addresses", text, Some(hint.to_owned()));
            None
        }
    }
}

fn grant(reading: &mut Reading<'_>, node: &Node, groups: &BTreeMap<String, Group>) -> Option<Grant> {
    let mut section = Section::open(reading, "grants", "[[grants]]", node)?;
    section.required(reading, "to", "to = [\"domain:acme.kr\"]");
    section.required(reading, "can", "can = \"view\"");
    section.required(reading, "on", "on = [\"shop\"]");
    let to = section.texts(reading, "to", true);
    let to: Vec<Grantee> = to.iter().filter_map(|text| grantee(reading, text, groups)).collect();
    let can = section.word(reading, "can", &Role::WORDS);
    let on = section.texts(reading, "on", true);
    let on: Vec<Reach> = on.iter().filter_map(|text| reach(reading, text)).collect();
    let place = reading.place(&section.span);
    section.finish(reading);
    let can = can?;
    (!to.is_empty() && !on.is_empty()).then_some(Grant { to, can, on, place })
}

fn grantee(reading: &mut Reading<'_>, text: &Text, groups: &BTreeMap<String, Group>) -> Option<Grantee> {
    if !literal(reading, "to", text) {
        return None;
    }
    let wanted = "domain:NAME, group:NAME, person:ADDRESS, service:NAME or token:NAME";
    let Some((kind, name)) = text.value.split_once(':') else {
        let hint = if text.value.contains('@') {
            format!("Write \"person:{}\".", text.raw)
        } else if groups.contains_key(&nfc(&text.value)) {
            format!("Write \"group:{}\".", text.raw)
        } else {
            "Write for example \"domain:acme.kr\" or \"person:kim@acme.kr\".".to_owned()
        };
        bad(reading, "to", wanted, text, Some(hint));
        return None;
    };
    let name = nfc(name.trim());
    match kind {
        _ if name.is_empty() => {
            bad(reading, "to", wanted, text, Some(format!("A name stands behind \"{kind}:\".")));
            None
        }
        "domain" if name.contains('@') => {
            bad(reading, "to", wanted, text, Some("A domain has no @: write \"domain:acme.kr\".".to_owned()));
            None
        }
        "domain" => Some(Grantee::Domain(name.to_lowercase())),
        "group" if groups.contains_key(&name) => Some(Grantee::Group(name)),
        "group" => {
            let hint = nearest(&name, groups.keys().map(String::as_str)).map_or_else(
                || format!("Name its people under [groups]: {name} = [\"kim@acme.kr\"]."),
                |near| format!("Did you mean \"group:{near}\"?"),
            );
            bad(reading, "to", "a group of this file", text, Some(hint));
            None
        }
        "person" => address(reading, "to", text).map(Grantee::Person),
        "service" => Some(Grantee::Service(name)),
        "token" => Some(Grantee::Token(name)),
        _ => {
            let hint = nearest(kind, KINDS).map(|near| format!("Did you mean \"{near}:{name}\"?"));
            bad(reading, "to", wanted, text, hint);
            None
        }
    }
}

fn reach(reading: &mut Reading<'_>, text: &Text) -> Option<Reach> {
    if !literal(reading, "on", text) {
        return None;
    }
    let name = nfc(text.value.trim());
    if name == "*" {
        return Some(Reach::Project);
    }
    if name.is_empty() || name.contains(['*', '/', '\\', '`']) {
        let hint = match name.strip_suffix(".*") {
            Some(dataset) if !dataset.contains(['*', '/', '\\', '`', '.']) && !dataset.is_empty() => {
                format!("Write \"{dataset}\" for all tables of the dataset.")
            }
            _ => "Write \"*\", \"shop\" or \"shop.orders\".".to_owned(),
        };
        bad(reading, "on", "*, a dataset or a table", text, Some(hint));
        return None;
    }
    if name.contains('.') { table(reading, "on", text).map(Reach::Table) } else { Some(Reach::Dataset(name)) }
}

fn table(reading: &mut Reading<'_>, key: &str, text: &Text) -> Option<TableId> {
    if !literal(reading, key, text) {
        return None;
    }
    let id = nfc(text.value.trim()).parse();
    if id.is_err() {
        bad(reading, key, "a table", text, Some("Write its dataset and its name: \"shop.orders\".".to_owned()));
    }
    id.ok()
}
