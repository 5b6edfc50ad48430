//! Marts and runs as JSON.
//!
//! Owns: the shapes that leave the API and how stored rows become them, as pure functions. Never asks anybody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use naru_access::Visible;
use naru_base::{Problem, RunId, TableId};
use naru_flow::{
    Cut, Graph, Mart, NodeState,
    grid::{self, Line},
    pause::Pause,
    run::RunState,
};
use naru_project::Role;
use naru_store::runs_read::{CellRow, NodeRow, RunRow, VerdictRow};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::views::{ProblemView, time_text};

/// All marts with their latest runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct MartList {
    /// When this was read.
    pub as_of: String,
    /// In an order in which they can be built.
    pub items: Vec<MartItem>,
    /// Mistakes in files: runs and schedules go by what was there before.
    pub folder: Vec<ProblemView>,
}

/// One mart of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct MartItem {
    /// `dataset.table`.
    pub mart: String,
    /// `table` or `view`.
    pub kind: String,
    /// 0 for a mart that reads no mart, else one more than the highest that it reads.
    pub layer: usize,
    /// What it reads: marts and other tables.
    pub reads: Vec<String>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// The schedule as it is written.
    pub schedule: Option<String>,
    /// When its schedule starts it next; none while that is paused.
    pub next_at: Option<String>,
    /// Set while its schedule is paused.
    pub paused: Option<PauseView>,
    /// Where it stands in its latest run; none before the first.
    pub state: Option<String>,
    /// Why, one line.
    pub cause: Option<String>,
    /// When what SQL reads was published.
    pub published_at: Option<String>,
    /// The run that published it.
    pub published_run: Option<i64>,
    /// Rows of that.
    pub rows: Option<u64>,
    /// Whether that was a rollback.
    pub rolled_back: bool,
    /// Whether its file was edited since.
    pub edited: bool,
    /// Why it cannot run as its file stands.
    pub broken: Option<ProblemView>,
    /// Checks of the latest attempt that did not pass.
    pub failing_checks: Vec<String>,
    /// What building it takes as a rule.
    pub median_ms: Option<u64>,
    /// Whether the caller may run it.
    pub may_run: bool,
    /// Whether the caller may pause it.
    pub may_operate: bool,
    /// Its latest runs, the newest first.
    pub cells: Vec<Cell>,
}

/// A mart's part in one run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunCell)]
pub struct Cell {
    /// The run.
    pub run: i64,
    /// Where the mart stands in it.
    pub state: String,
    /// `manual`, `schedule`, `catch_up` or `rollback`.
    pub reason: String,
    /// When the run began.
    pub at: String,
    /// How long the mart took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Rows made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Why it did not go well, one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who asked for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Who paused a schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SchedulePause)]
pub struct PauseView {
    /// The person.
    pub by: Option<String>,
    /// In that person's words.
    pub why: Option<String>,
    /// When.
    pub at: String,
}

/// One mart in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct MartView {
    /// When this was read.
    pub as_of: String,
    /// As in the list; `cells` are longer.
    #[serde(flatten)]
    pub item: MartItem,
    /// For people.
    pub description: Option<String>,
    /// Its file.
    pub file: String,
    /// Its query.
    pub sql: String,
    /// Line of the file that the query's first line is.
    pub sql_line: usize,
    /// Its checks.
    pub checks: Vec<CheckView>,
    /// Marts that read it.
    pub read_by: Vec<String>,
    /// Seconds that one attempt may take.
    pub timeout_s: Option<u64>,
    /// Attempts after the first.
    pub retries: u32,
}

/// One check of a mart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MartCheck)]
pub struct CheckView {
    /// Its name.
    pub check: String,
    /// `block` or `warn`.
    pub severity: String,
    /// Its query, which returns a row for everything that is wrong.
    pub sql: String,
    /// How it ended in the latest attempt: `pass`, `warn`, `block` or `error`; none before it ran.
    pub outcome: Option<String>,
    /// Rows that it found then.
    pub failing: Option<u64>,
}

/// Runs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunList {
    /// When this was read.
    pub as_of: String,
    /// The runs.
    pub items: Vec<RunLine>,
}

/// One run of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunLine {
    /// Its number.
    pub run: i64,
    /// `running`, `done`, `failed`, `cancelled` or `interrupted`; of the marts that the caller may see.
    pub state: String,
    /// `manual`, `schedule`, `catch_up` or `rollback`.
    pub reason: String,
    /// What was asked for; none where that may name a mart that the caller may not see.
    pub requested: Option<String>,
    /// The person who asked.
    pub by: Option<String>,
    /// Why, in that person's words.
    pub why: Option<String>,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How long it took.
    pub ms: Option<u64>,
    /// How many of its marts stand in each state.
    pub states: BTreeMap<String, usize>,
}

/// One run in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// When this was read.
    pub as_of: String,
    /// Whether every mart of the run has ended.
    pub complete: bool,
    /// As in the list.
    #[serde(flatten)]
    pub line: RunLine,
    /// For a rollback: the run whose result it published again.
    pub rolled_to: Option<i64>,
    /// The mart that failed first and by itself; where a reader begins.
    pub first_failing: Option<String>,
    /// Whether the caller may run every mart of it.
    pub may_run: bool,
    /// Where each source stood.
    pub positions: BTreeMap<String, String>,
    /// Its marts, in an order in which they are built.
    pub nodes: Vec<NodeView>,
}

/// One mart of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunNode)]
pub struct NodeView {
    /// The mart.
    pub mart: String,
    /// `table` or `view`.
    pub kind: String,
    /// Its layer in the graph; 0 where its file is gone.
    pub layer: usize,
    /// Where it stands.
    pub state: String,
    /// Why, one line.
    pub cause: Option<String>,
    /// The problem behind a bad end.
    pub problem: Option<ProblemView>,
    /// Whether it only waited for another mart that failed.
    pub blocked_by_another: bool,
    /// Rows made.
    pub rows: Option<u64>,
    /// Bytes made.
    pub bytes: Option<u64>,
    /// Attempts since the run began or was resumed.
    pub tries: u32,
    /// When its latest attempt began.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How long that took.
    pub ms: Option<u64>,
    /// What it takes as a rule.
    pub median_ms: Option<u64>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// Whether its file was edited since the run.
    pub edited: bool,
    /// What its checks found; those that did not pass first.
    pub checks: Vec<FoundView>,
    /// What it read, and how fresh that was.
    pub inputs: Vec<InputView>,
}

/// What one check found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundByCheck)]
pub struct FoundView {
    /// Its name.
    pub check: String,
    /// `block` or `warn`.
    pub severity: String,
    /// `pass`, `warn`, `block` or `error` (it could not be run).
    pub outcome: String,
    /// Rows that it returned.
    pub failing: u64,
    /// One sentence.
    pub detail: Option<String>,
    /// Its query.
    pub sql: String,
    /// A few of the failing rows.
    #[schema(value_type = Vec<Object>)]
    pub sample: Vec<Value>,
    /// How long it took.
    pub ms: u64,
}

/// One input of a mart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeInput)]
pub struct InputView {
    /// `dataset.table`.
    pub table: String,
    /// Whether it is a mart.
    pub mart: bool,
    /// For a mart: the run that made what was read; for one of the same run also while it is not done.
    pub run: Option<i64>,
    /// For a mart of the same run: where it stands.
    pub state: Option<String>,
    /// As of when its content is: when the mart was published, or when the run took its cut of the sources.
    pub at: Option<String>,
    /// The version that was read.
    pub version: Option<u64>,
}

impl PauseView {
    fn of(pause: &Pause) -> Self {
        Self { by: pause.by.clone(), why: pause.why.clone(), at: time_text(pause.at_us) }
    }
}

impl Cell {
    fn of(cell: &CellRow) -> Self {
        Self {
            run: cell.run.0,
            state: cell.state.clone(),
            reason: cell.reason.clone(),
            at: time_text(cell.run_started_us),
            ms: grid::elapsed_ms(cell.started_us, cell.ended_us),
            rows: cell.rows,
            cause: cell.cause.clone(),
            by: cell.asked_by.clone(),
        }
    }
}

impl MartItem {
    /// A mart's line for someone who may see the mart.
    pub fn of(graph: &Graph, mart: &Mart, line: &Line, visible: &Visible) -> Self {
        let latest = line.cells.first();
        let published = line.published.as_ref();
        let role = visible.role(&mart.id);
        Self {
            mart: mart.id.to_string(),
            kind: mart.kind.word().to_owned(),
            layer: graph.layer(&mart.id),
            reads: shown(&mart.reads, visible),
            owner: mart.owner.clone(),
            schedule: mart.schedule.as_ref().map(|schedule| schedule.text().to_owned()),
            next_at: line.next.map(|next| next.to_string()),
            paused: line.paused.as_ref().map(PauseView::of),
            state: latest.map(|cell| cell.state.clone()),
            cause: latest.and_then(|cell| cell.cause.clone()).map(|cause| told(graph, &cause, visible)),
            published_at: published.and_then(|cell| cell.ended_us).map(time_text),
            published_run: published.map(|cell| cell.run.0),
            rows: published.and_then(|cell| cell.rows),
            rolled_back: published.is_some_and(|cell| cell.reason == "rollback"),
            edited: line.edited,
            broken: mart.broken.as_ref().map(ProblemView::of),
            failing_checks: line.failing_checks.iter().map(|check| check.check.clone()).collect(),
            median_ms: line.median_ms,
            may_run: role >= Some(Role::Edit),
            may_operate: role >= Some(Role::Own),
            cells: line.cells.iter().map(Cell::of).map(|cell| cell.told(graph, visible)).collect(),
        }
    }
}

impl Cell {
    fn told(mut self, graph: &Graph, visible: &Visible) -> Self {
        self.cause = self.cause.map(|cause| told(graph, &cause, visible));
        self
    }
}

impl MartView {
    /// A mart in full for someone who may see it.
    pub fn of(graph: &Graph, mart: &Mart, line: &Line, verdicts: &[VerdictRow], visible: &Visible) -> Self {
        let check = |check: &naru_flow::CompiledCheck| {
            let found = verdicts.iter().find(|verdict| verdict.check == check.name);
            CheckView {
                check: check.name.clone(),
                severity: check.severity.word().to_owned(),
                sql: check.sql.clone(),
                outcome: found.map(|found| found.outcome.clone()),
                failing: found.map(|found| found.failing),
            }
        };
        let below: BTreeSet<TableId> = graph.below(&mart.id).map(|below| below.id.clone()).collect();
        Self {
            as_of: Timestamp::now().to_string(),
            item: MartItem::of(graph, mart, line, visible),
            description: mart.description.clone(),
            file: mart.place.file.display().to_string(),
            sql: mart.sql.clone(),
            sql_line: mart.body.line,
            checks: mart.checks.iter().map(check).collect(),
            read_by: shown(&below, visible),
            timeout_s: mart.limits.timeout.map(|timeout| timeout.as_secs()),
            retries: mart.limits.retries,
        }
    }
}

/// Names of tables that someone may see.
fn shown(ids: &BTreeSet<TableId>, visible: &Visible) -> Vec<String> {
    ids.iter().filter(|id| visible.table(id)).map(ToString::to_string).collect()
}

/// A cause without the name of a mart that the reader may not see.
fn told(graph: &Graph, cause: &str, visible: &Visible) -> String {
    let hidden = cause.strip_prefix("upstream ").is_some_and(|rest| {
        let name = rest.split([' ', ':', '(']).next().unwrap_or_default();
        match name.parse::<TableId>() {
            Ok(id) => !visible.table(&id),
            Err(_) => graph.marts().iter().any(|mart| rest.contains(&mart.id.to_string()) && !visible.table(&mart.id)),
        }
    });
    if hidden { "upstream".to_owned() } else { cause.to_owned() }
}

/// The rows of a run that someone may see; none when that is no mart of it.
pub struct Seen<'a> {
    /// The run.
    pub row: &'a RunRow,
    /// Its marts that may be seen.
    pub nodes: Vec<&'a NodeRow>,
    /// Whether those are all.
    pub whole: bool,
}

impl<'a> Seen<'a> {
    /// What someone may see of a run.
    pub fn of(row: &'a RunRow, nodes: &'a [NodeRow], visible: &Visible) -> Option<Self> {
        let kept: Vec<&NodeRow> = nodes.iter().filter(|node| visible.table(&node.mart)).collect();
        let whole = kept.len() == nodes.len();
        (!kept.is_empty()).then_some(Self { row, nodes: kept, whole })
    }

    /// Its line.
    pub fn line(&self) -> RunLine {
        let row = self.row;
        let mut states = BTreeMap::new();
        for node in &self.nodes {
            *states.entry(node.state.clone()).or_default() += 1;
        }
        // What the rest of the run came to says something of marts that are not there.
        let state = if self.whole {
            row.state.clone()
        } else {
            RunState::of(self.nodes.iter().filter_map(|node| NodeState::from_word(&node.state))).word().to_owned()
        };
        let shown = |text: &Option<String>| text.clone().filter(|_| self.whole);
        RunLine {
            run: row.run.0,
            state,
            reason: row.reason.clone(),
            requested: Some(row.requested.clone()).filter(|_| self.whole),
            by: row.asked_by.clone(),
            why: shown(&row.why),
            started_at: time_text(row.started_us),
            ended_at: row.ended_us.map(time_text),
            ms: grid::elapsed_ms(Some(row.started_us), row.ended_us),
            states,
        }
    }
}

/// What is known beside a run's own rows.
pub struct Beside<'a> {
    /// The graph as it stands now.
    pub graph: &'a Graph,
    /// What checks found in the run, all attempts.
    pub verdicts: &'a [VerdictRow],
    /// The latest parts in runs of the run's marts and of the marts that those read, newest first.
    pub cells: &'a BTreeMap<TableId, Vec<CellRow>>,
    /// What the caller may see.
    pub visible: &'a Visible,
}

impl RunView {
    /// A run in full.
    pub fn of(seen: &Seen<'_>, beside: &Beside<'_>) -> Self {
        let cut: Cut = seen.row.cut.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let mut nodes: Vec<NodeView> = seen.nodes.iter().map(|node| node_view(node, seen, beside, &cut)).collect();
        nodes.sort_by(|a, b| a.layer.cmp(&b.layer).then_with(|| a.mart.cmp(&b.mart)));
        let failed = |node: &&NodeView| bad(&node.state) && !node.blocked_by_another;
        let first = nodes.iter().filter(failed).min_by(|a, b| a.ended_at.cmp(&b.ended_at));
        let first_failing = first.or_else(|| nodes.iter().find(|node| bad(&node.state))).map(|node| node.mart.clone());
        let may = |node: &&NodeRow| beside.visible.role(&node.mart) >= Some(Role::Edit);
        let line = seen.line();
        let source_shown = |source: &str| beside.visible.everything() || beside.visible.dataset(source);
        Self {
            as_of: Timestamp::now().to_string(),
            complete: line.state != RunState::Running.word(),
            line,
            rolled_to: seen.row.rolled_to.map(|run| run.0),
            first_failing,
            may_run: seen.whole && seen.nodes.iter().all(may),
            positions: cut.positions.into_iter().filter(|(source, _)| source_shown(source)).collect(),
            nodes,
        }
    }
}

fn bad(state: &str) -> bool {
    matches!(state, "failed" | "timed_out" | "cancelled" | "blocked" | "interrupted")
}

fn node_view(node: &NodeRow, seen: &Seen<'_>, beside: &Beside<'_>, cut: &Cut) -> NodeView {
    let mart = beside.graph.mart(&node.mart);
    let cause = node.cause.as_deref();
    let blocked_by_another = node.state == NodeState::Blocked.word()
        && cause.is_some_and(|cause| cause.starts_with("upstream ") || cause.starts_with("its inputs"));
    let problem = node.problem.as_deref().and_then(ProblemView::of_json);
    NodeView {
        mart: node.mart.to_string(),
        kind: node.kind.clone(),
        layer: beside.graph.layer(&node.mart),
        state: node.state.clone(),
        cause: cause.map(|cause| told(beside.graph, cause, beside.visible)),
        // Another mart's problem may name what is not there for the reader.
        problem: problem.filter(|_| !blocked_by_another || seen.whole),
        blocked_by_another,
        rows: node.rows,
        bytes: node.bytes,
        tries: node.tries,
        started_at: node.started_us.map(time_text),
        ended_at: node.ended_us.map(time_text),
        ms: grid::elapsed_ms(node.started_us, node.ended_us),
        median_ms: beside.cells.get(&node.mart).and_then(|cells| grid::median_ms(cells)),
        owner: mart.and_then(|mart| mart.owner.clone()),
        edited: mart.is_some_and(|mart| mart.fingerprint != node.fingerprint),
        checks: found(node, beside.verdicts),
        inputs: mart.map(|mart| inputs(mart, seen, beside, cut)).unwrap_or_default(),
    }
}

/// What the checks of a mart's latest attempt found, those that did not pass first.
fn found(node: &NodeRow, verdicts: &[VerdictRow]) -> Vec<FoundView> {
    let own = verdicts.iter().filter(|verdict| verdict.mart == node.mart && Some(verdict.attempt) == node.attempt);
    let mut found: Vec<FoundView> = own
        .map(|verdict| FoundView {
            check: verdict.check.clone(),
            severity: verdict.severity.clone(),
            outcome: verdict.outcome.clone(),
            failing: verdict.failing,
            detail: verdict.detail.clone(),
            sql: verdict.sql.clone(),
            sample: serde_json::from_str(&verdict.sample).unwrap_or_default(),
            ms: verdict.elapsed_ms,
        })
        .collect();
    let weight = |outcome: &str| ["block", "error", "warn"].iter().position(|word| *word == outcome).unwrap_or(3);
    found.sort_by_key(|view| weight(&view.outcome));
    found
}

fn inputs(mart: &Mart, seen: &Seen<'_>, beside: &Beside<'_>, cut: &Cut) -> Vec<InputView> {
    let reads = mart.reads.iter().filter(|id| beside.visible.table(id));
    reads.map(|id| input(id, seen, beside, cut)).collect()
}

fn input(id: &TableId, seen: &Seen<'_>, beside: &Beside<'_>, cut: &Cut) -> InputView {
    let run = seen.row.run;
    let version = cut.tables.get(id).map(|version| version.0);
    let is_mart = beside.graph.mart(id).is_some();
    let plain = InputView { table: id.to_string(), mart: is_mart, run: None, state: None, at: None, version };
    if let Some(node) = seen.nodes.iter().find(|node| node.mart == *id) {
        let at = node.ended_us.filter(|_| node.state == NodeState::Done.word()).map(time_text);
        return InputView {
            run: Some(run.0),
            state: Some(node.state.clone()),
            at,
            version: node.version.or(version),
            ..plain
        };
    }
    if is_mart {
        let before = beside.cells.get(id).and_then(|cells| published_before(cells, run, seen.row.started_us));
        return InputView {
            run: before.map(|cell| cell.run.0),
            at: before.and_then(|cell| cell.ended_us).map(time_text),
            ..plain
        };
    }
    InputView { at: Some(time_text(seen.row.started_us)), ..plain }
}

/// What a mart had published when another run began.
fn published_before(cells: &[CellRow], run: RunId, started_us: i64) -> Option<&CellRow> {
    let done = cells.iter().filter(|cell| cell.run != run && cell.state == NodeState::Done.word());
    done.filter(|cell| cell.ended_us.is_some_and(|ended| ended <= started_us)).max_by_key(|cell| cell.ended_us)
}

/// Mistakes in files, for those who may see everything: a file's text may name any table.
pub fn folder(wrong: &[Problem], visible: &Visible) -> Vec<ProblemView> {
    if visible.everything() { wrong.iter().map(ProblemView::of).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use naru_access::{Policy, Principal};

    use super::*;

    fn node(mart: &str, state: &str, cause: Option<&str>, ended: i64) -> NodeRow {
        NodeRow {
            run: RunId(7),
            mart: mart.parse().unwrap(),
            kind: "table".into(),
            fingerprint: String::new(),
            state: state.into(),
            cause: cause.map(str::to_owned),
            problem: None,
            attempt: Some(1),
            tries: 1,
            rows: None,
            bytes: None,
            version: None,
            started_us: Some(0),
            ended_us: Some(ended),
        }
    }

    fn row() -> RunRow {
        RunRow {
            run: RunId(7),
            reason: "manual".into(),
            requested: "a.x+".into(),
            asked_by: None,
            why: None,
            rolled_to: None,
            state: "failed".into(),
            epoch: 1,
            cut: None,
            started_us: 0,
            ended_us: Some(9),
        }
    }

    #[test]
    fn a_run_opens_on_the_mart_that_failed_first_and_by_itself() {
        let nodes = [
            node("a.below", "blocked", Some("upstream a.second"), 2),
            node("a.second", "failed", Some("no such column"), 3),
            node("a.third", "failed", Some("division by zero"), 5),
            node("a.good", "done", None, 1),
        ];
        let (row, rights) = (row(), Policy::default().now());
        let visible = rights.visible(&Principal::Owner);
        let seen = Seen::of(&row, &nodes, &visible).unwrap();
        let (graph, cells) = (Graph::default(), BTreeMap::new());
        let view = RunView::of(&seen, &Beside { graph: &graph, verdicts: &[], cells: &cells, visible: &visible });
        assert_eq!(view.first_failing.as_deref(), Some("a.second"));
        assert!(view.nodes.iter().any(|node| node.mart == "a.below" && node.blocked_by_another));
        assert!(view.complete && view.may_run);
    }

    #[test]
    fn what_may_not_be_seen_of_a_run_is_neither_named_nor_counted() {
        let nodes = [node("a.x", "failed", None, 1), node("b.y", "blocked", Some("upstream a.x"), 2)];
        let (row, visible) = (row(), Visible::default());
        assert!(Seen::of(&row, &nodes, &visible).is_none());
        assert_eq!(told(&Graph::default(), "upstream a.x (failed)", &visible), "upstream");
        assert_eq!(told(&Graph::default(), "no such column", &visible), "no such column");
    }
}
