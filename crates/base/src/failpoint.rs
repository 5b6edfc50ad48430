//! Named places where a test can kill or fail the process.
//!
//! Owns: reading `NARU_FAILPOINTS` (for example `lake.before_commit=kill@3;store.put.lost=error@/5`) once, and counting visits.
//! Never does anything when the variable is unset: one relaxed load. It is compiled into release builds so that
//! the binary people run is the binary the kill tests kill.

use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Error,
    Panic,
    Sleep(Duration),
}

/// On which visits a point acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Every visit from the first to the last of these, counted from 1.
    Between(u64, u64),
    /// Every so many visits.
    Every(u64),
}

impl When {
    fn parse(text: &str) -> Option<Self> {
        if let Some(every) = text.strip_prefix('/') {
            return every.parse().ok().filter(|every| *every > 0).map(Self::Every);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Self::Between(first.parse().ok()?, last.parse().ok()?))
    }

    fn is_now(self, visit: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Between(first, last) => (first..=last).contains(&visit),
            Self::Every(every) => visit.is_multiple_of(every),
        }
    }
}

#[derive(Debug)]
struct Point {
    action: Action,
    when: When,
    visits: AtomicU64,
}

static POINTS: LazyLock<HashMap<String, Point>> =
    LazyLock::new(|| std::env::var("NARU_FAILPOINTS").map(|text| parse(&text)).unwrap_or_default());

/// `name=action[@when]` joined by `;`. Actions: `kill`, `error`, `panic`, `sleep:<ms>`. When: `3` (the third visit), `3-7` (those
/// visits), `/5` (every fifth). Unknown entries are ignored.
fn parse(text: &str) -> HashMap<String, Point> {
    text.split(';')
        .filter_map(|entry| {
            let (name, rest) = entry.split_once('=')?;
            let (action, when) = match rest.split_once('@') {
                Some((action, when)) => (action, When::parse(when)?),
                None => (rest, When::Always),
            };
            let action = match action.split_once(':') {
                Some(("sleep", ms)) => Action::Sleep(Duration::from_millis(ms.parse().ok()?)),
                _ if action == "kill" => Action::Kill,
                _ if action == "error" => Action::Error,
                _ if action == "panic" => Action::Panic,
                _ => return None,
            };
            Some((name.trim().to_owned(), Point { action, when, visits: AtomicU64::new(0) }))
        })
        .collect()
}

/// Whether any point is armed whose name begins so.
pub fn armed(beginning: &str) -> bool {
    POINTS.keys().any(|name| name.starts_with(beginning))
}

/// Passes a named place. Kills the process without any clean-up, panics, sleeps, or returns `true` for "fail here".
pub fn hit(name: &str) -> bool {
    if POINTS.is_empty() {
        return false;
    }
    let Some(point) = POINTS.get(name) else { return false };
    let visit = point.visits.fetch_add(1, Ordering::Relaxed) + 1;
    if !point.when.is_now(visit) {
        return false;
    }
    match point.action {
        // `abort` runs no destructors and no exit handlers; for the files it leaves it equals kill -9.
        Action::Kill => std::process::abort(),
        Action::Error => true,
        // As a defect of ours would; the process goes on as far as panics are caught.
        Action::Panic => std::panic::resume_unwind(Box::new("failpoint")),
        Action::Sleep(wait) => {
            std::thread::sleep(wait);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failpoints_parse_with_visits_and_ignore_what_they_do_not_know() {
        let points = parse("a=kill@3;b=error;c=sleep:20;d=explode;e;f=error@2-4;g=error@/5;h=error@soon;i=panic");
        assert_eq!(points["a"].action, Action::Kill);
        assert_eq!(points["a"].when, When::Between(3, 3));
        let visits = |name: &str| (1..=10).filter(|visit| points[name].when.is_now(*visit)).collect::<Vec<_>>();
        assert_eq!((visits("f"), visits("g"), visits("b").len()), (vec![2, 3, 4], vec![5, 10], 10));
        assert_eq!(points["b"].action, Action::Error);
        assert_eq!(points["c"].action, Action::Sleep(Duration::from_millis(20)));
        assert_eq!(points["i"].action, Action::Panic);
        assert_eq!(points.len(), 6);
    }
}
