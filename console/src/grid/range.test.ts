import { describe, expect, test } from "vitest";
import { type Bounds, cellAt, cellsOf, columnsOf, everything, moved, rectOf, rowsOf } from "./range";

const bounds: Bounds = { rows: 100, columns: 5, page: 20 };
const press = (key: string, shift = false, command = false) => ({ key, shift, command });

describe("keys", () => {
  test.each([
    ["ArrowDown", false, { row: 11, column: 2 }],
    ["ArrowUp", false, { row: 9, column: 2 }],
    ["ArrowLeft", false, { row: 10, column: 1 }],
    ["ArrowRight", false, { row: 10, column: 3 }],
    ["PageDown", false, { row: 30, column: 2 }],
    ["PageUp", false, { row: 0, column: 2 }],
    ["Home", false, { row: 10, column: 0 }],
    ["End", false, { row: 10, column: 4 }],
    ["Home", true, { row: 0, column: 0 }],
    ["End", true, { row: 99, column: 4 }],
    ["ArrowDown", true, { row: 99, column: 2 }],
  ])("%s (with Ctrl: %s)", (key, command, to) => {
    const next = moved(cellAt(10, 2), press(key, false, command), bounds);
    expect(next).toEqual({ anchor: to, focus: to });
  });

  test("Shift keeps the anchor and stops below the headers", () => {
    const next = moved(cellAt(1, 1), press("PageUp", true), bounds);
    expect(next).toEqual({ anchor: { row: 1, column: 1 }, focus: { row: 0, column: 1 } });
    expect(moved(cellAt(0, 1), press("ArrowUp", true), bounds)?.focus.row).toBe(0);
  });

  test("the headers are above the first row", () => {
    const up = moved(cellAt(0, 3), press("ArrowUp"), bounds);
    expect(up?.focus).toEqual({ row: -1, column: 3 });
    expect(up && rectOf(up, bounds)).toEqual({ top: 0, bottom: 99, left: 3, right: 3 });
  });

  test("a letter moves nothing", () => {
    expect(moved(cellAt(0, 0), press("x"), bounds)).toBeNull();
  });
});

describe("ranges", () => {
  test("have the same cells whichever way they were dragged", () => {
    const rect = { top: 2, bottom: 7, left: 1, right: 3 };
    expect(rectOf({ anchor: { row: 7, column: 1 }, focus: { row: 2, column: 3 } }, bounds)).toEqual(rect);
    expect(cellsOf(rect)).toBe(18);
  });

  test("of columns, of rows, of all", () => {
    expect(rectOf(columnsOf(3, 1, bounds), bounds)).toEqual({ top: 0, bottom: 99, left: 1, right: 3 });
    expect(rectOf(rowsOf(5, 4, bounds), bounds)).toEqual({ top: 4, bottom: 5, left: 0, right: 4 });
    expect(rectOf(everything(bounds), bounds)).toEqual({ top: 0, bottom: 99, left: 0, right: 4 });
  });

  test("an empty answer has none", () => {
    expect(rectOf(cellAt(0, 0), { rows: 0, columns: 5, page: 1 })).toBeNull();
  });
});
