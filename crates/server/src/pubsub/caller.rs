//! Who calls, and what a token opens here.
//!
//! Owns: [`Caller`], its topics, and what only callers without a token may do. What a token does not open looks as if it
//! were not there. Never looks a token up; that is `gate`.

use std::{net::IpAddr, sync::Arc};

use naru_access::Sender;
use tonic::{Extensions, Status};

use super::fault;

/// Who makes a call.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Somebody on this machine, where nobody is asked for a token.
    Anybody,
    /// The bearer of a token.
    Bearer {
        /// What it opens.
        sender: Arc<Sender>,
        /// Its text and where it is used, to see later whether it still does.
        token: Arc<str>,
        from: IpAddr,
    },
}

impl Caller {
    /// The caller whom the door noted on a request.
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Status> {
        extensions.get::<Self>().cloned().ok_or_else(|| Status::internal("a call that did not come through the door"))
    }

    /// Who sends, for the rate.
    pub(super) fn sender(&self) -> Option<&Sender> {
        match self {
            Self::Anybody => None,
            Self::Bearer { sender, .. } => Some(sender),
        }
    }

    /// Whether somebody who asks with the same token now may do all that this caller may.
    pub(super) fn is_still(&self, now: &Sender) -> bool {
        self.sender().is_none_or(|before| {
            before.topics.iter().all(|topic| now.topics.contains(topic))
                && before.receives.iter().all(|topic| now.receives.contains(topic))
        })
    }

    /// Whether a topic is there for the caller.
    pub(super) fn sees(&self, topic: &str) -> bool {
        self.sender().is_none_or(|sender| sender.topics.iter().chain(&sender.receives).any(|name| name == topic))
    }

    /// Whether the caller may use subscriptions of a topic.
    pub(super) fn receives(&self, topic: &str) -> bool {
        self.sender().is_none_or(|sender| sender.receives.iter().any(|name| name == topic))
    }

    /// Refuses who sees a topic and may not send to it.
    pub(super) fn must_send(&self, topic: &str) -> Result<(), Status> {
        match self.sender() {
            Some(_) if !self.sees(topic) => Err(fault::missing(topic)),
            Some(sender) if !sender.topics.iter().any(|name| name == topic) => {
                Err(denied(&sender.name, "send to", topic, "--send"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses who sees a topic and may not receive its messages.
    pub(super) fn must_receive(&self, topic: &str) -> Result<(), Status> {
        match self.sender() {
            Some(sender) if !self.receives(topic) => {
                if self.sees(topic) {
                    Err(denied(&sender.name, "receive from", topic, "--receive"))
                } else {
                    Err(fault::missing(topic))
                }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses everybody with a token: what no topic stands for is done on naru's own machine.
    pub(super) fn must_manage(&self, what: &str) -> Result<(), Status> {
        match self.sender() {
            None => Ok(()),
            Some(sender) => Err(Status::permission_denied(format!(
                "\"{}\" may not {what}: a token sends to topics and receives from them. Topics are files of topics/; \
                 everything else is done on the machine that runs naru.",
                sender.name
            ))),
        }
    }
}

fn denied(name: &str, what: &str, topic: &str, word: &str) -> Status {
    Status::permission_denied(format!(
        "\"{name}\" may not {what} topic {topic}. `naru token new NAME {word} {topic}` makes a token for it."
    ))
}
