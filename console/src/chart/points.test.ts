import { describe, expect, test } from "vitest";
import { type Column, kindOf } from "../grid/values";
import { firstChoice, pointsOf } from "./points";

const columns = (...types: string[]): Column[] =>
  types.map((type, at) => ({ name: `c${at}`, type, kind: kindOf(type) }));

describe("the first guess", () => {
  test.each([
    [["STRING", "DATE", "INT64"], { shape: "line", x: 1, y: [2] }],
    [["STRING", "INT64", "NUMERIC"], { shape: "bar", x: 0, y: [1] }],
    [["INT64", "FLOAT64"], { shape: "line", x: 0, y: [1] }],
    [["INT64"], { shape: "line", x: 0, y: [0] }],
    [["STRING", "DATE"], null],
    [["JSON"], null],
  ])("of %j is %j", (types, choice) => {
    expect(firstChoice(columns(...types))).toEqual(choice);
  });
});

test("times stand in order, whatever the order of rows, and rows without one are left out", () => {
  const rows = [
    ["2026-11-23", 2],
    [null, 9],
    ["2026-11-22", "1.5"],
    ["2026-11-24", null],
  ];
  const points = pointsOf(rows, columns("DATE", "NUMERIC"), { shape: "line", x: 0, y: [1] }, "UTC");
  expect(points.x).toEqual(["2026-11-22", "2026-11-23", "2026-11-24"].map((day) => Date.parse(day) / 1000));
  expect(points.y).toEqual([[1.5, 2, null]]);
});

test("words keep the order of rows", () => {
  const points = pointsOf(
    [
      ["b", 1],
      [null, 2],
    ],
    columns("STRING", "INT64"),
    { shape: "bar", x: 0, y: [1] },
    "UTC",
  );
  expect(points).toEqual({ x: [0, 1], y: [[1, 2]], labels: ["b", "NULL"] });
});

test("a DATETIME has no zone and is drawn as it reads", () => {
  const points = pointsOf(
    [["2026-11-22T10:00:00", 1]],
    columns("DATETIME", "INT64"),
    { shape: "line", x: 0, y: [1] },
    "Asia/Seoul",
  );
  expect(points.x).toEqual([Date.parse("2026-11-22T10:00:00Z") / 1000]);
});
