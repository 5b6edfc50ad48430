//! Which mart of a run may move now, decided without waiting for anything.
//!
//! Owns: [`Board`]: the states of one run's marts and what they wait for. Never stores, never runs.
//! Read next: [`crate::state`] for the states, `drive.rs` for the loop that asks.

use std::collections::BTreeMap;

use naru_base::TableId;

use crate::{
    graph::Graph,
    state::{Event, NodeState, Stage, step},
};

/// The marts of one run.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    nodes: BTreeMap<TableId, Node>,
}

#[derive(Debug, Clone)]
struct Node {
    state: NodeState,
    /// Marts of this run that it reads.
    reads: Vec<TableId>,
    /// Marts of this run that its checks read.
    after: Vec<TableId>,
    /// For a mart that is blocked by another: the one that everything began with.
    root: Option<TableId>,
}

/// What a waiting mart can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Everything it needs is there.
    Go(TableId),
    /// Something it reads has ended badly.
    Block {
        /// The mart.
        mart: TableId,
        /// The mart that everything began with, and how that ended.
        root: (TableId, NodeState),
    },
}

impl Board {
    /// Marts in the given states; the graph says what they wait for.
    pub(crate) fn new(graph: &Graph, states: BTreeMap<TableId, NodeState>) -> Self {
        let among = |ids: Vec<TableId>| ids.into_iter().filter(|id| states.contains_key(id)).collect::<Vec<_>>();
        let nodes = states
            .iter()
            .map(|(id, state)| {
                let reads = among(graph.above(id).map(|mart| mart.id.clone()).collect());
                let after = among(graph.after(id).map(|mart| mart.id.clone()).collect());
                (id.clone(), Node { state: *state, reads, after, root: None })
            })
            .collect();
        Self { nodes }
    }

    /// Where a mart stands.
    pub(crate) fn state(&self, mart: &TableId) -> Option<NodeState> {
        self.nodes.get(mart).map(|node| node.state)
    }

    /// Marts in a state, by name.
    pub(crate) fn in_state(&self, state: NodeState) -> Vec<TableId> {
        self.nodes.iter().filter(|(_, node)| node.state == state).map(|(id, _)| id.clone()).collect()
    }

    /// Every move that is possible now. Taking them may make others possible.
    pub(crate) fn moves(&self) -> Vec<Move> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.state == NodeState::Waiting)
            .filter_map(|(id, node)| self.move_of(id, node))
            .collect()
    }

    fn move_of(&self, id: &TableId, node: &Node) -> Option<Move> {
        let lost = node.reads.iter().find_map(|above| {
            let found = self.nodes.get(above)?;
            (found.state.stage() == Stage::EndedBadly).then_some((above, found))
        });
        if let Some((above, found)) = lost {
            let root = found.root.clone().unwrap_or_else(|| above.clone());
            let state = self.state(&root).unwrap_or(found.state);
            return Some(Move::Block { mart: id.clone(), root: (root, state) });
        }
        let ended = |ids: &[TableId]| ids.iter().all(|above| self.state(above).is_none_or(NodeState::ended));
        (ended(&node.reads) && ended(&node.after)).then(|| Move::Go(id.clone()))
    }

    /// Moves a mart. None, and nothing changes, if the event cannot happen in its state.
    pub(crate) fn apply(&mut self, mart: &TableId, event: Event) -> Option<NodeState> {
        let node = self.nodes.get_mut(mart)?;
        node.state = step(node.state, event)?;
        Some(node.state)
    }

    /// Remembers with which mart a block began.
    pub(crate) fn set_root(&mut self, mart: &TableId, root: TableId) {
        if let Some(node) = self.nodes.get_mut(mart) {
            node.root = Some(root);
        }
    }

    /// Takes over where a worker has brought a mart.
    pub(crate) fn set_state(&mut self, mart: &TableId, state: NodeState) {
        if let Some(node) = self.nodes.get_mut(mart) {
            node.state = state;
        }
    }

    /// All states, for judging the run.
    pub(crate) fn states(&self) -> impl Iterator<Item = NodeState> {
        self.nodes.values().map(|node| node.state)
    }
}
