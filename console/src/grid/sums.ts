// Count, sum, average, least and most of selected cells, exactly.
//
// Owns: arithmetic on numbers that travel as text: INT64 and NUMERIC are added as whole numbers of their smallest
// decimal, never as floating point. FLOAT64 is what it is.

import type { Row } from "./pages";
import type { Rect } from "./range";
import { type Cell, type Column, isNumber } from "./values";

/** What is said of a selection. `sum` and the rest are `null` without numbers. */
export interface Sums {
  cells: number;
  /** Cells that are not NULL. */
  filled: number;
  numbers: number;
  sum: string | null;
  average: string | null;
  least: string | null;
  most: string | null;
}

/** Beyond this a selection is only counted: adding it would be felt. */
export const SUM_CELLS_MAX = 100_000;

/** An exact decimal: `units` of 10^-`scale`. */
interface Decimal {
  units: bigint;
  scale: number;
}

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;

/** The exact decimal that a text is; `null` where it is none (`NaN`, `1e300`). */
export function decimalOf(text: string): Decimal | null {
  const parts = DECIMAL.exec(text);
  if (!parts) return null;
  const fraction = parts[3] ?? "";
  const units = BigInt(`${parts[2]}${fraction}`);
  return { units: parts[1] ? -units : units, scale: fraction.length };
}

const power = (scale: number) => 10n ** BigInt(scale);
const scaled = (value: Decimal, scale: number) => value.units * power(scale - value.scale);

/** The text of a decimal, without zeros that say nothing. */
export function decimalText({ units, scale }: Decimal): string {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  return `${units < 0n ? "-" : ""}${whole}${fraction && `.${fraction}`}`;
}

/** Adds up cells of one kind after another. */
class Adder {
  private exact: Decimal = { units: 0n, scale: 0 };
  private inexact = 0;
  private isInexact = false;
  private least: { text: string; value: number } | null = null;
  private most: { text: string; value: number } | null = null;
  count = 0;

  add(cell: Cell): void {
    const text = String(cell);
    const value = Number(text);
    if (Number.isNaN(value)) return;
    this.count += 1;
    const decimal = decimalOf(text);
    if (decimal && !this.isInexact) this.addExact(decimal);
    else this.addInexact(value);
    if (!this.least || value < this.least.value) this.least = { text, value };
    if (!this.most || value > this.most.value) this.most = { text, value };
  }

  private addExact(decimal: Decimal): void {
    const scale = Math.max(this.exact.scale, decimal.scale);
    this.exact = { units: scaled(this.exact, scale) + scaled(decimal, scale), scale };
  }

  private addInexact(value: number): void {
    if (!this.isInexact) {
      this.isInexact = true;
      this.inexact = Number(decimalText(this.exact));
    }
    this.inexact += value;
  }

  result(): Pick<Sums, "sum" | "average" | "least" | "most"> {
    if (this.count === 0) return { sum: null, average: null, least: null, most: null };
    const average = this.isInexact ? String(this.inexact / this.count) : this.exactAverage();
    return {
      sum: this.isInexact ? String(this.inexact) : decimalText(this.exact),
      average,
      least: this.least?.text ?? null,
      most: this.most?.text ?? null,
    };
  }

  /** Six places more than the numbers have, rounded half away from zero. */
  private exactAverage(): string {
    const scale = this.exact.scale + 6;
    const units = scaled(this.exact, scale);
    const half = BigInt(Math.floor(this.count / 2)) * (units < 0n ? -1n : 1n);
    return decimalText({ units: (units + half) / BigInt(this.count), scale });
  }
}

/** The sums of a range; `null` while a row of it is not in the browser or it is too large. */
export function sumsOf(rect: Rect, columns: Column[], row: (index: number) => Row | undefined): Sums | null {
  const cells = (rect.bottom - rect.top + 1) * (rect.right - rect.left + 1);
  if (cells > SUM_CELLS_MAX) return null;
  const adder = new Adder();
  let filled = 0;
  for (let at = rect.top; at <= rect.bottom; at++) {
    const values = row(at);
    if (!values) return null;
    for (let column = rect.left; column <= rect.right; column++) {
      const cell = values[column] ?? null;
      if (cell === null) continue;
      filled += 1;
      const kind = columns[column]?.kind;
      if (kind && isNumber(kind)) adder.add(cell);
    }
  }
  return { cells, filled, numbers: adder.count, ...adder.result() };
}
