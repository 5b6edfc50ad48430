//! The way of a request to the log.
//!
//! Owns: [`Intake`]: body, key, topic, rate, append, in this order, and what is said of rows that their table will not
//! take. Never shapes an answer; that is `replies`.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, header::ORIGIN, request::Parts},
};
use bytes::Bytes;
use naru_access::{Sender, TOKEN_PREFIX};
use naru_project::{IntakeSettings, Keys, Protocol};
use naru_topics::{Incoming, Judged, TopicHandle, Topics};
use serde::Serialize;

use super::{
    body::{self, Encoding},
    counters::Counters,
    memory::Memory,
    pages::Origins,
    refusal::Refusal,
    sender::{KeyBook, Senders, key_of},
    wire::{Request, WireError},
};
use crate::http::Metrics;

/// Bodies above this are taken apart, and their events checked, on a thread of their own, so that others are not held up.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Similarity (0 to 1, Jaro-Winkler) from which an unknown topic is taken for a slip of a known one.
const NEAREST_MIN: f64 = 0.75;

/// The intake of one project. Clones are the same.
#[derive(Debug, Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    topics: Topics,
    senders: Senders,
    body_max: u64,
    memory: Memory,
    counters: Counters,
    origins: Origins,
}

/// Where a request's events go.
#[derive(Debug, Clone)]
pub enum Aim {
    /// The topic that the path names.
    Topic(String),
    /// The topic that takes this protocol's events, or the key's.
    From(Protocol),
}

impl Aim {
    /// Whether the protocol's libraries put the key into the body, which must be read before anybody is refused.
    fn key_in_body(&self) -> bool {
        match self {
            Self::Topic(_) | Self::From(Protocol::OtlpLogs | Protocol::CloudEvents) => false,
            Self::From(
                Protocol::MixpanelTrack | Protocol::MixpanelEngage | Protocol::MixpanelGroups | Protocol::Segment,
            ) => true,
        }
    }

    /// One word for the metrics.
    fn word(&self) -> &'static str {
        match self {
            Self::Topic(_) => "ingest",
            Self::From(protocol) => protocol.word(),
        }
    }
}

/// What became of a request that was accepted.
#[derive(Debug, Default)]
pub struct Taken {
    /// Events on the log.
    pub accepted: usize,
    /// Those of them that the topic's table will not take as they are.
    pub failed: Vec<Failed>,
    /// The topic.
    pub topic: String,
}

/// An event that is kept as a dead letter, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its place in the request, from 0.
    pub index: usize,
    /// The sender's id of it.
    pub event_id: Option<String>,
    /// The field, as `$.a.b[2]`.
    pub path: String,
    /// What the field takes.
    pub expected: String,
    /// What it got: a type or a reason, never the value.
    pub got: String,
    /// The revision of the topic's columns that it was checked against.
    pub schema_revision: u32,
    /// Always true: it is on the log and in the dead letters, and can be mended and replayed.
    pub kept: bool,
}

impl Intake {
    /// An intake into these topics, with its counters registered.
    pub fn new(topics: Topics, book: KeyBook, settings: IntakeSettings, metrics: &Metrics) -> Self {
        let counters = Counters::register(&mut metrics.lock());
        let senders = Senders::new(book, settings.keys == Keys::Required, settings.rate);
        let origins = Origins::new(settings.origins);
        let inner =
            Inner { topics, senders, body_max: settings.body_max, memory: Memory::default(), counters, origins };
        Self { inner: Arc::new(inner) }
    }

    /// Origins whose pages may send.
    pub(super) fn origins(&self) -> Origins {
        self.inner.origins.clone()
    }

    /// Takes a request whose events stand in its body. `parse` gets the decompressed body.
    pub async fn take<P>(&self, parts: &Parts, body: Body, aim: Aim, parse: P) -> Result<Taken, Refusal>
    where
        P: FnOnce(Bytes) -> Result<Request, WireError> + Send + 'static,
    {
        let mut received = 0;
        let taken = self.try_take(parts, body, &aim, parse, &mut received).await;
        if let Err(refusal) = &taken {
            let bytes = received.max(declared_bytes(&parts.headers));
            self.inner.counters.refused(aim.word(), refusal.reason(), bytes);
            tracing::debug!(protocol = aim.word(), problem = %refusal.problem(), bytes, "a request was refused");
        }
        taken
    }

    async fn try_take<P>(
        &self,
        parts: &Parts,
        body: Body,
        aim: &Aim,
        parse: P,
        received: &mut u64,
    ) -> Result<Taken, Refusal>
    where
        P: FnOnce(Bytes) -> Result<Request, WireError> + Send + 'static,
    {
        let inner = &self.inner;
        let key = key_of(&parts.headers, parts.uri.query().unwrap_or_default());
        let from = inner.senders.origin(parts);
        let (early, stranger) = match &key {
            Some(key) if key.starts_with(TOKEN_PREFIX) => (inner.senders.admit(Some(key), from).await?, false),
            key if !aim.key_in_body() => (inner.senders.admit(key.as_deref(), from).await?, false),
            _ => (None, inner.senders.are_required()),
        };
        if let Aim::Topic(name) = aim {
            inner.topic(name, early.as_deref())?;
        }
        let most = inner.body_max;
        let encoding = Encoding::of(&parts.headers)?;
        if declared_bytes(&parts.headers) > most {
            return Err(Refusal::TooLarge { most });
        }
        let mut share = if stranger { inner.memory.stranger() } else { inner.memory.known() };
        let raw = body::receive(body, most, &mut share, received).await?;
        let large = raw.len() > INLINE_BYTES_MAX || encoding != Encoding::Identity;
        let read = move || {
            let plain = body::decompress(raw, encoding, most, &mut share)?;
            Ok::<_, Refusal>((parse(plain)?, share))
        };
        let (request, _share) =
            if large { tokio::task::spawn_blocking(read).await.map_err(|_| Refusal::Unread)?? } else { read()? };
        let sender = match early {
            Some(sender) => Some(sender),
            None => inner.senders.admit(request.key.as_deref().or(key.as_deref()), from).await?,
        };
        if sender.is_none() && parts.headers.contains_key(ORIGIN) {
            return Err(Refusal::Page);
        }
        let topic = inner.route(aim, sender.as_deref())?;
        inner.append(&topic, sender.as_deref(), aim.word(), request).await
    }
}

impl Inner {
    async fn append(
        &self,
        topic: &TopicHandle,
        sender: Option<&Sender>,
        protocol: &'static str,
        request: Request,
    ) -> Result<Taken, Refusal> {
        let accepted = request.events.len();
        let mut taken = Taken { accepted, failed: Vec::new(), topic: topic.name().to_owned() };
        if accepted == 0 {
            return Ok(taken);
        }
        self.senders.pass(sender, topic.number(), accepted).map_err(|wait| Refusal::Rate {
            sender: sender.map(|sender| sender.name.clone()).unwrap_or_default(),
            topic: topic.name().to_owned(),
            rate: self.senders.rate(),
            wait,
        })?;
        let (mut events, mut ids) = (Vec::with_capacity(accepted), Vec::with_capacity(accepted));
        for sent in request.events {
            events.push(Incoming { data: sent.data, ..Incoming::default() });
            ids.push(sent.id);
        }
        self.topics.publish(topic, &events).await?;
        let bytes = events.iter().map(|event| event.data.len()).sum();
        let judged = if bytes > INLINE_BYTES_MAX {
            let (topics, topic) = (self.topics.clone(), topic.clone());
            // The events are on the log; an answer that names no failed rows is the worst that can come of it.
            tokio::task::spawn_blocking(move || topics.judge(&topic, &events)).await.unwrap_or_default()
        } else {
            self.topics.judge(topic, &events)
        };
        taken.failed = failed(judged, &mut ids);
        self.counters.accepted(topic.name(), protocol, accepted, bytes, taken.failed.len());
        Ok(taken)
    }

    fn route(&self, aim: &Aim, sender: Option<&Sender>) -> Result<TopicHandle, Refusal> {
        let protocol = match aim {
            Aim::Topic(name) => return self.topic(name, sender),
            Aim::From(protocol) => *protocol,
        };
        let takes = |topic: &TopicHandle| topic.declared().is_some_and(|file| file.from.contains(&protocol));
        let may =
            |topic: &TopicHandle| sender.is_none_or(|sender| sender.topics.iter().any(|name| name == topic.name()));
        let mut claims: Vec<TopicHandle> =
            self.topics.list().into_iter().filter(|topic| takes(topic) && may(topic)).collect();
        match (claims.pop(), sender.map(|sender| sender.topics.as_slice())) {
            (Some(only), _) if claims.is_empty() => Ok(only),
            (Some(last), _) => {
                let topics = claims.iter().chain([&last]).map(|topic| topic.name().to_owned()).collect();
                Err(Refusal::Claims { protocol: protocol.word(), topics })
            }
            (None, Some([only])) => self.topic(only, sender),
            (None, _) => Err(Refusal::NoClaim(protocol.word())),
        }
    }

    /// A topic by name, if the sender may send to it.
    fn topic(&self, name: &str, sender: Option<&Sender>) -> Result<TopicHandle, Refusal> {
        if let Some(sender) = sender
            && !sender.topics.iter().any(|topic| topic == name)
        {
            return Err(Refusal::KeyForbids { sender: sender.name.clone(), topic: name.to_owned() });
        }
        self.topics.get(name).ok_or_else(|| {
            let known: Vec<String> = self.topics.list().iter().map(|topic| topic.name().to_owned()).collect();
            Refusal::NoTopic { name: name.to_owned(), nearest: nearest(name, known) }
        })
    }
}

/// What the topic's table says of events that are on the log, with the senders' ids of them.
fn failed(judged: Vec<Judged>, ids: &mut [Option<String>]) -> Vec<Failed> {
    let of = |judged: Judged| Failed {
        index: judged.index,
        event_id: judged.event_id.or_else(|| ids.get_mut(judged.index).and_then(Option::take)),
        path: judged.fault.path,
        expected: judged.fault.expected,
        got: judged.fault.got,
        schema_revision: judged.schema_revision,
        kept: true,
    };
    judged.into_iter().map(of).collect()
}

fn nearest(name: &str, known: Vec<String>) -> Option<String> {
    let like = |topic: String| (strsim::jaro_winkler(&name.to_lowercase(), &topic.to_lowercase()), topic);
    let near = known.into_iter().map(like).filter(|(similarity, _)| *similarity >= NEAREST_MIN);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, topic)| topic)
}

fn declared_bytes(headers: &HeaderMap) -> u64 {
    let length = headers.get("content-length").and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}
