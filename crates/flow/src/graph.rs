//! The graph of marts: what each reads, what waits for what, and what is wrong with it.
//!
//! Owns: [`Graph`], [`Mart`] and the questions others ask of them. Never runs anything and never reads the lake.
//! Read next: `graph/build.rs` for how edges are found, `graph/select.rs` for `+MART`, `graph/draw.rs` for pictures.

mod build;
mod draw;
mod order;
mod select;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use naru_base::{Place, Problem, TableId};
use naru_project::Schedule;
use naru_quality::CompiledCheck;

pub use build::Built;

use crate::executor::Kind;

/// One mart with everything a run needs to know about it.
#[derive(Debug, Clone)]
pub struct Mart {
    /// Its table.
    pub id: TableId,
    /// Where its SQL begins.
    pub place: Place,
    /// Where the text begins that is `sql`: line 1, column 1 of what the engine speaks of.
    pub body: Place,
    /// Table or view.
    pub kind: Kind,
    /// Its query.
    pub sql: String,
    /// Changes when, and only when, a new run could give another result from the same inputs.
    pub fingerprint: String,
    /// Tables, views and marts that its SQL reads.
    pub reads: BTreeSet<TableId>,
    /// Checks that gate it, in the order in which they are written; those of `checks/` last.
    pub checks: Vec<CompiledCheck>,
    /// What its checks read besides itself.
    pub check_reads: BTreeSet<TableId>,
    /// Why it cannot run as it stands. It fails at once, and what reads it is blocked; all others run.
    pub broken: Option<Problem>,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// Its limits.
    pub limits: Limits,
    /// For people.
    pub description: Option<String>,
    /// For people and alerts.
    pub owner: Option<String>,
    /// Descriptions of its columns.
    pub column_comments: BTreeMap<String, String>,
}

/// How much one mart may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of one attempt, without the commit.
    pub timeout: Option<Duration>,
    /// Attempts after the first, for failures that may pass.
    pub retries: u32,
    /// Of its query.
    pub memory_bytes: Option<u64>,
}

/// All marts of a project folder, in an order in which they can be built.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// In topological order; all lists of numbers below are indices into this one.
    marts: Vec<Mart>,
    by_id: BTreeMap<TableId, usize>,
    /// For each mart those it reads.
    above: Vec<Vec<usize>>,
    /// For each mart those that read it.
    below: Vec<Vec<usize>>,
    /// For each mart those that its checks read: it waits for them, but does not depend on them.
    after: Vec<Vec<usize>>,
    layers: Vec<usize>,
}

impl Graph {
    /// All marts, each after those it reads.
    pub fn marts(&self) -> &[Mart] {
        &self.marts
    }

    /// A mart by table.
    pub fn mart(&self, id: &TableId) -> Option<&Mart> {
        self.by_id.get(id).and_then(|&at| self.marts.get(at))
    }

    /// The marts that a mart reads.
    pub fn above(&self, id: &TableId) -> impl Iterator<Item = &Mart> {
        self.neighbours(&self.above, id)
    }

    /// The marts that read a mart.
    pub fn below(&self, id: &TableId) -> impl Iterator<Item = &Mart> {
        self.neighbours(&self.below, id)
    }

    /// The marts that must have ended, well or badly, before a mart's checks make sense.
    pub fn after(&self, id: &TableId) -> impl Iterator<Item = &Mart> {
        self.neighbours(&self.after, id)
    }

    /// 0 for a mart that reads no mart, otherwise one more than the highest layer it reads.
    pub fn layer(&self, id: &TableId) -> usize {
        self.by_id.get(id).and_then(|&at| self.layers.get(at)).copied().unwrap_or(0)
    }

    /// Tables and views that marts read and that are not marts.
    pub fn sources(&self) -> BTreeSet<&TableId> {
        self.marts.iter().flat_map(|mart| &mart.reads).filter(|id| !self.by_id.contains_key(id)).collect()
    }

    /// Everything below the given marts, without themselves unless one reads another.
    pub fn all_below(&self, ids: &BTreeSet<TableId>) -> BTreeSet<TableId> {
        self.spread(&self.below, ids)
    }

    /// Everything above the given marts, without themselves unless one reads another.
    pub fn all_above(&self, ids: &BTreeSet<TableId>) -> BTreeSet<TableId> {
        self.spread(&self.above, ids)
    }

    /// What a schedule starts when it starts these marts: themselves and, above them, the marts without a schedule of
    /// their own, up to the first that has one.
    pub fn asked_for_by(&self, scheduled: &BTreeSet<TableId>) -> BTreeSet<TableId> {
        let mut asked = scheduled.clone();
        let mut open: Vec<TableId> = scheduled.iter().cloned().collect();
        while let Some(id) = open.pop() {
            let new: Vec<TableId> = self
                .above(&id)
                .filter(|mart| mart.schedule.is_none() && !asked.contains(&mart.id))
                .map(|mart| mart.id.clone())
                .collect();
            asked.extend(new.iter().cloned());
            open.extend(new);
        }
        asked
    }

    /// A graph of one mart that reads nothing but itself, whole and unchecked: published from an earlier version, it
    /// brings that version back. None if there is no such mart, or if it is a view.
    pub(crate) fn of_earlier_version(&self, id: &TableId) -> Option<Self> {
        let mut mart = self.mart(id).filter(|mart| mart.kind == Kind::Table)?.clone();
        mart.sql = format!("SELECT * FROM `{}`.`{}`", id.dataset, id.table);
        mart.reads = BTreeSet::from([id.clone()]);
        mart.check_reads = BTreeSet::new();
        mart.checks = Vec::new();
        mart.broken = None;
        let none = || vec![Vec::new()];
        let by_id = BTreeMap::from([(id.clone(), 0)]);
        Some(Self { marts: vec![mart], by_id, above: none(), below: none(), after: none(), layers: vec![0] })
    }

    fn neighbours<'a>(&'a self, lists: &'a [Vec<usize>], id: &TableId) -> impl Iterator<Item = &'a Mart> {
        let list = self.by_id.get(id).and_then(|&at| lists.get(at));
        list.into_iter().flatten().filter_map(|&at| self.marts.get(at))
    }

    fn spread(&self, edges: &[Vec<usize>], ids: &BTreeSet<TableId>) -> BTreeSet<TableId> {
        let reached: BTreeSet<usize> =
            ids.iter().filter_map(|id| self.by_id.get(id)).flat_map(|&at| order::reach(edges, at)).collect();
        reached.into_iter().filter_map(|at| self.marts.get(at)).map(|mart| mart.id.clone()).collect()
    }
}
