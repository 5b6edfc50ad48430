// Korean texts of the problems that naru reports, by their stable code. The English original is shown beneath.

import type { Problem } from "../api/problem";
import texts from "./problems.ko.json";

export interface KoreanProblem {
  summary: string;
  hint?: string | null;
}

/** What a summary names: what stands in quotes, tables (`shop.orders`), numbers of runs. */
export function namedIn(summary: string): string[] {
  const found = summary.matchAll(
    /"([^"]{1,80})"|(?<![\w./-])(\p{L}[\p{L}\p{N}_]*\.\p{L}[\p{L}\p{N}_]*)(?![\w./-])|\brun (\d+)/gu,
  );
  return [...new Set([...found].map(([, quoted, table, run]) => quoted ?? table ?? run ?? ""))];
}

/** The Korean text of a problem, with what it names; undefined for a code that has none. */
export function koreanProblem(problem: Pick<Problem, "code" | "summary">): KoreanProblem | undefined {
  const known = (texts as Record<string, KoreanProblem | undefined>)[problem.code];
  if (!known) return undefined;
  const named = namedIn(problem.summary);
  return named.length === 0 ? known : { ...known, summary: `${known.summary}: ${named.join(", ")}` };
}
