//! Topics, their live events and their dead letters for the console and other programs.
//!
//! Owns: the port to the open topics, the routes, and who may ask for what. Never publishes, and never looks into the
//! lake by itself: dead letters are read with SQL as the caller.
//!
//! A topic is there for whoever may view its table `topics.<name>`; its dead letters for whoever may also view
//! `topics.<name>__dead`. Replaying needs the right to edit the topic's table.

mod dead;
mod letters;
mod read;
mod tail;
mod views;

use async_trait::async_trait;
use naru_access::Action;
use naru_base::{Problem, TableId};
use naru_topics::{TopicHandle, Topics, forward::ForwardStatus, subscribe::Subscriptions};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use dead::Chosen;
pub use views::Doors;

use super::{Api, ApiProblem, permit::permit};
use crate::signin::caller::Caller;

/// What the topics' pages need of the running naru.
#[async_trait]
pub trait TopicsPort: Send + Sync {
    /// The open topics.
    fn topics(&self) -> &Topics;
    /// Subscriptions over them.
    fn subscriptions(&self) -> Option<&Subscriptions>;
    /// Where events go on to.
    fn forwards(&self) -> Vec<ForwardStatus>;
    /// Files of topics that were edited since the start.
    fn edited(&self) -> Vec<String>;
    /// Where events come in.
    fn doors(&self) -> Doors;
    /// Replays dead letters, or says what that would do, as `naru dead replay --json` does.
    ///
    /// # Errors
    /// Letters that were tried before the error are done; asking again goes on with the others.
    async fn replay(&self, chosen: &Chosen) -> Result<Value, Problem>;
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(read::topics))
        .routes(routes!(read::topic))
        .routes(routes!(tail::tail))
        .routes(routes!(dead::groups))
        .routes(routes!(dead::letters))
        .routes(routes!(dead::check))
        .routes(routes!(dead::replay))
}

/// The answer for a topic that is not there, or not for the caller.
pub(super) fn no_such_topic(name: &str) -> Problem {
    Problem::new("topics.missing", format!("there is no topic \"{name}\"")).hint("`naru status` lists the topics.")
}

/// An open topic that the caller may act on so.
fn topic(api: &Api, caller: &Caller, action: Action, name: &str) -> Result<TopicHandle, ApiProblem> {
    let decision = api.policy.now().decide(&caller.principal, action, &table(name));
    permit(decision, || no_such_topic(name))?;
    let found = api.ports.topics().and_then(|port| port.topics().get(name));
    found.ok_or_else(|| ApiProblem::not_found(no_such_topic(name)))
}

/// The port of topics that are open, which they are wherever [`topic`] has found one.
fn port<'a>(api: &'a Api, name: &str) -> Result<&'a dyn TopicsPort, ApiProblem> {
    api.ports.topics().ok_or_else(|| ApiProblem::not_found(no_such_topic(name)))
}

fn table(topic: &str) -> TableId {
    TableId::new("topics", topic)
}

fn dead_table(topic: &str) -> TableId {
    TableId::new("topics", format!("{topic}__dead"))
}
