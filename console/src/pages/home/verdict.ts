// The one sentence on how everything is.

import type { homeText } from "./text";
import type { HomeView } from "./types";

export interface Said {
  tone: "good" | "warn" | "bad";
  words: string;
  /** What else is worth a sentence. */
  also?: string;
}

type Text = (typeof homeText)["en"];
type Counts = Pick<HomeView, "tables" | "marts" | "topics" | "problems">;

/** Undefined when there is nothing yet to say anything about. */
export function verdict(home: Counts, text: Text): Said | undefined {
  const { tables, marts, topics, problems } = home;
  if (tables.all + marts.all + topics.all + problems.length === 0) return undefined;
  const late = tables.late + tables.stopped;
  const isBad = problems.some((problem) => problem.severity === "bad");
  const parts: string[] = [];
  if (late > 0) parts.push(text.late(late, tables.all));
  if (marts.failed > 0) parts.push(text.failedMarts(marts.failed));
  if (topics.dead_letters > 0) parts.push(text.deadLetters(topics.dead_letters));
  if (late === 0 && tables.copying > 0) parts.push(text.copying(tables.copying, tables.all));
  const [first, ...rest] = parts;
  if (first) {
    const also = rest.length > 0 ? `${rest.join(". ")}.` : problems.length <= 1 ? text.otherwiseWell : undefined;
    return { tone: isBad ? "bad" : "warn", words: first, ...(also ? { also } : {}) };
  }
  const words =
    tables.all > 0
      ? text.allWell(tables.all)
      : topics.all > 0
        ? text.onlyTopics(topics.all)
        : text.onlyMarts(marts.all);
  return { tone: isBad ? "bad" : problems.length > 0 ? "warn" : "good", words };
}
