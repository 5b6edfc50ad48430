//! The words every room shares: identifiers, time, problems, retry, secrets, failpoints, telemetry.
//!
//! Owns: types that two or more rooms must agree on and that need no outside service.
//! Never does: input or output (except the process-wide log writer), SQL, network, files.
//! Read next: [`problem`] for errors, [`id`] for names and positions.

pub mod failpoint;
pub mod id;
pub mod number;
pub mod problem;
pub mod retry;
pub mod secret;
pub mod telemetry;
pub mod time;

pub use id::{Lsn, RunId, TableId, Version};
pub use problem::{Place, Problem, Retry};
pub use secret::Secret;
