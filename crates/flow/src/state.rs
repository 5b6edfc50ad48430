//! The states of one mart in one run, and the only function that moves between them.
//!
//! Owns: [`NodeState`], [`Event`], [`step`]. Never stores, waits or looks at other marts.
//! Read next: [`crate::board`], which decides when events happen; [`crate::journal`], which stores them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where one mart stands in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Set when the run begins or is resumed. Something above it has not ended yet. Restart: interrupted.
    Waiting,
    /// Set by the run: everything it reads is there. Restart: interrupted.
    Ready,
    /// Set by the run: it has asked for a slot. Restart: interrupted.
    Queued,
    /// Set by the worker, with a new attempt: the query runs into staging. Restart: settled by the Delta log.
    Running,
    /// Set by the worker, with rows and bytes: staged, visible to nobody. Restart: settled by the Delta log.
    Staged,
    /// Set by the worker: checks run over the staged rows; verdicts are stored. Restart: settled by the Delta log.
    Auditing,
    /// Set by the worker before the one commit; can no longer be cancelled. Restart: settled by the Delta log.
    Committing,
    /// Set by the worker or by settling, with the published version. Kept by a restart.
    Done,
    /// Set by the worker with the reason: a passing failure, to be tried again after a wait. Restart: interrupted.
    RetryWait,
    /// Set by the worker with the reason. Kept by a restart; resume runs it again.
    Failed,
    /// Set by the worker: it took longer than its limit. Kept by a restart; resume runs it again.
    TimedOut,
    /// Set by the run when a person cancelled. Kept by a restart; resume runs it again.
    Cancelled,
    /// Set by the worker (a check failed; the earlier table stays) or by the run (a mart that it reads did not get
    /// done). The cause says which. Kept by a restart; resume runs it again.
    Blocked,
    /// Set by a person, or by resume when the mart's file is gone. What lies below goes on with the earlier table.
    Skipped,
    /// Set by a person: take it as done. What lies below goes on with the earlier table.
    MarkedDone,
    /// Set by settling: the process died before the commit. Resume runs it again.
    Interrupted,
}

impl NodeState {
    /// Every state, in the order of a mart's life.
    pub const ALL: [Self; 16] = [
        Self::Waiting,
        Self::Ready,
        Self::Queued,
        Self::Running,
        Self::Staged,
        Self::Auditing,
        Self::Committing,
        Self::Done,
        Self::RetryWait,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Blocked,
        Self::Skipped,
        Self::MarkedDone,
        Self::Interrupted,
    ];

    /// The word in the state database, in JSON and on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Staged => "staged",
            Self::Auditing => "auditing",
            Self::Committing => "committing",
            Self::Done => "done",
            Self::RetryWait => "retry_wait",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
            Self::Skipped => "skipped",
            Self::MarkedDone => "marked_done",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state that [`Self::word`] stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// What this state means for the run and for the marts below.
    pub fn stage(self) -> Stage {
        match self {
            Self::Waiting | Self::Ready | Self::Queued | Self::RetryWait => Stage::Pending,
            Self::Running | Self::Staged | Self::Auditing | Self::Committing => Stage::Working,
            Self::Done | Self::Skipped | Self::MarkedDone => Stage::EndedWell,
            Self::Failed | Self::TimedOut | Self::Cancelled | Self::Blocked | Self::Interrupted => Stage::EndedBadly,
        }
    }

    /// Whether nothing more happens to the mart in this run unless someone resumes it.
    pub fn ended(self) -> bool {
        matches!(self.stage(), Stage::EndedWell | Stage::EndedBadly)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The four things a state can mean to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not begun, or between two tries.
    Pending,
    /// An attempt is in flight.
    Working,
    /// Ended; marts below may run.
    EndedWell,
    /// Ended; marts below that read it are blocked.
    EndedBadly,
}

/// What happens to a mart in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Everything above it has ended well.
    UpstreamDone,
    /// Something that it reads has ended badly.
    UpstreamLost,
    /// It asks for a slot.
    Admitted,
    /// A slot is free and an attempt begins.
    Started,
    /// The query has ended and its rows are staged.
    RowsStaged,
    /// The first check begins.
    AuditBegan,
    /// No check blocks, and the commit begins.
    AuditPassed,
    /// A blocking check found rows or could not run.
    AuditBlocked,
    /// The commit is in the log.
    Published,
    /// It failed in a way that may pass, and tries are left.
    FailedForNow,
    /// The wait before the next try is over.
    RetryDue,
    /// It failed for good.
    FailedForGood,
    /// It took longer than its limit.
    RanOutOfTime,
    /// A person cancelled the run.
    CancelAsked,
    /// The process that ran it died before the commit.
    ProcessDied,
    /// A person, or a vanished file, takes it out of the run.
    SkipAsked,
    /// A person takes it as done.
    MarkAsked,
    /// Resume runs it again.
    Resumed,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 18] = [
        Self::UpstreamDone,
        Self::UpstreamLost,
        Self::Admitted,
        Self::Started,
        Self::RowsStaged,
        Self::AuditBegan,
        Self::AuditPassed,
        Self::AuditBlocked,
        Self::Published,
        Self::FailedForNow,
        Self::RetryDue,
        Self::FailedForGood,
        Self::RanOutOfTime,
        Self::CancelAsked,
        Self::ProcessDied,
        Self::SkipAsked,
        Self::MarkAsked,
        Self::Resumed,
    ];

    /// The word in the event table.
    pub fn word(self) -> &'static str {
        match self {
            Self::UpstreamDone => "upstream_done",
            Self::UpstreamLost => "upstream_lost",
            Self::Admitted => "admitted",
            Self::Started => "started",
            Self::RowsStaged => "rows_staged",
            Self::AuditBegan => "audit_began",
            Self::AuditPassed => "audit_passed",
            Self::AuditBlocked => "audit_blocked",
            Self::Published => "published",
            Self::FailedForNow => "failed_for_now",
            Self::RetryDue => "retry_due",
            Self::FailedForGood => "failed_for_good",
            Self::RanOutOfTime => "ran_out_of_time",
            Self::CancelAsked => "cancel_asked",
            Self::ProcessDied => "process_died",
            Self::SkipAsked => "skip_asked",
            Self::MarkAsked => "mark_asked",
            Self::Resumed => "resumed",
        }
    }
}

/// The state after `event`, or none where the event cannot happen in that state.
pub fn step(state: NodeState, event: Event) -> Option<NodeState> {
    match event {
        Event::UpstreamDone => from(state, &[NodeState::Waiting], NodeState::Ready),
        Event::UpstreamLost => from(state, &[NodeState::Waiting], NodeState::Blocked),
        Event::Admitted => from(state, &[NodeState::Ready], NodeState::Queued),
        Event::Started => from(state, &[NodeState::Queued], NodeState::Running),
        Event::RowsStaged => from(state, &[NodeState::Running], NodeState::Staged),
        Event::AuditBegan => from(state, &[NodeState::Staged], NodeState::Auditing),
        Event::AuditPassed => from(state, &[NodeState::Auditing], NodeState::Committing),
        Event::AuditBlocked => from(state, &[NodeState::Auditing], NodeState::Blocked),
        // Settling finds the commit of an attempt whose later states never reached the disk.
        Event::Published => from(state, WORKING, NodeState::Done),
        Event::FailedForNow => from(state, WORKING, NodeState::RetryWait),
        Event::RetryDue => from(state, &[NodeState::RetryWait], NodeState::Queued),
        // Ready: an input does not exist, so no attempt is made.
        Event::FailedForGood => either(state, &[&[NodeState::Ready], WORKING], NodeState::Failed),
        Event::RanOutOfTime => from(state, BEFORE_COMMIT, NodeState::TimedOut),
        Event::CancelAsked => either(state, &[PENDING, BEFORE_COMMIT], NodeState::Cancelled),
        Event::ProcessDied => either(state, &[PENDING, WORKING], NodeState::Interrupted),
        Event::SkipAsked => either(state, &[PENDING, ENDED_BADLY], NodeState::Skipped),
        Event::MarkAsked => either(state, &[PENDING, ENDED_BADLY], NodeState::MarkedDone),
        Event::Resumed => either(state, &[ENDED_BADLY, ENDED_WELL], NodeState::Waiting),
    }
}

const PENDING: &[NodeState] = &[NodeState::Waiting, NodeState::Ready, NodeState::Queued, NodeState::RetryWait];
const BEFORE_COMMIT: &[NodeState] = &[NodeState::Running, NodeState::Staged, NodeState::Auditing];
const WORKING: &[NodeState] = &[NodeState::Running, NodeState::Staged, NodeState::Auditing, NodeState::Committing];
const ENDED_WELL: &[NodeState] = &[NodeState::Done, NodeState::Skipped, NodeState::MarkedDone];
const ENDED_BADLY: &[NodeState] =
    &[NodeState::Failed, NodeState::TimedOut, NodeState::Cancelled, NodeState::Blocked, NodeState::Interrupted];

fn from(state: NodeState, allowed: &[NodeState], to: NodeState) -> Option<NodeState> {
    allowed.contains(&state).then_some(to)
}

fn either(state: NodeState, allowed: &[&[NodeState]], to: NodeState) -> Option<NodeState> {
    allowed.iter().any(|states| states.contains(&state)).then_some(to)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_leads_back_to_its_state() {
        for state in NodeState::ALL {
            assert_eq!(NodeState::from_word(state.word()), Some(state));
        }
        assert_eq!(NodeState::from_word("sleeping"), None);
        let words: BTreeSet<_> = Event::ALL.into_iter().map(Event::word).collect();
        assert_eq!(words.len(), Event::ALL.len());
    }

    #[test]
    fn the_lists_of_states_agree_with_what_the_states_mean() {
        for state in NodeState::ALL {
            assert_eq!(PENDING.contains(&state), state.stage() == Stage::Pending, "{state}");
            assert_eq!(WORKING.contains(&state), state.stage() == Stage::Working, "{state}");
            assert_eq!(ENDED_WELL.contains(&state), state.stage() == Stage::EndedWell, "{state}");
            assert_eq!(ENDED_BADLY.contains(&state), state.stage() == Stage::EndedBadly, "{state}");
        }
    }

    #[test]
    fn a_mart_that_goes_well_passes_every_station_in_order() {
        let events = [
            Event::UpstreamDone,
            Event::Admitted,
            Event::Started,
            Event::RowsStaged,
            Event::AuditBegan,
            Event::AuditPassed,
            Event::Published,
        ];
        let end = events.into_iter().try_fold(NodeState::Waiting, step);
        assert_eq!(end, Some(NodeState::Done));
    }

    #[test]
    fn nothing_is_published_without_an_attempt_in_flight() {
        for state in NodeState::ALL {
            let published = step(state, Event::Published).is_some();
            assert_eq!(published, state.stage() == Stage::Working, "{state}");
        }
    }

    #[test]
    fn a_commit_under_way_cannot_be_cancelled_or_timed_out() {
        assert_eq!(step(NodeState::Committing, Event::CancelAsked), None);
        assert_eq!(step(NodeState::Committing, Event::RanOutOfTime), None);
    }

    #[test]
    fn an_ended_mart_moves_only_when_a_person_asks() {
        for state in NodeState::ALL.into_iter().filter(|state| state.ended()) {
            for event in Event::ALL {
                let asked = matches!(event, Event::Resumed | Event::SkipAsked | Event::MarkAsked);
                assert!(asked || step(state, event).is_none(), "{state} moved by {}", event.word());
            }
            assert_eq!(step(state, Event::Resumed), Some(NodeState::Waiting));
        }
    }

    #[test]
    fn every_state_that_has_not_ended_is_ended_by_the_death_of_the_process() {
        for state in NodeState::ALL.into_iter().filter(|state| !state.ended()) {
            assert_eq!(step(state, Event::ProcessDied), Some(NodeState::Interrupted), "{state}");
        }
    }
}
