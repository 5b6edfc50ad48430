// Finding a text in an answer.
//
// Owns: what counts as a match and the order of matches. The text is looked for as it is shown, whatever its case and
// however its Hangul is composed.

import type { Row } from "./pages";
import type { Place } from "./range";
import { type Column, textOf } from "./values";

/** Rows that are looked through at most; beyond it SQL is the better search. */
export const FIND_ROWS_MAX = 200_000;
/** Matches that are kept; who has more narrows the search. */
export const MATCHES_MAX = 10_000;

/** A text as it is compared. */
export const folded = (text: string) => text.normalize("NFC").toLowerCase();

/** The cells of some rows that hold `needle` (folded already), row by row from the left. */
export function matchesIn(rows: Row[], from: number, columns: Column[], zone: string, needle: string): Place[] {
  const places: Place[] = [];
  for (const [at, row] of rows.entries()) {
    for (const [column, { kind }] of columns.entries()) {
      const cell = row[column] ?? null;
      if (cell !== null && folded(textOf(cell, kind, zone)).includes(needle)) places.push({ row: from + at, column });
    }
  }
  return places;
}

const before = (a: Place, b: Place) => a.row < b.row || (a.row === b.row && a.column < b.column);

/** The match after (or before) a place, round the end; -1 without matches. */
export function nextMatch(matches: Place[], from: Place, backwards: boolean): number {
  if (matches.length === 0) return -1;
  if (backwards) {
    const at = matches.findLastIndex((place) => before(place, from));
    return at === -1 ? matches.length - 1 : at;
  }
  const at = matches.findIndex((place) => before(from, place));
  return at === -1 ? 0 : at;
}
