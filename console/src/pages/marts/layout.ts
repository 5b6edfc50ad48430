// Which part of the graph is drawn, and where. Pure: drawing is `graph.tsx`'s.

import dagre from "@dagrejs/dagre";
import type { MartItem } from "./types";

/** Nodes beyond which only a neighbourhood is drawn. */
export const WHOLE_MAX = 150;
/** Steps to either side of the mart in the middle. */
export const STEPS = 2;
export const NODE = { width: 212, height: 58 };

export interface Drawn {
  /** Names of marts and of the tables that they read. */
  names: string[];
  edges: [from: string, to: string][];
  /** All there are, drawn or not. */
  total: number;
  /** Around which mart, when it is not all. */
  focus: string | undefined;
}

function neighbours(marts: MartItem[]): { above: Map<string, string[]>; below: Map<string, string[]> } {
  const above = new Map(marts.map((mart) => [mart.mart, mart.reads]));
  const below = new Map<string, string[]>();
  for (const mart of marts) {
    for (const read of mart.reads) {
      const list = below.get(read);
      if (list) list.push(mart.mart);
      else below.set(read, [mart.mart]);
    }
  }
  return { above, below };
}

function reach(from: string, edges: Map<string, string[]>, steps: number, most: number): Set<string> {
  const seen = new Set([from]);
  let ring = [from];
  for (let step = 0; step < steps && ring.length > 0; step += 1) {
    const next: string[] = [];
    for (const name of ring) {
      for (const other of edges.get(name) ?? []) {
        if (seen.has(other) || seen.size >= most) continue;
        seen.add(other);
        next.push(other);
      }
    }
    ring = next;
  }
  return seen;
}

/** The whole graph where it is small, else what lies within two steps of `focus`, at most as much as can be read. */
export function select(marts: MartItem[], focus: string | undefined): Drawn {
  const { above, below } = neighbours(marts);
  const all = new Set([...above.keys(), ...below.keys()]);
  const middle = focus && all.has(focus) ? focus : undefined;
  let names = all;
  let around: string | undefined;
  if (middle || all.size > WHOLE_MAX) {
    around = middle ?? mostRead(marts, below);
    if (around) {
      const half = WHOLE_MAX / 2;
      names = new Set([...reach(around, above, STEPS, half), ...reach(around, below, STEPS, half)]);
    }
  }
  const edges: [string, string][] = [];
  for (const [name, reads] of above) {
    if (!names.has(name)) continue;
    for (const read of reads) if (names.has(read)) edges.push([read, name]);
  }
  return { names: [...names], edges, total: all.size, focus: around };
}

/** Where a reader who asked for nothing begins: a mart that failed, else the one that most others read. */
function mostRead(marts: MartItem[], below: Map<string, string[]>): string | undefined {
  const failed = marts.find((mart) => mart.state === "failed" || mart.broken);
  if (failed) return failed.mart;
  return marts.toSorted((a, b) => (below.get(b.mart)?.length ?? 0) - (below.get(a.mart)?.length ?? 0))[0]?.mart;
}

/** The upper left corner of every node, from left to right in the direction of the data. */
export function place(drawn: Drawn): Map<string, { x: number; y: number }> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 64, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const name of drawn.names) graph.setNode(name, { ...NODE });
  for (const [from, to] of drawn.edges) graph.setEdge(from, to);
  dagre.layout(graph);
  return new Map(
    drawn.names.map((name) => {
      const { x, y } = graph.node(name);
      return [name, { x: x - NODE.width / 2, y: y - NODE.height / 2 }];
    }),
  );
}
