//! Who sends, and how fast they may.
//!
//! Owns: finding the key of a request, looking it up, and the rate of a sender and a topic. Never stores a key: only
//! its hash is remembered, for a second, so that a revoked key stops within one.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, request::Parts};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use naru_access::{AccessError, Policy, Sender, TOKEN_PREFIX, Tokens};
use naru_topics::log::TopicNo;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::{refusal::Refusal, wire::form};
use crate::signin::request::peer;

/// How long a key that was looked up is trusted without another look.
const TRUST: Duration = Duration::from_secs(1);

/// Keys remembered at once; beyond it all are looked up again.
const REMEMBERED_MAX: usize = 10_000;

/// The key in a request's headers or query: `Authorization: Bearer` or `Basic` (either half), or `?key=`.
pub fn key_of(headers: &HeaderMap, query: &str) -> Option<String> {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, value) = authorization.split_once(' ').unwrap_or_default();
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() {
        return Some(value.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic")
        && let Some(key) = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()).and_then(basic)
    {
        return Some(key);
    }
    form::text(query.as_bytes(), "key").filter(|key| !key.is_empty())
}

/// Segment's libraries send the key as the user, some of Mixpanel's as the password.
fn basic(pair: String) -> Option<String> {
    let (user, password) = pair.split_once(':').unwrap_or((&pair, ""));
    let ours = [user, password].into_iter().find(|part| part.starts_with(TOKEN_PREFIX));
    let any = [user, password].into_iter().find(|part| !part.is_empty());
    ours.or(any).map(str::to_owned)
}

/// Senders by the hash of their key, and when each was looked up.
type Known = HashMap<[u8; 32], (Instant, Arc<Sender>)>;

/// What keys are looked up in.
#[derive(Debug, Clone)]
pub struct KeyBook {
    /// The tokens.
    pub tokens: Tokens,
    /// What their holders may do; asked at every look.
    pub policy: Policy,
    /// Proxies that are believed about whom they ask for.
    pub proxies: Vec<IpAddr>,
}

/// Senders' keys and how fast each sends.
#[derive(Debug)]
pub struct Senders {
    book: KeyBook,
    required: bool,
    rate: Option<u64>,
    known: Mutex<Known>,
    buckets: Mutex<HashMap<(String, TopicNo), Bucket>>,
}

impl Senders {
    /// Keys are looked up in `book`; `rate` is in events a second.
    pub fn new(book: KeyBook, required: bool, rate: Option<u64>) -> Self {
        Self { book, required, rate, known: Mutex::default(), buckets: Mutex::default() }
    }

    /// Where a request comes from; what a declared proxy says of it is believed.
    pub(crate) fn origin(&self, parts: &Parts) -> IpAddr {
        peer(parts, &self.book.proxies)
    }

    /// Who sends, and from where. A key of naru's form must be right also where none is needed; any other text where a
    /// library insists on one is nobody's key then. A key that is used from where it may not come from is wrong.
    pub async fn admit(&self, key: Option<&str>, from: IpAddr) -> Result<Option<Arc<Sender>>, Refusal> {
        match key {
            Some(key) if self.required || key.starts_with(TOKEN_PREFIX) => {
                let found = self.look(key).await?.filter(|sender| may_come(sender, from));
                found.map(Some).ok_or(Refusal::KeyWrong)
            }
            None if self.required => Err(Refusal::KeyMissing),
            Some(_) | None => Ok(None),
        }
    }

    async fn look(&self, key: &str) -> Result<Option<Arc<Sender>>, AccessError> {
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let trusted =
            self.known.lock().get(&hash).filter(|(at, _)| at.elapsed() < TRUST).map(|(_, known)| known.clone());
        if trusted.is_some() {
            return Ok(trusted);
        }
        let found = self.book.tokens.sender(key, &self.book.policy.now()).await?.map(Arc::new);
        let mut known = self.known.lock();
        match &found {
            Some(sender) => {
                if known.len() >= REMEMBERED_MAX {
                    known.clear();
                }
                known.insert(hash, (Instant::now(), Arc::clone(sender)));
            }
            None => drop(known.remove(&hash)),
        }
        Ok(found)
    }

    /// Whether nobody sends without a key.
    pub fn are_required(&self) -> bool {
        self.required
    }

    /// Counts events against the rate of a sender and a topic; those of senders without a key are counted together.
    /// The error is the seconds to wait.
    pub fn pass(&self, sender: Option<&Sender>, topic: TopicNo, events: usize) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let name = sender.map(|sender| sender.name.clone()).unwrap_or_default();
        let mut buckets = self.buckets.lock();
        let bucket = buckets.entry((name, topic)).or_insert_with(|| Bucket::full(rate, Instant::now()));
        bucket.take(rate, events, Instant::now())
    }

    /// The rate, for those who are told that they went beyond it.
    pub fn rate(&self) -> u64 {
        self.rate.unwrap_or_default()
    }
}

fn may_come(sender: &Sender, from: IpAddr) -> bool {
    sender.networks.is_empty() || sender.networks.iter().any(|network| network.holds(from))
}

/// Events that may be sent now; one second's worth at most. A request may go into debt once, so that one larger than
/// a second's worth is possible at all.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: u64, now: Instant) -> Self {
        Self { left: naru_base::number::f64_from(rate), at: now }
    }

    fn take(&mut self, rate: u64, events: usize, now: Instant) -> Result<(), u64> {
        let rate = naru_base::number::f64_from(rate);
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
        if self.left <= 0.0 {
            let wait = Duration::try_from_secs_f64(-self.left / rate).unwrap_or(Duration::from_mins(1));
            return Err(wait.as_secs() + 1);
        }
        self.left -= naru_base::number::f64_from(naru_base::number::u64_from(events));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_each_library_puts_it() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (authorization, query, wanted) in [
            ("Bearer naru_a".to_owned(), "key=b", Some("naru_a")),
            (basic("writekey:"), "", Some("writekey")),
            (basic("naru_a:"), "", Some("naru_a")),
            (basic(":naru_b"), "", Some("naru_b")),
            (basic("service:naru_b"), "", Some("naru_b")),
            (String::new(), "a=1&key=naru_c", Some("naru_c")),
            ("Basic !".to_owned(), "", None),
            (String::new(), "key=", None),
        ] {
            let mut headers = HeaderMap::new();
            if !authorization.is_empty() {
                headers.insert("authorization", authorization.parse().unwrap());
            }
            assert_eq!(key_of(&headers, query).as_deref(), wanted, "{authorization} {query}");
        }
    }

    #[test]
    fn a_sender_gets_its_rate_and_is_told_how_long_to_wait() {
        let began = Instant::now();
        let mut bucket = Bucket::full(10, began);
        assert_eq!(bucket.take(10, 6, began), Ok(()));
        assert_eq!(bucket.take(10, 29, began), Ok(()), "one request may go into debt");
        assert_eq!(bucket.take(10, 1, began), Err(3));
        assert_eq!(bucket.take(10, 1, began + Duration::from_secs(1)), Err(2));
        assert_eq!(bucket.take(10, 1, began + Duration::from_millis(2_600)), Ok(()));
        assert_eq!(bucket.take(10, 10, began + Duration::from_hours(1)), Ok(()));
        assert_eq!(
            bucket.take(10, 1, began + Duration::from_hours(1)),
            Err(1),
            "no more than a second's worth is saved"
        );
    }
}
