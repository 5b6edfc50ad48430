//! What remains of a job: a line in its person's history.
//!
//! Owns: the translation of a job that ended into the store. Statements stand in the audit by the warehouse's own doing.

use async_trait::async_trait;
use naru_store::{
    Store,
    query_history::{self, Ran},
};
use naru_warehouse::jobs::{JobRecord, JobsEnd};

/// Writes the history.
#[derive(Debug)]
pub(super) struct History {
    store: Store,
}

impl History {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl JobsEnd for History {
    async fn ended(&self, record: JobRecord) {
        // What a share runs is the share's, not something its owner did.
        if !record.attended {
            return;
        }
        let (who, view) = (super::who(&record.principal), record.view);
        let ran = Ran {
            id: view.id.to_string(),
            who,
            state: view.state.word().to_owned(),
            problem: view.state.failure().map(|failure| failure.problem.code.into_owned()),
            rows: view.rows_total,
            bytes_read: view.seen.bytes_read,
            submitted_us: view.submitted_us,
            started_us: view.started_us,
            ended_us: view.ended_us.unwrap_or(view.submitted_us),
            sql: view.sql,
        };
        if let Err(error) = self.store.write(move |tx| query_history::insert(tx, &ran)).await {
            tracing::warn!(%error, "a query is missing in the history");
        }
    }
}
