//! Order among marts, as plain numbers.
//!
//! Owns: cycles, topological order and layers over "above" lists. Knows nothing of marts or SQL.

use std::collections::{BTreeSet, VecDeque};

use petgraph::{algo::tarjan_scc, graph::DiGraph};

/// For each vertex the vertices above it (those it waits for).
pub(super) type Above = Vec<Vec<usize>>;

/// The groups of vertices that wait for each other, each with one shortest cycle through its lowest vertex: the path
/// ends where it begins, every vertex waiting for the next. Groups come in the order of their lowest vertex.
pub(super) fn cycles(above: &Above) -> Vec<Cycle> {
    let mut graph = DiGraph::<(), ()>::with_capacity(above.len(), above.len());
    let indices: Vec<_> = above.iter().map(|_| graph.add_node(())).collect();
    for (vertex, waits_for) in indices.iter().zip(above) {
        for target in waits_for.iter().filter_map(|&above| indices.get(above)) {
            graph.add_edge(*vertex, *target, ());
        }
    }
    let mut groups: Vec<BTreeSet<usize>> = tarjan_scc(&graph)
        .into_iter()
        .map(|group| group.into_iter().map(petgraph::graph::NodeIndex::index).collect::<BTreeSet<_>>())
        .filter(|group| group.len() > 1 || group.iter().any(|&vertex| waits_for(above, vertex, vertex)))
        .collect();
    groups.sort();
    groups.into_iter().filter_map(|members| Some(Cycle { path: shortest_cycle(above, &members)?, members })).collect()
}

/// Vertices that wait for each other.
pub(super) struct Cycle {
    /// All of them.
    pub(super) members: BTreeSet<usize>,
    /// A shortest way from the lowest one back to itself.
    pub(super) path: Vec<usize>,
}

fn waits_for(above: &Above, vertex: usize, target: usize) -> bool {
    above.get(vertex).is_some_and(|list| list.contains(&target))
}

fn shortest_cycle(above: &Above, members: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let start = *members.first()?;
    let mut came_from = vec![None; above.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(vertex) = queue.pop_front() {
        for &next in above.get(vertex)?.iter().filter(|next| members.contains(next)) {
            if next == start {
                return Some(path_back(&came_from, start, vertex));
            }
            let slot = came_from.get_mut(next)?;
            if slot.is_none() {
                *slot = Some(vertex);
                queue.push_back(next);
            }
        }
    }
    None
}

fn path_back(came_from: &[Option<usize>], start: usize, last: usize) -> Vec<usize> {
    let mut path = vec![last];
    let mut vertex = last;
    while let Some(Some(earlier)) = came_from.get(vertex) {
        path.push(*earlier);
        vertex = *earlier;
    }
    path.reverse();
    path.push(start);
    path
}

/// Every vertex after all that it waits for; ties by number. Vertices of a cycle are left out.
pub(super) fn topological(above: &Above) -> Vec<usize> {
    let below = below(above);
    let mut missing: Vec<usize> = above.iter().map(Vec::len).collect();
    let mut free: BTreeSet<usize> =
        missing.iter().enumerate().filter(|(_, count)| **count == 0).map(|(vertex, _)| vertex).collect();
    let mut order = Vec::with_capacity(above.len());
    while let Some(vertex) = free.pop_first() {
        order.push(vertex);
        for &next in below.get(vertex).into_iter().flatten() {
            if let Some(count) = missing.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    free.insert(next);
                }
            }
        }
    }
    order
}

/// The same edges, seen from above: for each vertex those that wait for it.
pub(super) fn below(above: &Above) -> Vec<Vec<usize>> {
    let mut below = vec![Vec::new(); above.len()];
    for (vertex, list) in above.iter().enumerate() {
        for &target in list {
            if let Some(slot) = below.get_mut(target) {
                slot.push(vertex);
            }
        }
    }
    below
}

/// Everything that can be reached from `start` along `edges`, without `start` itself unless a cycle leads back.
pub(super) fn reach(edges: &[Vec<usize>], start: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(vertex) = open.pop() {
        for &next in edges.get(vertex).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_shown_by_its_shortest_path() {
        let cases: [(Above, Vec<Vec<usize>>); 5] = [
            (vec![vec![], vec![0]], vec![]),
            (vec![vec![0]], vec![vec![0, 0]]),
            (vec![vec![1], vec![0]], vec![vec![0, 1, 0]]),
            (vec![vec![1], vec![2, 3], vec![3], vec![0], vec![4]], vec![vec![0, 1, 3, 0], vec![4, 4]]),
            (vec![vec![1], vec![2], vec![3], vec![0]], vec![vec![0, 1, 2, 3, 0]]),
        ];
        for (above, expected) in cases {
            let found: Vec<_> = cycles(&above).into_iter().map(|cycle| cycle.path).collect();
            assert_eq!(found, expected, "{above:?}");
        }
    }

    #[test]
    fn every_vertex_comes_after_what_it_waits_for() {
        let above = vec![vec![2], vec![], vec![1], vec![0, 1], vec![4]];
        assert_eq!(topological(&above), [1, 2, 0, 3]);
        assert_eq!(reach(&above, 3), BTreeSet::from([0, 1, 2]));
        assert_eq!(reach(&below(&above), 1), BTreeSet::from([0, 2, 3]));
    }
}
