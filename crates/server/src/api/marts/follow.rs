//! Runs as they go on.
//!
//! Owns: the streams of the marts' pages. What may be seen is asked again at every step. Never misses the end of a run:
//! what is sent is read from the state database.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use naru_base::RunId;
use naru_flow::run::Progress;
use serde::Serialize;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use super::{read::look, views::RunView, visible};
use crate::{
    api::{Api, ApiProblem, frame::events::states},
    signin::caller::Caller,
};

/// Steps that come closer together are sent as one.
const APART: Duration = Duration::from_millis(250);
/// A look without a step, for what may have been missed.
const LOOK: Duration = Duration::from_secs(5);

struct Following {
    api: Api,
    caller: Caller,
    /// None for all marts.
    run: Option<i64>,
    steps: Receiver<Progress>,
    first: bool,
    ended: bool,
}

/// What changed on the page of all marts.
#[derive(Debug, Serialize)]
struct Changed {
    /// Marts that took a step, by name; ask for the list again.
    marts: Vec<String>,
}

/// Sends the whole run as event `state`, at once and whenever one of its marts takes a step, until it has ended.
#[utoipa::path(get, path = "/api/v1/runs/{run}/events", operation_id = "get_runs_run_events", tag = "marts", params(("run" = i64, Path)),
    responses((status = 200, description = "Server-sent events: `state` with a RunView"), (status = 404)))]
pub(super) async fn follow_run(
    State(api): State<Api>,
    caller: Caller,
    Path(run): Path<i64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiProblem> {
    look(&api, &visible(&api, &caller), run).await?;
    let following = Following::of(api, caller, Some(run));
    let views = stream::unfold(following, async |mut following| {
        let view = following.run().await?;
        Some((view, following))
    });
    Ok(states(views.boxed()))
}

/// Sends event `state` with the names of marts that took a step.
#[utoipa::path(get, path = "/api/v1/marts/events", operation_id = "get_marts_events", tag = "marts",
    responses((status = 200, description = "Server-sent events: `state` with the marts that took a step")))]
pub(super) async fn follow_marts(
    State(api): State<Api>,
    caller: Caller,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let following = Following::of(api, caller, None);
    let changes = stream::unfold(following, async |mut following| {
        let marts = if std::mem::take(&mut following.first) { Vec::new() } else { following.news().await? };
        Some((Changed { marts }, following))
    });
    states(changes.boxed())
}

impl Following {
    fn of(api: Api, caller: Caller, run: Option<i64>) -> Self {
        let steps = api.ports.marts().flow().watch();
        Self { api, caller, run, steps, first: true, ended: false }
    }

    /// The run after its next step; at once the first time, and `None` behind its end.
    async fn run(&mut self) -> Option<RunView> {
        if self.ended {
            return None;
        }
        if !std::mem::take(&mut self.first) {
            self.news().await?;
        }
        let view = look(&self.api, &visible(&self.api, &self.caller), self.run?).await.ok()?;
        self.ended = view.complete;
        Some(view)
    }

    /// Waits for a step that concerns the reader, and takes those that follow it at once.
    async fn news(&mut self) -> Option<Vec<String>> {
        loop {
            let heard = tokio::time::timeout(LOOK, self.steps.recv()).await;
            let mut marts = match heard {
                Ok(Ok(step)) => match self.shown(&step) {
                    Some(mart) => vec![mart],
                    None => continue,
                },
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(_))) => Vec::new(),
                Err(_) if self.run.is_some() => return Some(Vec::new()),
                Err(_) => continue,
            };
            let rest = Instant::now() + APART;
            while let Ok(Ok(step)) = tokio::time::timeout_at(rest, self.steps.recv()).await {
                marts.extend(self.shown(&step));
            }
            marts.sort_unstable();
            marts.dedup();
            return Some(marts);
        }
    }

    /// The mart of a step that this reader follows and may see.
    fn shown(&self, step: &Progress) -> Option<String> {
        let followed = self.run.is_none_or(|run| step.run == RunId(run));
        (followed && visible(&self.api, &self.caller).table(&step.mart)).then(|| step.mart.to_string())
    }
}
