import { describe, expect, test } from "vitest";
import { kindOf, roundsInSheets, shownOf, textOf, timestampText } from "./values";

test("a type's kind is its head", () => {
  expect(kindOf("NUMERIC(10, 2)")).toBe("numeric");
  expect(kindOf("ARRAY<STRUCT<a INT64>>")).toBe("array");
  expect(kindOf("int64")).toBe("int64");
  expect(kindOf("GEOGRAPHY")).toBe("other");
});

describe("a timestamp", () => {
  test.each([
    ["2026-11-22T03:50:34Z", "UTC", "2026-11-22 03:50:34"],
    ["2026-11-22T03:50:34.123456Z", "UTC", "2026-11-22 03:50:34.123456"],
    ["2026-11-22T15:50:34.123456Z", "Asia/Seoul", "2026-11-23 00:50:34.123456"],
    ["2026-07-01T00:00:00Z", "America/New_York", "2026-06-30 20:00:00"],
    ["2026-11-22T03:50:34Z", "Nowhere/Land", "2026-11-22 03:50:34Z"],
    ["not a time", "UTC", "not a time"],
  ])("%s in %s is %s", (instant, zone, shown) => {
    expect(timestampText(instant, zone)).toBe(shown);
  });
});

test("numbers stand as they came", () => {
  expect(textOf("9223372036854775807", "int64", "UTC")).toBe("9223372036854775807");
  expect(textOf("0.10", "numeric", "UTC")).toBe("0.10");
  expect(textOf(0.1, "float64", "UTC")).toBe("0.1");
});

test("line ends are seen on one line and long texts are cut", () => {
  expect(shownOf("a\nb\tc", "string", "UTC", false)).toBe("a↵b⇥c");
  expect(shownOf("a\nb", "string", "UTC", true)).toBe("a\nb");
  expect(shownOf("x".repeat(1000), "string", "UTC", false)).toHaveLength(401);
});

test("only numbers with more than 15 digits that matter are rounded in sheets", () => {
  expect(roundsInSheets("1234567890123456789", "int64")).toBe(true);
  expect(roundsInSheets("1000000000000000000", "int64")).toBe(false);
  expect(roundsInSheets("-0.123456789012345", "numeric")).toBe(false);
  expect(roundsInSheets("1234567890123456789", "string")).toBe(false);
});
