//! Events of a topic as they come in.
//!
//! Owns: what a reader wants to see, finding where to begin, and sending no more than a page can show. Never holds the
//! log: a tail that is too slow leaves events out and says how many.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, Query, State},
    response::sse::{Event as Sent, Sse},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{Stream, StreamExt as _, stream};
use naru_access::Action;
use naru_base::number::{u64_from, usize_from};
use naru_topics::log::{Event, LogError, TopicLog, TopicNo};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use utoipa::IntoParams;

use super::{port, read::time, topic};
use crate::{
    api::{Api, ApiProblem, frame::events::states, views::time_text},
    signin::caller::Caller,
};

/// Bytes read from the log at once.
const READ_BYTES: usize = 256 << 10;
/// Events sent together, and how far apart these lots are.
const LOT: usize = 100;
const APART: Duration = Duration::from_millis(250);
/// Events before the end with which a tail begins that names no beginning.
const BEGIN_BACK: u64 = 50;
/// Bytes of one event that are shown.
const SHOWN_BYTES: usize = 8 << 10;
/// A tail that is so many events behind jumps to the end.
const BEHIND_MAX: u64 = 20_000;
/// How long a tail without events waits before it says how far it has looked.
const QUIET: Duration = Duration::from_secs(5);

/// Which events are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
pub struct Wanted {
    /// Only those of this ordering key.
    key: Option<String>,
    /// Only those whose bytes contain this text.
    contains: Option<String>,
    /// Only JSON objects that have this value at this path: `user.id=7`.
    json: Option<String>,
    /// From the first event accepted at or after this time on; RFC 3339.
    since: Option<String>,
    /// From this offset on.
    from: Option<u64>,
}

/// Some events, in order.
#[derive(Debug, Serialize)]
pub struct Lot {
    events: Vec<Shown>,
    /// Where the tail goes on.
    next: u64,
    /// Offset of the next event of the topic.
    end: u64,
    /// Events that were looked at and are not wanted, since the last lot.
    passed: u64,
    /// Events that were left out because more came than can be shown, or that are no longer on the log.
    left_out: u64,
}

/// One event.
#[derive(Debug, Serialize)]
pub struct Shown {
    offset: u64,
    at: String,
    key: String,
    attributes: Vec<(String, String)>,
    /// As text, where it is UTF-8.
    text: Option<String>,
    /// In base64, where it is not.
    base64: Option<String>,
    /// Bytes of all of it; what is shown may be less.
    bytes: u64,
}

impl Shown {
    fn of(event: &Event) -> Self {
        let shown = event.data.get(..SHOWN_BYTES).unwrap_or(&event.data);
        // A letter that is cut in the middle is no reason to show bytes.
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() => {
                shown.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok())
            }
            Err(_) => None,
        };
        Self {
            offset: event.offset,
            at: time_text(event.time_us),
            key: event.ordering_key().to_owned(),
            attributes: event.attributes().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            base64: text.is_none().then(|| STANDARD.encode(shown)),
            text: text.map(str::to_owned),
            bytes: u64_from(event.data.len()),
        }
    }
}

impl Wanted {
    fn takes(&self, event: &Event) -> bool {
        let key = self.key.as_deref().is_none_or(|key| key.is_empty() || event.ordering_key() == key);
        let contains = self.contains.as_deref().is_none_or(|text| {
            text.is_empty() || event.data.windows(text.len()).any(|window| window == text.as_bytes())
        });
        let json = self.json.as_deref().is_none_or(|wanted| wanted.is_empty() || has(&event.data, wanted));
        key && contains && json
    }
}

/// Whether a JSON object has a value at a path, written `a.b=7`; without `=`, whether it has the path.
fn has(data: &[u8], wanted: &str) -> bool {
    let Ok(whole) = serde_json::from_slice::<Value>(data) else { return false };
    let (path, value) = wanted.split_once('=').map_or((wanted, None), |(path, value)| (path, Some(value)));
    let mut at = &whole;
    for step in path.trim().trim_start_matches("$.").split('.') {
        let next = match at {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            other => other.get(step),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    value.is_none_or(|value| match at {
        Value::String(text) => text == value,
        Value::Object(_) | Value::Array(_) => false,
        number_or_word => {
            let text = number_or_word.to_string();
            text == value
        }
    })
}

/// The first offset accepted at or after a time.
async fn offset_at(log: &dyn TopicLog, topic: TopicNo, time_us: i64) -> Result<u64, LogError> {
    let bounds = log.bounds(topic);
    let (mut low, mut high) = (bounds.start, bounds.end);
    while low < high {
        let middle = low + (high - low) / 2;
        let read = log.read(topic, middle, 1).await?;
        match read.events.first() {
            Some(event) if event.time_us < time_us => low = event.offset + 1,
            Some(_) => high = middle,
            None => low = high,
        }
    }
    Ok(low)
}

struct Tail {
    log: Arc<dyn TopicLog>,
    topic: TopicNo,
    wanted: Wanted,
    next: u64,
    not_before: Instant,
    first: bool,
}

/// Sends events as event `state`, from the last ones on, as they come in.
#[utoipa::path(get, path = "/api/v1/topics/{topic}/tail", operation_id = "get_topics_topic_tail", tag = "topics",
    params(("topic" = String, Path), Wanted),
    responses((status = 200, description = "Server-sent events: `state` with events, where the tail goes on, and how \
    many were left out"), (status = 404)))]
pub(super) async fn tail(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, ApiProblem> {
    let handle = topic(&api, &caller, Action::View, &name)?;
    let log = port(&api, &name)?.topics().log();
    let bounds = log.bounds(handle.number());
    let next = match (wanted.from, &wanted.since) {
        (Some(from), _) => from,
        (None, Some(since)) => {
            let found = offset_at(&*log, handle.number(), time(since)?).await;
            found.map_err(|error| ApiProblem::from(error.problem()))?
        }
        (None, None) => bounds.end.saturating_sub(BEGIN_BACK),
    };
    let next = next.clamp(bounds.start, bounds.end);
    let tail = Tail { log, topic: handle.number(), wanted, next, not_before: Instant::now(), first: true };
    let lots = stream::unfold(tail, async |mut tail| {
        let lot = tail.lot().await?;
        Some((lot, tail))
    });
    Ok(states(lots.boxed()))
}

impl Tail {
    /// The next events that are wanted; an empty lot says how far the tail has looked. `None` when the log fails.
    async fn lot(&mut self) -> Option<Lot> {
        sleep_until(self.not_before).await;
        let mut lot = Lot { events: Vec::new(), next: self.next, end: 0, passed: 0, left_out: 0 };
        let end = self.log.bounds(self.topic).end;
        if end.saturating_sub(self.next) > BEHIND_MAX && self.wanted.from.is_none() && self.wanted.since.is_none() {
            lot.left_out = end - self.next - BEGIN_BACK;
            self.next = end - BEGIN_BACK;
        }
        if !std::mem::take(&mut self.first) && end <= self.next {
            // Nothing new within that time is said too.
            let _waited = timeout(QUIET, self.log.grown(self.topic, self.next)).await;
        }
        let until = Instant::now() + APART;
        while lot.events.len() < LOT && Instant::now() < until {
            let read = self.log.read(self.topic, self.next, READ_BYTES).await.ok()?;
            lot.left_out += read.gaps.iter().map(|gap| gap.offsets.end - gap.offsets.start).sum::<u64>();
            let done = read.events.is_empty();
            self.next = self.take(read.events, read.next, &mut lot);
            if done {
                break;
            }
        }
        (lot.next, lot.end) = (self.next, self.log.bounds(self.topic).end);
        self.not_before = until;
        Some(lot)
    }

    /// Puts events that are wanted into the lot until it is full, and says where to go on.
    fn take(&self, events: Vec<Event>, next: u64, lot: &mut Lot) -> u64 {
        for event in events {
            if lot.events.len() >= LOT {
                return event.offset;
            }
            if self.wanted.takes(&event) {
                lot.events.push(Shown::of(&event));
            } else {
                lot.passed += 1;
            }
        }
        next.max(self.next)
    }
}

/// As text where it is UTF-8, and in base64 always; cut where it is long.
pub(super) fn raw(data: &[u8]) -> (Option<String>, String) {
    let shown = data.get(..usize_from(RAW_BYTES)).unwrap_or(data);
    (std::str::from_utf8(data).ok().filter(|_| shown.len() == data.len()).map(str::to_owned), STANDARD.encode(shown))
}

/// Bytes of a dead letter that are shown.
pub(super) const RAW_BYTES: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_over_json_asks_for_a_path_and_its_value() {
        let data = br#"{"user": {"id": 7, "name": "kim"}, "items": [{"sku": "A"}]}"#;
        for (wanted, takes) in [
            ("user.id=7", true),
            ("$.user.name=kim", true),
            ("user.name", true),
            ("items.0.sku=A", true),
            ("user.id=8", false),
            ("user.age", false),
        ] {
            assert_eq!(has(data, wanted), takes, "{wanted}");
        }
        assert!(!has(b"no json", "a"));
    }
}
