//! Sources and tables as JSON: what `naru status --json` says, with what was measured and what it means.
//!
//! Owns: the shapes that leave the API, as pure functions of what the port tells. Never asks anybody.

use std::collections::BTreeMap;

use naru_access::{Action, Decision, Principal, Rights};
use naru_base::{
    Lsn, TableId,
    number::{f64_from, u64_from_signed},
};
use naru_project::Role;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::views::ProblemView;

/// How fast a source goes, measured over the last minutes.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Over how long it was measured, seconds.
    pub over_s: f64,
    /// Bytes of its log that the server writes, a second.
    pub written_per_s: f64,
    /// By how many bytes the log that the slot keeps grows, a second; negative while it shrinks.
    pub retained_per_s: f64,
    /// Changes of each table that were applied, a second.
    pub changes_per_s: BTreeMap<TableId, f64>,
    /// When the problem that stands now was first seen, or when it last went well, microseconds since 1970.
    pub since_us: Option<i64>,
}

/// All sources that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceList {
    /// When this was read.
    pub as_of: String,
    /// Whether every source was read since the start; one that was not lists no tables yet.
    pub complete: bool,
    /// Whether the caller may connect a database.
    pub may_connect: bool,
    /// By name.
    pub items: Vec<SourceView>,
}

/// One source.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SourceView {
    /// Name of its file.
    pub source: String,
    /// The dataset that it writes to.
    pub dataset: String,
    /// `connecting`, `preflight`, `streaming`, `waiting`, `stopped`, or `vanished` (its file is gone).
    pub phase: String,
    /// What the last try came to, apart from what is being tried now; none when it went well.
    pub problem: Option<ProblemView>,
    /// Since when it stands so.
    pub since: Option<String>,
    /// What will stop it if nobody does anything.
    pub warnings: Vec<ProblemView>,
    /// What makes it slower or coarser than it could be; nothing is wrong.
    pub notes: Vec<ProblemView>,
    /// End of the last transaction that queries see.
    #[serde(deserialize_with = "position")]
    pub visible: Option<String>,
    /// Position acknowledged to the source.
    #[serde(deserialize_with = "position")]
    pub acknowledged: Option<String>,
    /// Last position that the server said it has written.
    #[serde(deserialize_with = "position")]
    pub server: Option<String>,
    /// Bytes of log that the slot keeps at the source.
    pub retained_bytes: Option<i64>,
    /// Bytes until the slot is lost; none when unbounded.
    pub safe_bytes: Option<i64>,
    /// Bytes of log that the server writes, a second; measured.
    pub written_per_s: Option<f64>,
    /// Hours until the slot is lost as the log grows now; none while it does not grow.
    pub hours_until_lost: Option<f64>,
    /// Hours after which the slot would be lost if naru stopped now, at the rate at which the server writes.
    pub hours_if_stopped: Option<f64>,
    /// Whether a trigger reports definition changes.
    pub event_trigger: bool,
    /// Whether `tables` is what the source had when it was last read.
    pub read: bool,
    /// Its tables that the caller may see.
    pub tables: Vec<SyncedTable>,
}

/// One table of a source.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SyncedTable {
    /// `dataset.table`.
    #[serde(deserialize_with = "name")]
    pub table: String,
    /// `schema.name` at the source.
    pub source_table: String,
    /// The phase: `discovered`, `preflight`, `copying`, `catching_up`, `live`, `rebuilding`, `quarantined`, `dropped`,
    /// `paused` or `not_synced`.
    pub state: String,
    /// Whether changes reach it now: its source streams and it is live.
    pub followed: bool,
    /// Rows that queries see.
    pub rows: Option<u64>,
    /// Rows written by the copy that runs.
    pub copied: Option<u64>,
    /// Rows that the source expects it to have.
    pub expected: Option<u64>,
    /// Changes applied since the start.
    pub changes: u64,
    /// Changes applied a second; measured.
    pub changes_per_s: Option<f64>,
    /// Milliseconds from the source's commit to visible, of the last change.
    pub lag_ms: Option<u64>,
    /// Bytes of changes that wait on disk.
    pub spool_bytes: u64,
    /// Files of the newest version.
    pub files: u64,
    /// Values that became NULL by a stated rule: infinite, NaN, out of range.
    pub adjusted_values: u64,
    /// Why it is not live, or what is worth knowing.
    pub reason: Option<String>,
    /// What mends it.
    pub fix: Option<String>,
    /// The last change of its definition.
    pub last_definition: Option<String>,
    /// Whether the caller may pause, resume or copy it again.
    pub may_operate: bool,
}

/// What an action would do to a table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TableImpact)]
pub struct Impact {
    /// The table as it stands.
    pub table: SyncedTable,
    /// Whether it was done.
    pub done: bool,
    /// The log that its source keeps already; a pause adds nothing to it, a stopped source does.
    pub retained_bytes: Option<i64>,
    /// Marts below it that the caller may see; their next run reads what is there then.
    pub marts_below: Vec<String>,
}

/// A position in a source's log as PostgreSQL writes it.
fn position<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Lsn>::deserialize(deserializer)?.map(|position| position.to_string()))
}

fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Id {
        dataset: String,
        table: String,
    }
    let id = Id::deserialize(deserializer)?;
    Ok(format!("{}.{}", id.dataset, id.table))
}

impl SourceView {
    /// What the port told of a source, for someone; none when it is not there for them.
    pub fn of(told: Value, sample: Option<&Sample>, rights: &Rights, principal: &Principal) -> Option<Self> {
        let mut source: Self = serde_json::from_value(told)
            .inspect_err(|error| tracing::error!(%error, "a source's status is not as the API knows it"))
            .ok()?;
        let visible = rights.visible(principal);
        let streams = source.phase == "streaming";
        source.tables.retain_mut(|table| {
            let Ok(id) = table.table.parse::<TableId>() else { return false };
            table.followed = streams && table.state == "live";
            table.may_operate = visible.role(&id) >= Some(Role::Own);
            table.changes_per_s = sample.and_then(|sample| sample.changes_per_s.get(&id)).copied();
            visible.table(&id)
        });
        let whole = rights.decide_dataset(principal, Action::View, &source.dataset) == Decision::Allow;
        if !whole {
            // What is wrong with a source as a whole may name tables that are not there for the reader.
            (source.problem, source.warnings, source.notes) = (None, Vec::new(), Vec::new());
        }
        source.measure(sample);
        (whole || !source.tables.is_empty()).then_some(source)
    }

    fn measure(&mut self, sample: Option<&Sample>) {
        let Some(sample) = sample else { return };
        self.since = sample.since_us.map(crate::api::views::time_text);
        self.written_per_s = Some(sample.written_per_s);
        let hours = |per_s: f64| {
            let safe = self.safe_bytes.filter(|bytes| *bytes >= 0)?;
            (per_s > 0.0).then(|| f64_from(u64_from_signed(safe)) / per_s / 3_600.0)
        };
        self.hours_until_lost = hours(sample.retained_per_s);
        self.hours_if_stopped = hours(sample.written_per_s);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> Value {
        json!({"source": "shop", "dataset": "shop", "phase": "streaming", "visible": 16, "retained_bytes": 1_000, "safe_bytes": 7_200,
               "problem": {"code": "x.y", "summary": "it broke", "detail": null, "hint": null},
               "tables": [{"table": {"dataset": "shop", "table": "orders"}, "state": "live", "rows": 3}]})
    }

    #[test]
    fn how_long_the_log_lasts_is_said_of_what_was_measured() {
        let rights = Rights::open();
        let sample = Sample { written_per_s: 2.0, retained_per_s: 1.0, ..Sample::default() };
        let view = SourceView::of(told(), Some(&sample), &rights, &Principal::Owner).unwrap();
        assert_eq!((view.hours_until_lost, view.hours_if_stopped), (Some(2.0), Some(1.0)));
        let still = Sample { written_per_s: 0.0, retained_per_s: -5.0, ..Sample::default() };
        let view = SourceView::of(told(), Some(&still), &rights, &Principal::Owner).unwrap();
        assert_eq!((view.hours_until_lost, view.hours_if_stopped), (None, None));
        assert_eq!(view.visible.as_deref(), Some("0/10"));
        assert!(view.tables[0].followed && view.tables[0].may_operate);
    }

    #[test]
    fn a_source_without_a_table_for_the_caller_is_not_there() {
        use naru_access::Terms;
        let rights = Rights::new(Terms { sign_in: true, ..Terms::default() });
        let token = Principal::Token { id: 1, name: "bi".into(), owner: "kim".into() };
        assert!(SourceView::of(told(), None, &rights, &token).is_none());
    }
}
