// Every problem that the Rust rooms can report has its Korean text, and no text is left over.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { koreanProblem, namedIn } from "./problems";
import texts from "./problems.ko.json";

const ROOMS =
  "access api audit catalog cli dead demo draft flow forward intake lake output project pubsub quality query row saved server share sheet signin sql store subscriptions sync topics work".split(
    " ",
  );

// Words of the control socket, failpoints, file names and keys of the state database, which look like codes.
const NOT_CODES = new Set(
  "access.applied access.offboard access.plan access.show access.toml access.why audit.jsonl cli.import_written console.link dead.discard dead.replay flow.paused forward.answered forward.pause forward.resume pubsub.push_key server.log sync.drop sync.pause sync.replay sync.resume sync.resync topics.dedup_saving topics.expired topics.expiring topics.publish topics.settle".split(
    " ",
  ),
);
const FAILPOINT = /^[a-z]+\.(after|before)_/;
const CODE = new RegExp(`"((?:${ROOMS.join("|")})\\.[a-z_0-9]+)"`, "g");

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return name === "tests" || name === "target" ? [] : sources(path);
    return name.endsWith(".rs") && name !== "tests.rs" ? [path] : [];
  });
}

function codes(): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of sources("../crates")) {
    const shipped = readFileSync(path, "utf8").split(/#\[cfg\(test\)\]\s*mod tests/)[0] ?? "";
    for (const [, code] of shipped.matchAll(CODE)) {
      if (code && !NOT_CODES.has(code) && !FAILPOINT.test(code)) found.set(code, path);
    }
  }
  return found;
}

test("every code has its Korean text", () => {
  const lacking = [...codes()].filter(([code]) => !(code in texts)).map(([code, path]) => `${code} (${path})`);
  expect(lacking).toEqual([]);
});

test("every Korean text belongs to a code", () => {
  const known = codes();
  const left = Object.keys(texts).filter((code) => !code.startsWith("console.") && !known.has(code));
  expect(left).toEqual([]);
});

test("Korean texts are Korean sentences", () => {
  for (const [code, text] of Object.entries(texts)) {
    expect(/[가-힣]/.test(text.summary), code).toBe(true);
    expect(text.summary.endsWith("."), `${code}: a summary has no full stop`).toBe(false);
    if ("hint" in text) expect(text.hint?.endsWith("."), `${code}: a hint is a sentence`).toBe(true);
  }
});

test("a Korean text names what the English one names", () => {
  expect(namedIn('table "orders" stopped syncing')).toEqual(["orders"]);
  expect(namedIn("mart finance.daily_sales was not published: its checks failed")).toEqual(["finance.daily_sales"]);
  expect(namedIn("run 12 ended as failed")).toEqual(["12"]);
  expect(namedIn("마트 재무.매출 reads 주문.목록, which does not exist yet")).toEqual(["재무.매출", "주문.목록"]);
  expect(namedIn("/data/naru.toml cannot be read")).toEqual([]);
  const problem = { code: "flow.no_such_mart", summary: "no mart is named finance.x" };
  expect(koreanProblem(problem)?.summary).toBe("그런 마트가 없습니다: finance.x");
});
