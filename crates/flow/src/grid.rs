//! Every mart with its latest runs at one look, for the console and the API.
//!
//! Owns: [`Line`], and the one question to the state database that fills a whole grid: some rows of an index a mart,
//! whatever the length of the history. Never changes anything. Read next: [`crate::history`] for one run in full.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use naru_base::TableId;
use naru_store::{
    Store,
    runs_read::{self, CellRow},
};

use crate::{
    error::FlowError,
    graph::{Graph, Mart},
    history::FailingCheck,
    pause::{self, Pause},
    state::NodeState,
};

/// Runs that a typical duration is made of.
pub const MEDIAN_OF: u32 = 25;

/// One mart of a grid.
#[derive(Debug, Clone)]
pub struct Line {
    /// The mart.
    pub mart: TableId,
    /// Its part in its latest runs, newest first.
    pub cells: Vec<CellRow>,
    /// Its part in the run that published it last, as far as the cells tell.
    pub published: Option<CellRow>,
    /// Checks of the latest attempt that did not pass.
    pub failing_checks: Vec<FailingCheck>,
    /// What it takes as a rule, in milliseconds; none before it was built.
    pub median_ms: Option<u64>,
    /// When its schedule starts it next; none while that is paused.
    pub next: Option<Timestamp>,
    /// Set while its schedule is paused.
    pub paused: Option<Pause>,
    /// Whether its file was edited since it was published.
    pub edited: bool,
}

/// The lines of the marts that `shown` lets through, in an order in which they can be built, each with at most `most`
/// runs.
///
/// # Errors
/// [`FlowError::Store`].
pub async fn lines(
    store: &Store,
    graph: &Arc<Graph>,
    shown: impl Fn(&TableId) -> bool,
    most: u32,
    now: Timestamp,
) -> Result<Vec<Line>, FlowError> {
    let ids: Vec<TableId> = graph.marts().iter().map(|mart| mart.id.clone()).filter(|id| shown(id)).collect();
    let (rows, paused) = store
        .read(move |tx| {
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                let cells = runs_read::cells(tx, &id, most)?;
                let failing = match cells.first() {
                    Some(latest) => runs_read::failing(tx, latest.run, &id, latest.attempt)?,
                    None => Vec::new(),
                };
                rows.push((id, cells, failing));
            }
            Ok((rows, pause::stored(tx)?))
        })
        .await?;
    let line = |(id, cells, failing)| Some(line(graph.mart(&id)?, cells, failing, &paused, now));
    Ok(rows.into_iter().filter_map(line).collect())
}

fn line(
    mart: &Mart,
    cells: Vec<CellRow>,
    failing: Vec<(String, String, u64)>,
    paused: &BTreeMap<String, Pause>,
    now: Timestamp,
) -> Line {
    let done = |cell: &&CellRow| cell.state == NodeState::Done.word();
    // The newest run may have been published over by an older one that was gone on with later.
    let published = cells.iter().filter(done).max_by_key(|cell| cell.ended_us).cloned();
    let paused = paused.get(&mart.id.to_string()).cloned();
    let next = mart.schedule.as_ref().filter(|_| paused.is_none()).and_then(|schedule| schedule.next_after(now));
    let failing_checks =
        failing.into_iter().map(|(check, outcome, failing)| FailingCheck { check, outcome, failing }).collect();
    Line {
        mart: mart.id.clone(),
        edited: published.as_ref().is_some_and(|published| published.fingerprint != mart.fingerprint),
        median_ms: median_ms(&cells),
        cells,
        published,
        failing_checks,
        next,
        paused,
    }
}

/// What building a mart takes as a rule: the median over those of these runs that went well, in milliseconds.
pub fn median_ms(cells: &[CellRow]) -> Option<u64> {
    let done = cells.iter().filter(|cell| cell.state == NodeState::Done.word());
    let mut took: Vec<u64> = done.filter_map(|cell| elapsed_ms(cell.started_us, cell.ended_us)).collect();
    took.sort_unstable();
    took.get(took.len() / 2).copied()
}

/// From a beginning to an end, in milliseconds, where both are known.
pub fn elapsed_ms(started_us: Option<i64>, ended_us: Option<i64>) -> Option<u64> {
    u64::try_from(ended_us?.saturating_sub(started_us?) / 1_000).ok()
}

#[cfg(test)]
mod tests {
    use naru_base::RunId;

    use super::*;

    fn cell(run: i64, state: &str, ms: i64) -> CellRow {
        CellRow {
            run: RunId(run),
            reason: "manual".into(),
            asked_by: None,
            run_started_us: 0,
            state: state.into(),
            fingerprint: String::new(),
            cause: None,
            attempt: None,
            rows: None,
            started_us: Some(0),
            ended_us: Some(ms * 1_000),
        }
    }

    #[test]
    fn the_typical_duration_is_that_of_runs_that_went_well() {
        let cells = [cell(5, "failed", 9_000), cell(4, "done", 30), cell(3, "done", 10), cell(2, "done", 20)];
        assert_eq!(median_ms(&cells), Some(20));
        assert_eq!(median_ms(&cells[..1]), None);
    }
}
