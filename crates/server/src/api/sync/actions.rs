//! Reading sources, and pausing, resuming, copying again and comparing their tables.
//!
//! Owns: the routes. Each action says what it would do with `dry_run`; acting on a table needs the right to own it.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    response::sse::{Event, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use naru_access::{Action, audit::Deed};
use naru_base::TableId;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use utoipa::ToSchema;

use super::{
    TableWord, allowed, no_such_table,
    views::{Impact, SourceList, SourceView, SyncedTable},
};
use crate::{
    api::{
        Api, ApiProblem,
        frame::events::states,
        permit::noted,
        work::{Step, WorkView},
    },
    signin::caller::Caller,
};

/// How often a page hears how sources stand.
const EVERY: Duration = Duration::from_secs(2);

/// What shall be done with a table.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AskTable)]
pub struct ActAsked {
    /// `resync`, `pause` or `resume`.
    pub action: ActWord,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// See [`ActAsked`].
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TableWord)]
pub enum ActWord {
    /// Copy it again; its old rows stay readable meanwhile.
    Resync,
    /// Stop it; its changes wait on this machine's disk.
    Pause,
    /// Let it go on.
    Resume,
}

impl ActWord {
    fn word(self) -> &'static str {
        match self {
            Self::Resync => "resync",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

impl From<ActWord> for TableWord {
    fn from(word: ActWord) -> Self {
        match word {
            ActWord::Resync => Self::Resync,
            ActWord::Pause => Self::Pause,
            ActWord::Resume => Self::Resume,
        }
    }
}

async fn list(api: &Api, caller: &Caller) -> SourceList {
    let port = api.ports.sync();
    let rights = api.policy.now();
    let told = port.sources().await;
    let view = |told: serde_json::Value| {
        let sample = told["source"].as_str().and_then(|name| port.sample(name));
        SourceView::of(told, sample.as_ref(), &rights, &caller.principal)
    };
    let items: Vec<SourceView> = told.into_iter().filter_map(view).collect();
    SourceList {
        as_of: Timestamp::now().to_string(),
        complete: items.iter().all(|source| source.read || source.phase == "vanished"),
        may_connect: rights.admin(&caller.principal),
        items,
    }
}

/// Every source with its tables.
#[utoipa::path(get, path = "/api/v1/sources", operation_id = "get_sources", tag = "sync", responses((status = 200, body = SourceList)))]
pub(super) async fn sources(State(api): State<Api>, caller: Caller) -> Json<SourceList> {
    Json(list(&api, &caller).await)
}

/// Sends all sources as event `state`, at once and every 2 seconds.
#[utoipa::path(get, path = "/api/v1/sources/events", operation_id = "get_sources_events", tag = "sync",
    responses((status = 200, description = "Server-sent events: `state` with a SourceList")))]
pub(super) async fn follow(
    State(api): State<Api>,
    caller: Caller,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lists = stream::unfold((api, caller, ticks), async |(api, caller, mut ticks)| {
        ticks.tick().await;
        let list = list(&api, &caller).await;
        Some((list, (api, caller, ticks)))
    });
    states(lists.boxed())
}

async fn one(api: &Api, caller: &Caller, id: &TableId) -> Result<(SourceView, SyncedTable), ApiProblem> {
    let name = id.to_string();
    let found = list(api, caller).await.items.into_iter().find_map(|source| {
        let table = source.tables.iter().find(|table| table.table == name).cloned()?;
        Some((source, table))
    });
    found.ok_or_else(|| ApiProblem::not_found(no_such_table(id)))
}

/// One table as its source writes it.
#[utoipa::path(get, path = "/api/v1/sources/tables/{table}", operation_id = "get_sources_tables_table", tag = "sync", params(("table" = String, Path)),
    responses((status = 200, body = SyncedTable), (status = 404)))]
pub(super) async fn table(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<SyncedTable>, ApiProblem> {
    let id = allowed(&api, &caller, Action::View, &name)?;
    Ok(Json(one(&api, &caller, &id).await?.1))
}

/// Copies a table again, stops it or lets it go on; or says what that would do.
#[utoipa::path(post, path = "/api/v1/sources/tables/{table}", operation_id = "post_sources_tables_table", tag = "sync", params(("table" = String, Path)),
    request_body = ActAsked, responses((status = 200, body = Impact), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn act(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Json(asked): Json<ActAsked>,
) -> Result<Json<Impact>, ApiProblem> {
    let id = allowed(&api, &caller, Action::Operate, &name)?;
    let (source, table) = one(&api, &caller, &id).await?;
    let visible = api.policy.now().visible(&caller.principal);
    let port = api.ports.sync();
    if !asked.dry_run {
        let what = format!("sync.{} {id}", asked.action.word());
        let doing = async { port.table(asked.action.into(), &id).await.map_err(ApiProblem::from) };
        noted(&api, &caller, Deed::Operate, what, [id.clone()], doing).await?;
    }
    let below = port.marts_below(&id).into_iter().filter(|mart| visible.table(mart));
    Ok(Json(Impact {
        table,
        done: !asked.dry_run,
        retained_bytes: source.retained_bytes,
        marts_below: below.map(|mart| mart.to_string()).collect(),
    }))
}

/// Begins to compare a table with its source at one commit: rows and hash. The answer is work to follow.
#[utoipa::path(post, path = "/api/v1/sources/tables/{table}/compare", operation_id = "post_sources_tables_table_compare", tag = "sync",
    params(("table" = String, Path)), responses((status = 200, body = WorkView), (status = 404)))]
pub(super) async fn compare(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<WorkView>, ApiProblem> {
    // Both sides are read whole, the source's too.
    let id = allowed(&api, &caller, Action::Operate, &name)?;
    one(&api, &caller, &id).await?;
    let (ports, table) = (api.ports.clone(), id.clone());
    let begin = async {
        let comparing = move |_: Step| async move { ports.sync().compare(&table).await };
        let begun = api.ports.works().begin_one(&caller.principal, "compare", &id.to_string(), comparing);
        begun.map_err(ApiProblem::from)
    };
    noted(&api, &caller, Deed::Operate, format!("sync.compare {id}"), [id.clone()], begin).await.map(Json)
}
