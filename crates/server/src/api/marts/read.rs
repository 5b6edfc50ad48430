//! Reading marts and runs.
//!
//! Owns: the routes that change nothing. Never shows a mart to those who may not see it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use jiff::Timestamp;
use naru_access::{Action, Visible};
use naru_base::{RunId, TableId};
use naru_flow::{Graph, grid};
use naru_store::{
    Store, StoreError,
    runs_read::{self, CellRow, NodeRow, RunRow, VerdictRow},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    allowed, flow_problem, mart_id, no_such_mart, no_such_run,
    views::{self, Beside, MartItem, MartList, MartView, RunLine, RunList, RunView, Seen},
    visible,
};
use crate::{
    api::{Api, ApiProblem},
    signin::caller::Caller,
};

/// Runs of a mart in a list, unless asked otherwise, and at most.
const RUNS_DEFAULT: u32 = 25;
const RUNS_MAX: u32 = 100;
/// Cells of a whole list: with very many marts each shows fewer runs.
const CELLS_MAX: usize = 10_000;
/// Runs of the page of one mart.
const RUNS_OF_MART: u32 = 60;

/// How much of the history is wanted.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Asked {
    /// Runs a mart, at most 100; 25 unless given. A graph needs 1.
    runs: Option<u32>,
}

/// Which runs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
pub struct AskedRuns {
    /// Only those that this mart took part in.
    mart: Option<String>,
    /// At most so many, up to 100; 25 unless given.
    most: Option<u32>,
}

fn most(asked: Option<u32>) -> u32 {
    asked.unwrap_or(RUNS_DEFAULT).clamp(1, RUNS_MAX)
}

/// Every mart with its latest runs.
#[utoipa::path(get, path = "/api/v1/marts", operation_id = "get_marts", tag = "marts", params(Asked),
    responses((status = 200, body = MartList)))]
pub(super) async fn marts(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<MartList>, ApiProblem> {
    let visible = visible(&api, &caller);
    let port = api.ports.marts();
    let graph = port.graph();
    let now = Timestamp::now();
    let seen = graph.marts().iter().filter(|mart| visible.table(&mart.id)).count().max(1);
    let most = most(asked.runs).min(u32::try_from(CELLS_MAX / seen).unwrap_or(RUNS_MAX).max(1));
    let lines = grid::lines(port.store(), &graph, |id| visible.table(id), most, now).await;
    let lines = lines.map_err(|error| flow_problem(&error))?;
    let item = |line: &grid::Line| Some(MartItem::of(&graph, graph.mart(&line.mart)?, line, &visible));
    Ok(Json(MartList {
        as_of: now.to_string(),
        items: lines.iter().filter_map(item).collect(),
        folder: views::folder(&port.wrong(), &visible),
    }))
}

/// One mart in full.
#[utoipa::path(get, path = "/api/v1/marts/{mart}", operation_id = "get_marts_mart", tag = "marts", params(("mart" = String, Path)),
    responses((status = 200, body = MartView), (status = 404)))]
pub(super) async fn mart(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<MartView>, ApiProblem> {
    let id = mart_id(&name)?;
    allowed(&api, &caller, Action::View, &id)?;
    let visible = visible(&api, &caller);
    let port = api.ports.marts();
    let graph = port.graph();
    let mart = graph.mart(&id).ok_or_else(|| ApiProblem::from(no_such_mart(&id)))?;
    let lines = grid::lines(port.store(), &graph, |other| *other == id, RUNS_OF_MART, Timestamp::now()).await;
    let line = lines.map_err(|error| flow_problem(&error))?.pop();
    let line = line.ok_or_else(|| ApiProblem::from(no_such_mart(&id)))?;
    let verdicts = match line.cells.first() {
        Some(latest) => latest_verdicts(port.store(), latest, id.clone()).await?,
        None => Vec::new(),
    };
    Ok(Json(MartView::of(&graph, mart, &line, &verdicts, &visible)))
}

async fn latest_verdicts(store: &Store, latest: &CellRow, mart: TableId) -> Result<Vec<VerdictRow>, ApiProblem> {
    let (run, attempt) = (latest.run, latest.attempt);
    let all = store.read(move |tx| runs_read::verdicts(tx, run)).await.map_err(stored)?;
    Ok(all.into_iter().filter(|verdict| verdict.mart == mart && Some(verdict.attempt) == attempt).collect())
}

fn stored(error: StoreError) -> ApiProblem {
    ApiProblem::from(error.problem())
}

/// The latest runs, the newest first.
#[utoipa::path(get, path = "/api/v1/runs", operation_id = "get_runs", tag = "marts", params(AskedRuns),
    responses((status = 200, body = RunList)))]
pub(super) async fn runs(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<AskedRuns>,
) -> Result<Json<RunList>, ApiProblem> {
    let visible = visible(&api, &caller);
    let mart = asked.mart.as_deref().map(mart_id).transpose()?;
    if let Some(mart) = &mart {
        allowed(&api, &caller, Action::View, mart)?;
    }
    let most = most(asked.most);
    let rows = api.ports.marts().store().read(move |tx| {
        let rows = match &mart {
            Some(mart) => runs_read::latest_of(tx, mart, most)?,
            None => runs_read::latest(tx, most)?,
        };
        rows.into_iter().map(|row| Ok((runs_read::nodes(tx, row.run)?, row))).collect::<Result<Vec<_>, _>>()
    });
    let rows: Vec<(Vec<NodeRow>, RunRow)> = rows.await.map_err(stored)?;
    let items: Vec<RunLine> =
        rows.iter().filter_map(|(nodes, row)| Some(Seen::of(row, nodes, &visible)?.line())).collect();
    Ok(Json(RunList { as_of: Timestamp::now().to_string(), items }))
}

/// One run with its marts, what their checks found and what they read.
#[utoipa::path(get, path = "/api/v1/runs/{run}", operation_id = "get_runs_run", tag = "marts", params(("run" = i64, Path)),
    responses((status = 200, body = RunView), (status = 404)))]
pub(super) async fn run(
    State(api): State<Api>,
    caller: Caller,
    Path(run): Path<i64>,
) -> Result<Json<RunView>, ApiProblem> {
    let visible = visible(&api, &caller);
    Ok(Json(look(&api, &visible, run).await?))
}

/// A run as someone sees it now.
pub(super) async fn look(api: &Api, visible: &Visible, number: i64) -> Result<RunView, ApiProblem> {
    let port = api.ports.marts();
    let (graph, run) = (port.graph(), RunId(number));
    let read = port.store().read(move |tx| {
        let row = runs_read::run(tx, run)?;
        Ok((row, runs_read::nodes(tx, run)?, runs_read::verdicts(tx, run)?))
    });
    let (row, nodes, verdicts) = read.await.map_err(stored)?;
    let row = row.ok_or_else(|| no_such_run(number))?;
    let seen = Seen::of(&row, &nodes, visible).ok_or_else(|| no_such_run(number))?;
    let cells = cells(port.store(), &graph, &seen).await?;
    let beside = Beside { graph: &graph, verdicts: &verdicts, cells: &cells, visible };
    Ok(RunView::of(&seen, &beside))
}

/// The latest parts in runs of what a run shows and of the marts that it read.
async fn cells(store: &Store, graph: &Graph, seen: &Seen<'_>) -> Result<BTreeMap<TableId, Vec<CellRow>>, ApiProblem> {
    let mut wanted: BTreeSet<TableId> = seen.nodes.iter().map(|node| node.mart.clone()).collect();
    let above: Vec<TableId> = wanted.iter().flat_map(|id| graph.above(id)).map(|mart| mart.id.clone()).collect();
    wanted.extend(above);
    let read = store.read(move |tx| {
        let cells = |id: TableId| Ok((runs_read::cells(tx, &id, grid::MEDIAN_OF)?, id));
        wanted.into_iter().map(cells).collect::<Result<Vec<_>, _>>()
    });
    Ok(read.await.map_err(stored)?.into_iter().map(|(cells, id)| (id, cells)).collect())
}
