//! What an SQS queue answers.
//!
//! Owns: its target, and what must hold for any bytes: nobody outside speaks for naru, every event has its ids once, and
//! a body that is no envelope of SNS stays as it is.
//! Read next: `crates/topics/src/sqs/envelope.rs`.

use naru_topics::{Incoming, marks, sqs};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::Target;

/// Answers with messages, and bodies of messages.
pub const SQS: Target = Target { name: "sqs", seeds, words: WORDS, run };

const WORDS: &[&[u8]] = &[
    b"\"Messages\":[",
    b"\"MessageId\":\"",
    b"\"ReceiptHandle\":\"r\"",
    b"\"Body\":\"",
    b"\"MessageAttributes\":{",
    b"\"StringValue\":\"",
    b"\"naru.replay.of\":",
    b"\\\"Type\\\":\\\"Notification\\\"",
    b"\"Type\":\"Notification\"",
    b"\"TopicArn\":\"arn:",
    b"\"Message\":\"",
    b"\"Type\":\"Binary\"",
    b"null",
    b"}",
    b"]",
];

fn seeds() -> Vec<Vec<u8>> {
    let envelope = json!({
        "Type": "Notification", "MessageId": "n1", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "{\"a\":1}",
        "MessageAttributes": {"kind": {"Type": "String", "Value": "click"}, "naru.x": {"Type": "String", "Value": "y"}},
    });
    let attributes = json!({"tenant": {"StringValue": "acme"}, "sqs_message_id": {"StringValue": "forged"}});
    let message = |body: &str| {
        json!({"MessageId": "q1", "ReceiptHandle": "r", "Body": body, "MessageAttributes": attributes,
            "Attributes": {"MessageGroupId": "user-7"}})
    };
    let answers = [json!({"Messages": [message("{\"a\":1}"), message(&envelope.to_string())]}), json!({}), envelope];
    answers.into_iter().map(|answer| answer.to_string().into_bytes()).collect()
}

fn run(input: &[u8]) -> u64 {
    let told = sqs::messages(input).map(|messages| messages.into_iter().map(checked).collect::<Vec<_>>());
    // The same bytes as what a sender put into a message.
    let body = String::from_utf8_lossy(input).into_owned();
    let answer = json!({"Messages": [{"MessageId": "q", "ReceiptHandle": "r", "Body": body}]}).to_string();
    let message = sqs::messages(answer.as_bytes()).unwrap().pop().unwrap();
    let event = checked(message);
    if serde_json::from_str::<serde_json::Value>(&body).is_err() {
        assert_eq!(event.data, body.as_bytes(), "a body that is no envelope");
    }
    let unwrapped = event.data != body.as_bytes();
    let seen = told.map(|events| events.iter().map(|event| event.attributes.len()).collect::<Vec<_>>());
    xxh3_64(format!("{:?} {unwrapped} {}", seen.map_err(|error| error.classify()), event.attributes.len()).as_bytes())
}

fn checked(message: sqs::Message) -> Incoming {
    let (id, event) = message.event();
    let of = |name: &str| event.attributes.iter().filter(|(known, _)| known == name).collect::<Vec<_>>();
    assert!(!event.attributes.iter().any(|(name, _)| name.starts_with(marks::OWN)), "{:?}", event.attributes);
    assert!(of(sqs::MESSAGE_ID).len() == 1 && of(sqs::QUEUE_ID).len() == 1, "{:?}", event.attributes);
    assert_eq!(of(sqs::MESSAGE_ID)[0].1, id);
    event
}
