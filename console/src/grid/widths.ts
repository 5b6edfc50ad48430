// How wide a column is at first: what its name and its first rows need, within limits.
//
// Owns: an estimate without the page (measuring thousands of cells would stall it). Korean, Japanese, Chinese letters and
// emoji count as two.

import type { Row } from "./pages";
import { type Column, isNumber, shownOf } from "./values";

export const WIDTH_MIN = 56;
export const WIDTH_MAX = 1600;
const FIRST_MIN = 84;
const FIRST_MAX = 380;
const NUMBER_MAX = 340;
/** Pixels of one narrow letter and of a digit at the grid's size of type, in the widest of the usual fonts. */
const LETTER = 7.4;
const DIGIT = 8.4;
/** What stands around the text. */
const AROUND = 26;
const ROWS_LOOKED_AT = 60;

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u;

/** Letters of a text, wide ones twice; looks no further than what a first width can show. */
export function lettersOf(text: string): number {
  let letters = 0;
  for (const letter of text.slice(0, 80)) letters += WIDE.test(letter) ? 2 : 1;
  return letters;
}

/** First widths of all columns, in pixels. */
export function firstWidths(columns: Column[], rows: Row[], zone: string): number[] {
  return columns.map((column, at) => {
    let letters = Math.max(lettersOf(column.name) + 2, Math.min(18, lettersOf(column.type)) * 0.85);
    for (const row of rows.slice(0, ROWS_LOOKED_AT)) {
      const cell = row[at] ?? null;
      const shown = cell === null ? "NULL" : shownOf(cell, column.kind, zone, false);
      letters = Math.max(letters, lettersOf(shown));
    }
    const [letter, most] = isNumber(column.kind) ? [DIGIT, NUMBER_MAX] : [LETTER, FIRST_MAX];
    return Math.round(Math.max(FIRST_MIN, Math.min(most, letters * letter + AROUND)));
  });
}

/** A width as a person set it, within what can be used. */
export const widthWithin = (width: number) => Math.round(Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, width)));
