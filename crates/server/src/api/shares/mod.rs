//! Shares of saved queries: secret addresses for `IMPORTDATA` and Excel, blocks in Google Sheets.
//!
//! Owns: [`Shares`], the routes that make and end shares, and `/s/…`, where a secret stands for a person. A share runs
//! with the rights that its sharer has at that moment; when the sharer has left, or may no longer see the query, it
//! gives nothing. Never widens what anybody may see.

mod door;
mod limit;
mod links;
mod runs;
mod sheets;

use std::{collections::HashMap, sync::Arc};

use naru_access::{People, Policy, Services, audit::Audit};
use naru_project::Zone;
use parking_lot::Mutex;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, queries::Queries};
use limit::Limiter;

pub use door::router as door;
pub use sheets::{Google, GoogleSettings};

/// Shares of one naru. Clones are the same.
#[derive(Debug, Clone)]
pub struct Shares {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queries: Queries,
    people: People,
    services: Services,
    policy: Policy,
    audit: Audit,
    /// Schedules of blocks follow its clock; notes are written in it.
    zone: Zone,
    google: Option<Google>,
    limiter: Limiter,
    /// One run of a share at a time, by its kind and number.
    busy: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Shares {
    /// Shares over the queries of a project; without a `google` account none reach Google Sheets.
    pub fn new(queries: Queries, policy: Policy, audit: Audit, zone: Zone, google: Option<Google>) -> Self {
        let (people, services) = (People::new(queries.store.clone()), Services::new(queries.store.clone()));
        let (limiter, busy) = (Limiter::default(), Mutex::default());
        Self { inner: Arc::new(Inner { queries, people, services, policy, audit, zone, google, limiter, busy }) }
    }

    /// Held by whoever runs this share now.
    fn turn(&self, share: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.inner.busy.lock();
        // Those that nobody waits for are only remembered here.
        busy.retain(|_, turn| Arc::strong_count(turn) > 1);
        busy.entry(share).or_default().clone()
    }
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(links::list, links::create))
        .routes(routes!(links::revoke))
        .routes(routes!(sheets::list, sheets::create))
        .routes(routes!(sheets::refresh))
        .routes(routes!(sheets::remove))
}
