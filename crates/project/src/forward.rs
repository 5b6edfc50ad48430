//! `[forwards.NAME]` of a topic's file: which fields leave, where they go, and how fast.
//!
//! Owns: [`Forward`] and the words of its kinds. Nothing leaves that is not named here. Never sends anything.
//! Read next: [`crate::sqs`] for events that come in from a queue.

use std::path::{Path, PathBuf};

use naru_base::{Place, Secret};

use crate::{
    check::Literal,
    environment::expands,
    mistake::Mistake,
    names,
    node::{Entry, Node, Value},
    section::{Reading, Section, Text},
    topic::{TopicColumn, known_column},
};

/// Events a second that a limit may name.
const RATE_MAX: u64 = 1_000_000;
/// Properties that Mixpanel gives a meaning of its own.
const MIXPANEL_OWN: [&str; 4] = ["distinct_id", "time", "token", "$insert_id"];
/// What dead letters of the topic's own table are called.
const TABLE: &str = "table";

/// One forward of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `NAME` in `[forwards.NAME]`; dead letters carry it.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Columns whose values are sent, under the columns' names.
    pub fields: Vec<String>,
    /// Only events that fulfil all of these are sent.
    pub only: Vec<Condition>,
    /// Which events the forward begins with.
    pub start: Start,
    /// Events a second, at most. Default unlimited.
    pub rate: Option<u32>,
    /// Where they go.
    pub target: Target,
}

/// A field that must have one of a few values. Its value is compared and, by that alone, not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// A column.
    pub field: String,
    /// Its allowed values.
    pub any_of: Vec<Literal>,
}

/// Which events a forward begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Those that come after the forward appeared in the file.
    Now,
    /// All that are still on the log.
    Beginning,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Mixpanel's `/import`.
    Mixpanel(MixpanelTarget),
    /// JSON to somebody's HTTP server, signed.
    Webhook(WebhookTarget),
    /// A topic of Google Pub/Sub, or of anything that speaks its REST interface.
    PubSub(PubSubTarget),
}

/// `kind = "mixpanel"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixpanelTarget {
    /// `https://api.mixpanel.com`, or the address of another region, without a slash at the end.
    pub to: String,
    /// The project's token.
    pub token: Secret,
    /// Column with the event's name.
    pub event: String,
    /// Column that says who did it.
    pub distinct_id: Option<String>,
    /// Column with the event's time; default: when naru accepted it.
    pub time: Option<String>,
}

/// `kind = "webhook"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// Whole address. Boxed in a secret: many receivers put a key into the path.
    pub url: Secret,
    /// Signs every request.
    pub secret: Secret,
    /// One request for each event, instead of a list.
    pub each: bool,
}

/// `kind = "pubsub"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubSubTarget {
    /// `https://pubsub.googleapis.com`, or the address of an emulator or of another naru, without a slash at the end.
    pub to: String,
    /// Project of the topic.
    pub project: String,
    /// The topic.
    pub topic: String,
    /// File with a bearer token, read again for every request: somebody else keeps it fresh.
    pub token_file: Option<PathBuf>,
    /// Attributes of an event that go with it, under their names.
    pub attributes: Vec<String>,
    /// Whether an event's ordering key goes with it, and events of one key arrive in their order.
    pub ordered: bool,
}

/// Reads `[forwards]`.
pub(crate) fn read(reading: &mut Reading<'_>, section: Section<'_>, columns: &[TopicColumn]) -> Vec<Forward> {
    section.all().iter().filter_map(|entry| read_one(reading, entry, columns)).collect()
}

fn read_one(reading: &mut Reading<'_>, entry: &Entry, columns: &[TopicColumn]) -> Option<Forward> {
    let name = match names::checked(&entry.key, "forward") {
        Ok(name) => name,
        Err(mistake) => {
            reading.add(&entry.key_span, mistake);
            return None;
        }
    };
    if name == TABLE {
        let wanted = "a name that a forward may have".to_owned();
        let why = Some("dead letters of the topic's own table carry it".to_owned());
        let hint = Some("Choose another name.".to_owned());
        reading.add(&entry.key_span, Mistake::BadValue { key: name, wanted, why, hint });
        return None;
    }
    let place = reading.place(&entry.key_span);
    let mut section = Section::open(reading, &entry.key, format!("[forwards.{}]", entry.key), &entry.node)?;
    section.required(reading, "kind", "kind = \"webhook\"");
    let fields = read_fields(reading, &mut section, columns);
    let only = section.section(reading, "where", "where").map(|only| read_only(reading, only, columns));
    let start = section.word(reading, "from", &[("now", Start::Now), ("beginning", Start::Beginning)]);
    let rate = section.integer(reading, "rate", 1..=RATE_MAX).and_then(|rate| u32::try_from(rate).ok());
    let kinds = [("mixpanel", Kind::Mixpanel), ("webhook", Kind::Webhook), ("pubsub", Kind::PubSub)];
    // What belongs to an unknown kind is not known to be wrong.
    let target = match section.word(reading, "kind", &kinds)? {
        Kind::Mixpanel => read_mixpanel(reading, &mut section, &fields, columns),
        Kind::Webhook => read_webhook(reading, &mut section),
        Kind::PubSub => read_pubsub(reading, &mut section),
    };
    section.finish(reading);
    let fields = fields.into_iter().map(|(name, _)| name).collect();
    let (only, start) = (only.unwrap_or_default(), start.unwrap_or(Start::Now));
    Some(Forward { name, place, fields, only, start, rate, target: target? })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Mixpanel,
    Webhook,
    PubSub,
}

/// The column that a text names, in the file's spelling; a mistake where there is none.
fn column_of<'c>(
    reading: &mut Reading<'_>,
    key: &str,
    text: &Text,
    columns: &'c [TopicColumn],
) -> Option<&'c TopicColumn> {
    known_column(reading, key, &text.span, &text.value, columns);
    let wanted = names::nfc(&text.value).to_lowercase();
    columns.iter().find(|column| column.name.to_lowercase() == wanted)
}

/// Names with the places where they are written.
fn read_fields(reading: &mut Reading<'_>, section: &mut Section<'_>, columns: &[TopicColumn]) -> Vec<(String, Text)> {
    let Some(node) = section.required(reading, "fields", "fields = [\"name\", \"user_id\"]") else {
        return Vec::new();
    };
    let mut fields: Vec<(String, Text)> = Vec::new();
    for text in reading.texts("fields", node, false) {
        let Some(column) = column_of(reading, "fields", &text, columns) else { continue };
        if fields.iter().any(|(name, _)| *name == column.name) {
            let section = "fields".to_owned();
            reading.add(&text.span, Mistake::DuplicateKey { key: column.name.clone(), section });
            continue;
        }
        fields.push((column.name.clone(), text));
    }
    fields
}

fn read_only(reading: &mut Reading<'_>, section: Section<'_>, columns: &[TopicColumn]) -> Vec<Condition> {
    let mut only = Vec::new();
    for entry in section.all() {
        let text = Text { value: entry.key.clone(), raw: entry.key.clone(), span: entry.key_span.clone() };
        let column = column_of(reading, "where", &text, columns);
        let nodes = match &entry.node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.node),
        };
        let any_of: Vec<Literal> = nodes.iter().filter_map(|node| read_literal(reading, &entry.key, node)).collect();
        if let Some(column) = column {
            only.push(Condition { field: column.name.clone(), any_of });
        }
    }
    only
}

fn read_literal(reading: &mut Reading<'_>, key: &str, node: &Node) -> Option<Literal> {
    match &node.value {
        Value::Text(_) => reading.text(key, node).map(|text| Literal::Text(text.value)),
        Value::Integer(digits) => Some(Literal::Number(digits.clone())),
        Value::Boolean(value) => Some(Literal::Boolean(*value)),
        Value::Null | Value::Float(_) | Value::Moment | Value::List(_) | Value::Table(_) => {
            reading.wrong_type(key, "text, a whole number, true, false, or a list of them", node);
            None
        }
    }
}

fn read_mixpanel(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    fields: &[(String, Text)],
    columns: &[TopicColumn],
) -> Option<Target> {
    let to = address(reading, section, "to", "to = \"https://api.mixpanel.com\"");
    let token = secret(reading, section, "token", "token = \"${MIXPANEL_TOKEN}\"");
    section.required(reading, "event", "event = \"name\"");
    let event = role(reading, section, "event", &["STRING"], columns);
    let distinct_id = role(reading, section, "distinct_id", &["STRING", "INT64"], columns);
    let time = role(reading, section, "time", &["TIMESTAMP"], columns);
    let roles = [event.as_ref(), distinct_id.as_ref(), time.as_ref()];
    for (name, text) in fields {
        if MIXPANEL_OWN.contains(&name.as_str()) && !roles.contains(&Some(name)) {
            let wanted = "a property that is free for your use".to_owned();
            let why = Some(format!("Mixpanel gives \"{name}\" a meaning of its own"));
            let hint = Some("Name it with `event`, `distinct_id` or `time`, or leave it out.".to_owned());
            reading.add(&text.span, Mistake::BadValue { key: "fields".to_owned(), wanted, why, hint });
        }
    }
    Some(Target::Mixpanel(MixpanelTarget { to: to?, token: token?, event: event?, distinct_id, time }))
}

/// A column with a meaning, of one of a few types.
fn role(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    types: &[&str],
    columns: &[TopicColumn],
) -> Option<String> {
    let text = section.text(reading, key)?;
    let column = column_of(reading, key, &text, columns)?;
    if !types.contains(&column.type_name.as_str()) {
        let why = format!("the column's type is {}", column.type_name);
        reading.bad(key, &format!("a column of type {}", types.join(" or ")), &text, why);
        return None;
    }
    Some(column.name.clone())
}

fn read_webhook(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Target> {
    let url = address(reading, section, "url", "url = \"https://hooks.example.com/naru\"");
    let secret = secret(reading, section, "secret", "secret = \"${WEBHOOK_SECRET}\"");
    let each = section.boolean(reading, "each").unwrap_or(false);
    Some(Target::Webhook(WebhookTarget { url: Secret::new(url?), secret: secret?, each }))
}

fn read_pubsub(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Target> {
    let to = address(reading, section, "to", "to = \"https://pubsub.googleapis.com\"");
    let part = |reading: &mut Reading<'_>, section: &mut Section<'_>, key: &'static str, example: &str| {
        let node = section.required(reading, key, example)?;
        let text = reading.text(key, node)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._~+%:".contains(c);
        if text.value.is_empty() || !text.value.chars().all(fits) {
            reading.bad(key, "a name of Pub/Sub", &text, "it is the name alone, as in app_log".to_owned());
            return None;
        }
        Some(text.value)
    };
    let project = part(reading, section, "project", "project = \"acme\"");
    let topic = part(reading, section, "topic", "topic = \"app_log\"");
    let token_file = section.text(reading, "token_file").map(|text| reading.root.join(Path::new(&text.value)));
    let attributes = section.texts(reading, "attributes", false);
    for name in &attributes {
        if name.value.starts_with("naru") {
            let why = "names that begin so are naru's own".to_owned();
            reading.bad("attributes", "an attribute that senders may set", name, why);
        }
    }
    let attributes = attributes.into_iter().map(|name| name.value).collect();
    let ordered = section.boolean(reading, "ordered").unwrap_or(false);
    Some(Target::PubSub(PubSubTarget { to: to?, project: project?, topic: topic?, token_file, attributes, ordered }))
}

/// An `http` or `https` address without a slash at its end and without a password in it.
pub(crate) fn address(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
) -> Option<String> {
    let node = section.required(reading, key, example)?;
    let text = reading.text(key, node)?;
    let host = text.value.strip_prefix("https://").or_else(|| text.value.strip_prefix("http://"));
    let authority = host.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match authority {
        Some(authority) if authority.contains('@') => {
            reading.add(&text.span, Mistake::SecretInFile { key: key.to_owned() });
            None
        }
        Some(authority) if !authority.is_empty() && !text.value.contains(char::is_whitespace) => {
            Some(text.value.trim_end_matches('/').to_owned())
        }
        _ => {
            reading.bad(key, "an address", &text, "it begins with https:// or http://".to_owned());
            None
        }
    }
}

/// A text that may not stand in the file as it is.
pub(crate) fn secret(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
) -> Option<Secret> {
    let node = section.required(reading, key, example)?;
    let text = reading.text(key, node)?;
    if !expands(&text.raw) {
        reading.add(&text.span, Mistake::SecretInFile { key: key.to_owned() });
        return None;
    }
    if text.value.is_empty() {
        reading.bad(key, "there: it is empty", &text, None);
        return None;
    }
    Some(Secret::new(text.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{environment::Environment, mistake::Report, text::SourceText, toml_text};

    const COLUMNS: &str = "[columns]\nname = \"STRING\"\nuser_id = \"INT64\"\nplan = \"STRING\"\n\
                           at = \"TIMESTAMP\"\ntime = \"STRING\"\n";

    fn forwards(text: &str) -> (Vec<Forward>, Vec<String>) {
        let text = SourceText::new("topics/app_log.toml", &format!("{COLUMNS}{text}"));
        let environment = Environment::of([("T", "hidden"), ("EMPTY", "")]);
        let mut report = Report::default();
        let node = toml_text::parse(&text, &mut report);
        let mut reading =
            Reading { text: &text, root: Path::new("/acme"), environment: Some(&environment), report: &mut report };
        let topic = crate::topic::read(&mut reading, &node, "app_log".to_owned()).unwrap();
        (topic.forwards, report.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_forward_of_each_kind_is_read() {
        let (forwards, problems) = forwards(
            "[forwards.mixpanel]\nkind = \"mixpanel\"\nto = \"https://api.mixpanel.com/\"\ntoken = \"${T}\"\n\
             fields = [\"NAME\", \"user_id\", \"plan\"]\nevent = \"name\"\ndistinct_id = \"user_id\"\ntime = \"at\"\n\
             where = { plan = [\"pro\", \"team\"], user_id = 7 }\nrate = 500\nfrom = \"beginning\"\n\
             [forwards.hook]\nkind = \"webhook\"\nurl = \"https://h/x\"\nsecret = \"${T}\"\nfields = []\neach = true\n\
             [forwards.other]\nkind = \"pubsub\"\nto = \"http://127.0.0.1:1\"\nproject = \"p\"\ntopic = \"t\"\n\
             fields = [\"name\"]\ntoken_file = \"secrets/token\"\nattributes = [\"kind\"]\nordered = true\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let first = &forwards[0];
        assert_eq!(
            (first.fields.join(","), first.rate, first.start),
            ("name,user_id,plan".into(), Some(500), Start::Beginning)
        );
        assert_eq!(first.only[0].any_of, [Literal::Text("pro".into()), Literal::Text("team".into())]);
        assert_eq!(first.only[1].any_of, [Literal::Number("7".into())]);
        let Target::Mixpanel(mixpanel) = &first.target else { panic!("{first:?}") };
        assert_eq!((mixpanel.to.as_str(), mixpanel.token.expose()), ("https://api.mixpanel.com", "hidden"));
        assert!(!format!("{forwards:?}").contains("hidden"));
        let Target::PubSub(pubsub) = &forwards[2].target else { panic!("{forwards:?}") };
        assert_eq!(pubsub.token_file.as_deref(), Some(Path::new("/acme/secrets/token")));
        assert_eq!((pubsub.attributes.as_slice(), pubsub.ordered), (["kind".to_owned()].as_slice(), true));
        assert_eq!(forwards[2].start, Start::Now);
    }

    #[test]
    fn mistakes_in_a_forward_are_told_with_their_place_and_a_hint() {
        let (forwards, problems) = forwards(
            "[forwards.a]\nkind = \"mixpanl\"\nfields = [\"name\"]\n\
             [forwards.b]\nkind = \"mixpanel\"\nto = \"api.mixpanel.com\"\ntoken = \"literal\"\n\
             fields = [\"nmae\", \"time\"]\nevent = \"user_id\"\n\
             [forwards.table]\nkind = \"webhook\"\n\
             [forwards.c]\nkind = \"webhook\"\nurl = \"https://u:p@h\"\nsecret = \"${EMPTY}\"\nfields = []\n\
             [forwards.d]\nkind = \"pubsub\"\nto = \"http://h\"\nproject = \"p\"\ntopic = \"projects/p/topics/t\"\n\
             fields = []\ntokn_file = \"x\"\nwhere = { plan = 1.5 }\n",
        );
        assert!(forwards.is_empty());
        let said = problems.join("\n");
        for wanted in [
            "topics/app_log.toml:8:8: \"kind\" is not one of \"mixpanel\", \"webhook\", \"pubsub\"\nhint: Did you mean \"mixpanel\"?",
            "topics/app_log.toml:12:6: \"to\" is not an address",
            "\"token\" has a password in it",
            "topics/app_log.toml:14:11: \"fields\" is not a column of this topic\nhint: Did you mean \"name\"?",
            "topics/app_log.toml:14:19: \"fields\" is not a property that is free for your use",
            "\"event\" is not a column of type STRING\ndetail: The column's type is INT64.",
            "\"table\" is not a name that a forward may have",
            "\"url\" has a password in it",
            "\"secret\" is not there: it is empty",
            "\"topic\" is not a name of Pub/Sub",
            "unknown key \"tokn_file\"",
            "Did you mean \"token_file\"?",
            "\"plan\" must be text, a whole number",
        ] {
            assert!(said.contains(wanted), "{wanted}\n---\n{said}");
        }
    }
}
