import { expect, test } from "vitest";
import { curl, postgresUrl, psql, python } from "./snippets";

test("an e-mail as user and a Korean project make a URL that tools can read", () => {
  const url = postgresUrl("kim@acme.kr", "naru_pat_x", { host: "127.0.0.1", port: 6279, database: "매출" });
  expect(url).toBe("postgres://kim%40acme.kr:naru_pat_x@127.0.0.1:6279/%EB%A7%A4%EC%B6%9C");
  expect(new URL(url).username).toBe("kim%40acme.kr");
  expect(psql(url)).toContain(url);
  expect(python(url)).toContain("postgresql+psycopg://kim%40acme.kr");
  expect(postgresUrl("a", "b", { host: "::1", port: 1, database: "c" })).toContain("@[::1]:1/");
  expect(curl("https://naru.acme.kr", "naru_pat_x")).toContain("Bearer naru_pat_x' https://naru.acme.kr/api/v1/me");
});
