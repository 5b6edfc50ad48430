//! What can go wrong with subscriptions.
//!
//! Owns: [`SubscribeError`] and its one translation into [`Problem`].

use naru_base::Problem;
use naru_store::StoreError;

use super::FilterMistake;
use crate::log::LogError;

/// An error of subscriptions.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// No subscription has this name.
    #[error("there is no subscription \"{0}\"")]
    Missing(String),
    /// A subscription has this name already.
    #[error("there is a subscription \"{0}\" already")]
    Exists(String),
    /// No snapshot has this name.
    #[error("there is no snapshot \"{0}\"")]
    SnapshotMissing(String),
    /// A snapshot has this name already.
    #[error("there is a snapshot \"{0}\" already")]
    SnapshotExists(String),
    /// The snapshot is of another topic.
    #[error("snapshot \"{snapshot}\" is of another topic than subscription \"{subscription}\"")]
    OtherTopic {
        /// The snapshot.
        snapshot: String,
        /// The subscription.
        subscription: String,
    },
    /// The oldest event of a subscription is so old that a snapshot of it would expire at once.
    #[error("subscription \"{0}\" is too far behind for a snapshot")]
    TooOld(String),
    /// The filter's text.
    #[error(transparent)]
    Filter(#[from] FilterMistake),
    /// It was detached from its topic.
    #[error("subscription \"{0}\" is detached")]
    Detached(String),
    /// naru is stopping, or the subscription was removed meanwhile.
    #[error("subscription \"{0}\" ended")]
    Ended(String),
    /// The log cannot be read or takes nothing.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored subscription cannot be read.
    #[error("the stored subscription \"{0}\" cannot be read")]
    Unreadable(String),
}

impl SubscribeError {
    /// For people.
    pub fn problem(&self) -> Problem {
        let problem = |code: &'static str, hint: &str| Problem::new(code, self.to_string()).hint(hint);
        match self {
            Self::Missing(_) => problem("subscriptions.missing", "Create it first, or look at the names in use."),
            Self::Exists(_) => problem("subscriptions.exists", "Use it, or choose another name."),
            Self::SnapshotMissing(_) => {
                problem("subscriptions.snapshot_missing", "Snapshots are forgotten after seven days.")
            }
            Self::SnapshotExists(_) => problem("subscriptions.snapshot_exists", "Use it, or choose another name."),
            Self::OtherTopic { .. } => {
                problem("subscriptions.other_topic", "Seek to a snapshot of the same topic, or to a time.")
            }
            Self::TooOld(_) => {
                problem("subscriptions.too_old", "Acknowledge or seek past its oldest events, then take the snapshot.")
            }
            Self::Filter(_) => {
                problem("subscriptions.filter", "Write it over attributes, for example attributes.kind = \"order\".")
            }
            Self::Detached(_) => {
                problem("subscriptions.detached", "Delete it and create one again; detaching is for good.")
            }
            Self::Ended(_) => problem("subscriptions.ended", "Connect again when naru is up.").later(),
            Self::Log(error) => error.problem(),
            Self::Store(error) => error.problem(),
            Self::Unreadable(_) => problem(
                "subscriptions.unreadable",
                "Start the naru that wrote it, or restore .naru/naru.db from its backup copy.",
            ),
        }
    }
}
