//! Reading topics.
//!
//! Owns: the routes of the list and of one topic. Never shows a topic to those who may not see its table.

use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use naru_access::{Action, Decision, Visible};
use naru_base::Problem;
use naru_project::topic::Unknown;
use naru_topics::subscribe::Subscription;

use super::{
    TopicsPort, dead_table, port, table, topic as open_topic,
    views::{self, Doors, ForwardView, LogView, SubscriptionView, TopicItem, TopicList, TopicView},
};
use crate::{
    api::{Api, ApiProblem},
    signin::caller::Caller,
};

fn subscriptions(port: &dyn TopicsPort, topic: &str) -> Vec<Subscription> {
    let all = port.subscriptions().map(naru_topics::subscribe::Subscriptions::list).unwrap_or_default();
    all.into_iter().filter(|subscription| subscription.topic_name() == topic).collect()
}

fn readers(port: &dyn TopicsPort, topic: &str) -> usize {
    subscriptions(port, topic).len() + port.forwards().iter().filter(|forward| forward.topic == topic).count()
}

/// Every topic.
#[utoipa::path(get, path = "/api/v1/topics", operation_id = "get_topics", tag = "topics", responses((status = 200, body = TopicList)))]
pub(super) async fn topics(State(api): State<Api>, caller: Caller) -> Json<TopicList> {
    let visible: &Visible = &api.policy.now().visible(&caller.principal);
    let as_of = Timestamp::now().to_string();
    let Some(port) = api.ports.topics() else {
        let log = LogView { mode: "fsync".into(), bytes: 0, problem: None };
        return Json(TopicList { as_of, items: Vec::new(), log, edited: Vec::new(), doors: Doors::default() });
    };
    let status = port.topics().status();
    let seen = status.topics.iter().filter(|topic| visible.table(&table(&topic.topic)));
    let items = seen.map(|topic| TopicItem::of(topic, readers(port, &topic.topic))).collect();
    let edited = port.edited().into_iter().filter(|_| visible.dataset("topics")).collect();
    Json(TopicList { as_of, items, log: LogView::of(&status.log), edited, doors: port.doors() })
}

/// One topic in full.
#[utoipa::path(get, path = "/api/v1/topics/{topic}", operation_id = "get_topics_topic", tag = "topics", params(("topic" = String, Path)),
    responses((status = 200, body = TopicView), (status = 404)))]
pub(super) async fn topic(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<TopicView>, ApiProblem> {
    let handle = open_topic(&api, &caller, Action::View, &name)?;
    let port = port(&api, &name)?;
    let status = port.topics().status().topics.into_iter().find(|status| status.topic == name);
    let status = status.ok_or_else(|| ApiProblem::not_found(super::no_such_topic(&name)))?;
    let declared = handle.declared();
    let (rights, principal) = (api.policy.now(), &caller.principal);
    let may = |action, table| rights.decide(principal, action, &table) == Decision::Allow;
    let forwards = port.forwards();
    Ok(Json(TopicView {
        as_of: Timestamp::now().to_string(),
        item: TopicItem::of(&status, readers(port, &name)),
        columns: declared.map(views::columns).unwrap_or_default(),
        unknown: declared.map(|topic| word(topic.unknown).to_owned()),
        dedup: declared.and_then(|topic| topic.dedup.as_ref()).map(|dedup| dedup.key.clone()),
        subscriptions: subscriptions(port, &name).iter().map(|one| SubscriptionView::of(one, status.rate)).collect(),
        forwards: forwards.iter().filter(|one| one.topic == name).map(ForwardView::of).collect(),
        doors: port.doors(),
        may_run: may(Action::Run, table(&name)),
        may_see_dead: may(Action::View, dead_table(&name)),
    }))
}

fn word(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::Extra => "extra",
        Unknown::Reject => "reject",
        Unknown::Evolve => "evolve",
    }
}

/// A time as a caller wrote it, in microseconds since 1970.
pub(super) fn time(text: &str) -> Result<i64, ApiProblem> {
    text.parse::<Timestamp>().map(Timestamp::as_microsecond).map_err(|error| {
        Problem::new("topics.time", format!("\"{text}\" is no time"))
            .detail(error.to_string())
            .hint("Write it as 2026-11-23T09:00:00+09:00.")
            .into()
    })
}
