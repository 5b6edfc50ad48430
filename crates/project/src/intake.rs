//! Settings of the HTTP door's intake: whose events come in, how many, and the certificate of the door.
//!
//! Owns: [`IntakeSettings`], [`TlsSettings`] and [`Protocol`], the words of a topic's `from`. Never opens a port or a
//! certificate.
//! Read next: [`crate::settings`] for the listeners, [`crate::topic`] for `from`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use crate::{
    mistake::{Mistake, Report},
    section::{Reading, Section, nearest},
    topic::Topic,
};

/// Events that one sender may send to one topic in a second, at most.
const RATE_MAX: u64 = 100_000_000;

/// `[intake]`: what senders of events may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeSettings {
    /// Whether a sender needs a key. Default: no on loopback, yes elsewhere.
    pub keys: Keys,
    /// Events a second that one sender may send to one topic. Default none.
    pub rate: Option<u64>,
    /// Bytes of one request after it was decompressed. Default 20 MB.
    pub body_max: u64,
    /// Origins of pages whose scripts may send events, as `https://app.example.com`. Default none.
    pub origins: Vec<String>,
}

/// Whether a sender needs a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// A key that is given must be right, but none need be given.
    Optional,
    /// Nothing comes in without one.
    Required,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self { keys: Keys::Optional, rate: None, body_max: 20_000_000, origins: Vec::new() }
    }
}

/// The certificate of a listener, in PEM files, which are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate, then those that signed it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Another system's protocol, whose senders do not name a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Mixpanel's `/track` and `/import`.
    MixpanelTrack,
    /// Mixpanel's `/engage`: changes of people.
    MixpanelEngage,
    /// Mixpanel's `/groups`: changes of groups.
    MixpanelGroups,
    /// Segment, RudderStack and others with their calls.
    Segment,
    /// OpenTelemetry's logs over HTTP.
    OtlpLogs,
    /// CloudEvents over HTTP, where the path names no topic.
    CloudEvents,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 6] = [
        Self::MixpanelTrack,
        Self::MixpanelEngage,
        Self::MixpanelGroups,
        Self::Segment,
        Self::OtlpLogs,
        Self::CloudEvents,
    ];

    /// Its word in `from`.
    pub fn word(self) -> &'static str {
        match self {
            Self::MixpanelTrack => "mixpanel.track",
            Self::MixpanelEngage => "mixpanel.engage",
            Self::MixpanelGroups => "mixpanel.groups",
            Self::Segment => "segment",
            Self::OtlpLogs => "otlp.logs",
            Self::CloudEvents => "cloudevents",
        }
    }
}

/// Reads `[intake]`; `beyond` says that the door is open to other machines, where keys cannot be optional.
pub(crate) fn read(reading: &mut Reading<'_>, mut section: Section<'_>, beyond: bool) -> IntakeSettings {
    let mut intake = IntakeSettings::default();
    let words = [("optional", Keys::Optional), ("required", Keys::Required)];
    let span = section.entry("keys").map(|entry| entry.node.span.clone());
    match section.word(reading, "keys", &words) {
        Some(Keys::Optional) if beyond => {
            let mistake = Mistake::BadValue {
                key: "keys".to_owned(),
                wanted: "\"required\", which it must be beyond loopback".to_owned(),
                why: Some("anybody who reaches the address could send events".to_owned()),
                hint: Some("Make keys with `naru token new NAME --send TOPIC`.".to_owned()),
            };
            reading.add(&span.unwrap_or_default(), mistake);
        }
        Some(keys) => intake.keys = keys,
        None if beyond => intake.keys = Keys::Required,
        None => {}
    }
    intake.rate = section.integer(reading, "rate", 1..=RATE_MAX);
    if let Some(bytes) = section.bytes(reading, "body_max", 100_000) {
        intake.body_max = bytes;
    }
    for text in section.texts(reading, "origins", false) {
        let origin = text.value.trim_end_matches('/');
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', '@', '?', '#'])) {
            let why = "it is the scheme and the host of a page, with the port if it has one".to_owned();
            reading.bad("origins", "an origin such as \"https://app.example.com\"", &text, why);
        } else {
            intake.origins.push(origin.to_ascii_lowercase());
        }
    }
    section.finish(reading);
    intake
}

/// Reads `tls = { certificate = "…", key = "…" }`; paths are relative to the project.
pub(crate) fn read_tls(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<TlsSettings> {
    let example = "tls = { certificate = \"/etc/naru/cert.pem\", key = \"/etc/naru/key.pem\" }";
    let path = |reading: &mut Reading<'_>, section: &mut Section<'_>, key: &'static str| {
        let node = section.required(reading, key, example)?;
        let text = reading.text(key, node)?;
        Some(reading.root.join(Path::new(&text.value)))
    };
    let certificate = path(reading, &mut section, "certificate");
    let key = path(reading, &mut section, "key");
    section.finish(reading);
    Some(TlsSettings { certificate: certificate?, key: key? })
}

/// Reads a topic's `from`.
pub(crate) fn read_from(reading: &mut Reading<'_>, file: &mut Section<'_>) -> Vec<Protocol> {
    let mut from = Vec::new();
    for text in file.texts(reading, "from", true) {
        if let Some(protocol) = Protocol::ALL.into_iter().find(|protocol| protocol.word() == text.value) {
            from.push(protocol);
            continue;
        }
        let words = Protocol::ALL.map(Protocol::word);
        let hint = nearest(&text.raw, words).map(|word| format!("Did you mean \"{word}\"?"));
        let wanted = format!("one of {}", words.join(", "));
        reading.add(&text.span, Mistake::BadValue { key: "from".to_owned(), wanted, why: None, hint });
    }
    from
}

/// Two topics of one protocol are a mistake unless every sender has a key, which then decides.
pub(crate) fn report_rivals(report: &mut Report, keys: Keys, topics: &[Topic]) {
    if keys == Keys::Required {
        return;
    }
    let mut first: HashMap<Protocol, &Topic> = HashMap::new();
    for topic in topics {
        for protocol in &topic.from {
            match first.get(protocol) {
                None => drop(first.insert(*protocol, topic)),
                Some(earlier) if earlier.name == topic.name => {}
                Some(earlier) => {
                    let mistake = Mistake::RivalTopics {
                        protocol: protocol.word(),
                        this: topic.name.clone(),
                        other: earlier.name.clone(),
                    };
                    report.add_file(&topic.place.file, mistake);
                }
            }
        }
    }
}
