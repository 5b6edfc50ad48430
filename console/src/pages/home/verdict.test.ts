import { expect, test } from "vitest";
import { homeText } from "./text";
import type { HomeView } from "./types";
import { verdict } from "./verdict";

const nothing = {
  tables: { all: 0, fresh: 0, late: 0, copying: 0, paused: 0, stopped: 0 },
  marts: { all: 0, done: 0, failed: 0, running: 0, never: 0 },
  topics: { all: 0, events_per_s: 0, dead_letters: 0 },
  problems: [],
} satisfies Pick<HomeView, "tables" | "marts" | "topics" | "problems">;

test("a project without anything has no verdict", () => {
  expect(verdict(nothing, homeText.en)).toBeUndefined();
});

test("late and stopped tables are one sentence in both languages", () => {
  const home = { ...nothing, tables: { ...nothing.tables, all: 41, fresh: 38, late: 2, stopped: 1 } };
  expect(verdict(home, homeText.en)?.words).toBe("3 of 41 tables are late");
  expect(verdict(home, homeText.ko)?.words).toBe("테이블 41개 중 3개가 늦습니다");
});

test("what is worst is said first, and the rest after it", () => {
  const home = {
    ...nothing,
    tables: { ...nothing.tables, all: 2, fresh: 2 },
    marts: { ...nothing.marts, all: 3, failed: 1 },
    topics: { ...nothing.topics, all: 1, dead_letters: 4 },
  };
  expect(verdict(home, homeText.en)).toEqual({
    tone: "warn",
    words: "1 mart failed",
    also: "4 events wait to be mended.",
  });
});

test("all is well only when nothing is wrong", () => {
  const home = { ...nothing, tables: { ...nothing.tables, all: 5, fresh: 5 } };
  expect(verdict(home, homeText.en)).toEqual({ tone: "good", words: "All 5 tables are up to date" });
});
