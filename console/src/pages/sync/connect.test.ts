import { expect, test } from "vitest";
import { referenceOf } from "./connect";

test("a source's password has a variable of its own that every shell can set", () => {
  expect(referenceOf("shop")).toBe("${SHOP_PASSWORD}");
  expect(referenceOf("1st-shop")).toBe("${DB_1ST_SHOP_PASSWORD}");
  expect(referenceOf("매장")).toBe("${DB_PASSWORD}");
});
