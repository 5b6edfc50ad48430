//! What an action on marts would do, shown before it is done.
//!
//! Owns: [`Plan`] and how long it takes as a rule. Never starts anything.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use naru_base::TableId;
use naru_flow::{Flow, Graph, grid::Line};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::views::ProblemView;

/// What would happen, or what was begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunPlan)]
pub struct Plan {
    /// When this was looked up.
    pub as_of: String,
    /// The run that was begun, or that would be gone on with.
    pub run: Option<i64>,
    /// Whether it was begun.
    pub begun: bool,
    /// Marts that are built, in order.
    pub marts: Vec<Planned>,
    /// What all of it takes as a rule, where that is known of every mart; marts that do not wait for each other at once.
    pub expected_ms: Option<u64>,
    /// For a rollback: the run whose result is published again.
    pub rolled_to: Option<i64>,
    /// For a rollback: the rows of that.
    pub rows: Option<u64>,
    /// Marts that read what is built and that stay as they are until they are run.
    pub stale_below: Vec<String>,
}

/// One mart of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedMart)]
pub struct Planned {
    /// The mart.
    pub mart: String,
    /// Its layer in the graph.
    pub layer: usize,
    /// Where it stands in its latest run.
    pub state: Option<String>,
    /// What it takes as a rule.
    pub median_ms: Option<u64>,
    /// The run that builds it right now; this one would be refused.
    pub busy: Option<i64>,
    /// Why it would fail at once.
    pub broken: Option<ProblemView>,
}

impl Plan {
    /// A plan for these marts. `shown` says which other marts may be named.
    pub fn of(
        flow: &Flow,
        graph: &Graph,
        marts: &BTreeSet<TableId>,
        lines: &[Line],
        shown: impl Fn(&TableId) -> bool,
    ) -> Self {
        let lines: BTreeMap<&TableId, &Line> = lines.iter().map(|line| (&line.mart, line)).collect();
        let planned = graph.marts().iter().filter(|mart| marts.contains(&mart.id)).map(|mart| {
            let line = lines.get(&mart.id);
            Planned {
                mart: mart.id.to_string(),
                layer: graph.layer(&mart.id),
                state: line.and_then(|line| line.cells.first()).map(|cell| cell.state.clone()),
                median_ms: line.and_then(|line| line.median_ms),
                busy: flow.builder_of(&mart.id).map(|run| run.0),
                broken: mart.broken.as_ref().map(ProblemView::of),
            }
        });
        let medians = lines.iter().filter_map(|(id, line)| Some(((*id).clone(), line.median_ms?))).collect();
        let below = graph.all_below(marts).into_iter().filter(|id| !marts.contains(id) && shown(id));
        Self {
            as_of: Timestamp::now().to_string(),
            run: None,
            begun: false,
            marts: planned.collect(),
            expected_ms: longest_way(graph, marts, &medians),
            rolled_to: None,
            rows: None,
            stale_below: below.map(|id| id.to_string()).collect(),
        }
    }
}

/// The longest way through the marts, each taking what it takes as a rule; none where that is not known of every one.
fn longest_way(graph: &Graph, marts: &BTreeSet<TableId>, medians: &BTreeMap<TableId, u64>) -> Option<u64> {
    let mut ends: BTreeMap<&TableId, u64> = BTreeMap::new();
    for mart in graph.marts().iter().filter(|mart| marts.contains(&mart.id)) {
        let begins = graph.above(&mart.id).filter_map(|above| ends.get(&above.id)).max().copied().unwrap_or(0);
        ends.insert(&mart.id, begins.saturating_add(*medians.get(&mart.id)?));
    }
    ends.into_values().max()
}
