import { describe, expect, it } from "vitest";
import { exportPath, type Filters, toQuery } from "./filters";

const NONE: Filters = { account: "", table: "", text: "", action: "", door: "", result: "", from: "", to: "" };

describe("filters of the audit", () => {
  it("empty filters ask for everything", () => {
    expect(toQuery(NONE)).toEqual({});
    expect(exportPath(NONE, " ")).toBe("/api/v1/audit/export");
  });

  it("a date is its beginning in UTC", () => {
    expect(toQuery({ ...NONE, from: "2026-11-23", to: "2026-11-23T09:30" })).toEqual({
      from: "2026-11-23T00:00:00Z",
      to: "2026-11-23T09:30:00Z",
    });
    expect(toQuery({ ...NONE, from: "yesterday" })).toEqual({ from: "yesterday" });
  });

  it("the file has the same filters and the reason", () => {
    const path = exportPath({ ...NONE, account: "kim@acme.kr", result: "failed" }, "month's end");
    const search = new URLSearchParams(path.split("?")[1]);
    expect(Object.fromEntries(search)).toEqual({ account: "kim@acme.kr", failed: "true", reason: "month's end" });
  });
});
