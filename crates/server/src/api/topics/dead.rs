//! Dead letters: which there are, whether a mended event would fit, and trying them again.
//!
//! Owns: the routes and which letters a request means. Never takes SQL from outside.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use naru_access::{Action, audit::Deed};
use naru_base::Problem;
use naru_topics::{Incoming, TABLE_SINK};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    dead_table,
    letters::{self, Group, Kind, LetterView, numbered},
    no_such_topic, port, table, topic,
};
use crate::{
    api::{
        Api, ApiProblem,
        permit::{noted, permit},
        work::{Step, WorkView},
    },
    signin::caller::Caller,
};

/// Letters of one page, unless asked otherwise, and at most.
const LETTERS_DEFAULT: usize = 20;
const LETTERS_MAX: usize = 100;
/// Letters that a request may name one by one.
const NAMED_MAX: usize = 1_000;

/// A topic's dead letters by what is wrong with them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadGroupList)]
pub struct GroupList {
    /// When this was read.
    pub as_of: String,
    /// Whether every event on the log was looked at; those behind may become dead letters too.
    pub complete: bool,
    /// The most first.
    pub items: Vec<Group>,
    /// The revision of the columns that events are judged by now.
    pub schema_revision: u32,
}

/// Some dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub struct LetterList {
    /// When this was read.
    pub as_of: String,
    /// The first ones first.
    pub items: Vec<LetterView>,
    /// Ask again with this `after`; none when these are all.
    pub next: Option<u64>,
}

/// Which letters are wanted: all that wait, those of one kind, or one.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct AskedLetters {
    /// One letter, whatever became of it.
    id: Option<u64>,
    /// See [`Kind`]; all six or none.
    sink: Option<String>,
    reason: Option<String>,
    path: Option<String>,
    expected: Option<String>,
    got: Option<String>,
    schema_revision: Option<i64>,
    /// Those behind this number.
    after: Option<u64>,
    /// At most so many, up to 100; 20 unless given.
    most: Option<usize>,
}

impl AskedLetters {
    fn condition(&self) -> String {
        if let Some(id) = self.id {
            return numbered(&[id]);
        }
        let kind = || {
            Some(Kind {
                sink: self.sink.clone()?,
                reason: self.reason.clone()?,
                path: self.path.clone()?,
                expected: self.expected.clone()?,
                got: self.got.clone()?,
                schema_revision: self.schema_revision?,
            })
        };
        kind().map_or_else(|| "status = 'dead'".to_owned(), |kind| format!("status = 'dead' AND {}", kind.condition()))
    }
}

/// An event that was edited.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EditedEvent)]
pub struct Edited {
    /// The whole event.
    pub text: String,
}

/// What the topic's table would say of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventJudgement)]
pub struct Judgement {
    /// Whether it fits the columns as they are now.
    pub fits: bool,
    /// Where it does not.
    pub path: Option<String>,
    /// What the column takes.
    pub expected: Option<String>,
    /// What came.
    pub got: Option<String>,
    /// The revision of the columns that it was judged by.
    pub schema_revision: u32,
}

/// Which letters shall be tried again, and how they are mended.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = AskReplay)]
pub struct ReplayAsked {
    /// These letters; all of a kind or all that wait when empty.
    #[serde(default)]
    pub ids: Vec<u64>,
    /// Letters of this kind.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Give fields a value: `user.id=7`.
    #[serde(default)]
    pub set: Vec<String>,
    /// The whole event anew; for one letter only.
    #[serde(default)]
    pub text: Option<String>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Also letters that were tried too often.
    #[serde(default)]
    pub force: bool,
}

/// Letters as the port wants them.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The topic.
    pub topic: String,
    /// A condition over the columns of the table of dead letters, made here; none for all that wait.
    pub filter: Option<String>,
    /// Edits, `path=value`.
    pub set: Vec<String>,
    /// A query that gives `id`, `sink` and `data` of mended letters, made here.
    pub with_sql: Option<String>,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Also letters that were tried too often.
    pub force: bool,
}

impl ReplayAsked {
    fn chosen(self, topic: &str) -> Result<Chosen, Problem> {
        if self.ids.len() > NAMED_MAX {
            let summary = format!("{} letters are too many to name one by one", self.ids.len());
            return Err(Problem::new("dead.too_many", summary).hint("Name their kind."));
        }
        let with_sql = match (&self.text, self.ids.as_slice()) {
            (None, _) => None,
            (Some(text), [id]) => {
                let sink = self.kind.as_ref().map_or(TABLE_SINK, |kind| kind.sink.as_str());
                let sink = STANDARD.encode(sink);
                let data = STANDARD.encode(text);
                Some(format!(
                    "SELECT {id} AS id, SAFE_CONVERT_BYTES_TO_STRING(FROM_BASE64('{sink}')) AS sink, \
                     FROM_BASE64('{data}') AS data"
                ))
            }
            (Some(_), _) => return Err(Problem::new("dead.edit", "an event written anew replaces exactly one letter")),
        };
        let filter = match (self.ids.as_slice(), &self.kind) {
            ([], None) => None,
            ([], Some(kind)) => Some(kind.condition()),
            (ids, _) => Some(numbered(ids)),
        };
        let (dry_run, force) = (self.dry_run, self.force);
        Ok(Chosen { topic: topic.to_owned(), filter, set: self.set, with_sql, dry_run, force })
    }
}

fn may_see(api: &Api, caller: &Caller, name: &str) -> Result<(), ApiProblem> {
    let decision = api.policy.now().decide(&caller.principal, Action::View, &dead_table(name));
    permit(decision, || no_such_topic(name))
}

/// The dead letters of a topic that wait, by what is wrong with them.
#[utoipa::path(get, path = "/api/v1/topics/{topic}/dead", operation_id = "get_topics_topic_dead", tag = "topics", params(("topic" = String, Path)),
    responses((status = 200, body = GroupList), (status = 404)))]
pub(super) async fn groups(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<GroupList>, ApiProblem> {
    let handle = topic(&api, &caller, Action::View, &name)?;
    may_see(&api, &caller, &name)?;
    let status = port(&api, &name)?.topics().status().topics.into_iter().find(|status| status.topic == name);
    let complete = status.is_none_or(|status| status.table.is_none_or(|table| table.next >= status.next));
    let items = if handle.declared().is_some() {
        letters::groups(&api.warehouse, &caller, &name).await.map_err(ApiProblem::from)?
    } else {
        Vec::new()
    };
    Ok(Json(GroupList {
        as_of: Timestamp::now().to_string(),
        complete,
        items,
        schema_revision: handle.schema_revision(),
    }))
}

/// Dead letters with the bytes that were sent.
#[utoipa::path(get, path = "/api/v1/topics/{topic}/dead/letters", operation_id = "get_topics_topic_dead_letters", tag = "topics",
    params(("topic" = String, Path), AskedLetters), responses((status = 200, body = LetterList), (status = 404)))]
pub(super) async fn letters(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(asked): Query<AskedLetters>,
) -> Result<Json<LetterList>, ApiProblem> {
    topic(&api, &caller, Action::View, &name)?;
    may_see(&api, &caller, &name)?;
    let most = asked.most.unwrap_or(LETTERS_DEFAULT).clamp(1, LETTERS_MAX);
    let found = letters::letters(&api.warehouse, &caller, &name, &asked.condition(), asked.after, most).await;
    let items = found.map_err(ApiProblem::from)?;
    let next = items.last().filter(|_| items.len() >= most).map(|letter| letter.id);
    Ok(Json(LetterList { as_of: Timestamp::now().to_string(), items, next }))
}

/// Says whether an edited event would fit the topic's columns as they are now.
#[utoipa::path(post, path = "/api/v1/topics/{topic}/dead/check", operation_id = "post_topics_topic_dead_check", tag = "topics", params(("topic" = String, Path)),
    request_body = Edited, responses((status = 200, body = Judgement), (status = 404)))]
pub(super) async fn check(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Json(edited): Json<Edited>,
) -> Result<Json<Judgement>, ApiProblem> {
    let handle = topic(&api, &caller, Action::View, &name)?;
    let event = Incoming { data: edited.text.into(), ..Incoming::default() };
    let fault = port(&api, &name)?.topics().judge(&handle, &[event]).into_iter().next().map(|judged| judged.fault);
    Ok(Json(Judgement {
        fits: fault.is_none(),
        path: fault.as_ref().map(|fault| fault.path.clone()),
        expected: fault.as_ref().map(|fault| fault.expected.clone()),
        got: fault.as_ref().map(|fault| fault.got.clone()),
        schema_revision: handle.schema_revision(),
    }))
}

/// Begins to try dead letters again, each only in the sink that it died in; or to count what that would do. The answer
/// is work to follow; its result is what `naru dead replay --json` prints.
#[utoipa::path(post, path = "/api/v1/topics/{topic}/dead/replay", operation_id = "post_topics_topic_dead_replay", tag = "topics", params(("topic" = String, Path)),
    request_body = ReplayAsked, responses((status = 200, body = WorkView), (status = 403), (status = 404)))]
pub(super) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Json(asked): Json<ReplayAsked>,
) -> Result<Json<WorkView>, ApiProblem> {
    topic(&api, &caller, Action::Run, &name)?;
    may_see(&api, &caller, &name)?;
    let chosen = asked.chosen(&name).map_err(ApiProblem::from)?;
    let ports = api.ports.clone();
    let kind = if chosen.dry_run { "replay_preview" } else { "replay" };
    let (dry_run, what) = (chosen.dry_run, format!("dead.replay {name}"));
    let begin = async {
        let begun = api.ports.works().begin(&caller.principal, kind, move |_: Step| async move {
            let port = ports.topics().ok_or_else(|| no_such_topic(&chosen.topic))?;
            port.replay(&chosen).await
        });
        begun.map_err(ApiProblem::from)
    };
    if dry_run {
        return begin.await.map(Json);
    }
    noted(&api, &caller, Deed::Operate, what, [table(&name), dead_table(&name)], begin).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_written_anew_replaces_one_letter_and_reaches_sql_only_as_base64() {
        let text = Some("{\"a\": \"'); DROP\"}".to_owned());
        let asked = ReplayAsked { ids: vec![7], text: text.clone(), ..ReplayAsked::default() };
        let chosen = asked.chosen("visits").unwrap();
        assert_eq!(chosen.filter.as_deref(), Some("id IN (7)"));
        assert!(!chosen.with_sql.unwrap().contains("DROP"));
        assert!(ReplayAsked { ids: vec![7, 8], text, ..ReplayAsked::default() }.chosen("visits").is_err());
    }
}
