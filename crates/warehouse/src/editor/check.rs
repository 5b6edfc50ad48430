//! What is wrong with a text, where, and what the statement at the cursor would read.
//!
//! Owns: planning without running; places in the whole text. The estimate comes from the sizes of files and from the
//! columns that the optimised plan reads, so filters make the truth smaller, never larger.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use datafusion::{common::tree_node::TreeNodeRecursion, logical_expr::LogicalPlan};
use naru_base::{Problem, TableId, number::u64_from};
use naru_googlesql::{
    Params,
    editor::{Place, statement_places, token_end},
};

use crate::{Session, Statement, WarehouseError, run};

/// Statements of one text that are planned; those behind them are checked by their syntax alone.
const PLANNED_MAX: usize = 50;

/// A statement's place in the text, its end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementPlace {
    /// Its first character.
    pub start: Place,
    /// Behind its last one.
    pub end: Place,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What a person is told.
    pub problem: Problem,
    /// Where it begins, where it has a place.
    pub start: Option<Place>,
    /// Where the word at fault ends.
    pub end: Option<Place>,
    /// What may have been meant instead of the word.
    pub instead: Option<String>,
}

/// What a statement would read at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Bytes of files, by the share of their columns; unknown where a table's size is.
    pub bytes: Option<u64>,
    /// Rows of the tables.
    pub rows: Option<u64>,
    /// The tables, those behind views included.
    pub tables: Vec<TableId>,
}

/// What a text looks like.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its statements.
    pub statements: Vec<StatementPlace>,
    /// Position of the one in which the cursor is, or stands right behind.
    pub at_cursor: Option<usize>,
    /// Mistakes in order.
    pub mistakes: Vec<Mistake>,
    /// Of the statement at the cursor.
    pub estimate: Option<Estimate>,
    /// Its columns.
    pub columns: Option<SchemaRef>,
}

impl Session {
    /// Plans the statements of a text without running any.
    pub async fn check(&self, sql: &str, cursor: Option<Place>) -> Checked {
        let places = statement_places(sql);
        let statements: Vec<StatementPlace> =
            places.iter().map(|(start, end)| StatementPlace { start: *start, end: *end }).collect();
        let at_cursor = at_cursor(&statements, cursor);
        let mut checked = Checked { statements, at_cursor, mistakes: Vec::new(), estimate: None, columns: None };
        let parsed = match self.statements(sql) {
            Ok(parsed) => parsed,
            Err(error) => {
                let place = error.place().map(|(line, column)| Place { line, column });
                checked.mistakes.push(mistake(sql, &error, place));
                return checked;
            }
        };
        for (position, statement) in parsed.iter().enumerate().take(PLANNED_MAX) {
            match self.look_at(statement).await {
                Ok(Some((schema, estimate))) if Some(position) == at_cursor => {
                    (checked.columns, checked.estimate) = (Some(schema), Some(estimate));
                }
                Ok(_) => {}
                Err(error) => {
                    let place = error.place().map(|(line, column)| Place { line, column });
                    checked.mistakes.push(mistake(sql, &error, place));
                }
            }
        }
        checked
    }

    /// Columns of one statement and what it would read; nothing for one without rows.
    async fn look_at(&self, statement: &Statement) -> Result<Option<(SchemaRef, Estimate)>, WarehouseError> {
        if !statement.has_rows() {
            self.validate(statement.text()).await?;
            return Ok(None);
        }
        let job = self.job(statement.parsed.clone(), Params::default(), self.live())?;
        let looked = self.on_threads(Box::pin(async move {
            let plan = run::plan(&job).await?;
            let schema = plan.schema().inner().clone();
            let read = job.state.optimize(&plan).map(|plan| scans(&plan)).unwrap_or_default();
            let mut estimate =
                Estimate { bytes: Some(0), rows: Some(0), tables: job.scope.used().into_keys().collect() };
            for id in &estimate.tables {
                let extent = job.scope.extent(id).await;
                let (part, whole) = read.get(id).copied().unwrap_or((0, 1));
                let bytes = extent.map(|extent| extent.bytes / whole.max(1) * part);
                estimate.bytes = estimate.bytes.zip(bytes).map(|(sum, bytes)| sum + bytes);
                estimate.rows = estimate.rows.zip(extent).map(|(sum, extent)| sum + extent.rows);
            }
            Ok((schema, estimate))
        }));
        looked.await.map(Some)
    }
}

/// Columns that a plan reads of each table, and how many there are.
fn scans(plan: &LogicalPlan) -> BTreeMap<TableId, (u64, u64)> {
    let mut all = BTreeMap::new();
    // The closure has no error of its own, so neither has the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let whole = u64_from(scan.source.schema().fields().len());
            let part = scan.projection.as_ref().map_or(whole, |columns| u64_from(columns.len()));
            let id = TableId::new(scan.table_name.schema().unwrap_or_default(), scan.table_name.table());
            let most = all.entry(id).or_insert((0, whole));
            most.0 = (most.0 + part).min(whole);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    all
}

/// The statement that holds the cursor, else the last one before it.
fn at_cursor(statements: &[StatementPlace], cursor: Option<Place>) -> Option<usize> {
    let last = statements.len().checked_sub(1)?;
    let Some(cursor) = cursor else { return Some(last) };
    let before = statements.iter().rposition(|statement| statement.start <= cursor);
    Some(before.unwrap_or(0))
}

fn mistake(sql: &str, error: &WarehouseError, start: Option<Place>) -> Mistake {
    let problem = error.problem();
    let end = start.map(|start| token_end(sql, start));
    let instead = problem.hint.as_deref().and_then(meant).map(str::to_owned);
    Mistake { problem, start, end, instead }
}

/// The name in "did you mean NAME?".
fn meant(hint: &str) -> Option<&str> {
    hint.split_once("did you mean ")?.1.split_once('?').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_in_the_statement_that_begins_last_before_it() {
        let place = |line, column| Place { line, column };
        let statement = |line| StatementPlace { start: place(line, 1), end: place(line, 9) };
        let all = [statement(1), statement(3)];
        for (cursor, found) in [(place(1, 4), 0), (place(2, 1), 0), (place(3, 1), 1), (place(9, 9), 1)] {
            assert_eq!(at_cursor(&all, Some(cursor)), Some(found), "{cursor:?}");
        }
        assert_eq!((at_cursor(&all, None), at_cursor(&[], None)), (Some(1), None));
    }
}
