//! Where a table stands, and the only ways it moves.
//!
//! Owns: [`TableLife::next`], one exhaustive transition function over the states that `naru-store` names and keeps.
//! Never does what a state asks for; the engine does. States are stored in `sync_tables` at every transition.

pub use naru_store::sync_tables::TableState;

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
    /// It has more than the other tables, which have to come as far first.
    Ahead,
    /// A person stopped it.
    Pause,
    /// A person let it go on.
    Resume,
}

/// How a table moves through its states.
pub trait TableLife: Sized {
    /// The state after `event`; `None` when the event does not concern a table in this state.
    fn next(self, event: TableEvent) -> Option<Self>;

    /// Whether its position counts: every change since is applied or waits on disk.
    fn followed(self) -> bool;

    /// Whether arriving changes go to the spool instead of the table.
    fn spools(self) -> bool;
}

impl TableLife for TableState {
    fn next(self, event: TableEvent) -> Option<Self> {
        use TableEvent as E;
        match self {
            Self::Discovered | Self::Quarantined | Self::Dropped | Self::NotSynced => match event {
                E::Seen => Some(Self::Preflight),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Unsuited => Some(Self::NotSynced),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::NeedsCopy | E::Positioned | E::Copied | E::CaughtUp | E::Ahead | E::Pause | E::Resume => None,
            },
            Self::Preflight => match event {
                E::NeedsCopy => Some(Self::Copying),
                E::Positioned => Some(Self::CatchingUp),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Unsuited => Some(Self::NotSynced),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::Copied | E::CaughtUp | E::Ahead | E::Resume => None,
            },
            Self::Copying | Self::Rebuilding => match event {
                E::Copied => Some(Self::CatchingUp),
                E::NeedsRebuild => Some(self),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::NeedsCopy | E::Positioned | E::Unsuited | E::CaughtUp | E::Ahead | E::Resume => None,
            },
            Self::CatchingUp => match event {
                E::CaughtUp => Some(Self::Live),
                E::NeedsRebuild => Some(Self::Rebuilding),
                E::Broke => Some(Self::Quarantined),
                E::Gone => Some(Self::Dropped),
                E::Pause => Some(Self::Paused),
                E::Seen | E::NeedsCopy | E::Positioned | E::Unsuited | E::Copied | E::Ahead | E::Resume => None,
            },
            Self::Live => match event {
                E::Ahead => Some(Self::CatchingUp),
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
                E::Seen
                | E::NeedsCopy
                | E::Positioned
                | E::Unsuited
                | E::Copied
                | E::CaughtUp
                | E::Ahead
                | E::Pause => None,
            },
        }
    }

    fn followed(self) -> bool {
        matches!(self, Self::Live | Self::CatchingUp | Self::Paused)
    }

    fn spools(self) -> bool {
        matches!(self, Self::Copying | Self::Rebuilding | Self::CatchingUp | Self::Paused)
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
}
