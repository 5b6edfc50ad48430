//! A topic of Google Pub/Sub, or of anything that speaks its REST interface.
//!
//! Owns: events as Pub/Sub messages (the fields as a JSON object; the id, the place and what the file names as
//! attributes; the ordering key where the file says so), and what `:publish`
//! answers (<https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish>): at most 1000 messages
//! and 10 MB a request.

use std::path::PathBuf;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use naru_base::Problem;
use naru_project::forward::{Forward, PubSubTarget};
use reqwest::{Client, RequestBuilder, header::CONTENT_TYPE};
use serde::Deserialize;

use super::{
    answer::{Answer, Refusal, Reply, unknown},
    receiver::{Limits, Record},
    record::{Picked, Picker, key},
};
use crate::log::Event;

const LIMITS: Limits = Limits { events: 1_000, bytes: 9_500_000, record_bytes: 9_500_000, one_key: false };

/// A topic somewhere else.
#[derive(Debug)]
pub(crate) struct PubSub {
    target: PubSubTarget,
    topic: String,
    fields: Vec<(usize, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    message_ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Failed {
    error: Reason,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    status: String,
}

impl PubSub {
    pub(crate) fn new(target: PubSubTarget, topic: &str, forward: &Forward, picker: &Picker) -> Self {
        let fields = forward.fields.iter().filter_map(|name| Some((picker.place(name)?, key(name)))).collect();
        Self { target, topic: topic.to_owned(), fields }
    }

    /// Pub/Sub takes one ordering key a request.
    pub(crate) fn limits(&self) -> Limits {
        Limits { one_key: self.target.ordered, ..LIMITS }
    }

    /// What of an event decides in which order it arrives.
    pub(crate) fn ordering_key<'e>(&self, event: &'e Event) -> &'e str {
        if self.target.ordered { event.ordering_key() } else { "" }
    }

    pub(crate) fn record(&self, event: &Event, picked: &Picked<'_>, id: &str) -> Vec<u8> {
        let mut data = vec![b'{'];
        picked.write(&self.fields, &mut data);
        data.push(b'}');
        let mut attributes =
            serde_json::json!({"naru_id": id, "naru_topic": self.topic, "naru_offset": event.offset.to_string()});
        for name in &self.target.attributes {
            if let Some(value) = event.attribute(name) {
                attributes[name] = value.into();
            }
        }
        let mut message = serde_json::json!({"data": BASE64_STANDARD.encode(data), "attributes": attributes});
        let key = self.ordering_key(event);
        if !key.is_empty() {
            message["orderingKey"] = key.into();
        }
        message.to_string().into_bytes()
    }

    /// # Errors
    /// The file with the token cannot be read.
    pub(crate) async fn request(&self, client: &Client, records: &[&Record]) -> Result<RequestBuilder, Problem> {
        let mut body = b"{\"messages\":[".to_vec();
        for (at, record) in records.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&record.bytes);
        }
        body.extend_from_slice(b"]}");
        let PubSubTarget { to, project, topic, token_file, .. } = &self.target;
        let request = client.post(format!("{to}/v1/projects/{project}/topics/{topic}:publish"));
        let request = match token_file {
            Some(file) => request.bearer_auth(token(file).await?),
            None => request,
        };
        Ok(request.header(CONTENT_TYPE, "application/json").body(body))
    }

    pub(crate) fn judge(reply: &Reply, to: &str, sent: usize) -> Answer {
        if let Some(answer) = reply.common(to) {
            return answer;
        }
        match reply.status.as_u16() {
            200 => match serde_json::from_slice::<Published>(&reply.body) {
                Ok(published) if published.message_ids.len() == sent => Answer::Taken(Vec::new()),
                _ => reply.odd(to),
            },
            // Pub/Sub does not say which message it means; the smallest request does.
            400 if says(reply, "INVALID_ARGUMENT") => {
                let expected = "a message that the other topic takes";
                Answer::TooLarge(Refusal::new("pubsub.refused", "$", expected, "one that it refuses"))
            }
            401 | 403 => unknown(to, reply.status, "the token"),
            _ => reply.odd(to),
        }
    }
}

fn says(reply: &Reply, status: &str) -> bool {
    serde_json::from_slice::<Failed>(&reply.body).is_ok_and(|failed| failed.error.status == status)
}

async fn token(file: &PathBuf) -> Result<String, Problem> {
    let read = tokio::fs::read_to_string(file).await;
    read.map(|text| text.trim().to_owned()).map_err(|error| {
        let summary = format!("the token file {} cannot be read", file.display());
        Problem::from_error("topics.forward_token", summary, &error)
            .hint("The file must be readable by the user that runs naru.")
            .later()
    })
}
