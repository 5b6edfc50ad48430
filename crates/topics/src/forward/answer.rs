//! What a receiver's answer means.
//!
//! Owns: [`Answer`] and [`Refusal`], and the reading of what all HTTP receivers say alike. Never acts on an answer.

use std::{borrow::Cow, time::Duration};

use naru_base::Problem;
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

/// Longer waits that a receiver asks for are not believed.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// Characters of a receiver's own words that are shown.
const WORDS_MAX: usize = 200;

/// Why one event was not taken, as its dead letter says it. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A stable code.
    pub(crate) reason: &'static str,
    /// Where in the event.
    pub(crate) path: String,
    /// What would have been right.
    pub(crate) expected: String,
    /// What there was.
    pub(crate) got: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(
        reason: &'static str,
        path: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { reason, path: path.into(), expected: expected.into(), got: got.into() }
    }
}

/// What one request came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Everything was taken, except the events at these places of the request.
    Taken(Vec<(usize, Refusal)>),
    /// The request was too large: send less at once. The refusal is for an event that was alone in it.
    TooLarge(Refusal),
    /// Nothing is known to be taken: send the same again, not before this time.
    Again(Box<Problem>, Option<Duration>),
    /// The receiver does not know us: somebody must change something, and it is tried again seldom.
    Unknown(Box<Problem>),
    /// The receiver wants nothing more.
    Gone(Box<Problem>),
}

/// What was read of an answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// What statuses mean that mean the same everywhere; `None` for those that the receiver's kind decides.
    pub(crate) fn common(&self, to: &str) -> Option<Answer> {
        match self.status.as_u16() {
            413 => {
                let refusal =
                    Refusal::new("forward.too_large", "$", "an event that the receiver takes", "a larger one");
                Some(Answer::TooLarge(refusal))
            }
            429 | 503 => Some(Answer::Again(Box::new(busy(to, self.status)), self.wait())),
            500..=599 | 408 => Some(Answer::Again(Box::new(failed(to, self.status)), self.wait())),
            _ => None,
        }
    }

    /// An answer that naru does not understand: the events may or may not have been taken.
    pub(crate) fn odd(&self, to: &str) -> Answer {
        let problem = Problem::new(
            "topics.forward_answer",
            format!("{to} answered {} and not as it should", self.status.as_u16()),
        )
        .detail("Nothing counts as taken, and the same events are sent again.")
        .hint("Look whether the address is the right one, and whether something answers in its place.")
        .later();
        Answer::Again(Box::new(problem), self.wait())
    }

    /// How long the receiver wants us to wait, in seconds or until a date.
    fn wait(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if let Ok(seconds) = text.parse::<u64>() {
            Duration::from_secs(seconds)
        } else {
            let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(until.duration_since(jiff::Timestamp::now())).ok()?
        };
        Some(wait.min(WAIT_MAX))
    }
}

fn busy(to: &str, status: StatusCode) -> Problem {
    Problem::new("topics.forward_limited", format!("{to} answered {}: it takes no more for now", status.as_u16()))
        .hint("It is sent again by itself; `rate` in the forward keeps below a receiver's limit.")
        .later()
}

fn failed(to: &str, status: StatusCode) -> Problem {
    Problem::new("topics.forward_failed", format!("{to} answered {}", status.as_u16()))
        .hint("It is sent again by itself; the reason stands in the receiver's own log.")
        .later()
}

/// A request that got no answer.
pub(crate) fn unreachable(to: &str, error: &reqwest::Error) -> Problem {
    // The URL may hold a key.
    let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
    let mut reason = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    let problem = Problem::new("topics.forward_unreachable", format!("{to} {what}"));
    let problem = if reason.is_empty() { problem } else { problem.detail(format!("{reason}.")) };
    problem.hint("It is sent again by itself, and nothing is lost meanwhile.").later()
}

/// A receiver that does not know the credentials.
pub(crate) fn unknown(to: &str, status: StatusCode, what: &str) -> Answer {
    let problem = Problem::new(
        "topics.forward_credentials",
        format!("{to} answered {}: it does not know {what}", status.as_u16()),
    )
    .hint("Set the right one, restart naru; it is tried again now and then meanwhile, and nothing is lost.");
    Answer::Unknown(Box::new(problem))
}

/// A receiver's own words, cut short.
pub(crate) fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, retry_after: Option<&str>) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, text.parse().unwrap());
        }
        Reply { status: StatusCode::from_u16(status).unwrap(), headers, body: Vec::new() }
    }

    #[test]
    fn what_a_receiver_asks_for_is_waited_for_within_reason() {
        let wait = |text: &str| match reply(429, Some(text)).common("x") {
            Some(Answer::Again(_, wait)) => wait,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("86400"), Some(WAIT_MAX));
        assert_eq!(wait("Mon, 23 Nov 2099 01:02:03 GMT"), Some(WAIT_MAX));
        assert_eq!(wait("Mon, 23 Nov 1999 01:02:03 GMT"), None);
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn statuses_that_mean_the_same_everywhere_are_read_alike() {
        assert!(matches!(reply(413, None).common("x"), Some(Answer::TooLarge(_))));
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(matches!(reply(status, None).common("x"), Some(Answer::Again(_, None))), "{status}");
        }
        for status in [200, 204, 301, 400, 401, 404, 410] {
            assert!(reply(status, None).common("x").is_none(), "{status}");
        }
    }
}
