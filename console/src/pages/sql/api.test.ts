import { expect, test } from "vitest";
import { fileNameOf, placeless } from "./api";

test("a file is called what the server calls it, in any script", () => {
  expect(fileNameOf(`attachment; filename="__.csv"; filename*=UTF-8''%EB%A7%A4%EC%B6%9C%201.csv`)).toBe("매출 1.csv");
  expect(fileNameOf('attachment; filename="naru 2026-11-23.csv"')).toBe("naru 2026-11-23.csv");
  expect(fileNameOf(null)).toBe("naru");
});

test("a summary leaves the place to the page", () => {
  expect(placeless({ code: "sql.x", summary: 'table "a" does not exist at 1:15' }).summary).toBe(
    'table "a" does not exist',
  );
  expect(placeless({ code: "sql.x", summary: "took too long" }).summary).toBe("took too long");
});
