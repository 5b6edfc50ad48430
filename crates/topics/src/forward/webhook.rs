//! JSON to somebody's HTTP server, signed.
//!
//! Owns: the form of an event in a webhook's body, the headers, the signature, and what statuses mean: 2xx is taken,
//! 410 wants nothing more, everything else is sent again.

use jiff::Timestamp;
use naru_base::Problem;
use naru_project::forward::{Forward, WebhookTarget};
use reqwest::{Client, RequestBuilder, header::CONTENT_TYPE};

use super::{
    answer::{Answer, Reply},
    receiver::{Limits, Record},
    record::{Picked, Picker, key},
};
use crate::{log::Event, marks, signature::hmac_sha256};

pub(crate) const LIMITS: Limits = Limits { events: 500, bytes: 4_000_000, record_bytes: 4_000_000, one_key: false };

/// Somebody's server.
#[derive(Debug)]
pub(crate) struct Webhook {
    target: WebhookTarget,
    topic: String,
    forward: String,
    fields: Vec<(usize, String)>,
}

impl Webhook {
    pub(crate) fn new(target: WebhookTarget, topic: &str, forward: &Forward, picker: &Picker) -> Self {
        let fields = forward.fields.iter().filter_map(|name| Some((picker.place(name)?, key(name)))).collect();
        Self { target, topic: topic.to_owned(), forward: forward.name.clone(), fields }
    }

    pub(crate) fn limits(&self) -> Limits {
        if self.target.each { Limits { events: 1, ..LIMITS } } else { LIMITS }
    }

    pub(crate) fn record(&self, event: &Event, picked: &Picked<'_>, id: &str) -> Vec<u8> {
        let time = Timestamp::from_microsecond(marks::arrived_us(event)).unwrap_or_default().to_string();
        let head = serde_json::json!({"id": id, "topic": self.topic, "offset": event.offset, "time": time}).to_string();
        let mut out = head.strip_suffix('}').unwrap_or(&head).as_bytes().to_vec();
        out.extend_from_slice(b",\"data\":{");
        picked.write(&self.fields, &mut out);
        out.extend_from_slice(b"}}");
        out
    }

    /// The signature is over the second it was made in, a full stop and the body, as `naru-signature: v1=<hex>` says.
    pub(crate) fn request(&self, client: &Client, records: &[&Record], now_s: i64) -> RequestBuilder {
        let mut body = Vec::with_capacity(records.iter().map(|record| record.bytes.len() + 1).sum::<usize>() + 2);
        for (at, record) in records.iter().enumerate() {
            if !self.target.each {
                body.push(if at == 0 { b'[' } else { b',' });
            }
            body.extend_from_slice(&record.bytes);
        }
        if !self.target.each {
            body.push(b']');
        }
        let second = now_s.to_string();
        let signature = hmac_sha256(self.target.secret.expose().as_bytes(), &[second.as_bytes(), b".", &body]);
        let offset = |record: Option<&&Record>| record.map_or(0, |record| record.offset).to_string();
        let request = client
            .post(self.target.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header("naru-first-offset", offset(records.first()))
            .header("naru-last-offset", offset(records.last()))
            .header("naru-timestamp", second)
            .header("naru-signature", format!("v1={}", hex::encode(signature)));
        let names = [("naru-topic", &self.topic), ("naru-forward", &self.forward)];
        // Header values are bytes, so names of any script fit.
        let request =
            names.into_iter().fold(request, |request, (header, name)| request.header(header, name.as_bytes()));
        request.body(body)
    }

    pub(crate) fn judge(&self, reply: &Reply, to: &str) -> Answer {
        match reply.status.as_u16() {
            200..=299 => Answer::Taken(Vec::new()),
            410 => {
                let problem = Problem::new(
                    "topics.forward_gone",
                    format!("{to} answered 410: it wants no more events"),
                )
                .hint(format!(
                    "`naru topic resume {} --forward {}` sends again; or take the forward out of the topic's file.",
                    self.topic, self.forward
                ));
                Answer::Gone(Box::new(problem))
            }
            _ => reply.common(to).unwrap_or_else(|| reply.odd(to)),
        }
    }
}
