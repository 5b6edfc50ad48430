import { expect, test } from "vitest";
import { NODE, place, select, WHOLE_MAX } from "./layout";
import type { MartItem } from "./types";

const mart = (name: string, reads: string[], state = "done"): MartItem =>
  ({ mart: name, reads, state, failing_checks: [], cells: [] }) as unknown as MartItem;

/** A chain of layers: each mart reads three of the layer before. */
function company(count: number): MartItem[] {
  return Array.from({ length: count }, (_, at) => {
    const layer = Math.floor(at / 40);
    const reads =
      layer === 0 ? [`shop.t${at % 25}`] : [0, 7, 13].map((step) => `m.x${(layer - 1) * 40 + ((at + step) % 40)}`);
    return mart(`m.x${at}`, reads);
  });
}

test("a small graph is drawn whole, with the tables that marts read", () => {
  const drawn = select([mart("a.x", ["shop.orders"]), mart("a.y", ["a.x"])], undefined);
  expect(drawn.names.toSorted()).toEqual(["a.x", "a.y", "shop.orders"]);
  expect(drawn.focus).toBeUndefined();
});

test("of a large graph what lies within two steps is drawn, around a mart that failed", () => {
  const marts = company(1_000);
  marts[500] = mart("m.x500", marts[500]?.reads ?? [], "failed");
  const drawn = select(marts, undefined);
  expect(drawn.focus).toBe("m.x500");
  expect(drawn.total).toBe(1_025);
  expect(drawn.names.length).toBeLessThanOrEqual(WHOLE_MAX);
  expect(drawn.names).toContain(marts[500]?.reads[0]);
});

test("a neighbourhood of a thousand marts is found and placed within the time of a page", () => {
  const marts = company(1_000);
  const began = performance.now();
  const drawn = select(marts, "m.x520");
  const places = place(drawn);
  expect(performance.now() - began).toBeLessThan(2_000);
  const [from, to] = drawn.edges[0] ?? ["", ""];
  expect((places.get(from)?.x ?? 0) + NODE.width).toBeLessThan(places.get(to)?.x ?? 0);
});
