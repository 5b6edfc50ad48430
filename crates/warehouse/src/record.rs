//! The row of the audit that a statement leaves.
//!
//! Owns: [`Record`]: its place is taken before the statement starts, and filled when its result has ended, failed or
//! was let go. Never keeps values of rows.

use std::{collections::BTreeSet, time::Instant};

use arrow::record_batch::RecordBatch;
use naru_access::{
    Principal,
    audit::{Audit, Deed, Entry, Origin, Place},
};
use naru_base::{TableId, number::u64_from};

use crate::{Progress, WarehouseError};

/// What is written of a reader who left before the end.
const LEFT: &str = "left";

/// One statement on its way into the audit.
#[derive(Debug)]
pub(crate) struct Record {
    entry: Entry,
    began: Instant,
    progress: Progress,
    place: Option<Place>,
}

impl Record {
    /// Takes the place. `None` for what naru asks for itself, whose door is not known.
    pub async fn begin(
        audit: &Audit,
        principal: &Principal,
        origin: Option<&Origin>,
        sql: &str,
    ) -> Result<Option<Self>, WarehouseError> {
        let Some(origin) = origin else { return Ok(None) };
        let place = audit.place(principal).await.map_err(|problem| WarehouseError::Audit(Box::new(problem)))?;
        let entry = Entry {
            sql: Some(sql.to_owned()),
            rows: Some(0),
            bytes: Some(0),
            result: LEFT.to_owned(),
            ..Entry::new(principal, origin.clone(), Deed::Query)
        };
        Ok(Some(Self { entry, began: Instant::now(), progress: Progress::default(), place: Some(place) }))
    }

    /// Says what was opened, and where it can be seen how much is read.
    pub fn watch(&mut self, opened: BTreeSet<TableId>, progress: Progress) {
        self.entry.tables = opened.into_iter().collect();
        self.progress = progress;
    }

    /// Says which tables a statement names that will not be opened.
    pub fn named(&mut self, tables: Vec<TableId>) {
        self.entry.tables = tables;
    }

    /// Counts rows that go out.
    pub fn handed(&mut self, batch: &RecordBatch) {
        let bytes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        let add = |sum: &mut Option<u64>, more: usize| *sum = sum.map(|sum| sum.saturating_add(u64_from(more)));
        add(&mut self.entry.bytes, bytes.sum());
        add(&mut self.entry.rows, batch.num_rows());
    }

    /// Writes the row: it came to its end.
    pub fn done(&mut self) {
        "ok".clone_into(&mut self.entry.result);
        self.fill();
    }

    /// Writes the row: it failed.
    pub fn failed(&mut self, error: &WarehouseError) {
        self.entry.result = error.problem().code.into_owned();
        self.fill();
    }

    fn fill(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut entry = self.entry.clone();
        entry.took = Some(self.began.elapsed());
        entry.bytes_read = Some(self.progress.seen().bytes_read);
        place.fill(entry);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.fill();
    }
}
