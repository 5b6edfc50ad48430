//! How far a running query has come.
//!
//! Owns: reading the plan's own counters. Never slows a query: nothing is counted twice or sampled by time.

use std::sync::Arc;

use datafusion::{
    common::stats::Precision,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        statistics::{StatisticsArgs, StatisticsContext},
    },
};
use naru_base::number::u64_from;
use parking_lot::Mutex;

use crate::steps::StepsExec;

/// A handle on a query's progress; cheap to clone, valid after the query has ended.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    /// Set by the query's driver when a plan starts.
    Running(Arc<dyn ExecutionPlan>),
    /// Set when the query ends: a plan kept longer would keep its memory too.
    Ended(Seen),
}

impl Default for State {
    fn default() -> Self {
        Self::Ended(Seen::default())
    }
}

/// What has been seen of a query so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Rows that scans have handed on.
    pub rows_read: u64,
    /// Rows that scans hold according to their statistics; filters may skip many of them.
    pub rows_total: Option<u64>,
    /// Bytes that scans have read.
    pub bytes_read: u64,
    /// Bytes written to the spill folder.
    pub bytes_spilled: u64,
    /// Parallel parts of the plan's widest scan.
    pub partitions: u64,
}

impl Progress {
    /// Sets the plan that is running now; a query that is planned again starts counting again.
    pub(crate) fn watch(&self, plan: Arc<dyn ExecutionPlan>) {
        *self.state.lock() = State::Running(plan);
    }

    /// Keeps the last counts and lets go of the plan.
    pub(crate) fn end(&self) {
        let seen = self.seen();
        *self.state.lock() = State::Ended(seen);
    }

    /// Reads the counters.
    pub fn seen(&self) -> Seen {
        let plan = match &*self.state.lock() {
            State::Running(plan) => plan.clone(),
            State::Ended(seen) => return *seen,
        };
        let mut seen = Seen::default();
        let mut total = Some(0);
        add(plan.as_ref(), &mut seen, &mut total);
        seen.rows_total = total;
        seen
    }
}

fn add(node: &dyn ExecutionPlan, seen: &mut Seen, total: &mut Option<u64>) {
    let leaf = node.children().is_empty();
    seen.rows_read += node.downcast_ref::<StepsExec>().and_then(StepsExec::rows_of_leaf).unwrap_or(0);
    if let Some(metrics) = node.metrics() {
        let sum = |name: &str| metrics.sum_by_name(name).map_or(0, |value| u64_from(value.as_usize()));
        seen.bytes_spilled += metrics.spilled_bytes().map_or(0, u64_from);
        if leaf {
            seen.bytes_read += sum("bytes_scanned");
        }
    }
    if leaf {
        seen.partitions = seen.partitions.max(u64_from(node.output_partitioning().partition_count()));
        let statistics = StatisticsContext::new().compute(node, &StatisticsArgs::new());
        let rows = statistics.ok().map(|statistics| statistics.num_rows);
        *total = match (rows, *total) {
            (Some(Precision::Exact(rows) | Precision::Inexact(rows)), Some(total)) => Some(total + u64_from(rows)),
            _ => None,
        };
    }
    for child in node.children() {
        add(child.as_ref(), seen, total);
    }
}
