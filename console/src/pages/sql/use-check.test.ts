import { expect, test } from "vitest";
import { mendingOf } from "./use-check";

test("what was meant replaces the whole name, written as it must be", () => {
  const text = "SELECT citty FROM shop.ordres o";
  const mended = (from: number, to: number, meant: string) => {
    const mending = mendingOf(text, from, to, meant);
    return text.slice(0, from) + mending.insert + text.slice(mending.to);
  };
  expect(mended(7, 12, '"city"')).toBe("SELECT city FROM shop.ordres o");
  expect(mended(7, 12, '"도시"')).toBe("SELECT `도시` FROM shop.ordres o");
  expect(mended(18, 22, "shop.orders")).toBe("SELECT citty FROM shop.orders o");
});
