//! Named places where a test can kill or fail the process.
//!
//! Owns: reading `NARU_FAILPOINTS` (for example `lake.before_commit=kill@3;sync.before_ack=error`) once, and counting visits.
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
    Sleep(Duration),
}

#[derive(Debug)]
struct Point {
    action: Action,
    on_visit: Option<u64>,
    visits: AtomicU64,
}

static POINTS: LazyLock<HashMap<String, Point>> =
    LazyLock::new(|| std::env::var("NARU_FAILPOINTS").map(|text| parse(&text)).unwrap_or_default());

/// `name=action[@visit]` joined by `;`. Actions: `kill`, `error`, `sleep:<ms>`. Unknown entries are ignored.
fn parse(text: &str) -> HashMap<String, Point> {
    text.split(';')
        .filter_map(|entry| {
            let (name, rest) = entry.split_once('=')?;
            let (action, visit) = rest.split_once('@').map_or((rest, None), |(a, v)| (a, v.parse().ok()));
            let action = match action.split_once(':') {
                Some(("sleep", ms)) => Action::Sleep(Duration::from_millis(ms.parse().ok()?)),
                _ if action == "kill" => Action::Kill,
                _ if action == "error" => Action::Error,
                _ => return None,
            };
            Some((name.trim().to_owned(), Point { action, on_visit: visit, visits: AtomicU64::new(0) }))
        })
        .collect()
}

/// Passes a named place. Kills the process without any clean-up, sleeps, or returns `true` for "fail here".
pub fn hit(name: &str) -> bool {
    if POINTS.is_empty() {
        return false;
    }
    let Some(point) = POINTS.get(name) else { return false };
    let visit = point.visits.fetch_add(1, Ordering::Relaxed) + 1;
    if point.on_visit.is_some_and(|wanted| wanted != visit) {
        return false;
    }
    match point.action {
        // `abort` runs no destructors and no exit handlers; for the files it leaves it equals kill -9.
        Action::Kill => std::process::abort(),
        Action::Error => true,
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
        let points = parse("a=kill@3;b=error;c=sleep:20;d=explode;e");
        assert_eq!(points["a"].action, Action::Kill);
        assert_eq!(points["a"].on_visit, Some(3));
        assert_eq!(points["b"].action, Action::Error);
        assert_eq!(points["c"].action, Action::Sleep(Duration::from_millis(20)));
        assert_eq!(points.len(), 3);
    }
}
