//! One receiver of any kind.
//!
//! Owns: [`Receiver`]: its limits, an event in its form, one request and its answer, whatever goes wrong on the way.
//! Never decides what is done about an answer.

use naru_base::{Problem, time::now_us};
use naru_project::forward::{Forward, Target};
use reqwest::{Client, RequestBuilder};

use super::{
    answer::{Answer, Refusal, Reply, unreachable},
    mixpanel::{self, Mixpanel},
    pubsub::PubSub,
    record::{Picked, Picker},
    webhook::Webhook,
};
use crate::log::Event;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What one request may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    /// Bytes of all events with what stands between them.
    pub(crate) bytes: usize,
    /// Bytes of one.
    pub(crate) record_bytes: usize,
    /// Whether all of them must have the same ordering key.
    pub(crate) one_key: bool,
}

/// One event in the receiver's form.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// Empty where the order does not matter.
    pub(crate) ordering_key: String,
}

/// Where a forward sends to.
#[derive(Debug)]
pub(crate) struct Receiver {
    kind: Kind,
    /// How messages call it: its host, without what may be a key.
    pub(crate) to: String,
}

#[derive(Debug)]
enum Kind {
    Mixpanel(Mixpanel),
    Webhook(Webhook),
    PubSub(PubSub),
}

impl Receiver {
    /// Columns that a target needs beside the fields.
    pub(crate) fn columns(target: &Target) -> Vec<&str> {
        match target {
            Target::Mixpanel(mixpanel) => Mixpanel::columns(mixpanel),
            Target::Webhook(_) | Target::PubSub(_) => Vec::new(),
        }
    }

    pub(crate) fn new(topic: &str, forward: &Forward, picker: &Picker) -> Self {
        let (kind, to) = match forward.target.clone() {
            Target::Mixpanel(target) => {
                let to = host(&target.to);
                (Kind::Mixpanel(Mixpanel::new(target, forward, picker)), to)
            }
            Target::Webhook(target) => {
                let to = host(target.url.expose());
                (Kind::Webhook(Webhook::new(target, topic, forward, picker)), to)
            }
            Target::PubSub(target) => {
                let to = host(&target.to);
                (Kind::PubSub(PubSub::new(target, topic, forward, picker)), to)
            }
        };
        Self { kind, to }
    }

    /// `mixpanel`, `webhook` or `pubsub`.
    pub(crate) fn word(&self) -> &'static str {
        match self.kind {
            Kind::Mixpanel(_) => "mixpanel",
            Kind::Webhook(_) => "webhook",
            Kind::PubSub(_) => "pubsub",
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        match &self.kind {
            Kind::Mixpanel(_) => mixpanel::LIMITS,
            Kind::Webhook(webhook) => webhook.limits(),
            Kind::PubSub(pubsub) => pubsub.limits(),
        }
    }

    /// An event in the receiver's form, or why it cannot have it.
    pub(crate) fn record(&self, event: &Event, picked: &Picked<'_>, id: &str) -> Result<Record, Refusal> {
        let bytes = match &self.kind {
            Kind::Mixpanel(mixpanel) => mixpanel.record(event, picked, id)?,
            Kind::Webhook(webhook) => webhook.record(event, picked, id),
            Kind::PubSub(pubsub) => pubsub.record(event, picked, id),
        };
        let most = self.limits().record_bytes;
        if bytes.len() > most {
            let got = format!("{} bytes", bytes.len());
            return Err(Refusal::new("forward.too_large", "$", format!("at most {most} bytes"), got));
        }
        let ordering_key = match &self.kind {
            Kind::PubSub(pubsub) => pubsub.ordering_key(event).to_owned(),
            Kind::Mixpanel(_) | Kind::Webhook(_) => String::new(),
        };
        Ok(Record { offset: event.offset, bytes, ordering_key })
    }

    /// Sends one request. Every failure is an answer.
    pub(crate) async fn send(&self, client: &Client, records: &[&Record]) -> (Option<u16>, Answer) {
        let request = match self.request(client, records).await {
            Ok(request) => request,
            Err(problem) => return (None, Answer::Again(Box::new(problem), None)),
        };
        let reply = match reply(request).await {
            Ok(reply) => reply,
            Err(error) => return (None, Answer::Again(Box::new(unreachable(&self.to, &error)), None)),
        };
        let answer = match &self.kind {
            Kind::Mixpanel(_) => Mixpanel::judge(&reply, &self.to, records.len()),
            Kind::Webhook(webhook) => webhook.judge(&reply, &self.to),
            Kind::PubSub(_) => PubSub::judge(&reply, &self.to, records.len()),
        };
        (Some(reply.status.as_u16()), answer)
    }

    async fn request(&self, client: &Client, records: &[&Record]) -> Result<RequestBuilder, Problem> {
        match &self.kind {
            Kind::Mixpanel(mixpanel) => mixpanel.request(client, records).map_err(|error| {
                Problem::from_error("topics.forward_compress", "a request could not be compressed", &error)
            }),
            Kind::Webhook(webhook) => Ok(webhook.request(client, records, now_us() / 1_000_000)),
            Kind::PubSub(pubsub) => pubsub.request(client, records).await,
        }
    }
}

/// A whole answer; what is longer than any receiver's is cut, and is no JSON then.
async fn reply(request: RequestBuilder) -> Result<Reply, reqwest::Error> {
    let mut response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(Reply { status, headers, body })
}

/// The host and port of an address.
fn host(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}
