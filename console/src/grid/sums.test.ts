import { expect, test } from "vitest";
import { decimalOf, decimalText, sumsOf } from "./sums";
import { type Cell, kindOf } from "./values";

const sums = (type: string, cells: Cell[]) =>
  sumsOf({ top: 0, bottom: cells.length - 1, left: 0, right: 0 }, [{ name: "n", type, kind: kindOf(type) }], (row) =>
    row < cells.length ? [cells[row] ?? null] : undefined,
  );

test("large whole numbers are added without loss", () => {
  expect(sums("INT64", ["9007199254740993", "9007199254740993", 1])?.sum).toBe("18014398509481987");
});

test("decimals are added as decimals", () => {
  expect(sums("NUMERIC", ["0.1", "0.2"])).toMatchObject({ sum: "0.3", average: "0.15", least: "0.1", most: "0.2" });
  expect(sums("NUMERIC", ["-1", "0", "0"])?.average).toBe("-0.333333");
});

test("NULL is counted and not added, NaN neither", () => {
  expect(sums("FLOAT64", [1.5, null, "NaN"])).toMatchObject({ cells: 3, filled: 2, numbers: 1, sum: "1.5" });
});

test("text has no sum", () => {
  expect(sums("STRING", ["1", "2"])).toMatchObject({ filled: 2, numbers: 0, sum: null });
});

test("a range that is not in the browser has no sums", () => {
  const columns = [{ name: "n", type: "INT64", kind: kindOf("INT64") }];
  expect(sumsOf({ top: 0, bottom: 5, left: 0, right: 0 }, columns, () => undefined)).toBeNull();
});

test("a decimal's text is what it was", () => {
  for (const text of ["0", "-0.5", "12.345", "100"]) {
    const decimal = decimalOf(text);
    expect(decimal && decimalText(decimal)).toBe(text);
  }
  expect(decimalOf("1e300")).toBeNull();
});
