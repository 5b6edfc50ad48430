import { expect, test } from "vitest";
import { folded, matchesIn, nextMatch } from "./find";
import { kindOf } from "./values";

const columns = ["STRING", "TIMESTAMP"].map((type) => ({ name: type, type, kind: kindOf(type) }));

test("finds what is shown, whatever its case and composition", () => {
  const rows = [
    ["서울".normalize("NFD"), "2026-11-22T03:50:34Z"],
    ["Seoul 서울", null],
    [null, null],
  ];
  expect(matchesIn(rows, 10, columns, "UTC", folded("서울"))).toEqual([
    { row: 10, column: 0 },
    { row: 11, column: 0 },
  ]);
  expect(matchesIn(rows, 0, columns, "UTC", folded("SEOUL"))).toEqual([{ row: 1, column: 0 }]);
  expect(matchesIn(rows, 0, columns, "UTC", folded("22 03:50"))).toEqual([{ row: 0, column: 1 }]);
});

test("goes on from where one is, round the end", () => {
  const matches = [1, 5, 9].map((row) => ({ row, column: 2 }));
  expect(nextMatch(matches, { row: 5, column: 2 }, false)).toBe(2);
  expect(nextMatch(matches, { row: 9, column: 2 }, false)).toBe(0);
  expect(nextMatch(matches, { row: 5, column: 1 }, false)).toBe(1);
  expect(nextMatch(matches, { row: 1, column: 2 }, true)).toBe(2);
  expect(nextMatch([], { row: 1, column: 2 }, true)).toBe(-1);
});
