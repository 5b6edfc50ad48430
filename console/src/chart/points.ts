// From an answer's columns to the points of a chart.
//
// Owns: which columns can stand on which axis, the first guess, and cells as numbers. Draws nothing.

import type { Row } from "../grid/pages";
import { type Column, isNumber, type Kind, textOf } from "../grid/values";

/** Rows that are drawn; a screen has fewer pixels. */
export const POINTS_MAX = 5000;
/** Lines in one chart; more cannot be told apart. */
export const LINES_MAX = 6;

export type Shape = "line" | "bar";

/** What is drawn: columns by place. */
export interface Choice {
  shape: Shape;
  x: number;
  y: number[];
}

/** How the horizontal axis counts. */
export type Axis = "time" | "number" | "words";

const TIMES: ReadonlySet<Kind> = new Set(["date", "datetime", "timestamp"]);

export const axisOf = (kind: Kind): Axis => (TIMES.has(kind) ? "time" : isNumber(kind) ? "number" : "words");

/** Columns that can be measured. */
export const measures = (columns: Column[]) =>
  columns.map(({ kind }, at) => (isNumber(kind) ? at : -1)).filter((at) => at >= 0);

/** The first guess: time across, else words, else the first number; the first number that is left goes up. */
export function firstChoice(columns: Column[]): Choice | null {
  const time = columns.findIndex(({ kind }) => TIMES.has(kind));
  const word = columns.findIndex(({ kind }) => kind === "string" || kind === "bool");
  const numbers = measures(columns);
  const x = time >= 0 ? time : word >= 0 ? word : (numbers[0] ?? -1);
  const left = numbers.filter((at) => at !== x);
  const y = left[0] ?? numbers[0];
  if (x < 0 || y === undefined) return null;
  return { shape: time >= 0 || word < 0 ? "line" : "bar", x, y: [y] };
}

/** Points in the order of the axis. `labels` are the words of a word axis. */
export interface Points {
  x: number[];
  y: (number | null)[][];
  labels: string[];
}

const secondsOf = (text: string) => Date.parse(/[Z]$|^\d{4}-\d\d-\d\d$/.test(text) ? text : `${text}Z`) / 1000;

function numberOf(cell: Row[number] | undefined): number | null {
  if (cell === null || cell === undefined) return null;
  const value = Number(cell);
  return Number.isFinite(value) ? value : null;
}

/** The points of some rows; rows without a place on the axis are left out. */
export function pointsOf(rows: Row[], columns: Column[], choice: Choice, zone: string): Points {
  const kind = columns[choice.x]?.kind ?? "other";
  const axis = axisOf(kind);
  const placed: { x: number; label: string; row: Row }[] = [];
  for (const [at, row] of rows.entries()) {
    const cell = row[choice.x] ?? null;
    if (axis === "words") placed.push({ x: at, label: cell === null ? "NULL" : textOf(cell, kind, zone), row });
    else if (cell !== null) {
      const x = axis === "time" ? secondsOf(String(cell)) : Number(cell);
      if (Number.isFinite(x)) placed.push({ x, label: "", row });
    }
  }
  if (axis !== "words") placed.sort((a, b) => a.x - b.x);
  return {
    x: placed.map(({ x }) => x),
    y: choice.y.map((column) => placed.map(({ row }) => numberOf(row[column]))),
    labels: placed.map(({ label }) => label),
  };
}
