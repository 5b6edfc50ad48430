// What a cell holds and how it is shown: the kinds of columns, text for eyes and text for the clipboard.
//
// Owns: the one reading of a cell's JSON form (see the output contract: exact numbers travel as strings).
// Never rounds a number, never guesses a zone.

/** A cell as it came from the server: JSON in the column's own form. */
export type Cell = null | boolean | number | string | Cell[] | { [field: string]: Cell };

/** How a column's values are read. */
export type Kind =
  | "int64"
  | "float64"
  | "numeric"
  | "bignumeric"
  | "bool"
  | "string"
  | "bytes"
  | "date"
  | "time"
  | "datetime"
  | "timestamp"
  | "interval"
  | "json"
  | "struct"
  | "array"
  | "other";

/** One column of an answer. */
export interface Column {
  name: string;
  /** Written out: `ARRAY<STRUCT<sku STRING, n INT64>>`. */
  type: string;
  kind: Kind;
}

const KINDS: Record<string, Kind> = {
  INT64: "int64",
  FLOAT64: "float64",
  FLOAT32: "float64",
  NUMERIC: "numeric",
  BIGNUMERIC: "bignumeric",
  BOOL: "bool",
  STRING: "string",
  BYTES: "bytes",
  DATE: "date",
  TIME: "time",
  DATETIME: "datetime",
  TIMESTAMP: "timestamp",
  INTERVAL: "interval",
  JSON: "json",
  STRUCT: "struct",
  ARRAY: "array",
};

/** The kind of a written type: what stands before its parameters. */
export function kindOf(type: string): Kind {
  const head = /^[A-Z0-9]+/i.exec(type.trim())?.[0].toUpperCase() ?? "";
  return KINDS[head] ?? "other";
}

const NUMBERS: ReadonlySet<Kind> = new Set(["int64", "float64", "numeric", "bignumeric"]);
const BARE: ReadonlySet<Kind> = new Set([...NUMBERS, "bool", "date", "time", "datetime", "timestamp"]);
const NESTED: ReadonlySet<Kind> = new Set(["struct", "array", "json"]);

/** Whether the column's values are numbers, also those that travel as strings. */
export const isNumber = (kind: Kind) => NUMBERS.has(kind);

/** Whether a spreadsheet could read a value of this kind as a formula: everything but numbers, times and booleans. */
export const isText = (kind: Kind) => !BARE.has(kind);

/** Whether a value has parts to unfold. */
export const isNested = (kind: Kind) => NESTED.has(kind);

/** The text of a cell in a session's zone; NULL is the empty text, callers ask for it first. */
export function textOf(cell: Cell, kind: Kind, zone: string): string {
  if (cell === null) return "";
  switch (kind) {
    case "timestamp":
      return timestampText(String(cell), zone);
    case "datetime":
      return String(cell).replace("T", " ");
    default:
      return typeof cell === "object" ? JSON.stringify(cell) : String(cell);
  }
}

const INSTANT = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d+)?Z$/;

/** `2026-11-22T03:50:34.123456Z` on the clocks of `zone`: every digit of the fraction is kept. */
export function timestampText(instant: string, zone: string): string {
  const parts = INSTANT.exec(instant);
  if (!parts) return instant;
  const fraction = parts[7] ?? "";
  if (zone === "UTC") return `${instant.slice(0, 10)} ${instant.slice(11, 19)}${fraction}`;
  const clock = clockOf(zone);
  return clock
    ? `${clock(Date.parse(`${instant.slice(0, 19)}Z`))}${fraction}`
    : `${instant.slice(0, 10)} ${instant.slice(11, 19)}${fraction}Z`;
}

const clocks = new Map<string, ((ms: number) => string) | null>();

/** A zone's clock; `null` for a zone the browser does not know. */
function clockOf(zone: string): ((ms: number) => string) | null {
  const known = clocks.get(zone);
  if (known !== undefined) return known;
  let clock: ((ms: number) => string) | null = null;
  try {
    const format = new Intl.DateTimeFormat("sv-SE", {
      timeZone: zone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
    });
    clock = (ms) => format.format(ms).replace(",", "");
  } catch {
    clock = null;
  }
  clocks.set(zone, clock);
  return clock;
}

/** Whether the browser can show times in this zone; where it cannot, times stand in UTC with a `Z`. */
export const knowsZone = (zone: string) => zone === "UTC" || clockOf(zone) !== null;

/** The longest text a cell in the grid shows; the rest is in the viewer. */
const SHOWN_CHARS_MAX = 400;

/** The text for a cell of the grid: one line unless `wrapped`, cut where no one reads on. */
export function shownOf(cell: Cell, kind: Kind, zone: string, wrapped: boolean): string {
  const text = textOf(cell, kind, zone);
  const cut = text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
  return wrapped ? cut : cut.replace(/\r\n|[\r\n\t]/g, (mark) => (mark === "\t" ? "⇥" : "↵"));
}

/** A number of more digits than a spreadsheet keeps (15): it would be rounded there. */
export function roundsInSheets(cell: Cell, kind: Kind): boolean {
  if (cell === null || !isNumber(kind) || kind === "float64") return false;
  const digits = String(cell).replace(/^-|\./g, "").replace(/^0+/, "");
  return digits.length > 15 && /[1-9]/.test(digits.slice(15));
}
