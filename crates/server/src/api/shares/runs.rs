//! A run of a share: as whoever shares it, with the rights they have now.
//!
//! Owns: the way from a stored share back to a principal, and the wait for the job. Never caches; that is the caller's.

use naru_access::{Account, Principal, audit::Origin};
use naru_base::Problem;
use naru_store::saved::{self, Saved};
use naru_warehouse::jobs::{Finished, JobState, NewJob};

use super::Shares;
use crate::api::saved::can;

/// A share whose sharer or query is gone.
fn ended() -> Problem {
    Problem::new("share.ended", "this share has ended")
        .detail("Who shared it has left, or may no longer see the query.")
        .hint("Ask whoever gave it to you for another one.")
}

impl Shares {
    /// The person or service that stands behind a share, if they may still come in.
    pub(super) async fn sharer(&self, who: &str) -> Result<Principal, Problem> {
        let (kind, id) = who.split_once(':').unwrap_or((who, ""));
        let id: i64 = id.parse().unwrap_or_default();
        match kind {
            "owner" => Ok(Principal::Owner),
            "person" => {
                let people = self.inner.people.list().await.map_err(|error| error.problem())?;
                let person = people.into_iter().find(|person| person.account.id == id && person.active);
                person.map(|person| Principal::Person(person.account.into())).ok_or_else(ended)
            }
            "service" => {
                let services = self.inner.services.list().await.map_err(|error| error.problem())?;
                let service = services.into_iter().find(|service| service.id == id && service.active);
                let account = service.map(|service| Account {
                    id,
                    name: service.name.clone(),
                    shown: service.name,
                    domain: None,
                });
                account.map(|account| Principal::Service(account.into())).ok_or_else(ended)
            }
            _ => Err(ended()),
        }
    }

    /// The saved query of a share, if its sharer may still see it.
    pub(super) async fn query(&self, principal: &Principal, id: i64) -> Result<Saved, Problem> {
        let found = self.inner.queries.store.read(move |db| saved::find(db, id)).await;
        let found = found.map_err(|error| error.problem())?.ok_or_else(ended)?;
        can(&self.inner.policy, principal, &found).map(|_| found).ok_or_else(ended)
    }

    /// The query of a share, as whoever shared it knew it: once others may have changed its text, it does not run with
    /// the sharer's rights any more.
    pub(super) async fn shared(
        &self,
        principal: &Principal,
        id: i64,
        sharer: &str,
        made_us: i64,
    ) -> Result<Saved, Problem> {
        let saved = self.query(principal, id).await?;
        let others_edit = saved.who != sharer || saved.grants.iter().any(|(_, edit)| *edit);
        if others_edit && saved.updated_us >= made_us { Err(ended()) } else { Ok(saved) }
    }

    /// Runs a query to its end, whether or not somebody still waits for it.
    pub(super) async fn run(
        &self,
        principal: Principal,
        sql: String,
        rows_max: u64,
        origin: Origin,
    ) -> Result<Finished, Problem> {
        let jobs = &self.inner.queries.jobs;
        let new = NewJob {
            sql,
            principal: principal.clone(),
            origin: Some(origin),
            tab: None,
            default_dataset: None,
            rows_max: Some(rows_max),
            attended: false,
        };
        let failed = |error: naru_warehouse::jobs::JobError| error.problem();
        let id = jobs.submit(new).map_err(failed)?.id;
        let view = jobs.listen(&principal, &id).map_err(failed)?.ended().await.map_err(failed)?;
        match view.state {
            JobState::Done => jobs.finished(&principal, &id).map_err(failed),
            state => Err(state.failure().map_or_else(super::super::queries::stopped, |failure| failure.problem)),
        }
    }
}
