//! When marts are due, as a pure question about clocks.
//!
//! Owns: [`due`], [`next_wake`]. Never waits, never stores, never starts a run.
//!
//! A schedule follows the clock on the wall of the project's time zone. A fixed time that the clock skips (spring) is
//! due at the first moment after the gap; one that it shows twice (autumn) is due once, the first time. Times with
//! wildcards in the hour or minute follow the wall: none in the gap, both in the repeated hour. Times that passed while
//! nothing ran are due once, for the latest of them.
//! Read next: [`crate::scheduler`], which acts on it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use naru_base::TableId;
use naru_project::Schedule;

/// A start later than this after its time is a catch-up.
const LATE_AFTER: SignedDuration = SignedDuration::from_secs(90);

/// Looks back this far for missed times. Cron repeats within a year, leap days apart.
const LOOK_BACKS: [SignedDuration; 6] = [
    SignedDuration::from_secs(60),
    SignedDuration::from_secs(3_600),
    SignedDuration::from_secs(86_400),
    SignedDuration::from_secs(32 * 86_400),
    SignedDuration::from_secs(366 * 86_400),
    SignedDuration::from_secs(1_462 * 86_400),
];

/// A mart whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The latest time that has passed.
    pub at: Timestamp,
    /// Whether that is so long ago that something must have kept it from starting.
    pub late: bool,
}

/// The marts that are due: a time of their schedule lies after their last start and not after `now`.
///
/// A mart that `last_started` does not know is new; it is not due, however often its time has passed before.
pub fn due<'a>(
    schedules: impl IntoIterator<Item = (&'a TableId, &'a Schedule)>,
    last_started: &BTreeMap<TableId, Timestamp>,
    now: Timestamp,
) -> BTreeMap<TableId, Due> {
    schedules
        .into_iter()
        .filter_map(|(mart, schedule)| {
            let at = latest_time(schedule, *last_started.get(mart)?, now)?;
            Some((mart.clone(), Due { at, late: now.duration_since(at) > LATE_AFTER }))
        })
        .collect()
}

/// The next time of any schedule after `now`.
pub fn next_wake<'a>(schedules: impl IntoIterator<Item = &'a Schedule>, now: Timestamp) -> Option<Timestamp> {
    schedules.into_iter().filter_map(|schedule| schedule.next_after(now)).min()
}

/// The latest time of a schedule in (`after`, `now`].
fn latest_time(schedule: &Schedule, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let first = |from: Timestamp| schedule.next_after(from).filter(|at| *at <= now);
    // The shortest look-back that finds a time keeps the walk to the latest one short.
    let mut found = LOOK_BACKS.into_iter().find_map(|back| {
        let from = now.checked_sub(back).unwrap_or(Timestamp::MIN);
        first(from.max(after))
    })?;
    while let Some(later) = first(found) {
        found = later;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use naru_project::Zone;

    use super::*;

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::parse(text, &Zone::find(zone).unwrap()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due_one(schedule: &Schedule, last: &str, now: &str) -> Option<(String, bool)> {
        let mart = TableId::new("a", "b");
        let last = [(mart.clone(), at(last))].into();
        let found = due([(&mart, schedule)], &last, at(now));
        found.get(&mart).map(|due| (due.at.to_string(), due.late))
    }

    #[test]
    fn a_mart_is_due_once_its_time_has_come_in_the_projects_zone() {
        let six = schedule("0 6 * * *", "Asia/Seoul");
        assert_eq!(due_one(&six, "2026-11-21T21:00:00Z", "2026-11-22T20:59:59Z"), None);
        let due = Some(("2026-11-22T21:00:00Z".to_owned(), false));
        assert_eq!(due_one(&six, "2026-11-21T21:00:00Z", "2026-11-22T21:00:00Z"), due);
        assert_eq!(due_one(&six, "2026-11-22T21:00:00Z", "2026-11-22T21:00:01Z"), None);
    }

    #[test]
    fn times_missed_while_down_are_due_once_for_the_latest() {
        let six = schedule("0 6 * * *", "Asia/Seoul");
        let due = Some(("2026-11-20T21:00:00Z".to_owned(), true));
        assert_eq!(due_one(&six, "2026-09-01T00:00:00Z", "2026-11-21T20:00:00Z"), due);
        let minutes = schedule("* * * * *", "UTC");
        let due = Some(("2026-11-22T00:00:00Z".to_owned(), false));
        assert_eq!(due_one(&minutes, "2001-01-01T00:00:00Z", "2026-11-22T00:00:30Z"), due);
        let leap = schedule("0 0 29 2 *", "UTC");
        let due = Some(("2024-02-29T00:00:00Z".to_owned(), true));
        assert_eq!(due_one(&leap, "2020-01-01T00:00:00Z", "2026-11-22T00:00:30Z"), due);
    }

    #[test]
    fn a_new_schedule_is_not_due_for_the_past() {
        let mart = TableId::new("a", "b");
        let six = schedule("0 6 * * *", "UTC");
        assert!(due([(&mart, &six)], &BTreeMap::new(), at("2026-11-22T07:00:00Z")).is_empty());
    }

    #[test]
    fn a_fixed_time_in_the_spring_gap_is_due_when_the_gap_ends() {
        // New York springs from 02:00 to 03:00 (07:00Z) on 2026-03-08.
        let half_past_two = schedule("30 2 * * *", "America/New_York");
        let due = Some(("2026-03-08T07:00:00Z".to_owned(), false));
        assert_eq!(due_one(&half_past_two, "2026-03-07T08:00:00Z", "2026-03-08T07:00:10Z"), due);
        assert_eq!(due_one(&half_past_two, "2026-03-08T07:00:10Z", "2026-03-09T06:29:59Z"), None);
    }

    #[test]
    fn a_fixed_time_in_the_autumn_overlap_is_due_once_and_a_wildcard_twice() {
        // New York falls from 02:00 to 01:00 (06:00Z) on 2026-11-01: 01:30 is 05:30Z and again 06:30Z.
        let half_past_one = schedule("30 1 * * *", "America/New_York");
        let due = Some(("2026-11-01T05:30:00Z".to_owned(), false));
        assert_eq!(due_one(&half_past_one, "2026-10-31T06:00:00Z", "2026-11-01T05:30:00Z"), due);
        assert_eq!(due_one(&half_past_one, "2026-11-01T05:30:00Z", "2026-11-01T12:00:00Z"), None);
        let every_half_hour = schedule("0,30 * * * *", "America/New_York");
        let due = Some(("2026-11-01T06:30:00Z".to_owned(), false));
        assert_eq!(due_one(&every_half_hour, "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z"), due);
    }

    #[test]
    fn naru_sleeps_until_the_earliest_schedule() {
        let schedules = [schedule("0 6 * * *", "Asia/Seoul"), schedule("30 5 * * *", "Asia/Seoul")];
        let wake = next_wake(&schedules, at("2026-11-22T00:00:00Z"));
        assert_eq!(wake, Some(at("2026-11-22T20:30:00Z")));
        assert_eq!(next_wake([], at("2026-11-22T00:00:00Z")), None);
    }
}
