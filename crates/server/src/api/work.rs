//! Long work that somebody asked for: comparing a table, replaying dead letters.
//!
//! Owns: [`Works`]: what runs, how far it is, its result for an hour after its end, and the routes to follow and cancel
//! it. Work is there only for whoever asked for it, and for administrators. A restart forgets it; what it had done by
//! then stays done.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    extract::{Path, State},
    response::sse::{Event, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use naru_access::Principal;
use naru_base::Problem;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiProblem, frame::events::states, views::ProblemView};
use crate::signin::caller::Caller;

/// Pieces of work that go on at once.
const RUNNING_MAX: usize = 16;
/// Those of them that are one person's.
const RUNNING_OF_ONE_MAX: usize = 4;
/// How long a result is kept.
const KEPT: Duration = Duration::from_hours(1);

/// One piece of work.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorkView {
    /// Its number.
    pub id: u64,
    /// `compare` or `replay`.
    pub kind: String,
    /// `running`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How far it is, in its own words; none before the first step.
    #[schema(value_type = Option<Object>)]
    pub progress: Option<Value>,
    /// What came of it.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// Why it failed.
    pub problem: Option<ProblemView>,
}

#[derive(Debug)]
struct Work {
    asker: String,
    /// What it is about, where no other of its kind may be about the same meanwhile.
    about: Option<String>,
    view: watch::Sender<WorkView>,
    cancel: CancellationToken,
    ended: Option<Instant>,
}

/// All work of this process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Works {
    next: Arc<AtomicU64>,
    all: Arc<Mutex<BTreeMap<u64, Work>>>,
}

/// Tells how far work is.
#[derive(Debug, Clone)]
pub struct Step(watch::Sender<WorkView>);

impl Step {
    /// Shows this as the progress from now on.
    pub fn tell(&self, progress: Value) {
        self.0.send_modify(|view| view.progress = Some(progress));
    }
}

impl Works {
    /// Begins work for someone.
    ///
    /// # Errors
    /// Too much goes on already, or too much of theirs.
    pub fn begin<F, Fut>(&self, asker: &Principal, kind: &str, work: F) -> Result<WorkView, Problem>
    where
        F: FnOnce(Step) -> Fut,
        Fut: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        self.start(asker, kind, None, work)
    }

    /// The same, while no other work of this kind is about the same thing.
    ///
    /// # Errors
    /// As [`Works::begin`], and when other such work goes on.
    pub fn begin_one<F, Fut>(&self, asker: &Principal, kind: &str, about: &str, work: F) -> Result<WorkView, Problem>
    where
        F: FnOnce(Step) -> Fut,
        Fut: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        self.start(asker, kind, Some(about.to_owned()), work)
    }

    fn start<F, Fut>(&self, who: &Principal, kind: &str, about: Option<String>, work: F) -> Result<WorkView, Problem>
    where
        F: FnOnce(Step) -> Fut,
        Fut: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        let mut all = self.all.lock();
        all.retain(|_, work| work.ended.is_none_or(|ended| ended.elapsed() < KEPT));
        if let Some(why) = too_much(&all, who, kind, about.as_deref()) {
            return Err(Problem::new("work.too_much", why).later());
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let view = WorkView {
            id,
            kind: kind.to_owned(),
            state: "running".to_owned(),
            started_at: Timestamp::now().to_string(),
            ended_at: None,
            progress: None,
            result: None,
            problem: None,
        };
        let (sender, cancel) = (watch::Sender::new(view.clone()), CancellationToken::new());
        let doing = work(Step(sender.clone()));
        let asker = who.name().to_owned();
        all.insert(id, Work { asker, about, view: sender, cancel: cancel.clone(), ended: None });
        drop(all);
        let works = self.clone();
        tokio::spawn(async move {
            let outcome = cancel.run_until_cancelled(doing).await;
            works.end(id, outcome);
        });
        Ok(view)
    }

    fn end(&self, id: u64, outcome: Option<Result<Value, Problem>>) {
        let mut all = self.all.lock();
        let Some(work) = all.get_mut(&id) else { return };
        work.ended = Some(Instant::now());
        work.view.send_modify(|view| {
            view.ended_at = Some(Timestamp::now().to_string());
            match outcome {
                None => "cancelled".clone_into(&mut view.state),
                Some(Ok(result)) => {
                    "done".clone_into(&mut view.state);
                    view.result = Some(result);
                }
                Some(Err(problem)) => {
                    "failed".clone_into(&mut view.state);
                    view.problem = Some(ProblemView::of(&problem));
                }
            }
        });
    }

    /// Work of this number, for whoever asked for it.
    fn find(&self, id: u64, who: &Principal, admin: bool) -> Option<(watch::Receiver<WorkView>, CancellationToken)> {
        let all = self.all.lock();
        let work = all.get(&id).filter(|work| admin || work.asker == who.name())?;
        Some((work.view.subscribe(), work.cancel.clone()))
    }
}

/// Why no more work begins now.
fn too_much(all: &BTreeMap<u64, Work>, who: &Principal, kind: &str, about: Option<&str>) -> Option<String> {
    let running = || all.values().filter(|work| work.ended.is_none());
    let same = |work: &Work| about.is_some() && work.about.as_deref() == about && work.view.borrow().kind == kind;
    if running().any(same) {
        Some(format!("a {kind} of {} goes on already", about.unwrap_or_default()))
    } else if running().count() >= RUNNING_MAX {
        Some(format!("{RUNNING_MAX} pieces of work go on already"))
    } else if running().filter(|work| work.asker == who.name()).count() >= RUNNING_OF_ONE_MAX {
        Some(format!("{RUNNING_OF_ONE_MAX} pieces of your work go on already"))
    } else {
        None
    }
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(work)).routes(routes!(follow)).routes(routes!(cancel))
}

fn find(api: &Api, caller: &Caller, id: u64) -> Result<(watch::Receiver<WorkView>, CancellationToken), ApiProblem> {
    let admin = api.policy.admin(&caller.principal);
    let found = api.ports.works().find(id, &caller.principal, admin);
    found.ok_or_else(|| {
        let problem = Problem::new("work.missing", format!("there is no work {id}"));
        ApiProblem::not_found(problem.detail("It ended more than an hour ago, or naru was started again since."))
    })
}

/// How a piece of work stands.
#[utoipa::path(get, path = "/api/v1/works/{id}", operation_id = "get_works_id", tag = "work", params(("id" = u64, Path)),
    responses((status = 200, body = WorkView), (status = 404)))]
async fn work(State(api): State<Api>, caller: Caller, Path(id): Path<u64>) -> Result<Json<WorkView>, ApiProblem> {
    let (view, _) = find(&api, &caller, id)?;
    let now = view.borrow().clone();
    Ok(Json(now))
}

/// Sends how it stands as event `state`, at once and whenever that changes, until it has ended.
#[utoipa::path(get, path = "/api/v1/works/{id}/events", operation_id = "get_works_id_events", tag = "work", params(("id" = u64, Path)),
    responses((status = 200, description = "Server-sent events: `state` with a WorkView"), (status = 404)))]
async fn follow(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<u64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiProblem> {
    let (mut view, _) = find(&api, &caller, id)?;
    view.mark_changed();
    let views = stream::unfold((view, false), async |(mut view, ended)| {
        if ended {
            return None;
        }
        view.changed().await.ok()?;
        let now = view.borrow_and_update().clone();
        let ended = now.state != "running";
        Some((now, (view, ended)))
    });
    Ok(states(views.boxed()))
}

/// Stops it; what it has done stays done.
#[utoipa::path(post, path = "/api/v1/works/{id}/cancel", operation_id = "post_works_id_cancel", tag = "work", params(("id" = u64, Path)),
    responses((status = 200, body = WorkView), (status = 404)))]
async fn cancel(State(api): State<Api>, caller: Caller, Path(id): Path<u64>) -> Result<Json<WorkView>, ApiProblem> {
    let (mut view, cancel) = find(&api, &caller, id)?;
    cancel.cancel();
    // The sender stays while the work is listed.
    let ended = view.wait_for(|view| view.state != "running").await.map(|view| view.clone());
    ended.map(Json).map_err(|_| ApiProblem::not_found(Problem::new("work.missing", format!("there is no work {id}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_there_for_whoever_asked_and_says_how_it_ended() {
        let works = Works::default();
        let kim = Principal::Token { id: 1, name: "kim".into(), owner: "kim".into() };
        let begun = works.begin(&kim, "compare", |step: Step| async move {
            step.tell(Value::from(1));
            Ok(Value::from("same"))
        });
        let id = begun.unwrap().id;
        assert!(works.find(id, &Principal::Owner, false).is_none());
        let (mut view, _) = works.find(id, &kim, false).unwrap();
        let ended = view.wait_for(|view| view.state != "running").await.unwrap().clone();
        assert_eq!((ended.state.as_str(), ended.result, ended.progress), ("done", Some("same".into()), Some(1.into())));
        let begun = works.begin(&kim, "replay", |_: Step| std::future::pending()).unwrap();
        let (mut view, cancel) = works.find(begun.id, &kim, false).unwrap();
        cancel.cancel();
        assert_eq!(view.wait_for(|view| view.state != "running").await.unwrap().state, "cancelled");
    }

    #[tokio::test]
    async fn one_comparison_of_a_table_goes_on_at_a_time_and_one_person_has_few() {
        let works = Works::default();
        let who = |id: i64, name: &str| Principal::Token { id, name: name.into(), owner: name.into() };
        let (kim, lee) = (who(1, "kim"), who(2, "lee"));
        let begin = |who: &Principal, about: &str| {
            works.begin_one(who, "compare", about, |_: Step| std::future::pending()).map_err(|problem| problem.code)
        };
        let first = begin(&kim, "shop.orders").unwrap();
        assert_eq!(begin(&lee, "shop.orders").unwrap_err(), "work.too_much");
        for table in ["a.a", "a.b", "a.c"] {
            begin(&kim, table).unwrap();
        }
        assert_eq!(begin(&kim, "a.d").unwrap_err(), "work.too_much");
        begin(&lee, "a.d").unwrap();
        let (mut view, cancel) = works.find(first.id, &kim, false).unwrap();
        cancel.cancel();
        view.wait_for(|view| view.state != "running").await.unwrap();
        assert!(begin(&lee, "shop.orders").is_ok());
    }
}
