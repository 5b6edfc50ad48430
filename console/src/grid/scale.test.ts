import { describe, expect, test } from "vitest";
import { offsetOf, PHYSICAL_MAX, revealing, scrolled, standAt, trackOf } from "./scale";

const ROW = 28;

describe("a track within the browser's limit", () => {
  const track = trackOf(1000, ROW, 500);
  test("scrolls one to one", () => {
    expect(track.physical).toBe(28_000);
    expect(scrolled({ top: 0, shift: 0 }, 700, track)).toEqual({ top: 700, shift: 0 });
    expect(standAt(1234, track)).toEqual({ top: 1234, shift: 0 });
  });
});

describe("a track of ten million rows", () => {
  const track = trackOf(10_000_000, ROW, 500);
  const end = track.logical - track.viewport;

  test("is laid out below the limit", () => {
    expect(track.physical).toBe(PHYSICAL_MAX);
  });

  test("a wheel step moves rows by its own pixels", () => {
    let stand = standAt(140_000_000, track);
    const before = offsetOf(stand);
    stand = scrolled(stand, stand.top + 120, track);
    expect(offsetOf(stand) - before).toBeCloseTo(120);
  });

  test("a jump of the bar lands at its share", () => {
    const stand = scrolled({ top: 0, shift: 0 }, track.physical / 2, track);
    expect(offsetOf(stand) / end).toBeCloseTo(0.5, 3);
  });

  test("both ends are reached by jumps", () => {
    expect(offsetOf(scrolled({ top: 0, shift: 0 }, track.physical - track.viewport, track))).toBe(end);
    expect(offsetOf(scrolled(standAt(end, track), 0, track))).toBe(0);
  });

  test("every row is reached by small steps though the bar is too short for them", () => {
    let stand = standAt(0, track);
    for (let step = 0; step < 200_000; step++) stand = scrolled(stand, stand.top + 900, track);
    expect(offsetOf(stand)).toBe(180_000_000);
    for (let step = 0; step < 205_000; step++) {
      stand = scrolled(stand, Math.max(0, stand.top - 900), track);
    }
    expect(offsetOf(stand)).toBeLessThan(1);
  });

  test("the last rows are reached by small steps", () => {
    let stand = standAt(end - 1_000_000, track);
    const bar = track.physical - track.viewport;
    for (let step = 0; step < 2000; step++) {
      stand = scrolled(stand, Math.min(bar, stand.top + 900), track);
    }
    expect(offsetOf(stand)).toBe(end);
  });
});

test("a row is revealed with the least movement", () => {
  const track = trackOf(1000, ROW, 280);
  expect(revealing(280, 3, ROW, track)).toBe(84);
  expect(revealing(0, 3, ROW, track)).toBe(0);
  expect(revealing(0, 12, ROW, track)).toBe(84);
});
