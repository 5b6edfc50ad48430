//! What stands in a queue's message.
//!
//! Owns: the message of SQS's JSON protocol, the envelope that SNS puts around what was published, and the event that
//! comes of both. Whatever the body is, it becomes an event. Never refuses a message.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{marks, topics::Incoming};

/// Attribute with the message's id, by which it is known again: SNS's own where SNS sent it, for that stays the same
/// when SNS sends twice; else the queue's.
pub const MESSAGE_ID: &str = "message_id";
/// Attribute with the queue's own id of the message.
pub const QUEUE_ID: &str = "sqs_message_id";

/// An answer with messages.
#[derive(Debug, Deserialize)]
struct Received {
    #[serde(rename = "Messages", default)]
    messages: Option<Vec<Message>>,
}

/// The messages of the queue's answer, none of an answer without any.
///
/// # Errors
/// The answer is not one of SQS.
pub fn messages(answer: &[u8]) -> Result<Vec<Message>, serde_json::Error> {
    let received: Received = serde_json::from_slice(answer)?;
    Ok(received.messages.unwrap_or_default())
}

/// One message as the queue gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    #[serde(rename = "MessageId")]
    id: String,
    pub(crate) receipt_handle: String,
    #[serde(default)]
    body: String,
    /// The queue's own.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// The sender's.
    #[serde(rename = "MessageAttributes", default)]
    given: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    string_value: Option<String>,
}

/// SNS's envelope; a queue whose subscription delivers raw messages has none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    r#type: String,
    message_id: String,
    topic_arn: String,
    message: String,
    #[serde(default)]
    message_attributes: BTreeMap<String, Given>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    r#type: String,
    value: String,
}

impl Message {
    /// The event of a message, and the id by which both are known again.
    pub fn event(self) -> (String, Incoming) {
        let group = self.attributes.get("MessageGroupId").cloned().unwrap_or_default();
        let notification = serde_json::from_str::<Notification>(&self.body).ok();
        let notification =
            notification.filter(|said| said.r#type == "Notification" && said.topic_arn.starts_with("arn:"));
        let mut attributes = Vec::new();
        let (id, data) = match notification {
            Some(said) => {
                let texts = said.message_attributes.into_iter().filter(|(_, given)| given.r#type != "Binary");
                attributes.extend(texts.map(|(name, given)| (name, given.value)));
                (said.message_id, said.message)
            }
            None => (self.id.clone(), self.body),
        };
        attributes.extend(self.given.into_iter().filter_map(|(name, value)| Some((name, value.string_value?))));
        // Nobody outside speaks for naru, and the ids are the queue's.
        attributes.retain(|(name, _)| !name.starts_with(marks::OWN) && name != MESSAGE_ID && name != QUEUE_ID);
        attributes.push((MESSAGE_ID.to_owned(), id.clone()));
        attributes.push((QUEUE_ID.to_owned(), self.id));
        (id, Incoming { data: data.into(), ordering_key: group, attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: serde_json::Value) -> (String, String, Vec<(String, String)>) {
        let event = serde_json::from_value::<Message>(message).unwrap().event().1;
        (String::from_utf8(event.data.to_vec()).unwrap(), event.ordering_key, event.attributes)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_plain_message_is_its_body() {
        let (data, key, attributes) = event(serde_json::json!({
            "MessageId": "q1", "ReceiptHandle": "r", "Body": "{\"a\":1}", "MD5OfBody": "x",
            "Attributes": {"MessageGroupId": "user-7", "SentTimestamp": "1"},
            "MessageAttributes": {
                "tenant": {"StringValue": "acme", "DataType": "String"},
                "blob": {"BinaryValue": "AAA=", "DataType": "Binary"},
                "naru.replay.sink": {"StringValue": "table", "DataType": "String"},
                "sqs_message_id": {"StringValue": "forged", "DataType": "String"},
            },
        }));
        assert_eq!((data.as_str(), key.as_str()), ("{\"a\":1}", "user-7"));
        assert_eq!(attributes, pairs(&[("tenant", "acme"), ("message_id", "q1"), ("sqs_message_id", "q1")]));
    }

    #[test]
    fn the_envelope_of_sns_is_taken_off() {
        let body = serde_json::json!({
            "Type": "Notification", "MessageId": "n1", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "가나다",
            "Timestamp": "2026-11-23T01:02:03Z", "SignatureVersion": "1", "UnsubscribeURL": "https://x",
            "MessageAttributes": {"kind": {"Type": "String", "Value": "click"}, "b": {"Type": "Binary", "Value": "AA=="}},
        });
        let (data, key, attributes) =
            event(serde_json::json!({"MessageId": "q2", "ReceiptHandle": "r", "Body": body.to_string()}));
        assert_eq!((data.as_str(), key.as_str()), ("가나다", ""));
        assert_eq!(attributes, pairs(&[("kind", "click"), ("message_id", "n1"), ("sqs_message_id", "q2")]));
    }

    #[test]
    fn what_only_looks_like_an_envelope_stays_as_it_is() {
        for body in [
            "",
            "null",
            "{\"Type\":\"Notification\"}",
            "{\"Type\":\"Notification\",\"MessageId\":\"1\",\"TopicArn\":\"x\",\"Message\":\"y\"}",
        ] {
            let (data, ..) = event(serde_json::json!({"MessageId": "q", "ReceiptHandle": "r", "Body": body}));
            assert_eq!(data, body);
        }
    }
}
