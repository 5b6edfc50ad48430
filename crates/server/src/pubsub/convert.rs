//! Pub/Sub's messages from and to what topics know.
//!
//! Owns: the rules for a subscription's settings, and messages on their way in and out. Never stores anything.

use std::collections::HashMap;

use naru_base::number::{i64_from, u64_from_signed};
use naru_topics::{
    Incoming,
    log::Event,
    subscribe::{
        ACK_DEADLINE_DEFAULT_S, ACK_DEADLINE_MAX_S, ATTEMPTS_DEFAULT, BACKOFF_MAX_DEFAULT_MS, BACKOFF_MIN_DEFAULT_MS,
        Backoff, DeadLetters, Delivered, RETENTION_DEFAULT_S, Settings, Subscription,
    },
};
use prost_types::{Duration, Timestamp};
use tonic::Status;

use super::names::{self, Kind};
use crate::generated::google::pubsub::v1 as pb;

/// Shortest and longest lease that a request may ask for, seconds.
const ACK_DEADLINE_MIN_S: u32 = 10;
/// Shortest and longest retention, seconds: 10 minutes, 31 days.
const RETENTION_S: std::ops::RangeInclusive<u64> = 600..=31 * 24 * 3600;
/// Deliveries before a dead letter.
const ATTEMPTS: std::ops::RangeInclusive<i32> = 5..=100;
/// Longest wait of a retry policy, milliseconds.
const BACKOFF_MAX_MS: u64 = 600_000;
/// A subscription that nobody uses would expire after so long at Google, unless it says otherwise; kept for show.
const EXPIRES_AFTER_S: i64 = 31 * 24 * 3600;

/// Attributes of one message.
const ATTRIBUTES_MAX: usize = 100;
const ATTRIBUTE_NAME_BYTES_MAX: usize = 256;
const ATTRIBUTE_VALUE_BYTES_MAX: usize = 1024;
const ORDERING_KEY_BYTES_MAX: usize = 1024;

/// Checks a subscription as its maker wrote it, fills in what it left out, and says how it behaves.
pub(super) fn settings(config: &mut pb::Subscription) -> Result<Settings, Status> {
    if config.ack_deadline_seconds == 0 {
        config.ack_deadline_seconds = i32::try_from(ACK_DEADLINE_DEFAULT_S).unwrap_or(10);
    }
    let ack_deadline_s = deadline(config.ack_deadline_seconds, ACK_DEADLINE_MIN_S)?;
    let default = Duration { seconds: i64_from(RETENTION_DEFAULT_S), nanos: 0 };
    let retention = config.message_retention_duration.get_or_insert(default);
    let retention_s = u64_from_signed(retention.seconds);
    if !RETENTION_S.contains(&retention_s) {
        return Err(invalid("message_retention_duration must be between 600s and 2678400s."));
    }
    let expires = pb::ExpirationPolicy { ttl: Some(Duration { seconds: EXPIRES_AFTER_S, nanos: 0 }) };
    config.expiration_policy.get_or_insert(expires);
    config.push_config.get_or_insert_with(Default::default);
    config.state = i32::from(pb::subscription::State::Active);
    Ok(Settings {
        ack_deadline_s,
        retain_acked: config.retain_acked_messages,
        retention_s,
        ordered: config.enable_message_ordering,
        filter: config.filter.clone(),
        exactly_once: config.enable_exactly_once_delivery,
        dead_letters: dead_letters(config.dead_letter_policy.as_mut())?,
        backoff: backoff(config.retry_policy.as_mut())?,
        detached: config.detached,
        topic_deleted: false,
    })
}

/// A lease's length as a request has it.
pub(super) fn deadline(seconds: i32, least: u32) -> Result<u32, Status> {
    let read = u32::try_from(seconds).ok().filter(|seconds| (least..=ACK_DEADLINE_MAX_S).contains(seconds));
    read.ok_or_else(|| {
        invalid(&format!("Invalid ack deadline: {seconds}s. It must be between {least}s and {ACK_DEADLINE_MAX_S}s."))
    })
}

fn dead_letters(policy: Option<&mut pb::DeadLetterPolicy>) -> Result<Option<DeadLetters>, Status> {
    let Some(policy) = policy else { return Ok(None) };
    if policy.max_delivery_attempts == 0 {
        policy.max_delivery_attempts = i32::try_from(ATTEMPTS_DEFAULT).unwrap_or(5);
    }
    if !ATTEMPTS.contains(&policy.max_delivery_attempts) {
        return Err(invalid("max_delivery_attempts must be between 5 and 100."));
    }
    let topic = names::read(Kind::Topics, &policy.dead_letter_topic)?.id.to_owned();
    Ok(Some(DeadLetters { topic, attempts_max: u32::try_from(policy.max_delivery_attempts).unwrap_or_default() }))
}

fn backoff(policy: Option<&mut pb::RetryPolicy>) -> Result<Option<Backoff>, Status> {
    let Some(policy) = policy else { return Ok(None) };
    let read = |duration: &mut Option<Duration>, default: u64| {
        let default = Duration { seconds: i64_from(default / 1000), nanos: 0 };
        let duration = duration.get_or_insert(default);
        let millis = u64_from_signed(i64::from(duration.nanos)) / 1_000_000;
        let wait = u64_from_signed(duration.seconds).saturating_mul(1000).saturating_add(millis);
        let fits = duration.seconds >= 0 && duration.nanos >= 0 && wait <= BACKOFF_MAX_MS;
        fits.then_some(wait).ok_or_else(|| invalid("A backoff must be between 0s and 600s."))
    };
    let min_ms = read(&mut policy.minimum_backoff, BACKOFF_MIN_DEFAULT_MS)?;
    let max_ms = read(&mut policy.maximum_backoff, BACKOFF_MAX_DEFAULT_MS)?;
    if min_ms > max_ms {
        return Err(invalid("minimum_backoff must not be larger than maximum_backoff."));
    }
    Ok(Some(Backoff { min_ms, max_ms }))
}

/// Checks one message's form and makes it an event.
pub(super) fn incoming(message: pb::PubsubMessage) -> Result<Incoming, Status> {
    if message.data.is_empty() && message.attributes.is_empty() {
        return Err(invalid(
            "One or more messages in the publish request is empty. Each message must contain either non-empty data, \
             or at least one attribute.",
        ));
    }
    if message.attributes.len() > ATTRIBUTES_MAX {
        return Err(invalid("A message has more than 100 attributes."));
    }
    if message.ordering_key.len() > ORDERING_KEY_BYTES_MAX {
        return Err(invalid("An ordering key is longer than 1024 bytes."));
    }
    let mut attributes: Vec<(String, String)> = message.attributes.into_iter().collect();
    attributes.sort_unstable();
    for (name, value) in &attributes {
        if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES_MAX || value.len() > ATTRIBUTE_VALUE_BYTES_MAX {
            return Err(invalid("An attribute's name is empty or longer than 256 bytes, or its value than 1024."));
        }
        if name.starts_with("goog") || name.starts_with("naru.") {
            return Err(invalid("Attribute names must not begin with goog, nor with naru. (with the dot)."));
        }
    }
    Ok(Incoming { data: message.data, ordering_key: message.ordering_key, attributes })
}

/// An event as subscribers see it.
pub(super) fn message(event: &Event) -> pb::PubsubMessage {
    let attributes: HashMap<String, String> =
        event.attributes().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    pb::PubsubMessage {
        data: event.data.clone(),
        attributes,
        message_id: event.offset.to_string(),
        publish_time: Some(timestamp(event.time_us)),
        ordering_key: event.ordering_key().to_owned(),
    }
}

/// A delivery as subscribers see it.
pub(super) fn received(subscription: &Subscription, delivered: &Delivered) -> pb::ReceivedMessage {
    pb::ReceivedMessage {
        ack_id: subscription.ack_text(delivered.ack_id),
        message: Some(message(&delivered.event)),
        delivery_attempt: delivered.attempt.map_or(0, |attempt| i32::try_from(attempt).unwrap_or(i32::MAX)),
    }
}

/// Microseconds since 1970 as a timestamp.
pub(super) fn timestamp(time_us: i64) -> Timestamp {
    let nanos = i32::try_from(time_us.rem_euclid(1_000_000)).unwrap_or(0).saturating_mul(1000);
    Timestamp { seconds: time_us.div_euclid(1_000_000), nanos }
}

/// A timestamp as microseconds since 1970.
pub(super) fn micros(timestamp: Timestamp) -> i64 {
    timestamp.seconds.saturating_mul(1_000_000).saturating_add(i64::from(timestamp.nanos) / 1000)
}

pub(super) fn invalid(message: &str) -> Status {
    Status::invalid_argument(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_subscription_leaves_out_is_filled_in_and_what_is_wrong_is_refused() {
        let mut config = pb::Subscription {
            dead_letter_policy: Some(pb::DeadLetterPolicy {
                dead_letter_topic: "projects/p/topics/dead".to_owned(),
                max_delivery_attempts: 0,
            }),
            retry_policy: Some(pb::RetryPolicy::default()),
            ..Default::default()
        };
        let read = settings(&mut config).unwrap();
        assert_eq!((read.ack_deadline_s, read.retention_s), (10, 604_800));
        assert_eq!(read.dead_letters, Some(DeadLetters { topic: "dead".to_owned(), attempts_max: 5 }));
        assert_eq!(read.backoff, Some(Backoff { min_ms: 10_000, max_ms: 600_000 }));
        assert_eq!(settings(&mut config.clone()).unwrap(), read, "filled in once");
        let wrong: [fn(&mut pb::Subscription); 6] = [
            |config| config.ack_deadline_seconds = 9,
            |config| config.ack_deadline_seconds = 601,
            |config| config.message_retention_duration = Some(Duration { seconds: 599, nanos: 0 }),
            |config| config.dead_letter_policy.as_mut().unwrap().max_delivery_attempts = 4,
            |config| config.retry_policy.as_mut().unwrap().maximum_backoff = Some(Duration { seconds: 601, nanos: 0 }),
            |config| config.retry_policy.as_mut().unwrap().maximum_backoff = Some(Duration { seconds: 1, nanos: 0 }),
        ];
        for (at, change) in wrong.into_iter().enumerate() {
            let mut config = config.clone();
            change(&mut config);
            assert!(settings(&mut config).is_err(), "{at}");
        }
    }

    #[test]
    fn messages_beyond_googles_limits_are_refused() {
        let message = |name: &str, value: &str| pb::PubsubMessage {
            attributes: HashMap::from([(name.to_owned(), value.to_owned())]),
            ..Default::default()
        };
        assert!(incoming(message("a", "")).is_ok());
        for bad in
            [message("", "x"), message("googx", "x"), message("naru.replay.of", "1"), message("a", &"x".repeat(1025))]
        {
            assert!(incoming(bad).is_err());
        }
        assert!(incoming(pb::PubsubMessage::default()).is_err());
        let many = (0..101).map(|n| (n.to_string(), String::new())).collect();
        assert!(incoming(pb::PubsubMessage { attributes: many, ..Default::default() }).is_err());
        let key = pb::PubsubMessage { ordering_key: "k".repeat(1025), data: "x".into(), ..Default::default() };
        assert!(incoming(key).is_err());
    }

    #[test]
    fn times_keep_their_microseconds_on_both_sides_of_1970() {
        for time_us in [0, 1, -1, 1_800_000_000_123_456, -1_500_000] {
            assert_eq!(micros(timestamp(time_us)), time_us);
        }
    }
}
