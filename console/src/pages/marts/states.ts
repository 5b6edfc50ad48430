// What the states of marts and runs mean to a reader: tone, order, and whether something still moves.

import type { Tone } from "../../ui";
import type { Cell, MartItem, NodeView } from "./types";

const TONES: Record<string, Tone> = {
  done: "good",
  skipped: "off",
  marked_done: "good",
  running: "busy",
  staged: "busy",
  auditing: "busy",
  committing: "busy",
  retry_wait: "warn",
  waiting: "waiting",
  ready: "waiting",
  queued: "waiting",
  failed: "bad",
  timed_out: "bad",
  blocked: "warn",
  cancelled: "off",
  interrupted: "warn",
};

export function tone(state: string | null | undefined): Tone {
  return state ? (TONES[state] ?? "none") : "none";
}

export function moves(state: string | null | undefined): boolean {
  return tone(state) === "busy" || tone(state) === "waiting" || state === "retry_wait";
}

export function isBad(state: string | null | undefined): boolean {
  return (
    state === "failed" ||
    state === "timed_out" ||
    state === "blocked" ||
    state === "interrupted" ||
    state === "cancelled"
  );
}

/** A sign beside the colour, so that a cell is read without it. */
export function glyph(state: string): string {
  switch (tone(state)) {
    case "bad":
      return "×";
    case "warn":
      return state === "blocked" ? "–" : "!";
    case "busy":
      return "…";
    case "waiting":
      return "·";
    case "off":
      return "/";
    default:
      return "";
  }
}

/** What needs somebody comes first: broken and failed, then what only waits for those, then what runs, then the rest. */
export function urgency(mart: MartItem): number {
  if (mart.broken || mart.state === "failed" || mart.state === "timed_out") return 0;
  if (mart.state === "interrupted" || (mart.state === "blocked" && !mart.cause?.startsWith("upstream"))) return 0;
  if (mart.state === "blocked" || mart.state === "cancelled") return 1;
  if (mart.failing_checks.length > 0) return 2;
  if (moves(mart.state)) return 3;
  if (mart.edited || mart.paused) return 4;
  return mart.state ? 6 : 5;
}

export function byUrgency(marts: MartItem[]): MartItem[] {
  return marts.toSorted((a, b) => urgency(a) - urgency(b) || a.mart.localeCompare(b.mart));
}

/** Whether a duration is unusual: well beyond what it takes as a rule, and long enough to matter. */
export function isSlow(ms: number | null | undefined, median: number | null | undefined): boolean {
  return ms !== null && ms !== undefined && !!median && ms > median * 2 && ms - median > 2_000;
}

/** Cells in the order of time, the newest last, padded in front to the same length. */
export function strip(cells: Cell[], length: number): (Cell | undefined)[] {
  const newest = cells.slice(0, length).toReversed();
  return [...Array<undefined>(Math.max(0, length - newest.length)).fill(undefined), ...newest];
}

/** What needs a reader's eyes first in a run, then what moves, then the rest, each in build order. */
export function nodeOrder(nodes: NodeView[]): NodeView[] {
  const weight = (node: NodeView) =>
    isBad(node.state) ? (node.blocked_by_another ? 1 : 0) : moves(node.state) ? 2 : 3;
  return nodes.toSorted((a, b) => weight(a) - weight(b) || a.layer - b.layer || a.mart.localeCompare(b.mart));
}

/** A query without the empty lines around it, and how many stood above it. */
export function trimmed(text: string): { sql: string; above: number } {
  const lines = text.split("\n");
  const above = Math.max(
    0,
    lines.findIndex((line) => line.trim() !== ""),
  );
  return { sql: lines.slice(above).join("\n").trimEnd(), above };
}
