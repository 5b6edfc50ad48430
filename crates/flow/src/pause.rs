//! Schedules that a person has stopped for a while.
//!
//! Owns: [`Pause`], and where it is kept: in the state database, so that it holds over restarts. A mart whose schedule
//! is paused is built by hand and with what reads it, as ever; only its own times pass by.
//! Never edits a file. Read next: [`crate::scheduler`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use naru_base::TableId;
use naru_store::{Store, StoreError, Transaction, kv, runs};
use serde::{Deserialize, Serialize};

use crate::{error::FlowError, flow::Flow, graph::Graph};

/// Its key in the state database.
const KEY: &str = "flow.paused";

/// Who stopped a schedule, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The person who asked.
    pub by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

/// All paused schedules by their marts' names.
pub(crate) fn stored(tx: &Transaction<'_>) -> Result<BTreeMap<String, Pause>, StoreError> {
    match kv::get(tx, KEY)? {
        None => Ok(BTreeMap::new()),
        Some(text) => serde_json::from_str(&text).map_err(|_| StoreError::Unreadable { what: KEY }),
    }
}

fn keep(tx: &Transaction<'_>, all: &BTreeMap<String, Pause>) -> Result<(), StoreError> {
    let text = serde_json::to_string(all).map_err(|_| StoreError::Unreadable { what: KEY })?;
    kv::set(tx, KEY, &text)
}

/// All paused schedules by their marts' names.
///
/// # Errors
/// [`FlowError::Store`].
pub async fn paused(store: &Store) -> Result<BTreeMap<String, Pause>, FlowError> {
    Ok(store.read(stored).await?)
}

impl Flow {
    /// Stops a mart's schedule until [`Flow::unpause`]. Pausing twice keeps the first.
    ///
    /// # Errors
    /// [`FlowError::Refused`] for a mart without a schedule.
    pub async fn pause(&self, graph: &Graph, mart: &TableId, pause: Pause) -> Result<(), FlowError> {
        schedule_of(graph, mart)?;
        let name = mart.to_string();
        let written = self.inner.store.write(move |tx| {
            let mut all = stored(tx)?;
            all.entry(name).or_insert(pause);
            keep(tx, &all)
        });
        Ok(written.await?)
    }

    /// Lets a mart's schedule go on with its next time; what passed meanwhile is not made up for.
    ///
    /// # Errors
    /// [`FlowError::Refused`] for a mart without a schedule.
    pub async fn unpause(&self, graph: &Graph, mart: &TableId, now: Timestamp) -> Result<(), FlowError> {
        let fired = vec![(mart.clone(), schedule_of(graph, mart)?)];
        let name = mart.to_string();
        let now = now.as_microsecond();
        let written = self.inner.store.write(move |tx| {
            let mut all = stored(tx)?;
            if all.remove(&name).is_none() {
                return Ok(());
            }
            runs::set_fired(tx, &fired, now)?;
            keep(tx, &all)
        });
        Ok(written.await?)
    }
}

/// The text of a mart's schedule.
fn schedule_of(graph: &Graph, mart: &TableId) -> Result<String, FlowError> {
    let schedule = graph.mart(mart).and_then(|mart| mart.schedule.as_ref());
    schedule.map(|schedule| schedule.text().to_owned()).ok_or_else(|| {
        let problem = naru_base::Problem::new("flow.no_schedule", format!("mart {mart} has no schedule"));
        FlowError::Refused(problem.hint("`schedule: \"0 6 * * *\"` in its options gives it one."))
    })
}
