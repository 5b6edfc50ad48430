//! Where a table stands, and the only ways it moves.
//!
//! Owns: [`TableState`] and [`TableState::next`], one exhaustive transition function.
//! Never does what a state asks for; the engine does. States are stored in `sync_tables` at every transition.

use std::{fmt, str::FromStr};

/// State of one source table. Each says who sets it, and what a restart does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableState {
    /// The catalog scan found it. A restart scans again.
    Discovered,
    /// Its shape is being judged and its publication membership set. A restart judges again.
    Preflight,
    /// The copy task reads it under a snapshot; its changes go to the spool. A restart copies it from the beginning.
    Copying,
    /// The copy is committed; the spool is being applied. A restart goes on from the table's own position.
    CatchingUp,
    /// Changes are applied as they arrive. A restart goes on from the table's own position.
    Live,
    /// Being copied again while the old rows stay readable. A restart copies it from the beginning.
    Rebuilding,
    /// Stopped alone, with reason and fix. A restart judges it again.
    Quarantined,
    /// The source no longer has it, or excludes it; the rows stay.
    Dropped,
    /// A person stopped it; its changes go to the spool. A restart leaves it paused.
    Paused,
    /// Listed, never synced (a view, unlogged, foreign, excluded), with the reason.
    NotSynced,
}

/// What can happen to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableEvent {
    /// The catalog scan or a DDL message shows it.
    Seen,
    /// Its shape is fit to sync and it has no rows in the lake yet.
    NeedsCopy,
    /// Its shape is fit, its rows are in the lake and a position says up to where.
    Positioned,
    /// Its shape cannot be synced at all.
    Unsuited,
    /// The copy was committed to the lake.
    Copied,
    /// The spool is empty.
    CaughtUp,
    /// It must be copied again: renamed, retyped or rewritten, or somebody asked.
    NeedsRebuild,
    /// It cannot go on.
    Broke,
    /// The source dropped it, or it is now excluded.
    Gone,
    /// A person stopped it.
    Pause,
    /// A person let it go on.
    Resume,
}

impl TableState {
    /// Every state, for tests and documentation.
    pub const ALL: [Self; 10] = [
        Self::Discovered,
        Self::Preflight,
        Self::Copying,
        Self::CatchingUp,
        Self::Live,
        Self::Rebuilding,
        Self::Quarantined,
        Self::Dropped,
        Self::Paused,
        Self::NotSynced,
    ];

    /// The state after `event`; `None` when the event does not concern a table in this state.
    pub fn next(self, event: TableEvent) -> Option<Self> {
        use TableEvent as E;
        match self {
            Self::Discovered | Self::Quarantined | Self::Dropped | Self::NotSynced => match event {
                E::Seen => Some(Self::Preflight),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Unsuited => Some(Self::NotSynced),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::NeedsCopy | E::Positioned | E::Copied | E::CaughtUp | E::Pause | E::Resume => None,
            },
            Self::Preflight => match event {
                E::NeedsCopy => Some(Self::Copying),
                E::Positioned => Some(Self::CatchingUp),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Unsuited => Some(Self::NotSynced),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::Copied | E::CaughtUp | E::Resume => None,
            },
            Self::Copying | Self::Rebuilding => match event {
                E::Copied => Some(Self::CatchingUp),
                E::NeedsRebuild => Some(self),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::NeedsCopy | E::Positioned | E::Unsuited | E::CaughtUp | E::Resume => None,
            },
            Self::CatchingUp => match event {
                E::CaughtUp => Some(Self::Live),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::NeedsCopy | E::Positioned | E::Unsuited | E::Copied | E::Resume => None,
            },
            Self::Live => match event {
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::NeedsCopy | E::Positioned | E::Unsuited | E::Copied | E::CaughtUp | E::Resume => None,
            },
            Self::Paused => match event {
                E::Resume => Some(Self::Preflight),
                E::Gone => Some(Self::Dropped),
                E::Broke => Some(Self::Quarantined),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Seen | E::NeedsCopy | E::Positioned | E::Unsuited | E::Copied | E::CaughtUp | E::Pause => None,
            },
        }
    }

    /// Whether arriving changes go to the spool instead of the table.
    pub fn spools(self) -> bool {
        matches!(self, Self::Copying | Self::Rebuilding | Self::CatchingUp | Self::Paused)
    }

    /// The name that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Preflight => "preflight",
            Self::Copying => "copying",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Rebuilding => "rebuilding",
            Self::Quarantined => "quarantined",
            Self::Dropped => "dropped",
            Self::Paused => "paused",
            Self::NotSynced => "not_synced",
        }
    }
}

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAState(pub String);

impl FromStr for TableState {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or_else(|| NotAState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_from_discovered_to_live() {
        let path = [
            (TableEvent::Seen, TableState::Preflight),
            (TableEvent::NeedsCopy, TableState::Copying),
            (TableEvent::Copied, TableState::CatchingUp),
            (TableEvent::CaughtUp, TableState::Live),
        ];
        let mut state = TableState::Discovered;
        for (event, expected) in path {
            state = state.next(event).unwrap();
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn every_state_can_be_left_when_the_source_drops_the_table() {
        for state in TableState::ALL {
            assert_eq!(state.next(TableEvent::Gone), Some(TableState::Dropped), "{state}");
        }
    }

    #[test]
    fn a_live_table_never_becomes_live_again_without_catching_up() {
        for state in TableState::ALL {
            if state != TableState::CatchingUp {
                assert_eq!(state.next(TableEvent::CaughtUp), None, "{state}");
            }
        }
    }

    #[test]
    fn names_survive_storage() {
        for state in TableState::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
    }
}
