//! `naru.toml`: the project's name and time zone, the lake, listeners, SQL and limits.
//!
//! Owns: [`Settings`] and every default in it. Never opens a port or a folder.
//! Read next: [`crate::source`] for what stands in `sources/`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    intake::{self, IntakeSettings, TlsSettings},
    mistake::Mistake,
    names,
    node::{Node, Value},
    section::{Reading, Section, Text},
    sign_in::{self, SignInSettings},
    zone::{self, Zone},
};

/// The file that makes a folder a project.
pub const SETTINGS_FILE: &str = "naru.toml";

/// Queries that may run at once, at most; each holds a part of the memory.
const QUERIES_MAX: u64 = 1_000;
/// Rows that may be kept of a result, at most.
const RESULT_ROWS_MAX: u64 = 1_000_000_000;

/// Marts that may run at once, at most; each holds a part of the memory.
const PARALLELISM_MAX: u64 = 64;

/// All of `naru.toml`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project's name, the first part of `project.dataset.table`.
    pub name: String,
    /// Governs schedules, partitions, `@start` and `@end`. Default UTC.
    pub timezone: Zone,
    /// `[lake]`.
    pub lake: LakeSettings,
    /// `[server]`.
    pub server: ServerSettings,
    /// `[sign_in]`; without it the folder's owner alone uses the console, on this machine.
    pub sign_in: Option<SignInSettings>,
    /// `[audit]`.
    pub audit: AuditSettings,
    /// `[intake]`.
    pub intake: IntakeSettings,
    /// `[sql]`.
    pub sql: SqlSettings,
    /// `[sheets]`; without it nothing is written into Google Sheets.
    pub sheets: Option<SheetsSettings>,
    /// `[flow]`.
    pub flow: FlowSettings,
    /// `[limits]`.
    pub limits: Limits,
}

/// `[lake]`: where tables are and how often rows reach them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeSettings {
    /// A folder (relative to the project), `s3://bucket/prefix` or `gs://bucket/prefix`. Default `lake`.
    pub location: String,
    /// Committed source rows are flushed to files at this age. Default 5 s.
    pub flush_interval: Duration,
    /// … or when a table's unflushed rows reach this many bytes. Default 64 MB.
    pub flush_bytes: u64,
}

/// `[server]`: each listener is an address, a port on loopback (0: any free), or `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// HTTP: metrics, health, console. Default `127.0.0.1:6278`; `None` is off.
    pub http: Option<SocketAddr>,
    /// Postgres wire. Default `127.0.0.1:6279`.
    pub postgres: Option<SocketAddr>,
    /// Pub/Sub, gRPC and REST. Default `127.0.0.1:6280`.
    pub pubsub: Option<SocketAddr>,
    /// Certificate of the HTTP and the Pub/Sub listener; with it, they may listen beyond loopback.
    pub tls: Option<TlsSettings>,
    /// Proxies that end TLS before the HTTP listener. They alone reach it then from other machines, and they are
    /// believed about whom they ask for.
    pub proxies: Vec<IpAddr>,
}

/// `[sql]`: what people's queries get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlSettings {
    /// Default zone of SQL; UTC as in BigQuery.
    pub timezone: Zone,
    /// Memory all queries share before they spill to disk. Default 1 GB.
    pub memory: u64,
    /// Disk that spilling may use. Default 20 GB.
    pub spill: u64,
    /// A query is cancelled after this. Default none.
    pub timeout: Option<Duration>,
    /// Queries of the console and the API that run at once; others wait in order. Default 8.
    pub queries: usize,
    /// … of one person. Default 3.
    pub queries_per_person: usize,
    /// Rows that are kept of one result. Default 5 million.
    pub result_rows: u64,
    /// Bytes that are kept of one result. Default 2 GB.
    pub result_bytes: u64,
    /// Bytes that all results together may take; the oldest go first. Default 20 GB.
    pub results: u64,
}

/// `[sheets]`: writing into Google Sheets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetsSettings {
    /// The key of a service account, a JSON file of Google's.
    pub key: PathBuf,
    /// Where the Sheets API is, if not at Google.
    pub endpoint: Option<String>,
}

/// `[flow]`: how marts run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSettings {
    /// Marts that run at once. Default 4.
    pub parallelism: usize,
}

/// `[limits]`: where naru stops before the machine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Below this much free disk, copies stop. Default 5 GB.
    pub copy_free_min: u64,
    /// Below this much free disk, applying changes stops as well. Default 2 GB.
    pub apply_free_min: u64,
    /// Below this much free disk, topics take no more events. Default 1 GB.
    pub intake_free_min: u64,
}

/// `[audit]`: what is written down beside what everyone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditSettings {
    /// Whether each download needs a reason. Default false.
    pub ask_why: bool,
}

impl Default for LakeSettings {
    fn default() -> Self {
        Self { location: "lake".to_owned(), flush_interval: Duration::from_secs(5), flush_bytes: 64_000_000 }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            http: Some(loopback(6278)),
            postgres: Some(loopback(6279)),
            pubsub: Some(loopback(6280)),
            tls: None,
            proxies: Vec::new(),
        }
    }
}

impl Default for SqlSettings {
    fn default() -> Self {
        Self {
            timezone: Zone::utc(),
            memory: 1_000_000_000,
            spill: 20_000_000_000,
            timeout: None,
            queries: 8,
            queries_per_person: 3,
            result_rows: 5_000_000,
            result_bytes: 2_000_000_000,
            results: 20_000_000_000,
        }
    }
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { parallelism: 4 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { copy_free_min: 5_000_000_000, apply_free_min: 2_000_000_000, intake_free_min: 1_000_000_000 }
    }
}

/// Reads `naru.toml`. A wrong value becomes its default beside the problem, so that the rest can still be checked.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) -> Settings {
    let mut settings = Settings {
        name: "project".to_owned(),
        timezone: Zone::utc(),
        lake: LakeSettings::default(),
        server: ServerSettings::default(),
        sign_in: None,
        audit: AuditSettings::default(),
        intake: IntakeSettings::default(),
        sql: SqlSettings::default(),
        sheets: None,
        flow: FlowSettings::default(),
        limits: Limits::default(),
    };
    let Some(mut file) = Section::open(reading, SETTINGS_FILE, SETTINGS_FILE, root) else { return settings };
    if let Some(node) = file.required(reading, "project", "[project]")
        && let Some(section) = Section::open(reading, "project", "[project]", node)
    {
        read_project(reading, section, &mut settings);
    }
    if let Some(section) = file.section(reading, "lake", "[lake]") {
        read_lake(reading, section, &mut settings.lake);
    }
    let mut wide = None;
    if let Some(section) = file.section(reading, "server", "[server]") {
        wide = read_server(reading, section, &mut settings.server);
    }
    match file.section(reading, "sign_in", "[sign_in]") {
        Some(section) => settings.sign_in = sign_in::read(reading, section, &settings.server),
        None => wide.into_iter().for_each(|span| reading.add(&span, Mistake::NoSignIn { key: "http".to_owned() })),
    }
    let listeners = [settings.server.http, settings.server.pubsub];
    let beyond = listeners.into_iter().flatten().any(|address| !address.ip().is_loopback());
    // What comes through a proxy comes from anywhere.
    let beyond = beyond || !settings.server.proxies.is_empty();
    if beyond {
        settings.intake.keys = intake::Keys::Required;
    }
    if let Some(section) = file.section(reading, "intake", "[intake]") {
        settings.intake = intake::read(reading, section, beyond);
    }
    if let Some(mut section) = file.section(reading, "audit", "[audit]") {
        settings.audit.ask_why = section.boolean(reading, "ask_why").unwrap_or_default();
        section.finish(reading);
    }
    if let Some(section) = file.section(reading, "sql", "[sql]") {
        read_sql(reading, section, &mut settings.sql);
    }
    if let Some(section) = file.section(reading, "sheets", "[sheets]") {
        settings.sheets = read_sheets(reading, section);
    }
    if let Some(mut section) = file.section(reading, "flow", "[flow]") {
        if let Some(number) = section.integer(reading, "parallelism", 1..=PARALLELISM_MAX) {
            settings.flow.parallelism = naru_base::number::usize_from(number);
        }
        section.finish(reading);
    }
    if let Some(section) = file.section(reading, "limits", "[limits]") {
        read_limits(reading, section, &mut settings.limits);
    }
    file.finish(reading);
    settings
}

fn read_project(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    if let Some(node) = section.required(reading, "name", "name = \"acme\"")
        && let Some(text) = reading.text("name", node)
    {
        match names::checked(&text.value, "project") {
            Ok(name) => settings.name = name,
            Err(mistake) => reading.bad_name("name", &text, mistake),
        }
    }
    if let Some(zone) = read_zone(reading, &mut section) {
        settings.timezone = zone;
    }
    section.finish(reading);
}

fn read_zone(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Zone> {
    let text = section.text(reading, "timezone")?;
    let zone = Zone::find(&text.value);
    if zone.is_none() {
        let hint = match zone::meant(&text.raw) {
            Some(name) => format!("Did you mean \"{name}\"?"),
            None => "Write an IANA name such as \"Asia/Seoul\" or \"UTC\".".to_owned(),
        };
        let wanted = "a time zone".to_owned();
        reading.add(&text.span, Mistake::BadValue { key: "timezone".to_owned(), wanted, why: None, hint: Some(hint) });
    }
    zone
}

fn read_lake(reading: &mut Reading<'_>, mut section: Section<'_>, lake: &mut LakeSettings) {
    if let Some(text) = section.text(reading, "location") {
        read_location(reading, &text, lake);
    }
    if let Some(interval) = section.duration(reading, "flush_interval", Duration::from_millis(100)) {
        lake.flush_interval = interval;
    }
    if let Some(bytes) = section.bytes(reading, "flush_bytes", 1_000_000) {
        lake.flush_bytes = bytes;
    }
    section.finish(reading);
}

/// A folder, or an object store that comes later.
fn read_location(reading: &mut Reading<'_>, text: &Text, lake: &mut LakeSettings) {
    let location = text.value.trim();
    match location.split_once("://") {
        Some(("s3" | "gs", _)) => reading.add(
            &text.span,
            Mistake::NotBuilt {
                what: "a lake on S3 or Google Cloud Storage".to_owned(),
                instead: "Write a folder for now, for example `location = \"lake\"`.".to_owned(),
            },
        ),
        Some(_) => {
            let why = "only a folder, s3:// and gs:// are places of a lake".to_owned();
            reading.bad("location", "a place for the lake", text, why);
        }
        None if location.is_empty() => {
            reading.bad("location", "a place for the lake", text, "it is empty".to_owned());
        }
        None => location.clone_into(&mut lake.location),
    }
}

/// Gives where `http` stands when it would be open to other machines.
fn read_server(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
    server: &mut ServerSettings,
) -> Option<Range<usize>> {
    if let Some(tls) = section.section(reading, "tls", "tls") {
        server.tls = intake::read_tls(reading, tls);
    }
    server.proxies = sign_in::read_proxies(reading, &mut section);
    let reach = if server.tls.is_some() { Reach::Anywhere } else { Reach::WithTls };
    let behind = if server.proxies.is_empty() { reach } else { Reach::Anywhere };
    server.http = read_listener(reading, &mut section, "http", server.http, behind);
    let http = section.node("http").map(|node| node.span.clone());
    server.postgres = read_listener(reading, &mut section, "postgres", server.postgres, Reach::Loopback);
    server.pubsub = read_listener(reading, &mut section, "pubsub", server.pubsub, reach);
    section.finish(reading);
    http.filter(|_| server.http.is_some_and(|address| !address.ip().is_loopback()))
}

/// Who may reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// This machine.
    Loopback,
    /// This machine, because no certificate is set.
    WithTls,
    /// Everybody: it has sign-in and TLS.
    Anywhere,
}

/// An address, a port on loopback, or `false` for none; what is absent or wrong leaves the default.
fn read_listener(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    default: Option<SocketAddr>,
    reach: Reach,
) -> Option<SocketAddr> {
    let Some(node) = section.node(key) else { return default };
    match &node.value {
        Value::Boolean(false) => None,
        Value::Integer(_) => match reading.integer(key, node, 0..=65_535) {
            Some(port) => Some(loopback(u16::try_from(port).unwrap_or(0))),
            None => default,
        },
        Value::Text(_) => reading.text(key, node).and_then(|text| read_address(reading, key, &text, reach)).or(default),
        _ => {
            reading.wrong_type(key, "an address such as \"127.0.0.1:6278\", a port, or false", node);
            default
        }
    }
}

fn read_address(reading: &mut Reading<'_>, key: &str, text: &Text, reach: Reach) -> Option<SocketAddr> {
    let value = text.value.trim();
    let value = value.strip_prefix("localhost:").map_or_else(|| value.to_owned(), |port| format!("127.0.0.1:{port}"));
    let Ok(address) = value.parse::<SocketAddr>() else {
        let why = "an address is an IP address, a colon and a port (0: any free port)".to_owned();
        reading.bad(key, "an address such as \"127.0.0.1:6278\"", text, why);
        return None;
    };
    if address.ip().is_loopback() || reach == Reach::Anywhere {
        return Some(address);
    }
    let mistake = match reach {
        Reach::WithTls => Mistake::BeyondLoopback { key: key.to_owned() },
        Reach::Loopback | Reach::Anywhere => Mistake::NotBuilt {
            what: format!("listening beyond loopback (\"{key}\"), which needs sign-in and TLS"),
            instead: "Listen on 127.0.0.1 and let a tunnel or proxy with sign-in stand before it.".to_owned(),
        },
    };
    reading.add(&text.span, mistake);
    None
}

fn read_sql(reading: &mut Reading<'_>, mut section: Section<'_>, sql: &mut SqlSettings) {
    if let Some(zone) = read_zone(reading, &mut section) {
        sql.timezone = zone;
    }
    if let Some(bytes) = section.bytes(reading, "memory", 16_000_000) {
        sql.memory = bytes;
    }
    if let Some(bytes) = section.bytes(reading, "spill", 0) {
        sql.spill = bytes;
    }
    sql.timeout = section.duration(reading, "timeout", Duration::from_secs(1));
    if let Some(count) = section.integer(reading, "queries", 1..=QUERIES_MAX) {
        sql.queries = naru_base::number::usize_from(count);
    }
    if let Some(count) = section.integer(reading, "queries_per_person", 1..=QUERIES_MAX) {
        sql.queries_per_person = naru_base::number::usize_from(count);
    }
    if let Some(rows) = section.integer(reading, "result_rows", 1..=RESULT_ROWS_MAX) {
        sql.result_rows = rows;
    }
    if let Some(bytes) = section.bytes(reading, "result_bytes", 1_000_000) {
        sql.result_bytes = bytes;
    }
    if let Some(bytes) = section.bytes(reading, "results", 1_000_000) {
        sql.results = bytes;
    }
    section.finish(reading);
}

/// Reads `[sheets]`; the key's path is relative to the project.
fn read_sheets(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<SheetsSettings> {
    let key = section.required(reading, "key", "key = \"/etc/naru/google.json\"");
    let key = key.and_then(|node| reading.text("key", node)).map(|text| reading.root.join(Path::new(&text.value)));
    let endpoint = section.text(reading, "endpoint").map(|text| text.value);
    section.finish(reading);
    Some(SheetsSettings { key: key?, endpoint })
}

fn read_limits(reading: &mut Reading<'_>, mut section: Section<'_>, limits: &mut Limits) {
    if let Some(bytes) = section.bytes(reading, "copy_free_min", 0) {
        limits.copy_free_min = bytes;
    }
    if let Some(bytes) = section.bytes(reading, "apply_free_min", 0) {
        limits.apply_free_min = bytes;
    }
    if let Some(bytes) = section.bytes(reading, "intake_free_min", 0) {
        limits.intake_free_min = bytes;
    }
    section.finish(reading);
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
