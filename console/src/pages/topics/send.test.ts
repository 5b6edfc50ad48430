import { expect, test } from "vitest";
import { exampleEvent, snippets } from "./send";
import type { ColumnView } from "./types";

const column = (name: string, sql_type: string, required = false) => ({ name, sql_type, required }) as ColumnView;
const columns = [column("note", "STRING"), column("user_id", "INT64", true), column("tags", "ARRAY<STRING>")];

test("an example event has the required columns first and values that fit", () => {
  expect(exampleEvent(columns)).toEqual({ user_id: 1, note: "text", tags: ["text"] });
});

test("snippets hold the real address and stay one shell word", () => {
  const found = snippets("visits", { http: "http://127.0.0.1:6278", pubsub: null, project: "acme" }, columns);
  expect(found.map((snippet) => snippet.id)).toEqual(["curl", "fetch", "python", "naru"]);
  expect(found[0]?.text).toContain("http://127.0.0.1:6278/v1/ingest/visits");
  const quoted = snippets("visits", { project: "acme" }, [column("it's", "BOOL", true)]);
  expect(quoted[0]?.text).toContain(`{"it'\\''s":true}`);
});
