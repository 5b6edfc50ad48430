//! Subscriptions: events of a topic handed to receivers who acknowledge each of them.
//!
//! Owns: who may have which event now, leases, order, filters, retries, the dead-letter topic, snapshots and seeks,
//! and making acknowledgements durable.
//! Never does: any protocol. A door translates requests into [`Subscriptions`] and [`Subscription`], and keeps its own
//! configuration as bytes there.
//!
//! Promises:
//! - An event that was not acknowledged is delivered again, after a lease ends and after a restart; a kill -9 loses
//!   no more than half a second of acknowledgements.
//! - With exactly-once, an acknowledgement is durable before it is confirmed: a confirmed one is never delivered
//!   again.
//! - Events that somebody still needs stay on the log.
//!
//! Read next: [`deliveries`] for the state machine, [`subscription`] for one subscription at work, [`registry`].

mod acknowledged;
pub mod deliveries;
mod error;
mod filter;
mod keeper;
pub mod registry;
mod seek;
mod settings;
pub mod subscription;

pub use acknowledged::Acknowledged;
pub use deliveries::{AckId, Delivered, Limits, Outcome, Receiver};
pub use error::SubscribeError;
pub use filter::{Filter, FilterMistake};
pub use registry::{NewSubscription, Subscriptions};
pub use seek::Snapshot;
pub(crate) use seek::offset_at;
pub use settings::{
    ACK_DEADLINE_DEFAULT_S, ACK_DEADLINE_MAX_S, ATTEMPTS_DEFAULT, BACKOFF_MAX_DEFAULT_MS, BACKOFF_MIN_DEFAULT_MS,
    Backoff, DeadLetters, RETENTION_DEFAULT_S, Settings,
};
pub use subscription::{Confirmation, Subscription};
