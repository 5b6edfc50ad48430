//! What can go wrong with forwards as a whole.
//!
//! Owns: [`ForwardError`] and its one translation into [`Problem`]. What a receiver answers is no error: it is the
//! forward's state.

use naru_base::Problem;
use naru_store::StoreError;

use crate::log::LogError;

/// An error of opening or changing forwards.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The topic's file has no such forward.
    #[error("topic \"{topic}\" has no forward \"{forward}\"")]
    Missing {
        /// The topic.
        topic: String,
        /// The forward.
        forward: String,
    },
    /// No connection to anywhere can be made.
    #[error("encrypted connections cannot be made")]
    Client(#[source] reqwest::Error),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ForwardError {
    /// For people.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Missing { .. } => {
                Problem::new("topics.no_forward", self.to_string()).hint("`naru status` lists the forwards.")
            }
            Self::Client(error) => Problem::from_error("topics.no_tls", self.to_string(), error)
                .hint("Install the system's list of certificate authorities (ca-certificates)."),
            Self::Log(error) => error.problem(),
            Self::Store(error) => error.problem(),
        }
    }
}
