import { expect, test } from "vitest";
import { formatAgo, formatBytes, formatNumber, formatSpan } from "./format";

test("bytes show three figures and the unit that fits", () => {
  expect(formatBytes(0, "en")).toBe("0 B");
  expect(formatBytes(999, "en")).toBe("999 B");
  expect(formatBytes(1_240_000_000, "en")).toBe("1.24 GB");
  expect(formatBytes(999_600, "ko")).toBe("1 MB");
});

test("spans show their two largest units", () => {
  expect(formatSpan(840, "en")).toBe("840 ms");
  expect(formatSpan(7_500_000, "en")).toBe("2 h 5 min");
  expect(formatSpan(86_400_000, "ko")).toBe("1일");
  expect(formatSpan(7_500_000, "ko")).toBe("2시간 5분");
});

test("an age is coarse and says which way it lies", () => {
  const now = new Date("2026-11-23T00:10:00Z");
  expect(formatAgo(new Date("2026-11-23T00:05:00Z"), now, "en")).toBe("5 min ago");
  expect(formatAgo(new Date("2026-11-23T00:05:00Z"), now, "ko")).toBe("5분 전");
  expect(formatAgo(new Date("2026-11-23T03:10:00Z"), now, "ko")).toBe("3시간 뒤");
  expect(formatAgo(new Date("2026-11-23T00:09:58Z"), now, "en")).toBe("just now");
});

test("a figure that came as text keeps every digit", () => {
  expect(formatNumber("9223372036854775807", "en")).toBe("9,223,372,036,854,775,807");
  expect(formatNumber("-1234.50", "ko")).toBe("-1,234.50");
  expect(formatNumber("NaN", "en")).toBe("NaN");
});
