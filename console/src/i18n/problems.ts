// Korean texts of the problems that naru reports, by their stable code. The English original is shown beneath.

import type { Problem } from "../api/problem";
import texts from "./problems.ko.json";

export interface KoreanProblem {
  summary: string;
  hint?: string | null;
}

/** The Korean text of a problem; undefined for a code that has none yet. */
export function koreanProblem(problem: Problem): KoreanProblem | undefined {
  const known = (texts as Record<string, KoreanProblem | undefined>)[problem.code];
  return known;
}
