import { describe, expect, test } from "vitest";
import { offsetAt, positionAt, statementAt, statementsOf } from "./statements";

const texts = (sql: string) => statementsOf(sql).map(({ from, to }) => sql.slice(from, to));

describe("statements end at semicolons", () => {
  test.each([
    ["SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]],
    ["SELECT 1;;\n ; SELECT 2;", ["SELECT 1", "SELECT 2"]],
    ['SELECT \';\'; SELECT "a;\\";b"', ["SELECT ';'", 'SELECT "a;\\";b"']],
    ["SELECT `a;b`, r'\\'; SELECT 2", ["SELECT `a;b`, r'\\'", "SELECT 2"]],
    ['SELECT """a;\n"b";"""; SELECT 2', ['SELECT """a;\n"b";"""', "SELECT 2"]],
    ["-- one; two\nSELECT 1 # a;b\n; /* ; */ SELECT 2", ["-- one; two\nSELECT 1", "/* ; */ SELECT 2"]],
    ["SELECT '매출; 한글'; SELECT 2", ["SELECT '매출; 한글'", "SELECT 2"]],
    ["-- nothing but words", []],
    ["", []],
    ["SELECT 'open; SELECT 2", ["SELECT 'open; SELECT 2"]],
    ["SELECT 1 /* open; ", ["SELECT 1"]],
  ])("%j", (sql, expected) => {
    expect(texts(sql)).toEqual(expected);
  });
});

describe("the statement at the cursor", () => {
  const sql = "SELECT 1;\n\nSELECT 2; -- note\n\n";
  const run = (at: number) => {
    const statement = statementAt(sql, at);
    return statement && sql.slice(statement.from, statement.to);
  };
  test("is the one around it", () => {
    expect(run(3)).toBe("SELECT 1");
    expect(run(8)).toBe("SELECT 1");
  });
  test("is the one that ends on its line", () => {
    expect(run(9)).toBe("SELECT 1");
    expect(run(24)).toBe("SELECT 2");
  });
  test("is the next between two, the last behind all", () => {
    expect(run(10)).toBe("SELECT 2");
    expect(run(sql.length)).toBe("SELECT 2");
  });
  test("is none in an empty text", () => {
    expect(statementAt("  \n", 1)).toBeUndefined();
  });
});

test("positions count characters, not halves of them", () => {
  const text = "a\n😀한x\n";
  expect(offsetAt(text, 2, 3)).toBe(5);
  expect(positionAt(text, 5)).toEqual({ line: 2, column: 3 });
  expect(offsetAt(text, 9, 9)).toBe(text.length);
});
