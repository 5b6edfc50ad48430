import { expect, test } from "vitest";
import { examplesOf } from "./first-run";
import { pathName, quoted, shownTitle } from "./names";

test("names are quoted where they must be", () => {
  expect(quoted("orders")).toBe("orders");
  expect(quoted("주문")).toBe("`주문`");
  expect(quoted("order")).toBe("`order`");
  expect(quoted("2026")).toBe("`2026`");
  expect(pathName("shop", "일별 매출")).toBe("shop.`일별 매출`");
});

test("examples ask what a table can answer", () => {
  const words = {
    exampleRows: String,
    exampleCount: String,
    exampleGroup: (table: string, by: string) => `${table} ${by}`,
  };
  const columns = [
    { name: "id", type: "INT64" },
    { name: "name", type: "STRING" },
    { name: "status", type: "STRING" },
  ];
  const examples = examplesOf({ dataset: "shop", name: "orders", columns }, words);
  expect(examples.map(({ label }) => label)).toEqual(["orders", "orders status", "orders"]);
  expect(examples[1]?.sql).toContain("GROUP BY status");
  expect(examplesOf({ dataset: "shop", name: "n", columns: columns.slice(0, 1) }, words)).toHaveLength(2);
});

test("a sheet without a name is called after what it reads", () => {
  const shown = (sql: string, title = "") => shownTitle({ title, sql }, "Untitled");
  expect(shown("SELECT 1")).toBe("Untitled");
  expect(shown("SELECT n FROM UNNEST([1]) AS n JOIN x")).toBe("Untitled");
  expect(shown("select *\nfrom shop.orders o")).toBe("orders");
  expect(shown("SELECT * FROM `매출.일별 매출`")).toBe("일별 매출");
  expect(shown("SELECT * FROM shop.orders", "환불")).toBe("환불");
});
