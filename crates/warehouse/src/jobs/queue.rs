//! Which job runs next, as a pure question.
//!
//! Owns: [`next`], [`place`]. Knows nothing of queries; a job is a number and whose it is.

use std::collections::HashMap;

/// How many jobs run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    /// Of everybody.
    pub all: usize,
    /// Of one person.
    pub person: usize,
}

/// The position of the waiting job that may begin now: the first whose person has a lane left, if there is one in all.
pub(super) fn next<'a>(
    waiting: impl IntoIterator<Item = &'a str>,
    running: &HashMap<String, usize>,
    lanes: Lanes,
) -> Option<usize> {
    if running.values().sum::<usize>() >= lanes.all {
        return None;
    }
    let has_lane = |who: &str| running.get(who).copied().unwrap_or(0) < lanes.person;
    waiting.into_iter().position(has_lane)
}

/// The place in the queue of the job at `position`, from 1: how many begin no later than it does, counting jobs of the
/// same person first come first served and leaving out those that wait only for their own person's jobs.
pub(super) fn place<'a>(
    waiting: impl IntoIterator<Item = &'a str>,
    position: usize,
    running: &HashMap<String, usize>,
    lanes: Lanes,
) -> usize {
    let waiting: Vec<&str> = waiting.into_iter().collect();
    let own = waiting.get(position).copied().unwrap_or_default();
    let ahead = waiting
        .iter()
        .take(position)
        .filter(|who| **who == own || running.get(**who).copied().unwrap_or(0) < lanes.person);
    ahead.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: Lanes = Lanes { all: 4, person: 2 };

    fn running(counts: &[(&str, usize)]) -> HashMap<String, usize> {
        counts.iter().map(|(who, count)| ((*who).to_owned(), *count)).collect()
    }

    #[test]
    fn whoever_came_first_runs_first() {
        assert_eq!(next(["kim", "lee"], &running(&[]), LANES), Some(0));
        assert_eq!(next([], &running(&[]), LANES), None);
    }

    #[test]
    fn one_person_leaves_lanes_to_the_others() {
        let two_of_kim = running(&[("kim", 2)]);
        assert_eq!(next(["kim", "kim", "lee", "kim"], &two_of_kim, LANES), Some(2));
        assert_eq!(next(["kim", "kim"], &two_of_kim, LANES), None);
    }

    #[test]
    fn nothing_begins_when_all_lanes_are_taken() {
        assert_eq!(next(["choi"], &running(&[("kim", 2), ("lee", 2)]), LANES), None);
    }

    #[test]
    fn the_place_in_the_queue_counts_who_is_really_ahead() {
        let full = running(&[("kim", 2), ("lee", 2)]);
        let waiting = ["kim", "kim", "choi", "lee"];
        assert_eq!(place(waiting, 0, &full, LANES), 1);
        assert_eq!(place(waiting, 1, &full, LANES), 2);
        // Both of kim's wait for kim's own.
        assert_eq!(place(waiting, 2, &full, LANES), 1);
        assert_eq!(place(waiting, 3, &full, LANES), 2);
    }
}
