import { expect, test } from "vitest";
import { byUrgency, logTone, sourceTone, tableTone } from "./states";
import type { SourceView, SyncedTable } from "./types";

const table = (name: string, state: string, followed = true, adjusted = 0) =>
  ({ table: name, state, followed, adjusted_values: adjusted }) as SyncedTable;
const source = (more: Partial<SourceView>) =>
  ({ phase: "streaming", warnings: [], problem: null, ...more }) as unknown as SourceView;

test("a live table of a source that does not stream is not shown as well", () => {
  expect(tableTone(table("a.b", "live"))).toBe("good");
  expect(tableTone(table("a.b", "live", false))).toBe("warn");
});

test("a source that tries again after an error is not green before it has worked", () => {
  const problem = { code: "x", summary: "it broke" } as SourceView["problem"];
  expect(sourceTone(source({}))).toBe("good");
  expect(sourceTone(source({ phase: "connecting", problem }))).toBe("bad");
  expect(sourceTone(source({ problem }))).toBe("warn");
});

test("what needs somebody stands first", () => {
  const tables = [
    table("a.x", "live"),
    table("a.y", "quarantined"),
    table("a.z", "live", true, 3),
    table("a.w", "copying"),
  ];
  expect(byUrgency(tables).map((each) => each.table)).toEqual(["a.y", "a.w", "a.z", "a.x"]);
});

test("a log that is lost within the day is a warning, within two hours an alarm", () => {
  expect(logTone(source({ hours_until_lost: null }))).toBe("good");
  expect(logTone(source({ hours_until_lost: 12 }))).toBe("warn");
  expect(logTone(source({ hours_until_lost: 1 }))).toBe("bad");
});
