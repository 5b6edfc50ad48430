//! Comparing sources with the lake, for `naru compare` and the demo.
//!
//! Owns: which sources are asked, and what is said of one that cannot be compared now. Nothing is left out silently:
//! whoever asks gets an entry for every source that may have what was asked for. Never compares rows; `naru-sync` does.

use naru_base::{Problem, TableId};
use naru_sync::{SourceStatus, compare::compare, status::OwnedProblem};
use serde_json::{Value, json};

use super::{Running, sources::RunningSource};

/// What is said of a table whose source was not read since the start.
const UNREAD: &str = "its source is not read yet";

impl Running {
    /// Compares every source, or one table, with the lake: one entry a source, `{source, at, tables, note, problem}`.
    /// `note` says why a source was not compared; then `at` is null.
    ///
    /// # Errors
    /// `sync.no_table`, when every source was read and none writes `table`.
    pub async fn compare(&self, table: Option<&TableId>) -> Result<Value, Problem> {
        let statuses: Vec<(&RunningSource, SourceStatus)> =
            self.sources.iter().map(|source| (source, source.status.get())).collect();
        let known = table.is_some_and(|table| statuses.iter().any(|(_, status)| writes(status, table)));
        let mut all = Vec::new();
        for (source, status) in &statuses {
            let asked = table.is_none_or(|table| {
                writes(status, table) || (!known && !status.read && may_write(&source.context.source.dataset, table))
            });
            if asked {
                all.push(one(source, status, table).await);
            }
        }
        match table.filter(|_| all.is_empty()) {
            Some(table) => Err(Problem::new("sync.no_table", format!("no source writes a table {table}"))
                .hint("`naru status` lists the tables of every source.")),
            None => Ok(Value::Array(all)),
        }
    }
}

async fn one(source: &RunningSource, status: &SourceStatus, table: Option<&TableId>) -> Value {
    let not_compared = |why: &str, note: &str, problem: Option<OwnedProblem>| {
        let tables: Vec<Value> =
            table.map(|table| json!({"table": table, "state": null, "equal": null, "note": why})).into_iter().collect();
        json!({"source": source.name, "at": null, "tables": tables, "note": note, "problem": problem})
    };
    if !status.read {
        return not_compared(UNREAD, "it is not read yet", status.problem.clone());
    }
    match compare(&source.context, &source.commands, table).await {
        Ok((at, tables)) => json!({"source": source.name, "at": at.to_string(), "tables": tables}),
        Err(error) => {
            let problem = OwnedProblem::from(&error.problem());
            not_compared("its source could not be asked", "it could not be asked", Some(problem))
        }
    }
}

fn writes(status: &SourceStatus, table: &TableId) -> bool {
    status.tables.iter().any(|listed| listed.table == *table)
}

/// Whether a source of this dataset may have a table of this name: schemas beside its default one have datasets that
/// begin with its own.
fn may_write(dataset: &str, table: &TableId) -> bool {
    table.dataset.strip_prefix(dataset).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_was_not_read_may_have_tables_of_its_own_datasets_only() {
        for (dataset, expected) in [("shop", true), ("shop_sales", true), ("shopping", false), ("crm", false)] {
            assert_eq!(may_write("shop", &TableId::new(dataset, "t")), expected, "{dataset}");
        }
    }
}
