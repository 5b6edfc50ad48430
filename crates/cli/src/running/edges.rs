//! Where events leave and come in by naru's own doing: forwards and queues.
//!
//! Owns: starting and stopping them around the topics, and their part of `naru status --json`. Never looks into an
//! event.

use naru_base::Problem;
use naru_topics::{
    Topics,
    forward::{ForwardStatus, Forwards, Pace},
    sqs::{SqsInputs, SqsStatus},
};

/// Forwards and queues that run.
#[derive(Debug)]
pub struct Edges {
    /// Events on their way out.
    pub forwards: Forwards,
    inputs: SqsInputs,
}

impl Edges {
    /// Starts all of them, before doors let events in and before the log is trimmed.
    ///
    /// # Errors
    /// The log or the state database cannot be used.
    pub async fn open(topics: &Topics) -> Result<Self, Problem> {
        let forwards = Forwards::open(topics, Pace::default()).await.map_err(|error| error.problem())?;
        let inputs = SqsInputs::open(topics).await.map_err(|error| error.problem())?;
        Ok(Self { forwards, inputs })
    }

    /// Every forward and every queue at this moment.
    pub fn status(&self) -> (Vec<ForwardStatus>, Vec<SqsStatus>) {
        (self.forwards.status(), self.inputs.status())
    }

    /// Stops all of them, before the log is closed.
    pub async fn stop(&self) {
        self.inputs.stop().await;
        self.forwards.stop().await;
    }
}
