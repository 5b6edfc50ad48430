// Completion from the server, which knows the tables a person may see; words of the language while it cannot answer.

import type { Completion, CompletionContext, CompletionResult, CompletionSource } from "@codemirror/autocomplete";
import { complete } from "../api";
import { WORDS } from "./dialect";
import { offsetAt, positionAt } from "./statements";

const TYPES: Record<string, string> = {
  table: "class",
  dataset: "namespace",
  column: "property",
  function: "function",
  keyword: "keyword",
  type: "type",
  alias: "variable",
  cte: "variable",
};

/** Names in any script, as they are written without backticks. */
const NAME = /[\p{L}\p{N}_$]*$/u;
const STILL_A_NAME = /^[\p{L}\p{N}_$]*$/u;

const option = (item: {
  label: string;
  insert: string;
  kind: string;
  detail?: string | null;
  info?: string | null;
}) => {
  const made: Completion = { label: item.label, apply: item.insert, type: TYPES[item.kind] ?? "text" };
  if (item.detail) made.detail = item.detail;
  if (item.kind === "column" || item.kind === "table") made.boost = 10;
  return made;
};

function wordsAt(context: CompletionContext): CompletionResult | null {
  const word = context.matchBefore(/\w+/);
  if (!word) return null;
  const options = WORDS.map(({ label, kind }) => option({ label, insert: label, kind }));
  return { from: word.from, options, validFor: STILL_A_NAME };
}

export const completeFromServer: CompletionSource = async (context) => {
  const typed = context.matchBefore(NAME);
  const afterDot = context.matchBefore(/[.`]/) !== null;
  if (!context.explicit && !afterDot && (!typed || typed.from === typed.to)) return null;
  const text = context.state.doc.toString();
  try {
    const answer = await complete(text, positionAt(text, context.pos));
    if (context.aborted) return null;
    const options = answer.items.map(option);
    return { from: offsetAt(text, answer.from.line, answer.from.column), options, validFor: STILL_A_NAME };
  } catch {
    return wordsAt(context);
  }
};
