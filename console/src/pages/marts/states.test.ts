import { expect, test } from "vitest";
import { byUrgency, isSlow, nodeOrder, strip } from "./states";
import type { Cell, MartItem, NodeView } from "./types";

const mart = (name: string, state: string | null, more: Partial<MartItem> = {}): MartItem =>
  ({ mart: name, state, failing_checks: [], cells: [], reads: [], ...more }) as unknown as MartItem;

test("what failed by itself stands above what only waits for it", () => {
  const marts = [
    mart("a.good", "done"),
    mart("a.below", "blocked", { cause: "upstream a.bad" }),
    mart("a.bad", "failed"),
    mart("a.checked", "blocked", { cause: "check unique(id)" }),
    mart("a.runs", "running"),
    mart("a.warns", "done", { failing_checks: ["row_count > 1"] }),
  ];
  expect(byUrgency(marts).map((mart) => mart.mart)).toEqual([
    "a.bad",
    "a.checked",
    "a.below",
    "a.warns",
    "a.runs",
    "a.good",
  ]);
});

test("a strip shows the newest run last and keeps its length", () => {
  const cell = (run: number) => ({ run, state: "done" }) as Cell;
  expect(strip([cell(3), cell(2)], 4).map((cell) => cell?.run)).toEqual([undefined, undefined, 2, 3]);
  expect(strip([cell(3), cell(2), cell(1)], 2).map((cell) => cell?.run)).toEqual([2, 3]);
});

test("a duration is slow only when it is both far beyond its median and long", () => {
  expect(isSlow(10_000, 4_000)).toBe(true);
  expect(isSlow(900, 100)).toBe(false);
  expect(isSlow(10_000, null)).toBe(false);
});

test("a run lists what failed by itself first", () => {
  const node = (name: string, state: string, blocked = false) =>
    ({ mart: name, state, blocked_by_another: blocked, layer: 0 }) as NodeView;
  const nodes = [node("a", "done"), node("b", "blocked", true), node("c", "failed"), node("d", "running")];
  expect(nodeOrder(nodes).map((node) => node.mart)).toEqual(["c", "b", "d", "a"]);
});
