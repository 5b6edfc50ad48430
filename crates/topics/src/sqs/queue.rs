//! Calls to a queue, in SQS's JSON protocol.
//!
//! Owns: receiving and deleting, signed, and what refusals mean. Never decides when a message may be deleted.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use naru_base::Problem;
use naru_project::sqs::SqsInput;
use reqwest::{
    Client,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    envelope::{Message, messages},
    sign::{Signer, stamp},
};

/// Messages of one call, at most; the protocol's own limit.
pub(crate) const MESSAGES_MAX: usize = 10;
/// How long a call may wait for messages, seconds; the protocol's own limit.
const WAIT_S: u32 = 20;
/// For an answer beyond the wait.
pub(crate) const ANSWER: Duration = Duration::from_secs(40);
const JSON: &str = "application/x-amz-json-1.0";

/// One queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    client: Client,
    signer: Signer,
    session_token: Option<naru_base::Secret>,
    endpoint: String,
    host: String,
    url: String,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    /// Somebody must change something.
    pub(crate) lasting: bool,
}

#[derive(Debug, Deserialize)]
struct Deleted {
    #[serde(rename = "Failed", default)]
    failed: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(rename = "__type", default)]
    kind: String,
}

impl Queue {
    pub(crate) fn new(client: Client, input: &SqsInput) -> Self {
        let signer = Signer {
            access_key: input.access_key.clone(),
            secret_key: input.secret_key.clone(),
            region: input.region.clone(),
            service: "sqs",
        };
        let rest = input.endpoint.split_once("://").map_or(input.endpoint.as_str(), |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        // The standard port is not part of the header, so it is not signed.
        let standard = if input.endpoint.starts_with("https://") { ":443" } else { ":80" };
        let host = host.strip_suffix(standard).unwrap_or(host).to_owned();
        let (endpoint, url) = (input.endpoint.clone(), input.queue.clone());
        Self { client, signer, session_token: input.session_token.clone(), endpoint, host, url }
    }

    /// Waits for messages; none after a while without any.
    pub(crate) async fn receive(&self) -> Result<Vec<Message>, Refused> {
        let body = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": MESSAGES_MAX,
            "WaitTimeSeconds": WAIT_S,
            "MessageSystemAttributeNames": ["MessageGroupId"],
            "MessageAttributeNames": ["All"],
        });
        let answer = self.call("ReceiveMessage", &body).await?;
        messages(&answer).map_err(|_| self.odd())
    }

    /// Deletes messages by their receipts; answers how many were not deleted, which the queue will give again.
    pub(crate) async fn delete(&self, receipts: &[String]) -> Result<usize, Refused> {
        let entry = |(at, receipt): (usize, &String)| json!({"Id": at.to_string(), "ReceiptHandle": receipt});
        let entries: Vec<Value> = receipts.iter().enumerate().map(entry).collect();
        let answer = self.call("DeleteMessageBatch", &json!({"QueueUrl": self.url, "Entries": entries})).await?;
        let deleted: Deleted = serde_json::from_slice(&answer).map_err(|_| self.odd())?;
        Ok(deleted.failed.map_or(0, |failed| failed.len()))
    }

    async fn call(&self, action: &str, body: &Value) -> Result<Bytes, Refused> {
        let (body, target, stamp) = (body.to_string(), format!("AmazonSQS.{action}"), stamp(Timestamp::now()));
        let mut headers = vec![("content-type", JSON), ("host", &self.host), ("x-amz-date", &stamp)];
        if let Some(token) = &self.session_token {
            headers.push(("x-amz-security-token", token.expose()));
        }
        headers.push(("x-amz-target", &target));
        let authorization = self.signer.authorization("/", &headers, body.as_bytes(), &stamp);
        let mut request = self.client.post(format!("{}/", self.endpoint)).header(AUTHORIZATION, authorization);
        for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host" && *name != "content-type") {
            request = request.header(name, value);
        }
        let sent = request.header(CONTENT_TYPE, JSON).body(body).send().await;
        let response = sent.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok(bytes);
        }
        let said: Said = serde_json::from_slice(&bytes).unwrap_or_default();
        let kind = said.kind.rsplit('#').next().unwrap_or_default();
        Err(self.refused(status.as_u16(), if kind.is_empty() { "no reason" } else { kind }))
    }

    fn odd(&self) -> Refused {
        self.refused(200, "no JSON of SQS")
    }

    fn unreachable(&self, error: &reqwest::Error) -> Refused {
        let problem = Problem::from_error("topics.sqs_unreachable", format!("{} cannot be reached", self.host), error)
            .hint("It is tried again by itself; the queue keeps its messages.")
            .later();
        Refused { problem, lasting: false }
    }

    fn refused(&self, status: u16, kind: &str) -> Refused {
        let hint = match kind {
            "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => {
                Some("Compare `queue` and `region` in the topic's file with the queue's page.")
            }
            "AccessDenied" | "AccessDeniedException" => {
                Some("The key's policy must allow sqs:ReceiveMessage and sqs:DeleteMessage on this queue.")
            }
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidSecurity"
            | "ExpiredToken"
            | "ExpiredTokenException" => {
                Some("Set another key in the variables that the topic's file names, then restart naru.")
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestExpired" => {
                Some("Look at the secret key, and at this machine's clock.")
            }
            _ if status == 401 || status == 403 => Some("Look at the key that the topic's file names."),
            _ => None,
        };
        let kind: String = kind.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(80).collect();
        let problem = Problem::new("topics.sqs_refused", format!("{} answered {status}: {kind}", self.host));
        let problem = problem.hint(hint.unwrap_or("It is tried again by itself; the queue keeps its messages."));
        Refused { problem: if hint.is_none() { problem.later() } else { problem }, lasting: hint.is_some() }
    }
}
