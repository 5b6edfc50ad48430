// JSON whose numbers keep every digit.
//
// Browsers read JSON numbers as doubles; where the reader tells the source of a number, one that would change is kept as
// its text. The viewer shows such a text as a number.

import type { Cell } from "./values";

/** A number that a double cannot hold. */
export class ExactNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type JsonPart = null | boolean | number | string | ExactNumber | JsonPart[] | { [field: string]: JsonPart };

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;

/** The parts of a JSON text; `undefined` when it is none. */
export function readJson(text: string): JsonPart | undefined {
  const exact: Reviver = (_key, value, context) =>
    typeof value === "number" && context?.source !== undefined && isChanged(value, context.source)
      ? new ExactNumber(context.source)
      : value;
  try {
    return JSON.parse(text, exact) as JsonPart;
  } catch {
    return undefined;
  }
}

const isChanged = (value: number, source: string) => /^-?\d+$/.test(source) && String(value) !== source;

/** What the viewer unfolds: a JSON column holds a text, other columns their parts. */
export function partsOf(cell: Cell, isJson: boolean): JsonPart | undefined {
  return isJson && typeof cell === "string" ? readJson(cell) : cell;
}
