// Where one statement of a text ends and the next begins, and which one the cursor is in.
//
// Owns: reading just enough GoogleSQL to see strings, quoted names and comments. The server's parser has the last word on
// everything else.

/** A statement in a text: offsets of its first character and after its last, without the semicolon. */
export interface Statement {
  from: number;
  to: number;
}

/** A string, a quoted name or a comment in one match; what is left open reaches to the end of the text. */
const OPAQUE =
  /r?b?r?("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$))|[rR]"[^"\n]*"?|[rR]'[^'\n]*'?|"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?|`(?:[^`\\\n]|\\.)*`?|\/\*[\s\S]*?(?:\*\/|$)|--[^\n]*|#[^\n]*/y;

const COMMENT = /^(?:\/\*|--|#)/;

/** All statements that have more than comments. */
export function statementsOf(text: string): Statement[] {
  const found: Statement[] = [];
  let from = -1;
  let to = 0;
  let substance = false;
  const end = () => {
    if (from >= 0 && substance) found.push({ from, to });
    from = -1;
    substance = false;
  };
  let at = 0;
  while (at < text.length) {
    const char = text[at] ?? "";
    OPAQUE.lastIndex = at;
    const opaque = OPAQUE.exec(text)?.[0];
    if (opaque) {
      if (from < 0) from = at;
      at += opaque.length;
      if (COMMENT.test(opaque)) continue;
      substance = true;
      to = at;
    } else if (char === ";") {
      end();
      at += 1;
    } else {
      at += 1;
      if (/\s/.test(char)) continue;
      if (from < 0) from = at - 1;
      substance = true;
      to = at;
    }
  }
  end();
  return found;
}

/** The statement to run with the cursor at `at`: the one around it, else the one that ends on its line, else the next. */
export function statementAt(text: string, at: number): Statement | undefined {
  const statements = statementsOf(text);
  const around = statements.find(({ from, to }) => from <= at && at <= to);
  if (around) return around;
  const before = statements.findLast(({ to }) => to < at);
  if (before && !text.slice(before.to, at).includes("\n")) return before;
  return statements.find(({ from }) => from > at) ?? before;
}

/** The offset of a line and column, both from 1, columns in characters (not in halves of them). */
export function offsetAt(text: string, line: number, column: number): number {
  let start = 0;
  for (let skipped = 1; skipped < line; skipped++) {
    const end = text.indexOf("\n", start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const end = text.indexOf("\n", start);
  const letters = [...text.slice(start, end < 0 ? text.length : end)];
  return start + letters.slice(0, Math.max(0, column - 1)).join("").length;
}

/** Line and column, both from 1, of an offset. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const start = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: [...before.slice(start)].length + 1 };
}
