import { expect, test } from "vitest";
import { match, pathOf } from "./router";

test("a pattern gives the parts it names, decoded", () => {
  expect(match("/", "/")).toEqual({});
  expect(match("/sql/:id", "/sql/7")).toEqual({ id: "7" });
  expect(match("/catalog/:dataset/:table", "/catalog/%EB%A7%A4%EC%B6%9C/a%2Fb")).toEqual({
    dataset: "매출",
    table: "a/b",
  });
});

test("a path that is longer, shorter, different or wrongly encoded fits nothing", () => {
  for (const path of ["/sql", "/sql/1/2", "/sqls/1", "/sql/%E0%A4%A"]) expect(match("/sql/:id", path)).toBeUndefined();
});

test("a path made of parts is read back as the same parts", () => {
  const params = { dataset: "shop", table: "주문/2026" };
  expect(match("/catalog/:dataset/:table", pathOf("catalog", params.dataset, params.table))).toEqual(params);
});
