// What the server says of a text while it is written: mistakes with their places, and how much it would read.

import type { Action, Diagnostic } from "@codemirror/lint";
import { useEffect, useMemo, useState } from "react";
import type { Problem } from "../../api/problem";
import { useLanguage, useText } from "../../i18n";
import { koreanProblem } from "../../i18n/problems";
import { type Check, type CheckProblem, checkSql, placeless } from "./api";
import { offsetAt, positionAt, statementAt } from "./editor/statements";
import { pathName } from "./names";
import type { Run } from "./sheets";
import { sqlText } from "./text";

const TYPING_MS = 450;
/** A longer text is checked by running it. */
const CHECKED_TEXT_MAX = 100_000;

export interface Checked {
  busy: boolean;
  /** Of the statement at the cursor; `null` while unknown. */
  estimate: Check["estimate"];
  /** Whether the server had something to say at all. */
  known: boolean;
  diagnostics: Diagnostic[];
}

interface Answer {
  text: string;
  problems: CheckProblem[];
  estimate: Check["estimate"];
}

/** Checks a text after a pause in typing, and lists its mistakes with those of its last run. */
export function useCheck(text: string, cursor: number, run: Run | null): Checked {
  const words = useText(sqlText);
  const { language } = useLanguage();
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [busy, setBusy] = useState(false);
  // The estimate is of the statement at the cursor: moving within it asks nothing anew.
  const here = statementAt(text, cursor)?.to ?? text.length;

  useEffect(() => {
    if (text.trim() === "" || text.length > CHECKED_TEXT_MAX) {
      setAnswer(null);
      setBusy(false);
      return;
    }
    let current = true;
    setBusy(true);
    const check = async () => {
      try {
        const { problems, estimate } = await checkSql(text, positionAt(text, here));
        if (current) setAnswer({ text, problems: problems.map(placeless), estimate });
      } catch {
        if (current) setAnswer(null);
      } finally {
        if (current) setBusy(false);
      }
    };
    const timer = setTimeout(check, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text, here]);

  const diagnostics = useMemo(() => {
    const say = (problem: Problem) => {
      const { summary, hint } = (language === "ko" && koreanProblem(problem)) || problem;
      return [summary, problem.detail, hint].filter(Boolean).join("\n");
    };
    const found: Diagnostic[] = [];
    if (answer && answer.text === text) {
      for (const problem of answer.problems) found.push(diagnosisOf(text, problem, say(problem), words.replaceBy));
    }
    const failed = failureOf(text, run);
    if (failed && !found.some(({ from }) => from === failed.from))
      found.push({ ...failed, message: say(failed.problem) });
    return found;
  }, [answer, text, run, language, words]);

  return { busy, estimate: answer?.estimate ?? null, known: answer !== null, diagnostics };
}

/** The word at an offset, or the one character there. */
function wordAt(text: string, from: number): number {
  const word = /^[\p{L}\p{N}_$]+/u.exec(text.slice(from, from + 200))?.[0].length ?? 1;
  return Math.min(text.length, from + word);
}

/** What to write instead of what stands from `from` to `to`: a name as it is written, and the whole path it replaces. */
export function mendingOf(text: string, from: number, to: number, meant: string): { insert: string; to: number } {
  const name = meant.replaceAll('"', "");
  const insert = /^[\w.]+$/.test(name) ? name : pathName(...name.split("."));
  const rest = name.includes(".") ? /^(?:\.(?:[\p{L}\p{N}_$-]+|`[^`]*`))*/u.exec(text.slice(to))?.[0].length : 0;
  return { insert, to: Math.max(from, to) + (rest ?? 0) };
}

function diagnosisOf(
  text: string,
  problem: CheckProblem,
  message: string,
  replaceBy: (name: string) => string,
): Diagnostic {
  const from = problem.start ? Math.min(text.length, offsetAt(text, problem.start.line, problem.start.column)) : 0;
  const end = problem.end ? offsetAt(text, problem.end.line, problem.end.column) : wordAt(text, from);
  if (!problem.instead) return { from, to: Math.max(from, end), severity: "error", message };
  const { insert, to } = mendingOf(text, from, end, problem.instead);
  const mend: Action = {
    name: replaceBy(insert),
    apply: (view, start, finish) => view.dispatch({ changes: { from: start, to: finish, insert } }),
  };
  return { from, to, severity: "error", message, actions: [mend] };
}

/** Where the last run failed, while its statement still stands as it was. */
export function failureOf(text: string, run: Run | null): (Diagnostic & { problem: Problem }) | undefined {
  const { problem, position } = run?.query ?? {};
  if (!run || !problem || !position || text.slice(run.from, run.from + run.sql.length) !== run.sql) return undefined;
  const from = run.from + offsetAt(run.sql, position.line, position.column);
  return { from, to: wordAt(text, from), severity: "error", message: problem.summary, problem };
}
