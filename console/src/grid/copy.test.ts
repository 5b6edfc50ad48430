import { describe, expect, test } from "vitest";
import { Clipping, defused, tsvCell } from "./copy";
import { type Cell, type Column, kindOf } from "./values";

const column = (name: string, type: string): Column => ({ name, type, kind: kindOf(type) });
const clip = (columns: Column[], rows: Cell[][], headers = false) => {
  const clipping = new Clipping({ columns, left: 0, right: columns.length - 1, zone: "UTC" }, headers);
  clipping.add(rows);
  return clipping.finish();
};

describe("text that could be a formula", () => {
  test.each(["=1+1", "+82 10", "-x", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-3.5"])("%j is defused", (text) => {
    expect(defused(text)).toBe(`'${text}`);
  });
  test.each(["", "a=1", " =1", "'=1", "1-2", "한글"])("%j is left alone", (text) => {
    expect(defused(text)).toBe(text);
  });
});

test("numbers, times and booleans are never touched", () => {
  const columns = ["INT64", "FLOAT64", "NUMERIC(10, 2)", "BIGNUMERIC", "DATE", "TIMESTAMP", "BOOL"].map((type) =>
    column(type, type),
  );
  const row = [-5, -0.25, "-12.50", "-123456789012345678901234567890.5", "2026-11-22", "2026-11-22T03:50:34.5Z", false];
  expect(clip(columns, [row]).text).toBe(
    "-5\t-0.25\t-12.50\t-123456789012345678901234567890.5\t2026-11-22\t2026-11-22 03:50:34.5\tfalse",
  );
});

test("cells with separators are quoted, others stand as they are", () => {
  expect(tsvCell('a "b" c')).toBe('a "b" c');
  expect(tsvCell("two\nlines")).toBe('"two\nlines"');
  expect(tsvCell('a\t"b"')).toBe('"a\t""b"""');
  expect(tsvCell('"quoted"')).toBe('"""quoted"""');
});

test("headers come only when asked for, and are defused too", () => {
  const columns = [column("=a", "STRING"), column("b", "INT64")];
  expect(clip(columns, [["x", 1]]).text).toBe("x\t1");
  expect(clip(columns, [["x", 1]], true).text).toBe("'=a\tb\nx\t1");
  expect(clip(columns, [["x", 1]], true).html).toContain("<tr><th>'=a</th><th>b</th></tr>");
});

test("NULL and the empty text are both an empty cell", () => {
  expect(
    clip(
      [column("a", "STRING"), column("b", "INT64")],
      [
        [null, null],
        ["", 0],
      ],
    ).text,
  ).toBe("\t\n\t0");
});

test("the table holds text as text, breaks inside their cell, and nothing that runs", () => {
  const { html } = clip([column("a", "STRING"), column("n", "INT64")], [["<b>&\n'", 1]]);
  expect(html).toBe(
    `<meta charset="utf-8"><table><tr><td style="mso-number-format:'\\@'">&lt;b&gt;&amp;` +
      `<br style="mso-data-placement:same-cell">'</td><td>1</td></tr></table>`,
  );
});

test("numbers a spreadsheet would round are kept as text in the table and counted", () => {
  const made = clip([column("id", "INT64")], [["1234567890123456789"], [7], ["9007199254740993000"]]);
  expect(made.long).toBe(2);
  expect(made.html).toContain(`<td style="mso-number-format:'\\@'">1234567890123456789</td><td`.slice(0, 40));
  expect(made.text).toBe("1234567890123456789\n7\n9007199254740993000");
});

test("a range takes its columns only", () => {
  const columns = ["a", "b", "c"].map((name) => column(name, "STRING"));
  const clipping = new Clipping({ columns, left: 1, right: 1, zone: "UTC" }, true);
  clipping.add([["1", "2", "3"]]);
  expect(clipping.finish().text).toBe("b\n2");
});

test("nested values are copied as JSON", () => {
  const columns = [column("items", "ARRAY<STRUCT<sku STRING>>")];
  expect(clip(columns, [[[{ sku: "가" }]]]).text).toBe('[{"sku":"가"}]');
});
