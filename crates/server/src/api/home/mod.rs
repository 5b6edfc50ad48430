//! How everything is, in one answer: the console's first page.
//!
//! Owns: the port to `naru status`, and the route. What counts as late and what comes first is [`judge`]'s; nobody is
//! told of a table that they may not see.

mod judge;
mod told;
mod views;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use axum::{Json, extract::State};
use jiff::{Timestamp, ToSpan as _};
use naru_access::audit::AuditFilter;
use naru_base::TableId;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiProblem};
use crate::signin::caller::Caller;
use judge::{Affected, Scene};
use told::Told;
pub use views::HomeView;

/// Queries of the audit that are looked through for who reads what.
const QUERIES_LOOKED_AT: usize = 2_000;
/// How far back a reader counts, in days.
const READER_DAYS: i64 = 30;

/// What the first page needs of the running naru.
#[async_trait]
pub trait HomePort: Send + Sync {
    /// Everything that `naru status --json` prints.
    async fn status(&self) -> Value;
    /// The fullest disk that naru writes to.
    fn disk(&self) -> Disk;
}

/// Free room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free bytes.
    pub free: u64,
    /// Below so many free bytes copies wait and sync stops.
    pub least: u64,
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(home))
}

/// How everything is: counts for one sentence, and what is wrong, the worst first.
///
/// Problems are ordered by how bad they are, then by how many people read what they touch. Only what the caller may see
/// is counted.
#[utoipa::path(get, path = "/api/v1/home", tag = "home", responses((status = OK, body = HomeView)))]
async fn home(State(api): State<Api>, caller: Caller) -> Result<Json<HomeView>, ApiProblem> {
    let told = Told::read(api.ports.home().status().await);
    let readers = readers(&api).await;
    let below = |table: &TableId| affected(table, &api.ports.sync().marts_below(table), &readers);
    let rights = api.policy.now();
    let visible = rights.visible(&caller.principal);
    let scene = Scene {
        visible: &visible,
        is_admin: api.policy.admin(&caller.principal),
        affected: &below,
        disk: api.ports.home().disk(),
        now: Timestamp::now(),
    };
    Ok(Json(judge::judge(told, &scene)))
}

type Readers = HashMap<TableId, HashSet<String>>;

/// Who read which table lately. Without an audit nobody is known to have.
async fn readers(api: &Api) -> Readers {
    let from = Timestamp::now().checked_sub((READER_DAYS * 24).hours()).ok();
    let filter = AuditFilter {
        action: Some("query".into()),
        failed: Some(false),
        from_us: from.map(Timestamp::as_microsecond),
        ..AuditFilter::default()
    };
    let rows = api.audit.find(filter, None, QUERIES_LOOKED_AT).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "who reads what could not be looked up");
        Vec::new()
    });
    let mut readers = Readers::new();
    for row in rows {
        let tables: Vec<String> = serde_json::from_str(&row.tables).unwrap_or_default();
        for table in tables.iter().filter_map(|name| name.parse().ok()) {
            readers.entry(table).or_default().insert(row.account.clone());
        }
    }
    readers
}

/// Whom it touches when a table is wrong: readers of it and of every mart that is made of it.
fn affected(table: &TableId, below: &[TableId], readers: &Readers) -> Affected {
    let people: HashSet<&String> =
        std::iter::once(table).chain(below).filter_map(|id| readers.get(id)).flatten().collect();
    Affected { readers: people.len(), marts: below.len() }
}
