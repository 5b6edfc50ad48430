import { expect, test } from "vitest";
import { difference, hexLines, pretty } from "./difference";
import type { ColumnView } from "./types";

const column = (name: string, sql_type: string, required = false) => ({ name, sql_type, required }) as ColumnView;

test("what is wrong stands first: the faulty field, then what no column takes", () => {
  const columns = [column("id", "INT64", true), column("note", "STRING"), column("at", "TIMESTAMP", true)];
  const fields = difference('{"id": "seven", "extra": 1}', columns, "$.id");
  expect(fields?.map((field) => [field.name, field.got, field.wants, field.faulty])).toEqual([
    ["id", "string", "INT64", true],
    ["at", undefined, "TIMESTAMP", true],
    ["extra", "number", undefined, false],
    ["note", undefined, "STRING", false],
  ]);
  expect(difference("not json", columns, "$")).toBeUndefined();
});

test("bytes are shown as they lie", () => {
  expect(hexLines(btoa("naru\u0000\u00ff"))).toEqual([
    "000000  6e 61 72 75 00 ff                                naru..",
  ]);
});

test("a number that a parser would round is left as it came", () => {
  expect(pretty('{"a":1}')).toBe('{\n  "a": 1\n}');
  expect(pretty('{"a":12345678901234567890}')).toBe('{"a":12345678901234567890}');
});
