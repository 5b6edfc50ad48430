//! Topics as JSON.
//!
//! Owns: the shapes that leave the API, as pure functions of what topics say of themselves. Never asks anybody.

use naru_base::number::f64_from;
use naru_project::Topic;
use naru_topics::{LogFacts, TopicStatus, forward::ForwardStatus, subscribe::Subscription};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::views::ProblemView;

/// Where events come in.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = IntakeDoors)]
pub struct Doors {
    /// `http://127.0.0.1:6278`: the intake is below it; none where it is off.
    pub http: Option<String>,
    /// `127.0.0.1:6280`: Pub/Sub over gRPC; none where it is off.
    pub pubsub: Option<String>,
    /// The project's name, which Pub/Sub's clients want.
    pub project: String,
}

/// All topics that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicList {
    /// When this was read.
    pub as_of: String,
    /// By name.
    pub items: Vec<TopicItem>,
    /// The log below all of them.
    pub log: LogView,
    /// Files that were edited since the start; they count from the next one.
    pub edited: Vec<String>,
    /// Where events come in.
    pub doors: Doors,
}

/// The log at one moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicLog)]
pub struct LogView {
    /// What an acknowledgement means: `fsync` (it survives a power cut) or `os` (it survives a kill).
    pub mode: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Why it takes nothing, if it takes nothing.
    pub problem: Option<ProblemView>,
}

/// One topic of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicItem {
    /// Its name.
    pub topic: String,
    /// Whether it has a file; others are on the log only.
    pub declared: bool,
    /// `starting`, `running`, `retrying` or `stopped`; none without a table.
    pub state: Option<String>,
    /// Why its table does not go on, or goes on slowly.
    pub problem: Option<ProblemView>,
    /// Events accepted a second, lately.
    pub rate: f64,
    /// Events on the log that the table has yet to look at.
    pub lag: u64,
    /// Rows in the table.
    pub rows: Option<u64>,
    /// Dead letters that wait to be mended.
    pub dead_letters: Option<u64>,
    /// Events that were told twice, since the start.
    pub duplicates: u64,
    /// Events accepted since the start.
    pub published: u64,
    /// Events refused since the start because the log took nothing.
    pub refused: u64,
    /// First offset that is still on the log.
    pub first: u64,
    /// Offset of the next event.
    pub next: u64,
    /// How often the file's columns have changed, from 1; none without a file.
    pub schema_revision: Option<u32>,
    /// Subscriptions, and forwards.
    pub readers: usize,
}

/// One topic in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicView {
    /// When this was read.
    pub as_of: String,
    /// As in the list.
    #[serde(flatten)]
    pub item: TopicItem,
    /// Its columns as the file declares them.
    pub columns: Vec<ColumnView>,
    /// What happens to fields that are no column: `extra`, `reject` or `evolve`.
    pub unknown: Option<String>,
    /// Which events are the same event.
    pub dedup: Option<String>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionView>,
    /// Where its events go on to.
    pub forwards: Vec<ForwardView>,
    /// Where events come in.
    pub doors: Doors,
    /// Whether the caller may replay its dead letters.
    pub may_run: bool,
    /// Whether the caller may see its dead letters.
    pub may_see_dead: bool,
}

/// One column of a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicColumn)]
pub struct ColumnView {
    /// Its name.
    pub name: String,
    /// Its GoogleSQL type.
    pub sql_type: String,
    /// Whether an event without it goes to the dead letters.
    pub required: bool,
    /// For people.
    pub description: Option<String>,
}

/// One subscription.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    /// Its name.
    pub name: String,
    /// Events that nobody acknowledged.
    pub backlog: u64,
    /// About how long they take at the rate at which events come in, seconds; none while none come.
    pub behind_s: Option<f64>,
    /// Whether it keeps the order of each key.
    pub ordered: bool,
    /// Text of its filter; empty for none.
    pub filter: String,
    /// Seconds of a lease.
    pub ack_deadline_s: u32,
}

/// One forward.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForwardView {
    /// Its name in the topic's file.
    pub forward: String,
    /// `mixpanel`, `webhook` or `pubsub`.
    pub kind: String,
    /// The receiver's host.
    pub to: String,
    /// `running`, `waiting`, `refused` or `paused`.
    pub state: String,
    /// Events that are not settled.
    pub backlog: u64,
    /// How long the oldest of them waits, milliseconds.
    pub behind_ms: u64,
    /// What happens next, in words.
    pub next_step: String,
    /// What is wrong.
    pub problem: Option<ProblemView>,
}

impl LogView {
    pub(super) fn of(log: &LogFacts) -> Self {
        Self { mode: log.mode.to_owned(), bytes: log.bytes, problem: log.problem.as_ref().map(ProblemView::of) }
    }
}

impl TopicItem {
    pub(super) fn of(status: &TopicStatus, readers: usize) -> Self {
        let table = status.table.as_ref();
        Self {
            topic: status.topic.clone(),
            declared: status.declared,
            state: table.map(|table| table.state.to_owned()),
            problem: table.and_then(|table| table.problem.as_ref()).map(ProblemView::of),
            rate: status.rate,
            lag: table.map_or(0, |table| status.next.saturating_sub(table.next)),
            rows: table.map(|table| table.rows),
            dead_letters: table.map(|table| table.dead_letters),
            duplicates: table.map_or(0, |table| table.duplicates),
            published: status.published,
            refused: status.refused,
            first: status.first,
            next: status.next,
            schema_revision: table.map(|table| table.revision),
            readers,
        }
    }
}

impl SubscriptionView {
    pub(super) fn of(subscription: &Subscription, rate: f64) -> Self {
        let (settings, backlog) = (subscription.settings(), subscription.backlog());
        Self {
            name: subscription.name().to_owned(),
            backlog,
            behind_s: (rate > 0.0).then(|| f64_from(backlog) / rate),
            ordered: settings.ordered,
            filter: settings.filter,
            ack_deadline_s: settings.ack_deadline_s,
        }
    }
}

impl ForwardView {
    pub(super) fn of(status: &ForwardStatus) -> Self {
        Self {
            forward: status.forward.clone(),
            kind: status.kind.to_owned(),
            to: status.to.clone(),
            state: status.state.to_owned(),
            backlog: status.backlog,
            behind_ms: status.behind_ms,
            next_step: status.next_step.clone(),
            problem: status.problem.as_ref().map(ProblemView::of),
        }
    }
}

/// The columns of a topic's file.
pub(super) fn columns(declared: &Topic) -> Vec<ColumnView> {
    let columns = declared.columns.iter().map(|column| ColumnView {
        name: column.name.clone(),
        sql_type: column.type_name.clone(),
        required: column.required,
        description: column.description.clone(),
    });
    columns.collect()
}
